"""Collecting class statistics on the page, for a network that none were shipped for: some photos of some classes, kept for all visitors."""

import shlex
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING

import streamlit as st

from sevis.class_statistics import ClassStatistics
from sevis.datasets import ImageDataset, find_data
from sevis.figures.classes import PAPER_CLASSES
from sevis.pages.models import ready_model
from sevis.pages.network import Network
from sevis.pages.photos import validation_photos
from sevis.pages.turns import turn
from sevis.weights import Card

if TYPE_CHECKING:
    from torch import Tensor

CLASSES, PHOTOS, LIMIT = 20, 10, 50
BATCH = 8  # photos between two looks at the row of waiting visitors


@dataclass(frozen=True)
class Amount:
    """How many classes to collect, and how many photos of each."""

    classes: int
    photos: int


def collected_here(network: Network, card: Card) -> ClassStatistics | None:
    """Class statistics that were collected on this page, or the offer to do so; None as long as there are none.

    Raises:
        SevisError: when the data set cannot be read, or has none of the network's classes.
    """
    data = find_data()
    if data is None:
        st.info(
            f"No class statistics came with `{card.name}`, and no data is on this machine to collect them from.", icon=":material/info:"
        )
        _name_the_command(network)
        return None
    photos = validation_photos(data, card)
    amount = _choose_amount(photos)
    keys, place = (card.name, card["sha256"], str(data), amount), st.empty()
    try:
        return _kept(*keys, _made=None)
    except _NotKeptError:
        with place.container():
            if not _wanted(network, card, photos, amount):
                return None
        with place.container():
            made = _collect(network, pick(photos, amount))
    place.empty()
    _newest(card["sha256"])[:] = [made]
    return _kept(*keys, _made=made)


def collected(card: Card) -> ClassStatistics | None:
    """The class statistics of these weights that were collected on the page last; None where there are none."""
    return next(iter(_newest(card["sha256"])), None)


@st.cache_resource(max_entries=8, show_spinner=False)
def _newest(weights: str) -> list[ClassStatistics]:
    """None or one."""
    return []


def _wanted(network: Network, card: Card, photos: ImageDataset, amount: Amount) -> bool:
    """The offer to collect, and whether it has just been taken."""
    st.info(
        f"No class statistics came with `{card.name}`. They can be collected here: the network looks at "
        f"{amount.classes * amount.photos} validation photos of {photos.name}, and what its gates do is kept until the app ends.",
        icon=":material/info:",
    )
    wanted = st.button("Collect them now", key="collect", type="primary", icon=":material/play_arrow:")
    _name_the_command(network)
    return wanted


def _name_the_command(network: Network) -> None:
    """How to collect all there is, once and for all."""
    weights = " --weights random" if network.weights else ""
    st.markdown("This command does it for all photos of a data set, and for good:")
    st.code(f"python -m sevis collect --model {shlex.quote(network.name)}{weights} --data FOLDER", language="bash", wrap_lines=True)


def _choose_amount(photos: ImageDataset) -> Amount:
    most = max(len(photos.indices_of(label)) for label in range(len(photos.classes)))
    count = len(photos.classes)
    with st.container(horizontal=True, gap="medium"):
        classes = st.number_input(
            "Classes to collect", 1, count, min(CLASSES, count), key="collect_classes", bind="query-params", width=200
        )
        each = st.number_input(
            "Photos of each", 1, min(most, LIMIT), min(PHOTOS, most), key="collect_photos", bind="query-params", width=200
        )
    return Amount(int(classes), int(each))


def pick(photos: ImageDataset, amount: Amount) -> ImageDataset:
    """The first photos of so many classes: those of the paper's figures first, the others spread evenly over the rest."""
    papers = [label for label, name in enumerate(photos.classes) if name in PAPER_CLASSES][: amount.classes]
    others = [label for label in range(len(photos.classes)) if label not in papers]
    missing = amount.classes - len(papers)
    labels = sorted([*papers, *(others[place * len(others) // missing] for place in range(missing))])
    chosen = photos.select(photos.wnids[label] for label in labels)
    kept = [index for label in range(len(labels)) for index in chosen.indices_of(label)[: amount.photos]]
    return replace(
        chosen,
        files=tuple(chosen.files[index] for index in kept),
        labels=tuple(chosen.labels[index] for index in kept),
        classes=tuple(photos.classes[label] for label in labels),
    )


def _collect(network: Network, photos: ImageDataset) -> ClassStatistics:
    """Collects with a progress bar; a click on Cancel, like every other control, ends this run of the page and so the collecting."""
    from sevis.collection import collect, make_loader

    ready = ready_model(network)
    st.button("Cancel", key="cancel", icon=":material/stop:")
    with closing(_paced(make_loader(photos, ready.preprocess, batch_size=BATCH), len(photos))) as batches:
        statistics = collect(ready, batches, classes=photos.classes)
    statistics.metadata |= {"data": photos.name, "split": photos.split, "wnids": list(photos.wnids), "images": len(photos)}
    return statistics


def _paced(loader: "Iterable[tuple[Tensor, Tensor]]", total: int) -> "Generator[tuple[Tensor, Tensor]]":
    """The batches of a loader, each worked on in its own turn, so that other visitors come between; with a progress bar."""
    bar, done, started = st.progress(0.0, "Reading the first photos …"), 0, perf_counter()
    for inputs, labels in loader:
        with turn():
            yield inputs, labels
        done += len(labels)
        rate = done / (perf_counter() - started)
        bar.progress(done / total, f"{done} of {total} photos, {rate:.1f} a second")


class _NotKeptError(Exception):
    """The cache does not hold it."""


@st.cache_resource(max_entries=8, show_spinner=False)
def _kept(name: str, weights: str, data: str, amount: Amount, *, _made: ClassStatistics | None) -> ClassStatistics:
    if _made is None:
        raise _NotKeptError
    return _made
