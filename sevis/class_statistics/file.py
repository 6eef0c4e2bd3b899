"""Files of class statistics: safetensors, memory-mapped, so that only what is shown is read; no pickle.

A file holds one array for each name, and a header, as JSON, in its metadata under "sevis": format, channels by block, classes, sample (how
many gate vectors of each class; None: moments only) and metadata. The arrays of compact files are those of `PackedMoments`.
"""

import json
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from sevis.class_statistics.histograms import BINS, EXTREMES
from sevis.class_statistics.moments import CODES, SAMPLE_CODES
from sevis.errors import SevisError, one_line
from sevis.files import replacing

AGAIN = "make it again with python -m sevis collect"
FORMAT = "sevis-class-statistics-2"
COMPACT = "sevis-class-statistics-2-compact"
OLD = "sevis-class-statistics-1"  # of moments only
Form = tuple[tuple[int, ...], np.dtype[Any]]  # of an array: its shape and type
DTYPES = {"U8": np.dtype("u1"), "U16": np.dtype("<u2")}
DTYPES |= {"F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "I64": np.dtype("<i8"), "U64": np.dtype("<u8")}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class Header(msgspec.Struct, frozen=True):
    """What a file says of its arrays: its format, channels by block, classes, how many gate vectors of each class, and provenance."""

    format: str
    channels: Annotated[dict[str, Annotated[int, msgspec.Meta(gt=0)]], msgspec.Meta(min_length=1)]
    classes: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    metadata: dict[str, Any]
    sample: Annotated[int, msgspec.Meta(ge=0)] | None = None


class _Metadata(msgspec.Struct):
    """What sevis itself reads of the provenance."""

    wnids: list[Any] | None = None
    broken: list[Any] | None = None
    seed: int = 0


@dataclass(frozen=True)
class StatisticsFile:
    """An open file: its arrays are read when they are looked at, and what is written into them stays in memory."""

    path: Path
    header: Header
    arrays: Mapping[str, NDArray[Any]]
    mapping: mmap.mmap

    @property
    def compact(self) -> bool:
        """Return whether its values are packed."""
        return self.header.format == COMPACT

    @property
    def detailed(self) -> bool:
        """Return whether it holds more than moments."""
        return "sample.ids" in self.arrays

    def part(self, name: str) -> dict[str, NDArray[Any]]:
        """Return the arrays of one part, such as "scale", by their names in it; empty where the file does not hold it."""
        return {full.removeprefix(f"{name}."): array for full, array in self.arrays.items() if full.startswith(f"{name}.")}

    def check(self, site: str, *arrays: NDArray[Any], least: float = -np.inf) -> None:
        """Raise SevisError where the file was cut short, or arrays that were read from it hold what cannot be."""
        if self.mapping.size() < len(self.mapping):  # reading on would end the process
            raise SevisError(f"{self.path} was cut short while it was open: {AGAIN}")
        if not all((np.isfinite(array) & (array >= least)).all() for array in arrays):
            raise SevisError(f"{self.path} is damaged (values of {site} are no numbers, or too small): {AGAIN}")


def read_statistics(path: Path) -> StatisticsFile:
    """Open a file and check everything but the values, which it does not read.

    Raises:
        SevisError: for a file that is missing, damaged, of another format, or whose arrays and counts do not fit.
    """
    try:
        with safe_open(path, framework="numpy"):  # checks that the arrays fill the file
            pass
        found = _open(path)
    except FileNotFoundError:
        raise SevisError(f"there are no class statistics at {path}: make them with python -m sevis collect") from None
    except OSError as error:
        raise SevisError(f"{path} cannot be read ({error.strerror or one_line(error)}): name a file that this user may read") from None
    except (SafetensorError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise SevisError(f"{path} is damaged ({type(error).__name__}): {AGAIN}") from None
    if not _counts_fit(found.header, found.arrays):
        raise SevisError(f"{path} is damaged (its counts of images do not fit): {AGAIN}")
    if not _ends_fit(found.arrays):
        raise SevisError(f"{path} is damaged (its lowest and highest values do not fit): {AGAIN}")
    return found


def _open(path: Path) -> StatisticsFile:
    """Map a file into memory. Raises what reading it raises, and SevisError for another format and arrays of another shape."""
    with path.open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    start = 8 + int.from_bytes(mapping[:8], "little")
    table = json.loads(mapping[8:start])
    told = json.loads(table.pop("__metadata__", {}).get("sevis", "{}"))
    form = told.get("format", "no class statistics")
    if form == OLD:
        raise SevisError(f"{path} is of a format that sevis no longer reads ({OLD}): {AGAIN}")
    if form not in (FORMAT, COMPACT):
        raise SevisError(f"{path} holds {form!r}, expected {FORMAT!r}; a newer sevis may open it")
    header = msgspec.convert(told, Header)
    msgspec.convert(header.metadata, _Metadata)
    expected = _expected(header)
    _check_arrays(path, expected, {name: (tuple(entry["shape"]), DTYPES.get(entry["dtype"])) for name, entry in table.items()})
    arrays = {name: np.ndarray(*form, mapping, start + table[name]["data_offsets"][0]) for name, form in expected.items()}
    return StatisticsFile(path, header, arrays, mapping)


def _expected(header: Header) -> dict[str, Form]:
    """Return the shape and type of every array of a file with this header."""
    widths, size, compact = list(header.channels.values()), header.sample, header.format == COMPACT
    classes, channels = len(header.classes), sum(widths)
    expected = _moments(classes, channels, compact=compact)
    if size is None:
        return expected
    whole, key = np.dtype("<i8"), np.dtype("<u8")
    return expected | {
        "histogram.bins": ((classes, len(widths), BINS + 2), whole),
        "histogram.exact": ((classes, len(widths), 2), whole),
        "extremes.highest": ((channels, EXTREMES), key),
        "extremes.lowest": ((channels, EXTREMES), key),
        "sample.ids": ((classes, size), whole),
        "sample.values": ((classes, size, channels), np.dtype(SAMPLE_CODES if compact else "<f2")),
        **({"sample.ends": ((2, channels), np.dtype("<f4"))} if compact else {}),
    }


def _moments(classes: int, channels: int, *, compact: bool) -> dict[str, Form]:
    """Return the shape and type of every array of `Moments`, or of `PackedMoments`."""
    plane, ends = (classes, channels), (2, channels)
    expected: dict[str, Form] = {}
    for part, codes in CODES.items():
        expected[f"{part}.count"] = ((classes,), np.dtype("<i8"))
        if compact:
            expected |= {f"{part}.{name}": (plane, np.dtype(codes)) for name in ("mean", "std")}
            expected |= {f"{part}.{name}": (ends, np.dtype("<f4")) for name in ("mean_ends", "std_ends", "bounds")}
        else:
            expected |= {f"{part}.{name}": (plane, np.dtype("<f8")) for name in ("mean", "m2")}
            expected |= {f"{part}.{name}": (plane, np.dtype("<f4")) for name in ("low", "high")}
    return expected


def _check_arrays(path: Path, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    for name, (shape, dtype) in expected.items():
        if name not in found:
            raise SevisError(f"{path} is damaged (it lacks {name}): {AGAIN}")
        if found[name] != (shape, dtype):
            other = f"{found[name][0]} of {found[name][1]}"
            raise SevisError(f"{path} is damaged ({name} has shape {other}, expected {shape} of {dtype}): {AGAIN}")


def _counts_fit(header: Header, arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Return whether the counts of images agree with each other."""
    count = arrays["scale.count"]
    if (count < 0).any() or (count != arrays["squeeze.count"]).any():
        return False
    if "histogram.bins" in arrays:
        bins, ids = arrays["histogram.bins"], arrays["sample.ids"]
        widths = np.array(list(header.channels.values()))
        held = (ids >= 0).sum(axis=1)
        return bool(
            (bins >= 0).all()
            and (arrays["histogram.exact"] >= 0).all()
            and (bins.sum(axis=2) == count[:, None] * widths).all()
            and (held == np.minimum(count, ids.shape[1])).all()
        )
    return True


def _ends_fit(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Return whether what lies between two ends of packed values can only be a number: the ends are, and the lower one is not above the
    other.
    """
    pairs = {name: array for name, array in arrays.items() if name.endswith(("ends", "bounds"))}
    finite = all(np.isfinite(pair).all() and (pair[0] <= pair[1]).all() for pair in pairs.values())
    return finite and all((pair[0] >= 0).all() for name, pair in pairs.items() if name.endswith("std_ends"))


def write_statistics(path: Path, header: Header, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write a file as a whole or not at all, array by array. Raises SevisError when the disk is full."""
    table: dict[str, Any] = {"__metadata__": {"sevis": json.dumps(msgspec.to_builtins(header))}}
    names = sorted(arrays, key=lambda name: -arrays[name].itemsize)  # so that each begins at a multiple of its values' size
    end = 0
    for name in names:
        start, end = end, end + arrays[name].nbytes
        table[name] = {"dtype": NAMES[arrays[name].dtype], "shape": arrays[name].shape, "data_offsets": [start, end]}
    text = json.dumps(table).encode()
    text += b" " * (-len(text) % 8)
    with replacing(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            file.write(np.ascontiguousarray(arrays[name]).data)
