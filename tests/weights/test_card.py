"""Cards: what they know, where their files lie, and index.json, which holds them."""

import hashlib
import json
import re
import sys
from pathlib import Path

import msgspec
import pytest

import sevis
from sevis import SevisError, load
from sevis.settings import cache_folder, home_folder, pretrained_folder
from sevis.weights.adopt import adopt
from sevis.weights.card import add_to_index, check_free, check_name, find_index_fault, list_pretrained, read_card, sound_cards
from tests.helpers.cards import ENTRY, make_card
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
    assert card.statistics_path == card.place("statistics") == home / "statistics" / f"small.{card.sha256[:12]}.safetensors"
    card.place("audit").parent.mkdir(parents=True)
    card.place("audit").write_text("measured")
    assert card.audit_path == home / "audit" / f"small.{card.sha256[:12]}.json"
    (home / "small.safetensors").write_bytes(b"of other weights")
    assert card.path == folder / "small.safetensors"


def test_what_was_measured_of_other_weights_is_never_shown(folder: Path, home: Path) -> None:
    (folder / "small.statistics.safetensors").write_bytes(b"ships")
    (folder / "small.audit.json").write_text("ships")
    ships = read_card("small")
    other = msgspec.structs.replace(ships, sha256="3" * 64)
    for what in ("statistics", "audit"):
        other.place(what).parent.mkdir(parents=True)
        other.place(what).write_bytes(b"of other weights")
    assert ships.statistics_path == ships.find_shipped("statistics") == folder / "small.statistics.safetensors"
    assert ships.audit_path == folder / "small.audit.json"
    other.place("statistics").unlink()
    assert other.find_shipped("statistics") is None
    assert not other.statistics_path.exists()


def test_those_who_make_what_ships_write_plain_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVIS_HOME", str(folder))
    card = read_card("small")
    places = {what: card.place(what) for what in ("weights", "statistics", "example", "audit")}
    names = ("small.safetensors", "small.statistics.safetensors", "small.example.safetensors", "small.audit.json")
    assert list(places.values()) == [folder / name for name in names]


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


@pytest.mark.parametrize("damage", [b"", b"no JSON", b"[]", b'{"mine": 3}', b"[" * 100_000, None])
def test_a_damaged_index_of_the_users_takes_nothing_away_that_ships(folder: Path, home: Path, damage: bytes | None) -> None:
    assert find_index_fault() is None
    home.mkdir()
    if damage is None:
        (home / "index.json").mkdir()
    else:
        (home / "index.json").write_bytes(damage)
    assert list_pretrained() == ("small",)
    assert load("small", device="cpu").card.name == "small"
    assert re.search(r"index\.json .*: repair it, or delete it \(the files of weights stay\)$", str(find_index_fault()))
    for write in (lambda: add_to_index(make_card("mine")), lambda: check_free("mine"), lambda: adopt("mine", load("small", device="cpu"))):
        with pytest.raises(SevisError, match="repair it, or delete it"):
            write()
    assert [path.name for path in home.iterdir()] == ["index.json"]
    if damage is not None:
        assert (home / "index.json").read_bytes() == damage


def test_a_damaged_entry_of_the_users_does_not_hide_the_one_that_ships(folder: Path, home: Path) -> None:
    home.mkdir()
    (home / "index.json").write_text(json.dumps({"small": {"sha256": read_card("small").sha256, "classes": 3}, "odd": {}}))
    assert list_pretrained() == ("small", "odd")
    assert load("small", device="cpu").card.classes == ("ant", "bee", "cat")


def test_names_that_no_network_can_have_are_passed_over(folder: Path, home: Path) -> None:
    home.mkdir()
    names = ("../evil", "mine", "small.statistics", "a/b", "", ".hidden", "mine.pth")
    (home / "index.json").write_text(json.dumps(dict.fromkeys(names, ENTRY)))
    assert list_pretrained() == ("small", "mine")


@pytest.mark.parametrize(
    "name", ["mine.statistics", "mine.Example", "audit", "a.b.profile", "mine.weights", "mine.safetensors", "mine.PTH", "x.tar", "../a", ""]
)
def test_a_name_that_would_be_another_file_is_refused(name: str) -> None:
    with pytest.raises(SevisError, match=r"a network cannot be called .*: expected letters"):
        check_name(name)
    check_name(f"{name.replace('/', '').strip('.')}2")


def test_names_that_differ_in_case_alone_are_refused(folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_to_index(make_card("mine"))
    for name, known in (("Small", "small"), ("MINE", "mine"), ("small", "small")):
        with pytest.raises(SevisError, match=f"there is a network called {known} already"):
            check_free(name)
    check_free("mine")
    monkeypatch.setenv("SEVIS_HOME", str(folder))
    check_free("small")


def test_a_tilde_is_the_users_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for variable, place in {"SEVIS_HOME": home_folder, "SEVIS_PRETRAINED": pretrained_folder, "SEVIS_DATA": cache_folder}.items():
        monkeypatch.setenv(variable, "~/x")
        assert place() == tmp_path / "x"


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
