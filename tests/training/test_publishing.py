"""What a trained network becomes in the user's folder, and what is not published."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file
from torch import nn

import sevis
from sevis.analysis.saved_profile import known_profile
from sevis.blocks.block import SqueezeExcitation
from sevis.data.pixels import open_images
from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.recipe import Recipe
from sevis.training import publishing
from sevis.training.learner import build_model
from sevis.training.training import Trained
from sevis.weights.card import check_free
from sevis.weights.loading import load
from tests.helpers.pictures import open_colours, write_colours

RECIPE = Recipe(model="se_resnet18", width=0.125, reduction=4, size=32)
ROWS = [{"epoch": 1, "size": 32, "train_loss": 1.0, "val_loss": 1.0, "top1": 0.3, "top5": 1.0, "seconds": 1.5}]


@pytest.fixture(scope="module")
def colours(tmp_path_factory) -> Path:
    return write_colours(tmp_path_factory.mktemp("data"))


def _trained(model: nn.Module, recipe: Recipe, data) -> Trained:
    preprocess = Preprocessing.square(recipe.size)
    return Trained(model, ROWS, tuple(open_images(part, preprocess, torch.device("cpu")) for part in data))


def test_a_published_network_loads_with_the_score_on_its_card(colours: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEVIS_HOME", str(tmp_path))
    data = open_colours(colours)
    model = build_model(RECIPE, 3).eval()
    for module in model.modules():
        if isinstance(module, SqueezeExcitation):
            module.fc2.weight.data *= 8  # gates as lively as training makes them
    publishing.publish("mine", _trained(model, RECIPE, data), RECIPE, data, command="the command")
    index = json.loads((tmp_path / "index.json").read_text())
    assert set(index) == {"mine"}
    entry = index["mine"]
    assert entry["wnids"] == ["blue", "green", "red"]
    assert (entry["command"], entry["epochs"], entry["seconds"]) == ("the command", RECIPE.epochs, 1.5)
    assert (entry["recipe"], entry["curve"]) == (msgspec.structs.asdict(RECIPE), ROWS)
    with safe_open(tmp_path / "mine.safetensors", framework="numpy") as file:
        assert json.loads(file.metadata()["sevis"])["recipe"] == msgspec.structs.asdict(RECIPE)
    ready = load("mine", device="cpu")
    hits = [int(ready.model(torch.from_numpy(ready.preprocess(image))[None]).argmax()) == label for image, label in data[1]]
    assert entry["top1"] == pytest.approx(np.mean(hits))
    stored = load_file(tmp_path / "mine.safetensors")
    assert stored["layer1.0.conv1.weight"].dtype == np.float16
    for name, value in model.state_dict().items():
        torch.testing.assert_close(ready.model.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    statistics = sevis.ClassStatistics.load(ready.card.statistics_path)
    assert statistics.metadata["weights"] == entry["sha256"]
    profile = known_profile(statistics)
    assert profile is not None
    assert profile.saved
    example = sevis.Explanation.load(ready.card.example_path)
    assert example.weights == entry["sha256"]
    assert tuple(example.maps) == example.sites == statistics.sites


@pytest.mark.parametrize("name", ["", ".hidden", "../mine", "a/b", "two words", "mine\n", "ä"])
def test_a_name_that_no_file_should_have_is_refused(colours: Path, tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.setenv("SEVIS_HOME", str(tmp_path / "shelf"))
    with pytest.raises(SevisError, match="a network cannot be called"):
        publishing.publish(
            name, _trained(build_model(RECIPE, 3).eval(), RECIPE, open_colours(colours)), RECIPE, open_colours(colours), command=""
        )
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_ships_is_refused_but_by_those_who_make_what_ships(colours: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "index.json").write_text('{"mine": {}, "without weights": {}}')
    (tmp_path / "mine.safetensors").touch()
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    recipe = Recipe(model="resnet18", width=0.125, size=32)
    trained, data = _trained(build_model(recipe, 3).eval(), recipe, open_colours(colours)), open_colours(colours)
    with pytest.raises(SevisError, match="there is a network called mine already, which comes with sevis: choose another name"):
        publishing.publish("mine", trained, recipe, data, command="")
    check_free("without weights")
    monkeypatch.setenv("SEVIS_HOME", str(tmp_path))
    assert publishing.publish("mine", trained, recipe, data, command="").path == tmp_path / "mine.safetensors"


def test_a_large_network_is_published(colours: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEVIS_HOME", str(tmp_path))
    recipe = Recipe(model="resnet18", width=1.0, size=32)
    card = publishing.publish(
        "large-1", _trained(build_model(recipe, 3).eval(), recipe, open_colours(colours)), recipe, open_colours(colours), command=""
    )
    assert card.path.stat().st_size > 16e6  # the limit of what this repository ships is no limit for others


def test_dead_gates_are_not_published(colours: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEVIS_HOME", str(tmp_path))
    model = build_model(RECIPE, 3).eval()
    for module in model.modules():
        if isinstance(module, SqueezeExcitation):
            nn.init.zeros_(module.fc2.weight)
    with pytest.raises(SevisError, match="the gates are dead"):
        publishing.publish("mine", _trained(model, RECIPE, open_colours(colours)), RECIPE, open_colours(colours), command="")
    assert list(tmp_path.iterdir()) == []


def test_a_plain_network_is_published_without_gates(colours: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEVIS_HOME", str(tmp_path))
    recipe = Recipe(model="resnet18", width=0.125, size=32)
    card = publishing.publish(
        "plain", _trained(build_model(recipe, 3).eval(), recipe, open_colours(colours)), recipe, open_colours(colours), command=""
    )
    assert card.gates is None
    assert card.preprocessing == Preprocessing(resize=32, crop=32)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "plain.safetensors"]
