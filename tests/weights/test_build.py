"""Weights put into networks: fresh, the library's own, or a file's; each against the library's own forward pass."""

import re
import threading
from pathlib import Path

import msgspec
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

import sevis
from sevis import SevisError, load
from sevis.files import sha256
from sevis.networks.libraries import find
from sevis.weights import build as assembly
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
    monkeypatch.setattr(assembly, "check_fits", lambda *_: None)
    with pytest.raises(SevisError, match=rf"mine\.pth does not hold the weights of {re.escape(DEFAULT)} \(.*size mismatch") as caught:
        load(weights=tmp_path / "mine.pth", device="cpu")
    assert "\n" not in str(caught.value)


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
