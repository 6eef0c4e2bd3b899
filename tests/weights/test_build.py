"""Weights put into networks: fresh, the library's own, or a file's; each against the library's own forward pass."""

import argparse
import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

import sevis
from sevis import SevisError, load
from sevis.files import sha256
from sevis.networks.libraries import find
from sevis.weights import fit as fitting
from sevis.weights.card import DEFAULT
from sevis.weights.checkpoint import fingerprint
from tests.helpers.networks import assert_same_outputs, made, timm_net
from tests.helpers.shelves import write_small_index
from tests.helpers.slow import slow


@pytest.mark.parametrize(
    "name", slow(["mobilenetv3_small_050", "legacy_seresnet18", "seresnet18", "torchvision/mobilenet_v3_small"], ["legacy_seresnet18"])
)
def test_fresh_weights_are_always_the_same(name: str) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, second = (load(name, weights="random", device="cpu") for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert first.card.sha256 == second.card.sha256 == fingerprint(first.model.state_dict())
    assert first.model is not second.model
    assert_same_outputs(first.model, second.model)
    assert not any(module.training for module in first.model.modules())
    assert (len(first.classes), first.classes, first.card.wnids[0]) == (1000, first.card.classes, "n01440764")
    assert (first.card.name, first.card.shipped) == (name, False)


def test_threads_get_the_same_fresh_weights() -> None:
    hashes: list[str] = []

    def work() -> None:
        hashes.append(load("mobilenetv3_small_050", weights="random", device="cpu").card.sha256)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hashes) == 4
    assert len(set(hashes)) == 1


def test_no_block_of_a_fresh_network_sees_nothing_but_zeros() -> None:
    images = torch.randn(1, 3, 64, 64)
    fresh = load("seresnet18", weights="random", device="cpu").model
    with sevis.capture(fresh) as record, torch.no_grad():
        fresh(images)
    assert all(block.squeeze.std() > 0 for block in record.values())
    theirs = timm.create_model("seresnet18").eval()  # starts the last norm of each branch at 0
    with sevis.capture(theirs) as record, torch.no_grad():
        theirs(images)
    assert any(block.squeeze.std() == 0 for block in record.values())


def test_timms_weights_through_an_address(cache: Path) -> None:
    theirs = timm_net("legacy_seresnet18")
    path = find("legacy_seresnet18").published().path
    path.parent.mkdir(parents=True)
    torch.save(theirs.state_dict(), path, _use_new_zipfile_serialization=False)  # as those files are
    hashed = path.with_name(f"se18-{sha256(path)[:8]}.pth")
    path.rename(hashed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            timm.models._registry._model_pretrained_cfgs["legacy_seresnet18.in1k"], "url", f"https://nowhere.invalid/{hashed.name}"
        )
        ready = load("legacy_seresnet18", download=False, device="cpu")
    assert_same_outputs(ready.model, theirs)
    assert ready.card.sha256 == sha256(hashed)
    assert ready.card.weights == hashed.name


def test_timms_weights_from_the_hub() -> None:
    theirs = timm_net("mobilenetv3_small_050")
    path = find("mobilenetv3_small_050").published().path
    path.parent.mkdir(parents=True)
    save_file(theirs.state_dict(), path)
    ready = load("mobilenetv3_small_050", download=False, device="cpu")
    assert_same_outputs(ready.model, theirs)
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in ready.model.parameters())


def test_torchvisions_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = made(torchvision.models.mobilenet_v3_small)
    monkeypatch.setattr(torchvision.models.MobileNet_V3_Small_Weights.DEFAULT.value, "url", "https://nowhere.invalid/small.pth")
    path = find("mobilenet_v3_small").published().path
    path.parent.mkdir(parents=True)
    torch.save(theirs.state_dict(), path)
    ready = load("mobilenet_v3_small", download=False, device="cpu")
    assert_same_outputs(ready.model, theirs)


