"""The view "One channel" of the Classes page: one channel of one block, its classes, its scales, and the photos that raise and lower it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from sevis.analysis.class_curves import SHARE, order_channels
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.data.datasets import ImageDataset, find_data, open_dataset
from sevis.errors import SevisError
from sevis.experiments.explanation import explain
from sevis.figures.classes import channel as figures
from sevis.figures.classes.class_curves import paper_blocks
from sevis.figures.gates.mosaic import largest
from sevis.pages.classes.own_data import own_photos
from sevis.pages.shared.explanations import Photo, look, ready_model
from sevis.pages.shared.growing import Say, show_growing
from sevis.pages.shared.network import Network
from sevis.pages.shared.show import show, show_picture
from sevis.weights.card import Card

Map = NDArray[np.float32]
BLOCK, NUMBER = "channel_block", "channel_number"
OPENED = "SE_4_6"  # which the paper calls class-specific


@dataclass(frozen=True)
class Maps:
    """The maps u of one channel, shape (H, W), by the number of the photo: of those photos that the network has looked at."""

    total: int
    by_photo: Mapping[int, Map] = field(default_factory=dict)

    @property
    def done(self) -> float:
        """Return how much of it, in 0..1."""
        return len(self.by_photo) / self.total


@dataclass(frozen=True)
class Extreme:
    """The photos at one end of a channel: their scales, best first, and their numbers in the data set."""

    title: str
    name: str
    scales: tuple[float, ...]
    photos: tuple[int, ...]

    @classmethod
    def of(cls, title: str, name: str, scales: NDArray[np.float32], photos: NDArray[np.int64]) -> "Extreme":
        """Return the known ones of a row of `ClassStatistics.extremes`."""
        known = photos >= 0
        return cls(title, name, tuple(scales[known].tolist()), tuple(photos[known].tolist()))


def show_photos(statistics: ClassStatistics, network: Network, card: Card, *, block: str, channel: int) -> None:
    """Show the nine photos at either end; where they are not at hand, a sentence that says so, and the scales alone.

    Raises:
        SevisError: when a photo cannot be read.
    """
    st.subheader(f"The photos that open and shut channel {channel} most", anchor="photos")
    found = statistics.extremes(block)
    ends = (
        Extreme.of("The highest scales", "highest", found.highest[channel], found.highest_ids[channel]),
        Extreme.of("The lowest scales", "lowest", found.lowest[channel], found.lowest_ids[channel]),
    )
    photos = photos_of(statistics, card)
    if isinstance(photos, str):
        st.info(photos, icon=":material/info:")
        for end in ends:
            values = [f"{scale:.3f} (photo {photo})" for scale, photo in zip(end.scales, end.photos, strict=True)]
            st.markdown(f"{end.title}: {', '.join(values)}.")
        return
    wanted = tuple(dict.fromkeys(photo for end in ends for photo in end.photos))
    keys = ("channel-photos", card.sha256, str(statistics.metadata.get("fingerprint")), block, str(channel))
    begin = partial(_look_at, network, photos, wanted=wanted, block=block, channel=channel)
    show_growing("channel-photos", keys, begin, partial(_draw, ends, photos, card, block=block, channel=channel))


def photos_of(statistics: ClassStatistics, card: Card) -> ImageDataset | str:
    """Return the photos that the statistics were collected from, or a sentence that says why they are not at hand."""
    own, data, known = own_photos(card), find_data(), statistics.metadata
    if own is not None:
        return own
    if data is None:
        return f"The photos of {known.get('data') or 'the data set'} are not on this machine, so only the scales are shown."
    try:
        split, wnids = str(known.get("split", "val")), tuple(known.get("wnids") or ())
        photos, fingerprint = _open(str(data), split, wnids, known.get("per_class"))
    except SevisError:
        fingerprint = None
    if fingerprint is None or fingerprint != known.get("fingerprint"):
        return "The photos on this machine are not the photos of these statistics, so only the scales are shown."
    return photos.named(dict(zip(known.get("wnids") or (), statistics.classes, strict=False)))


@st.cache_resource(max_entries=4, show_spinner="Opening the data set …")
def _open(path: str, split: str, wnids: tuple[str, ...], per_class: int | None) -> tuple[ImageDataset, str]:
    """Return the photos of these classes, in the order in which they were collected, and their fingerprint, which tells no order."""
    photos = open_dataset(path, split)
    photos = photos.select(wnids) if wnids else photos
    photos = photos if per_class is None else photos.first(per_class)  # class after class, as `first` puts them
    return photos, photos.fingerprint()


def _look_at(network: Network, photos: ImageDataset, say: Say, *, wanted: Sequence[int], block: str, channel: int) -> Iterator[Maps]:
    ready = ready_model(network)
    maps: dict[int, Map] = {}
    for photo in wanted:
        image, _ = photos[photo]
        maps[photo] = explain(ready, image, maps=(block,), say=say).maps[block][channel].copy()
        yield Maps(len(wanted), dict(maps))


def _draw(ends: Sequence[Extreme], photos: ImageDataset, card: Card, known: Maps, *, block: str, channel: int) -> None:
    limit = float(largest(np.stack(list(known.by_photo.values()))).max()) or 1.0
    for column, end in zip(st.columns(2, gap="large"), ends, strict=True):
        with column:
            st.markdown(f"**{end.title}**")
            examples = [_example(photos, photo, scale, card, known) for photo, scale in zip(end.photos, end.scales, strict=True)]
            picture = figures.photo_grid(examples, of=f"{end.name} scale of channel {channel} of {block}", limit=limit)
            show_picture(picture, key=f"{block}-{channel}-{end.name}")


def _example(photos: ImageDataset, number: int, scale: float, card: Card, known: Maps) -> figures.ExtremePhoto:
    name = photos.classes[photos.labels[number]]
    seen = look(Photo(name, photos.read(number)), card).close_up
    return figures.ExtremePhoto(name, scale, seen, number, photos.files[number], known.by_photo.get(number))


def draw(statistics: ClassStatistics, network: Network, card: Card) -> None:
    """Show the controls, and all that is known of the channel that they stand for.

    Raises:
        SevisError: when the data set that the photos are in cannot be read.
    """
    block, channel = _choose(statistics)
    st.markdown(figures.describe_channel(statistics, block, channel))
    if not statistics.count.any():
        return
    left, right = st.columns(2, gap="large")
    with left:
        show(figures.class_bars(statistics, block, channel), key=f"{block}-{channel}-classes")
    with right:
        _show_histogram(statistics, block, channel)
    if statistics.detailed:
        show_photos(statistics, network, card, block=block, channel=channel)


def _choose(statistics: ClassStatistics) -> tuple[str, int]:
    """Show the controls for the block and its channel, whose state lives in the URL, and return both; at first the channel with the
    largest class share.
    """
    sites = statistics.sites
    first = sites.index(OPENED if OPENED in sites else paper_blocks(sites)[0])
    with st.container(horizontal=True, gap="medium"):
        block = st.selectbox("Block", sites, index=first, key=BLOCK, bind="query-params", width=160) or sites[first]
        most = int(order_channels(statistics, block, SHARE)[0][0])
        last = statistics.channels[block] - 1
        number = st.number_input(
            f"Channel, 0 to {last}",
            0,
            last,
            most,
            key=NUMBER,
            bind="query-params",
            width=200,
            help="The first choice is the channel with the largest class share (omega squared).",
        )
    return block, int(number)


def _show_histogram(statistics: ClassStatistics, block: str, channel: int) -> None:
    if not statistics.detailed:
        st.info(
            "These class statistics hold only means and deviations. Collect them again with python -m sevis collect: then this "
            "page also shows how often each scale occurs, and which photos open and shut the channel most.",
            icon=":material/info:",
        )
        return
    values, histogram = statistics.sample(block).values[:, channel], statistics.histogram(block)
    show(figures.scale_histogram(values, histogram, site=block, channel=channel), key=f"{block}-{channel}-scales")
