"""A file of weights becomes tensors, without running any code that it may hold."""

import hashlib
import pickle
import re
import threading
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from sevis.errors import SevisError, one_line
from sevis.weights.card import SUFFIXES
from sevis.weights.file_kinds import is_safetensors
from sevis.weights.plain_values import STAND_INS, PickledArray

MAX_BYTES = 16 * 1000**3
# Where training scripts put the weights, averaged ones (EMA) first: they are what is evaluated.
WRAPPERS = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema", "params_ema"),
    *("state_dict", "model_state_dict", "model", "module", "net", "weights", "params", "shadow"),
)
PREFIXES = ("module.", "model.")  # of DataParallel, of Lightning
# What compiled, sharded and checkpointed modules put into the names of what lies in them.
INSIDE = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module")
COUNTS = ("n_averaged", "total_ops", "total_params")  # of torch's AveragedModel, and of thop, which counts what a network costs
NESTING = 8  # dictionaries in dictionaries, at most: a file may hold one that holds itself
NUMBERS = {torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}
NUMBERS |= {torch.float16, torch.bfloat16, torch.float32, torch.float64}
WEIGHTS = ("weight", "bias", "running_mean", "running_var")  # the last part of the names of what is never whole numbers
SAVE = "save the weights alone, with torch.save(model.state_dict(), ...), or as safetensors"

_reading = threading.Lock()  # for PyTorch keeps what it may read for all threads together


@dataclass(frozen=True)
class TensorGroup:
    """Tensors that lie in one dictionary of a file.

    Attributes:
        place: the names that lead there; none at the top of the file.
        tensors: by name, without what compiled modules and the like put into all of them.
    """

    place: tuple[str, ...]
    tensors: dict[str, Tensor]

    @property
    def is_usual(self) -> bool:
        """Whether they lie where training scripts put weights."""
        return all(name in WRAPPERS for name in self.place)


