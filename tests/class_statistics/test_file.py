"""Files of class statistics: exact, memory-mapped, whole or not there, and refused in a sentence when they are damaged."""

import errno
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.file import COMPACT, FORMAT, OLD
from sevis.errors import SevisError
from tests.helpers.statistics import CHANNELS, CLASSES, batch, change, detailed

HEADER = {"format": FORMAT, "channels": {"a": 3}, "classes": ["x"], "metadata": {"model": "old"}}  # of `write_ones`


def answers(statistics: ClassStatistics) -> dict[str, Any]:
    """Everything that statistics tell."""
    found: dict[str, Any] = {"count": statistics.count}
    for site in statistics.sites:
        for quantity in ("squeeze", "scale"):
            for name in ("mean", "m2", "std", "min", "max", "overall_mean", "overall_std"):
                found[f"{site}.{quantity}.{name}"] = getattr(statistics, name)(site, quantity)
        for sketch in ("histogram", "extremes", "sample"):
            found |= {f"{site}.{sketch}.{name}": array for name, array in vars(getattr(statistics, sketch)(site)).items()}
    return found


def assert_same(first: ClassStatistics, second: ClassStatistics) -> None:
    assert (first.metadata, first.classes, first.channels) == (second.metadata, second.classes, second.channels)
    expected = answers(second)
    for name, array in answers(first).items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "some.safetensors"


def test_saved_and_loaded_is_the_same(path) -> None:
    statistics = detailed(1, 2)
    statistics.save(path)
    assert [found.name for found in path.parent.iterdir()] == ["some.safetensors"]
    loaded = ClassStatistics.load(path)
    assert loaded.detailed
    assert_same(loaded, statistics)
    with safe_open(path, framework="numpy") as file:  # for everybody who reads safetensors
        np.testing.assert_array_equal(file.get_tensor("scale.mean")[:3, :6], statistics.mean("SE_2_1")[:3])
        assert json.loads(file.metadata()["sevis"])["format"] == FORMAT


def test_without_images_it_is_saved_and_goes_on(path) -> None:
    detailed().save(path)
    loaded = ClassStatistics.load(path)
    assert loaded.count.tolist() == [0, 0, 0, 0]
    loaded.update(**batch(1))
    assert_same(loaded, detailed(1))


def test_a_run_that_goes_on_equals_one_without_a_break_bit_for_bit(path) -> None:
    detailed(1, 2, 3, 4).save(path)
    whole = path.read_bytes()
    detailed(1).save(path)
    for seed in (2, 3, 4):
        loaded = ClassStatistics.load(path)
        loaded.update(**batch(seed))
        loaded.save(path)  # over the file that it reads from
    assert path.read_bytes() == whole


def test_what_is_added_to_loaded_statistics_stays_out_of_their_file(path) -> None:
    detailed(1).save(path)
    before = path.read_bytes()
    loaded, other = ClassStatistics.load(path), detailed(2)
    loaded.merge(other)
    other.merge(ClassStatistics.load(path))
    np.testing.assert_allclose(loaded.mean("SE_3_1"), other.mean("SE_3_1"), rtol=1e-13)
    np.testing.assert_array_equal(loaded.sample("SE_3_1").values, other.sample("SE_3_1").values)
    assert path.read_bytes() == before


def test_moments_only_are_saved_without_the_rest(path) -> None:
    statistics = ClassStatistics(CHANNELS, CLASSES)
    statistics.update(batch(1)["labels"], batch(1)["values"])
    statistics.save(path)
    loaded = ClassStatistics.load(path)
    np.testing.assert_array_equal(loaded.std("SE_3_1"), statistics.std("SE_3_1"))
    assert not loaded.detailed
    with pytest.raises(SevisError, match=r"some.safetensors holds only means: collect it again with python -m sevis collect"):
        loaded.histogram("SE_3_1")


