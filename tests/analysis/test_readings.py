"""How each measure is read off a block: against plain formulas on raw scales, and influence against derivatives."""

from math import isnan

import numpy as np
import pytest
from scipy import stats

from sevis.analysis import formulas
from sevis.analysis.block_gates import BlockGates, draw_images, gates_of_block
from sevis.analysis.class_differences import Photos
from sevis.analysis.depth_measures import MEASURES
from sevis.analysis.readings import Reading
from sevis.class_statistics.class_statistics import ClassStatistics
from tests.helpers.populations import SITE, collected, population, truths

BY_NAME = {measure.name: measure for measure in MEASURES}


def block_of(values):
    """The block of raw scales, shape (K, n, C)."""
    statistics = collected(values)
    return gates_of_block(statistics, SITE, draw_images(statistics, seed=0))


def read(name, block):
    return BY_NAME[name].read(block)


@pytest.fixture(scope="module")
def values():
    """Seven classes of thirty photos, as half precision keeps them."""
    drawn = population("sigmoid", classes=7, channels=11).draw(30, np.random.default_rng(1))
    return drawn.astype(np.float16).astype(np.float64)


@pytest.fixture(scope="module")
def block(values):
    return block_of(values)


@pytest.mark.parametrize("kind", ["sigmoid", "scaled"])
def test_of_very_many_photos_each_measure_is_that_of_the_population(kind):
    one = population(kind, classes=6, channels=12)
    block = block_of(one.draw(1600, np.random.default_rng(2)))
    for name, expected in truths(one, photos=10_000, random=np.random.default_rng(3)).items():
        if kind == "sigmoid" or name not in ("low", "effective"):  # of scales below 0, these are unknown
            found = read(name, block)
            assert found.estimate == pytest.approx(expected, rel=0.1, abs=0.002), name


def mean_over_pairs(values, product):
    """Return the matrix of the classes' products, no photo with itself, shape (K, K)."""
    classes, each = values.shape[:2]
    sums = values.sum(axis=1)
    own = np.array([sum(product(row, row) for row in part) for part in values])
    table = np.array([[product(one, other) for other in sums] for one in sums])
    return (table - np.diag(own)) / np.where(np.eye(classes), each * (each - 1), each**2)


def test_estimates_are_those_of_the_raw_scales(block, values):
    classes, each, channels = values.shape
    flat, means = values.reshape(-1, channels), values.mean(axis=1)
    overall = means.mean(axis=0)
    inner = mean_over_pairs(values, np.dot)
    centring = np.eye(classes) - 1 / classes
    apart = np.trace(centring @ inner @ centring)
    e = overall / np.linalg.norm(overall)
    seen = mean_over_pairs(values, lambda one, other: (one @ e) * (other @ e))
    along = np.trace(centring @ seen @ centring)
    f = stats.f_oneway(*values).statistic
    omega = (classes - 1) * (f - 1) / ((classes - 1) * (f - 1) + classes * each)
    correlation = stats.spearmanr(flat, axis=1).statistic
    images = classes * each
    expected = {
        "class_share": omega.mean(),
        "squeeze_share": omega.mean(),  # the squeezes are the same numbers here
        "spread": flat.std(axis=0, ddof=1).mean(),
        "within": np.sqrt(values.var(axis=1, ddof=1).mean()),
        "distance": np.sqrt(apart / classes / channels),
        "factor": np.sqrt(along / classes) / np.linalg.norm(overall),
        "residual": np.sqrt((apart - along) / classes) / np.linalg.norm(overall),
        "left": np.sqrt((apart - along) / apart),
        "agreement": (correlation.sum() - images) / (images * (images - 1)),
        "high": (flat > 0.9).mean(),
        "low": (flat < 0.1).mean(),
        "identity": (1 - flat).mean(),
        "effective": np.exp(stats.entropy(flat, axis=1)).mean() / channels,
        "selectivity": np.median(formulas.selectivity(means)),
        "nearest": (formulas.nearest_class(flat, np.repeat(np.arange(classes), each)) == np.repeat(np.arange(classes), each)).mean(),
        "ones": 0,
        "zeros": 0,
    }
    for name, value in expected.items():
        assert read(name, block).estimate == pytest.approx(value, rel=1e-4, abs=1e-9), name
    assert {measure.name for measure in MEASURES} - set(expected) == {"cosine", "furthest", "accuracy"}


