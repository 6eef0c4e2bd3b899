"""The page Explain: one photo, what the network recognises in it, and how its gates scale every channel."""

from functools import partial

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from sevis.analysis.dead_gates import dead_sentences
from sevis.experiments.explanation import Explanation
from sevis.figures.gates.gate_map import extremes, gate_map, hidden_profile, scale_profile, sorted_scales, squeeze_profile, top_bars
from sevis.figures.gates.mosaic import GatedMaps, enlarge, mosaic
from sevis.pages.explain.block_words import BlockForm, form_of
from sevis.pages.shared.controls import choose_block, choose_overlays, open_clicked
from sevis.pages.shared.explanations import SHOWN, Look, blocks_of, card_of, example_of, explanation_of, look
from sevis.pages.shared.growing import leave
from sevis.pages.shared.network import Network, chosen
from sevis.pages.shared.photos import choose_photo
from sevis.pages.shared.show import errors_shown, show, show_picture
from sevis.weights.card import Card

SHARP = 320  # pixels: so wide at least is a picture of few pixels sent, for the browser would blur it
COUNT = 8  # channels at either end of the order


@st.fragment
def explore(network: Network, card: Card) -> None:
    """Show all that changes with the photo or the block: a fragment, so that quick clicks do not run beside each other."""
    shipped = example_of(card)
    with errors_shown():
        photo = choose_photo(card)
        seen, gates, inside = st.container(), st.container(), st.container()
        if photo is None:
            return
        blocks = blocks_of(network, shipped)
        with inside:
            block = choose_block(blocks)
        with seen:
            pictures = look(photo, card)
            explanation = explanation_of(photo, network, block=block, shipped=shipped)
            _show_prediction(explanation, pictures, title=photo.title, stored=explanation is shipped)
        with gates:
            _show_gates(explanation)
        if block:
            with inside:
                _show_block(explanation, block, pictures, form_of(network, card, block))


def _show_prediction(explanation: Explanation, pictures: Look, *, title: str, stored: bool) -> None:
    left, right = st.columns([5, 6], gap="large")
    with left:
        photo, view = st.columns(2, wrap=False)
        side, enlarged = explanation.view.shape[0], _for_the_page(explanation.view)
        caption = f"{title}: the network sees the bright part" if pictures.cropped else title
        photo.image(pictures.photo, caption=caption, width="stretch", output_format="JPEG")
        view.image(enlarged, caption=f"What it sees: {side} × {side} pixels", width="stretch", output_format="PNG")
    with right:
        show(top_bars(explanation.top(5), classes=len(explanation.classes)), key="top-classes")
        milliseconds = f"{1000 * explanation.seconds:.0f} ms"
        when = ", measured when the network was published" if stored else ""
        st.caption(f":material/timer: Forward pass: **{milliseconds}** on {explanation.device}{when} · {explanation.model}")


def _for_the_page(view: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return what the network sees, with its pixels to be seen where they are few, and not more of them than the page has where they are
    many.
    """
    side = len(view)
    if side <= SHOWN:
        return enlarge(view, side * max(1, SHARP // side), side * max(1, SHARP // side))
    return np.asarray(Image.fromarray(view).resize((SHOWN, SHOWN), Image.Resampling.BOX))


def _show_gates(explanation: Explanation) -> None:
    st.header("Every gate of the network", anchor="gates")
    for sentence in dead_sentences(explanation.dead, blocks=len(explanation.sites)):
        st.warning(sentence, icon=":material/warning:")
    clicked = partial(open_clicked, "gate-map", explanation.sites)
    show(gate_map(explanation.scale), key="gate-map", hint="**Click a row to open that block.**", on_select=clicked)


def _show_block(explanation: Explanation, block: str, pictures: Look, form: BlockForm) -> None:
    scale = explanation.scale[block]
    _show_equations(explanation, block, form)
    show(sorted_scales(scale, site=block, order=form.describe_order(), count=COUNT), key=f"{block}-sorted")
    st.subheader(f"The maps that {block} gates")
    overlaid = choose_overlays()
    st.latex(form.scaling)
    gated = GatedMaps(explanation.maps[block], scale, pictures.close_up if overlaid else None)
    for column, channels, name in zip(st.columns(2, gap="large"), extremes(scale, count=COUNT), ("open", "shut"), strict=True):
        with column:
            st.markdown(f"**The {len(channels)} most {name} channels**")
            show_picture(mosaic(gated, channels.tolist()), key=f"{block}-most-{name}")


def _show_equations(explanation: Explanation, block: str, form: BlockForm) -> None:
    """Show z, the hidden layer and s, each under its equation of arXiv 1709.01507."""
    z, hidden, scale = explanation.squeeze[block], explanation.hidden[block], explanation.scale[block]
    squeeze, excite, gate = st.columns(3, gap="medium")
    with squeeze:
        st.latex(r"z_c = \frac{1}{H W} \sum_{i,j} u_c(i, j) \qquad (2)")
        show(squeeze_profile(z), key=f"{block}-squeeze")
    with excite:
        st.latex(form.hidden)
        show(hidden_profile(hidden, caption=form.describe_hidden(len(z), len(hidden))), key=f"{block}-hidden")
    with gate:
        st.latex(form.excitation)
        chart = scale_profile(scale, explanation.logits[block], gate=form.describe_gate(), bounded=form.bounded)
        show(chart, key=f"{block}-scale")


leave()
st.title("One photo, every gate")
st.markdown(
    "Choose a photo. See what a Squeeze-and-Excitation network recognises in it, and how far its gates open and shut every channel."
)
with errors_shown():
    explore(chosen(), card_of(chosen()))
