"""Paired ratios against a clock that stands still but for what the two ways take."""

import statistics
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from sevis import SevisError
from sevis.experiments import timing
from sevis.experiments.timing import forward, pair_up, paired


class Clock:
    """Seconds that pass only when a way runs."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def way(self, name: str, seconds: Iterator[float]) -> Callable[[], None]:
        def run() -> None:
            self.calls.append(name)
            self.now += next(seconds)

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: made.now)
    return made


def test_the_ratio_is_the_median_of_pairs_and_not_of_times(clock: Clock) -> None:
    """The machine slows down tenfold half way: the ratio of each pair is what stays."""
    load = [99.0, 1, 1, 1, 1, 10, 10, 10, 10]  # the first pair is not measured
    excess = [50.0, 1.5, 1.1, 1.2, 1.3, 1.3, 1.2, 1.1, 1.5]
    plain = clock.way("plain", iter(load))
    measured = clock.way("measured", iter([base * more for base, more in zip(load, excess, strict=True)]))
    ratio = paired(plain, measured, pairs=8)
    assert ratio.median == pytest.approx(statistics.median(excess[1:]))
    assert (ratio.low, ratio.high) == pytest.approx((1.125, 1.45))
    assert ratio.plain == pytest.approx(5.5)
    assert ratio.pairs == 8
    assert str(ratio) == "1.250x (quartiles 1.125 to 1.450; plain 5500.0 ms)"


def test_the_ways_take_turns_in_leading(clock: Clock) -> None:
    paired(clock.way("a", iter([1.0] * 5)), clock.way("b", iter([1.0] * 5)), pairs=4)
    assert "".join(clock.calls) == "ab" + "ab" + "ba" + "ab" + "ba"


@pytest.mark.parametrize(("pairs", "told"), [(2, [2]), (3, [3]), (4, [4]), (7, [4, 5, 6, 7])])
def test_ratios_so_far_are_told_from_the_fourth_pair_on_and_at_the_end(clock: Clock, pairs: int, told: list[int]) -> None:
    measured = [2.0, *(float(number) for number in range(1, pairs + 1))]
    ratios = list(pair_up(clock.way("plain", iter([1.0] * 8)), clock.way("measured", iter(measured)), pairs=pairs))
    assert [ratio.pairs for ratio in ratios] == told
    assert [ratio.done for ratio in ratios] == [count / pairs for count in told]
    assert [ratio.median for ratio in ratios] == pytest.approx([(count + 1) / 2 for count in told])


def test_nothing_runs_before_it_is_asked_for_nor_after(clock: Clock) -> None:
    """A page that is left stops the measurement between two pairs."""
    ratios = pair_up(clock.way("a", iter([1.0] * 99)), clock.way("b", iter([1.0] * 99)), pairs=50)
    assert clock.calls == []
    next(ratios)
    ratios.close()
    assert len(clock.calls) == 2 * 5


@pytest.mark.parametrize("pairs", [1, 0, -3])
def test_too_few_pairs_are_refused(clock: Clock, pairs: int) -> None:
    with pytest.raises(SevisError, match=f"at least two pairs to measure, got {pairs}"):
        paired(clock.way("a", iter([])), clock.way("b", iter([])), pairs=pairs)


def test_a_forward_pass_needs_no_gradients() -> None:
    seen: list[tuple[tuple[int, ...], bool]] = []

    class Watched(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append((tuple(images.shape), torch.is_inference_mode_enabled()))
            return images

    forward(Watched(), torch.ones(2, 3))
    assert seen == [((2, 3), True)]
