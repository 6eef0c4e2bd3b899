"""The plain values that a pickle of PyTorch's may hold beside tensors: a stand-in reads each, so that nothing of another library runs.

NumPy's own way to read a pickle trusts what the pickle says of its types, down to where Python's objects lie in memory. Here, only numbers
and words are made of bytes, after their count was checked.
"""

import datetime
import math
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Dictionaries, and objects that consist of their fields: what options, settings and logs of training scripts are kept in.
FIELDS = (
    "collections.defaultdict",
    "argparse.Namespace",
    "types.SimpleNamespace",
    "addict.addict.Dict",
    "easydict.EasyDict",
    "fvcore.common.config.CfgNode",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "mmcv.utils.config.ConfigDict",
    "mmengine.config.config.ConfigDict",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
    "omegaconf.nodes.BooleanNode",
    "omegaconf.nodes.FloatNode",
    "omegaconf.nodes.IntegerNode",
    "omegaconf.nodes.StringNode",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "uuid.UUID",
    "yacs.config.CfgNode",
)
PATHS = ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
TEXTS = (
    "decimal.Decimal",
    "fractions.Fraction",
    "torch.torch_version.TorchVersion",
    *(f"{module}.{name}" for module in ("pathlib", "pathlib._local") for name in PATHS),
)
TIMES = ("date", "datetime", "time", "timedelta", "timezone")
# What records name and nothing needs: the factories of a defaultdict, the types of fields, and the functions that a log is summed up by.
UNUSED = (
    "typing.Any",
    *(
        f"builtins.{name}"
        for name in ("bool", "dict", "float", "frozenset", "getattr", "int", "list", "object", "range", "slice", "str", "tuple")
    ),
    *(f"numpy.{name}" for name in ("bool", "bool_", "float16", "float32", "float64", "int32", "int64", "uint8")),
)
NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
KINDS = re.compile(r"b1|[iu][1248]|f[248]|c8|c16|[SU][1-9]\d{0,3}")  # of NumPy's numbers and words
ORDERS = ("<", "=", "|", b"<", b"=", b"|")  # of bytes: what any machine of today writes, and reads without a copy


class PickledFields:
    """Stands for a dictionary or an object with fields: is made as an OrderedDict, whose __dict__ takes the fields."""

    def __new__(cls, *_: object) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()


class PickledType:
    """Stands for numpy.dtype: what the bytes of numbers and words mean; of any other type, nothing."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code = code if isinstance(code, str) and KINDS.fullmatch(code) else ""

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or not isinstance(state[1], str | bytes) or state[1] not in ORDERS:
            self.code = ""


class PickledArray:
    """Stands for numpy.ndarray, and keeps what the pickle says of it."""

    def __init__(self, *_: object) -> None:
        self.state: tuple[object, ...] = ()

    def __setstate__(self, state: object) -> None:
        self.state = state if isinstance(state, tuple) else ()

    def read(self) -> NDArray[Any] | None:
        """Return the numbers or words, on the bytes of the pickle: many arrays take no more than the file; None for others."""
        if len(self.state) != 5:
            return None
        _, shape, kind, transposed, data = self.state
        return _read(kind, shape, data, order="F" if transposed is True else "C")


def _read(kind: object, shape: object, data: object, *, order: str = "C") -> NDArray[Any] | None:
    """Return an array of numbers or words; None where type, shape and bytes do not say one. Truth values come as whole numbers."""
    if not isinstance(kind, PickledType) or not kind.code or not isinstance(data, bytes) or not isinstance(shape, tuple):
        return None
    dtype = np.dtype("u1" if kind.code == "b1" else f"<{kind.code}")
    if len(shape) > 32 or not all(type(side) is int and 0 <= side <= len(data) for side in shape):
        return None
    if not data or math.prod(shape) * dtype.itemsize != len(data):
        return None
    if dtype.kind == "U" and not _is_text(data):
        return None
    return np.frombuffer(data, dtype).reshape(shape, order=order)  # type: ignore[call-overload, no-any-return]


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-32-le")
    except ValueError:
        return False
    return True


def _read_scalar(kind: object = None, data: object = b"", *_: object) -> object:
    array = _read(kind, (), data)
    if array is None:
        return None
    return bool(array) if isinstance(kind, PickledType) and kind.code == "b1" else array.item()


def _make_array(*_: object) -> PickledArray:
    return PickledArray()


class PickledText:
    """Stands for what is written as text, such as a path in its parts: is made as that text."""

    def __new__(cls, *parts: object) -> str:  # type: ignore[misc]
        return "/".join(part for part in parts if isinstance(part, str)).replace("//", "/")


def _make_list(*_: object) -> list[Any]:
    return []


def _make_bytes(*_: object) -> bytes:
    """Return no bytes, as an empty array holds: others are written as such."""
    return b""


def _leave_out(*_: object) -> None:
    """Stand for what nothing needs, called or not."""


# What `torch.serialization.safe_globals` takes: what is called, and for which name in a pickle.
STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    *((PickledFields, name) for name in FIELDS),
    *((PickledText, name) for name in TEXTS),
    *((getattr(datetime, name), f"datetime.{name}") for name in TIMES),
    *((_leave_out, name) for name in UNUSED),
    (_make_list, "collections.deque"),
    (_make_bytes, "builtins.bytes"),
    (PickledType, "numpy.dtype"),
    (PickledArray, "numpy.ndarray"),
    *((_make_array, f"{module}._reconstruct") for module in NUMPY),
    *((_read_scalar, f"{module}.scalar") for module in NUMPY),
]
