"""Each formula against SciPy, a plain loop, or a population whose answer is known."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

from sevis.analysis import formulas
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError

COUNT = np.array([7, 12, 5, 9])
LABELS = np.repeat(np.arange(4), COUNT)
OF_MOMENTS = (formulas.class_share, formulas.mean_share, formulas.overall_spread, formulas.within_spread, formulas.between_spread)


@pytest.fixture
def values():
    """Scales of four classes of unequal size, some channels with a class effect, some without: shape (33, 10)."""
    random = np.random.default_rng(0)
    centres = 0.5 + 0.1 * random.normal(size=(4, 10)) * (np.arange(10) < 6)
    return np.clip(centres[LABELS] + 0.05 * random.normal(size=(33, 10)), 0, 1)


def moments(values, labels=LABELS, classes=4):
    groups = [values[labels == label] for label in range(classes)]
    mean = np.stack([group.mean(axis=0) if len(group) else np.full(values.shape[1], np.nan) for group in groups])
    m2 = np.stack([np.square(group - row).sum(axis=0) for group, row in zip(groups, mean, strict=True)])
    return mean, m2, np.array([len(group) for group in groups])


def test_the_class_share_follows_from_the_f_statistic(values):
    f = stats.f_oneway(*(values[label == LABELS] for label in range(4))).statistic
    expected = 3 * (f - 1) / (3 * (f - 1) + len(values))  # Hays's other form of omega squared
    np.testing.assert_allclose(formulas.class_share(*moments(values)), expected)
    assert expected.max() > 0.5
    assert expected.min() < 0


def test_the_class_share_of_noise_is_zero_whatever_the_number_of_classes():
    random = np.random.default_rng(1)
    for classes, size in ((4, 5), (50, 5)):
        labels = np.repeat(np.arange(classes), size)
        noise = random.normal(0.5, 0.1, size=(len(labels), 4000))
        mean, m2, count = moments(noise, labels, classes)
        assert abs(formulas.class_share(mean, m2, count).mean()) < 0.005
        between = (count[:, None] * np.square(mean - noise.mean(axis=0))).sum(axis=0)
        assert (between / (between + m2.sum(axis=0))).mean() > 0.1  # eta squared is not


def test_the_class_share_is_unknown_where_nothing_can_be_said(values):
    mean, m2, count = moments(values)
    assert np.isnan(formulas.class_share(mean[:1], m2[:1], count[:1])).all()
    assert np.isnan(formulas.class_share(mean, np.zeros_like(m2), np.ones(4, int))).all()  # one image a class: no spread within
    constant = np.full_like(values, 0.3)
    constant[:, 0] = values[:, 0]
    share = formulas.class_share(*moments(constant))
    assert np.isfinite(share[0])
    assert np.isnan(share[1:]).all()


def test_a_class_without_images_changes_nothing(values):
    mean, m2, count = moments(values, np.where(LABELS > 1, LABELS + 1, LABELS), 5)
    assert count[2] == 0
    for formula in OF_MOMENTS:
        np.testing.assert_allclose(formula(mean, m2, count), formula(*moments(values)))
    np.testing.assert_allclose(formulas.selectivity(mean), formulas.selectivity(moments(values)[0]))


def test_axes_before_the_classes_are_kept(values):
    mean, m2, count = moments(values)
    pair = np.stack([mean, mean**2]), np.stack([m2, 2 * m2])
    for formula in OF_MOMENTS:
        np.testing.assert_allclose(formula(*pair, count), [formula(mean, m2, count), formula(mean**2, 2 * m2, count)])
    np.testing.assert_allclose(formulas.selectivity(pair[0]), [formulas.selectivity(mean), formulas.selectivity(mean**2)])


def test_spreads_find_the_standard_deviations_of_a_population():
    random = np.random.default_rng(2)
    count = random.integers(5, 25, size=60)
    labels = np.repeat(np.arange(60), count)
    values = random.normal(0, 0.2, size=(60, 500))[labels] + random.normal(0, 0.4, size=(len(labels), 500))
    mean, m2, count = moments(values, labels, 60)
    within, between = formulas.within_spread(mean, m2, count), formulas.between_spread(mean, m2, count)
    assert np.sqrt(np.square(within).mean()) == pytest.approx(0.4, abs=0.005)
    assert np.sqrt(np.square(between).mean()) == pytest.approx(0.2, abs=0.005)
    np.testing.assert_allclose(formulas.overall_spread(mean, m2, count), values.std(axis=0, ddof=1))


def test_noise_has_no_spread_between_classes(values):
    noise = np.random.default_rng(3).normal(size=(33, 1000))
    within, between = formulas.within_spread(*moments(noise)), formulas.between_spread(*moments(noise))
    assert (between == 0).mean() > 0.4  # less than the noise of the means, about every other time
    assert within.mean() == pytest.approx(1, abs=0.02)
    for classes in (1, 0):
        for formula in (formulas.within_spread, formulas.between_spread):
            assert np.isnan(formula(*(part[:classes] for part in moments(values)))).all()
    assert np.isnan(formulas.overall_spread(values[:1], np.zeros((1, 10)), np.ones(1, int))).all()


def test_selectivity_is_morcos_index(values):
    mean = moments(values)[0]
    for channel, found in enumerate(formulas.selectivity(mean)):
        ordered = sorted(mean[:, channel])
        rest = sum(ordered[:-1]) / 3
        assert found == pytest.approx((ordered[-1] - rest) / (ordered[-1] + rest))
    assert formulas.selectivity(np.array([[0.55], [0.45]])) == pytest.approx(0.1)
    assert formulas.selectivity(np.array([[0.0], [0.3], [0.0]])) == pytest.approx(1)
    assert np.isnan(formulas.selectivity(np.array([[0.0, -0.1], [0.0, 0.5]]))).all()
    assert np.isnan(formulas.selectivity(mean[:1])).all()


def test_shares_count_the_scales_at_either_end():
    values = np.array([[0, 0.05, 0.1, 0.9, 0.95, 1, 1, 0.5], [0.5] * 8])
    assert formulas.open_share(values).tolist() == [3 / 8, 0]
    assert formulas.shut_share(values).tolist() == [2 / 8, 0]
    assert formulas.saturated_share(values).tolist() == [5 / 8, 0]
    negative = np.array([-0.05, 0.05, 0.95])
    assert np.isnan(formulas.shut_share(negative))
    assert formulas.saturated_share(negative) == pytest.approx(1 / 3)


def test_shares_of_a_histogram_are_those_of_its_scales():
    random = np.random.default_rng(8)
    values = random.choice([0, 1, 0.05, 0.5, 0.955, 1.5], size=(40, 12)).astype(np.float32)  # none at an edge between bins
    labels = np.repeat(np.arange(4), 10)
    for lowest in (0, -0.5):
        values[0, 0] = lowest
        statistics = ClassStatistics({"SE_2_1": 12}, tuple("abcd"), sample=1)
        statistics.update(labels, {"SE_2_1": {"scale": values, "squeeze": values}})
        histogram = statistics.histogram("SE_2_1")
        for rows, chosen in ((slice(None), values), (np.array([1, 3]), values[(labels == 1) | (labels == 3)])):
            flat = chosen.ravel()
            assert formulas.shares_of(histogram, rows) == {
                "high": pytest.approx(formulas.open_share(flat)),
                "low": pytest.approx(formulas.shut_share(flat), nan_ok=True),
                "zeros": pytest.approx((flat == 0).mean()),
                "ones": pytest.approx((flat == 1).mean()),
            }
    empty = ClassStatistics({"SE_2_1": 12}, ("a",), sample=1).histogram("SE_2_1")
    assert np.isnan(list(formulas.shares_of(empty).values())).all()


def test_effective_channels_are_the_exponential_of_the_entropy(values):
    np.testing.assert_allclose(formulas.effective_channels(values), np.exp(stats.entropy(values, axis=1)))
    assert formulas.effective_channels(np.full((1, 6), 0.2)) == pytest.approx(6)
    assert formulas.effective_channels(np.array([[0.0, 0.7, 0.0]])) == pytest.approx(1)
    assert np.isnan(formulas.effective_channels(np.array([[0.0, 0.0], [-0.1, 0.5]]))).all()


@pytest.mark.parametrize("digits", [1, 9])
def test_mean_ranks_are_scipys(values, digits):
    rounded = values.round(digits)
    ranks, ties = formulas.mean_ranks(rounded)
    np.testing.assert_array_equal(ranks, stats.rankdata(rounded, axis=1))
    groups = [np.unique(row, return_counts=True)[1] for row in rounded]
    np.testing.assert_array_equal(ties, [sum(int(t) ** 3 - int(t) for t in group) for group in groups])
    assert (ties > 0).any() == (digits == 1)


def kendall_w(values):
    """Each image counted once."""
    return formulas.rank_concord(*formulas.mean_ranks(values), np.full(len(values), 1 / len(values)))[0]


def test_kendalls_w_follows_from_the_mean_rank_correlation(values):
    pairs = stats.spearmanr(values, axis=1).statistic
    mean = (pairs.sum() - len(pairs)) / (len(pairs) * (len(pairs) - 1))
    assert kendall_w(values) == pytest.approx((1 + (len(values) - 1) * mean) / len(values))


def test_kendalls_w_with_ties_is_the_textbooks(values):
    rounded = values.round(1)
    ranks, (images, channels) = stats.rankdata(rounded, axis=1), values.shape
    ties = sum(int(t) ** 3 - int(t) for row in rounded for t in np.unique(row, return_counts=True)[1])
    deviations = sum((total - images * (channels + 1) / 2) ** 2 for total in ranks.sum(axis=0))
    expected = 12 * deviations / (images**2 * (channels**3 - channels) - images * ties)
    assert kendall_w(rounded) == pytest.approx(expected)


def test_kendalls_w_at_its_ends():
    order = np.linspace(0.1, 0.9, 6)
    assert kendall_w(np.stack([order, order**2, order])) == pytest.approx(1)
    assert kendall_w(np.stack([order, order[::-1]])) == pytest.approx(0)
    assert kendall_w(np.array([[0.1, 0.1, 0.9], [0.2, 0.2, 0.3]])) == pytest.approx(1)  # alike, ties and all
    for unknown in (np.full((4, 5), 0.5), order[:, None]):
        assert np.isnan(kendall_w(unknown))


def test_shares_count_an_image_several_times_and_influence_is_the_derivative(values):
    rounded = values.round(1)
    ranks, ties = formulas.mean_ranks(rounded)
    times = np.random.default_rng(4).integers(0, 4, size=len(values))
    found, influence = formulas.rank_concord(ranks, ties, times / times.sum())
    assert found == pytest.approx(kendall_w(np.repeat(rounded, times, axis=0)), rel=1e-5)
    step = 1e-3
    for image in range(5):
        ends = [formulas.rank_concord(ranks, ties, times / times.sum() + sign * step * (np.arange(33) == image))[0] for sign in (1, -1)]
        assert influence[image] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-3)


def test_the_mean_share_is_that_of_the_channels_that_have_one(values):
    still = values.copy()
    still[:, 3:] = 0.5
    mean, m2, count = moments(still)
    assert formulas.mean_share(mean, m2, count) == pytest.approx(formulas.class_share(mean, m2, count)[:3].mean())
    pair = np.stack([mean, mean**2]), np.stack([m2, 2 * m2])
    expected = [formulas.mean_share(mean, m2, count), formulas.mean_share(mean**2, 2 * m2, count)]
    np.testing.assert_allclose(formulas.mean_share(*pair, count), expected)
    assert np.isnan(formulas.mean_share(mean[:1], m2[:1], count[:1]))


def test_distances_are_scipys(values):
    mean = moments(values)[0]
    np.testing.assert_allclose(formulas.distances(mean, "cosine"), cdist(mean, mean, "cosine"), atol=1e-12)
    np.testing.assert_allclose(formulas.distances(mean, "l1"), cdist(mean, mean, "cityblock") / mean.shape[1])
    mean[1] = np.nan
    for metric in ("cosine", "l1"):
        unknown = np.isnan(formulas.distances(mean, metric))
        assert unknown[1].all()
        assert unknown[:, 1].all()
        assert unknown.sum() == 7
    with pytest.raises(SevisError, match="unknown distance 'l2': choose cosine or l1"):
        formulas.distances(mean, "l2")


def test_the_nearest_class_leaves_the_image_out(values):
    mixed = np.random.default_rng(5).permutation(len(values))
    values, labels = values[mixed] + 0.2 * np.random.default_rng(6).normal(size=values.shape), LABELS[mixed] * 10
    found = formulas.nearest_class(values, labels)
    for image, row in enumerate(values):
        others = np.arange(len(values)) != image
        centres = {label: values[others & (labels == label)].mean(axis=0) for label in (0, 10, 20, 30)}
        assert found[image] == min(centres, key=lambda label: np.square(row - centres[label]).sum())
    assert 0.3 < (found == labels).mean() < 1


def test_the_nearest_class_of_a_few_images_is_that_by_the_means_of_all(values):
    noisy = values + 0.2 * np.random.default_rng(6).normal(size=values.shape)
    whole = formulas.nearest_class(noisy, LABELS)
    mean = np.stack([noisy[label == LABELS].mean(axis=0) for label in range(4)] + [np.full(noisy.shape[1], np.nan)])
    count = np.bincount(LABELS, minlength=5)
    few = np.flatnonzero(np.arange(len(LABELS)) % 3 == 0)
    assert set(LABELS[few]) == set(LABELS)
    np.testing.assert_array_equal(formulas.nearest_class(noisy[few], LABELS[few], mean=mean, count=count), whole[few])


def test_an_image_alone_in_its_class_cannot_be_left_out(values):
    found = formulas.nearest_class(values[:8], np.array([0, 0, 0, 0, 1, 1, 1, 2]))
    assert found[-1] == -1
    assert set(found[:-1]) <= {0, 1, 2}
    assert len(formulas.nearest_class(np.zeros((0, 3)), np.zeros(0, int))) == 0


def test_the_median_leaves_out_what_is_unknown():
    rows = np.array([[3, np.nan, 1], [1, 2, 3], [np.nan, np.nan, np.nan], [4, 1, np.nan]])
    np.testing.assert_array_equal(formulas.middle(rows), [2, 2, np.nan, 2.5])