def test_timm_takes_off_a_background_class(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = timm_net("mobilenetv3_small_050")
    monkeypatch.setattr(timm.models._registry._model_pretrained_cfgs["mobilenetv3_small_050.lamb_in1k"], "label_offset", 1)
    state = theirs.state_dict()
    for part in ("classifier.weight", "classifier.bias"):
        state[part] = torch.cat([torch.full_like(state[part][:1], 9.0), state[part]])
    path = find("mobilenetv3_small_050").published().path
    path.parent.mkdir(parents=True)
    save_file(state, path)
    ready = load("mobilenetv3_small_050", download=False, device="cpu")
    assert len(ready.classes) == 1000
    assert_same_outputs(ready.model, theirs)


def test_a_cached_file_of_another_network_is_told(cache: Path) -> None:
    path = find("mobilenetv3_small_050").published().path
    path.parent.mkdir(parents=True)
    save_file(timm_net("mobilenetv3_small_075").state_dict(), path)
    with pytest.raises(SevisError, match=r"does not hold the weights of mobilenetv3_small_050\.lamb_in1k \(of another shape: "):
        load("mobilenetv3_small_050", download=False, device="cpu")


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "legacy_seresnet18", "torchvision/mobilenet_v3_small"])
def test_a_file_with_another_number_of_classes(tmp_path: Path, name: str) -> None:
    library = find(name).library
    create = timm.create_model if library == "timm" else torchvision.models.get_model
    theirs = made(lambda: create(name.removeprefix("torchvision/"), num_classes=7))
    torch.save({"state_dict": {f"module.{key}": value for key, value in theirs.state_dict().items()}}, tmp_path / "mine.pth")
    ready = load(name, weights=tmp_path / "mine.pth", device="cpu")
    assert_same_outputs(ready.model, theirs)
    assert (ready.classes[-1], len(ready.classes), ready.card.wnids) == ("output 6", 7, None)
    assert ready.card.sha256 == sha256(tmp_path / "mine.pth")
    assert not ready.card.shipped


@torch.no_grad()
def test_a_file_with_the_names_of_another_project_is_converted_by_timm(tmp_path: Path) -> None:
    theirs = made(torchvision.models.regnet_y_400mf)
    torch.save(theirs.state_dict(), tmp_path / "torchvision.pth")
    ready = load("regnety_004", weights=tmp_path / "torchvision.pth", device="cpu")
    images = torch.randn(2, 3, 64, 64)
    assert ready.card.architecture.library == "timm"
    torch.testing.assert_close(ready.model(images), theirs(images))


def test_the_default_network_with_a_file(tmp_path: Path) -> None:
    stored = load(device="cpu")
    torch.save({"model": stored.model.state_dict()}, tmp_path / "copy.pth")
    ready = load(weights=str(tmp_path / "copy.pth"), device="cpu")
    assert_same_outputs(ready.model, stored.model)
    assert ready.classes == stored.classes
    assert not ready.card.shipped


@pytest.mark.parametrize("name", [DEFAULT, "mobilenetv3_small_050", "torchvision/mobilenet_v3_small"])
def test_a_file_of_another_network_is_told(tmp_path: Path, name: str) -> None:
    torch.save(timm_net("legacy_seresnet18").state_dict(), tmp_path / "other.pth")
    with pytest.raises(SevisError, match=r"other\.pth does not hold the weights of .*missing: .* more; unexpected: .* more") as caught:
        load(name, weights=tmp_path / "other.pth", device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.tensor(3.0), r"of another shape: last_linear\.weight \(\), expected \(1000, 512\)"),
        (torch.zeros(1, 512).expand(10**13, 512), r"last_linear\.weight claims 5,120,000,000,000,000 numbers, more than the file holds"),
        (torch.zeros(1000, 512, dtype=torch.int64), r"last_linear\.weight consists of int64 numbers, expected float32"),
    ],
)
def test_a_classifier_that_is_none(tmp_path: Path, value: torch.Tensor, message: str) -> None:
    torch.save(timm_net("legacy_seresnet18").state_dict() | {"last_linear.weight": value}, tmp_path / "mine.pth")
    with pytest.raises(SevisError, match=message) as caught:
        load("legacy_seresnet18", weights=tmp_path / "mine.pth", device="cpu")
    assert "\n" not in str(caught.value)


def test_what_pytorch_refuses_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(load(weights="random", device="cpu").model.state_dict() | {"fc.bias": torch.zeros(7)}, tmp_path / "mine.pth")
    monkeypatch.setattr(fitting, "compare_states", lambda *_: dict.fromkeys((*fitting.NAMES_AND_SHAPES, fitting.OF_ANOTHER_KIND), ()))
    with pytest.raises(SevisError, match=rf"mine\.pth does not hold the weights of {re.escape(DEFAULT)} \(.*size mismatch") as caught:
        load(weights=tmp_path / "mine.pth", device="cpu")
    assert "\n" not in str(caught.value)


# --- what projects save ---

SMALL = "lcnet_050"
BESIDE = {"loss.weight": torch.ones(7), "val_best.value": torch.tensor(-torch.inf)}


def small_net() -> nn.Module:
    return timm_net(SMALL, num_classes=7)


def with_head(state: dict[str, Tensor], prefix: str, head: str) -> dict[str, Tensor]:
    """A state as mmpretrain and others save it, whose classifier lies elsewhere."""
    return {(f"{head}{key[10:]}" if key.startswith("classifier.") else f"{prefix}{key}"): value for key, value in state.items()}


