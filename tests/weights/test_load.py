"""Ready models from pretrained/, and each way in which that folder can be wrong."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import save_file

import sevis
from sevis import SevisError, load
from sevis.settings import pretrained_folder
from sevis.weights.card import add_to_index, list_pretrained, read_card, sound_cards
from tests.helpers.cards import make_card
from tests.helpers.networks import stir
from tests.helpers.processes import loaded_by

ARCHITECTURE = {"name": "se_resnet18", "num_classes": 3, "width": 0.125, "reduction": 4, "stem": "small"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pretrained folder with one small network, stored in half precision as the shipped ones are."""
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    torch.manual_seed(0)
    state = stir(sevis.build(**ARCHITECTURE)).state_dict()
    save_file({key: value.half() if value.is_floating_point() else value for key, value in state.items()}, tmp_path / "small.safetensors")
    write_index(tmp_path, architecture=ARCHITECTURE)
    return tmp_path


def write_index(folder: Path, **changes: Any) -> None:
    entry = {
        "architecture": ARCHITECTURE,
        "classes": ["ant", "bee", "cat"],
        "preprocessing": {"resize": 36, "crop": 32, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
        "sha256": hashlib.sha256((folder / "small.safetensors").read_bytes()).hexdigest(),
    }
    entry |= changes
    (folder / "index.json").write_text(json.dumps({"small": {key: value for key, value in entry.items() if value is not None}}))


def test_a_network_comes_back_ready(folder: Path) -> None:
    ready = load("small", device="cpu")
    torch.manual_seed(0)
    expected = stir(sevis.build(**ARCHITECTURE)).half().float().eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(ready.model(images), expected(images))
    assert not any(module.training for module in ready.model.modules())
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in ready.model.parameters())
    assert (ready.classes, ready.device.type, ready.card.name) == (("ant", "bee", "cat"), "cpu", "small")
    assert (ready.preprocess.resize, ready.preprocess.crop, ready.preprocess.std) == (36, 32, (0.25, 0.25, 0.25))


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
    write_index(folder, shelf="left", wnids=["n1", "n2", "n3"])
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
    assert loaded_by("from sevis.weights.card import read_card, DEFAULT; read_card(DEFAULT)") == set()


def flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / "small.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "small.safetensors").write_bytes(data)


