"""Where the trained weights of timm's and torchvision's networks lie: in the usual caches of this machine, else on the internet."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tqdm import tqdm

from sevis.data.downloads import check_answers, fetch
from sevis.errors import SevisError, WeightsMissing, one_line
from sevis.files import sha256
from sevis.networks.libraries import Origin, torchvision_weights

HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # of a repository at Hugging Face, in timm's order


@dataclass(frozen=True)
class Source:
    """Where the weights of one network are published.

    Attributes:
        name: the network's, for messages.
        address: of the file.
        path: where it lies when it is downloaded from `address`, or was put there by hand: in PyTorch's cache.
        repository: at Hugging Face, empty where it is not there; downloads from there go to its own cache.
    """

    name: str
    address: str
    path: Path
    repository: str = ""


def find_source(origin: Origin) -> Source:
    """Return where the trained weights of a network are. Raises SevisError where its library knows none."""
    if origin.library == "torchvision":
        return _at(origin, torchvision_weights(origin).url)
    from timm.models import get_pretrained_cfg

    cfg = get_pretrained_cfg(origin.name)
    if cfg is not None and cfg.hf_hub_id:
        from huggingface_hub import hf_hub_url

        address = hf_hub_url(cfg.hf_hub_id, HUB_FILES[0])
        return Source(origin.name, address, _checkpoints() / f"{origin.name}.safetensors", cfg.hf_hub_id)
    if cfg is not None and isinstance(cfg.url, str) and cfg.url:
        return _at(origin, cfg.url)
    raise SevisError(f"timm has no trained weights of {origin.name}: take fresh ones with weights='random' (--weights random)")


def find_weights(origin: Origin, *, download: bool = True) -> Path:
    """Return the file with the trained weights of a network: the one in a cache, else downloaded into it; a broken download is continued.

    Raises:
        WeightsMissing: where they are not here, and may not or cannot be downloaded.
        SevisError: where the library knows no trained weights.
    """
    source = find_source(origin)
    cached = _in_hub_cache(source.repository) if source.repository else None
    if cached is not None:
        return cached
    digits = _hash_in(source.path.name)
    another = ""
    if source.path.is_file():
        if sha256(source.path).startswith(digits or ""):
            return source.path
        another = f"the file at that place is another, whose SHA-256 does not begin with {digits}; "
    try:
        if not download:
            raise SevisError("nothing was to be downloaded")
        check_answers(source.address)
        if source.repository:
            return _download_from_hub(source.repository)
        return fetch(source.address, source.path, sha256=digits)
    except SevisError as error:
        raise WeightsMissing(source.name, source=source.address, path=source.path, reason=f"{another}{error}") from None


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


def _at(origin: Origin, address: str) -> Source:
    return Source(origin.name, address, _checkpoints() / Path(urlsplit(address).path).name)


def _checkpoints() -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"
