"""The panel "Is the gate dynamic?": what the network loses when its gates may not answer to the photo."""

import streamlit as st

from sevis.weights import Card


def show_audit(card: Card) -> None:
    """Draws the audit of a network, where one was made."""
    st.header("Is the gate dynamic?", anchor="audit")
    st.caption(card.name)
