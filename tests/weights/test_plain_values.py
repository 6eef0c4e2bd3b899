"""What a pickle may hold beside tensors: read as plain values by stand-ins, whatever the pickle says; and nothing runs."""

import argparse
import collections
import datetime
import decimal
import pickle
import struct
import sys
import types
import uuid
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
import pytest
import torch

from sevis import SevisError
from sevis.weights.checkpoint import read_checkpoint
from sevis.weights.plain_values import STAND_INS, PickledArray

STATE = {"fc.weight": torch.ones(2, 3)}


def read_saved(path: Path, value: object) -> Any:
    torch.save({"state_dict": STATE, "value": value}, path)
    checkpoint = read_checkpoint(path)
    assert torch.equal(checkpoint.state["fc.weight"], STATE["fc.weight"])
    return checkpoint.about["value"]


NOW = datetime.datetime(2026, 11, 27, 19, 30, 1, 5, tzinfo=datetime.UTC)
SAME: list[Any] = [NOW, NOW.date(), NOW.time(), datetime.timedelta(days=3, seconds=1), 2**70, b"ab", b"", {1, 2}, torch.Size([3])]
READ_AS: list[tuple[Any, Any]] = [
    *((value, value) for value in SAME),
    (np.float64(0.7), 0.7),
    (np.float32(0.5), 0.5),
    (np.int64(-3), -3),
    (np.bool_(True), True),
    (np.str_("größer"), "größer"),
    (np.complex64(1j), 1j),
    (Path("/runs/a b/best.pth"), "/runs/a b/best.pth"),
    (PurePosixPath("a/b"), "a/b"),
    (decimal.Decimal("0.5"), "0.5"),
    (torch.__version__, str(torch.__version__)),
    (collections.OrderedDict(a=1), {"a": 1}),
    (collections.defaultdict(list, {"a": [1]}), {"a": [1]}),
    (collections.defaultdict(dict), {}),
    (collections.deque([1, 2], maxlen=3), [1, 2]),
    ({"best": [np.float64(0.5), Path("x")]}, {"best": [0.5, "x"]}),
]


@pytest.mark.parametrize("number", range(len(READ_AS)))
def test_plain_values_are_read(tmp_path: Path, number: int) -> None:
    value, expected = READ_AS[number]
    read = read_saved(tmp_path / "a.pth", value)
    assert read == expected
    assert type(read) is type(expected) or isinstance(read, dict)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(24, dtype=np.int16).reshape(2, 3, 4).T,  # saved in the order of Fortran
        np.array(["cat", "größer"]),
        np.array([b"cat", b"dog"]),
        np.array(3.5),
        np.array([True, False]),
        np.arange(3, dtype=np.complex128),
    ],
)
def test_arrays_are_read(tmp_path: Path, array: np.ndarray) -> None:
    read = read_saved(tmp_path / "a.pth", array)
    assert isinstance(read, PickledArray)
    assert read.read().shape == array.shape
    assert np.array_equal(read.read(), array)


@pytest.mark.parametrize(
    "array",
    [np.array([]), np.array([{}, 1], dtype=object), np.zeros(2, [("a", "f4"), ("b", "O")]), np.zeros(2, ">f4"), np.zeros(2, "M8[s]")],
)
def test_of_other_arrays_nothing_is_made(tmp_path: Path, array: np.ndarray) -> None:
    assert read_saved(tmp_path / "a.pth", array).read() is None


def test_the_state_of_a_training_is_no_obstacle(tmp_path: Path) -> None:
    read = read_saved(tmp_path / "a.pth", {"numpy": np.random.get_state(), "windows": PureWindowsPath("c:/x"), "id": uuid.UUID(int=7)})
    assert read["numpy"][0] == "MT19937"
    assert read["windows"].startswith("c:")


