"""A file of weights becomes tensors, without running any code that it may hold; and does it fit a network?"""

import argparse
import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from sevis.errors import SevisError, one_line
from sevis.weights.card import SUFFIXES

MAX_BYTES = 16 * 1000**3
# Where training scripts put the weights, averaged ones (EMA) first: they are what is evaluated.
WRAPPERS = ("state_dict_ema", "model_ema", "ema_state_dict", "ema", "state_dict", "model_state_dict", "model", "module", "net", "weights")
PREFIXES = ("module.", "_orig_mod.", "model.")  # of DataParallel, of compiled models, of Lightning
NESTING = 8  # dictionaries in dictionaries, at most: a file may hold one that holds itself
NUMBERS = {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
NUMBERS |= {torch.float16, torch.bfloat16, torch.float32, torch.float64}
WEIGHTS = ("weight", "bias", "running_mean", "running_var")  # the last part of the names of what is never whole numbers
COUNTER = "num_batches_tracked"
OF_ANOTHER_KIND = "of another kind"
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


def names_a_file(name: str | Path) -> bool:
    """Return whether a name is that of a file of weights, not of a network."""
    return isinstance(name, Path) or Path(name).suffix.lower() in SUFFIXES


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a safetensors file, or a pickle of PyTorch's (.pth, .pt, .bin, ...) of which only tensors and plain values are taken.

    Understands what training scripts write around the weights (`state_dict`, `model`, ...), prefers averaged weights (EMA) where
    there are some, and takes off the prefixes of DataParallel, torch.compile and Lightning.

    Raises:
        SevisError: for a file that is missing, damaged or larger than MAX_BYTES, that holds objects, no tensors, or tensors that are
            no weights: complex, quantised, sparse, larger than the file, not finite, or whole numbers in the place of weights.
    """
    if not path.is_file():
        raise SevisError(f"there is no file of weights at {path}: expected one that ends in {', '.join(SUFFIXES[:4])}")
    if path.stat().st_size > MAX_BYTES:
        raise SevisError(f"{path} is larger than the {MAX_BYTES / 1e9:.0f} GB that are read: save the weights alone")
    content = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else _read_pickle(path)
    tensors = _find_tensors(content, set())
    if not tensors:
        raise SevisError(f"{path} holds no weights: expected tensors by name, as torch.save(model.state_dict(), ...) writes them")
    for name, tensor in tensors.items():
        if reason := _flaw(name, tensor):
            raise SevisError(f"{path} holds no usable weights: {name} {reason}; save model.state_dict() of a sound network")
    about = {key: value for key, value in content.items() if isinstance(key, str) and not isinstance(value, Tensor)}
    return Checkpoint(path, _without_prefixes(tensors), about)


def _read_safetensors(path: Path) -> Mapping[Any, Any]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise SevisError(f"{path} is no readable safetensors file ({one_line(error)}): restore or download it again") from None


def _read_pickle(path: Path) -> Mapping[Any, Any]:
    if zipfile.is_zipfile(path):
        _check_archive(path)
    try:
        # A Namespace holds a training script's options; timm's trainer saves it with the weights.
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what PyTorch says of kinds of tensors that are refused here
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive raises whatever its damage leads to
        if isinstance(error, pickle.UnpicklingError) and ("Unsupported" in str(error) or "GLOBAL" in str(error)):
            raise SevisError(
                f"{path} holds more than tensors and plain values, which could run code when it is read, and was not read: "
                "save the weights alone, with torch.save(model.state_dict(), ...), or as safetensors"
            ) from None
        raise SevisError(f"{path} is no readable file of PyTorch's ({one_line(error)}): restore or download it again") from None
    if not isinstance(content, Mapping):
        raise SevisError(f"{path} holds a {type(content).__name__}, expected tensors by name: save model.state_dict()")
    return content


def _check_archive(path: Path) -> None:
    """Refuse an archive that unpacks to more than its own size, a trap for memory: torch.save stores its tensors as they are."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise SevisError(f"{path} is no readable file of PyTorch's ({one_line(error)}): restore or download it again") from None
    if unpacked > path.stat().st_size:
        raise SevisError(f"{path} unpacks to {unpacked:,} bytes, more than its own size, as no file of PyTorch's does: it was not read")


def _find_tensors(content: Mapping[Any, Any], seen: set[int], *, depth: int = NESTING) -> dict[str, Tensor]:
    """Return the tensors of the first wrapper that holds any, else those that lie here; no dictionary is searched twice (`seen`: their
    ids).
    """
    seen.add(id(content))
    for wrapper in WRAPPERS if depth else ():
        inner = content.get(wrapper)
        if isinstance(inner, Mapping) and id(inner) not in seen and (found := _find_tensors(inner, seen, depth=depth - 1)):
            return found
    # torch's AveragedModel counts its updates in n_averaged
    return {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor) and key != "n_averaged"}


