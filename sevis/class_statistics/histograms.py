"""What class statistics keep beside moments, in constant memory: histograms, the images of the extremes, and a sample.

Each can be merged in any order and any split with the same result, as long as every image has an id of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevis.class_statistics.moments import Codes, Ends, Packing, unpack
from sevis.class_statistics.sample import SAMPLE_BYTES, Reservoir
from sevis.errors import SevisError

BINS = 100
EXTREMES = 9
DEFAULT_SAMPLE = 50
LARGEST_ID = 2**32 - 2  # an id and a float32 fit into one sortable number of 64 bits

Counts = NDArray[np.int64]
Floats = NDArray[np.float32]
Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class Histogram:
    """How often the scales of one block take which value, over its channels and the images of each class.

    Attributes:
        edges: of the bins, shape (B + 1,), from 0 to 1; a bin holds its lower edge, the last one its upper edge, too.
        counts: shape (K, B).
        below, above: the values outside the edges (gates other than a sigmoid), shape (K,).
        zeros, ones: the values that are exactly 0 and exactly 1 (hard gates), shape (K,); `counts` holds them, too.
    """

    edges: NDArray[np.float64]
    counts: Counts
    below: Counts
    above: Counts
    zeros: Counts
    ones: Counts


@dataclass(frozen=True)
class Extremes:
    """The nine images with the highest and with the lowest scale of each channel of one block, best first, ties by the lower id.

    Attributes:
        highest, lowest: the scales, shape (C, 9), NaN where there are fewer images.
        highest_ids, lowest_ids: the images, shape (C, 9), -1 where there are fewer.
    """

    highest: Floats
    highest_ids: Counts
    lowest: Floats
    lowest_ids: Counts


@dataclass(frozen=True)
class Histograms:
    """The histograms of K classes and L blocks of these widths.

    `bins` has shape (K, L, 1 + B + 1), from the values below 0 to those from 1 on; `exact` (K, L, 2) counts zeros and ones. Packed, both
    are of the smallest type that holds them.
    """

    bins: Counts | Codes
    exact: Counts | Codes
    widths: tuple[int, ...]

    @classmethod
    def empty(cls, classes: int, widths: tuple[int, ...]) -> "Histograms":
        shape = (classes, len(widths))
        return cls(np.zeros((*shape, BINS + 2), np.int64), np.zeros((*shape, 2), np.int64), widths)

    def add(self, labels: Counts, scales: Floats) -> None:
        """Add a batch, shapes (N,) and (N, C), image by image, which stays in the processor's cache."""
        blocks = np.repeat(np.arange(len(self.widths)), self.widths)
        starts = blocks * (BINS + 2.0) + 1
        lowest, highest = scales.min(), scales.max()
        bins, codes = np.empty(len(starts)), np.empty(len(starts), np.int64)
        for row, image in zip(labels.tolist(), scales, strict=True):
            np.multiply(image, BINS, out=bins, dtype=np.float64)  # exact, so that no value falls on the wrong side of an edge
            if lowest < 0 or highest > 1:
                np.clip(np.floor(bins), -1, BINS, out=bins)
            bins += starts
            codes[:] = bins
            found = np.bincount(codes, minlength=self.bins[row].size).reshape(self.bins.shape[1:])
            self.bins[row] += found
            for exact, value in enumerate((0, 1)):
                if lowest <= value <= highest:
                    self.exact[row, :, exact] += np.bincount(blocks[image == value], minlength=len(self.widths))

    def absorb(self, other: "Histograms") -> None:
        """Add the counts of other images."""
        np.add(self.bins, other.bins, out=self.bins)
        np.add(self.exact, other.exact, out=self.exact)

    def of(self, block: int) -> Histogram:
        """Return the histogram of one block."""
        bins, (zeros, ones) = self.bins[:, block].astype(np.int64), self.exact[:, block].T.astype(np.int64)
        bins[:, -1] -= ones  # they belong to the last bin, as in numpy.histogram
        bins[:, -2] += ones
        return Histogram(np.arange(BINS + 1) / BINS, bins[:, 1:-1], bins[:, 0], bins[:, -1], zeros, ones)

    def packed(self) -> "Histograms":
        """Return the same counts, each array in the smallest type that holds it."""
        return Histograms(_smallest(self.bins), _smallest(self.exact), self.widths)


