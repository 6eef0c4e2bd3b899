"""What a tiny network is trained on while a visitor looks: photos of Tiny ImageNet where it is on this machine, else handwritten digits."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL import Image

from sevis.data.datasets import ImageDataset, find_data, open_dataset
from sevis.data.sources import Source
from sevis.extras import require
from sevis.settings import pretrained_folder

CLASSES, PHOTOS = 20, 150  # of Tiny ImageNet, and the training photos of each
DIGITS_TRAINED = 1347  # three quarters; the rest, by other writers for the most part, is for validation


@dataclass(frozen=True)
class TrialData:
    """Images to train on, which are opened when they are needed.

    Attributes:
        about: what they are, in words.
        size: the side of the network's input, in pixels.
        epochs: of a run on them.
        time: that it takes on a CPU, in words.
        open: gives the training and the validation images; raises SevisError where they cannot be read.
    """

    about: str
    size: int
    epochs: int
    time: str
    open: Callable[[], tuple[ImageDataset, ImageDataset]]


def find_trial_data() -> TrialData:
    """Return Tiny ImageNet where it is found, else the digits, which come with scikit-learn; nothing is opened yet."""
    path = find_data()
    if path is not None:
        about = (
            f"up to {PHOTOS} training photos of each of up to {CLASSES} classes of {path.stem}, at 64 pixels, and all validation photos of "
            "these classes"
        )
        return TrialData(about, size=64, epochs=6, time="about a minute", open=partial(open_photos, path))
    about = (
        "scikit-learn's handwritten digits (8 × 8 pixels enlarged to 32; 1,347 for training and 450 for validation), because Tiny "
        "ImageNet is not on this machine"
    )
    return TrialData(about, size=32, epochs=8, time="about ten seconds", open=open_digits)


def open_photos(path: Path) -> tuple[ImageDataset, ImageDataset]:
    """Return some photos of some classes: those that the first network of sevis was trained on, where the data set has them."""
    training, validation = (open_dataset(path, split) for split in ("train", "val"))
    listed = pretrained_folder() / "tiny20.txt"
    wanted = listed.read_text(encoding="utf-8").split() if listed.is_file() else []
    wnids = [wnid for wnid in wanted if wnid in training.wnids and wnid in validation.wnids] or training.wnids[:CLASSES]
    return training.select(wnids).first(PHOTOS), validation.select(wnids)


def open_digits() -> tuple[ImageDataset, ImageDataset]:
    """Return the 1,797 digits of scikit-learn, which is the part of UCI's set "optdigits" that 13 people wrote."""
    labels = _digits()[1]
    names = [f"{index:04}.png" for index in range(len(labels))]
    classes = tuple(str(digit) for digit in range(10))

    def part(split: str, chosen: slice) -> ImageDataset:
        files, numbers = tuple(names[chosen]), tuple(int(label) for label in labels[chosen])
        return ImageDataset(name="digits", split=split, source=Digits(), files=files, labels=numbers, wnids=classes, classes=classes)

    return part("train", slice(DIGITS_TRAINED)), part("val", slice(DIGITS_TRAINED, None))


@dataclass(frozen=True)
class Watched:
    """A `sevis.data.sources.Source` that calls `on_read` before each file that is read; what that raises ends the reading."""

    source: Source
    on_read: Callable[[], None]

    @property
    def root(self) -> Path:
        return self.source.root

    def names(self) -> list[str]:
        return self.source.names()

    def folders(self, below: str = "") -> list[str]:
        return self.source.folders(below)

    def size(self, name: str) -> int:
        return self.source.size(name)

    def read(self, name: str) -> bytes:
        self.on_read()
        return self.source.read(name)


@dataclass(frozen=True)
class Digits:
    """The digits as a `sevis.data.sources.Source`: PNG files that are made when they are read."""

    root: Path = Path("digits")

    def names(self) -> list[str]:
        return [f"{index:04}.png" for index in range(len(_digits()[1]))]

    def folders(self, below: str = "") -> list[str]:
        return []

    def size(self, name: str) -> int:
        return len(self.read(name))

    def read(self, name: str) -> bytes:
        file = io.BytesIO()
        Image.fromarray(_digits()[0][int(name.removesuffix(".png"))]).save(file, "PNG")
        return file.getvalue()


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels of all digits, uint8 of shape (1797, 8, 8), and labels. Raises SevisError where scikit-learn is not installed."""
    require("sklearn", "training on handwritten digits")
    from sklearn.datasets import load_digits

    found = load_digits()
    return np.round(found.images * 255 / 16).astype(np.uint8), found.target
