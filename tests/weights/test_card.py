"""Cards: what they know, where their files lie, and index.json, which holds them."""

import hashlib
import json
import sys
from pathlib import Path

import msgspec
import pytest

import sevis
from sevis import SevisError, load
from sevis.settings import home_folder, pretrained_folder
from sevis.weights.card import add_to_index, list_pretrained, read_card, sound_cards
from tests.helpers.cards import make_card
from tests.helpers.processes import loaded_by
from tests.helpers.shelves import write_small_index


def test_the_folder_is_the_one_that_the_environment_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pretrained_folder() == folder
    assert list_pretrained() == ("small",)
    card = read_card("small")
    assert card.path == folder / "small.safetensors"
    monkeypatch.delenv("SEVIS_PRETRAINED")
    assert pretrained_folder() == Path(sevis.__file__).parent.parent / "pretrained"


def test_the_users_folder_is_the_one_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert home_folder() == tmp_path / "home"
    monkeypatch.delenv("SEVIS_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    if sys.platform == "linux":
        assert home_folder() == tmp_path / "share" / "sevis"
    assert not home_folder().exists()
    assert read_card(sevis.list_pretrained()[0]).path.is_file(), "nothing has to be there"


def test_the_users_files_are_read_before_those_that_ship(folder: Path, home: Path) -> None:
    card = read_card("small")
    (folder / "small.audit.json").write_text("ships")
    assert card.audit_path == folder / "small.audit.json"
    assert card.statistics_path == card.place("statistics") == home / "small.statistics.safetensors", "where it will be written"
    home.mkdir()
    card.place("audit").write_text("measured")
    assert card.audit_path == home / "small.audit.json"
    assert card.path == folder / "small.safetensors"


def test_what_the_user_measured_of_weights_that_sevis_has_replaced_since_is_passed_over(folder: Path, home: Path) -> None:
    add_to_index(msgspec.structs.replace(read_card("small"), licence="measured"))
    assert read_card("small").licence == "measured"
    write_small_index(folder, sha256="2" * 64)
    assert read_card("small").licence is None
    (home / "small.safetensors").write_bytes(b"the user's own of that name")
    assert read_card("small").licence == "measured"


def test_a_card_is_added_and_the_others_stay(folder: Path, home: Path) -> None:
    add_to_index(make_card("second", classes=("x",)))
    assert list_pretrained() == ("small", "second")
    assert read_card("second").classes == ("x",)
    add_to_index(make_card("second", classes=("y",)))
    assert list_pretrained() == ("small", "second")
    assert read_card("second").classes == ("y",)
    (home / "index.json").unlink()
    add_to_index(make_card("first", classes=("z",)))
    assert list_pretrained() == ("small", "first")
    assert [path.name for path in home.iterdir()] == ["index.json"]


def test_what_is_not_known_of_an_entry_stays_with_its_weights(folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small_index(folder, shelf="left", wnids=["n1", "n2", "n3"])
    before = json.loads((folder / "index.json").read_text())
    card = read_card("small")
    add_to_index(msgspec.structs.replace(card, licence="MIT"))
    entry = json.loads((home / "index.json").read_text())["small"]
    assert (entry["shelf"], entry["licence"], entry["wnids"]) == ("left", "MIT", ["n1", "n2", "n3"])
    monkeypatch.setenv("SEVIS_HOME", str(folder))  # as those who make what ships do
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


def test_the_files_of_other_networks_lie_in_the_users_folder(home: Path) -> None:
    card = load("torchvision/mobilenet_v3_small", weights="random", device="cpu").card
    name = f"torchvision_mobilenet_v3_small.{card.sha256[:12]}.safetensors"
    assert card.statistics_path == card.place("statistics") == home / "statistics" / name
    assert card.example_path == home / "example" / name
    assert card.audit_path == home / "audit" / name.replace(".safetensors", ".json")


def test_a_number_that_is_none_never_reaches_the_index(home: Path) -> None:
    add_to_index(make_card("first"))
    before = (home / "index.json").read_bytes()
    with pytest.raises(SevisError, match="holds a number that is none"):
        add_to_index(make_card("mine", top1=float("nan")))
    assert (home / "index.json").read_bytes() == before
