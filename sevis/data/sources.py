"""Where the files of a data set lie: in a folder or in a zip. Nothing is unpacked, and no file name leaves its root."""

import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sevis.data.image_formats import MAX_BYTES
from sevis.errors import SevisError

MAX_FILES = 5_000_000  # of one folder; ImageNet's training images are 1.3 million, and a million names take about 0.1 GB
MAX_DEPTH = 10  # folders around a file
SYSTEMS_OWN = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"})  # macOS's, Synology's and Windows's folders


class Source(Protocol):
    """Where the files of a data set lie: their names, relative, with slashes, sorted, none hidden; and their bytes.

    `names` raises SevisError for what cannot be listed, `read` for a file that is missing, damaged or larger than MAX_BYTES. `size` is
    in bytes, -1 for a file that is missing; `folders` are the names of the folders directly below one.
    """

    @property
    def root(self) -> Path: ...
    def names(self) -> list[str]: ...
    def folders(self, below: str = "") -> list[str]: ...
    def size(self, name: str) -> int: ...
    def read(self, name: str) -> bytes: ...


@dataclass(frozen=True)
class Folder:
    """Files below a folder.

    Attributes:
        root: the folder.
        links: whether links are followed, out of the folder, too: on one's own machine, where caches are made of them, never for visitors.
    """

    root: Path
    links: bool = False

    def names(self) -> list[str]:
        found: list[str] = []
        waiting = [("", frozenset({_identity(self.root)}))]  # a folder, and those around it: a link to one of these would be a circle
        while waiting:
            below, around = waiting.pop()
            if below.count("/") >= MAX_DEPTH:
                raise SevisError(f"{self.root} is nested more than {MAX_DEPTH} folders deep, at {below}: name a folder of class folders")
            for entry in self._entries(below):
                path = f"{below}/{entry.name}" if below else entry.name
                if not _is_folder(entry):
                    found.append(path)
                elif not _is_left_out(entry.name) and (self.links or not entry.is_symlink()):
                    if not self.links:
                        waiting.append((path, around))
                    elif (identity := _identity(self.root / path)) not in around:
                        waiting.append((path, around | {identity}))
            if len(found) > MAX_FILES:
                raise SevisError(f"{self.root} holds more than {MAX_FILES:,} files, but at most that many are allowed: name a part of it")
        return _listed(found)

    def _entries(self, below: str) -> "list[os.DirEntry[str]]":
        try:
            with os.scandir(self.root / below) as entries:
                return list(entries)
        except OSError as error:
            raise SevisError(
                f"{error.filename} cannot be read ({error.strerror}): give this user permission to read it, or move it away"
            ) from None

    def folders(self, below: str = "") -> list[str]:
        try:
            with os.scandir(self.root / below) as entries:
                found = [entry for entry in entries if _is_folder(entry) and (self.links or not entry.is_symlink())]
        except OSError:  # there is none, or it may not be read
            return []
        return sorted(entry.name for entry in found if not _is_left_out(entry.name))

    def size(self, name: str) -> int:
        try:
            return (self.root / name).stat().st_size
        except OSError:
            return -1

    def read(self, name: str) -> bytes:
        path = self.root / name
        if not self.links and not Path(os.path.realpath(path)).is_relative_to(
            os.path.realpath(self.root)
        ):  # a link to itself has no resolve()
            raise SevisError(f"{path} is a link that leads out of {self.root}: replace it by a copy of the file")
        try:
            if path.stat().st_size > MAX_BYTES:
                raise SevisError(f"{path} is larger than {MAX_BYTES / 1e6:.0f} MB: make it smaller")
            return path.read_bytes()
        except OSError as error:
            raise SevisError(f"{path} cannot be read ({error.strerror}): restore it") from None


@dataclass
class Zip:
    """Members of a zip file, read in place. Each process opens the file itself: a forked one would share the position in it."""

    root: Path
    _archive: zipfile.ZipFile | None = field(default=None, repr=False)
    _owner: int = field(default=0, repr=False)

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_archive": None}

    def archive(self) -> zipfile.ZipFile:
        """Return the open file. Raises SevisError where it is none that can be opened."""
        if self._archive is None or self._owner != os.getpid():
            try:
                self._archive = zipfile.ZipFile(self.root)
            except (zipfile.BadZipFile, OSError) as error:
                raise SevisError(f"{self.root} is no readable zip file ({error}): download it again") from None
            self._owner = os.getpid()
        return self._archive

    def names(self) -> list[str]:
        return _listed({name for name in self.archive().namelist() if not name.endswith("/")})

    def folders(self, below: str = "") -> list[str]:
        start = f"{below}/" if below else ""
        inside = (name[len(start) :] for name in self.archive().namelist() if name.startswith(start))
        return _listed({name.partition("/")[0] for name in inside if "/" in name} - {""})

    def size(self, name: str) -> int:
        try:
            return self.archive().getinfo(name).file_size
        except KeyError:
            return -1

    def read(self, name: str) -> bytes:
        archive = self.archive()
        if self.size(name) > MAX_BYTES:
            raise SevisError(f"{name} in {self.root} unpacks to more than {MAX_BYTES / 1e6:.0f} MB")
        try:
            return archive.read(name)
        except Exception as error:
            # Damage shows as whatever the damaged bytes lead to: BadZipFile, zlib.error, EOFError, RuntimeError, ...
            raise SevisError(f"{name} in {self.root} is damaged ({error}): download the zip again") from None


def printable(name: str) -> str:
    """Return the name of a file for people and for files of text: with escapes for bytes that are no UTF-8, which no program takes."""
    return name.encode(errors="backslashreplace").decode()


def _listed(names: Iterable[str]) -> list[str]:
    """Return the names of a data set's own files, sorted: nothing that systems leave beside them, nothing that leads out of its root."""
    return sorted(name for name in names if not name.startswith("/") and not any(map(_is_left_out, name.split("/"))))


def _is_left_out(name: str) -> bool:
    """Return whether a file or folder is none of the data: hidden (.git, .ipynb_checkpoints, ..), or left by a system (__MACOSX)."""
    return name.startswith(".") or name in SYSTEMS_OWN


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Return whether it is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _identity(path: Path) -> tuple[int, int]:
    """Return what a folder has in common with every link to it."""
    try:
        found = path.stat()
    except OSError:  # it has gone since, or may not be read, which is said where it is listed
        return (-1, -1)
    return found.st_dev, found.st_ino