def pretend(monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
    """Let a class be imported from the module that it names, and the rooms around that."""
    parts = kind.__module__.split(".")
    for end in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
    setattr(sys.modules[kind.__module__], kind.__name__, kind)


# Classes of other projects, which are not installed here: dictionaries, and objects with fields.
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("yacs.config", "CfgNode"),
        ("pytorch_lightning.utilities.parsing", "AttributeDict"),
        ("mmengine.config.config", "ConfigDict"),
        ("omegaconf.dictconfig", "DictConfig"),
    ],
)
@pytest.mark.parametrize("base", [dict, object])
def test_the_settings_of_a_project_are_read_as_a_dictionary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str, base: type
) -> None:
    kind = type(name, (base,), {"__module__": module})
    pretend(monkeypatch, kind)
    value = kind()
    vars(value)["frozen"] = True
    if isinstance(value, dict):
        value["lr"] = 0.1
    read = read_saved(tmp_path / "a.pth", value)
    assert type(read) is collections.OrderedDict
    assert vars(read) == {"frozen": True}
    assert dict(read) == ({"lr": 0.1} if base is dict else {})


def test_options_are_read_as_fields(tmp_path: Path) -> None:
    for kind in (argparse.Namespace, types.SimpleNamespace):
        assert vars(read_saved(tmp_path / "a.pth", kind(lr=0.1, out=Path("runs")))) == {"lr": 0.1, "out": "runs"}


def test_a_log_with_methods_of_its_own_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class HistoryBuffer:
        def mean(self) -> float:
            raise AssertionError

    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = "mmengine.logging.history_buffer", "HistoryBuffer"
    pretend(monkeypatch, HistoryBuffer)
    buffer = HistoryBuffer()
    vars(buffer).update(log=np.arange(3.0), methods={"mean": Calls(getattr, HistoryBuffer, "mean")})
    read = vars(read_saved(tmp_path / "a.pth", buffer))
    assert read["log"].read().tolist() == [0, 1, 2]
    assert read["methods"] == {"mean": None}


# --- pickles that nobody wrote by accident ---

TRACE = "it ran"


class Calls:
    """Pickled, it calls a function when it is read."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def old_file(path: Path, body: bytes) -> Path:
    """Write a file as the PyTorch of old wrote them, with a pickle of the test's own."""
    heads = [torch.serialization.MAGIC_NUMBER, torch.serialization.PROTOCOL_VERSION, {"little_endian": True}]
    path.write_bytes(b"".join(pickle.dumps(head, 2) for head in heads) + body + pickle.dumps([], 2))
    return path


def called(module: str, name: str, *arguments: object) -> bytes:
    """Return a pickle of {"value": module.name(*arguments)}."""
    pushed = b"".join(pickle.dumps(argument, 2)[2:-1] for argument in arguments)
    return b"\x80\x02}X\x05\x00\x00\x00value" + f"c{module}\n{name}\n".encode() + b"(" + pushed + b"tRs."


