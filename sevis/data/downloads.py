"""Downloads that resume, and that count only when their checksum is right."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tqdm import tqdm

from sevis.data.cifar import ADDRESS, LAYOUTS, unpack
from sevis.data.datasets import TINY_IMAGENET, find_data, open_dataset
from sevis.errors import SevisError
from sevis.settings import cache_folder

TINY_IMAGENET_URL = f"http://cs231n.stanford.edu/{TINY_IMAGENET}.zip"
TINY_IMAGENET_SIZE = 248_100_043
TINY_IMAGENET_MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
TIMEOUT = 30.0
PATIENCE = 4.0  # seconds for a server's first answer, after which it counts as out of reach
CHUNK = 1 << 18
AGENT = {"User-Agent": "sevis"}


def fetch_tiny_imagenet(*, progress: bool = True) -> Path:
    """Return the Tiny ImageNet-200 zip: the one that is there already, else downloaded to `sevis.settings.cache_folder()`.

    Raises:
        SevisError: as `fetch`, and when the zip that is there already cannot be opened.
    """
    found = find_data()
    if found is not None:
        if found.is_file():
            _check_opens(found)
        return found
    folder = cache_folder()
    path = folder if folder.suffix == ".zip" else folder / f"{TINY_IMAGENET}.zip"
    return fetch(TINY_IMAGENET_URL, path, md5=TINY_IMAGENET_MD5, size=TINY_IMAGENET_SIZE, progress=progress)


def fetch_cifar(name: str, *, progress: bool = True) -> Path:
    """Return the folder of cifar10 or cifar100: the one that is there already, else downloaded and unpacked to `cache_folder()`.

    Raises:
        SevisError: as `fetch`; when the folder that is there already cannot be opened, and when the disk is full.
    """
    layout = LAYOUTS[name]
    found = find_data(layout.folder)
    if found is not None:
        _check_opens(found)
        return found
    folder, archive = cache_folder() / layout.folder, cache_folder() / layout.archive
    fetched_by_hand = archive.is_file()
    fetch(ADDRESS + layout.archive, archive, sha256=layout.sha256, size=layout.size, progress=progress)
    unpack(archive, layout, folder)
    if not fetched_by_hand:
        archive.unlink()
    return folder


def _check_opens(path: Path) -> None:
    """Refuse data that cannot be opened; no checksum, for copies that were zipped anew are as good."""
    try:
        open_dataset(path, "val")
    except SevisError as error:
        raise SevisError(f"{path} is damaged, delete it and run this again ({error})") from None


def fetch(
    url: str, path: Path, *, md5: str | None = None, sha256: str | None = None, size: int | None = None, progress: bool = True
) -> Path:
    """Download a file, as a whole or not at all; what an interrupted call leaves in `path`.part is continued by the next.

    Args:
        url: http or https.
        path: where the file shall lie. When it is there already, with the right checksum, nothing is downloaded.
        md5, sha256: the expected checksums, in hexadecimal, or their first digits. Only a download with a checksum is continued:
            without one, nothing would tell that the file has changed at its source meanwhile.
        size: the expected size in bytes.
        progress: whether to draw a progress bar on standard error.

    Returns:
        `path`.

    Raises:
        SevisError: when the server cannot be reached, does not have the file, breaks off, or sends another file.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise SevisError(f"expected an address that begins with http:// or https://, got {url!r}")
    checksums = {name: value.lower() for name, value in (("md5", md5), ("sha256", sha256)) if value}
    part = path.with_name(f"{path.name}.part")
    with _sentences(url, path):
        if path.is_file() and _matches(path, checksums):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        if not checksums or (size is not None and part.is_file() and part.stat().st_size > size):
            part.unlink(missing_ok=True)
        if not (size is not None and part.is_file() and part.stat().st_size == size):
            _download(url, part, size=size, progress=progress)
        if not _matches(part, checksums):
            part.unlink()
            raise SevisError(f"{url} sent another file than expected (its checksum differs), and the file was deleted: try again")
        part.replace(path)
    return path


