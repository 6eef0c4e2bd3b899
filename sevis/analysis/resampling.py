"""Images drawn anew: the bootstrap within classes that gives intervals, and shuffled labels that say what chance gives.

The bootstrap is one product of a matrix of weights (replicates, images) with the values of a block, class by class.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Floats = NDArray[np.float32]
Counts = NDArray[np.integer]
ELEMENTS = 2_000_000  # of an array of resampled class means: 8 MB, so that it stays in the processor's cache as far as that goes


def choose_images(labels: Counts, *, limit: int, random: np.random.Generator) -> tuple[Counts, Counts, Counts]:
    """Return the images to resample, at most `limit` of them, as many of each class as there are or its part of the limit.

    Classes of a single image are left out, for it cannot be drawn anew.

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


def bootstrap_weights(sizes: Counts, replicates: int, random: np.random.Generator) -> Floats:
    """Return how often each image is drawn, shape (replicates, M): of each class as many as it has, with replacement.

    A bootstrap stratified by class: Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 6 and 8.
    """
    parts = [random.multinomial(size, np.full(size, 1 / size), size=replicates) for size in sizes.tolist()]
    return np.concatenate([np.zeros((replicates, 0)), *parts], axis=1).astype(np.float32)


def resampled_moments(values: Floats, sizes: Counts, weights: Floats) -> Iterator[tuple[Floats, Floats]]:
    """Yield the class means and sums of squared deviations of every replicate, shape (r, K, C) each, some replicates at a time.

    Args:
        values: the scales, shape (M, C), class after class.
        sizes: the images of each class, shape (K,).
        weights: of `bootstrap_weights`, shape (R, M).
    """
    parts = class_slices(sizes)
    centres = np.stack([values[part].mean(axis=0, dtype=np.float64) for part in parts])
    deviations = values - np.repeat(centres, sizes, axis=0).astype(np.float32)  # small, so float32 loses nothing in their squares
    squares = np.square(deviations)
    for rows in _chunks(len(weights), len(sizes) * values.shape[1]):
        mean = np.empty((len(weights[rows]), len(sizes), values.shape[1]), np.float32)
        m2 = np.empty_like(mean)
        for index, (part, size) in enumerate(zip(parts, sizes.tolist(), strict=True)):
            drawn = weights[rows, part]
            shift = drawn @ deviations[part] / np.float32(size)
            mean[:, index] = shift + centres[index].astype(np.float32)
            m2[:, index] = np.maximum(drawn @ squares[part] - size * np.square(shift), 0)  # which float32 may round below
        yield mean, m2


def shuffled_means(values: Floats, sizes: Counts, permutations: int, random: np.random.Generator) -> Iterator[Floats]:
    """Yield the class means when the labels are shuffled, shape (p, K, C), some permutations at a time.

    Args:
        values, sizes: as of `resampled_moments`; classes keep their numbers of images.
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
