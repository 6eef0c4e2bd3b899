"""Collecting class statistics on the page, for a network that none were shipped for: some photos of some classes, kept for all visitors."""

import shlex
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import streamlit as st

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.data.datasets import ImageDataset, find_data
from sevis.figures.classes.class_curves import nearest_to_paper
from sevis.pages.shared.explanations import ready_model
from sevis.pages.shared.network import Network
from sevis.pages.shared.photos import validation_photos
from sevis.pages.shared.turns import turn
from sevis.weights.card import Card

if TYPE_CHECKING:
    from sevis.data.loader import Batch

CLASSES, PHOTOS, LIMIT = 20, 10, 50
SAMPLE = 50  # whole gate vectors kept of each class, for intervals
VECTORS = 1000  # whole gate vectors of all classes: at most 30 MB for a network of 15,104 channels
BATCH = 8  # photos between two looks at the row of waiting visitors


@dataclass(frozen=True)
class Amount:
    """How many classes to collect, and how many photos of each."""

    classes: int
    photos: int


def collected_here(network: Network, card: Card) -> ClassStatistics | None:
    """Return class statistics that were collected on this page; before that show the offer to do so, and return None.

    Raises:
        SevisError: when the data set cannot be read, or has none of the network's classes.
    """
    data = find_data()
    if data is None:
        st.info(
            f"There are no class statistics of `{card.name}`, and no data on this machine to collect them from.", icon=":material/info:"
        )
        _name_the_command(network)
        return None
    photos = validation_photos(data, card)
    amount = choose_amount(photos, key="collect")
    slot = st.empty()
    kept = look_up_collected(card, str(data), amount)
    if kept is not None:
        return kept
    with slot.container():
        if not _wanted(network, card, photos, amount):
            return None
    with slot.container():
        made = collect_in_turns(network, pick(photos, amount))
    slot.empty()
    _newest(card.sha256)[:] = [made]
    return keep_collected(made, card, str(data), amount)


def collected(card: Card) -> ClassStatistics | None:
    """Return the class statistics of these weights that were collected on the page last; None where there are none."""
    return next(iter(_newest(card.sha256)), None)


@st.cache_resource(max_entries=8, show_spinner=False)
def _newest(weights: str) -> list[ClassStatistics]:
    """Return a list that all visitors share: of none or one."""
    return []


def _wanted(network: Network, card: Card, photos: ImageDataset, amount: Amount) -> bool:
    """Show the offer to collect, and return whether it has just been taken."""
    st.info(
        f"There are no class statistics of `{card.name}` yet. You can collect them here: the network looks at "
        f"{amount.classes * amount.photos} validation photos of {photos.name}, and the app keeps the result until it ends.",
        icon=":material/info:",
    )
    wanted = st.button("Collect them now", key="collect", type="primary", icon=":material/play_arrow:")
    _name_the_command(network)
    return wanted


def _name_the_command(network: Network) -> None:
    """Show how to collect all there is, once and for all."""
    weights = " --weights random" if network.weights else ""
    st.markdown("This command collects all photos of a data set and saves the result:")
    st.code(f"python -m sevis collect --model {shlex.quote(network.name)}{weights} --data FOLDER", language="bash", wrap_lines=True)


def choose_amount(photos: ImageDataset, *, key: str, most_classes: int | None = None, limit: int = LIMIT) -> Amount:
    """Show the controls for how many photos to collect, and return that. Their names, in the URL, too, begin with `key`.

    Args:
        photos: to choose from.
        key: goes before the names of the controls.
        most_classes: that may be chosen; None: all of them.
        limit: the most photos of each class.
    """
    most = min(limit, max(len(photos.indices_of(label)) for label in range(len(photos.classes))))
    count = min(len(photos.classes), most_classes or len(photos.classes))
    with st.container(horizontal=True, gap="medium"):
        classes = st.number_input("Classes to collect", 1, count, min(CLASSES, count), key=f"{key}_classes", bind="query-params", width=200)
        each = st.number_input("Photos of each class", 1, most, min(PHOTOS, most), key=f"{key}_photos", bind="query-params", width=200)
    return Amount(int(classes), int(each))


def pick(photos: ImageDataset, amount: Amount) -> ImageDataset:
    """Return the first photos of so many classes: those of the paper's figures first, the others spread evenly over the rest."""
    papers = [photos.classes.index(name) for name in nearest_to_paper(photos.classes)][: amount.classes]
    others = [label for label in range(len(photos.classes)) if label not in papers]
    missing = amount.classes - len(papers)
    labels = sorted([*papers, *(others[step * len(others) // missing] for step in range(missing))])
    return photos.select(photos.wnids[label] for label in labels).first(amount.photos)


def collect_in_turns(network: Network, photos: ImageDataset) -> ClassStatistics:
    """Collect with a progress bar; a click on Cancel, like every other control, ends this run of the page and so the collecting."""
    from sevis.data.loader import about, make_loader
    from sevis.experiments.collection import collect

    ready = ready_model(network)
    st.button("Cancel", key="cancel", icon=":material/stop:")
    with closing(_paced(make_loader(photos, ready.preprocess, batch_size=BATCH), len(photos))) as batches:
        statistics = collect(ready, batches, classes=photos.classes, sample=min(SAMPLE, VECTORS // len(photos.classes) or 1))
    statistics.metadata |= about(photos)
    return statistics


def _paced(loader: "Iterable[Batch]", total: int) -> "Generator[Batch]":
    """Yield the batches of a loader, each worked on in its own turn, so that other visitors come between; with a progress bar.

    They end where more images cannot be read than `collect` takes, which it then says.
    """
    from sevis.experiments.collection import most_broken

    bar, done, broken, started = st.progress(0.0, "Reading the first photos …"), 0, 0, perf_counter()
    for batch in loader:
        with turn():
            yield batch
        broken += len(batch.broken)
        if broken > most_broken(total):
            return
        done += len(batch.labels) + len(batch.broken)
        bar.progress(done / total, describe_pace(done, total, perf_counter() - started))


def describe_pace(done: int, total: int, seconds: float) -> str:
    """Return how far it is, how quick, and how long it will take, for people."""
    left = (total - done) * seconds / done
    time = f"{left / 60:.0f} minutes" if left >= 90 else f"{left:.0f} seconds"
    return f"{done} of {total} photos, {done / seconds:.1f} a second, about {time} left"


def look_up_collected(card: Card, data: str, amount: Amount) -> ClassStatistics | None:
    """Return what some visitor collected with these weights from so much of this data; None where nobody did."""
    try:
        return _kept(card.name, card.sha256, data, amount, _made=None)
    except _NotKeptError:
        return None


def keep_collected(made: ClassStatistics, card: Card, data: str, amount: Amount) -> ClassStatistics:
    """Keep what was collected for all visitors, until the app ends or there is too much of it."""
    return _kept(card.name, card.sha256, data, amount, _made=made)


class _NotKeptError(Exception):
    """The cache does not hold it."""


@st.cache_resource(max_entries=8, show_spinner=False)
def _kept(name: str, weights: str, data: str, amount: Amount, *, _made: ClassStatistics | None) -> ClassStatistics:
    if _made is None:
        raise _NotKeptError
    return _made
