"""Packed moments and compact statistics: within half a step of the whole ones, small, read-only; refused where they are damaged."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.file import COMPACT
from sevis.class_statistics.moments import Moments, Packing, compact_sample, pack, unpack
from sevis.errors import SevisError
from tests.helpers.statistics import CHANNELS, CLASSES, METADATA, batch, change, detailed

PRECISE = Packing(mean=16, std=16, squeeze=8, sample=8)
STEPS = 2**8 - 1


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "some.safetensors"


@pytest.fixture
def whole() -> ClassStatistics:
    return detailed(1, 2, 3)


@pytest.fixture
def small(whole, path) -> ClassStatistics:
    whole.save(path, compact=True)
    return ClassStatistics.load(path)


def half_step(values: np.ndarray, steps: int) -> np.ndarray:
    """By channel, with what float32 adds for its ends."""
    return (np.nanmax(values, axis=0) - np.nanmin(values, axis=0)) / (2 * steps) + 2e-7 * np.nanmax(np.abs(values), axis=0)


# --- codes


@pytest.mark.parametrize(("bits", "codes"), [(4, np.uint8), (8, np.uint8), (16, np.uint16)])
def test_packed_values_are_off_by_half_a_step_at_most(bits: int, codes: type) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(5, 3, (40, 7, 11)) * np.logspace(-6, 6, 11)
    held = rng.random((40, 7)) < 0.8
    values[~held] = np.nan
    packed, ends = pack(values, bits, held=held)
    assert (packed.dtype, packed.shape, ends.shape) == (np.dtype(codes), values.shape, (2, 11))
    again = unpack(packed, ends, bits)[held]
    assert packed.max() == 2**bits - 1
    assert (np.abs(again - values[held]) <= half_step(values[held], 2**bits - 1)).all()
    np.testing.assert_allclose(again.min(axis=0), values[held].min(axis=0), rtol=1e-7)
    np.testing.assert_allclose(again.max(axis=0), values[held].max(axis=0), rtol=1e-7)


def test_a_channel_of_one_value_keeps_it() -> None:
    values = np.array([[0.5, 0.0, 1.0], [0.5, 0.0, 1.0]])
    np.testing.assert_array_equal(unpack(*pack(values, 8, held=np.ones(2, bool)), 8), values)


def test_values_beyond_float32_are_refused() -> None:
    with pytest.raises(SevisError, match="too large for a compact file"):
        pack(np.array([[1e39]]), 8, held=np.ones(1, bool))


@pytest.mark.parametrize(
    ("classes", "channels", "bits", "expected"), [(20, 7552, 4, 10), (200, 7552, 4, 5), (80, 7552, 8, 6), (1000, 15104, 4, 5)]
)
def test_the_sample_fits_into_4_megabytes_as_far_as_intervals_allow(classes: int, channels: int, bits: int, expected: int) -> None:
    assert compact_sample(classes, channels, bits) == expected


def test_the_moments_of_all_classes_as_one_are_those_of_all_images() -> None:
    values = np.random.default_rng(0).normal(3, 2, (40, 5)).astype(np.float32)
    moments = Moments.empty(4, 5)
    moments.add(np.repeat([0, 1, 3], [5, 25, 10]), values)
    pooled = moments.pooled()
    assert pooled.count.tolist() == [40]
    np.testing.assert_allclose(pooled.mean[0], values.mean(axis=0, dtype=float), rtol=1e-12)
    np.testing.assert_allclose(pooled.deviations()[0], values.astype(float).std(axis=0, ddof=1), rtol=1e-12)
    np.testing.assert_array_equal([pooled.low[0], pooled.high[0]], [values.min(axis=0), values.max(axis=0)])
    assert Moments.empty(4, 5).pooled().count.tolist() == [0]


# --- statistics


def test_compact_statistics_are_close_to_the_whole_ones(whole, small) -> None:
    assert small.compact and small.detailed
    assert not whole.compact
    assert (whole.by_class, small.by_class) == (("squeeze", "scale"), ("scale",))
    assert small.identity == whole.identity
    assert detailed(1, 2).identity != whole.identity
    assert (small.metadata, small.classes, small.channels) == (whole.metadata, whole.classes, whole.channels)
    np.testing.assert_array_equal(small.count, whole.count)
    for site in CHANNELS:
        assert_close(small, whole, site, "scale", STEPS)
        for name in ("overall_mean", "overall_std", "bounds"):  # of z over all classes nothing is lost but what float32 loses
            np.testing.assert_allclose(getattr(small, name)(site, "squeeze"), getattr(whole, name)(site, "squeeze"), rtol=1e-6)


def assert_close(small, whole, site: str, quantity: str, steps: int) -> None:
    """Means and deviations are off by half a step at most, and what is unknown stays so."""
    for name in ("mean", "std"):
        expected = getattr(whole, name)(site, quantity)
        error = np.abs(getattr(small, name)(site, quantity) - expected)
        assert (error[:3] <= half_step(expected, steps)).all()
        np.testing.assert_array_equal(np.isnan(error), np.isnan(expected))
    allowed = half_step(whole.mean(site, quantity), steps)
    assert (np.abs(small.overall_mean(site, quantity) - whole.overall_mean(site, quantity)) <= allowed).all()
    np.testing.assert_allclose(small.overall_std(site, quantity), whole.overall_std(site, quantity), rtol=5e-3)
    np.testing.assert_allclose(small.m2(site, quantity)[3], 0)


def test_a_more_precise_compact_file_says_so_in_its_header(whole, path) -> None:
    whole.compacted(packing=PRECISE).save(path)
    small = ClassStatistics.load(path)
    assert small.packing == PRECISE
    assert small.by_class == whole.by_class
    for site in CHANNELS:
        assert_close(small, whole, site, "scale", 2**16 - 1)
        assert_close(small, whole, site, "squeeze", 2**8 - 1)
        assert (np.abs(small.sample(site).values - whole.sample(site).values) <= half_step(whole.sample(site).values, 255)).all()


def test_the_bounds_are_those_of_all_images() -> None:
    parts = [batch(seed) for seed in (1, 2)]
    statistics = ClassStatistics(CHANNELS, CLASSES)
    for part in parts:
        statistics.update(part["labels"], part["values"])
    for known in (statistics, statistics.compacted()):
        for site in CHANNELS:
            for quantity in ("squeeze", "scale"):
                values = np.concatenate([part["values"][site][quantity] for part in parts])
                np.testing.assert_array_equal(known.bounds(site, quantity), [values.min(axis=0), values.max(axis=0)])
    assert np.isnan(ClassStatistics(CHANNELS, CLASSES).bounds("SE_2_1")).all()
    with pytest.raises(SevisError, match="no SE block is called 'SE_9_9'"):
        statistics.compacted().bounds("SE_9_9")


def test_histograms_stay_exact_and_so_do_the_images_of_the_extremes(whole, small) -> None:
    for site in CHANNELS:
        for field, array in vars(small.histogram(site)).items():
            np.testing.assert_array_equal(array, vars(whole.histogram(site))[field])
        found, expected = small.extremes(site), whole.extremes(site)
        low, high = whole.bounds(site)
        for end in ("highest", "lowest"):
            np.testing.assert_array_equal(getattr(found, f"{end}_ids"), getattr(expected, f"{end}_ids"))
            error = np.abs(getattr(found, end) - getattr(expected, end))
            assert (error <= ((high - low) / (2 * 65535) + 2e-7)[:, None]).all()


def test_fewer_than_nine_extremes_are_known_to_be_fewer(path) -> None:
    few = ClassStatistics(CHANNELS, CLASSES, METADATA, sample=4)
    few.update(**batch(1, 5))
    few.save(path, compact=True)
    found = ClassStatistics.load(path).extremes("SE_2_1")
    assert ((found.highest_ids >= 0).sum(axis=1) == 5).all()
    np.testing.assert_array_equal(np.isnan(found.lowest), found.lowest_ids < 0)


@pytest.mark.parametrize("size", [0, 2, 4])
def test_the_sample_is_the_one_that_a_smaller_collection_has(whole, size: int) -> None:
    fewer = ClassStatistics(CHANNELS, CLASSES, METADATA, sample=size)
    for seed in (1, 2, 3):
        fewer.update(**batch(seed))
    small = whole.compacted(sample=size)
    for site in CHANNELS:
        expected, found = fewer.sample(site), small.sample(site)
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_array_equal(found.labels, expected.labels)
        if size:
            assert (np.abs(found.values - expected.values) <= half_step(expected.values, 15)).all()
        assert found.values.dtype == np.float32


def test_half_precision_moments_alone_stay_moments_alone() -> None:
    statistics = ClassStatistics(CHANNELS, CLASSES)
    statistics.update(batch(1)["labels"], batch(1)["values"])
    small = statistics.compacted()
    assert not small.detailed
    with pytest.raises(SevisError, match="holds only means: collect it again with python -m sevis collect without --compact"):
        small.histogram("SE_2_1")


def test_a_class_of_one_image_has_a_mean_and_no_deviation() -> None:
    one = {site: {quantity: array[:1] for quantity, array in block.items()} for site, block in batch(1)["values"].items()}
    statistics = ClassStatistics(CHANNELS, CLASSES)
    statistics.update(np.array([1]), one)
    small = statistics.compacted()
    np.testing.assert_allclose(small.mean("SE_3_1")[1], one["SE_3_1"]["scale"][0], rtol=1e-7)
    assert np.isnan(small.std("SE_3_1")).all()


def test_what_was_left_out_is_said_in_a_sentence(small) -> None:
    for name in ("mean", "std"):
        with pytest.raises(SevisError, match=r"compact and holds no squeeze by class: collect it again .* without --compact"):
            getattr(small, name)("SE_2_1", "squeeze")
    for name in ("min", "max"):
        with pytest.raises(SevisError, match=r"compact and holds no minimum and maximum by class: collect it again .* without --compact"):
            getattr(small, name)("SE_2_1")


def test_no_image_can_be_added(small, whole) -> None:
    for add in (lambda: small.update(**batch(4)), lambda: small.merge(whole), lambda: whole.merge(small)):
        with pytest.raises(SevisError, match="is compact, so no image can be added to it"):
            add()
    with pytest.raises(SevisError, match="hold no image, so there is nothing to make compact"):
        ClassStatistics(CHANNELS, CLASSES).compacted()


# --- files


def test_a_compact_file_is_written_again_as_it_is(small, path, tmp_path) -> None:
    for again in (small, small.compacted()):
        again.save(tmp_path / "again.safetensors", compact=True)
        assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    with safe_open(path, framework="numpy") as file:
        assert COMPACT in file.metadata()["sevis"]
        assert {
            name: file.get_tensor(name).dtype.name for name in ("scale.mean", "scale.std", "histogram.bins", "extremes.highest_ids")
        } == {
            "scale.mean": "uint8",
            "scale.std": "uint8",
            "histogram.bins": "uint8",  # the smallest that holds 30 images of 9 channels
            "extremes.highest_ids": "uint16",
        }
        assert file.get_tensor("sample.values").shape == (4, 4, 8)  # 15 channels in 4 bits


def test_a_compact_file_of_many_classes_is_less_than_an_eighth_of_the_whole_one(tmp_path) -> None:
    channels = {f"SE_{stage}_1": 256 for stage in range(2, 6)}
    statistics = ClassStatistics(channels, tuple(map(str, range(60))), sample=8)
    statistics.update(**batch(1, 600, channels) | {"labels": np.arange(600) % 60})
    for name in ("whole", "small"):
        statistics.save(tmp_path / name, compact=name == "small")
    assert (tmp_path / "small").stat().st_size < (tmp_path / "whole").stat().st_size / 8


def damage(path: Path, name: str, place: Any, value: Any) -> None:
    detailed(1).save(path, compact=True)
    change(path, name, place, value)


@pytest.mark.parametrize("name", ["scale.mean_ends", "squeeze.std_ends", "scale.bounds", "sample.ends"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e9])
def test_ends_that_cannot_be_are_refused(path, name: str, value: float) -> None:
    damage(path, name, (0, 7), value)
    with pytest.raises(SevisError, match=r"damaged \(its lowest and highest values do not fit\)"):
        ClassStatistics.load(path)


def test_a_deviation_below_zero_is_refused(path) -> None:
    damage(path, "scale.std_ends", (0, 7), -0.5)
    with pytest.raises(SevisError, match="damaged"):
        ClassStatistics.load(path)


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [("scale.count", 1, 99), ("squeeze.count", 0, 99), ("sample.ids", (1, 0), -1), ("histogram.bins", (1, 0, 5), 200)],
)
def test_counts_that_do_not_fit_are_refused(path, name: str, place: Any, value: int) -> None:
    damage(path, name, place, value)
    with pytest.raises(SevisError, match=r"damaged \(its counts of images do not fit\)"):
        ClassStatistics.load(path)


def test_a_damaged_compact_file_is_refused(small, path) -> None:
    whole = path.read_bytes()
    for damaged in (whole[:50], whole[: len(whole) // 2], whole[:-3], whole + b"more", whole.replace(b"-3-compact", b"-1        ")):
        path.write_bytes(damaged)
        with pytest.raises(SevisError, match=r"damaged|a newer sevis"):
            ClassStatistics.load(path)


def test_a_compact_file_that_is_cut_short_while_it_is_open_is_said(small, path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)
    for read in (small.mean, small.histogram, small.extremes, small.sample, small.bounds):
        with pytest.raises(SevisError, match="was cut short while it was open"):
            read("SE_2_1")
