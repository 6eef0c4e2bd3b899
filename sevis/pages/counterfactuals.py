"""What the page What if? asks of the network: a photo with changed gates, and where those gates come from."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from sevis.class_statistics import ClassStatistics
from sevis.datasets import find_data, sample_photos
from sevis.errors import SevisError
from sevis.explanation import Explanation, explain
from sevis.images import read_image
from sevis.interventions import Sources, Step, format_steps, intervene
from sevis.pages.keeping import keep, look_up
from sevis.pages.models import Photo, explanation_of, ready_model
from sevis.pages.network import Network
from sevis.pages.photos import validation_photos
from sevis.pages.turns import turn
from sevis.weights import Card

LENT = "lent-photos"  # uploaded pictures whose gates were taken in this session, by the name that a step calls them
MOST_LENT = 4


@dataclass(frozen=True)
class Means:
    """The gates that a block is frozen at.

    Attributes:
        statistics: the class means; None where there are none of these weights.
        static: the mean scales by block, shape (C,).
        said: over what the mean is.
        key: changes with them.
    """

    statistics: ClassStatistics | None
    static: Mapping[str, NDArray[np.floating]]
    said: str
    key: str


def means_of(network: Network, card: Card) -> Means:
    """The means of the network's statistics, or where there are none of its weights, those over the sample photos.

    Raises:
        SevisError: when the file of statistics is damaged.
    """
    path = card.statistics_path
    if path.is_file():
        modified = path.stat().st_mtime_ns
        statistics = _statistics(str(path), modified)
        if statistics.metadata.get("weights") == card["sha256"] and statistics.count.any():
            data = " ".join(str(statistics.metadata[field]) for field in ("data", "split") if statistics.metadata.get(field))
            said = f"{statistics.count.sum():,} photos{f' ({data})' if data else ''}"
            return Means(statistics, statistics.gates(), said, f"statistics {modified}")
    samples = [Photo(title, file.read_bytes()) for title, file in sample_photos().items()]
    scales = [explanation_of(photo, network, block=None).scale for photo in samples]
    static = {block: np.mean([scale[block] for scale in scales], axis=0) for block in scales[0]} if scales else {}
    said = f"the {len(scales)} sample photos, for there are no class statistics of these weights"
    return Means(None, static, said, f"{len(scales)} samples")


@st.cache_resource(max_entries=4, show_spinner=False)
def _statistics(path: str, modified: int) -> ClassStatistics:
    return ClassStatistics.load(path)


def changed(photo: Photo, network: Network, card: Card, steps: Sequence[Step], means: Means) -> Explanation:
    """What the network does with a photo after the steps.

    Raises:
        SevisError: for steps that do not fit the network, or need a photo or a class that is not at hand.
    """
    names = {step.name: step for step in steps if step.action == "photo" and step.name}
    lent = {name: find_photo(step, card) for name, step in names.items()}
    digests = sorted(found.digest for found in lent.values())
    keys = ("changed", photo.digest, card["sha256"], means.key, format_steps(steps), *digests)
    if (kept := look_up(*keys)) is not None:
        return cast(Explanation, kept)
    scales = {name: explanation_of(found, network, block=None) for name, found in lent.items()}
    sources, said = Sources(means.statistics, scales, means.static or None), list[str]()
    ready = ready_model(network)
    with turn():
        answer = explain(ready, read_image(photo.data), within=lambda on: intervene(on, steps, sources), say=said.append)
    keep(answer, *keys)
    for sentence in said:
        st.info(sentence, icon=":material/memory:")
    return answer


def lend(photo: Photo, card: Card) -> str:
    """The name under which a step finds this photo again: its title, or for an uploaded one its title and the beginning of its hash."""
    if (found := _open_photo(photo.title, card)) is not None and found.digest == photo.digest:
        return photo.title
    name = f"{photo.title} #{photo.digest[:8]}"
    lent = {**st.session_state.get(LENT, {}), name: photo}
    st.session_state[LENT] = dict(list(lent.items())[-MOST_LENT:])
    return name


def find_photo(step: Step, card: Card) -> Photo:
    """The photo that a step names. Raises SevisError where it is not at hand."""
    name = step.name or ""
    photo = st.session_state.get(LENT, {}).get(name) or _open_photo(name, card)
    if not isinstance(photo, Photo):
        raise SevisError(
            f"the step {step} needs the photo {name!r}, which is not here: a link holds no uploaded picture; "
            "remove the step, or take the gates of that photo again"
        )
    return photo


def _open_photo(name: str, card: Card) -> Photo | None:
    """A sample, or a validation photo called `CLASS, photo N`; None for any other."""
    if (samples := sample_photos()) and name in samples:
        return Photo(name, samples[name].read_bytes())
    found, data = re.fullmatch(r"(.+), photo (\d{1,6})", name, re.ASCII), find_data()
    if not found or data is None:
        return None
    photos = validation_photos(data, card)
    if photos.classes.count(found[1]) != 1:
        return None
    numbers = photos.indices_of(photos.classes.index(found[1]))
    number = int(found[2])
    return Photo(name, photos.read(numbers[number - 1])) if 0 < number <= len(numbers) else None
