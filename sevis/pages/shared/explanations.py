"""What the pages ask of the network that all visitors share, and what they keep of its answers."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import streamlit as st
from numpy.typing import NDArray

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.data.image_formats import read_image
from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.experiments.explanation import Explanation, explain
from sevis.figures.gates.mosaic import framed
from sevis.pages.shared.cache import keep, look_up
from sevis.pages.shared.loading import wait_for
from sevis.pages.shared.network import Network
from sevis.pages.shared.show import show_error, show_said
from sevis.pages.shared.turns import turn
from sevis.weights.card import Card, read_card

if TYPE_CHECKING:
    from sevis.weights.loading import ReadyModel

Pixels = NDArray[np.uint8]
SHOWN = 400  # pixels: the longer side of a photo on the page
CLOSE_UP = 256  # pixels: about the side of the part that the network sees, as sharp as the photo is


@dataclass(frozen=True)
class Photo:
    """A picture as it came: its bytes, and how to call it."""

    title: str
    data: bytes

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of the bytes: what results are kept under, for Streamlit hashes only a sample of a large array."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Look:
    """A decoded photo: uint8 RGB.

    Attributes:
        photo: the whole photo, at most SHOWN pixels wide and high, with what the network does not see dimmed.
        cropped: whether there is such a part.
        view: what the network sees, shape (S, S, 3).
        close_up: the same part of the photo in its own sharpness, shape (k S, k S, 3).
    """

    photo: Pixels
    cropped: bool
    view: Pixels
    close_up: Pixels


def card_of(network: Network) -> Card:
    """Return the card of a network, without torch for one that comes with sevis. Raises SevisError where it cannot be had."""
    return read_card(network.name) if network.shipped else ready_model(network).card


def ready_model(network: Network) -> "ReadyModel":
    """Return the network, once it is loaded: all visitors share it, and its hooks stay. Raises SevisError where it cannot be had."""
    return wait_for(network.name, network.weights)


def look(photo: Photo, card: Card) -> Look:
    """Return the photo and what the network sees of it. Raises SevisError for bytes that are no picture."""
    return _look(photo.digest, card.name, str(card.preprocessing), _data=photo.data, _card=card)


@st.cache_data(max_entries=64, show_spinner=False)
def _look(digest: str, name: str, preprocessing: str, *, _data: bytes, _card: Card) -> Look:
    image, preprocess = read_image(_data), _card.preprocessing
    zoom = max(1, CLOSE_UP // preprocess.crop)
    sharp = msgspec.structs.replace(preprocess, resize=zoom * preprocess.resize, crop=zoom * preprocess.crop)
    view, close_up = preprocess.view(image), sharp.view(image)
    image.thumbnail((SHOWN, SHOWN))
    box = _seen_box(image.size, preprocess)
    return Look(framed(np.asarray(image), box), box != (0, 0, *image.size), view, close_up)


def _seen_box(size: tuple[int, int], preprocess: Preprocessing) -> tuple[int, int, int, int]:
    """Return the part in the centre that a network sees of a picture: left, top, right, bottom in its pixels."""
    whole = size if preprocess.crop_mode == "squash" else (min(size), min(size))
    width, height = (round(side * preprocess.crop / preprocess.resize) for side in whole)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return left, top, left + width, top + height


def explanation_of(photo: Photo, network: Network, *, block: str | None, shipped: Explanation | None = None) -> Explanation:
    """Return what the network does with a photo, with the maps of one block.

    Args:
        photo: what was chosen.
        network: from `chosen`.
        block: whose maps u are wanted; None wants none.
        shipped: from `read_example`: it is the answer, and needs no torch, where it is of this photo.

    Raises:
        SevisError: for bytes that are no picture, and for weights that are missing or damaged.
    """
    card = card_of(network)
    if shipped is not None and (block is None or block in shipped.maps) and np.array_equal(shipped.view, look(photo, card).view):
        return shipped
    keys = ("explanation", photo.digest, card.name, card.sha256, block or "")
    return look_up(*keys) or _explain_in_turn(photo, network, block, keys)


def _explain_in_turn(photo: Photo, network: Network, block: str | None, keys: tuple[str, ...]) -> Explanation:
    ready, said = ready_model(network), list[str]()
    image = read_image(photo.data)
    with turn():
        explanation: Explanation | None = look_up(*keys)  # somebody before may have asked the same
        if explanation is None:
            explanation = explain(ready, image, maps=(block,) if block else (), say=said.append)
            keep(explanation, *keys)
            note_seconds(explanation)
    show_said(said)
    return explanation


def note_seconds(explanation: Explanation) -> None:
    """Remember how quick a network is on this machine."""
    quickest = _quickest()
    quickest[explanation.weights] = min(explanation.seconds, quickest.get(explanation.weights, explanation.seconds))


def seconds_of(explanation: Explanation) -> float:
    """Return how long a forward pass of this network takes: the least that was seen here, for the first one takes longer than those after
    it.
    """
    return _quickest().get(explanation.weights, explanation.seconds)


@st.cache_resource(show_spinner=False)
def _quickest() -> dict[str, float]:
    return {}


def read_statistics(path: Path) -> ClassStatistics:
    """Return the class statistics in a file, which all visitors share. Raises SevisError where it is missing or damaged."""
    return _statistics(str(path), path.stat().st_mtime_ns if path.is_file() else 0)


@st.cache_resource(max_entries=8, show_spinner=False)
def _statistics(path: str, modified: int) -> ClassStatistics:
    return ClassStatistics.load(path)


def example_of(card: Card) -> Explanation | None:
    """Return what `read_example` does, and None where its file is damaged, which the page then says."""
    try:
        return read_example(card)
    except SevisError as error:
        show_error(error)
        return None


def read_example(card: Card) -> Explanation | None:
    """Return the shipped explanation of a sample photo; None where there is none, or one of other weights.

    Raises:
        SevisError: when the file is damaged.
    """
    if not card.example_path.is_file():
        return None
    shipped = _example(str(card.example_path), card.example_path.stat().st_mtime_ns)
    return shipped if shipped.weights == card.sha256 else None


@st.cache_resource(max_entries=4, show_spinner=False)
def _example(path: str, modified: int) -> Explanation:
    return Explanation.load(path)


def blocks_of(network: Network, shipped: Explanation | None) -> tuple[str, ...]:
    """Return the names of the network's SE blocks, in order: from the shipped explanation, else from the network itself."""
    if shipped is not None:
        return shipped.sites
    from sevis.blocks.sites import find_sites

    return tuple(site.name for site in find_sites(ready_model(network).model))