@dataclass(frozen=True)
class Tops:
    """The nine highest and the nine lowest scales of every channel, shape (C, 9), best first, as numbers of 64 bits that sort as they do.

    The upper half is the scale (negated in `lowest`), the lower half the id, the lower id being the larger number; 0 is no image.
    """

    highest: Keys
    lowest: Keys

    @classmethod
    def empty(cls, channels: int) -> "Tops":
        return cls(np.zeros((channels, EXTREMES), np.uint64), np.zeros((channels, EXTREMES), np.uint64))

    def add(self, ids: Counts, scales: Floats) -> None:
        """Add a batch, shapes (N,) and (N, C)."""
        _enter(self.highest, ids, scales)
        _enter(self.lowest, ids, -scales)

    def absorb(self, other: "Tops") -> None:
        """Add other images."""
        for own, others in ((self.highest, other.highest), (self.lowest, other.lowest)):
            own[:] = _best(own, others)

    def of(self, columns: slice) -> Extremes:
        """Return those of one block, whose channels are these columns."""
        highest, highest_ids = _unpack(self.highest[columns])
        lowest, lowest_ids = _unpack(self.lowest[columns])
        return Extremes(highest, highest_ids, -lowest, lowest_ids)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what there is to keep, by name."""
        return dict(vars(self))

    def packed(self, bounds: Ends) -> "PackedTops":
        """Return the same to read from, the scales in 16 bits; `bounds` is what those of each channel lie between, shape (2, C)."""
        found = self.of(slice(None))
        low, high = bounds.astype(np.float64)[:, :, None]
        factor = np.divide(2**16 - 1, high - low, out=np.zeros_like(low), where=high > low)
        highest, lowest = (
            np.where(np.isnan(scales), 0, np.round((scales - low) * factor)).astype(np.uint16) for scales in (found.highest, found.lowest)
        )
        return PackedTops(highest, _smallest(found.highest_ids + 1), lowest, _smallest(found.lowest_ids + 1), bounds)


@dataclass(frozen=True)
class PackedTops:
    """`Tops` to read from: codes of 16 bits between the `bounds` of the channels, and ids, from 1, in the smallest type; 0 is no image."""

    highest: Codes
    highest_ids: Codes
    lowest: Codes
    lowest_ids: Codes
    bounds: Ends

    def of(self, columns: slice) -> Extremes:
        """Return those of one block, whose channels are these columns."""
        return Extremes(*self._end(self.highest, self.highest_ids, columns), *self._end(self.lowest, self.lowest_ids, columns))

    def _end(self, codes: Codes, ids: Codes, columns: slice) -> tuple[Floats, Counts]:
        numbers = ids[columns].astype(np.int64) - 1
        scales = unpack(codes[columns].T, self.bounds[:, columns], 16).T.astype(np.float32)
        return np.where(numbers >= 0, scales, np.float32(np.nan)), numbers

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what there is to keep, by name; the bounds are those of the moments."""
        return {name: array for name, array in vars(self).items() if name != "bounds"}


def _smallest(counts: Counts | Codes) -> Codes:
    """Return whole numbers from 0 in the smallest type that holds them."""
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))


def _enter(kept: Keys, ids: Counts, scales: Floats) -> None:
    """Take the images of a batch that belong to the highest; only the channels that the batch can change are looked at."""
    worst, worst_ids = _unpack(kept[:, -1])
    worst[worst_ids < 0] = -np.inf
    best = scales.max(axis=0)
    columns = np.flatnonzero((best > worst) | ((best == worst) & (ids.min() < worst_ids)))
    if not len(columns):
        return
    scales = scales.T[columns]
    enters = scales >= worst[columns, None]  # and a few equals too many
    counts = enters.sum(axis=1)
    if counts.max() > len(ids) // 2:
        more = _pack(scales, ids)
    else:
        rows, images = np.divmod(np.flatnonzero(enters), len(ids))
        more = np.zeros((len(columns), counts.max()), np.uint64)
        more[rows, np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)] = _pack(scales[rows, images], ids[images])
    kept[columns] = _best(kept[columns], more)


def _best(some: Keys, others: Keys) -> Keys:
    both = np.concatenate((some, others), axis=1)
    both.sort(axis=1)
    return both[:, : -EXTREMES - 1 : -1]


