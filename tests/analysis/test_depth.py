"""The profile over depth on statistics of known populations, against the raw scales."""

import numpy as np
import pytest

from sevis.analysis.block_gates import Drawn, draw_images
from sevis.analysis.block_profile import COST, EFFORT, count_permutations
from sevis.analysis.depth import depth_profile, scan_depth
from sevis.analysis.depth_measures import MEASURES
from sevis.analysis.discriminant import discriminant_class, draw_folds
from sevis.analysis.intervals import read_share
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError
from tests.helpers import populations

CLASSES, WIDTH = 4, 30
NAMES = [measure.name for measure in MEASURES]
SHUFFLED = [measure.name for measure in MEASURES if measure.null]
FROM_MOMENTS = ("class_share", "squeeze_share", "spread", "within", "distance", "selectivity", "identity")
BARE = ("squeeze_share", "furthest", "selectivity", "zeros", "ones")  # without intervals
FEW = {"permutations": 39}


def four_classes(effect, *, seed=0):
    """A function that gives scales (N, 30) of four classes, with correlated channels, and how far the classes differ."""
    random = np.random.default_rng(seed)
    centres = 0.5 + effect * random.normal(size=(CLASSES, WIDTH))
    mixture = 0.1 * random.normal(size=(WIDTH, WIDTH)) / np.sqrt(WIDTH)

    def draw(labels, random):
        noise = random.normal(size=(len(labels), WIDTH)) @ mixture + 0.03 * random.normal(size=(len(labels), WIDTH))
        return np.clip(centres[labels] + noise, 0.01, 0.99).astype(np.float16).astype(np.float32)  # float16: as a sample keeps them

    return draw


def collected(scales, labels, *, sample, squeezes=None, classes=CLASSES):
    names = tuple(f"class {number}" for number in range(classes))
    statistics = ClassStatistics({site: values.shape[1] for site, values in scales.items()}, names, sample=sample)
    squeezes = squeezes or {site: 5 * values for site, values in scales.items()}
    statistics.update(labels, {site: {"scale": scales[site], "squeeze": squeezes[site]} for site in scales})
    return statistics


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(1).permutation(np.repeat(np.arange(CLASSES), [20, 25, 15, 20]))


@pytest.fixture(scope="module")
def scales(labels):
    random = np.random.default_rng(2)
    return {"SE_2_1": four_classes(0)(labels, random), "SE_3_1": four_classes(0.1)(labels, random)}


@pytest.fixture(scope="module")
def profile(scales, labels):
    return depth_profile(collected(scales, labels, sample=50), **FEW)


def test_the_discriminant_reads_the_sample_fold_by_fold(profile, scales, labels):
    order = np.argsort(labels, kind="stable")
    folds = draw_folds(np.bincount(labels), np.random.default_rng(0))
    for site, values in scales.items():
        right = discriminant_class(values[order], labels[order], folds) == labels[order]
        value = profile.at("accuracy", site)
        assert (value.estimate, value.low, value.high) == (right.mean(), *read_share(right, np.bincount(labels)))


def test_shuffled_labels_part_a_class_effect_from_noise(profile):
    noise, effect = (profile.at("class_share", site) for site in profile.sites)
    assert noise.estimate == pytest.approx(0, abs=0.02)
    assert 0 < noise.null < 0.05 < effect.low < effect.estimate < effect.high < 1
    assert profile.p_values[1] == 1 / 40
    assert {name for name, curve in profile.curves.items() if curve.null is not None} == {*SHUFFLED, "accuracy", "nearest"}
    assert profile.at("accuracy", "SE_2_1").null == profile.at("nearest", "SE_2_1").null == 25 / 80  # the largest class


def test_noise_is_significant_about_once_in_twenty(labels):
    p_values = []
    for seed in range(60):
        noise = four_classes(0)(labels, np.random.default_rng(seed))
        statistics = collected({"SE_2_1": noise}, labels, sample=50)
        p_values += depth_profile(statistics, permutations=39, seed=seed).p_values.tolist()
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.12)  # uniform: three standard errors
    assert sum(p <= 0.05 for p in p_values) <= 8


def test_noise_alone_is_as_selective_as_shuffled_labels(profile):
    noise = profile.at("selectivity", "SE_2_1")
    assert noise.null == pytest.approx(noise.estimate, rel=0.2)
    assert profile.at("selectivity", "SE_3_1").estimate > 2 * noise.null


def test_every_measure_has_an_interval_around_its_estimate(profile):
    for name, curve in profile.curves.items():
        if name in BARE:
            assert np.isnan([curve.low, curve.high]).all(), name
            assert curve.low_over_classes is curve.high_over_classes is None, name
            continue
        assert (curve.low <= curve.estimate)[1], name
        assert (curve.estimate <= curve.high)[1], name
        if name not in (*BARE, "low", "high"):
            assert (curve.low < curve.high)[1], name


