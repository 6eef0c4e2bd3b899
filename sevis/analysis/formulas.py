"""Formulas for the gates of one block: arrays in, arrays out, NaN where a number is not defined; `depth_measures` lists their use.

Throughout, K is the number of classes, C of channels, M of images; `mean` holds the mean scale by class, shape (..., K, C), `m2` the sum of
squared deviations within each class, of the same shape, and `count` the images of each class, shape (K,). Axes before these are kept, so
that a hundred data sets with shuffled labels are measured like one. Classes without images are left out.
"""

from math import nan

import numpy as np
from numpy.typing import NDArray

from sevis.class_statistics.histograms import Histogram
from sevis.errors import SevisError
from sevis.extras import require

Array = NDArray[np.floating]
Counts = NDArray[np.integer]
HIGH, LOW = 0.9, 0.1  # a scale above HIGH lets nearly all of a channel pass, one below LOW nearly nothing
RESOLUTION = 1e-7  # half a step of float32 below 1: a standard deviation below it is rounding


def class_share(mean: Array, m2: Array, count: Counts) -> Array:
    """Return the share of a channel's variance over images that lies between the classes, omega squared, shape (..., C); at most 1.

    ω² = (SSB - (K - 1) MSW) / (SST + MSW), with SSB = Σ_k n_k (s̄_k - s̄)², SST = SSB + SSW, MSW = SSW / (N - K): Hays (1963), Statistics
    for Psychologists. Without any effect of the class it lies around 0, on either side, whatever K and n; η² = SSB / SST does not. NaN for
    fewer than two classes, no more images than classes, and a channel that is the same for all images.
    """
    mean, m2, count = _held(mean, m2, count)
    between = _between(mean, count)
    return _omega_squared(between, between + m2.sum(axis=-2), classes=len(count), images=int(count.sum()))


def mean_share(mean: Array, m2: Array, count: Counts) -> Array:
    """Return the mean of `class_share` over the channels that have one, shape (...); NaN where none has."""
    share = class_share(mean, m2, count)
    known = np.isfinite(share)
    number = known.sum(axis=-1)
    return _ratio(np.where(known, share, 0).sum(axis=-1), number.astype(float), number > 0)


def _omega_squared(between: Array, total: Array, *, classes: int, images: int) -> Array:
    """Return ω² from sums of squares: that of the class means about the mean of all, and that of the images; see `class_share`."""
    if classes < 2 or images <= classes:
        return np.full_like(total, nan)
    within = (total - between) / (images - classes)
    varies = total > images * RESOLUTION**2
    return _ratio(between - (classes - 1) * within, total + within, varies)


def within_spread(mean: Array, m2: Array, count: Counts) -> Array:
    """Return the standard deviation of s within classes, √MSW, in units of s, shape (..., C).

    NaN for fewer than two classes, or no more images than classes.
    """
    mean, m2, count = _held(mean, m2, count)
    known = len(count) > 1 and count.sum() > len(count)
    return np.asarray(np.sqrt(m2.sum(axis=-2) / (count.sum() - len(count) if known else nan)))


def between_spread(mean: Array, m2: Array, count: Counts) -> Array:
    """Return the standard deviation of s between classes, freed of what the noise of the class means adds, in units of s, shape (..., C).

    √max(0, (MSB - MSW) / n0) with n0 = (N - Σ n_k² / N) / (K - 1), the estimate from the analysis of variance with a random class: Searle,
    Casella & McCulloch (1992), Variance Components, ch. 3. NaN for fewer than two classes, or no more images than classes.
    """
    mean, m2, count = _held(mean, m2, count)
    classes, images = len(count), int(count.sum())
    if classes < 2 or images <= classes:
        return np.full(m2.sum(axis=-2).shape, nan)
    within = m2.sum(axis=-2) / (images - classes)
    size = (images - np.square(count).sum() / images) / (classes - 1)
    return np.asarray(np.sqrt(np.maximum(_between(mean, count) / (classes - 1) - within, 0) / size))


def overall_mean(mean: Array, count: Counts) -> Array:
    """Return the mean over all images from those of the classes, shape (..., C)."""
    return np.asarray(np.einsum("k,...kc->...c", (count / max(count.sum(), 1)).astype(mean.dtype), mean))


def overall_spread(mean: Array, m2: Array, count: Counts) -> Array:
    """Return the standard deviation of s over all images, with n - 1, shape (..., C); NaN for fewer than two images."""
    mean, m2, count = _held(mean, m2, count)
    images = int(count.sum())
    return np.asarray(np.sqrt((_between(mean, count) + m2.sum(axis=-2)) / (images - 1 if images > 1 else nan)))


