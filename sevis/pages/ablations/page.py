"""The page Ablations: SE beside its plain twin, the paper's ablations measured, and a tiny network trained while one looks."""

import streamlit as st

from sevis.pages.ablations.tables import show_tables
from sevis.pages.ablations.train_now import show_training
from sevis.pages.ablations.twins import show_twins

st.title("Ablations")
st.markdown(
    "Does SE improve a network, and which of its parts matter? This page shows what the paper says and what was measured here on "
    "smaller networks and fewer images, with intervals that say how far a difference can be trusted."
)
st.header("With SE and without", anchor="twins")
show_twins()
st.header("The paper's ablations, measured", anchor="tables")
show_tables()
st.header("Train one now", anchor="train")
show_training()
