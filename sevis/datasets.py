"""Labelled pictures: Tiny ImageNet-200 in its official layout and any folder with one folder a class, on disk or straight from a zip.

A data set is a sequence of (RGB image, class index); nothing is unpacked, and no file name leaves its root.
"""

import os
import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Protocol

from PIL import Image

from sevis.errors import SevisError
from sevis.images import MAX_BYTES, read_image

TINY_IMAGENET = "tiny-imagenet-200"
SUFFIXES = (".jpeg", ".jpg", ".png", ".webp", ".bmp", ".gif")
SPLITS = ("train", "val", "test")
SAMPLE_PHOTOS = {  # ships with scikit-image, so it is there without internet
    "Tabby cat": "chelsea.png",
    "Cup of espresso": "coffee.png",
    "Rocket": "rocket.jpg",
    "Astronaut": "astronaut.png",
}


class Source(Protocol):
    """Where the files of a data set lie: their names, relative, with slashes, sorted, none hidden; and their bytes.

    `read` raises SevisError for a file that is missing, damaged or larger than MAX_BYTES.
    """

    @property
    def root(self) -> Path: ...
    def names(self) -> list[str]: ...
    def read(self, name: str) -> bytes: ...


@dataclass(frozen=True)
class Folder:
    """Files below a folder."""

    root: Path

    def names(self) -> list[str]:
        # os.walk does not follow links to folders, so a listing cannot leave the root or run in a circle.
        found = (Path(folder, name) for folder, _, files in os.walk(self.root) for name in files)
        return _listed(path.relative_to(self.root).as_posix() for path in found)

    def read(self, name: str) -> bytes:
        path = self.root / name
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root)):  # resolve() fails on a link to itself
            raise SevisError(f"{path} is a link that leads out of {self.root}: replace it by a copy of the file")
        try:
            if path.stat().st_size > MAX_BYTES:
                raise SevisError(f"{path} is larger than the {MAX_BYTES / 1e6:.0f} MB that are read: save it smaller")
            return path.read_bytes()
        except OSError as error:
            raise SevisError(f"{path} cannot be read ({error.strerror}): restore it") from None


@dataclass
class Zip:
    """Members of a zip file, read in place. Each process opens its own handle: a forked one would share the file position."""

    root: Path
    _handle: zipfile.ZipFile | None = field(default=None, repr=False)
    _owner: int = field(default=0, repr=False)

    def __getstate__(self) -> dict[str, Path]:
        return {"root": self.root}

    def __setstate__(self, state: dict[str, Path]) -> None:
        self.__init__(state["root"])  # type: ignore[misc]

    def _open(self) -> zipfile.ZipFile:
        if self._handle is None or self._owner != os.getpid():
            try:
                self._handle = zipfile.ZipFile(self.root)
            except (zipfile.BadZipFile, OSError) as error:
                raise SevisError(f"{self.root} is no readable zip file ({error}): download it again") from None
            self._owner = os.getpid()
        return self._handle

    def names(self) -> list[str]:
        return _listed(name for name in self._open().namelist() if not name.endswith("/"))

    def read(self, name: str) -> bytes:
        archive = self._open()
        try:
            member = archive.getinfo(name)
            if member.file_size > MAX_BYTES:
                raise SevisError(f"{name} in {self.root} unpacks to more than the {MAX_BYTES / 1e6:.0f} MB that are read")
            return archive.read(member)
        except SevisError:
            raise
        except Exception as error:
            # Damage shows as whatever the damaged bytes lead to: BadZipFile, zlib.error, EOFError, RuntimeError, ...
            raise SevisError(f"{name} in {self.root} is damaged ({error}): download the zip again") from None


def _listed(names: Iterable[str]) -> list[str]:
    """The names of a data set's own files: nothing hidden (.git, macOS's ._ files), and nothing that points out of its root."""
    return sorted({name for name in names if not name.startswith(("/", ".", "__MACOSX/")) and "/." not in name})


