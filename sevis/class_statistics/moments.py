"""Means and standard deviations of values that arrive image by image, in any order and any split; and packed into 4, 8 or 16 bits.

The moments follow Welford (1962), doi:10.2307/1266577, for an image and Chan, Golub & LeVeque (1979), doi:10.2307/2683386, for a merge, in
float64: scales near 0 or 1 keep their small variances. Packed, a value is a whole number of equal steps between the lowest and the highest
of its channel, so it is off by half a step at most: by 1/30 of that range in 4 bits, by 1/510 in 8, and by 1/131,070 in 16.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from sevis.errors import SevisError

QUANTITIES = ("squeeze", "scale")
SAMPLE_BYTES, LEAST, MOST = 4 * 10**6, 5, 10  # of a compact sample; images of each class

Array = NDArray[np.float64]
Codes = NDArray[np.unsignedinteger[Any]]
Ends = NDArray[np.float32]


class Packing(msgspec.Struct, frozen=True):
    """How precise a compact file is; benchmarks/compact.py measures what each choice loses.

    Attributes:
        mean, std: bits of the means and of the standard deviations of s by class.
        squeeze: bits of those of z; 0: of z mean and standard deviation over all classes alone, which is all that a figure needs.
        sample: bits of a scale in the sample.
    """

    mean: Literal[8, 16] = 8
    std: Literal[8, 16] = 8
    squeeze: Literal[0, 8] = 0
    sample: Literal[4, 8] = 4


PACKING = Packing()


@dataclass(frozen=True)
class Moments:
    """Of each class the number of images, shape (K,); and of each class and channel, shape (K, C), mean, M2, minimum and maximum.

    M2 is the sum of the squared deviations from the mean.
    """

    count: NDArray[np.int64]
    mean: Array
    m2: Array
    low: NDArray[np.float32]  # the values are float32, so their extremes are exact in it
    high: NDArray[np.float32]

    @classmethod
    def empty(cls, classes: int, channels: int) -> "Moments":
        shape = (classes, channels)
        low, high = (np.full(shape, value, np.float32) for value in (np.inf, -np.inf))
        return cls(np.zeros(classes, np.int64), np.zeros(shape), np.zeros(shape), low, high)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what there is to keep, by name."""
        return dict(vars(self))

    def add(self, labels: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        """Add a batch, shapes (N,) and (N, C): image by image and class by class, so that what it needs stays in the cache."""
        deviation, change = np.empty((2, values.shape[1]))
        for index in np.argsort(labels, kind="stable").tolist():
            row, image = int(labels[index]), values[index]
            self.count[row] += 1
            count, mean, m2 = int(self.count[row]), self.mean[row], self.m2[row]
            np.subtract(image, mean, out=deviation)
            mean += np.multiply(deviation, 1 / count, out=change)
            np.multiply(deviation, deviation, out=deviation)
            m2 += np.multiply(deviation, (count - 1) / count, out=deviation)
            np.minimum(self.low[row], image, out=self.low[row])
            np.maximum(self.high[row], image, out=self.high[row])

    def absorb(self, other: "Moments") -> None:
        """Add the images of another, class by class."""
        for row in np.flatnonzero(other.count).tolist():
            count, more = int(self.count[row]), int(other.count[row])
            delta = other.mean[row] - self.mean[row]
            self.mean[row] += delta * (more / (count + more))
            self.m2[row] += other.m2[row] + np.square(delta) * (count * more / (count + more))
            self.count[row] += more
            np.minimum(self.low[row], other.low[row], out=self.low[row])
            np.maximum(self.high[row], other.high[row], out=self.high[row])

    def part(self, columns: slice) -> "Moments":
        """Return a view of some channels."""
        return Moments(self.count, self.mean[:, columns], self.m2[:, columns], self.low[:, columns], self.high[:, columns])

    def pooled(self) -> "Moments":
        """Return the moments of all classes as those of one."""
        if not self.count.any():
            return Moments.empty(1, self.mean.shape[1])
        images = self.count.sum(keepdims=True)
        mean = (self.count / images) @ self.mean
        m2 = self.m2.sum(axis=0) + self.count @ np.square(self.mean - mean)
        low, high = self.ends()
        return Moments(images, mean[None], m2[None], low[None], high[None])

    def ends(self) -> NDArray[np.float32]:
        """Return the lowest and the highest value of any image, shape (2, C); NaN without an image."""
        held = self.count > 0
        if not held.any():
            return np.full((2, self.mean.shape[1]), np.nan, np.float32)
        return np.stack([self.low[held].min(axis=0), self.high[held].max(axis=0)])

    def seen(self, name: str) -> Array:
        """Return an array of these, such as "mean", shape (K, C), with NaN for a class without images."""
        return np.where(self.count[:, None] > 0, getattr(self, name), np.nan)

    def deviations(self) -> Array:
        """Return the standard deviation of each class, with n - 1, shape (K, C); NaN for a class with fewer than two images."""
        freedom = np.where(self.count > 1, self.count - 1, np.nan)[:, None]
        return np.asarray(np.sqrt(self.m2 / freedom))


@dataclass(frozen=True)
class PackedMoments:
    """`Moments` to read from, and not to add to: mean and standard deviation by class, minimum and maximum over all classes.

    Attributes:
        count: the images of each class, shape (K,).
        mean, std: codes, shape (K, C); the standard deviation is that with n - 1.
        mean_ends, std_ends: what these lie between, shape (2, C).
        bounds: the lowest and the highest value of any image, shape (2, C), exactly.
    """

    count: NDArray[np.int64]
    mean: Codes
    std: Codes
    mean_ends: Ends
    std_ends: Ends
    bounds: Ends

    @classmethod
    def of(cls, moments: Moments, *, mean: int, std: int) -> "PackedMoments":
        """Pack moments into so many bits. Raises SevisError for those of no image, and values that float32 does not hold."""
        held, freedom = moments.count > 0, np.maximum(moments.count - 1, 1)[:, None]
        if not held.any():
            raise SevisError("the statistics hold no image, so there is nothing to make compact: collect them first")
        means, mean_ends = pack(moments.mean, mean, held=held)
        deviations, std_ends = pack(np.sqrt(moments.m2 / freedom), std, held=held)
        return cls(moments.count.copy(), means, deviations, mean_ends, std_ends, moments.ends())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what there is to keep, by name."""
        return dict(vars(self))

    def part(self, columns: slice) -> Moments:
        """Return some channels, unpacked; M2 follows from the standard deviation, and the minimum and maximum by class are lost: NaN."""
        mean = unpack(self.mean[:, columns], self.mean_ends[:, columns], 8 * self.mean.itemsize)
        std = unpack(self.std[:, columns], self.std_ends[:, columns], 8 * self.std.itemsize)
        lost = np.full(mean.shape, np.nan, np.float32)
        return Moments(self.count, mean, np.square(std) * np.maximum(self.count - 1, 0)[:, None], lost, lost)

    def ends(self) -> Ends:
        """Return the lowest and the highest value of any image, shape (2, C)."""
        return self.bounds


def side_by_side(
    values: Mapping[str, Mapping[str, NDArray[np.float32]]], quantity: str, *, channels: Mapping[str, int], images: int
) -> NDArray[np.float32]:
    """Return the values of all blocks of a batch, shape (N, sum of C). Raises SevisError for other shapes and for NaN."""
    parts = [values[site][quantity] for site in channels]
    expected = [(images, width) for width in channels.values()]
    if [part.shape for part in parts] != expected:
        raise SevisError(f"expected {quantity} of shapes {expected}, got {[part.shape for part in parts]}")
    joined = np.concatenate(parts, axis=1, dtype=np.float32, casting="same_kind")
    if not np.isfinite(joined).all():
        site = next(site for site, part in zip(channels, parts, strict=True) if not np.isfinite(part).all())
        raise SevisError(
            f"{site} gave a {quantity} that is no number (NaN or infinite): the network overflows; try another precision or weights"
        )
    return joined


def pack(values: NDArray[Any], bits: int, *, held: NDArray[np.bool_]) -> tuple[Codes, Ends]:
    """Return the values of each channel as whole numbers, and their lowest and highest value, which are kept in float32.

    Args:
        values: shape (..., C).
        bits: of a code, at most 16; those of up to 8 are uint8, else uint16.
        held: which values there are, shape (...); of the others nothing is kept.

    Returns:
        Codes of the shape of `values`, and ends of shape (2, C).

    Raises:
        SevisError: for values that float32 does not hold.
    """
    known = values[held].astype(np.float64)
    ends = np.zeros((2, values.shape[-1]), np.float32)
    with np.errstate(over="ignore"):
        ends[:] = (known.min(axis=0), known.max(axis=0)) if len(known) else 0
    if not np.isfinite(ends).all():
        raise SevisError("the values are too large for a compact file: save the statistics without compact")
    low, high = ends.astype(np.float64)
    steps = 2**bits - 1
    factor = np.divide(steps, high - low, out=np.zeros_like(low), where=high > low)
    found = np.zeros(values.shape, np.min_scalar_type(steps))
    found[held] = np.clip(np.round((known - low) * factor), 0, steps)
    return found, ends


def unpack(codes: NDArray[Any], ends: Ends, bits: int) -> Array:
    """Return the reverse of `pack`: shape (..., C)."""
    low, high = ends.astype(np.float64)
    return np.asarray(low + codes * ((high - low) / (2**bits - 1)))


def compact_sample(classes: int, channels: int, bits: int) -> int:
    """Return how many whole gate vectors of each class a compact file keeps: as many as fit into 4 MB, but 5 to 10."""
    return max(LEAST, min(MOST, 8 * SAMPLE_BYTES // (classes * channels * bits)))
