"""What a file of weights calls the outputs of its network: names that its training script saved with it, where they are complete."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sevis.weights.plain_values import PickledArray

# Where training scripts put the names, without case and underscores: names in the order of the outputs, or with their numbers.
KEYS = (
    *("classes", "classnames", "classlist", "classlabels", "labelnames", "labels", "names", "categories", "targetnames", "vocab"),
    *("id2label", "idx2label", "idxtoclass", "idx2class", "indextoclass", "labelmap", "classmap", "class2label"),
)
NUMBERS_OF_NAMES = ("classtoidx", "classtoindex", "class2idx", "label2id", "label2idx", "labeltoidx")
OWN = "data.classes"  # where `sevis train` writes them
DEPTH, MOST = 5, 10_000  # dictionaries in dictionaries, and in all, that are searched
LONGEST = 1000  # characters of a name

Names = tuple[str, ...]


@dataclass(frozen=True)
class FileClasses:
    """What a file says of its outputs.

    Attributes:
        names: of the outputs in their order; None where the file says none that fit.
        doubt: why what it says was not taken, in a clause; empty where it was, or where it says nothing.
    """

    names: Names | None = None
    doubt: str = ""


def find_classes(about: Mapping[str, Any], outputs: int) -> FileClasses:
    """Return the names of so many outputs that a file holds: as many, no two alike, and none that another list puts elsewhere.

    Args:
        about: what the file says beside its tensors.
        outputs: how many outputs its network has.
    """
    told = dict(_find_names(about))
    fitting = {place: names for place, names in told.items() if len(names) == outputs == len(set(names))}
    if OWN in fitting:
        return FileClasses(fitting[OWN])
    numbers = dict[str, int]()
    for number, name in (pair for names in fitting.values() for pair in enumerate(names)):
        if numbers.setdefault(name, number) != number:
            return FileClasses(doubt=f"it says two orders of its outputs ({', '.join(list(fitting)[:3])})")
    if fitting:
        numbered = [place for place in fitting if _fold(place.rpartition(".")[2]) in NUMBERS_OF_NAMES]
        return FileClasses(fitting[(numbered or list(fitting))[0]])
    if told:
        place, names = next(iter(told.items()))
        said = f"{len(names)} names, {len(set(names))} different" if names else "no name, or two, for some output"
        return FileClasses(doubt=f"its {place} has {said}, and the network has {outputs} outputs")
    return FileClasses()


def _find_names(about: Mapping[str, Any]) -> Iterator[tuple[str, Names]]:
    """Yield the path of every list of names in a file, the outermost first, and its names; none of one that is not complete."""
    level, seen = [("", dict(about))], set[int]()
    for _ in range(DEPTH):
        inner = list[tuple[str, dict[Any, Any]]]()
        for place, fields in level:
            for key, value in ((key, _open(value)) for key, value in fields.items() if isinstance(key, str)):
                path, inverted = f"{place}{key}"[:100], _fold(key) in NUMBERS_OF_NAMES
                if inverted or _fold(key) in KEYS:
                    names = _read_names(value, inverted=inverted, own=path == OWN)
                    if names is not None:
                        yield path, names
                if isinstance(value, dict) and id(value) not in seen and len(seen) < MOST:
                    seen.add(id(value))
                    inner.append((f"{path}.", _fields(value)))
        level = inner


def _fold(key: str) -> str:
    return key.lower().replace("_", "")


def _fields(value: dict[Any, Any]) -> dict[Any, Any]:
    """Return the entries of a dictionary, and the fields of an object that is read as one; no method of it is asked."""
    return dict(dict.items(value)) | getattr(value, "__dict__", {})


def _open(value: object) -> object:
    """Return a value with what wraps it taken off: text in JSON, as safetensors keep all they say, and NumPy's arrays."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
    if isinstance(value, PickledArray):
        array = value.read()
        return None if array is None or array.ndim != 1 else array.tolist()
    return value


def _read_names(value: object, *, inverted: bool, own: bool) -> Names | None:
    """Return names in the order of their numbers; none where some lack; None where a value is no list of names.

    Args:
        value: a list, or a dictionary: of names by number, or of numbers by name.
        inverted: whether a dictionary is of numbers by name, where both look like numbers.
        own: whether `sevis train` wrote it, where the names of folders may have become numbers.
    """
    if isinstance(value, dict):
        pairs = list(dict.items(value))
        if inverted or all(type(number) is int for _, number in pairs):
            pairs = [(number, name) for name, number in pairs]
        if not pairs or not all(type(name) is str for _, name in pairs):
            return None
        numbered = {_number(number): name for number, name in pairs}
        return tuple(numbered[number][:LONGEST] for number in range(len(pairs))) if set(numbered) == set(range(len(pairs))) else ()
    if not isinstance(value, list | tuple) or not value or not all(type(name) is str or (own and type(name) is int) for name in value):
        return None
    return tuple(str(name)[:LONGEST] for name in value)


def _number(value: object) -> int | None:
    """Return a number that may be written as text, as in every JSON; None for anything else."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdecimal() and len(value) < 10 else None
    return value if type(value) is int else None