@dataclass(frozen=True, kw_only=True)
class ImageDataset:
    """A sequence of (RGB image, class index).

    Attributes:
        name: for people and for provenance, such as `tiny-imagenet-200`.
        split: `train`, `val`, or empty where the folder has no splits.
        source: where the files lie.
        files: one name per image.
        labels: one class index per image.
        wnids: the folder names of the classes, in the order of the indices (WordNet ids in ImageNet).
        classes: their names for people.
    """

    name: str
    split: str
    source: Source
    files: tuple[str, ...]
    labels: tuple[int, ...]
    wnids: tuple[str, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        try:
            return read_image(self.read(index)), self.labels[index]
        except SevisError as error:
            raise SevisError(f"{self.files[index]} of {self.name}: {error}") from None

    def read(self, index: int) -> bytes:
        """The bytes of one image's file."""
        return self.source.read(self.files[index])

    @cached_property
    def _by_label(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for index, label in enumerate(self.labels):
            found.setdefault(label, []).append(index)
        return found

    def indices_of(self, label: int) -> Sequence[int]:
        """Where the images of one class are."""
        return self._by_label.get(label, [])

    def select(self, wnids: Iterable[str]) -> "ImageDataset":
        """The images of some classes only, labelled 0, 1, ... in the order given. Raises SevisError for a class that is not there."""
        wanted = tuple(dict.fromkeys(wnids))
        if not wanted:
            raise SevisError(f"expected at least one class of {self.name}, got none")
        for wnid in wanted:
            if wnid not in self.wnids:
                near = get_close_matches(wnid, self.wnids, n=3) or self.wnids[:3]
                raise SevisError(f"{self.name} has no class {wnid!r} among its {len(self.wnids)}; the nearest are {', '.join(near)}")
        new_label = {self.wnids.index(wnid): label for label, wnid in enumerate(wanted)}
        kept = [(file, new_label[label]) for file, label in zip(self.files, self.labels, strict=True) if label in new_label]
        return replace(
            self,
            files=tuple(file for file, _ in kept),
            labels=tuple(label for _, label in kept),
            wnids=wanted,
            classes=tuple(self.classes[self.wnids.index(wnid)] for wnid in wanted),
        )


def find_data(name: str = TINY_IMAGENET) -> Path | None:
    """The folder or zip of a data set, or None: the place that SEVIS_DATA names, else ./data, else the user's cache."""
    named = os.environ.get("SEVIS_DATA")
    places = [Path(named)] if named else [Path("data"), cache_folder()]
    for place in places:
        for path in (place / name, place / f"{name}.zip", place):
            if path.stem == name and path.exists():
                return path
    return places[0] if named and (places[0].is_file() or (places[0] / "wnids.txt").is_file()) else None


def cache_folder() -> Path:
    """Where downloads go: SEVIS_DATA, or sevis's folder in the user's cache."""
    if os.environ.get("SEVIS_DATA"):
        return Path(os.environ["SEVIS_DATA"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sevis"


def open_dataset(path: str | Path, split: str = "val") -> ImageDataset:
    """Opens a folder or zip: Tiny ImageNet's layout where wnids.txt is found, else one folder a class, below `split` where that exists.

    Raises:
        SevisError: when nothing is there, or no image is found.
    """
    path = Path(path)
    if not path.exists():
        raise SevisError(f"there is no data at {path}: name a folder with one folder of images a class, or the Tiny ImageNet zip")
    source: Source = Folder(path) if path.is_dir() else Zip(path)
    names = source.names()
    roots = [name.removesuffix("wnids.txt") for name in names if re.fullmatch(r"([^/]+/)?wnids\.txt", name)]
    if roots:
        return _tiny_imagenet(source, names, split, roots[0])
    return _class_folders(source, names, split)


def sample_photos() -> dict[str, Path]:
    """Photographs that come with scikit-image, by their titles; empty where it is not installed."""
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return {title: folder / file for title, file in SAMPLE_PHOTOS.items() if (folder / file).is_file()}


def _tiny_imagenet(source: Source, names: list[str], split: str, root: str) -> ImageDataset:
    """The official layout: train/<wnid>/images/*.JPEG, and val/images/*.JPEG with val/val_annotations.txt."""
    if split not in ("train", "val"):
        raise SevisError(f"Tiny ImageNet has labels for train and val, not for {split!r}")
    there = set(names)

    def rows(name: str) -> list[list[str]]:
        text = source.read(root + name).decode(errors="replace") if root + name in there else ""
        return [row for line in text.splitlines() if len(row := line.split("\t")) >= 2]

    if split == "train":
        files = [name for name in names if name.startswith(f"{root}train/") and name.endswith(".JPEG")]
        found = [(name, PurePosixPath(name).parent.parent.name) for name in files]
    else:
        annotated = [(f"{root}val/images/{file}", wnid) for file, wnid, *_ in rows("val/val_annotations.txt")]
        found = [(name, wnid) for name, wnid in annotated if name in there]
    wnids = tuple(source.read(f"{root}wnids.txt").decode(errors="replace").split())
    words = {wnid: name for wnid, name, *_ in rows("words.txt")}
    return _labelled(source, found, name=TINY_IMAGENET, split=split, wnids=wnids, words=words)


def _class_folders(source: Source, names: list[str], split: str) -> ImageDataset:
    """One folder a class, below a folder for the split where there is one; the classes are those of all splits together."""
    paths = {name: PurePosixPath(name).parts for name in names if name.lower().endswith(SUFFIXES) and "/" in name}
    tops = {parts[0] for parts in paths.values()}
    if isinstance(source, Zip) and len(tops) == 1 and not tops & set(SPLITS) and all(len(parts) > 2 for parts in paths.values()):
        paths = {name: parts[1:] for name, parts in paths.items()}  # zipped with the folder that holds it all
    splits = {parts[0] for parts in paths.values() if len(parts) > 2} & set(SPLITS)
    if splits and split not in splits:
        raise SevisError(f"there is no {split!r} in {source.root}: choose one of {', '.join(sorted(splits))}")
    if splits:
        found = [(name, parts[1]) for name, parts in paths.items() if parts[0] == split and len(parts) > 2]
        wnids = {parts[1] for parts in paths.values() if parts[0] in splits and len(parts) > 2}
    else:
        found = [(name, parts[0]) for name, parts in paths.items()]
        wnids = {parts[0] for parts in paths.values()}
    return _labelled(source, found, name=source.root.stem, split=split if splits else "", wnids=tuple(sorted(wnids)), words={})


def _labelled(
    source: Source, found: list[tuple[str, str]], *, name: str, split: str, wnids: tuple[str, ...], words: dict[str, str]
) -> ImageDataset:
    index = {wnid: label for label, wnid in enumerate(wnids)}
    found = [(file, wnid) for file, wnid in found if wnid in index]
    if not found:
        raise SevisError(f"no images in {source.root}: expected one folder a class with files ending in {', '.join(SUFFIXES)}")
    return ImageDataset(
        name=name,
        split=split,
        source=source,
        files=tuple(file for file, _ in found),
        labels=tuple(index[wnid] for _, wnid in found),
        wnids=wnids,
        classes=tuple(words.get(wnid, wnid).split(",")[0] for wnid in wnids),
    )
