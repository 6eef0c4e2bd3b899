"""How each measure of a depth profile is read off the gates of a block: its estimate, and how uncertain that is.

Uncertainty is by influence: what one photo adds to the measure, its derivative with respect to how often the photo counts. This is the
infinitesimal jackknife: Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 21. Photos are drawn within their class. The same
by classes says how far the measure would move with other classes. Where the notation is not explained, it is that of
`class_differences`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from math import atanh, exp, isnan, log, nan, sqrt, tanh

import numpy as np
from numpy.typing import NDArray

from sevis.analysis import formulas
from sevis.analysis.block_gates import FEWEST_HALVED, BlockGates
from sevis.analysis.class_differences import Photos, Squares, relative
from sevis.analysis.discriminant import discriminant_class, draw_folds
from sevis.analysis.formulas import RESOLUTION, Array
from sevis.analysis.intervals import LEVEL, Interval, normal_quantile, read_share
from sevis.analysis.uncertainty import UNKNOWN, Reading, limited_exp
from sevis.class_statistics.class_statistics import ClassStatistics

SHORT = 0.02  # of the squared length of the mean gates of a class, their noise
HALVINGS = 10  # of the photos, for the class that lies furthest


def class_share(block: BlockGates) -> Reading:
    """Read the share of a scale's variance over photos that lies between the classes, omega squared, its mean over channels.

    Each channel counts alike, so that the share can be compared with that of squeezes, whose channels have units of their own. There is no
    interval over classes: where few classes own a channel, a few classes drawn anew often miss them, and it would not cover.
    """
    share = formulas.class_share(block.mean, block.m2, block.photos.count)
    known = np.isfinite(share)
    if not known.any():
        return UNKNOWN
    value = float(share[known].mean())
    if not block.sampled:
        return Reading(value=value)
    share, number = np.where(known, share, 0), int(known.sum())
    unit = np.where(known, 1 / np.sqrt(np.where(known, _overall_variance(block), 1)), 0)  # channels that never vary have no share
    factors = np.square(unit) * share / number
    shares = np.square(block.values - block.overall) @ factors
    between = np.einsum("mc,mc->m", block.deviations, (np.square(unit) * (block.mean - block.overall) / number)[block.photos.labels])
    own = np.square(block.deviations) @ factors * (block.widening - 1)
    return Reading(value=value, variance=block.photos.variance_of_mean(2 * between - shares - own))


def squeeze_share(block: BlockGates) -> Reading:
    """Read the same of the squeezes z, which is what the gates are told: without an interval, for files keep no single z."""
    if "squeeze" not in block.statistics.by_class:  # as compact files are made by default
        return UNKNOWN
    mean, m2 = (part(block.site, "squeeze")[block.classes] for part in (block.statistics.mean, block.statistics.m2))
    return Reading(value=float(formulas.mean_share(mean, m2, block.photos.count)))


def spread(block: BlockGates) -> Reading:
    """Read the standard deviation of s over all images, its mean over channels.

    There is no interval over classes: those of few classes lie too close to their own mean, which squares of means do not show.
    """
    if block.photos.count.sum() < 2:
        return UNKNOWN
    deviation = formulas.overall_spread(block.mean, block.m2, block.photos.count)
    value = float(deviation.mean())
    if not block.sampled or value <= RESOLUTION:
        return _in_logs(value, block)
    inverse = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > RESOLUTION)
    influence = np.square(block.values - block.overall) @ inverse / (2 * len(deviation))
    return _in_logs(value, block, influence)


def within(block: BlockGates) -> Reading:
    """Read the standard deviation of s within classes, its root mean square over channels."""
    if not block.compared:
        return UNKNOWN
    square = float(block.photos.weights @ block.variance.mean(axis=1))
    if not block.sampled or square <= RESOLUTION**2:
        return _in_logs(sqrt(square), block)
    influence = np.square(block.deviations).mean(axis=1) * block.widening**1.5 / (2 * sqrt(square))
    return _in_logs(sqrt(square), block, influence, block.variance.mean(axis=1) / (2 * sqrt(square)))


def distance(block: BlockGates) -> Reading:
    """Read |μ_k - μ|, its root mean square over classes and channels: the standard deviation of s between classes."""
    if not block.compared:
        return UNKNOWN
    channels = block.mean.shape[1]
    if not block.sampled:
        parts = block.photos.unbiased(np.square(block.mean - block.overall).sum(axis=1), block.variance.sum(axis=1))
        return Reading(value=float(block.photos.weights @ parts), shown=partial(_root, unit=channels))
    return _root_of(block, block.apart, unit=channels)


def furthest(block: BlockGates) -> Reading:
    """Read how far the class lies from all whose gates lie furthest, as the root mean square over channels.

    Which class that is is told by one half of the photos, and how far by the other, for the largest of many noisy numbers is too large:
    the mean over both and over several halvings. It has no interval, for which class one half names changes from draw to draw. NaN with
    fewer than FEWEST_HALVED photos of a class, whose halves would name the wrong class, and so one that lies nearer.
    """
    if not block.compared or not block.sampled or np.median(block.photos.sizes) < FEWEST_HALVED:
        return UNKNOWN
    random = np.random.default_rng(block.seed)
    found = [value for _ in range(HALVINGS) for value in _halved(block, random)]
    return Reading(value=float(np.mean(found)), shown=partial(_root, unit=block.mean.shape[1]))


def factor(block: BlockGates) -> Reading:
    """Read |a_k - 1|, the root mean square over classes, of the factors a_k that fit the mean gates of the classes best to those of all."""
    if not _scalable(block):
        return UNKNOWN
    return _root_of(block, relative(block.split[0], block.overall, block.deviations))


def residual(block: BlockGates) -> Reading:
    """Read |μ_k - a_k μ| / |μ|, the root mean square over classes: what one factor a class leaves, relative to the mean gates."""
    if not _scalable(block):
        return UNKNOWN
    return _root_of(block, relative(block.split[1], block.overall, block.deviations))


def left(block: BlockGates) -> Reading:
    """Read √(Σ |μ_k - a_k μ|² / Σ |μ_k - μ|²): what one factor a class leaves of the differences between classes.

    The interval of the ratio is Fieller's (1954), doi:10.1111/j.2517-6161.1954.tb00159.x, which is all of 0..1 where the differences might
    be nothing but noise. NaN where they are no larger than their noise.
    """
    if not _scalable(block) or block.apart.value <= 0:
        return UNKNOWN
    whole, (along, across) = block.apart, block.split
    share = across.value / whole.value
    low, high = _fieller(across, along, whole)
    return Reading(
        value=share,
        interval=(_share_root(low), _share_root(high)),
        shown=_share_root,
    )


def cosine(block: BlockGates) -> Reading:
    """Read the cosine distance of the mean gates of two classes, its mean over pairs of photos of differing classes.

    NaN where some scales are negative, for then mean gates may be nearly nothing, which has no direction. There is no interval where the
    mean gates of a class are less than 1 / √SHORT times as long as their noise: the direction of so short a vector is no normal number.
    """
    if not _scalable(block) or block.mean.min() < 0 or not np.square(block.mean).sum(axis=1).min() > 0:
        return UNKNOWN
    turned = block.turned
    pairs = 1 - float(np.square(block.photos.weights).sum())
    noise = block.variance.sum(axis=1) / block.photos.count / np.square(block.mean).sum(axis=1)
    if noise.max() > SHORT:
        return Reading(value=turned.value / pairs, shown=partial(max, 0.0))
    return Reading(value=turned.value / pairs, variance=turned.variance / pairs**2, classes=turned.parts / pairs, shown=partial(max, 0.0))


def of_images(
    formula: Callable[[Array], Array], block: BlockGates, *, exact: Callable[[ClassStatistics, str], float] | None = None
) -> Reading:
    """Read the mean of a formula that gives a number of each image, shape (M,), from its scales, shape (M, C).

    Args:
        formula: of whole gates.
        block: whose.
        exact: reads the mean of all images off the file, where the formula sees only those that it keeps whole; NaN: it does not say.
    """
    known = exact(block.statistics, block.site) if exact else nan
    if not block.sampled:
        return Reading(value=known)
    numbers = np.asarray(formula(block.values), np.float64)
    means = block.photos.means(numbers)
    value = float(block.photos.weights @ means) if isnan(known) else known
    drawn = block.photos.sizes if isnan(known) else block.photos.count  # an estimate from all images is as certain as so many make it
    centred = means - float(block.photos.weights @ means)
    return Reading(value=value, variance=block.photos.variance_of_mean(numbers, drawn), classes=centred + value)


def share_of_scales(name: str, formula: Callable[[Array], Array], block: BlockGates) -> Reading:
    """Read the share of the scales for which something holds, by its name in `formulas.shares_of`: its errors are nearly normal as logits.

    Where all photos have the same share, such as none or all, its interval reaches as far as that of Clopper & Pearson (1934),
    doi:10.1093/biomet/26.4.404, as if each photo were one scale: wide rather than narrow.
    """
    plain = of_images(formula, block, exact=partial(_exact_share, name))
    weight = plain.value * (1 - plain.value)
    if isnan(plain.variance):
        return plain
    if plain.variance == 0 or weight <= 0:
        reach = 1 - ((1 - LEVEL) / 2) ** (1 / len(block.values))
        return Reading(value=plain.value, interval=(max(0.0, plain.value - reach), min(1.0, plain.value + reach)))
    logit = log(plain.value / (1 - plain.value))
    classes = None if plain.classes is None else (plain.classes - plain.value) / weight + logit
    return Reading(value=logit, variance=plain.variance / weight**2, classes=classes, shown=_share_of_logit)


def _share_of_logit(logit: float) -> float:
    return 1 / (1 + exp(-logit)) if logit > -700 else 0.0


def _exact_share(name: str, statistics: ClassStatistics, site: str) -> float:
    """Return a share of `formulas.shares_of`; NaN where the file has no histogram."""
    return formulas.shares_of(statistics.histogram(site))[name] if statistics.detailed else nan


def counted(name: str, block: BlockGates) -> Reading:
    """Read a share of `formulas.shares_of`, counted over all images: without an interval, for whole gates are kept in half precision, which
    rounds to 1.
    """
    return Reading(value=_exact_share(name, block.statistics, block.site))


def agreement(block: BlockGates) -> Reading:
    """Read Spearman's rank correlation of the gates of two photos, its mean over pairs.

    It is Kendall's W without what W owes to the number of images M: (M W - 1) / (M - 1), Kendall (1962), Rank Correlation Methods, ch. 6.
    There is no interval over classes: more of the pairs are of one class than of very many classes.
    """
    if len(block.values) < 2:
        return UNKNOWN
    shares = (block.photos.weights / block.photos.sizes)[block.photos.labels]
    own = float(np.square(shares).sum())
    concord, influence = formulas.rank_concord(*formulas.mean_ranks(block.values), shares)
    value, numbers = (concord - own) / (1 - own), influence / (1 - own)
    if not abs(value) < 1:
        return Reading(value=value)
    steep = 1 - value**2  # errors of a correlation are nearly normal as its inverse hyperbolic tangent: Fisher (1921)
    return Reading(
        value=atanh(value),
        variance=block.photos.variance_of_mean(numbers, block.photos.sizes) / steep**2,
        shown=tanh,
    )


def accuracy(block: BlockGates) -> Reading:
    """Read how often a linear discriminant tells the class of a photo by its gates, fitted to other photos: see `discriminant`."""
    if not block.compared or not block.sampled:
        return UNKNOWN
    labels = block.photos.labels
    return _hits(
        block, discriminant_class(block.values, labels, draw_folds(block.photos.sizes, np.random.default_rng(block.seed))) == labels
    )


def nearest(block: BlockGates) -> Reading:
    """Read how often a photo's gates lie nearest to the mean gates of its class, from which it is left out itself."""
    if not block.compared or not block.sampled:
        return UNKNOWN
    labels = block.photos.labels
    return _hits(block, formulas.nearest_class(block.values, labels, mean=block.mean, count=block.photos.count) == labels)


