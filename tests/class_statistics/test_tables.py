"""Exported tables hold every statistic of every class, block and channel, as other programs read them."""

import csv
import errno
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from sevis.class_statistics import tables as exports
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.tables import export
from sevis.errors import SevisError

CHANNELS = {"SE_2_1": 3, "SE_3_1": 4}
CLASSES = ('gold "fish", common', "lion\nking", "Löwe", "never seen")
KEYS = ("class", "block", "channel", "statistic")


@pytest.fixture
def statistics() -> ClassStatistics:
    rng = np.random.default_rng(0)
    made = ClassStatistics(CHANNELS, CLASSES, {"model": "mine", "weights": "abc"}, sample=2)
    values = {
        site: {"squeeze": rng.normal(2, 9, (11, width)).astype(np.float32), "scale": rng.random((11, width), np.float32)}
        for site, width in CHANNELS.items()
    }
    made.update(np.array([0] * 5 + [1] * 5 + [2]), values)
    return made


def expected(statistics: ClassStatistics) -> dict[tuple[str, str, int, str], float | None]:
    """Every value in a plain loop; None where it is not known."""
    found: dict[tuple[str, str, int, str], float | None] = {}
    for row, name in enumerate(CLASSES):
        for site, width in CHANNELS.items():
            for channel in range(width):
                found[name, site, channel, "count"] = float(statistics.count[row])
                for quantity in ("squeeze", "scale"):
                    for function in ("mean", "std", "min", "max"):
                        value = float(getattr(statistics, function)(site, quantity)[row, channel])
                        found[name, site, channel, f"{quantity} {function}"] = None if np.isnan(value) else value
    return found


def read_csv(path: Path) -> list[tuple[tuple[str, str, int, str], float | None]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    keys = [(row["class"], row["block"], int(row["channel"]), row["statistic"]) for row in rows]
    return [(key, float(row["value"]) if row["value"] else None) for key, row in zip(keys, rows, strict=True)]


def read_parquet(path: Path) -> list[tuple[tuple[str, str, int, str], float | None]]:
    rows = parquet.read_table(path).to_pylist()
    return [(tuple(row[key] for key in KEYS), row["value"]) for row in rows]


@pytest.mark.parametrize("rows", [1, 60, 500_000])  # written at once: class by class, some classes, all
@pytest.mark.parametrize("ending", [".csv", ".parquet", ".CSV"])
def test_the_long_form_has_a_row_for_each_value(tmp_path, monkeypatch, statistics, ending: str, rows: int) -> None:
    monkeypatch.setattr(exports, "ROWS", rows)
    path = tmp_path / f"table{ending}"
    export(statistics, path)
    pairs = read_parquet(path) if ending == ".parquet" else read_csv(path)
    assert len(pairs) == len(dict(pairs))  # none twice
    assert dict(pairs) == expected(statistics)
    assert dict(pairs)["Löwe", "SE_2_1", 0, "scale std"] is None  # of one image
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_parquet_has_types_and_provenance(tmp_path, statistics) -> None:
    export(statistics, tmp_path / "table.parquet")
    schema = parquet.read_schema(tmp_path / "table.parquet")
    assert (schema.names, schema.field("channel").type, schema.field("value").type) == ([*KEYS, "value"], pa.int32(), pa.float64())
    assert json.loads(schema.metadata[b"sevis"]) == statistics.metadata


def test_npz_has_an_array_for_each_block_and_statistic(tmp_path, statistics) -> None:
    export(statistics, tmp_path / "arrays.npz")
    with np.load(tmp_path / "arrays.npz", allow_pickle=False) as arrays:
        assert len(arrays.files) == 3 + 2 * 2 * 4
        assert arrays["classes"].tolist() == list(CLASSES)
        assert json.loads(str(arrays["metadata"])) == statistics.metadata
        np.testing.assert_array_equal(arrays["count"], statistics.count)
        for site in CHANNELS:
            for quantity in ("squeeze", "scale"):
                for name in ("mean", "std", "min", "max"):
                    np.testing.assert_array_equal(arrays[f"{site}/{quantity} {name}"], getattr(statistics, name)(site, quantity))


def test_a_file_of_means_only_can_be_exported(tmp_path) -> None:
    plain = ClassStatistics(CHANNELS, CLASSES)
    plain.save(tmp_path / "plain.safetensors")
    export(ClassStatistics.load(tmp_path / "plain.safetensors"), tmp_path / "table.csv")
    assert {value for key, value in read_csv(tmp_path / "table.csv") if key[3] != "count"} == {None}


@pytest.mark.parametrize("rows", [1, 500_000])
def test_compact_statistics_have_no_minimum_and_maximum_by_class_and_no_z(tmp_path, monkeypatch, statistics, rows: int) -> None:
    monkeypatch.setattr(exports, "ROWS", rows)
    compact = statistics.compacted()
    export(compact, tmp_path / "table.csv")
    found = dict(read_csv(tmp_path / "table.csv"))
    assert found.keys() == {key for key in expected(statistics) if key[3] in ("count", "scale mean", "scale std")}
    assert found["Löwe", "SE_3_1", 3, "scale mean"] == compact.mean("SE_3_1")[2, 3]
    export(compact, tmp_path / "arrays.npz")
    with np.load(tmp_path / "arrays.npz", allow_pickle=False) as arrays:
        assert len(arrays.files) == 3 + 2 * 2


@pytest.mark.parametrize("name", ["table.xlsx", "table", "table.csv.gz"])
def test_another_ending_is_refused(tmp_path, statistics, name: str) -> None:
    with pytest.raises(SevisError, match=rf"ends in .csv, .parquet, .npz, got '{name}'"):
        export(statistics, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".npz"])
def test_a_full_disk_keeps_the_old_table(tmp_path, monkeypatch, statistics, ending: str) -> None:
    path = tmp_path / f"table{ending}"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SevisError, match="the disk is full"):
        export(statistics, path)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1
