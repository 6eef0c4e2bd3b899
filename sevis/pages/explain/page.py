"""The page Explain: one photo, what the network recognises in it, and how its gates scale every channel."""

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image

from sevis.errors import SevisError
from sevis.experiments.explanation import Explanation
from sevis.figures.gates.gate_map import channel_profile, describe_channels, extremes, gate_map, gate_map_table, sorted_scales, top_bars
from sevis.figures.gates.mosaic import enlarge, mosaic
from sevis.pages.explain.block_words import BlockForm, form_of
from sevis.pages.shared.explanations import SHOWN, Look, blocks_of, card_of, example_of, explanation_of, look
from sevis.pages.shared.growing import leave
from sevis.pages.shared.network import Network, chosen
from sevis.pages.shared.photos import choose_photo
from sevis.pages.shared.show import clicked_row, maps_table, show, show_error, show_picture
from sevis.weights.card import Card

MAPS, OVERLAYS = "As maps", "On the photo"
SHARP = 320  # pixels: so wide at least is a picture of few pixels sent, for the browser would blur it
COUNT = 8  # channels at either end of the order


@st.fragment
def explore(network: Network, card: Card) -> None:
    """Show all that changes with the photo or the block: a fragment, so that quick clicks do not run beside each other."""
    shipped = example_of(card)
    try:
        photo = choose_photo(card)
        seen, gates, inside = st.container(), st.container(), st.container()
        if photo is None:
            return
        blocks = blocks_of(network, shipped)
        with inside:
            block = _choose_block(blocks)
        with seen:
            pictures = look(photo, card)
            explanation = explanation_of(photo, network, block=block, shipped=shipped)
            _show_prediction(explanation, pictures, title=photo.title, stored=explanation is shipped)
        with gates:
            _show_gates(explanation)
        if block:
            with inside:
                _show_block(explanation, block, pictures, form_of(network, card, block))
    except SevisError as error:
        show_error(error)


def _choose_block(blocks: tuple[str, ...]) -> str | None:
    """Return the block to look into; none at first: so much the sooner the first page stands."""
    st.header("Inside one block", anchor="inside")
    return st.selectbox(
        "Block", blocks, index=None, placeholder="Choose a block, or click its row above", key="block", bind="query-params", width=400
    )


def _open_clicked_block(blocks: tuple[str, ...]) -> None:
    """After a click on the gate map."""
    row = clicked_row("gate-map")
    if row is not None:
        st.session_state["block"] = blocks[row]


def _show_prediction(explanation: Explanation, pictures: Look, *, title: str, stored: bool) -> None:
    left, right = st.columns([5, 6], gap="large")
    with left:
        photo, view = st.columns(2, wrap=False)
        side, enlarged = explanation.view.shape[0], _for_the_page(explanation.view)
        caption = f"{title}: the network sees the bright part" if pictures.cropped else title
        photo.image(pictures.photo, caption=caption, width="stretch", output_format="JPEG")
        view.image(enlarged, caption=f"What it sees: {side} × {side} pixels", width="stretch", output_format="PNG")
    top = explanation.top(5)
    with right:
        show(
            top_bars(top),
            key="top-classes",
            caption=f"The network knows {len(explanation.classes)} classes and spreads 100 % among them, whatever the photo shows.",
            table={"class": [name for name, _ in top], "probability": [value for _, value in top]},
        )
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
    show(
        gate_map(explanation.scale),
        key="gate-map",
        caption="Each row is one SE block, each column one of its channels: bright ones pass on nearly whole, dark ones are turned down; "
        f"every row is stretched to the same width ({describe_channels(explanation.scale)}). **Click a row to open that block.**",
        table=gate_map_table(explanation.scale),
        on_select=lambda: _open_clicked_block(explanation.sites),
    )


def _show_block(explanation: Explanation, block: str, pictures: Look, form: BlockForm) -> None:
    scale = explanation.scale[block]
    _show_equations(explanation, block, form)
    raised, lowered = extremes(scale, count=COUNT)
    order = np.argsort(-scale, kind="stable")
    show(
        sorted_scales(scale, count=COUNT),
        key=f"{block}-sorted",
        caption=f"The {len(scale)} channels of {block} from the highest scale to the lowest, for this photo; {form.describe_order()}.",
        table={"rank": np.arange(1, len(scale) + 1), "channel": order, "s": scale[order]},
    )
    st.subheader(f"The maps that {block} gates")
    style = st.segmented_control("Show them", [MAPS, OVERLAYS], default=MAPS, required=True, key="maps", bind="query-params")
    st.latex(r"\tilde{\mathbf{x}}_c = s_c \cdot \mathbf{u}_c \qquad (4)")
    photo = pictures.close_up if style == OVERLAYS else None
    for column, channels, name in zip(st.columns(2, gap="large"), (raised, lowered), ("raised", "lowered"), strict=True):
        with column:
            _show_maps(explanation, block, channels, name=name, photo=photo)


def _show_equations(explanation: Explanation, block: str, form: BlockForm) -> None:
    """z, the hidden layer and s, each under its equation of arXiv 1709.01507."""
    z, hidden, scale = explanation.squeeze[block], explanation.hidden[block], explanation.scale[block]
    squeeze, excite, gate = st.columns(3, gap="medium")
    with squeeze:
        st.latex(r"z_c = \frac{1}{H W} \sum_{i,j} u_c(i, j) \qquad (2)")
        show(
            channel_profile(z, title="Squeeze z", name="z"),
            key=f"{block}-squeeze",
            caption=f"The mean of each of the {len(z)} maps u over all places: one number per channel.",
            table={"channel": np.arange(len(z)), "z": z},
        )
    with excite:
        st.latex(form.hidden)
        show(
            channel_profile(hidden, title="Hidden layer h", name="h", unit="unit"),
            key=f"{block}-hidden",
            caption=form.describe_hidden(len(z), len(hidden)),
            table={"unit": np.arange(len(hidden)), "h": hidden},
        )
    with gate:
        st.latex(form.excitation)
        show(
            channel_profile(scale, title="Scale s", name="s", upper=1 if form.bounded else None),
            key=f"{block}-scale",
            caption=f"What each channel is multiplied by, on average {scale.mean():.2f}; {form.describe_gate()}.",
            table={"channel": np.arange(len(scale)), "logit": explanation.logits[block], "s": scale},
        )


def _show_maps(explanation: Explanation, block: str, channels: NDArray[np.intp], *, name: str, photo: NDArray[np.uint8] | None) -> None:
    maps, scale = explanation.maps[block], explanation.scale[block]
    size = f"{maps.shape[1]} × {maps.shape[2]}"
    st.markdown(f"**The {len(channels)} most {name} channels**")
    show_picture(
        mosaic(maps, scale, channels.tolist(), photo=photo),
        key=f"{block}-most-{name}",
        caption=f"Above, the map u of each channel ({size}; red above zero, blue below, its range under its scale); "
        "below, s·u in the same colours: the paler, the more it is turned down.",
        table=maps_table(channels, {"": (maps, scale)}),
    )


leave()
st.title("One photo, every gate")
st.markdown(
    "Choose a photo and see what a Squeeze-and-Excitation network recognises in it, and how its gates turn every channel up or down."
)
try:
    explore(chosen(), card_of(chosen()))
except SevisError as missing:
    show_error(missing)