def selectivity(block: BlockGates) -> Reading:
    """Read the class selectivity index, its median over channels: without an interval, for noise alone increases it."""
    return Reading(value=float(formulas.middle(formulas.selectivity(block.mean))))


def _hits(block: BlockGates, right: NDArray[np.bool_]) -> Reading:
    """Return the share of the photos that are right, and that which naming the largest class would give."""
    largest = float(block.photos.sizes.max() / len(right))
    interval = read_share(right, block.photos.sizes)
    shares = block.photos.sizes / len(right)
    means = block.photos.means(right.astype(float)) * shares / block.photos.weights  # the weights of the statistics stand for the sizes
    return Reading(value=float(right.mean()), interval=interval, classes=means, null=largest)


def _scalable(block: BlockGates) -> bool:
    """Return whether the classes can be compared with the mean gates of all, photo by photo."""
    return block.compared and block.sampled and bool(np.any(block.overall))


def _few(block: BlockGates) -> float:
    """Return by which part a few classes lie closer to their own mean than to that of very many: 1 / (K - 1) where all are as large."""
    taken = float(np.square(block.photos.weights).sum())
    return taken / (1 - taken)


def _many(block: BlockGates, parts: Array) -> Array:
    """Return squared distances from the mean of very many classes, to expect from those from the mean of a few."""
    return parts * (1 + _few(block))


