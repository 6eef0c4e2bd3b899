"""The pages of the app: the only rooms that import streamlit."""