def cut_off(folder: Path) -> None:
    data = (folder / "small.safetensors").read_bytes()
    (folder / "small.safetensors").write_bytes(data[: len(data) // 2])
    write_index(folder)  # with the hash of the damaged file


def a_pickle_instead(folder: Path) -> None:
    torch.save({"a": torch.zeros(1)}, folder / "small.safetensors")
    write_index(folder)


AT = r"entry of small in index\.json is damaged \(.* - at `\$\.{}`\): repair it or restore the file"
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no index": (lambda f: (f / "index.json").unlink(), r"there is no .*index\.json: restore it from the repository"),
    "broken JSON": (lambda f: (f / "index.json").write_text('{"small": '), r"index\.json cannot be read as JSON"),
    "not text": (lambda f: (f / "index.json").write_bytes(b"\xff\xfe\x00"), r"index\.json cannot be read as JSON"),
    "a list": (lambda f: (f / "index.json").write_text("[1]"), r"should hold one entry per network"),
    "no entries": (lambda f: (f / "index.json").write_text('{"small": 3}'), r"should hold one entry per network"),
    "no weights": (lambda f: (f / "small.safetensors").unlink(), r"weights of small are missing: expected .*small\.safetensors"),
    "a flipped bit": (flip_a_byte, r"is not the file that index\.json describes \(its SHA-256 differs\)"),
    "half a file": (cut_off, r"does not hold the network that index\.json describes"),
    "a pickle": (a_pickle_instead, r"does not hold the network that index\.json describes"),
    "another width": (lambda f: write_index(f, architecture=ARCHITECTURE | {"width": 0.25}), r"does not hold the network.*size mismatch"),
    "another depth": (lambda f: write_index(f, architecture=ARCHITECTURE | {"name": "se_resnet34"}), r"does not hold.*Missing key"),
    "another option": (
        lambda f: write_index(f, architecture=ARCHITECTURE | {"colour": 1}),
        AT.format("architecture"),
    ),
    "an unknown model": (lambda f: write_index(f, architecture={"name": "vgg"}), r"unknown model 'vgg'"),
    "no hash": (lambda f: write_index(f, sha256=None), r"entry of small in index\.json is damaged .*missing required field `sha256`"),
    "no architecture": (lambda f: write_index(f, architecture=None), r"missing required field `architecture`"),
    "too few classes": (lambda f: write_index(f, classes=["ant"]), r"names 1 classes, not the network's"),
    "no preprocessing": (lambda f: write_index(f, preprocessing=None), r"missing required field `preprocessing`"),
    "odd preprocessing": (
        lambda f: write_index(f, preprocessing={"side": 3}),
        AT.format("preprocessing"),
    ),
    "listed preprocessing": (
        lambda f: write_index(f, preprocessing=[3]),
        AT.format("preprocessing"),
    ),
    "a word for a number": (
        lambda f: write_index(f, top1="0.5"),
        AT.format("top1"),
    ),
    "more than all": (lambda f: write_index(f, top5=57.0), AT.format("top5")),
    "an odd recipe": (lambda f: write_index(f, recipe={"epochs": 0}), r"damaged \(expected epochs between 1 and 10000, got 0\)"),
    "an odd curve": (lambda f: write_index(f, curve=[{"epoch": "one"}]), r"entry of small in index\.json is damaged .*`\$\.curve"),
    "endless nesting": (lambda f: (f / "index.json").write_text('{"small": {"classes": ' + "[" * 100_000), r"cannot be read as JSON"),
    "endless digits": (lambda f: write_index(f, epochs=10**400), AT.format("epochs")),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_folder_gives_one_sentence(folder: Path, what: str) -> None:
    damage, message = DAMAGES[what]
    damage(folder)
    with pytest.raises(SevisError, match=message) as caught:
        load("small", device="cpu")
    assert "\n" not in str(caught.value)


def test_unknown_names_list_the_nearest(folder: Path) -> None:
    with pytest.raises(
        SevisError, match=r"there are no weights called 'smal', and no network of timm or torchvision; the nearest are small"
    ):
        load("smal")
    with pytest.raises(SevisError, match=r"there are no weights called 'zzz'; the nearest are small"):
        read_card("zzz")
    (folder / "index.json").write_text("{}")
    with pytest.raises(SevisError, match=r"index\.json is empty"):
        read_card("small")


def test_a_card_says_what_it_knows(folder: Path) -> None:
    card = read_card("small")
    assert card.shipped
    assert card.sha256 == hashlib.sha256((folder / "small.safetensors").read_bytes()).hexdigest()
    assert (card.top1, card.gates, card.recipe, card.classes) == (None, None, None, ("ant", "bee", "cat"))
    assert card.wnids is None
    write_index(folder, wnids=["n1", "n2", "n3"])
    assert read_card("small").wnids == ("n1", "n2", "n3")


def test_preprocessing_of_an_entry_may_name_interpolation_and_crop(folder: Path) -> None:
    write_index(folder, preprocessing={"resize": 36, "crop": 32, "interpolation": "bicubic", "crop_mode": "squash"})
    preprocess = load("small", device="cpu").preprocess
    assert (preprocess.interpolation, preprocess.crop_mode) == ("bicubic", "squash")
    write_index(folder, preprocessing={"resize": 36, "crop": 32, "interpolation": "nearest"})
    with pytest.raises(SevisError, match="not by nearest"):
        load("small", device="cpu")


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
    write_index(folder, wnids=["n1", "n2", "n3"], **about_weights)
    shipped = load("small", device="cpu").card
    assert (shipped.top1, shipped.gates.top1_frozen, shipped.recipe.epochs, shipped.data.val_images) == (0.8, 0.7, 5, 2)
    for weights in ("random", folder / "small.safetensors"):
        card = load("small", weights=weights, device="cpu").card
        assert card.top1 is None
        known = {"name", "shipped", "architecture", "classes", "wnids", "preprocessing", "sha256", "weights"}
        assert msgspec.to_builtins(card).keys() == known
        for field in ("architecture", "classes", "wnids", "preprocessing"):
            assert getattr(card, field) == getattr(shipped, field)


def test_loading_leaves_the_generator_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    monkeypatch.setattr(torch.cuda, "manual_seed_all", None)  # would set the accelerators' generators, for good
    for weights in (None, "random", folder / "small.safetensors"):
        load("small", weights=weights, device="cpu")
        assert torch.equal(torch.get_rng_state(), state)
