"""Photos of one's own, from strangers: a zip, or a folder that the operator lets them choose, looked through before it is read, in place.

What a zip can do to its reader: file names that leave the folder, links, and bombs (David Fifield, "A better zip bomb", WOOT 2019, lets
members share their bytes). None of it can happen here, for no file is ever written; all of it is refused nevertheless, with a sentence.
"""

import io
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sevis.data.image_formats import MAX_BYTES, SUFFIXES, is_image
from sevis.data.parts import parts_among
from sevis.data.sources import Folder, Source, Zip, printable
from sevis.errors import SevisError

DEPTH = 6  # folders around a photo

# Of a zip:
MEMBERS = 20_000  # files and folders
UNPACKED = 500_000_000  # bytes of all members together
RATIO = 100  # bytes unpacked for each packed one: photographs hardly shrink
NAME = 250  # characters of a member's name, with its folders
ENTRY = b"PK\x01\x02"  # begins each entry of the directory, .ZIP specification 4.3.12
LOCAL = 30  # bytes, at least, before the packed bytes of a member, 4.3.7
ENCRYPTED = 0x1 | 0x40 | 0x2000  # flag bits, 4.4.4

# Of a folder:
FILES = 200_000  # and folders in one data set
OTHERS = 100  # files that are no images, and are named
SEARCHED = 20_000  # folders, before the search for data sets ends
LISTED = 200  # data sets, before it ends


@dataclass
class ClassZip(Zip):
    """A zip in memory, read in place; `root` is only what it is called.

    Reading a member gives no more bytes than the zip's directory says, so that what was looked through holds for what is read.
    """

    data: bytes = field(default=b"", repr=False)

    def archive(self) -> zipfile.ZipFile:
        if self._archive is None:
            name = self.root.name
            if (count := self.data.count(ENTRY)) > MEMBERS:  # before a list of them is made, which takes more memory than the zip
                raise SevisError(f"{name} holds {count} files, but at most {MEMBERS} are allowed: leave some out")
            try:
                self._archive = zipfile.ZipFile(io.BytesIO(self.data))
            except Exception as error:  # whatever a damaged directory leads to: BadZipFile, struct.error, OverflowError, ...
                raise SevisError(f"{name} is no readable zip file ({error}): zip the class folders again") from None
        return self._archive


def open_class_zip(data: bytes, name: str) -> ClassZip:
    """Return a zip of class folders, kept in memory; its directory is looked through, and nothing is unpacked.

    Args:
        data: the zip file.
        name: what it is called; a path is cut to its last part.

    Raises:
        SevisError: for a zip that is damaged, too large, encrypted, not what it seems, or without an image.
    """
    source = ClassZip(Path(Path(name).name or "upload.zip"), data=data)
    name, members = source.root.name, source.archive().infolist()
    for member in members:
        if reason := _reason(member):
            raise SevisError(f"{name} is refused: its member {member.orig_filename!r:.120} {reason}. Make a plain zip of the class folders")
    twice, times = Counter(member.filename for member in members).most_common(1)[0] if members else ("", 0)
    if times > 1:
        raise SevisError(f"{name} is refused: it holds {twice!r:.120} {times} times. Make a plain zip of the class folders")
    _check_bytes(members, name)
    if not any(is_image(member.filename) for member in members):
        raise SevisError(f"{name} holds no image: expected one folder for each class with files ending in {', '.join(SUFFIXES)}")
    return source


def _reason(member: zipfile.ZipInfo) -> str:
    """Return what is wrong with a member, as the rest of a sentence; empty where nothing is."""
    path, kind = member.orig_filename, stat.S_IFMT(member.external_attr >> 16)
    parts = path.rstrip("/").split("/")
    reasons = {
        "has a name that leads out of the zip": path.startswith("/") or ".." in parts or path[1:2] == ":",
        "has a backslash or an unprintable character in its name": "\\" in path or not path.isprintable(),
        "has a name with an empty part": not {"", "."}.isdisjoint(parts),
        f"has a name of more than {NAME} characters": len(path) > NAME,
        f"lies more than {DEPTH} folders deep": len(parts) > DEPTH + 1,
        "is a link or a device, no file": kind not in (0, stat.S_IFREG, stat.S_IFDIR),
        "is encrypted": bool(member.flag_bits & ENCRYPTED),
        "is packed by another method than deflate": member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED),
        f"unpacks to more than {MAX_BYTES / 1e6:.0f} MB": is_image(path) and member.file_size > MAX_BYTES,
    }
    return next((reason for reason, wrong in reasons.items() if wrong), "")


