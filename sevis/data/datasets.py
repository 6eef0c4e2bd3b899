"""Labelled pictures, on disk or straight from a zip, as a sequence of (RGB image, class index).

Tiny ImageNet-200 in its official layout, CIFAR's binary files, any folder with one folder a class (ImageNet's training images), or flat
files with a list that says which class each belongs to (ImageNet's validation images).
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sevis.data.cifar import LAYOUTS, Layout, Records, recognise
from sevis.data.image_formats import SUFFIXES, is_image, read_image
from sevis.data.sources import Folder, Source, Zip, printable
from sevis.errors import SevisError
from sevis.settings import cache_folder, named_data

TINY_IMAGENET = "tiny-imagenet-200"
SETS = {"tiny-imagenet": TINY_IMAGENET} | {name: layout.folder for name, layout in LAYOUTS.items()}  # those that have a name
SPLITS = ("train", "val", "test")
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
        split: `train`, `val`, or empty where the folder has no splits.
        source: where the files lie.
        files: one name per image.
        labels: one class index per image.
        wnids: the folder names of the classes, in the order of the indices (WordNet ids in ImageNet).
        classes: their names for people.
        empty: the folders without an image among those of the classes; they are none.
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


def open_dataset(path: str | Path, split: str = "val", *, labels: Path | None = None) -> ImageDataset:
    """Open a folder or zip: Tiny ImageNet, CIFAR in its binary version, else one folder a class, below `split` where that exists.

    Args:
        path: the folder or zip.
        split: train, val or test, where it has several; CIFAR's val and test are the same.
        labels: a text file for files that are not sorted into folders: on each line the name of a file (below the root, or below the
            folder of the split; its suffix may be left off) and its class, with a space, tab or comma between. What it does not name
            is left out.

    Raises:
        SevisError: when nothing is there, no image is found, or it cannot be listed: a folder that may not be read, more than MAX_FILES
            files, folders nested deeper than MAX_DEPTH.
    """
    path = Path(path)
    if not path.exists():
        raise SevisError(f"there is no data at {path}: name a folder with one folder of images for each class, or the Tiny ImageNet zip")
    source: Source = Folder(path) if path.is_dir() else Zip(path)
    names = source.names()
    if labels is not None:
        return _listed_files(source, names, split, labels)
    roots = [name.removesuffix("wnids.txt") for name in names if re.fullmatch(r"([^/]+/)?wnids\.txt", name)]
    if roots:
        return _tiny_imagenet(source, names, split, roots[0])
    if path.is_dir() and (layout := recognise(names)):
        return _cifar(path, layout, split)
    return class_folders(source, names, split)


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


def class_folders(source: Source, names: list[str], split: str) -> ImageDataset:
    """Return one folder a class, below a folder for the split where there is one; the classes are those of all splits together.

    Args:
        source: where the files lie.
        names: of its files.
        split: train, val or test, where it has several.

    Raises:
        SevisError: for a split that is not there, no image, and folders nested too deep.
    """
    names = [name for name in names if "/" in name and is_image(name)]
    tops = {_part(name, 0) for name in names}
    around = ""  # of a zip: the folder that holds it all
    if isinstance(source, Zip) and len(tops) == 1 and not tops & set(SPLITS) and all(name.count("/") > 1 for name in names):
        around = f"{min(tops)}/"
    level = around.count("/")
    splits = {_part(name, level) for name in names if name.count("/") > level + 1} & set(SPLITS)
    if splits and split not in splits:
        raise SevisError(f"there is no {split!r} in {source.root}: choose one of {', '.join(sorted(splits))}")
    if splits:
        names = [name for name in names if _part(name, level) in splits and name.count("/") > level + 1]
    wnids = {_part(name, level + bool(splits)) for name in names}
    found = [(name, _part(name, level + bool(splits))) for name in names if not splits or _part(name, level) == split]
    _check_level(source, found, level + bool(splits))
    empty = {printable(name) for name in source.folders(f"{around}{split if splits else ''}".rstrip("/"))} - wnids
    dataset = _labelled(source, found, name=source.root.stem, split=split if splits else "", wnids=tuple(sorted(wnids)), words={})
    return replace(dataset, empty=tuple(sorted(empty)))


def _part(name: str, number: int) -> str:
    """Return the name of one of the folders around a file, counted from the outermost."""
    return printable(name.split("/", number + 1)[number])


def _check_level(source: Source, found: list[tuple[str, str]], level: int) -> None:
    """Refuse a folder too high up: all images in one class, whose folder holds several folders of images and no image itself."""
    deep = {_part(name, level + 1) for name, _ in found if name.count("/") > level + 1}
    if len({wnid for _, wnid in found}) == 1 and len(deep) > 1 and all(name.count("/") > level + 1 for name, _ in found):
        top = "/".join(found[0][0].split("/")[: level + 1])
        raise SevisError(f"all images in {source.root} lie at least one level too deep, in folders below {top}: name {top} itself")


def _listed_files(source: Source, names: list[str], split: str, labels: Path) -> ImageDataset:
    """Return files that a list gives their classes."""
    images = [name for name in names if is_image(name)]
    known = {key: name for name in images for below in (name, name.removeprefix(f"{split}/")) for key in (below, below.rpartition(".")[0])}
    try:
        lines = labels.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise SevisError(f"{labels} is not a text file: expected lines with the name of a file and its class") from None
    rows = [line.split("\t") if "\t" in line else line.replace(",", " ").split() for line in lines]
    found = sorted({known[row[0]]: row[1].strip() for row in rows if len(row) > 1 and row[0] in known}.items())
    if not found:
        raise SevisError(
            f"none of the {len(lines)} lines of {labels} names one of the {len(images)} images in {source.root}: "
            "expected lines such as ILSVRC2012_val_00000001.JPEG n01751748"
        )
    there = any(name.startswith(f"{split}/") for name, _ in found)
    wnids = tuple(sorted({wnid for _, wnid in found}))
    return _labelled(source, found, name=source.root.stem, split=split if there else "", wnids=wnids, words={})


def _labelled(
    source: Source, found: list[tuple[str, str]], *, name: str, split: str, wnids: tuple[str, ...], words: dict[str, str]
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
        classes=unique({wnid: words.get(wnid, wnid).split(",")[0] for wnid in wnids}),
    )


def match(wanted: Sequence[str], known: Sequence[str]) -> NDArray[np.int64]:
    """Return where the classes of a data set stand among those of a network, shape (K,); -1 for one that it does not know.

    Both are WordNet ids, or both are names. Among names of which two are alike nothing is found.
    """
    index = {name: output for output, name in enumerate(known)}
    return np.array([index.get(name, -1) if len(index) == len(known) else -1 for name in wanted], dtype=np.int64)


def unique(names: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of classes, by their ids; where several have the same, as ImageNet's two cranes, each with its id."""
    counts = Counter(names.values())
    return tuple(name if counts[name] == 1 else f"{name} ({wnid})" for wnid, name in names.items())
