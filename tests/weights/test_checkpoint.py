"""Files of weights: what is read, in whatever wrapper, and what is not: code, damage, another network's."""

import argparse
import collections
import hashlib
import pickle
import threading
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from sevis import SevisError
from sevis.weights import checkpoint as checkpoints
from sevis.weights.checkpoint import check_sound, fingerprint, read_checkpoint


def small() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(collections.OrderedDict(conv=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4), fc=nn.Linear(4, 5)))


STATE = small().state_dict()
OTHER = {key: value + 1 for key, value in STATE.items()}


def under(prefix: str, state: dict[str, Tensor] = STATE) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


def assert_same(state: dict[str, Tensor], expected: dict[str, Tensor] = STATE) -> None:
    assert list(state) == list(expected)
    for key, value in expected.items():
        assert state[key].dtype == value.dtype
        assert torch.equal(state[key], value)


WRAPPED: dict[str, Any] = {
    "the state itself": STATE,
    "state_dict": {"epoch": 3, "state_dict": STATE, "optimizer": {"state": {0: OTHER}}},
    "model": {"model": STATE, "rows": [{"loss": 1.0}]},
    "timm's trainer": {"arch": "seresnet50", "args": argparse.Namespace(lr=0.1), "state_dict": OTHER, "state_dict_ema": STATE},
    "torchvision's trainer": {"model": OTHER, "model_ema": {"n_averaged": torch.tensor(3), **under("module.")}},
    "torch's own average": AveragedModel(small()).state_dict(),
    "Lightning": {"pytorch-lightning_version": "2", "state_dict": under("model."), "hyper_parameters": {"lr": 0.1}},
    "an average in a wrapper": {"ema": {"decay": 0.99, "module": STATE}, "model": OTHER},
    "DataParallel": under("module."),
    "compiled": under("_orig_mod."),
    "compiled in DataParallel": {"model": under("module._orig_mod.")},
    "DataParallel compiled": under("_orig_mod.module.model."),
    "compiled inside": {key.replace(".", "._orig_mod."): value for key, value in STATE.items()},
    "sharded (FSDP)": {f"_fsdp_wrapped_module.{key.replace('.', '._fsdp_wrapped_module.')}": value for key, value in STATE.items()},
    "DeepSpeed": {"module": STATE, "ds_version": "0.16", "dp_world_size": 1},
    "fastai": {"model": STATE, "opt": {"state": [], "hypers": []}},
    "BasicSR": {"params": OTHER, "params_ema": STATE},
    "two deep": {"model": {"state_dict": STATE, "step": 3}},
    "two deep, under names of its own": {"generator": {"weights_at_best": STATE}},
    "in a list": [{"state_dict": STATE}, {"epoch": 3}],
    "in a tuple": (STATE, {"lr": 0.1}),
    "in a list of a dictionary": {"models": [STATE], "epoch": 3},
    "NumPy's arrays": {key: value.numpy() for key, value in STATE.items()},
    "with the counters of thop": STATE | {"total_ops": torch.zeros(1), "conv.total_params": torch.zeros(1)},
}


@pytest.mark.parametrize("what", WRAPPED)
@pytest.mark.parametrize("zipped", [True, False])
def test_wrappers_and_prefixes_are_taken_off(tmp_path: Path, what: str, zipped: bool) -> None:
    path = tmp_path / "weights.pth"
    torch.save(WRAPPED[what], path, _use_new_zipfile_serialization=zipped)
    assert_same(read_checkpoint(path).state)


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file({f"module.{key}": value for key, value in STATE.items()}, tmp_path / "weights.safetensors")
    read = read_checkpoint(tmp_path / "weights.safetensors").state
    assert_same({key: read[key] for key in STATE})


def test_the_name_of_the_file_does_not_matter(tmp_path: Path) -> None:
    for name in ("WEIGHTS.SAFETENSORS", "weights.pth"):
        save_file(dict(STATE), tmp_path / name)
        read = read_checkpoint(tmp_path / name).state
        assert_same({key: read[key] for key in STATE})
    torch.save(STATE, tmp_path / "a.safetensors")
    assert_same(read_checkpoint(tmp_path / "a.safetensors").state)


def test_a_prefix_that_only_some_names_have_is_part_of_them(tmp_path: Path) -> None:
    state = {"model.a": torch.ones(1), "head": torch.ones(1)}
    torch.save(state, tmp_path / "weights.pth")
    assert_same(read_checkpoint(tmp_path / "weights.pth").state, state)


def test_what_else_the_file_says_is_kept(tmp_path: Path) -> None:
    torch.save({"model": STATE, "recipe": {"width": 0.5}}, tmp_path / "weights.pth")
    assert read_checkpoint(tmp_path / "weights.pth").about["recipe"] == {"width": 0.5}


