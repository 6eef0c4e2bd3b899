"""What the page What if? asks of the network: a photo with changed gates, and where those gates come from."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.data.datasets import find_data, sample_photos
from sevis.data.image_formats import read_image
from sevis.errors import SevisError
from sevis.experiments.explanation import Explanation, explain
from sevis.experiments.interventions import Intervention, Sources, format_steps, intervene
from sevis.pages.classes.collecting import collected
from sevis.pages.shared.cache import keep, look_up
from sevis.pages.shared.explanations import Photo, explanation_of, note_seconds, read_statistics, ready_model
from sevis.pages.shared.network import Network
from sevis.pages.shared.photos import validation_photos
from sevis.pages.shared.show import show_said
from sevis.pages.shared.turns import turn
from sevis.weights.card import Card

LENT = "lent-photos"  # uploaded pictures whose gates were taken in this session, by the name that a step calls them
MOST_LENT = 4


@dataclass(frozen=True)
class Means:
    """The gates that a block is frozen at.

    Attributes:
        network: whose they are.
        statistics: the class means; None where there are none of these weights: then it is the sample photos that count.
        said: over what the mean is.
        key: changes with them.
    """

    network: Network
    statistics: ClassStatistics | None
    said: str
    key: str

    def gates(self) -> Mapping[str, NDArray[np.floating]]:
        """Return the mean scales by block, shape (C,); empty without statistics and sample photos.

        It is asked for only when needed, for without statistics the network looks at all sample photos, and the page says how far it is.
        """
        if self.statistics is not None:
            return self.statistics.gates()
        samples, scales, slot = sample_photos(), [], st.empty()
        for done, (title, file) in enumerate(samples.items()):
            with slot.container():
                st.progress(done / len(samples), f"Mean over the {len(samples)} samples: {done} of {len(samples)}")
            scales.append(explanation_of(Photo(title, file.read_bytes()), self.network, block=None).scale)
        slot.empty()
        return {block: np.mean([scale[block] for scale in scales], axis=0) for block in scales[0]} if scales else {}


def means_of(network: Network, card: Card) -> Means:
    """Return the means of the network's statistics, those of its file or collected here, or where there are none, those over the sample
    photos.

    Raises:
        SevisError: when the file of statistics is damaged.
    """
    path = card.statistics_path
    if path.is_file():
        statistics, key = read_statistics(path), f"statistics {path.stat().st_mtime_ns}"
        if _usable(statistics, card):
            return Means(network, statistics, _describe(statistics), key)
    here = collected(card)
    if here is not None and _usable(here, card):
        return Means(network, here, _describe(here), f"collected {here.metadata.get('data')} {here.classes} {here.count.tolist()}")
    count = len(sample_photos())
    return Means(network, None, f"the {count} sample photos, because there are no class statistics of these weights", f"{count} samples")


def _usable(statistics: ClassStatistics, card: Card) -> bool:
    return statistics.metadata.get("weights") == card.sha256 and bool(statistics.count.any())


def _describe(statistics: ClassStatistics) -> str:
    data = " ".join(str(statistics.metadata[field]) for field in ("data", "split") if statistics.metadata.get(field))
    return f"{statistics.count.sum():,} photos{f' ({data})' if data else ''}"


def changed(photo: Photo, network: Network, card: Card, steps: Sequence[Intervention], means: Means) -> Explanation:
    """Return what the network does with a photo after the steps.

    Raises:
        SevisError: for steps that do not fit the network, or need a photo or a class that is not at hand.
    """
    names = {step.name: step for step in steps if step.action == "photo" and step.name}
    lent = {name: find_photo(step, card) for name, step in names.items()}
    digests = sorted(found.digest for found in lent.values())
    keys = ("changed", photo.digest, card.sha256, means.key, format_steps(steps), *digests)
    if (kept := look_up(*keys)) is not None:
        return cast(Explanation, kept)
    scales = {name: explanation_of(found, network, block=None) for name, found in lent.items()}
    static = means.gates() if any(step.action == "static" for step in steps) else None
    sources, said = Sources(means.statistics, scales, static or None), list[str]()
    ready = ready_model(network)
    with turn():
        answer = explain(ready, read_image(photo.data), within=lambda on: intervene(on, steps, sources), say=said.append)
    keep(answer, *keys)
    note_seconds(answer)
    show_said(said)
    return answer


def name_of(photo: Photo, card: Card) -> str:
    """Return what a step calls this photo: its title, or for an uploaded one, which must be lent, its title and the beginning of its
    hash.
    """
    if (found := _open_photo(photo.title, card)) is not None and found.digest == photo.digest:
        return photo.title
    return f"{photo.title} #{photo.digest[:8]}"


def lend(photo: Photo, name: str, *, needed: Collection[str]) -> None:
    """Keep a photo for the steps of this session that name it, with the MOST_LENT last ones and those that are needed."""
    lent = {key: value for key, value in st.session_state.get(LENT, {}).items() if key != name} | {name: photo}
    last = list(lent)[-MOST_LENT:]
    st.session_state[LENT] = {key: value for key, value in lent.items() if key in last or key in needed}


def find_photo(step: Intervention, card: Card) -> Photo:
    """Return the photo that a step names. Raises SevisError where it is not at hand."""
    name = step.name or ""
    photo = st.session_state.get(LENT, {}).get(name) or _open_photo(name, card)
    if not isinstance(photo, Photo):
        raise SevisError(
            f"the step {step} needs the photo {name!r}, but a link holds no uploaded picture: remove the step, or take the gates of "
            "that photo again"
        )
    return photo


def _open_photo(name: str, card: Card) -> Photo | None:
    """Return a sample, or a validation photo called `CLASS, photo N`; None for any other."""
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
