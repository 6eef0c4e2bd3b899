"""CIFAR-10 and CIFAR-100 in their binary version, which holds nothing but labels and pixels: nothing is unpickled.

As https://www.cs.toronto.edu/~kriz/cifar.html describes it, a record is a byte for the class and 3,072 bytes for 32 x 32 pixels: first all
red values, then the green, then the blue ones, row by row. In CIFAR-100, a byte for the superclass stands before them.
"""

import io
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sevis.errors import SevisError
from sevis.files import replace_file

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
BMP = 54 + PIXELS  # bytes of a picture as `Records` gives it
ADDRESS = "https://www.cs.toronto.edu/~kriz/"
LARGEST = 200 * 1000 * 1000  # bytes of one file in an archive; the training images of CIFAR-100 have 153.7 million
PICKLED = {frozenset({"batches.meta", "test_batch"}): "cifar10", frozenset({"meta", "train", "test"}): "cifar100"}  # torchvision's files


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What tells one of the two data sets from the other.

    Attributes:
        name: for people and for `--data`.
        folder: in which its files lie.
        names: the file with the names of its classes, one a line.
        train, test: the files with its records.
        labels: bytes before the pixels of a record; the last of them is the class.
        archive, size, sha256: the file to download, its bytes and its checksum.
    """

    name: str
    folder: str
    names: str
    train: tuple[str, ...]
    test: str
    labels: int
    archive: str
    size: int
    sha256: str


LAYOUTS = {
    "cifar10": Layout(
        name="cifar10",
        folder="cifar-10-batches-bin",
        names="batches.meta.txt",
        train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        test="test_batch.bin",
        labels=1,
        archive="cifar-10-binary.tar.gz",
        size=170_052_171,
        sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
    "cifar100": Layout(
        name="cifar100",
        folder="cifar-100-binary",
        names="fine_label_names.txt",
        train=("train.bin",),
        test="test.bin",
        labels=2,
        archive="cifar-100-binary.tar.gz",
        size=168_513_733,
        sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    ),
}


@dataclass(frozen=True)
class Records:
    """The records of one split as a `sevis.data.sources.Source`: BMP pictures made when read, called data_batch_1.bin/00000.bmp ...

    Attributes:
        root: the folder with the files.
        layout: which data set it is.
        split: train, or val or test, which are the same: CIFAR has no third part.

    Raises:
        SevisError: for another split.
    """

    root: Path
    layout: Layout
    split: str

    def __post_init__(self) -> None:
        if self.split not in ("train", "val", "test"):
            raise SevisError(f"{self.layout.name} has the splits train and test, not {self.split!r}")

    @cached_property
    def labels(self) -> tuple[int, ...]:
        """The class of each record. Raises SevisError for a file that is missing, cut off, or names a class that there is not."""
        found = np.concatenate([self._table(file)[:, self.layout.labels - 1] for file in self._files])
        if not len(found):
            raise SevisError(f"no images in {self.root}: download {self.layout.name} again")
        if found.max() >= len(self.classes):
            raise SevisError(
                f"{self.root} has a class {found.max()}, but only {len(self.classes)} names: download {self.layout.name} again"
            )
        return tuple(found.tolist())

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, by their numbers."""
        file = self.root / self.layout.names
        try:
            return tuple(file.read_text(encoding="utf-8", errors="replace").split())
        except OSError as error:
            raise SevisError(f"{file} cannot be read ({error.strerror}): download {self.layout.name} again") from None

    def names(self) -> list[str]:
        counts = {file: len(self._table(file)) for file in self._files}
        return [f"{file}/{number:05}.bmp" for file, count in counts.items() for number in range(count)]

    def folders(self, below: str = "") -> list[str]:
        return [] if below else list(self._files)

    def size(self, name: str) -> int:
        return BMP

    def read(self, name: str) -> bytes:
        file, _, number = name.partition("/")
        start = int(number.removesuffix(".bmp")) * self._record + self.layout.labels
        try:
            with (self.root / file).open("rb") as records:
                records.seek(start)
                pixels = np.frombuffer(records.read(PIXELS), np.uint8)
        except OSError as error:
            raise SevisError(f"{self.root / file} cannot be read ({error.strerror}): restore it") from None
        if len(pixels) != PIXELS:
            raise SevisError(f"{self.root / file} is cut off: download it again")
        picture = io.BytesIO()
        Image.fromarray(pixels.reshape(SHAPE).transpose(1, 2, 0)).save(picture, "BMP")
        return picture.getvalue()

    @property
    def _files(self) -> tuple[str, ...]:
        return self.layout.train if self.split == "train" else (self.layout.test,)

    @property
    def _record(self) -> int:
        return self.layout.labels + PIXELS

    def _table(self, file: str) -> NDArray[np.uint8]:
        """Return the records of one file, a row each."""
        content = np.memmap(self.root / file, np.uint8, "r") if self._length(file) else np.empty(0, np.uint8)
        return content.reshape(-1, self._record)

    def _length(self, file: str) -> int:
        """Return the bytes of a file of records."""
        try:
            length = (self.root / file).stat().st_size
        except OSError as error:
            raise SevisError(f"{self.root / file} cannot be read ({error.strerror}): download {self.layout.name} again") from None
        if length % self._record:
            raise SevisError(f"{self.root / file} is cut off: expected records of {self._record:,} bytes, got {length:,} bytes in all")
        return length


def recognise(names: Iterable[str]) -> Layout | None:
    """Return which of the two data sets the files of a folder are, by their names, or None. Raises SevisError for their pickles."""
    there = set(names)
    for files, name in PICKLED.items():
        if files <= there:
            raise SevisError(
                f"this is {name} as pickles, which can run code, so sevis does not read them: get the binary files with python -m "
                f"sevis data {name}"
            )
    return next((layout for layout in LAYOUTS.values() if {layout.names, layout.test} <= there), None)


def unpack(archive: Path, layout: Layout, folder: Path) -> None:
    """Write the files of a data set from its archive into a folder that is not there yet: all of them, or nothing.

    What a file is called and where it lies is never the archive's to say, and no more than LARGEST bytes of one are read.

    Raises:
        SevisError: when the archive is damaged or lacks a file, and when the disk is full.
    """
    missing = {layout.names, *layout.train, layout.test}
    with TemporaryDirectory(prefix=".unpacking-", dir=folder.parent) as temporary:
        whole = Path(temporary) / layout.folder
        try:
            with tarfile.open(archive, "r|gz") as members:
                for member in members:
                    name = PurePosixPath(member.name).name
                    if name in missing and member.isreg() and member.size <= LARGEST and (content := members.extractfile(member)):
                        replace_file(whole / name, content.read())
                        missing.remove(name)
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise SevisError(f"{archive} is damaged ({error}): delete it and run this again") from None
        if missing:
            raise SevisError(f"{archive} lacks {', '.join(sorted(missing))}: delete it and run this again")
        try:
            whole.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was quicker
                raise
