"""Which images are looked at, and shuffled labels, which say what chance gives."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Floats = NDArray[np.float32]
Counts = NDArray[np.integer]
ELEMENTS = 2_000_000  # of an array of class means of shuffled labels: 8 MB, so that it stays in the processor's cache as far as that goes


def choose_images(labels: Counts, *, limit: int, random: np.random.Generator) -> tuple[Counts, Counts, Counts]:
    """Return the images to look at, at most `limit` of them, as many of each class as there are or its part of the limit.

    Classes of a single image are left out, for it does not tell how the images of a class vary.

    Args:
        labels: of the images, shape (M,).
        limit: of the images in all; two of each class are always taken.
        random: draws those that are taken where there are too many.

    Returns:
        The images' rows, class after class; the labels of the classes; how many images each has.
    """
    names, sizes = np.unique(labels, return_counts=True)
    names = names[sizes > 1]
    most = max(2, limit // max(len(names), 1))
    rows = []
    for name in names.tolist():
        mine = np.flatnonzero(labels == name)
        rows.append(mine if len(mine) <= most else np.sort(random.choice(mine, most, replace=False)))
    return np.concatenate([*rows, np.zeros(0, np.int64)]).astype(np.int64), names, np.array([len(part) for part in rows], np.int64)


def shuffled_means(values: Floats, sizes: Counts, permutations: int, random: np.random.Generator) -> Iterator[Floats]:
    """Yield the class means when the labels are shuffled, shape (p, K, C), some permutations at a time.

    Args:
        values: the scales, shape (M, C), class after class.
        sizes: the images of each class, shape (K,), which it keeps.
        permutations: how many.
        random: shuffles.
    """
    centre = values.mean(axis=0, dtype=np.float64).astype(np.float32)
    padded = np.concatenate([values - centre, np.zeros((1, values.shape[1]), np.float32)])
    slots = np.full((len(sizes), sizes.max(initial=0)), len(values))  # of each class in an order of the images; the last row is nobody's
    slots[np.arange(slots.shape[1]) < sizes[:, None]] = np.arange(len(values))
    for rows in _chunks(permutations, len(sizes) * values.shape[1]):
        orders = [np.append(random.permutation(len(values)), len(values)) for _ in range(permutations)[rows]]
        sums = np.stack([padded[order[slots]].sum(axis=1) for order in orders])  # twice as quick as np.add.reduceat
        yield sums / sizes[:, None].astype(np.float32) + centre


def class_slices(sizes: Counts) -> list[slice]:
    """Return where the images of each class stand, one class after the other."""
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for end, size in zip(ends, sizes.tolist(), strict=True)]


def _chunks(rows: int, elements: int) -> Iterator[slice]:
    """Yield slices of rows, each of at most ELEMENTS elements, at least one row."""
    step = max(1, ELEMENTS // max(elements, 1))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))