def test_estimates_of_more_images_than_are_sampled_have_narrower_intervals():
    draw, labels = four_classes(0.1), np.repeat(np.arange(CLASSES), 400)
    values = {"SE_2_1": draw(labels, np.random.default_rng(3))}
    whole, part = (depth_profile(collected(values, labels, sample=sample), **FEW) for sample in (400, 25))
    assert (whole.per_class, part.per_class) == (400, 25)
    for name in ("class_share", "within", "high", "identity"):
        one, other = whole.at(name, "SE_2_1"), part.at(name, "SE_2_1")
        assert one.estimate == other.estimate
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.5, abs=1e-6)
    for name in SHUFFLED:  # what chance gives for all images
        assert part.at(name, "SE_2_1").null == pytest.approx(whole.at(name, "SE_2_1").null, rel=0.35), name
    for name in ("agreement", "effective"):  # which know only the sample
        one, other = whole.at(name, "SE_2_1"), part.at(name, "SE_2_1")
        assert other.high - other.low > 2 * (one.high - one.low)


def test_an_image_stands_for_as_many_as_its_class_has():
    labels = np.repeat(np.arange(2), [300, 30])
    values = np.where(labels[:, None] == 0, 0.95, 0.5) + np.random.default_rng(4).uniform(0, 0.01, size=(330, WIDTH))
    statistics = collected({"SE_2_1": values.astype(np.float32)}, labels, sample=30, classes=2)
    assert draw_images(statistics, seed=0).sizes.tolist() == [30, 30]
    high = depth_profile(statistics, **FEW).at("high", "SE_2_1")
    assert high.estimate == pytest.approx(300 / 330)
    reach = 1 - 0.025 ** (1 / 60)  # all of a class are alike, which 60 photos do not prove for others
    assert (high.low, high.high) == pytest.approx((300 / 330 - reach, 300 / 330 + reach))


def test_means_alone_give_estimates_without_intervals(scales, labels, profile):
    moments = depth_profile(collected(scales, labels, sample=None))
    assert moments.per_class == moments.permutations == 0
    for name, curve in moments.curves.items():
        assert np.isnan([curve.low, curve.high]).all()
        assert curve.null is None
        known = name in FROM_MOMENTS
        np.testing.assert_allclose(curve.estimate, profile.curves[name].estimate if known else np.nan)
    assert np.isnan(moments.p_values).all()


@pytest.mark.parametrize("per_class", [0, 1, 2, 4])
def test_too_few_images_are_unknown_and_never_zero(per_class):
    labels = np.repeat(np.arange(CLASSES), per_class)
    values = four_classes(0.1)(labels, np.random.default_rng(5))
    found = depth_profile(collected({"SE_2_1": values}, labels, sample=50), **FEW)
    intervals = {name for name in NAMES if not np.isnan(found.at(name, "SE_2_1").low)}
    assert intervals == set()
    known = {name for name in NAMES if not np.isnan(found.at(name, "SE_2_1").estimate)}
    if per_class == 0:
        assert known == set()
    if per_class == 1:
        assert known.isdisjoint({"class_share", "within", "distance", "left", "accuracy", "nearest", "agreement", "effective"})
        assert {"spread", "high", "selectivity"} <= known


def test_one_class_has_no_share(scales):
    labels = np.zeros(len(scales["SE_3_1"]), int)
    found = depth_profile(collected({"SE_3_1": scales["SE_3_1"]}, labels, sample=50, classes=1), **FEW)
    unknown = {name for name in NAMES if np.isnan(found.at(name, "SE_3_1").estimate)}
    compare = {"class_share", "squeeze_share", "selectivity", "within", "distance", "furthest", "cosine", "left", "factor", "residual"}
    assert unknown == compare | {"accuracy", "nearest"}
    assert not np.isnan(found.at("high", "SE_3_1").low)


def test_dead_gates_are_found_with_their_cause(labels):
    random = np.random.default_rng(6)
    wide, narrow = random.normal(0, 0.5, size=(80, WIDTH)), random.normal(0, 0.001, size=(80, WIDTH))
    scales = {"SE_2_1": 0.5 + narrow, "SE_2_2": 0.5 + narrow, "SE_2_3": 0.97 + narrow, "SE_2_4": 0.5 + np.clip(wide, -0.4, 0.4)}
    squeezes = {"SE_2_1": narrow, "SE_2_2": wide, "SE_2_3": wide, "SE_2_4": wide}
    single = [{site: part.astype(np.float32) for site, part in parts.items()} for parts in (scales, squeezes)]
    found = depth_profile(collected(single[0], labels, sample=50, squeezes=single[1]), **FEW)
    assert found.dead == {"SE_2_1": "still", "SE_2_2": "flat", "SE_2_3": "saturated"}
    assert depth_profile(collected(single[0], labels, sample=None, squeezes=single[1])).dead == found.dead