def test_opening_reads_no_values(path) -> None:
    channels = {f"SE_{stage}_1": 512 for stage in range(2, 6)}
    statistics = ClassStatistics(channels, tuple(map(str, range(60))), sample=3)
    statistics.update(**batch(1, 20, channels))
    statistics.save(path)
    tracemalloc.start()
    loaded = ClassStatistics.load(path)
    opened = tracemalloc.get_traced_memory()[1]
    mean = loaded.mean("SE_3_1")
    shown = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert opened < path.stat().st_size / 20
    assert mean.nbytes <= shown < path.stat().st_size / 5


# --- headers and shapes


def write_ones(path: Path, *, channels: Any = None, count: Any = None, width: int = 3, header: Any = None) -> Path:
    """A file of moments of one image of one class, whose values are zeros."""
    sizes = {"mean": np.float64, "m2": np.float64, "low": np.float32, "high": np.float32}
    arrays = {f"{quantity}.{name}": np.zeros((1, width), dtype) for quantity in ("squeeze", "scale") for name, dtype in sizes.items()}
    known = HEADER if channels is None else HEADER | {"channels": channels}
    for quantity in ("squeeze", "scale"):
        arrays[f"{quantity}.count"] = np.ones(1, np.int64) if count is None else count
    save_file(arrays, path, metadata={"sevis": json.dumps(known if header is None else header)})
    return path


def test_a_file_that_others_wrote_opens_and_goes_on(path) -> None:
    statistics = ClassStatistics.load(write_ones(path))
    assert (statistics.detailed, statistics.count.tolist(), statistics.metadata) == (False, [1], {"model": "old"})
    ones = {"a": {"squeeze": np.ones((1, 3), np.float32), "scale": np.ones((1, 3), np.float32)}}
    statistics.update(np.array([0]), ones)
    assert statistics.count.tolist() == [2]
    for quantity in ("squeeze", "scale"):
        np.testing.assert_array_equal(statistics.mean("a", quantity), [[0.5, 0.5, 0.5]])
        np.testing.assert_array_equal(statistics.m2("a", quantity), [[0.5, 0.5, 0.5]])
    statistics.save(path)
    np.testing.assert_array_equal(ClassStatistics.load(path).max("a"), [[1, 1, 1]])


def test_a_file_of_the_old_format_is_refused_with_the_cure(path) -> None:
    write_ones(path, header=HEADER | {"format": OLD})
    with pytest.raises(SevisError, match=r"some.safetensors is of a format that sevis no longer reads .*: make it again with python"):
        ClassStatistics.load(path)


@pytest.mark.parametrize(
    "channels", [{"a": 3, "b": 0}, {"a": 4, "b": -1}, {"a": 2, "b": True}, {"a": 1.0, "b": 2.0}, {"a": 10**15}, [], {}]
)
def test_widths_that_are_no_positive_whole_numbers_are_refused(path, channels: Any) -> None:
    with pytest.raises(SevisError, match="damaged"):
        ClassStatistics.load(write_ones(path, channels=channels))


@pytest.mark.parametrize("count", [np.array([-1]), np.array([1.0]), np.array([True]), np.array([1, 1])])
def test_counts_that_count_nothing_are_refused(path, count: np.ndarray) -> None:
    with pytest.raises(SevisError, match="damaged"):
        ClassStatistics.load(write_ones(path, count=count))


def test_arrays_of_other_shapes_are_refused(path) -> None:
    with pytest.raises(SevisError, match=r"squeeze.mean has shape \(1, 4\) of F64, expected \(1, 3\) of F64"):
        ClassStatistics.load(write_ones(path, width=4))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({}, "holds 'no class statistics', expected 'sevis-class-statistics-2' or 'sevis-class-statistics-3-compact'; a newer sevis"),
        ({**HEADER, "format": COMPACT}, "damaged"),
        ({**HEADER, "format": COMPACT, "packing": {"mean": 3}}, "damaged"),
        ({**HEADER, "format": COMPACT, "packing": [8]}, "damaged"),
        ({"format": "sevis-class-statistics-3"}, "holds 'sevis-class-statistics-3', .* a newer sevis"),
        ({"format": FORMAT}, "damaged"),
        (HEADER | {"channels": {"a": 2, "b": 1}, "sample": 1}, "damaged .it lacks histogram.bins"),
        (HEADER | {"classes": []}, "damaged"),
        (HEADER | {"classes": [1]}, "damaged"),
        (HEADER | {"metadata": []}, "damaged"),
        (HEADER | {"sample": -1}, "damaged"),
        (HEADER | {"metadata": {"broken": 5}}, "damaged"),
        (HEADER | {"metadata": {"wnids": "n01443537"}}, "damaged"),
        (HEADER | {"sample": 1, "metadata": {"seed": 0.5}}, "damaged"),
        ([1, 2], "damaged"),
    ],
)
def test_a_strange_header_is_refused(path, header: object, message: str) -> None:
    with pytest.raises(SevisError, match=message):
        ClassStatistics.load(write_ones(path, header=header))