def test_what_safetensors_say_beside_the_tensors_is_kept(tmp_path: Path) -> None:
    save_file(dict(STATE), tmp_path / "a.safetensors", metadata={"classes": '["cat", "dog"]'})
    assert read_checkpoint(tmp_path / "a.safetensors").about == {"classes": '["cat", "dog"]'}


def test_every_dictionary_of_tensors_is_a_group_the_usual_ones_first(tmp_path: Path) -> None:
    content = {"optimizer": {"state": {"m": {"conv.weight": torch.ones(1)}}}, "student": OTHER, "state_dict": STATE, "alpha": torch.ones(1)}
    torch.save(content, tmp_path / "a.pth")
    groups = read_checkpoint(tmp_path / "a.pth").groups
    assert [(group.place, group.is_usual) for group in groups] == [
        (("state_dict",), True),
        ((), True),
        (("optimizer", "state", "m"), False),
        (("student",), False),
    ]


def test_threads_read_at_the_same_time(tmp_path: Path) -> None:
    torch.save({"model": STATE, "args": argparse.Namespace(lr=0.1)}, tmp_path / "a.pth")
    failed = list[BaseException]()

    def work() -> None:
        try:
            for _ in range(20):
                assert_same(read_checkpoint(tmp_path / "a.pth").state)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_what_pytorch_may_read_elsewhere_stays_as_it_was(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "a.pth")
    with torch.serialization.safe_globals([argparse.Namespace, np.dtype]):
        before = set(torch.serialization.get_safe_globals())
        read_checkpoint(tmp_path / "a.pth")
        assert set(torch.serialization.get_safe_globals()) == before


# --- what is not read ---


