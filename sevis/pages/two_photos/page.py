"""The page Two photos: the same gates for two photos, their difference, and the maps of the channels that differ most."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from sevis.errors import SevisError
from sevis.experiments.explanation import Explanation
from sevis.figures.gates.mosaic import GatedMaps, mosaic_pair
from sevis.figures.gates.two_photos import (
    FIRST,
    SECOND,
    block_means,
    difference_map,
    most_different,
    one_photos_map,
    one_photos_top,
    pairs,
    sorted_differences,
)
from sevis.pages.shared.controls import choose_block, choose_overlays, open_clicked
from sevis.pages.shared.explanations import Look, Photo, blocks_of, card_of, explanation_of, look, read_example
from sevis.pages.shared.growing import leave
from sevis.pages.shared.network import Network, chosen
from sevis.pages.shared.photos import choose_photo
from sevis.pages.shared.show import errors_shown, show, show_error, show_picture
from sevis.weights.card import Card

KEYS = {FIRST: "first", SECOND: "second"}
COUNT = 4  # channels at either end of the order


@dataclass(frozen=True)
class Seen:
    """One of the two photos, as it is shown, and what the network does with it."""

    pictures: Look
    explanation: Explanation


@st.fragment
def compare(network: Network, card: Card) -> None:
    """Show all that changes with a photo or the block: a fragment, so that quick clicks do not run beside each other."""
    columns = dict(zip(KEYS, st.columns(2, gap="large"), strict=True))
    photos = {name: _choose(name, card, column) for name, column in columns.items()}
    between, inside = st.container(), st.container()
    try:
        shipped = read_example(card)
        with inside:
            block = choose_block(blocks_of(network, shipped))
    except SevisError as error:
        show_error(error)
        return
    seen = {}
    for name, photo in photos.items():
        with columns[name]:
            if photo and (one := _look_at(name, photo, network, block=block, shipped=shipped)):
                seen[name] = one
    if len(seen) < len(KEYS):
        return
    first, second = (seen[name].explanation for name in KEYS)
    if np.array_equal(first.view, second.view):
        between.info("Both are the same photo, so nothing differs: choose another photo.", icon=":material/info:")
        return
    with between:
        _show_difference(first, second)
    if block:
        with inside:
            _show_block(block, seen)


def _choose(name: str, card: Card, column: DeltaGenerator) -> Photo | None:
    with column:
        st.header(f"Photo {name}", anchor=f"photo-{name.lower()}")
        try:
            return choose_photo(card, key=f"{KEYS[name]}_", start=list(KEYS).index(name))
        except SevisError as error:
            show_error(error)
            return None


def _look_at(name: str, photo: Photo, network: Network, *, block: str | None, shipped: Explanation | None) -> Seen | None:
    """Show one photo, what the network recognises in it, and its gates; None, and why, where it cannot be read."""
    try:
        pictures = look(photo, card_of(network))
        explanation = explanation_of(photo, network, block=block, shipped=shipped)
    except SevisError as error:
        show_error(error)
        return None
    left, right = st.columns([2, 3], gap="medium")
    caption = f"{photo.title}: the network sees the bright part" if pictures.cropped else photo.title
    left.image(pictures.photo, caption=caption, width="stretch", output_format="JPEG")
    with right:
        show(one_photos_top(explanation.top(5), classes=len(explanation.classes)), key=f"top-{name}")
    clicked = partial(open_clicked, f"gates-{name}", explanation.sites)
    show(one_photos_map(name, explanation.scale), key=f"gates-{name}", on_select=clicked)
    return Seen(pictures, explanation)


def _show_difference(first: Explanation, second: Explanation) -> None:
    st.header("Where the gates differ", anchor="difference")
    st.markdown(_describe(block_means(first.scale, second.scale)))
    chart, clicked = difference_map(first.scale, second.scale), partial(open_clicked, "difference-map", first.sites)
    show(chart, key="difference-map", hint="**Click a row to open that block.**", on_select=clicked)


def _describe(means: Mapping[str, float]) -> str:
    """Return where the two photos are told apart, in one sentence."""
    most, least = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    average = sum(means.values()) / len(means)
    blocks = f": most in {most} ({_short(means[most])}), least in {least} ({_short(means[least])})" if len(means) > 1 else ""
    return f"Between the two photos, the scale of a channel differs by {_short(average)} on average over the blocks{blocks}."


def _short(difference: float) -> str:
    return f"{difference:.2f}" if difference >= 0.1 else f"{difference:.3f}" if difference >= 0.001 else "less than 0.001"


def _show_block(block: str, seen: Mapping[str, Seen]) -> None:
    first, second = (seen[name].explanation.scale[block] for name in KEYS)
    more, less = most_different(first, second, count=COUNT)
    if not len(more) + len(less):
        st.info(f"{block} treats both photos alike: every channel has the same scale.", icon=":material/info:")
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        show(sorted_differences(first, second, site=block, count=COUNT), key=f"{block}-differences")
    with right:
        show(pairs(first, second, np.concatenate([more, less[::-1]])), key=f"{block}-pairs")
    st.subheader(f"The maps of these channels of {block}")
    overlaid = choose_overlays()
    for column, channels, name in zip(st.columns(2, gap="large"), (more, less), KEYS, strict=True):
        with column:
            _show_maps(block, seen, channels, name=name, overlaid=overlaid)


def _show_maps(block: str, seen: Mapping[str, Seen], channels: NDArray[np.intp], *, name: str, overlaid: bool) -> None:
    st.markdown(f"**More open for {name}**")
    if not len(channels):
        st.caption(f"No channel of {block} is more open for {name}.")
        return
    first, second = (
        GatedMaps(one.explanation.maps[block], one.explanation.scale[block], one.pictures.close_up if overlaid else None)
        for one in seen.values()
    )
    show_picture(mosaic_pair(first, second, channels.tolist()), key=f"{block}-more-for-{name}")


leave()
st.title("Two photos")
st.markdown("Two photos go through the same network and the same gates. Which channels does it open for one photo and shut for the other?")
with errors_shown():
    compare(chosen(), card_of(chosen()))