# --- bad input


def test_a_header_nested_without_end_is_refused(path) -> None:
    save_file({"count": np.zeros(1, np.int64)}, path, metadata={"sevis": "[" * 100_000 + "]" * 100_000})
    with pytest.raises(SevisError, match="damaged"):
        ClassStatistics.load(path)


def test_what_cannot_be_read_is_not_called_damaged(path, monkeypatch) -> None:
    with pytest.raises(SevisError, match=r"cannot be read .*name a file"):
        ClassStatistics.load(path.parent)
    detailed(1).save(path)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SevisError, match=r"some.safetensors cannot be read \(Permission denied\): name a file that this user may read"):
        ClassStatistics.load(path)


def test_a_damaged_file_is_refused(path) -> None:
    with pytest.raises(SevisError, match="there are no class statistics at"):
        ClassStatistics.load(path)
    detailed(1).save(path)
    whole = path.read_bytes()
    for damaged in (b"", b"not at all", whole[:50], whole[: len(whole) // 2], whole[:-3], whole + b"more"):
        path.write_bytes(damaged)
        with pytest.raises(SevisError, match="damaged"):
            ClassStatistics.load(path)


@pytest.mark.parametrize(
    ("name", "place", "value", "read"),
    [
        ("scale.mean", (1, 7), np.nan, lambda statistics: statistics.mean("SE_3_1")),
        ("scale.mean", (1, 7), np.inf, lambda statistics: statistics.overall_mean("SE_3_1")),
        ("scale.m2", (1, 7), -1, lambda statistics: statistics.std("SE_3_1")),
        ("scale.m2", (1, 7), np.nan, lambda statistics: statistics.overall_std("SE_3_1")),
        ("scale.low", (1, 7), np.nan, lambda statistics: statistics.min("SE_3_1")),
        ("scale.high", (1, 7), np.inf, lambda statistics: statistics.max("SE_3_1")),
        ("sample.values", (1, 0, 7), np.nan, lambda statistics: statistics.sample("SE_3_1")),
        ("extremes.highest", (7, 0), 2**64 - 1, lambda statistics: statistics.extremes("SE_3_1")),
    ],
)
def test_values_that_are_no_numbers_are_said_when_they_are_read(path, name: str, place: Any, value: Any, read: Any) -> None:
    detailed(1).save(path)
    change(path, name, place, value)
    statistics = ClassStatistics.load(path)
    with pytest.raises(SevisError, match=r"some.safetensors is damaged \(values of SE_3_1 are no numbers"):
        read(statistics)
    with pytest.raises(SevisError, match="damaged"):
        detailed(2).merge(statistics)
    statistics.mean("SE_2_1")  # the others can be read


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("scale.count", 1, 99),
        ("squeeze.count", 1, -1),
        ("histogram.bins", (1, 0, 5), 1000),
        ("histogram.bins", (1, 0, 5), -1),
        ("histogram.exact", (1, 0, 0), -1),
        ("sample.ids", (1, 0), -1),
    ],
)
def test_counts_that_do_not_fit_are_refused(path, name: str, place: Any, value: int) -> None:
    detailed(1).save(path)
    change(path, name, place, value)
    with pytest.raises(SevisError, match=r"damaged \(its counts of images do not fit\)"):
        ClassStatistics.load(path)