class Hostile:
    """Pickled, it creates a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["weights.pth", "weights.pt", "weights.bin", "weights.ckpt"])
@pytest.mark.parametrize("kind", ["torch", "torch of old", "plain pickle"])
def test_a_hostile_pickle_runs_nothing(tmp_path: Path, name: str, kind: str) -> None:
    path, trace = tmp_path / name, tmp_path / "it ran"
    content = {"state_dict": STATE, "extra": Hostile(trace)}
    if kind == "plain pickle":
        path.write_bytes(pickle.dumps({"extra": Hostile(trace)}, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "torch")
    with pytest.raises(SevisError, match=r"holds more than tensors and plain values.*was not read: save the weights alone") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert not trace.exists()
    with path.open("rb") as file:
        if kind == "plain pickle":
            pickle.load(file)  # noqa: S301  (the file is as dangerous as it says)
        else:
            torch.load(file, weights_only=False)
    assert trace.exists()


def test_a_pickled_network_is_not_read(tmp_path: Path) -> None:
    torch.save(small(), tmp_path / "whole.pth")
    message = (
        r"\(a whole pickled object, such as a model, of torch\.nn\.modules\.container\.Sequential\).*was not read: load it in the program"
    )
    with pytest.raises(SevisError, match=rf"{message} that made it, and save the weights alone, with torch\.save\(model\.state_dict"):
        read_checkpoint(tmp_path / "whole.pth")


def squeeze(path: Path) -> None:
    torch.save({"a": torch.zeros(1_000_000)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def halve(path: Path) -> None:
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def halve_safetensors(path: Path) -> None:
    save_file(dict(STATE), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size - 10])


REFUSED: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "nothing": ("a.pth", lambda path: None, r"no file of weights at .*a\.pth: expected one that ends in \.safetensors, \.pth"),
    "a folder": ("a.pth", lambda path: path.mkdir(), r"no file of weights at .*a\.pth, which is a folder: name a file in it"),
    "pickled by pickle": (
        "a.pth",
        lambda path: path.write_bytes(pickle.dumps({"a": 3}, 2)),
        r"a\.pth was pickled in a way that is not read",
    ),
    "half a file": ("a.pth", halve, r"is no readable file of PyTorch's"),
    "half a safetensors file": (
        "a.safetensors",
        halve_safetensors,
        r"is no readable safetensors file \(.*\): restore or download it again",
    ),
    "a trap for memory": ("a.pth", squeeze, r"unpacks to 4,0\d\d,\d{3} bytes, more than its own size"),
    "a list": ("a.pth", lambda path: torch.save([torch.ones(1)], path), r"holds no weights: expected tensors by name"),
    "a tensor": ("a.pth", lambda path: torch.save(torch.ones(1), path), r"holds a Tensor, expected tensors by name"),
    "numbers": ("a.pth", lambda path: torch.save({"epoch": 3, "model": {"a": 1}}, path), r"holds no weights: expected tensors by name"),
    "no tensors": ("a.safetensors", lambda path: save_file({}, path), r"holds no weights"),
}


def nested(levels: int) -> dict[str, Any]:
    content: dict[str, Any] = STATE
    for _ in range(levels):
        content = {"model": content}
    return content


def in_itself() -> dict[str, Any]:
    content: dict[str, Any] = {"epoch": 3}
    content |= {"model": content, "state_dict": {"model": content}}
    return content


def many_ways(levels: int) -> dict[str, Any]:
    """Dictionaries, each of which holds the next under every name of a wrapper: ten to the power of `levels` ways down."""
    content: dict[str, Any] = {"epoch": 3}
    for _ in range(levels):
        content = dict.fromkeys(checkpoints.WRAPPERS, content)
    return content


def saves(content: Any) -> Callable[[Path], object]:
    return lambda path: torch.save(content, path)


def with_value(name: str, value: float) -> dict[str, Tensor]:
    changed = STATE[name].clone()
    changed.view(-1)[-1] = value
    return STATE | {name: changed}


REFUSED |= {
    "a dictionary that holds itself": ("a.pth", saves(in_itself()), r"holds no weights: expected tensors by name"),
    "nested too deep": ("a.pth", saves(nested(50)), r"holds no weights: expected tensors by name"),
    "nested in many ways": ("a.pth", saves(many_ways(8)), r"holds no weights: expected tensors by name"),
    "a giant of one number": (
        "a.pth",
        saves(STATE | {"fc.weight": torch.zeros(1, 4).expand(10**13, 4)}),
        r"a\.pth holds no usable weights: fc\.weight claims 40,000,000,000,000 numbers, more than the file holds of it",
    ),
    "rows that overlap": ("a.pth", saves({"a": torch.zeros(9).as_strided((5, 5), (1, 1))}), r"a claims 25 numbers, more than"),
    "no values": ("a.pth", saves({"a": torch.zeros(3, device="meta")}), r"a is sparse, nested or without its values"),
    "sparse": ("a.pth", saves({"a": torch.eye(3).to_sparse()}), r"a is sparse, nested or without its values"),
    "quantised": ("a.pth", lambda path: torch.save({"a": quantised()}, path), r"a consists of qint8 numbers"),
    "complex": ("a.pth", saves({"a": torch.ones(3, dtype=torch.complex64)}), r"a consists of complex64 numbers"),
    "whole numbers": ("a.pth", saves(STATE | {"fc.weight": STATE["fc.weight"].long()}), r"fc\.weight consists of int64 numbers, expected"),
    "not a number": ("a.pth", saves(with_value("fc.bias", np.nan)), r"fc\.bias has values that are not finite \(NaN or infinite\)"),
    "infinite": ("a.safetensors", lambda path: save_file(with_value("norm.running_var", np.inf), path), r"norm\.running_var has values"),
    "too large for float32": ("a.pth", saves({"a": torch.tensor([1e300], dtype=torch.float64)}), r"a has values that are not finite"),
}


def quantised() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch is about to give them up
        return torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_file_of_weights_is_refused_in_a_sentence(tmp_path: Path, what: str) -> None:
    name, make, message = REFUSED[what]
    make(tmp_path / name)
    with pytest.raises(SevisError, match=message) as caught:
        checkpoint = read_checkpoint(tmp_path / name)
        check_sound(checkpoint.path, checkpoint.state)
    assert "\n" not in str(caught.value)


def test_a_file_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(dict(STATE), tmp_path / "a.safetensors")
    monkeypatch.setattr(checkpoints, "MAX_BYTES", 100)
    with pytest.raises(SevisError, match=r"larger than the 0 GB that are read: save the weights alone"):
        read_checkpoint(tmp_path / "a.safetensors")


# --- the hash of weights that no file holds ---


def test_the_fingerprint_is_that_of_the_bytes() -> None:
    state = {"a": torch.tensor([[1.0, 2.0]]), "b": torch.tensor(7)}
    expected = hashlib.sha256()
    expected.update(b"a torch.float32 (1, 2)\n" + np.array([[1, 2]], "<f4").tobytes())
    expected.update(b"b torch.int64 ()\n" + np.array(7, "<i8").tobytes())
    assert fingerprint(state) == expected.hexdigest()
    assert fingerprint({"a": state["a"].t().contiguous().t(), "b": state["b"]}) == expected.hexdigest()  # however it lies in memory


def test_any_change_changes_the_fingerprint() -> None:
    hashes = {
        fingerprint(STATE),
        fingerprint({**STATE, "fc.bias": STATE["fc.bias"] + 1e-6}),
        fingerprint({**STATE, "fc.bias": STATE["fc.bias"].double()}),
        fingerprint({key.upper(): value for key, value in STATE.items()}),
        fingerprint({**STATE, "fc.weight": STATE["fc.weight"].reshape(4, 5)}),
        fingerprint({**STATE, "half": torch.ones(2, dtype=torch.bfloat16)}),
    }
    assert len(hashes) == 6
