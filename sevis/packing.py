"""Class statistics small enough to ship: of every channel whole numbers of 8 or 16 bits between its lowest and its highest value.

A value is off by half a step at most, (highest - lowest) / 510 in 8 bits and / 131,070 in 16, where lowest and highest are those of the
same channel: much less than the noise of a mean over 50 images, which is about a twentieth of that range.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sevis.errors import SevisError
from sevis.moments import Array, Moments

CODES: dict[str, type[np.unsignedinteger[Any]]] = {"squeeze": np.uint8, "scale": np.uint16}  # no figure draws the means of z
SAMPLE_CODES = np.uint8
SAMPLE_BYTES, LEAST, MOST = 11 * 2**20, 5, 50  # of the sample; images of each class: of fewer than five no interval is given

Codes = NDArray[np.unsignedinteger[Any]]
Ends = NDArray[np.float32]


def pack(values: NDArray[Any], codes: DTypeLike, *, held: NDArray[np.bool_]) -> tuple[Codes, Ends]:
    """The values of each channel as whole numbers, and their lowest and highest value, which are kept in float32.

    Args:
        values: shape (..., C).
        codes: uint8 or uint16.
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
    steps = np.iinfo(codes).max
    factor = np.divide(steps, high - low, out=np.zeros_like(low), where=high > low)
    found = np.zeros(values.shape, codes)
    found[held] = np.clip(np.round((known - low) * factor), 0, steps)
    return found, ends


def unpack(codes: NDArray[Any], ends: Ends) -> Array:
    """The reverse of `pack`: shape (..., C)."""
    low, high = ends.astype(np.float64)
    return np.asarray(low + codes * ((high - low) / np.iinfo(codes.dtype).max))


def compact_sample(classes: int, channels: int) -> int:
    """How many whole gate vectors of each class a compact file keeps: as many as fit into 11 MiB in 8 bits, but 5 to 50."""
    return max(LEAST, min(MOST, SAMPLE_BYTES // (classes * channels)))


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
    def of(cls, moments: Moments, codes: DTypeLike) -> "PackedMoments":
        """Packs moments. Raises SevisError for those of no image, and values that float32 does not hold."""
        held, freedom = moments.count > 0, np.maximum(moments.count - 1, 1)[:, None]
        if not held.any():
            raise SevisError("the statistics hold no image, so there is nothing to make compact: collect them first")
        mean, mean_ends = pack(moments.mean, codes, held=held)
        std, std_ends = pack(np.sqrt(moments.m2 / freedom), codes, held=held)
        return cls(moments.count.copy(), mean, std, mean_ends, std_ends, moments.ends())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What there is to keep, by name."""
        return dict(vars(self))

    def part(self, columns: slice) -> Moments:
        """Some channels, unpacked, without minimum and maximum; M2 follows from the standard deviation."""
        mean, std = unpack(self.mean[:, columns], self.mean_ends[:, columns]), unpack(self.std[:, columns], self.std_ends[:, columns])
        return Moments(self.count, mean, np.square(std) * np.maximum(self.count - 1, 0)[:, None])

    def ends(self) -> Ends:
        """The lowest and the highest value of any image, shape (2, C)."""
        return self.bounds