def _check_bytes(members: list[zipfile.ZipInfo], name: str) -> None:
    """Refuse what grows on unpacking, or whose members share bytes."""
    unpacked, packed = sum(member.file_size for member in members), sum(member.compress_size for member in members)
    if unpacked > UNPACKED:
        raise SevisError(
            f"{name} unpacks to {unpacked / 1e6:.0f} MB, but at most {UNPACKED / 1e6:.0f} MB are allowed: leave some photos out"
        )
    if unpacked > RATIO * max(packed, 10_000):
        raise SevisError(f"{name} is refused: it unpacks to {unpacked / max(packed, 1):.0f} times its size, which no zip of photos does")
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            raise SevisError(f"{name} is refused: its member {member.filename!r:.120} shares bytes with another, as in a zip bomb")
        end = member.header_offset + LOCAL + member.compress_size


def find_class_folders(roots: tuple[Path, ...]) -> dict[str, Path]:
    """Return the data sets below some folders, by what they are called: at least two folders of images, or such below a folder for a split.

    Links are not followed, a data set is not searched for others, and the search ends after SEARCHED folders or LISTED data sets.
    """
    found: dict[str, Path] = {}
    for path, label in _data_sets(roots):
        unique = label if label not in found else f"{label} ({sum(name.startswith(label) for name in found) + 1})"
        found[unique] = path
        if len(found) == LISTED:
            break
    return found


def _data_sets(roots: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    left = SEARCHED
    waiting = [(root, printable(root.name)) for root in reversed(roots)]
    while waiting and left > 0:
        path, label = waiting.pop()
        below = Folder(path).folders()
        left -= 1 + len(below)
        if _holds_classes(path, below):
            yield path, label
        elif label.count("/") < DEPTH:
            waiting += [(path / name, f"{label}/{printable(name)}") for name in reversed(below)]


def _holds_classes(path: Path, below: list[str]) -> bool:
    if splits := parts_among(below):
        return any(_has_image(path / split / name) for split in splits for name in Folder(path).folders(split)[:3])
    return sum(_has_image(path / name) for name in below[:10]) > 1  # some may be empty


def _has_image(path: Path) -> bool:
    """Return whether one of the first 100 entries of a folder is an image by its name."""
    try:
        with os.scandir(path) as entries:
            return any(is_image(entry.name) for _, entry in zip(range(100), entries, strict=False))
    except OSError:
        return False


def look_through(folder: Path, roots: tuple[Path, ...]) -> tuple[str, ...]:
    """Return the files that are no images, at most OTHERS, in a folder of class folders: walks through it without reading a file.

    Args:
        folder: to be looked through.
        roots: one of which it must lie in, links followed.

    Raises:
        SevisError: when it lies elsewhere, cannot be read, holds more than FILES files or none that is an image, or is nested too deep.
    """
    name = printable(folder.name)
    if "\0" in str(folder) or not any(Path(os.path.realpath(folder)).is_relative_to(root) for root in roots):
        raise SevisError(f"{name!r:.120} is not below a folder that the operator of this app allowed: choose one from the list")
    images, others = 0, list[str]()
    for seen, (path, is_folder) in enumerate(_walk(folder), start=1):
        if seen > FILES:
            raise SevisError(f"{name} holds more than {FILES} files: collect it with python -m sevis collect, which takes any number")
        if is_image(path):
            images += not is_folder
        elif not is_folder and len(others) < OTHERS:
            others.append(printable(path))
    if not images:
        raise SevisError(f"{name} holds no image: expected one folder of images for each class")
    return tuple(others)


def _walk(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield every file and folder below a folder, by its path below it, and whether it is a folder; none hidden, no link followed."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        if below.count("/") >= DEPTH:
            raise SevisError(
                f"{folder.name} is nested more than {DEPTH} folders deep, at {below}: expected one folder of images for each class"
            )
        try:
            with os.scandir(folder / below) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    path, is_folder = f"{below}/{entry.name}".removeprefix("/"), entry.is_dir(follow_symlinks=False)
                    waiting += [path] if is_folder else []
                    yield path, is_folder
        except OSError as error:
            raise SevisError(
                f"{folder.name}/{below} cannot be read ({error.strerror or error}): give the user that runs this app permission to read it"
            ) from None


def splits_in(source: Source) -> tuple[str, ...]:
    """Return the folders for training, validation and test that a data set has, the one to look at first before the others."""
    below, tops = "", source.folders()
    while not (parts := parts_among(tops)) and len(tops) == 1 and below.count("/") < DEPTH:  # within the folder that holds it all
        below = f"{below}/{tops[0]}".removeprefix("/")
        tops = source.folders(below)
    order = ("val", "test", "train")
    return tuple(sorted(parts, key=lambda name: (order.index(parts[name]), name)))
