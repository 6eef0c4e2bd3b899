"""Labelled pictures, on disk or straight from a zip, as a sequence of (RGB image, class index).

Tiny ImageNet-200 in its official layout, CIFAR's binary files, any folder with one folder a class (ImageNet's training images), or flat
files with a list that says which class each belongs to (ImageNet's validation images).
"""

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from PIL import Image

from sevis.data.arrangement import tell_skipped
from sevis.data.cifar import LAYOUTS, Layout, Records, recognise
from sevis.data.image_formats import SUFFIXES, read_image
from sevis.data.layouts import arrange
from sevis.data.parts import SPLITS, part_of
from sevis.data.sources import Folder, Source, Zip, printable
from sevis.errors import SevisError
from sevis.settings import cache_folder, named_data

TINY_IMAGENET = "tiny-imagenet-200"
SETS = {"tiny-imagenet": TINY_IMAGENET} | {name: layout.folder for name, layout in LAYOUTS.items()}  # those that have a name
SAMPLE_PHOTOS = {  # ships with scikit-image, so it is there without internet
    "Cup of espresso": "coffee.png",
    "Tabby cat": "chelsea.png",
    "Rocket": "rocket.jpg",
    "Astronaut": "astronaut.png",
}


@dataclass(frozen=True, kw_only=True)
class ImageDataset:
    """A sequence of (RGB image, class index).

    Attributes:
        name: for people and for provenance, such as `tiny-imagenet-200`.
        split: `train`, `val`, or what its folder is called; empty where there are no splits.
        source: where the files lie.
        files: one name per image.
        labels: one class index per image.
        wnids: the folder names of the classes, in the order of the indices (WordNet ids in ImageNet).
        classes: their names for people.
        empty: the folders without an image among those of the classes; they are none.
        skipped: how many files beside the images are not read, by their suffixes.
        notes: what else a person must know of how it was read, as sentences.
        per_class: how many images of each class were kept at most, see `first`; None: all.
    """

    name: str
    split: str
    source: Source
    files: tuple[str, ...]
    labels: tuple[int, ...]
    wnids: tuple[str, ...]
    classes: tuple[str, ...]
    empty: tuple[str, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    per_class: int | None = None

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        try:
            return read_image(self.read(index)), self.labels[index]
        except SevisError as error:
            raise SevisError(f"{self.files[index]} of {self.name}: {error}") from None

    def read(self, index: int) -> bytes:
        """Return the bytes of one image's file."""
        return self.source.read(self.files[index])

    @property
    def remarks(self) -> tuple[str, ...]:
        """Return what a person must know of how it was read: `notes`, and how many files are not read."""
        told = tell_skipped(self.skipped)
        return (*self.notes, told) if told else self.notes

    @cached_property
    def _by_label(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for index, label in enumerate(self.labels):
            found.setdefault(label, []).append(index)
        return found

    def indices_of(self, label: int) -> Sequence[int]:
        """Return where the images of one class are."""
        return self._by_label.get(label, [])

    def fingerprint(self) -> str:
        """Return the SHA-256, in hexadecimal, of all file names, sizes and labels, whatever their order; the files are not read."""
        found = hashlib.sha256()
        for file, label in sorted(zip(self.files, self.labels, strict=True)):
            found.update(f"{file}\0{self.source.size(file)}\0{self.wnids[label]}\n".encode(errors="surrogateescape"))
        return found.hexdigest()

    def first(self, each: int) -> "ImageDataset":
        """Return the first images of each class, at most so many, class after class."""
        kept = [index for label in range(len(self.wnids)) for index in self.indices_of(label)[:each]]
        return replace(self, files=tuple(self.files[i] for i in kept), labels=tuple(self.labels[i] for i in kept), per_class=each)

    def select(self, wnids: Iterable[str]) -> "ImageDataset":
        """Return the images of some classes, labelled 0, 1, ... in the order given. Raises SevisError for a class that is not there."""
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

    def named(self, names: Mapping[str, str]) -> "ImageDataset":
        """Return the same images with these names, by `wnids`, for their classes; one that is not among them keeps its own.

        Where several classes have the same name, as ImageNet's two cranes, each has its id, too.
        """
        return replace(self, classes=unique({wnid: names.get(wnid, name) for wnid, name in zip(self.wnids, self.classes, strict=True)}))


def find_data(name: str = TINY_IMAGENET) -> Path | None:
    """Return the folder or zip of a data set, or None: in or at what SEVIS_DATA names, else in ./data, else in the user's cache."""
    named = named_data()
    folders = [named] if named else [Path("data"), cache_folder()]
    for folder in folders:
        for path in (folder / name, folder / f"{name}.zip", folder):
            if path.stem == name and path.exists():
                return path
    renamed = named and name == TINY_IMAGENET and (named.is_file() or (named / "wnids.txt").is_file())
    return named if renamed else None


def open_dataset(path: str | Path, split: str = "val", *, labels: str | Path | None = None, links: bool = True) -> ImageDataset:
    """Open a folder or zip: Tiny ImageNet, CIFAR in its binary version, else one folder a class, below `split` where that exists.

    What a person must know of it, such as lines of the list that name no image, is logged as a warning; see `ImageDataset.remarks`.

    Args:
        path: the folder or zip.
        split: train, val or test, where it has several, or the name of the folder; CIFAR's val and test are the same. Empty: it has none,
            and a folder called train is a class.
        labels: a list for files that are not sorted into folders: CSV, with names of its columns or without, or lines with a file and its
            class. What it does not name is left out.
        links: whether links to files and folders are followed.

    Raises:
        SevisError: when nothing is there, no image is found, nothing tells the classes, or it cannot be listed: a folder that may not be
            read, more than MAX_FILES files, folders nested deeper than MAX_DEPTH.
    """
    path = Path(path)
    if not path.exists():
        raise SevisError(f"there is no data at {path}: name a folder with one folder of images for each class, or the Tiny ImageNet zip")
    source: Source = Folder(path, links) if path.is_dir() else Zip(path)
    names = source.names()
    roots = [name.removesuffix("wnids.txt") for name in names if re.fullmatch(r"([^/]+/)?wnids\.txt", name)]
    if labels is None and roots:
        dataset = _other_word(_tiny_imagenet(source, names, part_of(split) or split, roots[0]), split)
    elif labels is None and path.is_dir() and (layout := recognise(names)):
        dataset = _other_word(_cifar(path, layout, part_of(split) or split), split)
    else:
        dataset = class_folders(source, names, split, labels=None if labels is None else Path(labels))
    for remark in dataset.remarks:
        logging.getLogger(__name__).warning("%s: %s", dataset.name, remark)
    return dataset


def sample_photos() -> dict[str, Path]:
    """Return photographs that come with scikit-image, by their titles; empty where it is not installed."""
    spec = find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return {title: folder / file for title, file in SAMPLE_PHOTOS.items() if (folder / file).is_file()}


def _tiny_imagenet(source: Source, names: list[str], split: str, root: str) -> ImageDataset:
    """Return the official layout: train/<wnid>/images/*.JPEG, and val/images/*.JPEG with val/val_annotations.txt."""
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


def _cifar(folder: Path, layout: Layout, split: str) -> ImageDataset:
    records = Records(folder, layout, split)
    names = records.classes
    return ImageDataset(
        name=layout.name,
        split="train" if split == "train" else "test",
        source=records,
        files=tuple(records.names()),
        labels=records.labels,
        wnids=names,
        classes=names,
    )


def _other_word(dataset: ImageDataset, split: str) -> ImageDataset:
    """Return the data set with a note where its part was asked for by another word."""
    told = f"there is no part {split}, so its part {dataset.split} is taken"
    return dataset if split in SPLITS else replace(dataset, notes=(*dataset.notes, told))


def class_folders(source: Source, names: list[str], split: str, *, labels: Path | None = None) -> ImageDataset:
    """Return a data set as its folders, its metadata file or a list of labels sort it; the classes are those of all parts together.

    Args:
        source: where the files lie.
        names: of its files.
        split: train, val or test, where it has several.
        labels: a list of the classes.

    Raises:
        SevisError: for a part that is not there, no image, images whose class nothing tells, and folders nested too deep.
    """
    there = arrange(source, names, split, labels=labels)
    dataset = _labelled(source, there.found, name=source.root.stem, split=there.split, wnids=there.classes, words={})
    return replace(dataset, empty=there.empty, skipped=there.skipped, notes=there.notes)


def _labelled(
    source: Source, found: Sequence[tuple[str, str]], *, name: str, split: str, wnids: tuple[str, ...], words: dict[str, str]
) -> ImageDataset:
    index = {wnid: label for label, wnid in enumerate(wnids)}
    found = [(file, wnid) for file, wnid in found if wnid in index]
    if not found:
        raise SevisError(
            f"no images in {source.root}: expected one folder for each class with files ending in {', '.join(SUFFIXES)}, or one "
            "folder of files and a list of their classes (--labels)"
        )
    return ImageDataset(
        name=printable(name),
        split=split,
        source=source,
        files=tuple(file for file, _ in found),
        labels=tuple(index[wnid] for _, wnid in found),
        wnids=wnids,
        classes=unique({wnid: words[wnid].split(",")[0] if wnid in words else wnid for wnid in wnids}),
    )


def unique(names: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of classes, by their ids; where several have the same, as ImageNet's two cranes, each with its id."""
    counts = Counter(names.values())
    return tuple(name if counts[name] == 1 else f"{name} ({wnid})" for wnid, name in names.items())
