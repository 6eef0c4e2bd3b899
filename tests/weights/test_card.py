"""Cards: what they know, where their files lie, and index.json, which holds them."""

import hashlib
import json
from pathlib import Path

import msgspec
import pytest

import sevis
from sevis import SevisError, load
from sevis.settings import pretrained_folder
from sevis.weights.card import add_to_index, list_pretrained, read_card, sound_cards
from tests.helpers.cards import make_card
from tests.helpers.processes import loaded_by
from tests.helpers.shelves import write_small_index


def test_the_folder_is_the_one_that_the_environment_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pretrained_folder() == folder
    assert list_pretrained() == ("small",)
    card = read_card("small")
    assert {card.path.parent, card.statistics_path.parent, card.example_path.parent} == {folder}
    monkeypatch.delenv("SEVIS_PRETRAINED")
    assert pretrained_folder() == Path(sevis.__file__).parent.parent / "pretrained"


def test_a_card_is_added_and_the_others_stay(folder: Path) -> None:
    add_to_index(make_card("second", classes=("x",)))
    assert list_pretrained() == ("small", "second")
    assert read_card("second").classes == ("x",)
    add_to_index(make_card("second", classes=("y",)))
    assert list_pretrained() == ("small", "second")
    assert read_card("second").classes == ("y",)
    (folder / "index.json").unlink()
    add_to_index(make_card("first", classes=("z",)))
    assert list_pretrained() == ("first",)
    assert sorted(path.name for path in folder.iterdir()) == ["index.json", "small.safetensors"]


def test_what_is_not_known_of_an_entry_stays_with_its_weights(folder: Path) -> None:
    write_small_index(folder, shelf="left", wnids=["n1", "n2", "n3"])
    before = json.loads((folder / "index.json").read_text())
    card = read_card("small")
    add_to_index(make_card("second"))
    assert json.loads((folder / "index.json").read_text())["small"] == before["small"]
    add_to_index(msgspec.structs.replace(card, licence="MIT"))
    after = json.loads((folder / "index.json").read_text())["small"]
    assert (after["shelf"], after["licence"], after["wnids"]) == ("left", "MIT", ["n1", "n2", "n3"])
    assert {**before["small"], "licence": "MIT"} == {name: value for name, value in after.items() if name != "preprocessing"} | {
        "preprocessing": before["small"]["preprocessing"]
    }
    add_to_index(msgspec.structs.replace(card, sha256="1" * 64))
    assert "shelf" not in json.loads((folder / "index.json").read_text())["small"]


def test_one_damaged_entry_does_not_take_the_others_away(folder: Path) -> None:
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({"odd": {"classes": 3}, **index}))
    assert list_pretrained() == ("odd", "small")
    assert [card.name for card in sound_cards()] == ["small"]
    assert load("small", device="cpu").card.name == "small"
    with pytest.raises(SevisError, match="entry of odd in"):
        read_card("odd")


def test_the_cards_are_read_without_torch() -> None:
    assert loaded_by("from sevis.weights.card import read_card, DEFAULT; read_card(DEFAULT)") & {"torch", "timm"} == set()


def test_the_rooms_of_weights_are_imported_without_torch() -> None:
    assert loaded_by("import sevis.weights.card, sevis.weights.loading, sevis.networks") == set()


def test_a_card_says_what_it_knows(folder: Path) -> None:
    card = read_card("small")
    assert card.shipped
    assert card.sha256 == hashlib.sha256((folder / "small.safetensors").read_bytes()).hexdigest()
    assert (card.top1, card.gates, card.recipe, card.classes) == (None, None, None, ("ant", "bee", "cat"))
    assert card.wnids is None
    write_small_index(folder, wnids=["n1", "n2", "n3"])
    assert read_card("small").wnids == ("n1", "n2", "n3")


def test_the_files_of_other_networks_lie_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = load("torchvision/mobilenet_v3_small", weights="random", device="cpu").card
    name = f"torchvision_mobilenet_v3_small.{card.sha256[:12]}.safetensors"
    assert card.statistics_path == tmp_path / "data" / "statistics" / name
    assert card.example_path == tmp_path / "data" / "example" / name
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "data" / "tiny-imagenet-200.zip"))
    assert card.statistics_path == tmp_path / "data" / "statistics" / name


def test_a_number_that_is_none_never_reaches_the_index(folder: Path) -> None:
    before = (folder / "index.json").read_bytes()
    with pytest.raises(SevisError, match="holds a number that is none"):
        add_to_index(make_card("mine", top1=float("nan")))
    assert (folder / "index.json").read_bytes() == before
