"""Ready models by name; and each way in which the folder of pretrained networks can be wrong."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

import sevis
from sevis import SevisError, load
from sevis.errors import WeightsMissing
from sevis.networks.libraries import find
from sevis.weights.card import DEFAULT
from sevis.weights.describe import skeleton
from tests.helpers.networks import made, stir, timm_net
from tests.helpers.shelves import SMALL, write_small_index


def test_a_network_comes_back_ready(folder: Path) -> None:
    ready = load("small", device="cpu")
    torch.manual_seed(0)
    expected = stir(sevis.build(**SMALL)).half().float().eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(ready.model(images), expected(images))
    assert not any(module.training for module in ready.model.modules())
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in ready.model.parameters())
    assert (ready.classes, ready.device.type, ready.card.name) == (("ant", "bee", "cat"), "cpu", "small")
    assert (ready.preprocess.resize, ready.preprocess.crop, ready.preprocess.std) == (36, 32, (0.25, 0.25, 0.25))


def flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / "small.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "small.safetensors").write_bytes(data)


def cut_off(folder: Path) -> None:
    data = (folder / "small.safetensors").read_bytes()
    (folder / "small.safetensors").write_bytes(data[: len(data) // 2])
    write_small_index(folder)  # with the hash of the damaged file


def a_pickle_instead(folder: Path) -> None:
    torch.save({"a": torch.zeros(1)}, folder / "small.safetensors")
    write_small_index(folder)


def no_weights_of_a_plain_one(folder: Path) -> None:
    write_small_index(folder, recipe={"model": "resnet18"}, command="python -m sevis train it")
    (folder / "small.safetensors").unlink()


AT = r"entry of small in index\.json is damaged \(.* - at `\$\.{}`\): repair it or restore the file"
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no index": (lambda f: (f / "index.json").unlink(), r"there is no .*index\.json: restore it from the repository"),
    "broken JSON": (lambda f: (f / "index.json").write_text('{"small": '), r"index\.json cannot be read as JSON"),
    "not text": (lambda f: (f / "index.json").write_bytes(b"\xff\xfe\x00"), r"index\.json cannot be read as JSON"),
    "a list": (lambda f: (f / "index.json").write_text("[1]"), r"should hold one entry per network"),
    "no entries": (lambda f: (f / "index.json").write_text('{"small": 3}'), r"should hold one entry per network"),
    "no weights": (lambda f: (f / "small.safetensors").unlink(), r"weights of small are missing: expected .*small\.safetensors"),
    "a plain network without weights": (
        no_weights_of_a_plain_one,
        r"weights of small, a network without SE, do not come with sevis: train it with python -m sevis train it",
    ),
    "a flipped bit": (flip_a_byte, r"is not the file that index\.json describes \(its SHA-256 differs\)"),
    "half a file": (cut_off, r"does not hold the network that index\.json describes"),
    "a pickle": (a_pickle_instead, r"does not hold the network that index\.json describes"),
    "another width": (lambda f: write_small_index(f, architecture=SMALL | {"width": 0.25}), r"does not hold the network.*size mismatch"),
    "another depth": (lambda f: write_small_index(f, architecture=SMALL | {"name": "se_resnet34"}), r"does not hold.*Missing key"),
    "another option": (
        lambda f: write_small_index(f, architecture=SMALL | {"colour": 1}),
        AT.format("architecture"),
    ),
    "an unknown model": (lambda f: write_small_index(f, architecture={"name": "vgg"}), r"unknown model 'vgg'"),
    "no hash": (lambda f: write_small_index(f, sha256=None), r"entry of small in index\.json is damaged .*missing required field `sha256`"),
    "no architecture": (lambda f: write_small_index(f, architecture=None), r"missing required field `architecture`"),
    "too few classes": (lambda f: write_small_index(f, classes=["ant"]), r"names 1 classes, not the network's"),
    "no preprocessing": (lambda f: write_small_index(f, preprocessing=None), r"missing required field `preprocessing`"),
    "odd preprocessing": (
        lambda f: write_small_index(f, preprocessing={"side": 3}),
        AT.format("preprocessing"),
    ),
    "listed preprocessing": (
        lambda f: write_small_index(f, preprocessing=[3]),
        AT.format("preprocessing"),
    ),
    "a word for a number": (
        lambda f: write_small_index(f, top1="0.5"),
        AT.format("top1"),
    ),
    "more than all": (lambda f: write_small_index(f, top5=57.0), AT.format("top5")),
    "an odd recipe": (lambda f: write_small_index(f, recipe={"epochs": 0}), r"damaged \(expected epochs between 1 and 10000, got 0\)"),
    "an odd curve": (lambda f: write_small_index(f, curve=[{"epoch": "one"}]), r"entry of small in index\.json is damaged .*`\$\.curve"),
    "endless nesting": (lambda f: (f / "index.json").write_text('{"small": {"classes": ' + "[" * 100_000), r"cannot be read as JSON"),
    "endless digits": (lambda f: write_small_index(f, epochs=10**400), AT.format("epochs")),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_folder_gives_one_sentence(folder: Path, what: str) -> None:
    damage, message = DAMAGES[what]
    damage(folder)
    with pytest.raises(SevisError, match=message) as caught:
        load("small", device="cpu")
    assert "\n" not in str(caught.value)


def test_preprocessing_of_an_entry_may_name_interpolation_and_crop(folder: Path) -> None:
    write_small_index(folder, preprocessing={"resize": 36, "crop": 32, "interpolation": "bicubic", "crop_mode": "squash"})
    preprocess = load("small", device="cpu").preprocess
    assert (preprocess.interpolation, preprocess.crop_mode) == ("bicubic", "squash")
    write_small_index(folder, preprocessing={"resize": 36, "crop": 32, "interpolation": "nearest"})
    with pytest.raises(SevisError, match="not by nearest"):
        load("small", device="cpu")


def test_the_shipped_network_with_fresh_weights_is_another() -> None:
    ready = load(weights="random", device="cpu")
    assert ready.card.sha256 == load(weights="random", device="cpu").card.sha256 != load(device="cpu").card.sha256
    assert not ready.card.shipped
    assert ready.card.statistics_path != load(device="cpu").card.statistics_path
    assert not ready.card.example_path.exists()
    assert ready.classes == load(device="cpu").classes


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "legacy_seresnet18", "torchvision/mobilenet_v3_small"])
def test_missing_weights_are_no_reason_to_download_when_they_may_not(name: str) -> None:
    with pytest.raises(WeightsMissing, match=r"nothing was to be downloaded.*: download https://"):
        load(name, download=False, device="cpu")


def test_loading_leaves_the_generator_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    monkeypatch.setattr(torch.cuda, "manual_seed_all", None)  # would set the accelerators' generators, for good
    for weights in (None, "random", folder / "small.safetensors"):
        load("small", weights=weights, device="cpu")
        assert torch.equal(torch.get_rng_state(), state)


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


def test_the_networks_of_the_paper_come_with_fresh_weights() -> None:
    ready = sevis.load("se_resnet20", weights="random", device="cpu")
    again = sevis.load("se_resnet20", weights="random", device="cpu")
    assert all(torch.equal(value, again.model.state_dict()[key]) for key, value in ready.model.state_dict().items())
    assert (len(ready.classes), ready.card.preprocessing.crop) == (10, 32)
    with sevis.capture(ready.model) as record, torch.inference_mode():
        ready.model(torch.randn(1, 3, 32, 32))
    assert len(record) == 9


def test_the_networks_of_the_paper_have_no_trained_weights_here() -> None:
    with pytest.raises(SevisError, match="sevis has no trained weights of se_vgg16_bn: use random weights \\(weights='random'"):
        sevis.load("se_vgg16_bn")
    with pytest.raises(SevisError, match="has no Squeeze-and-Excitation block"):
        sevis.load("mobilenet", weights="random")
    with pytest.raises(WeightsMissing, match=r"the weights of senet154\.gluon_in1k are not here"):
        sevis.load("senet154", download=False)  # a name of timm's too, which has weights