def check_answers(url: str) -> None:
    """Raise SevisError when a server gives no answer within PATIENCE seconds; an answer that refuses is one.

    The seconds are for all: looking up the name, each address that it has, and redirections. As urllib counts them anew for each, it
    asks in a thread, which is left behind when they are over.
    """
    outcome: list[Exception | None] = []
    asking = threading.Thread(target=lambda: outcome.append(_ask(url)), daemon=True)
    asking.start()
    asking.join(PATIENCE)
    error = outcome[0] if outcome else TimeoutError("timed out")
    if isinstance(error, OSError | HTTPException):
        raise SevisError(f"{urlsplit(url).netloc} cannot be reached: {getattr(error, 'reason', error)}")
    if error is not None:
        raise error


def _ask(url: str) -> Exception | None:
    """Return what went wrong when a server was asked for the head of a file; None where it answered."""
    try:
        urlopen(Request(url, method="HEAD", headers=AGENT), timeout=PATIENCE).close()
    except HTTPError as error:
        error.close()
    except Exception as error:
        return error
    return None


def _download(url: str, part: Path, *, size: int | None, progress: bool) -> None:
    """Write what is missing of the file at `url` to the end of `part`."""
    offset = part.stat().st_size if part.is_file() else 0
    with _open(url, offset) as response:
        if response.status != 206 or not (response.headers["Content-Range"] or "").startswith(f"bytes {offset}-"):
            if response.status == 206:
                raise SevisError(f"{url} answered with another part of the file than requested: delete {part} and try again")
            offset = 0  # the server sends all of it
        length = response.headers["Content-Length"]
        total = offset + int(length) if length and length.isdigit() else size
        if size is not None and total != size:
            part.unlink(missing_ok=True)
            raise SevisError(f"{url} holds {total:,} bytes, not the {size:,} expected: it is another file")
        with (
            part.open("ab" if offset else "wb") as file,
            tqdm(total=total, initial=offset, unit="B", unit_scale=True, desc=part.stem, disable=not progress) as bar,
        ):
            done = offset + _copy(response, file, bar, limit=None if total is None else total - offset)
    if total is not None and done != total:
        raise SevisError(
            f"the connection to {url} broke after {done:,} of {total:,} bytes: run the command again, and it continues from there"
        )


def _open(url: str, offset: int) -> HTTPResponse:
    headers = {**AGENT, **({"Range": f"bytes={offset}-"} if offset else {})}
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        if error.code == 416 and offset:  # nothing beyond what is there: it cannot be the same file
            return _open(url, 0)
        raise
    if not isinstance(response, HTTPResponse):  # urllib also follows to ftp://
        response.close()
        raise SevisError(f"{url} leads to {response.url}, which is neither http nor https")
    return response


def _copy(response: HTTPResponse, file: BinaryIO, bar: "tqdm[None]", *, limit: int | None) -> int:
    """Copy at most `limit` bytes, and return how many came."""
    done = 0
    while chunk := response.read(CHUNK if limit is None else min(CHUNK, limit - done)):
        file.write(chunk)
        bar.update(len(chunk))
        done += len(chunk)
    return done


def _matches(path: Path, checksums: dict[str, str]) -> bool:
    for name, expected in checksums.items():
        with path.open("rb") as file:
            if not hashlib.file_digest(file, name).hexdigest().startswith(expected):
                return False
    return True


@contextmanager
def _sentences(url: str, path: Path) -> Iterator[None]:
    """Turn what goes wrong on the way into a sentence with the cure."""
    try:
        yield
    except HTTPError as error:
        raise SevisError(f"{url} answered {error.code} {error.reason}: check the address, or try again later") from None
    except URLError as error:
        raise SevisError(f"{url} cannot be reached ({error.reason}): check the connection to the internet and try again") from None
    except (HTTPException, TimeoutError, ConnectionError) as error:
        raise SevisError(f"the connection to {url} broke ({error}): run the command again, and it continues from there") from None
    except OSError as error:
        raise SevisError(
            f"{path} cannot be written ({error.strerror}): choose another place with SEVIS_DATA (for weights: TORCH_HOME)"
        ) from None
