"""What is known of a network by its name, or by a checkpoint that describes itself; and what is said where nothing is."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from sevis import SevisError, load
from sevis.recipe import Recipe
from sevis.training.training import train
from sevis.weights.card import read_card
from sevis.weights.describe import describe, skeleton
from tests.helpers.networks import assert_same_outputs
from tests.helpers.pictures import open_colours, write_colours


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


def test_a_file_that_does_not_say_what_it_is(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "mine.pth")
    with pytest.raises(SevisError, match=r"does not name its network: use load\(NAME, weights='.*mine\.pth'\), or --model NAME --weights"):
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
    with pytest.raises(SevisError, match=r"does not name its network"):
        load(tmp_path / "mine.pth", device="cpu")


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


def test_ids_of_classes_may_be_numbers(tmp_path: Path) -> None:
    recipe = {"model": "se_resnet18", "width": 0.125, "size": 32}
    torch.save({"model": {"a": torch.zeros(1)}, "recipe": recipe, "data": {"classes": [3, 7]}}, tmp_path / "mine.pth")
    assert describe(tmp_path / "mine.pth").wnids == ("3", "7")