def test_scales_below_zero_are_neither_closed_nor_saturated(labels):
    values = np.random.default_rng(8).uniform(-1, 1, size=(80, WIDTH)).astype(np.float32)
    around_zero = (values / 1000).astype(np.float32)
    found = depth_profile(collected({"SE_2_1": values, "SE_2_2": around_zero}, labels, sample=50), **FEW)
    assert np.isnan(found.curves["low"].estimate).all()
    assert not np.isnan(found.at("high", "SE_2_1").low)
    assert found.dead == {"SE_2_2": "still"}


def test_a_gate_beyond_one_has_no_distance_from_the_identity_by_its_mean(labels):
    values = np.random.default_rng(7).uniform(0, 2, size=(80, WIDTH)).astype(np.float16).astype(np.float32)
    sampled, bare = (depth_profile(collected({"SE_2_1": values}, labels, sample=sample), **FEW) for sample in (50, None))
    assert sampled.at("identity", "SE_2_1").estimate == pytest.approx(np.abs(1 - values.astype(float)).mean(), rel=1e-5)
    assert np.isnan(bare.at("identity", "SE_2_1").estimate)
    assert sampled.at("high", "SE_2_1").estimate == pytest.approx((values >= 0.9).mean())


def test_a_seed_gives_the_same_profile_again(scales, labels, profile):
    statistics = collected(scales, labels, sample=50)
    again, other = (depth_profile(statistics, seed=seed, **FEW) for seed in (0, 1))
    for name, curve in profile.curves.items():
        np.testing.assert_array_equal(curve.estimate, again.curves[name].estimate)
        np.testing.assert_array_equal(curve.low, again.curves[name].low)
    for name in ("furthest", "accuracy"):  # which draw halves, or fifths, of the images
        assert not np.array_equal(profile.curves[name].estimate, other.curves[name].estimate), name
    assert not np.array_equal(profile.curves["class_share"].null, other.curves["class_share"].null)


def test_blocks_come_one_by_one(scales, labels, profile):
    told = []
    statistics = collected(scales, labels, sample=50)
    parts = list(scan_depth(statistics, **FEW))
    depth_profile(statistics, progress=told.append, **FEW)
    assert [part.done for part in parts] == told == [0.5, 1]
    assert np.isnan(parts[0].at("class_share", "SE_3_1").estimate)
    assert parts[0].at("class_share", "SE_2_1") == profile.at("class_share", "SE_2_1")


def test_of_much_labels_are_shuffled_less_often(labels):
    values = {f"SE_2_{number}": np.full((80, 9), 0.5, np.float32) for number in range(1, 4)}
    statistics = collected(values, labels, sample=50)
    assert count_permutations(statistics, draw_images(statistics, seed=0), 100) == 100
    for images, expected in ((200, 100), (EFFORT // 9, 33), (EFFORT, 19)):
        drawn = Drawn(np.arange(images), np.arange(CLASSES), np.full(CLASSES, images // CLASSES))
        assert count_permutations(statistics, drawn, 100) == expected
        assert count_permutations(statistics, drawn, 7) == 7
    many = Drawn(np.arange(200), np.arange(1 + EFFORT // (27 * COST) * 2))  # each class costs as much as some images
    assert count_permutations(statistics, many, 100) == 50


def test_an_interval_over_classes_is_wider_than_one_over_photos():
    drawn = populations.population("sigmoid", classes=24).draw(20, np.random.default_rng(0))
    profile = depth_profile(populations.collected(drawn), **FEW)
    for name in ("distance", "residual", "effective", "identity"):
        value = profile.at(name, populations.SITE)
        assert value.high_over_classes - value.low_over_classes > value.high - value.low > 0, name


def test_the_same_network_untrained_stands_beside_the_profile(scales, labels):
    statistics = collected(scales, labels, sample=50)
    untrained = collected({site: values[::-1].copy() for site, values in scales.items()}, labels, sample=None)
    found = depth_profile(statistics, untrained=untrained, **FEW).untrained
    expected = [depth_profile(untrained).at("class_share", site).estimate for site in scales]
    np.testing.assert_allclose(found, expected)
    assert depth_profile(statistics, **FEW).untrained is None
    others = {"classes": collected(scales, labels, sample=None, classes=CLASSES + 1)}
    others["channels"] = collected({site: values[:, :7] for site, values in scales.items()}, labels, sample=None)
    others["images"] = collected(scales, np.roll(np.sort(labels), 1) // 2, sample=None)
    for other in others.values():
        with pytest.raises(SevisError, match=r"on the same images, got others: make them with python -m sevis collect --weights random"):
            depth_profile(statistics, untrained=other, **FEW)
