"""Ratios of two ways to do one thing, measured in turns in one run: on a shared machine absolute times mean little."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Of the time of the way measured to that of the plain one.

    Attributes:
        median: of the ratios of all pairs.
        low, high: the quartiles of those ratios.
        plain: the median time of the plain way, in seconds.
    """

    median: float
    low: float
    high: float
    plain: float

    def __str__(self) -> str:
        return f"{self.median:.3f}x (quartiles {self.low:.3f} to {self.high:.3f}; plain {self.plain * 1e3:.1f} ms)"


def paired(plain: Callable[[], object], measured: Callable[[], object], *, pairs: int = 30) -> Ratio:
    """Runs the two ways in turns, first the one and then the other leading, after one unmeasured pair."""
    plain()
    measured()
    ratios, plains = [], []
    for number in range(pairs):
        if number % 2:
            seconds, base = _time(measured), _time(plain)
        else:
            base, seconds = _time(plain), _time(measured)
        ratios.append(seconds / base)
        plains.append(base)
    low, median, high = statistics.quantiles(ratios, n=4)
    return Ratio(median, low, high, statistics.median(plains))


def _time(way: Callable[[], object]) -> float:
    started = time.perf_counter()
    way()
    return time.perf_counter() - started