SAVED: dict[str, tuple[Callable[[dict[str, Tensor]], Any], str]] = {
    "a score of NumPy's": (lambda state: {"state_dict": state, "best_acc": np.float64(0.7)}, ""),
    "paths, dates and logs": (
        lambda state: {"model": state, "args": {"out": Path("runs"), "day": date(2026, 11, 27)}, "log": defaultdict(list, loss=[0.5])},
        "",
    ),
    "mmpretrain": (lambda state: {"meta": {}, "state_dict": with_head(state, "backbone.", "head.fc")}, "'head.fc' is the classifier"),
    "Lightning, self.net": (
        lambda state: {"state_dict": {f"net.{key}": value for key, value in state.items()}},
        "'net.', which was taken off",
    ),
    "Lightning, self.model and a loss": (
        lambda state: {"state_dict": {f"model.{key}": value for key, value in state.items()} | BESIDE},
        "left out was what lies beside the weights: loss.weight, val_best.value",
    ),
    "Hugging Face's wrapper of timm": (lambda state: {f"timm_model.{key}": value for key, value in state.items()}, "'timm_model.'"),
    "fastai": (
        lambda state: {"model": with_head(state, "0.model.", "1"), "opt": None},
        "'0.model.', which was taken off; '1' is the classifier",
    ),
    "a name of its own": (lambda state: {"best": state, "epoch": 3}, "the weights lie in 'best'"),
}


@pytest.mark.parametrize("what", SAVED)
def test_what_projects_save_is_loaded_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    save, told = SAVED[what]
    theirs = small_net()
    torch.save(save(theirs.state_dict()), tmp_path / "mine.pth")
    ready = load(SMALL, weights=tmp_path / "mine.pth", device="cpu")
    assert_same_outputs(ready.model, theirs)
    assert len(ready.classes) == 7
    printed = capsys.readouterr().err
    assert printed.count("\n") == (1 if told else 0)
    assert told in printed


def test_safetensors_of_another_name(tmp_path: Path) -> None:
    theirs = small_net()
    save_file(theirs.state_dict(), tmp_path / "mine.pth")
    assert_same_outputs(load(SMALL, weights=tmp_path / "mine.pth", device="cpu").model, theirs)


@pytest.mark.parametrize("name", ["torchvision/mobilenet_v3_small", "regnety_002"])
def test_a_head_of_several_parts_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    create = torchvision.models.get_model if "/" in name else timm.create_model
    theirs = made(lambda: create(name.rpartition("/")[2], num_classes=7))
    own = "classifier." if "/" in name else "head."
    state = {
        (f"cls_head.{key.removeprefix(own)}" if key.startswith(own) else f"backbone.{key}"): v for key, v in theirs.state_dict().items()
    }
    torch.save(state, tmp_path / "mine.pth")
    assert_same_outputs(load(name, weights=tmp_path / "mine.pth", device="cpu").model, theirs)
    assert "; 'cls_head" in capsys.readouterr().err


@torch.no_grad()
def test_a_prefix_before_the_names_of_another_project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = made(torchvision.models.regnet_y_400mf)
    state = {f"encoder.net.{key}": value for key, value in theirs.state_dict().items()} | {"val_best": torch.tensor(torch.inf)}
    torch.save({"state_dict": state}, tmp_path / "mine.pth")
    ready = load("regnety_004", weights=tmp_path / "mine.pth", device="cpu")
    images = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ready.model(images), theirs(images))
    assert "begin with 'encoder.net.', which was taken off; left out was what lies beside the weights: val_best." in capsys.readouterr().err


def test_a_giant_of_one_number_takes_no_memory_beside_a_prefix(tmp_path: Path) -> None:
    state = {f"net.{key}": value for key, value in timm_net("legacy_seresnet18").state_dict().items() if not key.startswith("last")}
    torch.save(state | {"last_linear.weight": torch.zeros(1, 512).expand(10**13, 512)}, tmp_path / "mine.pth")
    with pytest.raises(SevisError, match=r"does not hold the weights of legacy_seresnet18"):
        load("legacy_seresnet18", weights=tmp_path / "mine.pth", device="cpu")


def test_half_a_network_is_never_loaded(tmp_path: Path) -> None:
    state = small_net().state_dict()
    for gone in ("classifier.weight", "blocks.5.0.se.conv_reduce.bias", "bn1.running_mean"):
        for prefix, place in (("net.", r"below 'net\.'; "), ("", "")):
            rest = {f"{prefix}{key}": value for key, value in state.items() if key != gone}
            assert len(rest) == len(state) - 1
            torch.save({"state_dict": rest}, tmp_path / "mine.pth")
            with pytest.raises(SevisError, match=rf"does not hold the weights of lcnet_050 \({place}missing: {re.escape(gone)}"):
                load(SMALL, weights=tmp_path / "mine.pth", device="cpu")


# --- what the outputs are called ---