def test_the_furthest_class_is_as_far_as_it_is_and_not_as_its_noise():
    one = population("sigmoid", classes=12, channels=16)
    means = one.moments[0]
    truth = np.sqrt(np.square(means - means.mean(axis=0)).mean(axis=1).max())
    many = [read("furthest", block_of(one.draw(80, np.random.default_rng(seed)))).estimate for seed in range(5)]
    assert np.mean(many) == pytest.approx(truth, rel=0.05)
    alike = population("sigmoid", classes=2, channels=16).of(np.zeros(12, int))
    naive, found = [], []
    for seed in range(40):
        values = alike.draw(20, np.random.default_rng(seed))
        means = values.mean(axis=1)
        naive.append(np.square(means - means.mean(axis=0)).mean(axis=1).max())
        found.append(read("furthest", block_of(values)).value / 16)
    assert abs(np.mean(found)) < 0.1 * np.mean(naive)


def test_the_cosine_distance_is_that_of_two_classes(values):
    long = population("sigmoid", classes=5, channels=9)
    means = long.moments[0]
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    pairs = [1 - unit[one] @ unit[other] for one in range(5) for other in range(one)]
    found = [read("cosine", block_of(long.draw(12, np.random.default_rng(seed)))).estimate for seed in range(60)]
    assert np.mean(found) == pytest.approx(np.mean(pairs), rel=0.05)


def weighed(values, row, step):
    """How often each image counts where one counts (1 + step) times, shape (K, n)."""
    weights = np.ones(values.shape[:2])
    weights.flat[row] += step
    return weights


def derivative(formula, values, row, step=1e-4):
    """Return what an image adds, M times the derivative of a formula by its weight, while its class keeps its share."""
    ends = []
    for sign in (1, -1):
        weights = weighed(values, row, sign * step)
        ends.append(formula(values, weights / weights.sum(axis=1, keepdims=True)))
    return values.shape[1] * values.shape[0] * (ends[0] - ends[1]) / (2 * step)


def weighted_spread(values, weights):
    mean = np.einsum("kn,knc->c", weights, values) / len(values)
    return np.sqrt(np.einsum("kn,knc->c", weights, np.square(values - mean)) / len(values)).mean()


def weighted_within(values, weights):
    means = np.einsum("kn,knc->kc", weights, values)
    return np.sqrt(np.einsum("kn,knc->kc", weights, np.square(values - means[:, None])).mean())


def weighted_share(values, weights):
    means = np.einsum("kn,knc->kc", weights, values)
    within = np.einsum("kn,knc->kc", weights, np.square(values - means[:, None])).mean(axis=0)
    between = means.var(axis=0)
    return (between / (between + within)).mean()


def weighted_concord(values, weights):
    ranks = stats.rankdata(values, axis=2)
    channels = values.shape[2]
    mean = np.einsum("kn,knc->c", weights, ranks) / len(values)
    return 12 * np.square(mean - (channels + 1) / 2).sum() / (channels**3 - channels)


def weighted_distance(values, weights):
    means = np.einsum("kn,knc->kc", weights, values)
    return np.square(means - means.mean(axis=0)).sum() / len(values)


def weighted_cosine(values, weights):
    means = np.einsum("kn,knc->kc", weights, values)
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    return np.square(unit - unit.mean(axis=0)).sum() / (len(values) - 1)


def variance_of(influence, each):
    """Return the variance that influences, shape (K, n), give to a measure."""
    return float((influence.var(axis=1, ddof=1) / each).sum() / len(influence) ** 2)


def weighted_residual(values, weights):
    means = np.einsum("kn,knc->kc", weights, values)
    overall = means.mean(axis=0)
    left = means - np.outer(means @ overall / (overall @ overall), overall)
    return np.square(left).sum(axis=1).mean() / (overall @ overall)


