"""Tests of changes on the same images: the exact paired test, Holm's correction for several, and the smallest loss that they find."""

from collections.abc import Sequence
from math import exp, lgamma, log, sqrt
from statistics import NormalDist

from sevis.errors import SevisError

ALPHA = 0.05  # of a family of tests together: how often one of them finds what is not there
POWER = 0.8  # how often a loss of the size of `smallest_loss` is found
MOST = 10**8  # images: beyond that, the sum below takes too long


def paired_test(lost: int, won: int) -> float:
    """Return the two-sided p-value of the exact test of McNemar (1947), doi:10.1007/BF02295996: are as many images lost as won?

    Where nothing but chance decides, an image that changes sides is lost or won like the toss of a coin.

    Args:
        lost, won: how many images were right before and are wrong after, and the reverse.

    Raises:
        SevisError: unless both are counts, of at most MOST images.
    """
    count, fewer = lost + won, min(lost, won)
    if fewer < 0 or count > MOST:
        raise SevisError(f"expected counts of at most {MOST:,} images, got {lost} lost and {won} won")
    if lost == won:
        return 1.0
    term = total = 1.0  # in units of the probability of exactly `fewer`: each next one is this much rarer
    for k in range(fewer, 0, -1):
        term *= k / (count - k + 1)
        total += term
        if term < 1e-17 * total:
            break
    logarithm = lgamma(count + 1) - lgamma(fewer + 1) - lgamma(count - fewer + 1) - count * log(2)
    return min(1.0, 2 * total * exp(logarithm))


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm (1979), https://www.jstor.org/stable/4615733: a test holds at ALPHA or below.

    The smallest of m is multiplied by m, the next one by m - 1, and so on; none is then below one that was smaller, or above 1.
    """
    corrected, highest = [1.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = highest
    return corrected


def smallest_loss(changing: int, count: int, *, tests: int = 1) -> float:
    """Return the smallest true loss that `paired_test` finds with POWER, as a fraction of the images; 1 where there is none.

    Let a share d of N images change sides. If the true loss is x, lost - won has the mean N x and the variance N (d - x²); without a loss
    the variance is N d. The test finds it where lost - won exceeds a √(N d), and one image more because it counts whole images. That
    happens with POWER if N x = a √(N d) + b √(N (d - x²)) + 1, where a and b are quantiles of the normal distribution: a of the two-sided
    level, b of the power (Miettinen 1968, doi:10.2307/2528468; Connor 1987, doi:10.2307/2531961). Without its last term, the equation
    has the solution x = c √d with c = (a √N + b √(N - a² + b²)) / (N + b²). A loss of x moves at least a share x of the images, so d is
    at least x, which makes x at least c².

    Args:
        changing: how many images change sides, lost or won.
        count: N, of all images.
        tests: of the family; the level is ALPHA divided by them, at which Holm's first test holds, and so the strictest.
    """
    a, b = NormalDist().inv_cdf(1 - ALPHA / (2 * tests)), NormalDist().inv_cdf(POWER)
    if count <= a**2:
        return 1.0
    c = (a * sqrt(count) + b * sqrt(count - a**2 + b**2)) / (count + b**2)
    return min(1.0, c * max(c, sqrt(changing / count)) + 1 / count)
