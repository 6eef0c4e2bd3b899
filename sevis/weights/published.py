"""Trained weights that a library publishes are found: in the usual caches of this machine, else on the internet."""

import re
from pathlib import Path

from tqdm import tqdm

from sevis.data.downloads import check_answers, fetch
from sevis.errors import SevisError, WeightsMissing, one_line
from sevis.files import sha256
from sevis.networks.libraries.library import HUB_FILES, LibraryNetwork, PublishedWeights


def find_weights(published: PublishedWeights, *, download: bool = True) -> Path:
    """Return the file with published weights: the one in a cache, else downloaded into it; a broken download is continued.

    Raises:
        WeightsMissing: where they are not here, and may not or cannot be downloaded.
    """
    cached = _in_hub_cache(published.repository) if published.repository else None
    if cached is not None:
        return cached
    digits = _hash_in(published.path.name)
    another = ""
    if published.path.is_file():
        if sha256(published.path).startswith(digits or ""):
            return published.path
        another = f"the file at that place is another, whose SHA-256 does not begin with {digits}; "
    try:
        if not download:
            raise SevisError("nothing was to be downloaded")
        check_answers(published.address)
        if published.repository:
            return _download_from_hub(published.repository)
        return fetch(published.address, published.path, sha256=digits)
    except SevisError as error:
        raise WeightsMissing(published.name, source=published.address, path=published.path, reason=f"{another}{error}") from None


def is_published(network: LibraryNetwork, path: Path, digest: str) -> bool:
    """Return whether a file with that SHA-256 is the one that a library publishes of a network, as far as can be told without fetching it.

    It is where it has the bytes of the one in a cache, or the name of the published one, with its own SHA-256 in that name.
    """
    try:
        published = network.published()
    except SevisError:  # the library has no trained weights of it
        return False
    cached = _in_hub_cache(published.repository) if published.repository else None
    if path.name == published.path.name and digest.startswith(_hash_in(path.name) or " "):
        return True
    return any(here is not None and here.is_file() and sha256(here) == digest for here in (cached, published.path))


def _in_hub_cache(repository: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(repository, file) for file in HUB_FILES)
    return next((Path(path) for path in found if isinstance(path, str)), None)


def _download_from_hub(repository: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    reason = ""
    for file in HUB_FILES:
        try:
            return Path(hf_hub_download(repository, file, tqdm_class=tqdm))  # the bar of `fetch`; its own hides outside terminals
        except EntryNotFoundError as error:
            reason = reason or one_line(error)
            if isinstance(error, LocalEntryNotFoundError):  # not reached, rather than not there
                break
        except Exception as error:  # the client lets the errors of the library below it through
            raise SevisError(one_line(error)) from None
    raise SevisError(reason)


def _hash_in(name: str) -> str | None:
    """Return the first digits of the SHA-256 that PyTorch's files bear in their name, such as ce0d4300 in se_resnet50-ce0d4300.pth."""
    found = re.search(r"-([0-9a-f]{8,64})\.", name)
    return found and found[1]