FORMULAS = {
    "residual": (weighted_residual, None),
    "spread": (weighted_spread, lambda value: value),  # read as logarithms: a relative variance
    "within": (weighted_within, lambda value: value),
    "class_share": (weighted_share, None),
    "agreement": (weighted_concord, lambda value: 1 - value**2),  # read as its inverse hyperbolic tangent
    "distance": (weighted_distance, None),
    "cosine": (weighted_cosine, None),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_the_variance_follows_from_what_each_image_adds(name):
    """Of so many photos that terms of the second order, which the readings correct, are small."""
    values = population("sigmoid", classes=4, channels=7).draw(60, np.random.default_rng(5)).astype(np.float16).astype(np.float64)
    formula, relative = FORMULAS[name]
    influence = np.array([derivative(formula, values, row) for row in range(240)]).reshape(4, 60)
    expected = variance_of(influence, 60)
    if relative:
        expected /= relative(formula(values, np.full((4, 60), 1 / 60))) ** 2
    assert read(name, block_of(values)).variance == pytest.approx(expected, rel=0.06), name


@pytest.mark.parametrize("name", ["high", "low", "effective", "identity"])
def test_a_mean_over_images_varies_as_means_do(block, values, name):
    formula = {
        "high": lambda scales: (scales > 0.9).mean(axis=-1),
        "low": lambda scales: (scales < 0.1).mean(axis=-1),
        "effective": lambda scales: np.exp(stats.entropy(scales, axis=-1)) / 11,
        "identity": lambda scales: np.abs(1 - scales).mean(axis=-1),
    }[name]
    numbers = formula(values)
    found = read(name, block)
    weight = numbers.mean() * (1 - numbers.mean()) if name in ("high", "low") else 1  # shares are read as logits
    assert found.estimate == pytest.approx(numbers.mean(), rel=1e-4)
    assert found.variance == pytest.approx(variance_of(numbers, 30) / weight**2, rel=1e-3)
    half = stats.t.ppf(0.975, 203) * np.sqrt(found.variance)
    assert found.over_photos(203) == pytest.approx((found.shown(found.value - half), found.shown(found.value + half)))


def test_fiellers_interval_is_where_the_difference_is_within_its_noise(block):
    part, whole = block.split[1], block.apart
    shared = (whole.variance + part.variance - block.split[0].variance) / 2

    def far(share):
        return (part.value - share * whole.value) ** 2 / (part.variance - 2 * share * shared + share**2 * whole.variance)

    for end in read("left", block).over_photos(200):
        assert end == 1 or far(end**2) == pytest.approx(1.959964**2, rel=1e-4)


def test_where_the_differences_may_be_noise_anything_may_be_left():
    alike = population("sigmoid", classes=1, channels=9).of(np.zeros(6, int))
    found = [read("left", block_of(alike.draw(8, np.random.default_rng(seed)))) for seed in range(12)]
    assert any(isnan(one.estimate) for one in found)
    wide = [one.over_photos(200) for one in found if not isnan(one.estimate)]
    assert wide.count((0.0, 1.0)) >= 0.8 * len(wide) > 0


def test_intervals_lie_on_the_scale_of_the_errors():
    reach = stats.t.ppf(0.975, 30)
    assert Reading(value=2.0, variance=0.25).over_photos(30) == pytest.approx((2 - reach / 2, 2 + reach / 2))
    shown = Reading(value=9.0, variance=1.0, shown=np.sqrt).over_photos(30)
    assert shown == pytest.approx((np.sqrt(9 - reach), np.sqrt(9 + reach)))
    assert Reading(value=1.0, variance=1.0, interval=(0.5, 2)).over_photos(30) == (0.5, 2)
    assert all(map(isnan, Reading(value=1.0).over_photos(30)))
    for unknown in (Reading(value=1.0), Reading(value=1.0, classes=np.ones(2))):
        assert all(map(isnan, unknown.over_classes(np.full(2, 0.5))))


def test_an_interval_over_classes_is_students_where_they_are_not_skewed():
    classes, weights = np.arange(1.0, 21), np.full(20, 0.05)
    wider = (20 - 1) / (20 - 2)  # the jackknife's, of a mean of squares about the mean of 20 classes
    reach = stats.t.ppf(0.975, 19) * stats.sem(classes) * wider
    assert Reading(value=10.5, classes=classes).over_classes(weights) == pytest.approx((10.5 - reach, 10.5 + reach), rel=1e-5)
    assert np.isnan(Reading(value=10.0, classes=classes[:19]).over_classes(np.full(19, 1 / 19))).all()  # of fewer it would cover less


def test_of_one_class_what_compares_classes_is_unknown(values):
    block = block_of(values[:1])
    alone = {"spread", "agreement", "high", "low", "identity", "effective", "ones", "zeros"}
    assert {name for name in BY_NAME if not isnan(read(name, block).estimate)} == alone
    assert not isnan(read("spread", block).over_photos(200)[0])


def test_of_one_image_a_class_what_needs_the_noise_is_unknown(values):
    block = block_of(values[:, :1])
    assert not block.sampled
    known = {name for name in BY_NAME if not isnan(read(name, block).estimate)}
    assert known == {"spread", "selectivity", "high", "low", "identity", "ones", "zeros"}


def test_without_whole_gates_moments_alone_are_read(values, block):
    rows = values.reshape(-1, 11).astype(np.float32)
    statistics = ClassStatistics({SITE: 11}, tuple("abcdefg"), sample=None)
    statistics.update(np.repeat(np.arange(7), 30), {SITE: {"scale": rows, "squeeze": rows}})
    bare = gates_of_block(statistics, SITE, draw_images(statistics, seed=0))
    for name in BY_NAME:
        found = read(name, bare)
        if name in ("class_share", "squeeze_share", "spread", "within", "distance", "selectivity", "identity"):
            assert found.estimate == pytest.approx(read(name, block).estimate, rel=1e-6), name
        else:
            assert isnan(found.estimate), name
        assert isnan(found.over_photos(200)[0])
        assert isnan(found.over_classes(bare.photos.weights)[0])


def test_gates_that_never_move_have_no_share_and_no_angle():
    block = block_of(np.full((4, 6, 5), 0.5))
    found = {name: read(name, block) for name in BY_NAME}
    assert {name for name, one in found.items() if isnan(one.estimate)} == {
        "class_share",
        "squeeze_share",
        "left",
        "agreement",
        "furthest",
    }  # six photos are too few for that
    for name in ("spread", "within", "distance", "factor", "residual", "cosine"):
        assert found[name].estimate == pytest.approx(0, abs=1e-7), name
    assert isnan(found["spread"].over_photos(200)[0])


def test_a_channel_that_never_moves_counts_for_nothing(values):
    still = np.concatenate([values, np.full((7, 30, 2), 0.5)], axis=2)
    one, other = read("class_share", block_of(values)), read("class_share", block_of(still))
    assert other.value == pytest.approx(one.value)
    assert other.variance == pytest.approx(one.variance)


def test_scales_below_zero_are_neither_shut_nor_spread(values):
    block = block_of(values - 0.5)
    assert isnan(read("low", block).estimate)
    assert isnan(read("effective", block).estimate)
    assert isnan(read("selectivity", block_of(values - 0.9)).estimate)
    for name in ("high", "identity", "distance", "agreement", "class_share"):
        assert not isnan(read(name, block).over_photos(200)[0]), name
    zero = read("cosine", block_of(np.concatenate([values, np.zeros((1, 30, 11))])))
    assert isnan(zero.estimate)  # shut for all photos of a class: no direction


def test_what_readers_tell_has_the_interval_of_a_share(block, values):
    found = read("nearest", block)
    assert found.null == pytest.approx(1 / 7)
    low, high = found.over_photos(200)
    assert 0 < low < found.value < high < 1
    flat = values.reshape(-1, 11)
    right = formulas.nearest_class(flat, block.photos.labels) == block.photos.labels
    np.testing.assert_allclose(found.classes, right.reshape(7, 30).mean(axis=1))


def test_photos_are_weighed_by_how_many_their_class_has(values):
    """A file keeps ten whole gates of each class, of 30 photos or of 90."""
    labels = np.repeat(np.arange(2), [30, 90])
    rows = np.concatenate([values[0], values[1], values[2], values[3]]).astype(np.float32)
    statistics = ClassStatistics({SITE: 11}, ("a", "b"), sample=10)
    statistics.update(labels, {SITE: {"scale": rows, "squeeze": rows}})
    block = gates_of_block(statistics, SITE, draw_images(statistics, seed=0))
    assert (block.photos.sizes.tolist(), block.photos.count.tolist()) == ([10, 10], [30, 90])
    effective = np.exp(stats.entropy(block.values, axis=1)) / 11
    assert read("effective", block).value == pytest.approx(0.25 * effective[:10].mean() + 0.75 * effective[10:].mean())
    assert read("identity", block).estimate == pytest.approx(1 - rows.mean(), rel=1e-5)
    assert read("within", block).estimate == pytest.approx(
        np.sqrt(0.25 * rows[:30].var(axis=0, ddof=1).mean() + 0.75 * rows[30:].var(axis=0, ddof=1).mean()), rel=1e-5
    )


def test_a_block_knows_its_photos(block, values):
    assert isinstance(block, BlockGates)
    assert isinstance(block.photos, Photos)
    np.testing.assert_allclose(block.overall, values.mean(axis=(0, 1)), rtol=1e-6)
    np.testing.assert_allclose(block.variance, values.var(axis=1, ddof=1), rtol=1e-4)
    np.testing.assert_allclose(block.deviations, (values - values.mean(axis=1, keepdims=True)).reshape(-1, 11), atol=1e-6)
    np.testing.assert_allclose(block.widening, 30 / 29)
