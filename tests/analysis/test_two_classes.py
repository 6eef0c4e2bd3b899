"""Two classes compared, against SciPy on the raw images, a published example, plain loops, and simulated truth."""

import numpy as np
import pytest
from scipy import stats

from sevis.analysis.two_classes import MIN_IMAGES, RATE, compare_classes, standardised_difference
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError

WIDTHS = {"SE_2_1": 7, "SE_3_1": 12}
COUNTS = {"goldfish": 9, "cliff": 14, "lion": 3, "pizza": 0}


@pytest.fixture(scope="module")
def scales():
    """Per class and block, the scales of each image, shape (n, C); channel 3 of SE_2_1 is open for all, channel 5 still for goldfish."""
    random = np.random.default_rng(0)
    found = {
        name: {site: random.beta(2 + place, 2, size=(count, width)).astype(np.float32) for site, width in WIDTHS.items()}
        for place, (name, count) in enumerate(COUNTS.items())
    }
    for blocks in found.values():
        blocks["SE_2_1"][:, 3] = 1
    found["goldfish"]["SE_2_1"][:, 5] = 0.25
    return found


@pytest.fixture(scope="module")
def statistics(scales):
    return collected(scales, WIDTHS)


def collected(scales, widths):
    statistics = ClassStatistics(widths, tuple(scales))
    for label, blocks in enumerate(scales.values()):
        values = {site: {"scale": scale, "squeeze": scale} for site, scale in blocks.items()}
        statistics.update(np.full(len(next(iter(blocks.values()))), label), values)
    return statistics


def test_effects_are_those_of_the_raw_images(statistics, scales):
    effects = compare_classes(statistics, "goldfish", "cliff")
    first, second = (np.concatenate([scales[name][site] for site in WIDTHS], axis=1).astype(float) for name in ("goldfish", "cliff"))
    moving = np.arange(19) != 3
    assert effects.block.tolist() == ["SE_2_1"] * 7 + ["SE_3_1"] * 12
    assert effects.channel.tolist() == [*range(7), *range(12)]
    assert (effects.names, effects.counts, effects.known) == (("goldfish", "cliff"), (9, 14), True)
    np.testing.assert_allclose(effects.means, [first.mean(axis=0), second.mean(axis=0)], rtol=1e-12)
    d = (first.mean(axis=0) - second.mean(axis=0)) / np.sqrt((first.var(axis=0, ddof=1) + second.var(axis=0, ddof=1)) / 2 + ~moving)
    np.testing.assert_allclose(effects.g[moving], d[moving] * (1 - 3 / (4 * 23 - 9)), rtol=1e-9)
    both = moving & (np.arange(19) != 5)  # SciPy warns of a group that does not move
    p = stats.ttest_ind(first[:, both], second[:, both], equal_var=False).pvalue
    np.testing.assert_allclose(effects.p[both], p, rtol=1e-9)
    assert effects.p[5] == pytest.approx(stats.ttest_1samp(second[:, 5], 0.25).pvalue)
    assert effects.still.tolist() == (~moving).tolist()
    assert all(np.isnan(column[3]) for column in (effects.g, effects.low, effects.high, effects.p, effects.q))


def test_the_intervals_are_those_of_a_published_example():
    """Means, deviations and sizes of the first example of statpsych's ci.stdmean2, and what it prints."""
    g, low, high = standardised_difference(np.array([[35.1], [26.7]]), np.square([[7.32], [6.98]]), (30, 30))
    np.testing.assert_allclose([g[0], low[0], high[0]], [1.159240, 0.6170771, 1.731909], rtol=1e-6)


