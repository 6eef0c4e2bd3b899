"""Folders of class folders that an operator lets visitors look into: which there are, and what is wrong with one."""

import os
from collections.abc import Iterator
from pathlib import Path

from sevis.datasets import SPLITS, SUFFIXES
from sevis.errors import SevisError
from sevis.places import Source, Zip, printable

VARIABLE = "SEVIS_DATA_ROOTS"
FILES = 200_000  # in one data set
LOOKED_INTO = 20_000  # folders, before the search for data sets ends
LISTED = 200  # data sets
NAMED = 100  # files that are no images
DEPTH = 6  # folders around a photo


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image that is read."""
    return name.lower().endswith(SUFFIXES)


def allowed_roots() -> tuple[Path, ...]:
    """The folders that the operator named in SEVIS_DATA_ROOTS, with the system's separator between them; those that are there."""
    named = [Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
    return tuple(dict.fromkeys(path.resolve() for path in named if path.is_dir()))


def find_class_folders(roots: tuple[Path, ...]) -> dict[str, Path]:
    """The data sets below some folders, by what they are called: at least two folders of images, or such below a folder for a split.

    Links are not followed, a data set is not searched for others, and the search ends after LOOKED_INTO folders or LISTED data sets.
    """
    found: dict[str, Path] = {}
    for path, label in _data_sets(roots):
        unique = label if label not in found else f"{label} ({sum(name.startswith(label) for name in found) + 1})"
        found[unique] = path
        if len(found) == LISTED:
            break
    return found


def _data_sets(roots: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    left = LOOKED_INTO
    waiting = [(root, printable(root.name)) for root in reversed(roots)]
    while waiting and left > 0:
        path, label = waiting.pop()
        below = _folders(path)
        left -= 1 + len(below)
        if _holds_classes(path, below):
            yield path, label
        elif label.count("/") < DEPTH:
            waiting += [(path / name, f"{label}/{printable(name)}") for name in reversed(below)]


def _holds_classes(path: Path, below: list[str]) -> bool:
    splits = [name for name in below if name in SPLITS]
    if splits:
        return any(_has_image(path / split / name) for split in splits for name in _folders(path / split)[:3])
    return sum(_has_image(path / name) for name in below[:10]) > 1  # some may be empty


def _folders(path: Path) -> list[str]:
    """The names of the folders in a folder, sorted, none hidden and no links; none where it cannot be read."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _has_image(path: Path) -> bool:
    """Whether one of the first 100 entries of a folder is an image by its name."""
    try:
        with os.scandir(path) as entries:
            return any(is_image(entry.name) for _, entry in zip(range(100), entries, strict=False))
    except OSError:
        return False


def look_through(folder: Path, roots: tuple[Path, ...], *, most: int = FILES) -> tuple[str, ...]:
    """The files that are no images, at most NAMED, in a folder of class folders: walks through it without reading a file.

    Args:
        folder: to be looked through.
        roots: one of which it must lie in, links followed.
        most: how many files and folders it may hold.

    Raises:
        SevisError: when it lies elsewhere, cannot be read, holds too many files or none that is an image, or is nested too deep.
    """
    name = printable(folder.name)
    if "\0" in str(folder) or not any(Path(os.path.realpath(folder)).is_relative_to(root) for root in roots):
        raise SevisError(f"{name!r:.120} is not below a folder that the operator of this app allowed: choose one from the list")
    images, others = 0, list[str]()
    for seen, (place, is_folder) in enumerate(_walk(folder), start=1):
        if seen > most:
            raise SevisError(f"{name} holds more than {most} files: collect it with python -m sevis collect, which takes any number")
        if is_image(place):
            images += not is_folder
        elif not is_folder and len(others) < NAMED:
            others.append(printable(place))
    if not images:
        raise SevisError(f"{name} holds no image: expected one folder of images a class")
    return tuple(others)


def _walk(folder: Path) -> Iterator[tuple[str, bool]]:
    """Every file and folder below a folder, by its name below it, and whether it is a folder; none hidden, no link followed."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        if below.count("/") >= DEPTH:
            raise SevisError(f"{folder.name} is nested more than {DEPTH} folders deep, at {below}: expected one folder of images a class")
        try:
            with os.scandir(folder / below) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    place = f"{below}/{entry.name}".removeprefix("/")
                    inside = entry.is_dir(follow_symlinks=False)
                    if inside:
                        waiting.append(place)
                    yield place, inside
        except OSError as error:
            raise SevisError(
                f"{folder.name}/{below} cannot be read ({error.strerror or error}): let the user that runs this app read it"
            ) from None


def splits_in(source: Source) -> tuple[str, ...]:
    """The folders for training, validation and test that a data set has, the one to look at first before the others."""
    tops = source.folders()
    if isinstance(source, Zip) and len(tops) == 1 and tops[0] not in SPLITS:
        tops = source.folders(tops[0])  # zipped with the folder that holds it all
    return tuple(split for split in ("val", "test", "train") if split in tops)