def selectivity(mean: Array) -> Array:
    """Return the class selectivity index of each channel, in 0..1, shape (..., C).

    CSI = (μ_max - μ_rest) / (μ_max + μ_rest), with the highest class mean and the mean of the other classes: Morcos et al. (2018),
    arXiv:1803.06959, sec. 2. **It does not compare across numbers of classes or images**: the noise of class means alone raises it, to 0.13
    for 1,000 classes of 5 images; and gates far from zero compress it, so 0.55 against 0.45 gives 0.10. NaN for fewer than two classes,
    negative means, and a channel that is zero for all.
    """
    known = np.isfinite(mean).all(axis=-1).reshape(-1, mean.shape[-2]).all(axis=0)
    mean = mean[..., known, :]
    classes = mean.shape[-2]
    if classes < 2:
        return np.full(mean[..., :1, :].sum(axis=-2).shape, nan)
    highest = mean.max(axis=-2)
    rest = (mean.sum(axis=-2) - highest) / (classes - 1)
    defined = (mean.min(axis=-2) >= 0) & (highest > 0)
    return _ratio(highest - rest, highest + rest, defined)


def open_share(scales: Array) -> Array:
    """Return the share of the scales, shape (..., C), that let nearly all of their channel pass: those above HIGH, shape (...)."""
    return np.asarray((scales > HIGH).mean(axis=-1))


def shut_share(scales: Array) -> Array:
    """Return the share of the scales, shape (..., C), that let nearly nothing pass: those below LOW, shape (...).

    NaN where some are negative, as tanh gives: those turn a channel round, and do not shut it.
    """
    return np.where(scales.min(axis=-1) >= 0, (scales < LOW).mean(axis=-1), nan)


def saturated_share(scales: Array) -> Array:
    """Return the share of the scales, shape (..., C), where a gate is flat: those that are open or shut, shape (...)."""
    return np.asarray(np.nansum([open_share(scales), shut_share(scales)], axis=0))


def shares_of(histogram: Histogram, rows: Counts | slice = slice(None)) -> dict[str, float]:
    """Return the same of all scales that a histogram counts, `high` and `low`, and the shares of exactly 0 and 1, `zeros` and `ones`.

    Bins are of 0.01, so scales of exactly HIGH count as above it. `low` is NaN where some are negative; all are where there is no scale.

    Args:
        histogram: of a block.
        rows: of it, the classes.
    """
    bins, below, above = histogram.counts[rows].sum(axis=0), histogram.below[rows].sum(), histogram.above[rows].sum()
    middles = (histogram.edges[1:] + histogram.edges[:-1]) / 2
    total = float(bins.sum() + below + above) or nan
    return {
        "high": float((bins[middles > HIGH].sum() + above) / total),
        "low": nan if below else float(bins[middles < LOW].sum() / total),
        "zeros": float(histogram.zeros[rows].sum() / total),
        "ones": float(histogram.ones[rows].sum() / total),
    }


def effective_channels(values: Array) -> Array:
    """Return how many channels an image's scales are spread over, in 1..C, shape (...) for values of shape (..., C).

    exp(-Σ p ln p) with p = s / Σ s: the exponential of Shannon's entropy, Hill's (1973) number of order 1, doi:10.2307/1934352. Equal
    scales give C. NaN for negative scales and where all are zero.
    """
    total = values.sum(axis=-1, keepdims=True)
    defined = (values.min(axis=-1) >= 0) & (total[..., 0] > 0)
    p = np.divide(values, total, out=np.ones_like(values), where=defined[..., None])
    entropy = -np.sum(p * np.log(np.where(p > 0, p, 1)), axis=-1)
    return np.where(defined, np.exp(entropy), nan)