@pytest.mark.parametrize("counts", [(MIN_IMAGES, MIN_IMAGES), (MIN_IMAGES, 50), (50, 50)])
@pytest.mark.parametrize(("effect", "deviation"), [(0, 1), (1, 1), (2, 3), (3, 1)])
def test_the_intervals_hold_the_truth_as_often_as_they_say(counts, effect, deviation):
    random = np.random.default_rng(7)
    groups = [
        random.normal(effect * np.sqrt((1 + deviation**2) / 2), 1, (counts[0], 20_000)),
        random.normal(0, deviation, (counts[1], 20_000)),
    ]
    means, variances = (
        np.stack([summary(group) for group in groups]) for summary in (lambda x: x.mean(axis=0), lambda x: x.var(axis=0, ddof=1))
    )
    _, low, high = standardised_difference(means, variances, counts)
    held = np.mean((low <= effect) & (effect <= high))
    assert 0.93 <= held <= 0.97  # 0.95 in large samples


def test_adjusted_p_values_are_those_of_the_step_up_procedure(statistics):
    effects = compare_classes(statistics, "goldfish", "cliff")
    known = np.flatnonzero(~np.isnan(effects.p))
    order = sorted(known, key=lambda place: effects.p[place])
    for rank, place in enumerate(order):
        steps = [effects.p[later] * len(order) / (later_rank + 1) for later_rank, later in enumerate(order) if later_rank >= rank]
        assert effects.q[place] == pytest.approx(min(1, *steps))
    assert effects.discovered.tolist() == [bool(q <= RATE) for q in effects.q]


def test_false_discoveries_stay_below_their_rate():
    random = np.random.default_rng(3)
    shares, found = [], 0
    for _ in range(40):
        scales = {name: {"SE_2_1": random.normal(0.5, 0.1, (20, 300)).astype(np.float32)} for name in ("one", "other")}
        scales["one"]["SE_2_1"][:, :60] += 0.12
        discovered = compare_classes(collected(scales, {"SE_2_1": 300}), "one", "other").discovered
        shares.append(discovered[60:].sum() / max(discovered.sum(), 1))
        found += discovered[:60].sum()
    assert np.mean(shares) < RATE * 1.2
    assert found > 0.7 * 40 * 60


def test_where_nothing_differs_the_median_effect_is_that_of_chance():
    random = np.random.default_rng(4)
    scales = {name: {"SE_2_1": random.normal(0.5, 0.1, (20 + 15 * row, 4000)).astype(np.float32)} for row, name in enumerate("ab")}
    effects = compare_classes(collected(scales, {"SE_2_1": 4000}), "a", "b")
    assert np.median(np.abs(effects.g)) == pytest.approx(effects.chance, rel=0.05)


def test_one_block_is_a_family_of_its_own(statistics):
    alone, together = (compare_classes(statistics, "goldfish", "cliff", sites=sites) for sites in (("SE_3_1",), None))
    np.testing.assert_array_equal(alone.g, together.g[7:])
    np.testing.assert_allclose(alone.q, stats.false_discovery_control(alone.p))
    assert (alone.q != together.q[7:]).any()


def test_the_largest_effects_come_first(statistics):
    effects = compare_classes(statistics, "goldfish", "cliff")
    sizes = [abs(effects.g[place]) for place in effects.largest(5)]
    assert sizes == sorted((abs(g) for g in effects.g if not np.isnan(g)), reverse=True)[:5]
    assert len(effects.largest(100)) == 18  # the open channel's is unknown


@pytest.mark.parametrize("other", ["lion", "pizza"])
def test_too_few_images_say_nothing(statistics, other):
    effects = compare_classes(statistics, "goldfish", other)
    assert not effects.known
    assert not effects.discovered.any()
    assert not effects.still.any()
    assert len(effects.largest(20)) == 0
    assert all(np.isnan(column).all() for column in (effects.g, effects.low, effects.high, effects.p, effects.q))
    assert np.isnan(effects.chance)


def test_mistakes_are_named(statistics):
    with pytest.raises(SevisError, match="expected two classes"):
        compare_classes(statistics, "cliff", "cliff")
    with pytest.raises(SevisError, match="no class 'unicorn'"):
        compare_classes(statistics, "cliff", "unicorn")
    with pytest.raises(SevisError, match="no SE block is called 'SE_9_9'"):
        compare_classes(statistics, "cliff", "goldfish", sites=("SE_9_9",))
    with pytest.raises(SevisError, match="0 blocks"):
        compare_classes(statistics, "cliff", "goldfish", sites=())
