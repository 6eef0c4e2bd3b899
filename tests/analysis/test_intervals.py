"""Intervals of proportions and means, compared with scipy's and published ones."""

from math import gamma

import numpy as np
import pytest
from scipy import stats
from scipy.stats import binomtest

from sevis.analysis.intervals import p_above, paired_change, skewed_reach, student, t_quantile, wilson
from sevis.errors import SevisError


@pytest.mark.parametrize(("hits", "count"), [(0, 1), (0, 1000), (1, 7), (795, 1000), (1000, 1000), (3, 3)])
def test_wilson_equals_scipys(hits, count):
    expected = binomtest(hits, count).proportion_ci(method="wilson")
    assert wilson(hits, count) == (pytest.approx(expected.low, abs=1e-12), pytest.approx(expected.high, abs=1e-12))


def test_the_paired_interval_is_the_published_one():
    # The example of diffpropci.mp in the R package PropCIs, which implements Agresti and Min's interval.
    assert paired_change(lost=40, won=20, count=160) == (pytest.approx(-0.21601726, abs=1e-8), pytest.approx(-0.03089632, abs=1e-8))


def test_the_paired_interval_does_not_collapse():
    low, high = paired_change(0, 0, 1000)
    assert -0.003 < low < 0 < high < 0.003
    assert paired_change(5, 0, 5)[0] == -1


@pytest.mark.parametrize(("lost", "won", "count"), [(0.001, 0.001, 1000), (0.02, 0.01, 1000), (0.3, 0.1, 200), (0.7, 0.0, 1000)])
def test_the_paired_interval_covers_the_truth(lost, won, count):
    draws = np.random.default_rng(0).multinomial(count, [lost, won, 1 - lost - won], size=4000)
    ends = np.array([paired_change(one, other, count) for one, other, _ in draws.tolist()])
    covered = np.mean((ends[:, 0] <= won - lost) & (won - lost <= ends[:, 1]))
    assert 0.94 < covered <= 1


@pytest.mark.parametrize("call", [lambda: wilson(2, 1), lambda: wilson(-1, 5), lambda: wilson(0, 0)])
def test_impossible_counts(call):
    with pytest.raises(SevisError, match="expected"):
        call()
    for counts in ((3, 3, 5), (-1, 0, 5), (0, 0, 0)):
        with pytest.raises(SevisError, match="to change sides"):
            paired_change(*counts)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_students_interval_equals_scipys(count):
    values = np.random.default_rng(count).normal(50, 2, count)
    expected = stats.t.interval(0.95, count - 1, loc=values.mean(), scale=stats.sem(values))
    assert student(values.tolist()) == pytest.approx(expected)


def test_values_without_a_spread_have_no_interval_and_none_is_an_error():
    assert student([3.0]) is None
    assert student([3.0, 3.0]) is None
    with pytest.raises(SevisError, match="at least one value"):
        student([])


@pytest.mark.parametrize("limit", [-1.0, 0.0, 48.0, 51.0])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_the_one_sided_test_of_a_mean_is_scipys(count, limit):
    values = np.random.default_rng(count).normal(50, 2, count)
    assert p_above(values.tolist(), limit) == pytest.approx(stats.ttest_1samp(values, limit, alternative="greater").pvalue)


@pytest.mark.parametrize("values", [[], [3.0], [3.0, 3.0]])
def test_values_without_a_spread_cannot_be_tested(values):
    with pytest.raises(SevisError, match="their spread is unknown"):
        p_above(values, 0)


def test_the_reach_of_a_mean_is_students_unless_the_sample_is_skewed():
    values = np.arange(-10.0, 11)
    expected = stats.t.ppf(0.975, 20) * stats.sem(values)
    assert skewed_reach(values) == pytest.approx((expected, expected), rel=1e-5)
    for freedom in (9, 12, 19, 80, 10_000):
        assert t_quantile(0.95, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=1e-4)
    assert skewed_reach(np.zeros(5)) == (0, 0)


def test_halls_interval_is_where_his_transformed_t_is_within_students_ends():
    values = np.random.default_rng(0).exponential(size=25)
    values -= values.mean()
    below, above = skewed_reach(values)
    error, a = stats.sem(values), stats.skew(values) / (6 * 5) * (24 / 25) ** 1.5
    ends = [reach + 2 * a * reach**2 + 4 / 3 * a**2 * reach**3 + a for reach in (below / error, -above / error)]
    assert ends == pytest.approx([stats.t.ppf(0.975, 24), -stats.t.ppf(0.975, 24)], rel=1e-5)
    assert above > below > 0


def test_halls_interval_covers_the_mean_of_skewed_numbers_better_than_students():
    draws = np.random.default_rng(1).exponential(size=(3000, 20)) ** 1.5
    truth = gamma(2.5)  # of an exponential number to the power of 1.5
    hall, plain = 0, 0
    for row in draws:
        mean, reach = row.mean(), stats.t.ppf(0.975, 19) * stats.sem(row)
        below, above = skewed_reach(row - mean)
        hall += mean - below <= truth <= mean + above
        plain += abs(mean - truth) <= reach
    assert plain < 0.88 * 3000
    assert hall > plain + 60
