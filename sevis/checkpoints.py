"""A file of weights becomes tensors, without running any code that it may hold; and does it fit a network?"""

import argparse
import hashlib
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from sevis.errors import SevisError

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar")
MAX_BYTES = 16 * 1000**3
# Where training scripts put the weights, averaged ones (EMA) first: they are what is evaluated.
WRAPPERS = ("state_dict_ema", "model_ema", "ema_state_dict", "ema", "state_dict", "model_state_dict", "model", "module", "net", "weights")
PREFIXES = ("module.", "_orig_mod.", "model.")  # of DataParallel, of compiled models, of Lightning
SHOWN = 3  # names of each kind in the message about a mismatch


@dataclass(frozen=True)
class Checkpoint:
    """What a file of weights holds.

    Attributes:
        path: of the file.
        state: the tensors by name, without the prefixes that wrappers add.
        about: whatever else the file says at its top level; `sevis train` writes `recipe` and `data` there.
    """

    path: Path
    state: dict[str, Tensor]
    about: Mapping[str, Any] = field(default_factory=dict)


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads a safetensors file, or a pickle of PyTorch's (.pth, .pt, .bin, ...) of which only tensors and plain values are taken.

    Understands what training scripts write around the weights (`state_dict`, `model`, ...), prefers averaged weights (EMA) where
    there are some, and takes off the prefixes of DataParallel, torch.compile and Lightning.

    Raises:
        SevisError: for a file that is missing, damaged or larger than MAX_BYTES, that holds objects, or no tensors.
    """
    if not path.is_file():
        raise SevisError(f"there is no file of weights at {path}: expected one that ends in {', '.join(SUFFIXES[:4])}")
    if path.stat().st_size > MAX_BYTES:
        raise SevisError(f"{path} is larger than the {MAX_BYTES / 1e9:.0f} GB that are read: save the weights alone")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    tensors = _find_tensors(content)
    if not tensors:
        raise SevisError(f"{path} holds no weights: expected tensors by name, as torch.save(model.state_dict(), ...) writes them")
    about = {str(key): value for key, value in content.items() if not isinstance(value, Tensor)}
    return Checkpoint(path, _without_prefixes(tensors), about)


def _read_safetensors(path: Path) -> Mapping[Any, Any]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise SevisError(f"{path} is no readable safetensors file ({_line(error)}): restore or download it again") from None


def _read_pickle(path: Path) -> Mapping[Any, Any]:
    if zipfile.is_zipfile(path):
        _check_archive(path)
    try:
        # A Namespace holds a training script's options; timm's trainer saves it with the weights.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported" in str(error) or "GLOBAL" in str(error):
            raise SevisError(
                f"{path} holds more than tensors and plain values, which could run code when it is read, and was not read: "
                "save the weights alone, with torch.save(model.state_dict(), ...), or as safetensors"
            ) from None
        raise SevisError(f"{path} is no readable file of PyTorch's ({_line(error)}): restore or download it again") from None
    except Exception as error:  # a damaged archive raises whatever its damage leads to
        raise SevisError(f"{path} is no readable file of PyTorch's ({_line(error)}): restore or download it again") from None
    if not isinstance(content, Mapping):
        raise SevisError(f"{path} holds a {type(content).__name__}, expected tensors by name: save model.state_dict()")
    return content


def _check_archive(path: Path) -> None:
    """torch.save stores its tensors as they are, so an archive that unpacks to more than its own size is a trap for memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise SevisError(f"{path} is no readable file of PyTorch's ({_line(error)}): restore or download it again") from None
    if unpacked > path.stat().st_size:
        raise SevisError(f"{path} unpacks to {unpacked:,} bytes, more than its own size, as no file of PyTorch's does: it was not read")


def _line(error: Exception) -> str:
    """An exception in one short line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:120]


def _find_tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The tensors of the first wrapper that holds any, else those that lie here."""
    for wrapper in WRAPPERS:
        inner = content.get(wrapper)
        if isinstance(inner, Mapping) and (found := _find_tensors(inner)):
            return found
    # torch's AveragedModel counts its updates in n_averaged
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor) and key != "n_averaged"}


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    while prefix := next((prefix for prefix in PREFIXES if all(key.startswith(prefix) for key in tensors)), None):
        tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """The SHA-256 over the names, kinds, shapes and bytes of tensors in their order, in hexadecimal: equal weights, equal hash."""
    digest = hashlib.sha256()
    for name, tensor in state.items():
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def count_classes(model: nn.Module, state: Mapping[str, Tensor], num_classes: int) -> int:
    """The outputs of the classifier in a file; `num_classes`, those of the network, where the file has none.

    The classifier is the network's last linear layer or 1x1 convolution with as many outputs as the network.
    """
    for path, module in reversed(list(model.named_modules())):
        outputs = getattr(module, "out_features", getattr(module, "out_channels", None))
        if isinstance(module, nn.Linear | nn.Conv2d) and outputs == num_classes:
            weight = state.get(f"{path}.weight")
            return num_classes if weight is None else len(weight)
    return num_classes


def fits(model: nn.Module, state: Mapping[str, Tensor]) -> bool:
    """Whether a file has exactly the tensors of a network, in the same shapes."""
    return _differences(model, state) == ([], [], [])


def check_fits(model: nn.Module, checkpoint: Checkpoint, name: str) -> None:
    """Raises SevisError for a file that is not of this network, with the first names and shapes that differ."""
    missing, unexpected, shapes = _differences(model, checkpoint.state)
    parts = [("missing", missing), ("unexpected", unexpected), ("of another shape", shapes)]
    told = [f"{kind}: {', '.join(names[:SHOWN])}{_more(names)}" for kind, names in parts if names]
    if told:
        raise SevisError(
            f"{checkpoint.path} does not hold the weights of {name} ({'; '.join(told)}): name the network that it was saved from"
        )


def _differences(model: nn.Module, state: Mapping[str, Tensor]) -> tuple[list[str], list[str], list[str]]:
    """The names that only the network has, those that only the file has, and the shapes that differ."""
    own = model.state_dict()
    # Files from before PyTorch 0.4.1 lack the counters of batch norm, which nothing reads.
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in own]
    shapes = [
        f"{key} {tuple(state[key].shape)}, expected {tuple(tensor.shape)}"
        for key, tensor in own.items()
        if key in state and state[key].shape != tensor.shape
    ]
    return missing, unexpected, shapes


def _more(names: list[str]) -> str:
    return f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
