"""Arrangement: which images of a data set there are, and of which class each is; and what a person must know of it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from sevis.data.image_formats import SUFFIXES, is_image
from sevis.data.sources import Source, printable

LEFT_BEHIND = ("thumbs.db", "desktop.ini")  # by Windows


@dataclass(frozen=True)
class Files:
    """The files of a source: where they lie, and their names."""

    source: Source
    names: list[str]

    @cached_property
    def images(self) -> list[str]:
        """The names of those that are images."""
        return [name for name in self.names if is_image(name)]

    def path(self, folders: Sequence[str]) -> Path:
        """Return a folder below the root, for messages."""
        return self.source.root.joinpath(*map(printable, folders))


@dataclass(frozen=True, kw_only=True)
class Arrangement:
    """Which images there are, and of which class each is.

    Attributes:
        split: the folder of the part that they are of; empty where there are no parts.
        found: each file and its class.
        classes: those of all parts together, in their order.
        empty: folders among those of the classes that hold no image.
        skipped: how many files beside the images are not read, by their suffixes.
        notes: what else a person must know, as sentences.
    """

    split: str = ""
    found: Sequence[tuple[str, str]]
    classes: tuple[str, ...]
    empty: tuple[str, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def in_order(classes: Iterable[str]) -> tuple[str, ...]:
    """Return the names of classes in their order: numbers by their values, so that 10 follows 9, all others as text."""
    names = set(classes)
    numbers = all(name.isascii() and name.isdigit() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name), name)) if numbers else sorted(names))


def note_numbers(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return a sentence where classes are numbers that would stand in another order as text."""
    if classes == tuple(sorted(classes)):
        return ()
    return (
        f"its {len(classes)} classes are numbers, from {classes[0]} to {classes[-1]}: they stand in this order, and nothing names them",
    )


def count_suffixes(names: Iterable[str]) -> dict[str, int]:
    """Return how many of the files are no images, by their suffixes, most first."""
    others = (name for name in names if not is_image(name) and PurePosixPath(name).name.lower() not in LEFT_BEHIND)
    return dict(Counter(printable(PurePosixPath(name).suffix.lower()) for name in others).most_common())


def tell_skipped(skipped: Mapping[str, int]) -> str:
    """Return how many files are not read, as a sentence; empty for none."""
    told = ", ".join(f"{suffix or 'without a suffix'}: {counted(count, 'file', 'files')}" for suffix, count in skipped.items())
    verb = "is" if sum(skipped.values()) == 1 else "are"
    return f"{told} {verb} not read, because only {', '.join(SUFFIXES)} are" if told else ""


def counted(count: int, one: str, many: str) -> str:
    """Return a number with its noun."""
    return f"{count} {one if count == 1 else many}"