def _root_of(block: BlockGates, sum_of_squares: Squares, *, unit: float = 1.0) -> Reading:
    return Reading(
        value=sum_of_squares.value,
        variance=sum_of_squares.variance,
        classes=_many(block, sum_of_squares.parts),
        shown=partial(_root, unit=unit),
    )


def _root(square: float, *, unit: float) -> float:
    return sqrt(max(0.0, square) / unit)


def _share_root(share: float) -> float:
    return sqrt(min(1.0, max(0.0, share)))


def _in_logs(value: float, block: BlockGates, influence: Array | None = None, classes: Array | None = None) -> Reading:
    """Return a standard deviation, whose errors are nearly normal as logarithms.

    Args:
        value: the estimate.
        block: whose.
        influence: what each image adds to it, shape (M,); None: there is no interval.
        classes: what each class adds, less any number, shape (K,); None: there is no interval over classes.
    """
    if value <= RESOLUTION:
        return Reading(value=value)
    variance = nan if influence is None else block.photos.variance_of_mean(influence) / value**2
    added = None if classes is None else (classes - float(block.photos.weights @ classes)) / value + log(value)
    return Reading(value=log(value), variance=variance, classes=added, shown=limited_exp)


def _overall_variance(block: BlockGates) -> Array:
    return np.square(formulas.overall_spread(block.mean, block.m2, block.photos.count))


