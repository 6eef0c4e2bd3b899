"""The network that all visitors share, and what the pages keep of its answers."""

import hashlib
import threading
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from sevis.errors import SevisError
from sevis.explanation import Explanation, explain
from sevis.figures.mosaic import framed
from sevis.images import Preprocessing, read_image
from sevis.weights import Card, load

if TYPE_CHECKING:
    from sevis.weights import ReadyModel

Pixels = NDArray[np.uint8]
SHOWN = 400  # pixels: the longer side of a photo on the page
HEAD_START = 4.0  # seconds
CLOSE_UP = 256  # pixels: about the side of the part that the network sees, as sharp as the photo is


@dataclass(frozen=True)
class Photo:
    """A picture as it came: its bytes, and how to call it."""

    title: str
    data: bytes

    @cached_property
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


class Loading:
    """A network that a thread loads beside whatever the pages do; the thread calls nothing of Streamlit.

    It lets HEAD_START seconds pass first, or begins when somebody waits: importing torch takes all of a core for some seconds, which on
    a small machine the browser needs to draw the first page.
    """

    def __init__(self, name: str) -> None:
        self._result: Future[ReadyModel] = Future()
        self._wanted = threading.Event()
        threading.Thread(target=self._load, args=(name,), daemon=True, name=f"load-{name}").start()

    def done(self) -> bool:
        """Whether `result` answers at once."""
        return self._result.done()

    def result(self) -> "ReadyModel":
        """The network, once it is there. Raises SevisError where it cannot be loaded."""
        self._wanted.set()
        return self._result.result()

    def _load(self, name: str) -> None:
        self._wanted.wait(HEAD_START)
        try:
            from sevis.hooks import keep_hooks

            ready = load(name)
            keep_hooks(ready.model)
            self._result.set_result(ready)
        except SevisError as error:
            self._result.set_exception(error)
        except BaseException as error:  # handed to whoever waits, who would otherwise wait for ever
            self._result.set_exception(SevisError(f"the network {name} could not be loaded ({type(error).__name__}: {error})"))


@st.cache_resource(show_spinner=False)
def start_loading(name: str) -> Loading:
    """Begins once per server to load a network; the name has no default, for Streamlit would keep that call apart."""
    return Loading(name)


def ready_model(name: str) -> "ReadyModel":
    """The network, once it is loaded. Raises SevisError where it cannot be; the next call then tries again."""
    loading = start_loading(name)
    try:
        if loading.done():
            return loading.result()
        with st.spinner("Loading the network …"):
            return loading.result()
    except Exception:
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


def explanation_of(photo: Photo, card: Card, *, block: str | None, shipped: Explanation | None = None) -> Explanation:
    """What the network does with a photo, with the maps of one block.

    Args:
        photo: what was chosen.
        card: of the network.
        block: whose maps u are wanted; None wants none.
        shipped: from `read_example`: it is the answer, and needs no torch, where it is of this photo.

    Raises:
        SevisError: for bytes that are no picture, and for weights that are missing or damaged.
    """
    if shipped is not None and (block is None or block in shipped.maps) and np.array_equal(shipped.view, look(photo, card).view):
        return shipped
    ready = ready_model(card.name)
    return _explain(photo.digest, card.name, card["sha256"], block, _data=photo.data, _ready=ready)


@st.cache_data(max_entries=128, show_spinner=False)
def _explain(digest: str, name: str, weights: str, block: str | None, *, _data: bytes, _ready: "ReadyModel") -> Explanation:
    return explain(_ready, read_image(_data), maps=(block,) if block else ())


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