def _pack(scales: Floats, ids: Counts) -> Keys:
    bits = (scales + np.float32(0)).view(np.uint32)  # + 0 makes -0 a 0
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(2**31)).astype(np.uint64)
    return np.asarray((ordered << 32) | (LARGEST_ID + 1 - ids).astype(np.uint64))


def _unpack(keys: Keys) -> tuple[Floats, Counts]:
    ordered = (keys >> 32).astype(np.uint32)
    bits = np.where(ordered >> 31, ordered & np.uint32(2**31 - 1), ~ordered)
    ids = LARGEST_ID + 1 - (keys & np.uint64(2**32 - 1)).astype(np.int64)
    return np.where(keys > 0, bits.view(np.float32), np.float32(np.nan)), np.where(keys > 0, ids, -1)


def default_sample(classes: int, channels: int) -> int:
    """Return how many whole gate vectors of each class are kept: 50, or as many as fit into 256 MiB in half precision."""
    return min(DEFAULT_SAMPLE, SAMPLE_BYTES // (2 * classes * channels))


@dataclass(frozen=True)
class Sketches:
    """What is kept of one network beside moments."""

    histograms: Histograms
    tops: Tops | PackedTops
    reservoir: Reservoir

    @classmethod
    def empty(cls, classes: int, widths: tuple[int, ...], *, sample: int, seed: int) -> "Sketches":
        channels = sum(widths)
        return cls(Histograms.empty(classes, widths), Tops.empty(channels), Reservoir.empty(classes, sample, channels, seed=seed))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what there is to keep, by name."""
        ends = {} if self.reservoir.ends is None else {"sample.ends": self.reservoir.ends}
        tops = {f"extremes.{name}": array for name, array in self.tops.arrays().items()}
        return (
            ends
            | tops
            | {
                "histogram.bins": self.histograms.bins,
                "histogram.exact": self.histograms.exact,
                "sample.ids": self.reservoir.ids,
                "sample.values": self.reservoir.values,
            }
        )

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], widths: tuple[int, ...], *, seed: int, bits: int) -> "Sketches":
        """Return the reverse of `arrays`; `bits` is of a value of the sample."""
        ends = {name.removeprefix("extremes."): array for name, array in arrays.items() if name.startswith("extremes.")}
        return cls(
            Histograms(arrays["histogram.bins"], arrays["histogram.exact"], widths),
            PackedTops(**ends, bounds=arrays["scale.bounds"]) if "highest_ids" in ends else Tops(**ends),
            Reservoir(arrays["sample.ids"], arrays["sample.values"], seed, arrays.get("sample.ends"), bits),
        )

    def packed(self, packing: Packing, *, sample: int, bounds: Ends) -> "Sketches":
        """Return the same, packed, with a sample of at most so many images of each class; no image can be added to it."""
        tops = self.tops.packed(bounds) if isinstance(self.tops, Tops) else self.tops
        return Sketches(self.histograms.packed(), tops, self.reservoir.packed(sample, packing.sample))

    def add(self, labels: Counts, ids: Counts, scales: Floats) -> None:
        """Add a batch, shapes (N,), (N,) and (N, C)."""
        self.histograms.add(labels, scales)
        if isinstance(self.tops, Tops):  # as long as images can be added
            self.tops.add(ids, scales)
        self.reservoir.add(labels, ids, scales)

    def fits(self, other: "Sketches | None") -> bool:
        """Return whether another can be merged into these."""
        return other is not None and (other.reservoir.ids.shape, other.reservoir.seed) == (self.reservoir.ids.shape, self.reservoir.seed)

    def absorb(self, other: "Sketches") -> None:
        """Add other images."""
        self.histograms.absorb(other.histograms)
        if isinstance(self.tops, Tops) and isinstance(other.tops, Tops):
            self.tops.absorb(other.tops)
        self.reservoir.absorb(other.reservoir)


def check_ids(ids: Counts, *, images: int) -> None:
    """Raise SevisError for ids that are not one each, from 0 to 2^32 - 2."""
    if ids.shape != (images,):
        raise SevisError(f"expected {images} ids, got shape {ids.shape}")
    if ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() > LARGEST_ID:
        raise SevisError(f"expected whole numbers from 0 to {LARGEST_ID} as ids, got {ids.min()} to {ids.max()} ({ids.dtype})")
