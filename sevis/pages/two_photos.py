"""The page Two photos: the same gates for two photos, and their difference."""

import streamlit as st

st.title("Two photos")