@dataclass(frozen=True)
class Checkpoint:
    """What a file of weights holds.

    Attributes:
        path: of the file.
        groups: the dictionaries of tensors in it, those where training scripts put weights first.
        about: whatever else the file says at its top level; `sevis train` writes `recipe` and `data` there.
    """

    path: Path
    groups: tuple[TensorGroup, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> dict[str, Tensor]:
        """The tensors of the first group: they are the weights, unless only another group fits a network."""
        return self.groups[0].tensors


def names_a_file(name: str | Path) -> bool:
    """Return whether a name is that of a file of weights, not of a network."""
    return isinstance(name, Path) or Path(name).suffix.lower() in SUFFIXES


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a safetensors file, or a pickle of PyTorch's of which only tensors and plain values are taken; its name does not matter.

    Understands what training scripts write around the weights (`state_dict`, `model`, ...), prefers averaged weights (EMA) where
    there are some, and takes off what DataParallel, torch.compile and Lightning put before the names. Whether the tensors are sound is
    checked of those that are used: `check_sound`.

    Raises:
        SevisError: for a file that is missing, damaged, of another kind or larger than MAX_BYTES, or that holds objects or no tensors.
    """
    if path.is_dir():
        raise SevisError(
            f"there is no file of weights at {path}, which is a folder: name a file in it that ends in {', '.join(SUFFIXES[:4])}"
        )
    if not path.is_file():
        raise SevisError(f"there is no file of weights at {path}: expected one that ends in {', '.join(SUFFIXES[:4])}")
    if path.stat().st_size > MAX_BYTES:
        raise SevisError(f"{path} is larger than the {MAX_BYTES / 1e9:.0f} GB that are read: save the weights alone")
    content = _read_safetensors(path) if is_safetensors(path) else _read_pickle(path)
    groups = sorted(_find_groups(content, set()), key=lambda group: not group.is_usual)
    if not groups:
        raise SevisError(f"{path} holds no weights: expected tensors by name, as torch.save(model.state_dict(), ...) writes them")
    return Checkpoint(path, tuple(groups), {key: value for key, value in content.items() if not isinstance(value, Tensor)})


def _read_safetensors(path: Path) -> dict[str, Any]:
    try:
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
        return {**told, **load_file(path)}
    except (SafetensorError, OSError) as error:
        raise SevisError(f"{path} is no readable safetensors file ({one_line(error)}): restore or download it again") from None


def _read_pickle(path: Path) -> dict[str, Any]:
    if zipfile.is_zipfile(path):
        _check_archive(path)
    try:
        with path.open("rb") as file, _reading, torch.serialization.safe_globals(STAND_INS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what PyTorch says of kinds of tensors that are refused here
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive raises whatever its damage leads to
        raise SevisError(_explain(path, error)) from None
    if not isinstance(content, dict | list | tuple):
        raise SevisError(f"{path} holds a {type(content).__name__}, expected tensors by name: save model.state_dict()")
    return _items(content)


def _explain(path: Path, error: Exception) -> str:
    """Return why PyTorch did not read a file, in a sentence."""
    said = str(error) if isinstance(error, pickle.UnpicklingError) else ""
    if "Unsupported operand" in said or "Invalid magic number" in str(error):
        return f"{path} was pickled in a way that is not read without running code: {SAVE}"
    if any(word in said for word in ("GLOBAL", "Can only", "reduce for unrecognized", "blocked")):
        named = re.search(r"GLOBAL ([\w.]{1,80})", said)
        whole = "a whole pickled object, such as a model, of " if _is_one_object(path) else ""
        what = f" ({whole}{named[1]})" if named else ""
        cure = f"load it in the program that made it, and {SAVE}" if whole else SAVE
        return f"{path} holds more than tensors and plain values{what}, which could run code when it is read, and was not read: {cure}"
    return f"{path} is no readable file of PyTorch's ({one_line(error)}): restore or download it again"


def _is_one_object(path: Path) -> bool:
    """Return whether a file of PyTorch's begins with an object of some class, rather than with a dictionary, as far as it shows."""
    with suppress(zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError), zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith("/data.pkl"):
                with archive.open(name) as member:
                    start = member.read(40)
                return start.startswith(b"\x80\x02c") and not start.startswith(b"\x80\x02ccollections\n")
    return False


def _check_archive(path: Path) -> None:
    """Refuse an archive that unpacks to more than its own size, a trap for memory: torch.save stores its tensors as they are."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise SevisError(f"{path} is no readable file of PyTorch's ({one_line(error)}): restore or download it again") from None
    if unpacked > path.stat().st_size:
        raise SevisError(f"{path} unpacks to {unpacked:,} bytes, more than its own size, as no file of PyTorch's does: it was not read")


def _items(content: Any) -> dict[str, Any]:
    """Return what a dictionary of a stranger's holds by name, and the dictionaries in a list by their numbers.

    Its own methods are not asked, for a pickle may have put others there.
    """
    if isinstance(content, list | tuple):
        return {str(number): value for number, value in enumerate(content) if isinstance(value, dict)}
    return {key: value for key, value in dict.items(content) if isinstance(key, str)}


def _find_groups(content: Any, seen: set[int], place: tuple[str, ...] = ()) -> Iterator[TensorGroup]:
    """Yield the dictionaries that hold tensors: those in a wrapper, then this one, then those in it; none twice (`seen`: their ids)."""
    seen.add(id(content))
    items = _items(content)
    for later in (False, True):
        if later and (tensors := _tensors_in(items)):
            yield TensorGroup(place, tensors)
        for name in [name for name in items if name not in WRAPPERS] if later else WRAPPERS:
            inner = items.get(name)
            if isinstance(inner, dict | list | tuple) and id(inner) not in seen and len(place) < NESTING:
                yield from _find_groups(inner, seen, (*place, name))


def _tensors_in(items: dict[str, Any]) -> dict[str, Tensor]:
    """Return the tensors among these values, and NumPy's arrays as tensors, without what wrappers put into their names."""
    tensors = {}
    for name, value in items.items():
        tensor = _as_tensor(value)
        if tensor is not None and name.rpartition(".")[2] not in COUNTS:
            tensors[name] = tensor
    return _without_prefixes(tensors)


def _as_tensor(value: object) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    array = value.read() if isinstance(value, PickledArray) else None
    if array is None or array.dtype.kind not in "iufc":
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the bytes of the pickle cannot be written; nothing does
        return torch.from_numpy(array)


def check_sound(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Check tensors before they are used.

    Raises:
        SevisError: for tensors that are no weights: complex, quantised, sparse, larger than the file, not finite, or whole numbers in
            the place of weights.
    """
    for name, tensor in tensors.items():
        if reason := _flaw(name, tensor):
            raise SevisError(f"{path} holds no usable weights: {shown(name)} {reason}; save model.state_dict() of a sound network")


def _flaw(name: str, tensor: Tensor) -> str:
    """Return why a tensor cannot be a network's; empty where it can."""
    if tensor.dtype not in NUMBERS:
        return f"consists of {kind_of(tensor)} numbers"
    if tensor.layout != torch.strided or tensor.is_nested or tensor.device.type != "cpu":
        return "is sparse, nested or without its values"
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
        return f"claims {tensor.numel():,} numbers, more than the file holds of it"
    if name.rpartition(".")[2] in WEIGHTS and not tensor.is_floating_point():
        return f"consists of {kind_of(tensor)} numbers, expected float32"
    if not tensor.float().isfinite().all():
        return "has values that are not finite (NaN or infinite)"
    return ""


def shown(name: str) -> str:
    """Return a name from a file as a message may show it: whatever it is, one line of at most 80 characters."""
    text = "".join(character if character.isprintable() else "?" for character in name[:81])
    return text if len(text) < 81 else f"{text[:79]}…"


def kind_of(tensor: Tensor) -> str:
    """Return what kind of numbers a tensor consists of, such as float32."""
    return str(tensor.dtype).removeprefix("torch.")


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors by the names that they have in the network that was wrapped, as far as the names alone tell."""
    bare = {name: ".".join(part for part in name.split(".") if part not in INSIDE) for name in tensors}
    if len(set(bare.values())) == len(bare):
        tensors = {bare[name]: value for name, value in tensors.items()}
    while tensors and (prefix := next((prefix for prefix in PREFIXES if all(key.startswith(prefix) for key in tensors)), None)):
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