HOSTILE: dict[str, Any] = {
    "a factory that runs": Calls(collections.defaultdict, Calls(Path.touch, Path(TRACE))),
    "a factory of a shell": Calls(collections.defaultdict, __import__("os").system),
    "a path that runs": Calls(Path.touch, Path(TRACE)),
    "a field that runs": argparse.Namespace(field=Calls(Path.touch, Path(TRACE))),
    "an element that runs": np.array([Calls(Path.touch, Path(TRACE))], dtype=object),
    "eval": Calls(eval, f"open({TRACE!r}, 'w')"),
    "exec": Calls(exec, f"open({TRACE!r}, 'w')"),
    "import": Calls(__import__, "antigravity"),
    "open": Calls(open, TRACE, "w"),
    "a partial function": __import__("functools").partial(open, TRACE, "w"),
    "numpy's own loading": Calls(np.load, "x.npy"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": STATE, "value": HOSTILE[what]}, "a.pth")
    with pytest.raises(SevisError, match=r"a\.pth (holds more than tensors and plain values|is no readable file)") as caught:
        read_checkpoint(Path("a.pth"))
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


@pytest.mark.parametrize(
    "body",
    [
        called("pathlib", "PosixPath.touch", TRACE),
        called("pathlib", "Path.home"),
        called("numpy", "dtype.__setstate__", 1),
        called("numpy", "ndarray.tofile", TRACE),
        called("numpy._core.multiarray", "fromfile", TRACE),
        called("datetime", "datetime.now"),
        called("builtins", "getattr.__call__"),
        called("collections", "defaultdict.__init__"),
        called("sevis.weights.plain_values", "PickledFields"),
        called("collections", "namedtuple", "A", "b"),
        b"\x80\x02}X\x05\x00\x00\x00valuecbuiltins\ngetattr\ncpathlib\nPath\nX\x05\x00\x00\x00touch\x86R(X\x01\x00\x00\x00atRs.",
    ],
)
def test_only_names_on_the_list_are_called(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(SevisError, match="holds more than tensors and plain values"):
        read_checkpoint(old_file(tmp_path / "a.pth", body))


@pytest.mark.parametrize("name", [name for _, name in STAND_INS if not name.startswith("datetime.")])
@pytest.mark.parametrize("arguments", [(), (10**12,), ("x" * 100, [], {}), (b"\xff" * 64, 3), ([[]], {"__class__": 3})])
def test_no_stand_in_does_anything_with_what_it_is_given(tmp_path: Path, name: str, arguments: tuple[object, ...]) -> None:
    module, _, kind = name.rpartition(".")
    with pytest.raises(SevisError, match=r"a\.pth holds no weights"):
        read_checkpoint(old_file(tmp_path / "a.pth", called(module, kind, *arguments)))


def array_file(path: Path, state: object, *, code: object = "f4", order: object = "<") -> Path:
    """Write a file with an array whose pickle says this of itself, under the name of a tensor."""

    def pushed(value: object) -> bytes:
        return pickle.dumps(value, 2)[2:-1]

    kind = b"cnumpy\ndtype\n" + pushed((code, False, True)) + b"R" + pushed((3, order, None, None, None, -1, -1, 0)) + b"b"
    version, shape, fortran, data = state if isinstance(state, tuple) else (1, (1,), False, state)
    body = b"\x80\x02}X\x09\x00\x00\x00fc.weight" + b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n\x85R("
    return old_file(path, body + pushed(version) + pushed(shape) + kind + pushed(fortran) + pushed(data) + b"tbs.")


FOUR = struct.pack("<f", 1.5)


def test_an_array_in_the_place_of_a_tensor_is_read(tmp_path: Path) -> None:
    read = read_checkpoint(array_file(tmp_path / "a.pth", (1, (2, 1), False, FOUR + FOUR))).state["fc.weight"]
    assert read.tolist() == [[1.5], [1.5]]


@pytest.mark.parametrize(
    ("state", "options"),
    [
        ((1, (2,), False, FOUR), {}),  # more numbers than bytes
        ((1, (10**18, 10**18, 0), False, b""), {}),
        ((1, (-1, -1), False, FOUR), {}),
        ((1, (1.0,), False, FOUR), {}),
        ((1, [1], False, FOUR), {}),
        ((1, (1,) * 40, False, FOUR), {}),
        ((1, (1,), False, [FOUR]), {}),
        ((1, (1,), False, "text"), {}),
        (FOUR + FOUR, {"code": "O8"}),  # pointers, if NumPy believed it
        (FOUR + FOUR, {"code": "V8"}),
        (FOUR, {"code": "O"}),
        (FOUR, {"code": "(1000000000,)f4"}),
        (FOUR, {"code": "f4,f4"}),
        (FOUR, {"code": {"names": ["a"], "formats": ["O"]}}),
        (FOUR, {"code": "U0"}),
        (FOUR, {"order": [3]}),
        (FOUR, {"order": ">"}),
        (b"\xff\xff\xff\xff", {"code": "U1"}),  # no character
    ],
)
def test_an_array_that_is_none_is_no_tensor(tmp_path: Path, state: object, options: dict[str, Any]) -> None:
    with pytest.raises(SevisError, match=r"a\.pth holds no weights"):
        read_checkpoint(array_file(tmp_path / "a.pth", state, **options))


def test_many_arrays_of_the_same_bytes_take_no_memory(tmp_path: Path) -> None:
    data = np.zeros(250_000, np.float32)
    torch.save({f"a{number}.weight": data for number in range(2000)}, tmp_path / "a.pth")  # the pickle holds it once, 2 GB in all
    state = read_checkpoint(tmp_path / "a.pth").state
    assert len({tensor.data_ptr() for tensor in state.values()}) == 1


def test_a_dictionary_whose_methods_are_something_else_is_read(tmp_path: Path) -> None:
    content = collections.OrderedDict(state_dict=STATE)
    vars(content).update(get=3, keys=None, values=1, __iter__=1)
    torch.save(content, tmp_path / "a.pth")
    assert torch.equal(read_checkpoint(tmp_path / "a.pth").state["fc.weight"], STATE["fc.weight"])
