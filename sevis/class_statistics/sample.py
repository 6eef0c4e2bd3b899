"""Whole gate vectors of a few images of each class, chosen by a hash of their ids."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevis.class_statistics.moments import Codes, Ends, pack, unpack

SAMPLE_BYTES = 256 * 2**20
LARGEST = np.uint64(2**64 - 1)

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class SampledScales:
    """The scales of one block for M images, the same images for every block, in the order of their ids.

    Attributes:
        values: shape (M, C); they were kept in half precision.
        labels: the classes, shape (M,).
        ids: the images, shape (M,).
    """

    values: NDArray[np.float32]
    labels: Counts
    ids: Counts


@dataclass(frozen=True)
class Reservoir:
    """The images of each class with the smallest hashes of (seed, id): neither order nor split decides which they are.

    Bottom-k sampling: Cohen & Kaplan (2007), doi:10.1145/1281100.1281133.

    Attributes:
        ids: shape (K, M); -1 where there is none yet.
        values: the scales of all channels, shape (K, M, C), in half precision, whose steps are 0.0005 just below 1: means, histograms and
            extremes do not come from them.
        seed: changes the choice.
        ends: None; or what the values of each channel lie between, shape (2, C), where they are packed. Then no image can be added.
        bits: of a value. Of 4 there are two in a byte: `values` has shape (K, M, C / 2), the even channels in the lower halves.
    """

    ids: Counts
    values: NDArray[np.float16] | Codes
    seed: int
    ends: Ends | None = None
    bits: int = 16

    @classmethod
    def empty(cls, classes: int, size: int, channels: int, *, seed: int) -> "Reservoir":
        return cls(np.full((classes, size), -1, np.int64), np.zeros((classes, size, channels), np.float16), seed)

    def add(self, labels: Counts, ids: Counts, scales: NDArray[Any]) -> None:
        """Add a batch, shapes (N,), (N,) and (N, C): the hashes say first which images enter, and only those are copied."""
        if not self.ids.shape[1]:
            return
        hashes, held = _hash(ids, self.seed), self.ids[labels]
        worst = np.where(held < 0, LARGEST, _hash(held, self.seed)).max(axis=1)
        for image in np.flatnonzero(hashes < worst).tolist():
            row = labels[image]
            slot = self.ids[row].argmin()
            if self.ids[row, slot] >= 0:  # there is no room left
                others = _hash(self.ids[row], self.seed)
                slot = others.argmax()
                if others[slot] < hashes[image]:  # another of this batch came before
                    continue
            self.ids[row, slot] = ids[image]
            self.values[row, slot] = scales[image]

    def absorb(self, other: "Reservoir") -> None:
        """Add the images of another sample of the same size."""
        for row in range(len(other.ids)):
            chosen = np.flatnonzero(other.ids[row] >= 0)
            self.add(np.full(len(chosen), row), other.ids[row, chosen], other.values[row, chosen])

    def packed(self, size: int, bits: int) -> "Reservoir":
        """Return the first of these images by their hashes, at most `size` of each class, in 4 or 8 bits."""
        few = Reservoir.empty(len(self.ids), min(size, self.ids.shape[1]), self.values.shape[2], seed=self.seed)
        few.absorb(self)
        values, ends = pack(few.values, bits, held=few.ids >= 0)
        return Reservoir(few.ids, _in_halves(values) if bits == 4 else values, self.seed, ends, bits)

    def of(self, columns: slice) -> SampledScales:
        """Return the scales of one block, whose channels are these columns."""
        labels, slots = np.nonzero(self.ids >= 0)
        ids = self.ids[labels, slots]
        order = np.argsort(ids, kind="stable")
        labels, slots = labels[order], slots[order]
        found = _of_halves(self.values, labels, slots, columns) if self.bits == 4 else self.values[labels, slots, columns]
        values = found if self.ends is None else unpack(found, self.ends[:, columns], self.bits)
        return SampledScales(values.astype(np.float32), labels, ids[order])


def _in_halves(codes: Codes) -> Codes:
    """Return codes of 4 bits, shape (..., C), two in a byte."""
    even = np.concatenate([codes, np.zeros((*codes.shape[:-1], codes.shape[-1] % 2), codes.dtype)], axis=-1)
    return np.asarray(even[..., ::2] | even[..., 1::2] << 4)


def _of_halves(halves: NDArray[Any], labels: Counts, slots: Counts, columns: slice) -> Codes:
    """Return the codes of M images and some channels, shape (M, C): the reverse of `_in_halves`."""
    first = columns.start // 2
    both = halves[labels, slots, first : (columns.stop + 1) // 2]
    codes = np.stack([both & 15, both >> 4], axis=-1).reshape(len(both), 2 * both.shape[-1])
    return codes[:, columns.start - 2 * first : columns.stop - 2 * first]


def _hash(ids: Counts, seed: int) -> NDArray[np.uint64]:
    """Return hashes of ids, without ties, for SplitMix64 (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195) is one-to-one."""
    bits: NDArray[np.uint64] = (ids.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed % 2**64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> 31))
