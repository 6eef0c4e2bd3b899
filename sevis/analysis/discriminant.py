"""A linear discriminant that reads the class of an image off its gates, fitted to other images: how often gates alone tell the class."""

import numpy as np

from sevis.analysis.formulas import RESOLUTION, Array, Counts

FOLDS = 5  # parts of the images, of which each is read in its turn by a reader that was fitted to the other four


def draw_folds(sizes: Counts, random: np.random.Generator) -> Counts:
    """Return the fold of each image, shape (M,): each has its part of every class, or of fewer images than folds one or none.

    Args:
        sizes: of the classes, whose images stand one class after the other, shape (K,).
        random: draws which image of a class is in which fold.
    """
    folds = np.arange(sizes.sum()) % FOLDS  # from one class on to the next, so that folds are equally large
    parts = np.split(folds, np.cumsum(sizes)[:-1])
    return np.concatenate([random.permutation(part) for part in parts])


def discriminant_class(values: Array, labels: Counts, folds: Counts) -> Counts:
    """Return the class that a linear discriminant finds for each image, fitted to the other folds alone, shape (M,).

    Fisher's (1936) discriminant, doi:10.1111/j.1469-1809.1936.tb02137.x, for classes with one covariance: the class k with the largest
    (x - x̄_k / 2)' W⁻¹ x̄_k + ln(n_k / N). W is the covariance within classes, shrunk towards a multiple of the identity as far as Ledoit &
    Wolf (2004), doi:10.1016/S0047-259X(03)00096-4, reckon from the same images: nothing is tuned on those that are read. n_k / N comes from
    all images, for a fold lacks some of the classes that it is to find. Gates that are the same for all images give the largest class.

    Args:
        values: the scales, shape (M, C).
        labels: the classes, shape (M,), each of at least two images.
        folds: of `draw_folds`, shape (M,).
    """
    names, rows, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    found = np.zeros(len(rows), np.int64)
    centred = (values - values.mean(axis=0, dtype=np.float64)).astype(np.float64)
    for fold in np.unique(folds):
        known, asked = folds != fold, folds == fold
        means, covariance = _fit(centred[known], rows[known], len(names))
        weights = np.linalg.solve(covariance, means.T)
        offsets = np.log(sizes / len(rows)) - np.einsum("kc,ck->k", means, weights) / 2
        found[asked] = np.argmax(centred[asked] @ weights + offsets, axis=1)
    return names[found]


def _fit(values: Array, rows: Counts, classes: int) -> tuple[Array, Array]:
    """Return the class means, shape (K, C), and the shrunk covariance within the classes, shape (C, C)."""
    images, channels = values.shape
    sums = np.zeros((classes, channels))
    np.add.at(sums, rows, values)
    means = sums / np.bincount(rows, minlength=classes)[:, None]
    within = (values - means[rows]).astype(np.float32)  # deviations, which float32 holds well, in half the time
    covariance = (within.T @ within).astype(np.float64) / images
    middle, size = np.trace(covariance) / channels, float(np.square(covariance).sum())
    noise = (float(np.square(np.square(within, dtype=np.float64).sum(axis=1)).sum()) / images - size) / images
    apart = size - channels * middle**2
    shrinkage = min(1.0, max(0.0, noise / apart)) if apart > 0 else 0.0
    shrunk = (1 - shrinkage) * covariance + (shrinkage * middle + RESOLUTION**2) * np.eye(channels)
    return means, shrunk * images / (images - classes)