def mean_ranks(values: Array) -> tuple[NDArray[np.float32], Array]:
    """Return the rank of each channel in its image, from 1 for the lowest; channels that tie share the mean of their ranks.

    Args:
        values: shape (M, C).

    Returns:
        The ranks, shape (M, C), and Σ (t³ - t) over the groups of t tied channels, shape (M,).
    """
    channels = values.shape[1]
    order = np.argsort(values, axis=1)
    ordered = np.take_along_axis(values, order, axis=1)
    index = np.arange(channels)
    begins = np.ones(values.shape, bool)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=begins[:, 1:])
    first = np.maximum.accumulate(np.where(begins, index, 0), axis=1)
    ends = np.roll(begins, -1, axis=1)  # the last channel ends a group, for the first one begins one
    last = np.minimum.accumulate(np.where(ends, index, channels)[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty(values.shape, np.float32)
    np.put_along_axis(ranks, order, ((first + last) / 2 + 1).astype(np.float32), axis=1)
    return ranks, np.sum(np.square(last - first + 1, dtype=np.float64) - 1, axis=1)


def rank_concord(ranks: Array, ties: Array, shares: Array) -> tuple[float, Array]:
    """Return how far images agree on the order of the channels, Kendall's W in 0..1, and what each image adds to it, shape (M,).

    W = 12 Σ_c (R_c - (C + 1) / 2)² / (C³ - C - T), where R_c is the mean rank of a channel over images, and T the mean over images of
    Σ (t³ - t) over groups of t tied channels, which share the mean of their ranks: Kendall & Babington Smith (1939),
    doi:10.1214/aoms/1177732186; Kendall (1962), Rank Correlation Methods, ch. 6, for ties. NaN when all channels tie in all images.

    Args:
        ranks, ties: of `mean_ranks`, shapes (M, C) and (M,).
        shares: how much each image counts, shape (M,); they add up to 1.
    """
    channels = ranks.shape[1]
    centred = ranks - np.float32((channels + 1) / 2)
    sums = shares @ centred
    most = channels**3 - channels - float(shares @ ties)
    if most <= 0:
        return nan, np.full(len(ranks), nan)
    concord = float(12 * np.square(sums).sum() / most)
    return concord, (24 * (centred @ sums) + concord * ties) / most


def distances(mean: Array, metric: str = "cosine") -> Array:
    """Return how far the mean gates of each two classes are apart, shape (K, K): NaN for a class without images.

    Args:
        mean: shape (K, C).
        metric: `cosine`, 1 - the cosine of the angle between them, blind to a common factor; or `l1`, the mean over channels of their
            absolute difference, in units of s.

    Raises:
        SevisError: for another metric.
    """
    if metric == "cosine":
        length = np.linalg.norm(mean, axis=1, keepdims=True)
        unit = _ratio(mean, length, length > 0)
        return np.asarray(np.clip(1 - unit @ unit.T, 0, 2))
    if metric == "l1":
        require("scipy", "the distance l1")
        from scipy.spatial.distance import cdist  # ten times as quick as NumPy for a thousand classes

        return np.asarray(cdist(mean, mean, "cityblock") / mean.shape[1])
    raise SevisError(f"unknown distance {metric!r}: choose cosine or l1")


def nearest_class(values: Array, labels: Counts, *, mean: Array | None = None, count: Counts | None = None) -> Counts:
    """Return the class whose mean gates are nearest to each image's, the image itself left out of its class's mean, shape (M,).

    Distances are Euclidean. With n images in its class, leaving one out moves its own mean away by n / (n - 1): no mean is computed anew.

    Args:
        values: the scales, shape (M, C).
        labels: the classes, shape (M,).
        mean, count: of all images of each class, these among them, shapes (K, C) and (K,), by label; None: these are all. Classes that
            none of these images belongs to are no choice.

    Returns:
        The labels found; -1 for the only image of its class, which cannot be left out.
    """
    names, rows, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if not len(names):
        return np.zeros(0, np.int64)
    centre = values.mean(axis=0)
    centred = values - centre
    if mean is None or count is None:
        means = np.stack([centred[rows == row].mean(axis=0) for row in range(len(names))])
    else:
        means, sizes = (mean[names] - centre).astype(centred.dtype), count[names].astype(sizes.dtype)
    squares = np.einsum("mc,mc->m", centred, centred)[:, None] - 2 * centred @ means.T + np.einsum("kc,kc->k", means, means)
    alone = sizes[rows] == 1
    images = np.arange(len(rows))
    squares[images, rows] *= np.square(sizes[rows] / np.where(alone, nan, sizes[rows] - 1))
    squares[alone] = 0
    return np.where(alone, -1, names[np.argmin(squares, axis=1)])


def middle(values: Array) -> Array:
    """Return the median over the last axis, without NaN; NaN where there is nothing else."""
    ordered = np.sort(values, axis=-1)  # NaN last
    known = np.isfinite(values).sum(axis=-1, keepdims=True)
    low, high = (np.take_along_axis(ordered, index, axis=-1)[..., 0] for index in ((known - 1) // 2, known // 2))
    return np.where(known[..., 0] > 0, (low + high) / 2, nan)


def _held(mean: Array, m2: Array, count: Counts) -> tuple[Array, Array, Counts]:
    """Return the classes that have images."""
    held = count > 0
    return (mean, m2, count) if held.all() else (mean[..., held, :], m2[..., held, :], count[held])


def _between(mean: Array, count: Counts) -> Array:
    """Return SSB of each channel: Σ_k n_k (s̄_k - s̄)², shape (..., C)."""
    deviations = mean - overall_mean(mean, count)[..., None, :]
    return np.asarray(np.einsum("k,...kc->...c", count.astype(mean.dtype), np.square(deviations)))


def _ratio(part: Array, whole: Array, defined: NDArray[np.bool_]) -> Array:
    """Return part / whole, NaN where it is not defined."""
    return np.divide(part, whole, out=np.full_like(part, nan), where=defined)
