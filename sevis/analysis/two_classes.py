"""Two classes of one network, and two networks on the same classes, compared by what their statistics hold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sevis.analysis.formulas import RESOLUTION
from sevis.analysis.intervals import LEVEL
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError
from sevis.extras import require

Array = NDArray[np.float64]
MIN_IMAGES = 7  # of a class: from here on the intervals hold the effect in 93 to 97 % of normal samples, as its tests show
RATE = 0.05  # of false discoveries among those made


@dataclass(frozen=True)
class Effects:
    """How far the scale of each channel differs between two classes; NaN where that cannot be known.

    The effect is Hedges' g, the difference of the means over the root of the mean of both variances, without the bias of small samples:
    d = (m1 - m2) / sqrt((v1 + v2) / 2), g = d (1 - 3 / (4 (n1 + n2) - 9)) (Hedges 1981, doi:10.3102/10769986006002107). Its interval lies
    around d and needs no equal variances (Bonett 2008, Psychological Methods 13, 99-109, doi:10.1037/1082-989X.13.2.99).

    Attributes:
        names, counts: the two classes, and how many images of each there are.
        block: the name of the block of each channel, shape (C,).
        channel: the number of each channel within its block, shape (C,).
        means: the mean scale by class, shape (2, C).
        g, low, high: the effect, above 0 where the first class's mean is higher, and its 95 % interval, in standard deviations, (C,) each.
        p: of Welch's t test (Welch 1947, doi:10.1093/biomet/34.1-2.28), (C,).
        q: the smallest rate of false discoveries at which the channel is one (Benjamini & Hochberg 1995), over all C channels, (C,).
    """

    names: tuple[str, str]
    counts: tuple[int, int]
    block: NDArray[np.str_]
    channel: NDArray[np.intp]
    means: Array
    g: Array
    low: Array
    high: Array
    p: Array
    q: Array

    @property
    def known(self) -> bool:
        """Return whether there are enough images of both classes."""
        return min(self.counts) >= MIN_IMAGES

    @property
    def still(self) -> NDArray[np.bool_]:
        """The channels that have no effect size, for their scale is the same for all images of either class, shape (C,)."""
        return np.isnan(self.g) if self.known else np.zeros(len(self.g), dtype=bool)

    @property
    def discovered(self) -> NDArray[np.bool_]:
        """The channels that differ at a rate of false discoveries of RATE, shape (C,)."""
        return np.nan_to_num(self.q, nan=1.0) <= RATE

    @property
    def chance(self) -> float:
        """Return about the median of |g| to expect where no channel differs: 0.6745 sqrt(1/n1 + 1/n2), the normal distribution's."""
        return float(0.6745 * np.sqrt(np.sum(1 / np.array(self.counts)))) if self.known else np.nan

    def largest(self, count: int) -> NDArray[np.intp]:
        """Return the indices of the channels with the largest |g|, the largest first: at most `count`, none of them unknown."""
        order = np.argsort(-np.abs(self.g), kind="stable")
        return order[: min(count, np.count_nonzero(~np.isnan(self.g)))]


def compare_classes(statistics: ClassStatistics, first: str, second: str, *, sites: tuple[str, ...] | None = None) -> Effects:
    """Return how far each channel's scale differs between two classes.

    Args:
        sites: the blocks, whose channels together share one rate of false discoveries; None takes all.

    Raises:
        SevisError: for a class or a block that the statistics do not hold, and for the same class twice.
    """
    sites = statistics.sites if sites is None else sites
    rows = [statistics.index(first), statistics.index(second)]
    if rows[0] == rows[1] or not sites:
        raise SevisError(f"expected two classes and at least one block, got {first!r}, {second!r} and {len(sites)} blocks")
    means = np.concatenate([statistics.mean(site)[rows] for site in sites], axis=1)
    variances = np.square(np.concatenate([statistics.std(site)[rows] for site in sites], axis=1))
    one, two = (int(count) for count in statistics.count[rows])
    if min(one, two) < MIN_IMAGES:
        variances[:] = np.nan
    variances[:, (variances < RESOLUTION**2).all(axis=0)] = np.nan
    g, low, high = standardised_difference(means, variances, (one, two))
    p = _welch(means, variances, (one, two))
    widths = [statistics.channels[site] for site in sites]
    return Effects(
        names=(first, second),
        counts=(one, two),
        block=np.repeat(np.array(sites), widths),
        channel=np.concatenate([np.arange(width) for width in widths]),
        means=means,
        g=g,
        low=low,
        high=high,
        p=p,
        q=_false_discoveries(p),
    )


def standardised_difference(means: Array, variances: Array, counts: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Return Hedges' g and the ends of Bonett's 95 % interval, shape (C,) each; see `Effects`.

    Args:
        means, variances: of two groups, the variances with n - 1, shape (2, C).
        counts: the sizes of the groups.
    """
    require("scipy", "the comparison of two classes")
    from scipy.stats import norm

    freedom = np.array(counts, dtype=float)[:, None] - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        common = variances.mean(axis=0)
        d = (means[0] - means[1]) / np.sqrt(common)
        doubt = d**2 * (variances**2 / freedom).sum(axis=0) / (8 * common**2) + (variances / freedom).sum(axis=0) / common
    reach = norm.ppf((1 + LEVEL) / 2) * np.sqrt(doubt)
    return d * (1 - 3 / (4 * sum(counts) - 9)), d - reach, d + reach


def _welch(means: Array, variances: Array, counts: tuple[int, int]) -> Array:
    """Return the two-sided p value of Welch's t test with Satterthwaite's degrees of freedom, shape (C,)."""
    require("scipy", "the comparison of two classes")
    from scipy.stats import t

    size = np.array(counts, dtype=float)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        squares = variances / size
        error = squares.sum(axis=0)
        freedom = error**2 / (squares**2 / (size - 1)).sum(axis=0)
        return np.asarray(2 * t.sf(np.abs(means[0] - means[1]) / np.sqrt(error), freedom))


def _false_discoveries(p: Array) -> Array:
    """Return the adjusted p values of Benjamini & Hochberg (1995), J. R. Stat. Soc. B 57, 289-300, over those that are known."""
    require("scipy", "the comparison of two classes")
    from scipy.stats import false_discovery_control

    q, known = np.full_like(p, np.nan), ~np.isnan(p)
    if known.any():
        q[known] = false_discovery_control(p[known], method="bh")
    return q
