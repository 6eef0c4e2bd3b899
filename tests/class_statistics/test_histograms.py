"""Histograms, extremes and samples against NumPy and plain loops on all images at once, in any order and split."""

import numpy as np
import pytest

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.histograms import default_sample

WIDTHS = {"SE_2_1": 5, "SE_3_1": 8}
CLASSES = ("goldfish", "lion", "pizza", "never seen")
SEED = 11


def soft(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.beta(0.5, 0.5, shape)


def hard(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Many that are exactly 0 and 1, so that there are ties."""
    return np.clip(rng.normal(0.5, 0.6, shape), 0, 1)


def coarse(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """On the edges of the bins, as near as float32 comes, and ties among them."""
    return rng.integers(0, 101, shape) / 100


def outside(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Those of a gate that is no sigmoid."""
    return np.where(rng.random(shape) < 0.2, [-1e-20, 1 + 1e-6, -0.0, 3, -2][shape[1] % 5], rng.normal(0.3, 0.7, shape))


def images(gate, seed: int, count: int = 120) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Labels 0 to 2, ids with gaps, and scales by block."""
    rng = np.random.default_rng(seed)
    scales = {site: gate(rng, (count, width)).astype(np.float32) for site, width in WIDTHS.items()}
    return rng.integers(0, 3, count), rng.choice(10_000, count, replace=False), scales


def collected(labels, ids, scales, *, seed: int, sample: int = 7) -> ClassStatistics:
    """Three shards, merged, which saw the images in batches of any size and in any order."""
    rng = np.random.default_rng(seed)
    shards = [ClassStatistics(WIDTHS, CLASSES, {"seed": SEED}, sample=sample) for _ in range(3)]
    order = rng.permutation(len(labels))
    for rows in np.split(order, np.sort(rng.integers(0, len(labels), 9))):
        values = {site: {"squeeze": scale[rows], "scale": scale[rows]} for site, scale in scales.items()}
        shards[rng.integers(3)].update(labels[rows], values, ids=ids[rows])
    first, second, third = (shards[number] for number in rng.permutation(3))
    second.merge(third)
    first.merge(second)
    return first


@pytest.mark.parametrize("gate", [soft, hard, coarse, outside])
@pytest.mark.parametrize("seed", range(4))
def test_histograms_equal_those_of_numpy(gate, seed: int) -> None:
    labels, ids, scales = images(gate, seed)
    statistics = collected(labels, ids, scales, seed=seed + 50)
    for site, scale in scales.items():
        histogram = statistics.histogram(site)
        np.testing.assert_array_equal(histogram.edges, np.arange(101) / 100)
        for row in range(len(CLASSES)):
            of_class = scale[labels == row].astype(np.float64)
            np.testing.assert_array_equal(histogram.counts[row], np.histogram(of_class, histogram.edges)[0])
            found = [getattr(histogram, name)[row] for name in ("below", "above", "zeros", "ones")]
            assert found == [(of_class < 0).sum(), (of_class > 1).sum(), (of_class == 0).sum(), (of_class == 1).sum()]


@pytest.mark.parametrize("gate", [soft, hard, coarse, outside])
@pytest.mark.parametrize("seed", range(4))
def test_extremes_are_the_first_nine_of_a_sorted_list(gate, seed: int) -> None:
    labels, ids, scales = images(gate, seed)
    statistics = collected(labels, ids, scales, seed=seed + 60)
    for site, scale in scales.items():
        extremes = statistics.extremes(site)
        for channel in range(WIDTHS[site]):
            pairs = list(zip(scale[:, channel].tolist(), ids.tolist(), strict=True))
            highest = sorted(pairs, key=lambda pair: (-pair[0], pair[1]))[:9]
            lowest = sorted(pairs)[:9]
            assert list(zip(extremes.highest[channel].tolist(), extremes.highest_ids[channel].tolist(), strict=True)) == highest
            assert list(zip(extremes.lowest[channel].tolist(), extremes.lowest_ids[channel].tolist(), strict=True)) == lowest


def test_fewer_than_nine_images_leave_gaps() -> None:
    labels, ids, scales = images(soft, 0, count=4)
    extremes = collected(labels, ids, scales, seed=0).extremes("SE_2_1")
    assert np.isnan(extremes.highest[:, 4:]).all()
    assert np.isnan(extremes.lowest[:, 4:]).all()
    assert (extremes.highest_ids[:, 4:] == -1).all()
    np.testing.assert_array_equal(extremes.highest[:, :4], -np.sort(-scales["SE_2_1"].T, axis=1))
    np.testing.assert_array_equal(np.sort(extremes.lowest_ids[:, :4], axis=1), np.tile(np.sort(ids), (5, 1)))


def test_the_largest_id_keeps_its_value() -> None:
    statistics = ClassStatistics({"a": 1}, ("x",), sample=1)
    value = np.array([[0.25]], np.float32)
    statistics.update(np.array([0]), {"a": {"squeeze": value, "scale": value}}, ids=np.array([2**32 - 2]))
    extremes, sample = statistics.extremes("a"), statistics.sample("a")
    assert (extremes.highest[0, 0], extremes.highest_ids[0, 0]) == (extremes.lowest[0, 0], extremes.lowest_ids[0, 0]) == (0.25, 2**32 - 2)
    assert sample.ids.tolist() == [2**32 - 2]


def split_mix(number: int) -> int:
    """SplitMix64's output at a state, in whole numbers of any size."""
    mask = 2**64 - 1
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & mask
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & mask
    return number ^ (number >> 31)


def smallest(ids: np.ndarray, size: int) -> list[int]:
    states = {int(number): (SEED + (int(number) + 1) * 0x9E3779B97F4A7C15) % 2**64 for number in ids}
    return sorted(states, key=lambda number: split_mix(states[number]))[:size]


def test_the_hash_is_the_published_one() -> None:
    assert split_mix(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF  # SplitMix64's first number for the seed 0


@pytest.mark.parametrize("size", [1, 7, 200])
@pytest.mark.parametrize("seed", range(4))
def test_a_sample_holds_the_smallest_hashes_of_each_class(size: int, seed: int) -> None:
    labels, ids, scales = images(soft, seed)
    statistics = collected(labels, ids, scales, seed=seed + 70, sample=size)
    expected = sorted(number for row in range(3) for number in smallest(ids[labels == row], size))
    places = [int(np.flatnonzero(ids == number)[0]) for number in expected]
    for site, scale in scales.items():
        sample = statistics.sample(site)
        assert sample.ids.tolist() == expected
        np.testing.assert_array_equal(sample.labels, labels[places])
        np.testing.assert_array_equal(sample.values, scale[places].astype(np.float16).astype(np.float32))
        assert (sample.values.dtype, sample.ids.dtype) == (np.float32, np.int64)


def test_another_seed_takes_other_images() -> None:
    labels, ids, scales = images(soft, 0)
    values = {site: {"squeeze": scale, "scale": scale} for site, scale in scales.items()}
    chosen = set()
    for seed in range(3):
        statistics = ClassStatistics(WIDTHS, CLASSES, {"seed": seed}, sample=5)
        statistics.update(labels, values, ids=ids)
        chosen.add(tuple(statistics.sample("SE_2_1").ids))
    assert len(chosen) == 3


def test_no_sample_is_a_sample_of_none() -> None:
    labels, ids, scales = images(soft, 2)
    statistics = collected(labels, ids, scales, seed=2, sample=0)
    assert statistics.detailed
    assert statistics.sample("SE_3_1").values.shape == (0, 8)
    assert statistics.histogram("SE_3_1").counts.sum() == scales["SE_3_1"].size


def test_ids_are_counted_on_where_none_are_given() -> None:
    labels, _, scales = images(soft, 3, count=12)
    statistics = ClassStatistics(WIDTHS, CLASSES, sample=50)
    for rows in (np.arange(5), np.arange(5, 12)):
        statistics.update(labels[rows], {site: {"squeeze": scale[rows], "scale": scale[rows]} for site, scale in scales.items()})
    np.testing.assert_array_equal(statistics.sample("SE_2_1").ids, np.arange(12))
    np.testing.assert_array_equal(statistics.sample("SE_2_1").values, scales["SE_2_1"].astype(np.float16))


@pytest.mark.parametrize(("classes", "channels", "expected"), [(20, 7552, 50), (200, 7552, 50), (1000, 15104, 8), (30_000, 15104, 0)])
def test_the_default_sample_fits_into_256_mebibytes(classes: int, channels: int, expected: int) -> None:
    assert default_sample(classes, channels) == expected
    assert classes * channels * expected * 2 <= 256 * 2**20
