"""Files of class statistics: safetensors, memory-mapped, so that only what is shown is read; no pickle.

A file holds one array for each name, and a header, as JSON, in its metadata under "sevis": format, channels by block, classes, sample (how
many gate vectors of each class; None: moments only), metadata and, of compact files, packing. docs/statistics.md lists the arrays. Compact
files of sevis 0.1 before November 27, 2026 (`OLD_COMPACT`) are read, too.
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
from sevis.class_statistics.moments import QUANTITIES, Packing
from sevis.errors import SevisError, one_line
from sevis.files import replacing

AGAIN = "make it again with python -m sevis collect"
FORMAT = "sevis-class-statistics-2"
COMPACT = "sevis-class-statistics-3-compact"
OLD_COMPACT = "sevis-class-statistics-2-compact"
OLD_PACKING = Packing(mean=16, std=16, squeeze=8, sample=8)
OLD = "sevis-class-statistics-1"  # of moments only
Form = tuple[tuple[int, ...], tuple[str, ...]]  # of an array: its shape, and the types that it may have
DTYPES: dict[str, np.dtype[Any]] = {"U8": np.dtype("u1"), "U16": np.dtype("<u2"), "U32": np.dtype("<u4")}
DTYPES |= {"F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "I64": np.dtype("<i8"), "U64": np.dtype("<u8")}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
WHOLE = ("U8", "U16", "U32", "U64")  # the smallest that holds the numbers


class Header(msgspec.Struct, frozen=True):
    """What a file says of its arrays: its format, channels by block, classes, how many gate vectors of each class, provenance, and how
    precise it is, where it is compact.
    """

    format: str
    channels: Annotated[dict[str, Annotated[int, msgspec.Meta(gt=0)]], msgspec.Meta(min_length=1)]
    classes: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    metadata: dict[str, Any]
    sample: Annotated[int, msgspec.Meta(ge=0)] | None = None
    packing: Packing | None = None


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
        return self.header.packing is not None

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
    if form not in (FORMAT, COMPACT, OLD_COMPACT):
        raise SevisError(f"{path} holds {form!r}, expected {FORMAT!r} or {COMPACT!r}; a newer sevis may open it")
    header = msgspec.structs.replace(msgspec.convert(told | {"packing": None}, Header), packing=_packing(told))
    msgspec.convert(header.metadata, _Metadata)
    expected = _expected(header)
    _check_arrays(path, expected, {name: (tuple(entry["shape"]), entry["dtype"]) for name, entry in table.items()})
    arrays: dict[str, NDArray[Any]] = {}
    for name, (shape, _) in expected.items():
        arrays[name] = np.ndarray(shape, DTYPES[table[name]["dtype"]], mapping, start + table[name]["data_offsets"][0])
    return StatisticsFile(path, header, arrays, mapping)


def _packing(told: Mapping[str, Any]) -> Packing | None:
    """Return how precise a header says that its file is; None of a full file. Raises what a damaged header raises."""
    known = {FORMAT: None, OLD_COMPACT: OLD_PACKING}
    return known[told["format"]] if told["format"] in known else msgspec.convert(told["packing"], Packing)


def _expected(header: Header) -> dict[str, Form]:
    """Return the shape and the possible types of every array of a file with this header."""
    widths, size, packing = list(header.channels.values()), header.sample, header.packing
    classes, channels = len(header.classes), sum(widths)
    expected = _moments(classes, channels, packing=packing)
    if size is None:
        return expected
    counts = WHOLE if header.format == COMPACT else ("I64",)
    values = channels if packing is None or packing.sample == 8 else (channels + 1) // 2
    return expected | {
        "histogram.bins": ((classes, len(widths), BINS + 2), counts),
        "histogram.exact": ((classes, len(widths), 2), counts),
        "sample.ids": ((classes, size), ("I64",)),
        "sample.values": ((classes, size, values), ("U8",) if packing else ("F16",)),
        **({"sample.ends": ((2, channels), ("F32",))} if packing else {}),
        **_extremes(channels, packed=header.format == COMPACT),
    }


def _extremes(channels: int, *, packed: bool) -> dict[str, Form]:
    """Return the shape and the possible types of every array of `Tops`, or of `PackedTops`."""
    nine = channels, EXTREMES
    if not packed:
        return {f"extremes.{end}": (nine, ("U64",)) for end in ("highest", "lowest")}
    codes: dict[str, Form] = {f"extremes.{end}": (nine, ("U16",)) for end in ("highest", "lowest")}
    return codes | {f"extremes.{end}_ids": (nine, WHOLE) for end in ("highest", "lowest")}


def _moments(classes: int, channels: int, *, packing: Packing | None) -> dict[str, Form]:
    """Return the shape and type of every array of `Moments`, or of `PackedMoments`."""
    plane, ends = (classes, channels), (2, channels)
    expected: dict[str, Form] = {}
    for part in QUANTITIES:
        if packing is None:
            expected |= {f"{part}.count": ((classes,), ("I64",))}
            expected |= {f"{part}.{name}": (plane, ("F64",)) for name in ("mean", "m2")}
            expected |= {f"{part}.{name}": (plane, ("F32",)) for name in ("low", "high")}
            continue
        pooled = part == "squeeze" and not packing.squeeze
        bits = {"mean": packing.mean, "std": packing.std} if part == "scale" else {"mean": 8, "std": 8}
        expected |= {f"{part}.count": ((1 if pooled else classes,), ("I64",))}
        expected |= {f"{part}.{name}": ((1, channels) if pooled else plane, (f"U{size}",)) for name, size in bits.items()}
        expected |= {f"{part}.{name}": (ends, ("F32",)) for name in ("mean_ends", "std_ends", "bounds")}
    return expected


def _check_arrays(path: Path, expected: Mapping[str, Form], found: Mapping[str, tuple[tuple[int, ...], str]]) -> None:
    for name, (shape, types) in expected.items():
        if name not in found:
            raise SevisError(f"{path} is damaged (it lacks {name}): {AGAIN}")
        if found[name][0] != shape or found[name][1] not in types:
            other = f"{found[name][0]} of {found[name][1]}"
            raise SevisError(f"{path} is damaged ({name} has shape {other}, expected {shape} of {' or '.join(types)}): {AGAIN}")


def _counts_fit(header: Header, arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Return whether the counts of images agree with each other."""
    count = arrays["scale.count"]
    pooled = header.packing is not None and not header.packing.squeeze
    if (count < 0).any() or (arrays["squeeze.count"] != (count.sum() if pooled else count)).any():
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
