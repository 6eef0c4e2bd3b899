"""Networks of timm and torchvision with weights: fresh, the library's own, or a file's; each against the library's own forward pass."""

import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

import sevis
from sevis import SevisError, load
from sevis.errors import WeightsMissing
from sevis.files import sha256
from sevis.networks.libraries import find
from sevis.recipe import Recipe
from sevis.training.training import train
from sevis.weights import build as assembly
from sevis.weights.adopt import adopt
from sevis.weights.card import DEFAULT
from sevis.weights.checkpoint import fingerprint
from sevis.weights.describe import skeleton
from tests.helpers.networks import stir
from tests.helpers.pictures import open_colours, write_colours


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches, and the folder of PyTorch's; nothing is reached."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def made(create: Callable[[], nn.Module], seed: int = 3) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return stir(create()).eval()


def timm_net(name: str, **options: Any) -> nn.Module:
    return made(lambda: timm.create_model(name, **options))


@torch.no_grad()
def assert_same_outputs(mine: nn.Module, theirs: nn.Module, side: int = 64) -> None:
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    expected = theirs(images)
    assert expected.std() > 0
    assert torch.equal(mine(images), expected)


# --- fresh weights ---


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "legacy_seresnet18", "seresnet18", "torchvision/mobilenet_v3_small"])
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


def test_the_shipped_network_with_fresh_weights_is_another() -> None:
    ready = load(weights="random", device="cpu")
    assert ready.card.sha256 == load(weights="random", device="cpu").card.sha256 != load(device="cpu").card.sha256
    assert not ready.card.shipped
    assert ready.card.statistics_path != load(device="cpu").card.statistics_path
    assert not ready.card.example_path.exists()
    assert ready.classes == load(device="cpu").classes


def test_the_files_of_other_networks_lie_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = load("torchvision/mobilenet_v3_small", weights="random", device="cpu").card
    name = f"torchvision_mobilenet_v3_small.{card.sha256[:12]}.safetensors"
    assert card.statistics_path == tmp_path / "data" / "statistics" / name
    assert card.example_path == tmp_path / "data" / "example" / name
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "data" / "tiny-imagenet-200.zip"))
    assert card.statistics_path == tmp_path / "data" / "statistics" / name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet18", r"ResNet has no Squeeze-and-Excitation block"),
        ("ecaresnet50t", r"no Squeeze-and-Excitation block .*EcaModule"),
        ("torchvision/resnet18", r"ResNet has no Squeeze-and-Excitation block"),
        ("seresnet5", r"there are no weights called 'seresnet5', and no network of timm or torchvision; the nearest are seresnet50"),
        ("mobilenet_v3_smal", r"the nearest are mobilenet_v3_small"),
        ("regnety_320.seer", r"has no classifier"),
    ],
)
def test_what_cannot_be_loaded_says_why(name: str, message: str) -> None:
    with pytest.raises(SevisError, match=message):
        load(name, weights="random", device="cpu")
    with pytest.raises(SevisError, match=message):
        load(name, download=False, device="cpu")


# --- the library's own weights, put where a download would put them ---


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
def test_missing_weights_are_no_reason_to_download_when_they_may_not(name: str) -> None:
    with pytest.raises(WeightsMissing, match=r"nothing was to be downloaded.*fetch https://"):
        load(name, download=False, device="cpu")


# --- a file's weights ---


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


def test_a_file_that_does_not_say_what_it_is(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "mine.pth")
    with pytest.raises(
        SevisError, match=r"does not say which network it is of: load\(NAME, weights='.*mine\.pth'\), or --model NAME --weights"
    ):
        load(tmp_path / "mine.pth", device="cpu")
    for gone in (tmp_path / "gone.pt", str(tmp_path / "GONE.PT"), tmp_path / "gone"):
        with pytest.raises(SevisError, match=r"there is no file of weights at .*(gone|GONE)"):
            load(gone, device="cpu")
    with pytest.raises(SevisError, match=r"there is no file of weights at .*gone\.pt"):
        load(tmp_path / "gone.pt", weights=tmp_path / "mine.pth", device="cpu")


@pytest.mark.parametrize(
    "about",
    [
        {"recipe": {"width": "wide"}, "data": {"classes": ["a"]}},
        {"recipe": {"model": 5}, "data": {"classes": ["a"]}},
        {"recipe": [1], "data": {"classes": ["a"]}},
        {"recipe": {}, "data": 3},
    ],
)
def test_a_checkpoint_that_describes_nothing_real(tmp_path: Path, about: dict[str, Any]) -> None:
    torch.save({"model": {"a": torch.zeros(1)}, **about}, tmp_path / "mine.pth")
    with pytest.raises(SevisError, match=r"does not say which network it is of"):
        load(tmp_path / "mine.pth", device="cpu")


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


def test_no_way_to_load_changes_the_generator(tmp_path: Path) -> None:
    torch.save(timm_net("mobilenetv3_small_050", num_classes=7).state_dict(), tmp_path / "timm.pth")
    torch.save(made(lambda: torchvision.models.mobilenet_v3_small(num_classes=7)).state_dict(), tmp_path / "torchvision.pth")
    torch.save(made(torchvision.models.regnet_y_400mf).state_dict(), tmp_path / "regnet.pth")
    path = find("mobilenetv3_small_050").published().path
    path.parent.mkdir(parents=True)
    save_file(timm_net("mobilenetv3_small_050").state_dict(), path)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    for name, weights in [
        ("mobilenetv3_small_050", None),
        ("mobilenetv3_small_050", "random"),
        ("mobilenetv3_small_050", tmp_path / "timm.pth"),
        ("torchvision/mobilenet_v3_small", tmp_path / "torchvision.pth"),
        ("torchvision/regnet_y_400mf", tmp_path / "regnet.pth"),
        ("regnety_004", tmp_path / "regnet.pth"),
        (DEFAULT, None),
    ]:
        load(name, weights=weights, download=False, device="cpu")
        assert torch.equal(torch.get_rng_state(), state), name
    skeleton("torchvision/regnet_y_400mf")
    assert torch.equal(torch.get_rng_state(), state)


