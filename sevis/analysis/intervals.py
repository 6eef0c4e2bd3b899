"""Confidence intervals of 95 % for proportions and means, and the test of a mean."""

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist, fmean, stdev

import numpy as np
from numpy.typing import NDArray

from sevis.errors import SevisError
from sevis.extras import require

LEVEL = 0.95
SHARED = 2  # so many times the variance is counted where images are read and also help to read: wide rather than narrow

Interval = tuple[float, float]


def normal_quantile(level: float) -> float:
    """Return how many standard deviations reach to either end of an interval of a normal distribution: 1.96 at 95 %."""
    return NormalDist().inv_cdf((1 + level) / 2)


def t_quantile(level: float, freedom: int) -> float:
    """Return the same of Student's t, from 9 degrees of freedom on, to 0.0001 at 95 %: by the series of Fisher & Cornish (1960)."""
    z = normal_quantile(level)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / freedom**power for power, term in enumerate(terms, 1)))


def skewed_reach(values: NDArray[np.floating]) -> Interval:
    """Return how far the interval of a mean reaches below and above it, by Student's t and Hall's correction for skewness.

    Hall (1992), Journal of the Royal Statistical Society B 54, 221-228: T = (mean - truth) / (s / √n) is skewed where the values are, and
    g(T) = T + 2 a T² + 4 a² T³ / 3 + a with a = skewness / (6 √n) is nearly not, whose inverse is ((1 + 6 a (t - a))^(1/3) - 1) / (2 a).

    Args:
        values: the sample, less its mean, shape (n,), at least two.
    """
    n, deviation = len(values), float(np.std(values, ddof=1))
    t = t_quantile(LEVEL, n - 1)
    a = float(np.mean(values**3)) / deviation**3 / (6 * sqrt(n)) if deviation > 0 else 0.0
    if abs(a) < 1e-9:
        return t * deviation / sqrt(n), t * deviation / sqrt(n)
    high, low = ((np.cbrt(1 + 6 * a * (end - a)) - 1) / (2 * a) for end in (t, -t))
    return float(high * deviation / sqrt(n)), float(-low * deviation / sqrt(n))


def wilson(hits: int, count: int) -> Interval:
    """Return the interval of a proportion hits / count: the score interval of Wilson (1927), doi:10.1080/01621459.1927.10502953.

    Raises:
        SevisError: unless 0 <= hits <= count and count > 0.
    """
    if not 0 <= hits <= count or not count:
        raise SevisError(f"expected some of at least one image, got {hits} of {count}")
    return _score(hits / count, count)


def read_share(holds: NDArray[np.bool_], sizes: NDArray[np.integer]) -> Interval:
    """Return the interval of how often a reader that is fitted to such images reads others right, for exactly these classes.

    It is Wilson's, with the number of images that would give a plain sample the same variance. The variance is that of images drawn within
    their classes, v = Σ_k n_k² c_k (1 - c_k) / (n_k - 1) / N² for the shares c_k that are read right, to which a class that is always read
    right, or never, adds nothing (Cochran, 1977, Sampling Techniques, sec. 5.7). It is taken times SHARED, for an image that is read also
    helps to read others, so that images of a class are right together: that made 1 to 2.2 times the variance in simulations, and the
    interval held the truth in 92 % of them or more.

    Args:
        holds: which images are read right, class after class, shape (N,).
        sizes: how many each class has, at least two, shape (K,).
    """
    images = len(holds)
    share, right = float(holds.mean()), np.add.reduceat(holds.astype(float), np.cumsum(sizes) - sizes) / sizes
    within = float(np.sum(np.square(sizes) * right * (1 - right) / (sizes - 1))) / images**2
    plain = share * (1 - share) / images
    alike = plain / max(within, 1 / images**2) if plain else 1.0  # at least as if one image could change sides
    return _score(share, images * alike / SHARED)


def _score(share: float, count: float) -> Interval:
    """Return Wilson's interval of a share of so many."""
    z = normal_quantile(LEVEL)
    pull = z**2 / count
    centre, reach = share + pull / 2, sqrt(z**2 * share * (1 - share) / count + pull**2 / 4)
    return max(0.0, (centre - reach) / (1 + pull)), min(1.0, max(share, (centre + reach) / (1 + pull)))  # 1 - 1e-16 is rounding


def paired_change(lost: int, won: int, count: int) -> Interval:
    """Return the interval of (won - lost) / count, the change of a proportion over the same images.

    It is the adjusted Wald interval ("Wald+2") of Agresti and Min (2005), Statistics in Medicine 24, 729-740: half an image is added to
    each of the four cells, so that the interval keeps a width where no image changes sides.

    Args:
        lost, won: how many images were right before and are wrong now, and the reverse.
        count: of all images.

    Raises:
        SevisError: unless lost and won are counts of at most all images, and count > 0.
    """
    if min(lost, won) < 0 or lost + won > count or not count:
        raise SevisError(f"expected some of at least one image to change sides, got {lost} lost and {won} won of {count}")
    total = count + 2
    change = (won - lost) / total
    reach = normal_quantile(LEVEL) * sqrt(lost + won + 1 - change**2 * total) / total
    return max(-1.0, change - reach), min(1.0, change + reach)


def student(values: Sequence[float]) -> Interval | None:
    """Return the interval of the mean of what the values are drawn from, if that is normal: Student (1908), doi:10.1093/biomet/6.1.1.

    None for a single value, or values that are all the same, which do not say how far values lie apart.

    Args:
        values: at least one.

    Raises:
        SevisError: when there is no value.
    """
    require("scipy", "the interval of a mean")
    from scipy.special import stdtrit

    if not values:
        raise SevisError("expected at least one value, got none")
    if len({*values}) == 1:
        return None
    centre = fmean(values)
    reach = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2)) * stdev(values) / sqrt(len(values))
    return centre - reach, centre + reach


def p_above(values: Sequence[float], limit: float) -> float:
    """Return the p-value of Student's one-sided t test: is the mean of what the values are drawn from, if that is normal, above the limit?

    Args:
        values: at least two, not all the same.
        limit: in their unit.

    Raises:
        SevisError: for a single value, or values that are all the same, which do not say how far values lie apart.
    """
    require("scipy", "the test of a mean")
    from scipy.special import stdtr

    if len({*values}) < 2:
        raise SevisError(f"expected at least two values that differ, got {len(values)} that do not: their spread is unknown")
    return float(stdtr(len(values) - 1, (limit - fmean(values)) * sqrt(len(values)) / stdev(values)))
