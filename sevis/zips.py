"""A zip of class folders that a stranger sent: looked through before anything is read, then read in place; nothing is unpacked to disk.

What a zip can do to its reader: file names that leave the folder, links, and bombs (David Fifield, "A better zip bomb", WOOT 2019, lets
members share their bytes). None of it can happen here, for no file is ever written; all of it is refused nevertheless, with a sentence.
"""

import io
import stat
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from sevis.datasets import SUFFIXES, ImageDataset, class_folders
from sevis.errors import SevisError
from sevis.folders import is_image
from sevis.images import MAX_BYTES
from sevis.places import Zip

MEMBERS = 20_000  # files and folders in one zip
UNPACKED = 500_000_000  # bytes of all of them together
RATIO = 100  # bytes unpacked for each packed one: photographs hardly shrink
DEPTH = 6  # folders around a photo
NAME = 250  # characters of a file's name, with its folders
FIRST = b"PK\x01\x02"  # begins each entry of a zip's directory
LOCAL = 30  # bytes, at least, before the packed bytes of a member
ENCRYPTED = 0x1 | 0x40 | 0x2000  # flag bits, .ZIP specification 4.4.4


@dataclass
class ClassZip(Zip):
    """A zip in memory, read in place and by one process; `root` is only what it is called.

    Reading a member gives no more bytes than the zip's directory says, so that what was looked through holds for what is read.
    """

    data: bytes = field(default=b"", repr=False)

    def _open(self) -> zipfile.ZipFile:
        if self._handle is None:
            self._handle = _open(self.data, self.root.name)
        return self._handle


def open_class_zip(data: bytes, name: str) -> ClassZip:
    """A zip of class folders, kept in memory and looked through.

    Args:
        data: the zip file.
        name: what it is called; a path is cut to its last part.

    Raises:
        SevisError: for a zip that is damaged, too large, encrypted, not what it seems, or without an image.
    """
    source = ClassZip(Path(Path(name).name or "upload.zip"), data=data)
    check_zip(source)
    return source


def as_dataset(source: ClassZip, split: str = "val") -> ImageDataset:
    """The photos in a zip of class folders, of the folder `split` where there are several. Raises SevisError where no folder has one."""
    return class_folders(source, source.names(), split)


def check_zip(source: ClassZip) -> None:
    """Looks through a zip's directory, without unpacking anything. Raises SevisError with the first thing that is wrong with it."""
    name = source.root.name
    members = source._open().infolist()
    for member in members:
        if reason := _reason(member):
            raise SevisError(f"{name} is refused: its member {member.orig_filename!r:.120} {reason}. Make a plain zip of the class folders")
    twice, times = Counter(member.filename for member in members).most_common(1)[0] if members else ("", 0)
    if times > 1:
        raise SevisError(f"{name} is refused: it holds {twice!r:.120} {times} times. Make a plain zip of the class folders")
    _check_size(members, name)
    if not any(is_image(member.filename) for member in members):
        raise SevisError(f"{name} holds no image: expected one folder a class with files ending in {', '.join(SUFFIXES)}")


def _open(data: bytes, name: str) -> zipfile.ZipFile:
    if (count := data.count(FIRST)) > MEMBERS:  # before a list of them is made, which takes more memory than the zip
        raise SevisError(f"{name} holds {count} files, more than the {MEMBERS} that are taken: leave some of them out")
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except Exception as error:  # what a damaged directory leads to: BadZipFile, struct.error, NotImplementedError, OverflowError, ...
        raise SevisError(f"{name} is no readable zip file ({error}): zip the class folders again") from None


def _reason(member: zipfile.ZipInfo) -> str:
    """What is wrong with a member, as the rest of a sentence; empty where nothing is."""
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
        f"unpacks to more than the {MAX_BYTES / 1e6:.0f} MB that are read": is_image(path) and member.file_size > MAX_BYTES,
    }
    return next((reason for reason, wrong in reasons.items() if wrong), "")


def _check_size(members: list[zipfile.ZipInfo], name: str) -> None:
    """Refuses what grows on unpacking, or whose members share bytes."""
    unpacked, packed = sum(member.file_size for member in members), sum(member.compress_size for member in members)
    if unpacked > UNPACKED:
        raise SevisError(f"{name} unpacks to {unpacked / 1e6:.0f} MB, more than the {UNPACKED / 1e6:.0f} MB that are taken")
    if unpacked > RATIO * max(packed, 10_000):
        raise SevisError(f"{name} unpacks to {unpacked / max(packed, 1):.0f} times its size, as no zip of photos does: it is refused")
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            raise SevisError(f"{name} is refused: its member {member.filename!r:.120} shares bytes with another, as in a zip bomb")
        end = member.header_offset + LOCAL + member.compress_size