def test_a_checkpoint_of_sevis_describes_itself(tmp_path: Path) -> None:
    data = open_colours(write_colours(tmp_path / "colours", train=4, val=1))
    recipe = Recipe(model="se_resnet18", width=0.125, reduction=4, stem="small", size=32, epochs=1, batch_size=6)
    trained = train(recipe, data, tmp_path / "run").model
    ready = load(tmp_path / "run" / "checkpoint.pt", device="cpu")
    assert_same_outputs(ready.model, trained.cpu().to(memory_format=torch.contiguous_format), side=32)
    assert ready.classes == ready.card.wnids == ("blue", "green", "red")
    assert (ready.preprocess.resize, ready.preprocess.crop) == (32, 32)
    assert ready.card.name == str(tmp_path / "run" / "checkpoint.pt")
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", ready.card.statistics_path.name)
    assert len(skeleton(str(tmp_path / "run" / "checkpoint.pt")).fc.bias) == 3


# --- a user's network among the trained ones ---


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path / "pretrained"))
    (tmp_path / "pretrained").mkdir()
    (tmp_path / "pretrained" / "index.json").write_text("{}")
    return tmp_path / "pretrained"


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "torchvision/mobilenet_v3_small"])
def test_an_adopted_network_is_loaded_by_its_new_name(tmp_path: Path, shelf: Path, name: str) -> None:
    create = timm.create_model if find(name).library == "timm" else torchvision.models.get_model
    theirs = made(lambda: create(name.removeprefix("torchvision/"), num_classes=3))
    torch.save(theirs.state_dict(), tmp_path / "mine.pth")
    classes = ["ant", "bee", "cat"]
    card = adopt("mine", load(name, weights=tmp_path / "mine.pth", device="cpu"), classes=classes)
    assert card.shipped
    ready = load("mine", device="cpu")
    assert_same_outputs(ready.model, theirs)
    assert ready.classes == ("ant", "bee", "cat")
    assert ready.card.sha256 == sha256(shelf / "mine.safetensors")
    assert ready.card.statistics_path == shelf / "mine.statistics.safetensors"
    assert json.loads((shelf / "index.json").read_text())["mine"]["architecture"]["num_classes"] == 3
    assert (ready.preprocess.resize, ready.preprocess.crop) == (256, 224)
    assert load("mine", weights="random", device="cpu").card.sha256 != ready.card.sha256


def test_adopting_what_cannot_be(shelf: Path) -> None:
    ready = load("mobilenetv3_small_050", weights="random", device="cpu")
    adopt("mine", ready)
    assert load("mine", device="cpu").classes[1] == "goldfish"
    for name, classes, message in [
        ("mine", None, r"there is a network called mine already: choose another name"),
        ("../mine", None, r"a network cannot be called"),
        ("second", ["a"], r"expected the names of 1000 outputs, no two alike, got 1 \(1 different\)"),
        ("second", ["a"] * 1000, r"got 1000 \(1 different\)"),
    ]:
        with pytest.raises(SevisError, match=message):
            adopt(name, ready, classes=classes)
    assert sorted(path.name for path in shelf.iterdir()) == ["index.json", "mine.safetensors"]


def test_an_entry_of_a_network_that_the_library_does_not_have(shelf: Path) -> None:
    adopt("mine", load("mobilenetv3_small_050", weights="random", device="cpu"))
    index = json.loads((shelf / "index.json").read_text())
    index["mine"]["architecture"]["name"] = "gone_050"
    (shelf / "index.json").write_text(json.dumps(index))
    with pytest.raises(SevisError, match=r"index\.json names a network 'gone_050' of timm, which does not have it: repair the entry"):
        load("mine", device="cpu")


def test_the_networks_of_the_paper_come_with_fresh_weights() -> None:
    ready = sevis.load("se_resnet20", weights="random", device="cpu")
    again = sevis.load("se_resnet20", weights="random", device="cpu")
    assert all(torch.equal(value, again.model.state_dict()[key]) for key, value in ready.model.state_dict().items())
    assert (len(ready.classes), ready.card.preprocessing.crop) == (10, 32)
    with sevis.capture(ready.model) as record, torch.inference_mode():
        ready.model(torch.randn(1, 3, 32, 32))
    assert len(record) == 9


def test_the_networks_of_the_paper_have_no_trained_weights_here() -> None:
    with pytest.raises(SevisError, match="sevis has no trained weights of se_vgg16_bn: take fresh ones with weights='random'"):
        sevis.load("se_vgg16_bn")
    with pytest.raises(SevisError, match="has no Squeeze-and-Excitation block"):
        sevis.load("mobilenet", weights="random")
    with pytest.raises(WeightsMissing, match=r"the weights of senet154\.gluon_in1k are not here"):
        sevis.load("senet154", download=False)  # a name of timm's too, which has weights
