"""The streaming moments against NumPy on all values at once, in any order and split."""

import numpy as np
import pytest

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError

CHANNELS = {"SE_2_1": 6, "SE_3_1": 9}
CLASSES = ("goldfish", "lion", "pizza", "never seen")


def random_images(seed: int, count: int = 97) -> tuple[np.ndarray, dict[str, dict[str, np.ndarray]]]:
    """Labels 0 to 2, and near-saturated scales like those of SE_5_2: a naive sum of squares in float32 gives them negative variances."""
    rng = np.random.default_rng(seed)
    values = {
        site: {
            "squeeze": rng.normal(3, 40, (count, width)).astype(np.float32),
            "scale": (0.98 + 1e-4 * rng.standard_normal((count, width))).astype(np.float32),
        }
        for site, width in CHANNELS.items()
    }
    return rng.integers(0, 3, count), values


def part(values: dict[str, dict[str, np.ndarray]], rows: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    return {site: {quantity: array[rows] for quantity, array in block.items()} for site, block in values.items()}


def assert_equal_to_numpy(statistics: ClassStatistics, labels: np.ndarray, values: dict[str, dict[str, np.ndarray]]) -> None:
    np.testing.assert_array_equal(statistics.count, np.bincount(labels, minlength=len(CLASSES)))
    for site, block in values.items():
        for quantity, array in block.items():
            exact = array.astype(np.float64)
            for row in range(3):
                of_class = exact[labels == row]
                np.testing.assert_allclose(statistics.mean(site, quantity)[row], of_class.mean(axis=0), rtol=1e-12, atol=1e-13)
                np.testing.assert_allclose(statistics.std(site, quantity)[row], of_class.std(axis=0, ddof=1), rtol=1e-9)
                np.testing.assert_array_equal(statistics.min(site, quantity)[row], of_class.min(axis=0))
                np.testing.assert_array_equal(statistics.max(site, quantity)[row], of_class.max(axis=0))
            np.testing.assert_allclose(statistics.overall_mean(site, quantity), exact.mean(axis=0), rtol=1e-12, atol=1e-13)
            np.testing.assert_allclose(statistics.overall_std(site, quantity), exact.std(axis=0, ddof=1), rtol=1e-9)
            assert np.isnan(statistics.mean(site, quantity)[3]).all()
            assert np.isnan(statistics.std(site, quantity)[3]).all()
            assert np.isnan(statistics.min(site, quantity)[3]).all()


@pytest.mark.parametrize("seed", range(8))
def test_any_order_split_and_merge_equals_numpy(seed: int) -> None:
    labels, values = random_images(seed)
    rng = np.random.default_rng(seed + 100)
    order = rng.permutation(len(labels))
    batches = np.split(order, np.sort(rng.integers(0, len(labels), 7)))  # some of them empty
    shards = [ClassStatistics(CHANNELS, CLASSES) for _ in range(3)]
    for number, rows in enumerate(batches):
        shards[number % 3].update(labels[rows], part(values, rows))
    for shard in shards[1:]:
        shards[0].merge(shard)
    assert_equal_to_numpy(shards[0], labels, values)


def test_the_sum_of_squared_deviations_is_that_of_numpy() -> None:
    labels, values = random_images(5)
    statistics = ClassStatistics(CHANNELS, CLASSES)
    statistics.update(labels, values)
    for quantity in ("squeeze", "scale"):
        of_class = values["SE_3_1"][quantity][labels == 1].astype(np.float64)
        deviations = ((of_class - of_class.mean(axis=0)) ** 2).sum(axis=0)
        np.testing.assert_allclose(statistics.m2("SE_3_1", quantity)[1], deviations, rtol=1e-9)
        np.testing.assert_array_equal(statistics.m2("SE_3_1", quantity)[3], 0)
    statistics.m2("SE_3_1")[:] = 7  # a copy
    assert (statistics.m2("SE_3_1") < 7).all()


def test_one_image_has_a_mean_and_no_standard_deviation() -> None:
    labels, values = random_images(0)
    statistics = ClassStatistics(CHANNELS, CLASSES)
    statistics.update(labels[:1], part(values, np.array([0])))
    np.testing.assert_array_equal(statistics.mean("SE_2_1")[labels[0]], values["SE_2_1"]["scale"][0])
    assert np.isnan(statistics.std("SE_2_1")).all()


def test_update_leaves_the_callers_arrays_alone() -> None:
    labels, values = random_images(1)
    before = {site: {quantity: array.copy() for quantity, array in block.items()} for site, block in values.items()}
    ClassStatistics(CHANNELS, CLASSES).update(labels, values)
    for site, block in values.items():
        for quantity, array in block.items():
            np.testing.assert_array_equal(array, before[site][quantity])


def test_wrong_input_is_refused() -> None:
    labels, values = random_images(3)
    statistics = ClassStatistics(CHANNELS, CLASSES)
    with pytest.raises(SevisError, match="labels from 0 to 3, got 0 to 9"):
        statistics.update(np.where(labels == 2, 9, labels), values)
    with pytest.raises(SevisError, match="expected squeeze of shape"):
        statistics.update(labels[:-1], values)
    for broken in (np.nan, np.inf):
        spoilt = {**values, "SE_3_1": {**values["SE_3_1"], "squeeze": np.full((97, 9), broken, np.float32)}}
        with pytest.raises(SevisError, match="SE_3_1 gave a squeeze that is no number"):
            statistics.update(labels, spoilt)
    with pytest.raises(SevisError, match="expected 97 ids"):
        statistics.update(labels, values, ids=np.arange(96))
    with pytest.raises(SevisError, match="from 0 to 4294967294 as ids, got -1 to 95"):
        statistics.update(labels, values, ids=np.arange(97) - 1)
    assert statistics.count.sum() == 0
    with pytest.raises(SevisError, match="no SE block is called 'SE_9_9'"):
        statistics.mean("SE_9_9")
    with pytest.raises(SevisError, match="unknown quantity 'u'"):
        statistics.mean("SE_2_1", "u")
    with pytest.raises(SevisError, match="no class 'tiger'"):
        statistics.index("tiger")
    with pytest.raises(SevisError, match="same blocks and classes"):
        statistics.merge(ClassStatistics({"SE_2_1": 6}, CLASSES))
    for other in (3, None):
        with pytest.raises(SevisError, match="same size and seed"):
            ClassStatistics(CHANNELS, CLASSES, sample=2).merge(ClassStatistics(CHANNELS, CLASSES, sample=other))
    for call in (statistics.histogram, statistics.extremes, statistics.sample):
        with pytest.raises(SevisError, match="holds only means: collect it again with python -m sevis collect"):
            call("SE_2_1")
        with pytest.raises(SevisError, match="no SE block is called 'SE_9_9'"):
            call("SE_9_9")
    with pytest.raises(SevisError, match="at least one block"):
        ClassStatistics(CHANNELS, ())


def test_mean_gates_are_those_that_an_override_takes() -> None:
    labels, values = random_images(0)
    statistics = ClassStatistics(CHANNELS, CLASSES)
    statistics.update(labels, values)
    for site, block in values.items():
        scales = block["scale"].astype(np.float64)
        np.testing.assert_allclose(statistics.gates("lion")[site], scales[labels == 1].mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(statistics.gates()[site], scales.mean(axis=0), rtol=1e-12)
    with pytest.raises(SevisError, match=r"there is no class 'cat' in these statistics; they hold goldfish"):
        statistics.gates("cat")
    with pytest.raises(SevisError, match=r"the statistics hold no image of 'never seen'"):
        statistics.gates("never seen")
    with pytest.raises(SevisError, match=r"the statistics hold no image, so there is no mean gate"):
        ClassStatistics(CHANNELS, CLASSES).gates()


def test_statistics_of_other_weights_are_refused() -> None:
    statistics = ClassStatistics(CHANNELS, CLASSES, {"model": "mine", "weights": "abc" * 20})
    statistics.check_weights("abc" * 20)
    with pytest.raises(SevisError, match=r"belong to weights abcabcabcabc of mine, not to 012345678901: make them again"):
        statistics.check_weights("0123456789012345")
    with pytest.raises(SevisError, match=r"belong to unnamed weights"):
        ClassStatistics(CHANNELS, CLASSES).check_weights("0123")
    with pytest.raises(SevisError, match=r"belong to weights abcabcabcabc of mine"):
        statistics.gates(weights="0123456789012345")
