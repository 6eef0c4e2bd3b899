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
from sevis.weights.card import list_pretrained
from tests.helpers.networks import assert_same_outputs, made


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "torchvision/mobilenet_v3_small"])
def test_an_adopted_network_is_loaded_by_its_new_name(tmp_path: Path, home: Path, name: str) -> None:
    create = timm.create_model if find(name).library == "timm" else torchvision.models.get_model
    theirs = made(lambda: create(name.removeprefix("torchvision/"), num_classes=3))
    torch.save(theirs.state_dict(), tmp_path / "mine.pth")
    classes = ["ant", "bee", "cat"]
    card = adopt("mine", load(name, weights=tmp_path / "mine.pth", device="cpu"), classes=classes)
    assert card.shipped
    ready = load("mine", device="cpu")
    assert_same_outputs(ready.model, theirs)
    assert ready.classes == ("ant", "bee", "cat")
    assert ready.card.sha256 == sha256(home / "mine.safetensors")
    assert ready.card.statistics_path == home / "statistics" / f"mine.{ready.card.sha256[:12]}.safetensors"
    assert json.loads((home / "index.json").read_text())["mine"]["architecture"]["num_classes"] == 3
    assert (ready.preprocess.resize, ready.preprocess.crop) == (256, 224)
    assert load("mine", weights="random", device="cpu").card.sha256 != ready.card.sha256


def test_the_index_that_ships_is_never_written(home: Path, folder: Path) -> None:
    before = {path.name: sha256(path) for path in folder.iterdir() if path.is_file()}
    adopt("mine", load("small", device="cpu"))
    assert list_pretrained() == ("small", "mine")
    assert_same_outputs(load("mine", device="cpu").model, load("small", device="cpu").model)
    assert {path.name: sha256(path) for path in folder.iterdir() if path.is_file()} == before
    with pytest.raises(SevisError, match="there is a network called small already"):
        adopt("small", load("mine", device="cpu"))


def test_a_home_that_cannot_be_written(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write_text("a file where the folder should be")
    ready = load("mobilenetv3_small_050", weights="random", device="cpu")
    with pytest.raises(SevisError, match=r"mine\.safetensors cannot be written \(.*\): choose another place \(.*SEVIS_HOME\)"):
        adopt("mine", ready)
    assert "mine" not in list_pretrained()


def test_adopting_what_cannot_be(home: Path) -> None:
    ready = load("mobilenetv3_small_050", weights="random", device="cpu")
    adopt("mine", ready)
    assert load("mine", device="cpu").classes[1] == "goldfish"
    for name, classes, message in [
        ("mine", None, r"there is a network called mine already: choose another name"),
        ("Mine", None, r"there is a network called mine already: choose another name"),
        ("../mine", None, r"a network cannot be called"),
        ("mine.statistics", None, r"a network cannot be called"),
        ("second", ["a"], r"expected the names of 1000 outputs, no two alike, got 1 \(1 different\)"),
        ("second", ["a"] * 1000, r"got 1000 \(1 different\)"),
    ]:
        with pytest.raises(SevisError, match=message):
            adopt(name, ready, classes=classes)
    assert sorted(path.name for path in home.iterdir()) == ["index.json", "mine.safetensors"]


def test_an_entry_of_a_network_that_the_library_does_not_have(home: Path) -> None:
    adopt("mine", load("mobilenetv3_small_050", weights="random", device="cpu"))
    index = json.loads((home / "index.json").read_text())
    index["mine"]["architecture"]["name"] = "gone_050"
    (home / "index.json").write_text(json.dumps(index))
    with pytest.raises(SevisError, match=r"index\.json names a network 'gone_050' of timm, which does not have it: repair the entry"):
        load("mine", device="cpu")