def _fieller(part: Squares, rest: Squares, whole: Squares) -> Interval:
    """Return the ends of the interval of part / whole, where whole = part + rest."""
    z = normal_quantile(LEVEL)
    shared = (whole.variance + part.variance - rest.variance) / 2  # the covariance of part and whole
    a = whole.value**2 - z**2 * whole.variance
    b = part.value * whole.value - z**2 * shared
    c = part.value**2 - z**2 * part.variance
    if a <= 0:
        return 0.0, 1.0  # the whole might be nothing
    reach = sqrt(max(0.0, b**2 - a * c))
    return (b - reach) / a, (b + reach) / a


def _halved(block: BlockGates, random: np.random.Generator) -> Iterator[float]:
    """Yield |μ_k - μ|² in either half of the photos for the class for which it is largest in the other half."""
    half = np.concatenate([random.permutation(size) < size // 2 for size in block.photos.sizes.tolist()])
    parts = [_distances(block, chosen) for chosen in (half, ~half)]
    yield float(parts[1][parts[0].argmax()])
    yield float(parts[0][parts[1].argmax()])


def _distances(block: BlockGates, chosen: NDArray[np.bool_]) -> Array:
    """Return |μ_k - μ|² of each class from some of its photos, shape (K,)."""
    sizes = np.array([chosen[part].sum() for part in block.photos.parts])
    photos = Photos(sizes, sizes)
    means = np.stack([block.values[part][chosen[part]].mean(axis=0, dtype=np.float64) for part in block.photos.parts])
    return photos.unbiased(np.square(means - photos.weights @ means).sum(axis=1), block.variance.sum(axis=1))
