"""A user's own network among the trained ones."""

import json
from pathlib import Path

import pytest
import timm
import torch
import torchvision

from sevis import SevisError, load
from sevis.files import sha256
from sevis.networks.libraries import find
from sevis.weights.adopt import adopt
from tests.helpers.networks import assert_same_outputs, made


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