@pytest.mark.parametrize(
    "said",
    [
        {"class_to_idx": {f"name {number}": number for number in reversed(range(7))}},
        {"hyper_parameters": argparse.Namespace(class_names=[f"name {number}" for number in range(7)])},
        {"meta": {"CLASSES": tuple(f"name {number}" for number in range(7))}},
        {"classes": np.array([f"name {number}" for number in range(7)])},
    ],
)
def test_a_file_names_the_outputs(tmp_path: Path, said: dict[str, Any]) -> None:
    torch.save({"state_dict": small_net().state_dict(), **said}, tmp_path / "mine.pth")
    ready = load(SMALL, weights=tmp_path / "mine.pth", device="cpu")
    assert ready.classes == ready.card.wnids == tuple(f"name {number}" for number in range(7))


def test_safetensors_name_the_outputs(tmp_path: Path) -> None:
    names = {str(number): f"name {number}" for number in range(7)}
    save_file(small_net().state_dict(), tmp_path / "a.safetensors", metadata={"format": "pt", "id2label": json.dumps(names)})
    assert load(SMALL, weights=tmp_path / "a.safetensors", device="cpu").classes == tuple(names.values())


def test_names_that_do_not_fit_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state_dict": small_net().state_dict(), "classes": ["a", "b"]}, tmp_path / "mine.pth")
    assert load(SMALL, weights=tmp_path / "mine.pth", device="cpu").classes[6] == "output 6"
    told = "its classes has 2 names, 2 different, and the network has 7 outputs, so they are called output 0, output 1, ...: name them by"
    assert told in capsys.readouterr().err


def test_a_thousand_outputs_are_imagenets_only_where_something_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = timm_net("mobilenetv3_small_050").state_dict()
    torch.save(state, tmp_path / "mine.pth")
    ready = load("mobilenetv3_small_050", weights=tmp_path / "mine.pth", device="cpu")
    assert (ready.classes[1], ready.card.wnids) == ("output 1", None)
    assert "it does not say what its outputs are, so they are called output 0, output 1, ...: name" in capsys.readouterr().err
    wnids = load("mobilenetv3_small_050", weights="random", device="cpu").card.wnids
    torch.save({"model": state, "class_to_idx": {wnid: number for number, wnid in enumerate(wnids)}}, tmp_path / "mine.pth")
    assert load("mobilenetv3_small_050", weights=tmp_path / "mine.pth", device="cpu").classes[1] == "goldfish"
    path = find("mobilenetv3_small_050").published().path
    path.parent.mkdir(parents=True)
    save_file(state, path)
    copy = tmp_path / "renamed.bin"
    copy.write_bytes(path.read_bytes())
    assert load("mobilenetv3_small_050", weights=copy, device="cpu").classes[1] == "goldfish"
    assert load("mobilenetv3_small_050", download=False, device="cpu").classes[1] == "goldfish"


def test_other_weights_of_a_shipped_network(folder: Path) -> None:
    shipped, fresh = load("small", device="cpu"), load("small", weights="random", device="cpu")
    copy = load("small", weights=folder / "small.safetensors", device="cpu")
    assert (shipped.card.shipped, fresh.card.shipped, copy.card.shipped) == (True, False, False)
    assert len({ready.card.sha256 for ready in (shipped, fresh)}) == 2
    assert copy.card.sha256 == shipped.card.sha256
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(copy.model(images), shipped.model(images))
        assert not torch.equal(fresh.model(images), shipped.model(images))
    assert fresh.classes == copy.classes == shipped.classes


def test_the_score_belongs_to_the_weights(folder: Path) -> None:
    gates = {"blocks": {}, "std_over_images": 0.1, "top1": 0.8, "top1_frozen": 0.7, "top1_open": 0.1}
    about_weights = {"top1": 0.8, "top5": 0.9, "gates": gates, "recipe": {"epochs": 5}, "date": "2026-11-01", "licence": "MIT (weights)"}
    about_weights |= {"command": "python -m sevis train", "data": {"name": "colours", "train_images": 3, "val_images": 2}}
    write_small_index(folder, wnids=["n1", "n2", "n3"], **about_weights)
    shipped = load("small", device="cpu").card
    assert (shipped.top1, shipped.gates.top1_frozen, shipped.recipe.epochs, shipped.data.val_images) == (0.8, 0.7, 5, 2)
    for weights in ("random", folder / "small.safetensors"):
        card = load("small", weights=weights, device="cpu").card
        assert card.top1 is None
        known = {"name", "shipped", "architecture", "classes", "wnids", "preprocessing", "sha256", "weights"}
        assert msgspec.to_builtins(card).keys() == known
        for field in ("architecture", "classes", "wnids", "preprocessing"):
            assert getattr(card, field) == getattr(shipped, field)
