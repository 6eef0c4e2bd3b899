"""Class statistics as tables for other programs: CSV and Parquet in long form, NPZ as arrays; block by block, in little memory."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.moments import QUANTITIES
from sevis.errors import SevisError
from sevis.extras import require
from sevis.files import replacing

if TYPE_CHECKING:
    import pyarrow as pa

STATISTICS = ("count", *(f"{quantity} {name}" for quantity in QUANTITIES for name in ("mean", "std", "min", "max")))
ROWS = 500_000  # written at once


def export(statistics: ClassStatistics, path: str | Path) -> None:
    """Write the statistics as .csv, .parquet or .npz, as a whole or not at all.

    CSV and Parquet have a row for each class, block, channel and statistic, in columns of these names and "value"; channels count from 0,
    `STATISTICS` are the statistics, and what is not known, such as the mean where there is no image, is empty; compact statistics have no
    minimum and maximum by class, and none of z by class, and no such rows. NPZ has an array (K, C) of
    each block and statistic, such as "SE_2_1/scale mean", with NaN for what is not known, and "classes", "count" and "metadata" (JSON).

    Raises:
        SevisError: for another ending, statistics whose file is damaged, and a full disk.
    """
    path = Path(path)
    writers = {".csv": _write_csv, ".parquet": _write_parquet, ".npz": _write_npz}
    if path.suffix.lower() not in writers:
        raise SevisError(f"expected a file that ends in {', '.join(writers)}, got {path.name!r}")
    if path.suffix.lower() != ".npz":
        require("pyarrow", f"a table as {path.suffix}")
    with replacing(path) as file:
        writers[path.suffix.lower()](statistics, file)


def _write_csv(statistics: ClassStatistics, file: BinaryIO) -> None:
    from pyarrow.csv import CSVWriter

    _write_rows(statistics, CSVWriter(file, _schema(statistics)))


def _write_parquet(statistics: ClassStatistics, file: BinaryIO) -> None:
    from pyarrow.parquet import ParquetWriter

    _write_rows(statistics, ParquetWriter(file, _schema(statistics)))


def _write_rows(statistics: ClassStatistics, writer: Any) -> None:
    with writer:
        for batch in _batches(statistics):
            writer.write_batch(batch)


def _write_npz(statistics: ClassStatistics, file: BinaryIO) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in _arrays(statistics):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def _arrays(statistics: ClassStatistics) -> Iterator[tuple[str, NDArray[np.generic]]]:
    yield "classes", np.array(statistics.classes)
    yield "count", statistics.count
    yield "metadata", np.array(json.dumps(statistics.metadata))
    for site in statistics.sites:
        for name in _known(statistics)[1:]:
            yield f"{site}/{name}", _values(statistics, site, name)


def _known(statistics: ClassStatistics) -> list[str]:
    """Return the names of those that the statistics hold."""
    lost = (" min", " max") if statistics.compact else ()
    return [name for name in STATISTICS if name == "count" or (name.startswith(statistics.by_class) and not name.endswith(lost))]


def _values(statistics: ClassStatistics, site: str, name: str) -> NDArray[np.float64]:
    """Return one statistic of a block, shape (K, C)."""
    if name == "count":
        return np.repeat(statistics.count[:, None].astype(np.float64), statistics.channels[site], axis=1)
    quantity, function = name.split()
    return np.asarray(getattr(statistics, function)(site, quantity), dtype=np.float64)


def _schema(statistics: ClassStatistics) -> "pa.Schema":
    import pyarrow as pa

    fields = {"class": pa.string(), "block": pa.string(), "channel": pa.int32(), "statistic": pa.string(), "value": pa.float64()}
    return pa.schema(fields, metadata={"sevis": json.dumps(statistics.metadata)})


def _batches(statistics: ClassStatistics) -> "Iterator[pa.RecordBatch]":
    """Yield the rows of the long form: block by block, and in it some classes at a time."""
    import pyarrow as pa

    known = _known(statistics)
    schema, classes, names = _schema(statistics), pa.array(statistics.classes), pa.array(known)
    for site, width in statistics.channels.items():
        values = np.stack([_values(statistics, site, name) for name in known], axis=1)  # (K, statistics, C)
        step = max(1, ROWS // (len(known) * width))
        for start in range(0, len(values), step):
            part = values[start : start + step]
            rows, which, channel = np.indices(part.shape, dtype=np.int32).reshape(3, -1)
            columns = [classes.take(pa.array(rows + start)), pa.repeat(site, part.size), pa.array(channel), names.take(pa.array(which))]
            yield pa.record_batch([*columns, pa.array(part.ravel(), from_pandas=True)], schema=schema)
