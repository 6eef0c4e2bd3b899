"""The network that all visitors share, and what the pages keep of its answers."""

import hashlib
import threading
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from sevis.errors import SevisError
from sevis.explanation import Explanation, explain
from sevis.figures.mosaic import framed
from sevis.images import Preprocessing, read_image
from sevis.weights import DEFAULT, Card, load

if TYPE_CHECKING:
    from sevis.weights import ReadyModel

Pixels = NDArray[np.uint8]
SHOWN = 400  # pixels: the longer side of a photo on the page
CLOSE_UP = 256  # pixels: about the side of the part that the network sees, as sharp as the photo is


@dataclass(frozen=True)
class Photo:
    """A picture as it came: its bytes, and how to call it."""

    title: str
    data: bytes

    @property
    def digest(self) -> str:
        """The SHA-256 of the bytes: what results are kept under, for Streamlit hashes only a sample of a large array."""
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


@st.cache_resource(show_spinner=False)
def start_loading(name: str = DEFAULT) -> "Future[ReadyModel]":
    """Begins once per server to import torch and to load a network, beside whatever the pages do; calls nothing of Streamlit there."""
    loading: Future[ReadyModel] = Future()
    threading.Thread(target=_load, args=(name, loading), daemon=True, name=f"load-{name}").start()
    return loading


def _load(name: str, loading: "Future[ReadyModel]") -> None:
    try:
        from sevis.hooks import keep_hooks

        ready = load(name)
        keep_hooks(ready.model)
        loading.set_result(ready)
    except BaseException as error:  # handed to whoever waits, who would otherwise wait for ever
        loading.set_exception(error)


def ready_model(name: str = DEFAULT) -> "ReadyModel":
    """The network, once it is loaded. Raises SevisError where it cannot be; the next call then tries again."""
    loading = start_loading(name)
    try:
        if loading.done():
            return loading.result()
        with st.spinner("Loading the network …"):
            return loading.result()
    except SevisError:
        start_loading.clear(name)
        raise


def look(photo: Photo, card: Card) -> Look:
    """The photo and what the network sees of it. Raises SevisError for bytes that are no picture."""
    return _look(photo.digest, card.name, str(card.preprocess), _data=photo.data, _card=card)


@st.cache_data(max_entries=64, show_spinner=False)
def _look(digest: str, name: str, preprocessing: str, *, _data: bytes, _card: Card) -> Look:
    image, preprocess = read_image(_data), _card.preprocess
    zoom = max(1, CLOSE_UP // preprocess.crop)
    sharp = replace(preprocess, resize=zoom * preprocess.resize, crop=zoom * preprocess.crop)
    view, close_up = preprocess.view(image), sharp.view(image)
    image.thumbnail((SHOWN, SHOWN))
    box = _seen_box(image.size, preprocess)
    return Look(framed(np.asarray(image), box), box != (0, 0, *image.size), view, close_up)


def _seen_box(size: tuple[int, int], preprocess: Preprocessing) -> tuple[int, int, int, int]:
    """The centre square that a network sees of a picture: left, top, right, bottom in its pixels."""
    side = round(min(size) * preprocess.crop / preprocess.resize)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return left, top, left + side, top + side


def explanation_of(photo: Photo, card: Card, *, block: str, shipped: Explanation | None = None) -> Explanation:
    """What the network does with a photo, with the maps of one block.

    Args:
        photo: what was chosen.
        card: of the network.
        block: whose maps u are wanted.
        shipped: from `read_example`: it is the answer, and needs no torch, where it is of this photo.

    Raises:
        SevisError: for bytes that are no picture, and for weights that are missing or damaged.
    """
    if shipped is not None and block in shipped.maps and np.array_equal(shipped.view, look(photo, card).view):
        return shipped
    ready = ready_model(card.name)
    return _explain(photo.digest, card.name, card["sha256"], block, _data=photo.data, _ready=ready)


@st.cache_data(max_entries=128, show_spinner=False)
def _explain(digest: str, name: str, weights: str, block: str, *, _data: bytes, _ready: "ReadyModel") -> Explanation:
    return explain(_ready, read_image(_data), maps=(block,))


def read_example(card: Card) -> Explanation | None:
    """The shipped explanation of a sample photo; None where there is none, or one of other weights.

    Raises:
        SevisError: when the file is damaged.
    """
    if not card.example_path.is_file():
        return None
    shipped = _example(str(card.example_path), card.example_path.stat().st_mtime_ns)
    return shipped if shipped.weights == card["sha256"] else None


@st.cache_resource(max_entries=4, show_spinner=False)
def _example(path: str, modified: int) -> Explanation:
    return Explanation.load(path)


def blocks_of(card: Card, shipped: Explanation | None) -> tuple[str, ...]:
    """The names of the network's SE blocks, in order: from the shipped explanation, else from the network itself."""
    if shipped is not None:
        return shipped.sites
    from sevis.sites import find_sites

    return tuple(site.name for site in find_sites(ready_model(card.name).model))
