"""Files that are whole or not there."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from sevis.errors import SevisError


def replace_file(path: Path, data: bytes) -> None:
    """Write a file as a whole or not at all: a kill at any moment leaves the old one or the new one; so does a full disk."""
    with replacing(path) as file:
        file.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file to be written piece by piece, as `replace_file`: it replaces the old one when the block ends without an error.

    Raises:
        SevisError: when nothing may be written there, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = temporary.open("wb")
    except OSError as error:
        why = error.strerror or error
        raise SevisError(f"{path} cannot be written ({why}): choose another place (for what sevis keeps: SEVIS_HOME)") from None
    try:
        with opened as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SevisError(
                f"the disk is full, so {path} was not written, and its older version is kept: make room and try again"
            ) from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