def test_a_file_that_is_cut_short_while_it_is_open_is_said(path) -> None:
    detailed(1).save(path)
    statistics = ClassStatistics.load(path)
    os.truncate(path, path.stat().st_size - 1)
    for read in (statistics.mean, statistics.histogram, statistics.extremes, statistics.sample):
        with pytest.raises(SevisError, match="was cut short while it was open"):
            read("SE_2_1")
    for use in (lambda: statistics.update(**batch(2)), lambda: detailed(2).merge(statistics), lambda: statistics.save(path)):
        with pytest.raises(SevisError, match="was cut short while it was open"):
            use()


def test_a_file_that_is_replaced_while_it_is_open_stays_readable(path) -> None:
    detailed(1).save(path)
    statistics = ClassStatistics.load(path)
    detailed(2).save(path)
    assert_same(statistics, detailed(1))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_keeps_the_old_file(path, monkeypatch, code: int) -> None:
    detailed(1).save(path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SevisError, match=r"the disk is full, so .*some.safetensors was not written, and its older version is kept"):
        detailed(2).save(path)
    assert [found.name for found in path.parent.iterdir()] == ["some.safetensors"]
    assert path.read_bytes() == before


def old_compact(path: Path, whole: ClassStatistics) -> None:
    """Writes statistics as compact files were before format 3: 16 bits for s, 8 for z, its moments by class, wide counts and keys."""
    whole.save(path)
    with safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["sevis"])
        full = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    arrays = {name: full[name] for name in full if name.startswith(("histogram", "extremes")) or name.endswith((".count", ".ids"))}
    for part, codes in (("scale", np.uint16), ("squeeze", np.uint8)):
        held = full[f"{part}.count"] > 0
        std = np.sqrt(full[f"{part}.m2"] / np.maximum(full[f"{part}.count"] - 1, 1)[:, None])
        for name, values in (("mean", full[f"{part}.mean"]), ("std", std)):
            low, high = (function(values[held], axis=0).astype(np.float32) for function in (np.min, np.max))
            steps = (values - low) / (high - low) * np.iinfo(codes).max
            arrays[f"{part}.{name}"] = np.clip(np.round(steps), 0, np.iinfo(codes).max).astype(codes)
            arrays[f"{part}.{name}_ends"] = np.stack([low, high])
        arrays[f"{part}.bounds"] = np.stack([full[f"{part}.low"][held].min(axis=0), full[f"{part}.high"][held].max(axis=0)])
    arrays["sample.ends"] = np.stack([np.zeros(full["scale.mean"].shape[1]), np.ones(full["scale.mean"].shape[1])]).astype(np.float32)
    arrays["sample.values"] = np.round(full["sample.values"].astype(float) * 255).astype(np.uint8)
    save_file(arrays, path, metadata={"sevis": json.dumps(header | {"format": "sevis-class-statistics-2-compact"})})


def test_compact_files_of_the_format_before_this_one_open(path) -> None:
    whole = detailed(1, 2)
    old_compact(path, whole)
    for _ in range(2):
        old = ClassStatistics.load(path)
        assert (old.compact, old.detailed, old.by_class) == (True, True, ("squeeze", "scale"))
        assert old.identity == whole.identity
        for site in CHANNELS:
            for quantity, error in (("scale", 1e-4), ("squeeze", 0.2)):
                np.testing.assert_allclose(old.mean(site, quantity), whole.mean(site, quantity), atol=error)
                np.testing.assert_allclose(old.std(site, quantity), whole.std(site, quantity), atol=error)
            np.testing.assert_allclose(old.sample(site).values, whole.sample(site).values, atol=0.003)
            for sketch in ("histogram", "extremes"):
                for name, array in vars(getattr(old, sketch)(site)).items():
                    np.testing.assert_array_equal(array, vars(getattr(whole, sketch)(site))[name])
        old.save(path, compact=True)  # and are written as they are


def test_what_an_older_sevis_kept_of_wrong_predictions_is_left_alone(path) -> None:
    write_ones(path)
    with safe_open(path, framework="numpy") as file:
        arrays, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118  (it is no dictionary)
    save_file({**arrays, "wrong.count": np.ones(1, np.int64), "wrong.mean": np.ones((1, 3))}, path, metadata=metadata)
    assert ClassStatistics.load(path).mean("a").tolist() == [[0, 0, 0]]
