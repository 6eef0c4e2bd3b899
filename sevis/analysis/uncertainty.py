"""Reading: a measure of one block, and its two intervals."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, isnan, nan, sqrt

from sevis.analysis.formulas import Array
from sevis.analysis.intervals import LEVEL, Interval, skewed_reach, t_quantile

FEWEST_CLASSES = 20
LARGEST = 700.0  # whose exponential is a number


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A measure of one block.

    Attributes:
        value: the estimate, on the scale on which its errors over photos are nearly normal.
        variance: over other photos of the same classes; NaN: there is no interval.
        classes: what each class adds, shape (K,): Σ_k w_k of it is the value to expect for very many classes like these. None: there is no
            interval over classes.
        shown: from `value`'s scale to the measure's own; it increases.
        interval: over photos, on the measure's own scale, where it does not follow from the variance.
        null: what naming the largest class would give.
    """

    value: float
    variance: float = nan
    classes: Array | None = None
    shown: Callable[[float], float] = float
    interval: Interval | None = None
    null: float = nan

    @property
    def estimate(self) -> float:
        """Return the measure."""
        return self.shown(self.value)

    def over_photos(self, freedom: int) -> Interval:
        """Return the 95 % interval over photos, for exactly these classes, by Student's t with so many degrees of freedom; NaN where it is
        unknown.
        """
        if self.interval or isnan(self.variance):
            return self.interval or (nan, nan)
        reach = t_quantile(LEVEL, freedom) * sqrt(self.variance)
        return self.shown(self.value - reach), self.shown(self.value + reach)

    def over_classes(self, weights: Array) -> Interval:
        """Return the 95 % interval over classes drawn like these, with their photos; NaN where it is unknown.

        Of fewer than FEWEST_CLASSES there is none: in simulations it would cover less. It is as wide as the jackknife, which leaves out one
        class at a time, makes it for a mean of squares about the mean of K classes.
        """
        classes = len(weights)
        if self.classes is None or classes < FEWEST_CLASSES:
            return nan, nan
        value = float(weights @ self.classes)
        below, above = skewed_reach((classes - 1) / (classes - 2) * classes * weights * (self.classes - value))
        return self.shown(value - below), self.shown(value + above)


UNKNOWN = Reading(value=nan)


def limited_exp(value: float) -> float:
    """Return the exponential, of numbers up to LARGEST: a stranger's file may give any."""
    return exp(min(value, LARGEST))
