"""Ratios of two ways to do one thing, measured in turns in one run: on a shared machine absolute times mean little."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sevis.errors import SevisError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Way = Callable[[], object]
Clock = Callable[[], float]
FIRST = 4  # pairs before the first ratio is told: of fewer, quartiles say nothing


@dataclass(frozen=True)
class Ratio:
    """The time of one way to do something over that of the plain way.

    Attributes:
        median: of the ratios of all pairs.
        low, high: the quartiles of those ratios.
        plain: the median time of the plain way, in seconds.
        pairs: how many pairs were measured so far.
        total: how many will be.
    """

    median: float
    low: float
    high: float
    plain: float
    pairs: int
    total: int

    @property
    def done(self) -> float:
        """Return how much of the measurement, in 0..1."""
        return self.pairs / self.total

    def __str__(self) -> str:
        return f"{self.median:.3f}x (quartiles {self.low:.3f} to {self.high:.3f}; plain {self.plain * 1e3:.1f} ms)"


def paired(plain: Way, measured: Way, *, pairs: int = 30, clock: Clock | None = None) -> Ratio:
    """Return the ratio of the times of two ways after so many pairs. Takes and raises what `pair_up` does."""
    *_, ratio = pair_up(plain, measured, pairs=pairs, clock=clock)
    return ratio


def pair_up(plain: Way, measured: Way, *, pairs: int = 30, clock: Clock | None = None) -> Iterator[Ratio]:
    """Run two ways in turns, first the one and then the other leading, after one unmeasured pair.

    Args:
        plain, measured: the two ways.
        pairs: how many pairs to measure.
        clock: of the seconds; None is that on the wall. `time.process_time` counts those that the processor worked for this process,
            which other work on the machine disturbs less.

    Yields:
        The ratio so far, after each pair from the fourth on and after the last.

    Raises:
        SevisError: for fewer than two pairs, which have no quartiles.
    """
    if pairs < 2:
        raise SevisError(f"expected at least two pairs to measure, got {pairs}")
    plain()
    measured()
    ratios, plains = [], []
    for number in range(pairs):
        if number % 2:
            seconds, base = _time(measured, clock), _time(plain, clock)
        else:
            base, seconds = _time(plain, clock), _time(measured, clock)
        ratios.append(seconds / base)
        plains.append(base)
        if number + 1 >= min(FIRST, pairs):
            low, median, high = statistics.quantiles(ratios, n=4)
            yield Ratio(median, low, high, statistics.median(plains), number + 1, pairs)


def forward(model: "nn.Module", images: "Tensor") -> None:
    """Run a forward pass without gradients, to its end."""
    import torch

    with torch.inference_mode():
        model(images)
    wait(images.device)


def wait(device: "torch.device") -> None:
    """Wait until all work on a device is done: a GPU answers before it is."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _time(way: Way, clock: Clock | None) -> float:
    now = clock or time.perf_counter
    started = now()
    way()
    return now() - started
