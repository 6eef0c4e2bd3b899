"""Tests of changes on the same images: against scipy, a computation by hand, and simulated audits whose truth is known."""

from math import comb

import numpy as np
import pytest
from scipy import stats

from sevis.analysis.paired_tests import ALPHA, MOST, POWER, holm, paired_test, smallest_loss
from sevis.errors import SevisError


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (1, 0), (0, 9), (5, 5), (6, 5), (12, 10), (40, 10), (300, 10), (3000, 3200)])
def test_the_paired_test_is_the_exact_binomial_one(lost, won):
    expected = stats.binomtest(lost, lost + won).pvalue if lost + won else 1.0
    assert paired_test(lost, won) == pytest.approx(expected, rel=1e-9)
    assert paired_test(won, lost) == paired_test(lost, won)


def test_the_paired_test_equals_one_in_whole_numbers():
    for lost, won in ((3, 17), (70, 101)):
        count = lost + won
        assert paired_test(lost, won) == pytest.approx(2 * sum(comb(count, k) for k in range(lost + 1)) / 2**count, rel=1e-12)


def test_many_images_take_no_time_and_too_many_are_refused():
    half = MOST // 2
    assert paired_test(half - 20_000, half + 20_000) == pytest.approx(2 * stats.norm.sf(39_999 / MOST**0.5), rel=1e-3)
    for lost, won in ((MOST, 1), (-1, 3)):
        with pytest.raises(SevisError, match="expected counts of at most 100,000,000 images"):
            paired_test(lost, won)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # 3 x 0.01; 2 x 0.03, then no less; 4 x 0.005
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_holm_holds_the_same_tests_as_its_definition():
    """One after the other, the smallest first: the first that fails ends it."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = rng.uniform(size=8) ** 4
        held = set()
        for rank, place in enumerate(np.argsort(values)):
            if values[place] > ALPHA / (8 - rank):
                break
            held.add(place)
        assert {place for place, value in enumerate(holm(values.tolist())) if value <= ALPHA} == held


def simulate(loss, moving, count, *, draws, seed):
    """How many of `count` images are lost and won in each of `draws` audits, where truly a share `loss` is lost."""
    rng = np.random.default_rng(seed)
    shares = [(moving + loss) / 2, (moving - loss) / 2, 1 - moving]
    return rng.multinomial(count, shares, size=draws)[:, :2].T


def exact(lost, won):
    return np.where(lost == won, 1, 2 * stats.binom.cdf(np.minimum(lost, won), lost + won, 0.5))


@pytest.mark.parametrize("tests", [1, 16])
@pytest.mark.parametrize("moving", [0.005, 0.02, 0.06, 0.15, 0.4])
@pytest.mark.parametrize("count", [1000, 10_000])
def test_the_smallest_loss_is_found_four_times_in_five(tests, moving, count):
    loss = smallest_loss(round(moving * count), count, tests=tests)
    lost, won = simulate(loss, max(moving, loss), count, draws=5000, seed=1)
    found = ((exact(lost, won) <= ALPHA / tests) & (lost > won)).mean()
    assert found > POWER - 0.02
    if moving >= 0.06:  # where few images change sides, an exact test finds more than that, for it counts in whole images
        assert found < POWER + 0.06
    lost, won = simulate(loss / 2, max(moving, loss), count, draws=5000, seed=2)
    assert ((exact(lost, won) <= ALPHA / tests) & (lost > won)).mean() < 0.5  # smaller ones are missed


def test_without_images_that_change_sides_a_loss_must_move_some_itself():
    loss = smallest_loss(0, 10_000, tests=16)
    assert 10 < 10_000 * loss < 20  # ten losses without a gain are the fewest that the test finds at 0.05 / 16
    assert paired_test(10, 0) <= ALPHA / 16 < paired_test(9, 0)


def test_few_images_show_nothing():
    for count, tests in ((5, 1), (9, 16)):
        assert paired_test(count, 0) > ALPHA / tests
        assert smallest_loss(2, count, tests=tests) == 1
    assert smallest_loss(2, 20, tests=16) < 1


def test_where_nothing_is_lost_sixteen_tests_find_something_once_in_twenty():
    lost, won = (simulate(0, 0.06, 10_000, draws=32_000, seed=3)).reshape(2, 2000, 16)
    values = exact(lost, won)
    wrong = np.mean([min(holm(row.tolist())) <= ALPHA for row in values])
    assert 0.02 < wrong < 0.06
    assert np.mean(values.min(axis=1) <= ALPHA) > 0.4  # without the correction