def _flaw(name: str, tensor: Tensor) -> str:
    """Return why a tensor cannot be a network's; empty where it can."""
    if tensor.dtype not in NUMBERS:
        return f"consists of {_kind(tensor)} numbers"
    if tensor.layout != torch.strided or tensor.is_nested or tensor.device.type != "cpu":
        return "is sparse, nested or without its values"
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
        return f"claims {tensor.numel():,} numbers, more than the file holds of it"
    if name.rpartition(".")[2] in WEIGHTS and not tensor.is_floating_point():
        return f"consists of {_kind(tensor)} numbers, expected float32"
    if not tensor.float().isfinite().all():
        return "has values that are not finite (NaN or infinite)"
    return ""


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    while prefix := next((prefix for prefix in PREFIXES if all(key.startswith(prefix) for key in tensors)), None):
        tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 over the names, kinds, shapes and bytes of tensors in their order, in hexadecimal: equal weights, equal hash."""
    digest = hashlib.sha256()
    for name, tensor in state.items():
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def count_classes(model: nn.Module, state: Mapping[str, Tensor], num_classes: int) -> int:
    """Return the outputs of the classifier in a file; `num_classes`, those of the network, where the file has none.

    The classifier is the network's last linear layer or 1x1 convolution with as many outputs as the network.
    """
    for path, module in reversed(list(model.named_modules())):
        is_linear = isinstance(module, nn.Linear) and module.out_features == num_classes
        if is_linear or (isinstance(module, nn.Conv2d) and module.out_channels == num_classes and module.kernel_size == (1, 1)):
            weight = state.get(f"{path}.weight")
            return num_classes if weight is None or weight.ndim < 2 else len(weight) or num_classes
    return num_classes


def fits(model: nn.Module, state: Mapping[str, Tensor]) -> bool:
    """Return whether a file has exactly the tensors of a network, in the same shapes."""
    return not any(names for kind, names in _differences(model, state).items() if kind != OF_ANOTHER_KIND)


def check_fits(model: nn.Module, checkpoint: Checkpoint, name: str) -> None:
    """Raise SevisError for a file that is not of this network, with the first names and shapes that differ."""
    parts = _differences(model, checkpoint.state)
    told = [f"{kind}: {', '.join(names[:SHOWN])}{_more(names)}" for kind, names in parts.items() if names]
    if told:
        raise SevisError(
            f"{checkpoint.path} does not hold the weights of {name} ({'; '.join(told)}): name the network that it was saved from"
        )


def _differences(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """Return the names that only the network has, those that only the file has, and the shapes and kinds of numbers that differ."""
    own = model.state_dict()
    both = [(key, state[key], tensor) for key, tensor in own.items() if key in state]
    # The counters of batch norm are read by nothing: files from before PyTorch 0.4.1 lack them, others have them in half precision.
    return {
        "missing": [key for key in own if key not in state and not key.endswith(COUNTER)],
        "unexpected": [key for key in state if key not in own],
        "of another shape": [
            f"{key} {tuple(found.shape)}, expected {tuple(tensor.shape)}" for key, found, tensor in both if found.shape != tensor.shape
        ],
        OF_ANOTHER_KIND: [
            f"{key} {_kind(found)}, expected {_kind(tensor)}"
            for key, found, tensor in both
            if found.is_floating_point() != tensor.is_floating_point() and not key.endswith(COUNTER)
        ],
    }


def _more(names: list[str]) -> str:
    return f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
