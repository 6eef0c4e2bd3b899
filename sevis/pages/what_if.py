"""The page What if?: turn the gates of a network and watch its prediction move."""

import streamlit as st

st.title("What if?")
st.markdown("What would the network recognise if its gates stood otherwise? Open them, freeze them, or take those of another photo.")
