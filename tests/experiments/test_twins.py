"""A network with SE and its plain twin, compared image by image."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from sevis.analysis.intervals import paired_change
from sevis.cli.parser import main
from sevis.errors import SevisError
from sevis.experiments.twins import compare_twins
from sevis.recipe import Recipe
from sevis.training import publishing
from sevis.training.training import train_and_measure
from sevis.weights.loading import load
from tests.helpers.pictures import open_colours, write_colours

TINY = Recipe(model="se_resnet18", width=0.125, reduction=4, size=32, epochs=2, batch_size=12, learning_rate=0.05)


@pytest.fixture(scope="module")
def colours(tmp_path_factory) -> Path:
    return write_colours(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def runs(colours: Path, tmp_path_factory):
    data, folder = open_colours(colours), tmp_path_factory.mktemp("runs")
    return {name: train_and_measure(msgspec.structs.replace(TINY, model=name), data, folder / name) for name in ("se_resnet18", "resnet18")}


@pytest.fixture
def shelf(colours: Path, runs, tmp_path: Path, monkeypatch) -> Path:
    """A folder of trained networks with a pair of twins."""
    monkeypatch.setenv("SEVIS_HOME", str(tmp_path))
    monkeypatch.setattr(publishing, "DEAD", 0.0)
    for name, (trained, _) in runs.items():
        publishing.publish(f"{name}.tiny", trained, msgspec.structs.replace(TINY, model=name), open_colours(colours), command="")
    return tmp_path


def test_twins_are_compared_image_by_image(colours: Path, shelf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gated, plain = (load(f"{name}.tiny", device="cpu") for name in ("se_resnet18", "resnet18"))
    data = open_colours(colours)[1]
    right = [
        np.array([int(ready.model(torch.from_numpy(ready.preprocess(image))[None]).argmax()) == label for image, label in data])
        for ready in (gated, plain)
    ]
    assert main(["twins", "se_resnet18.tiny", "resnet18.tiny", "--data", str(colours)]) == 0
    assert "points (" in capsys.readouterr().out
    twin = json.loads((shelf / "index.json").read_text())["se_resnet18.tiny"]["twin"]
    assert (twin["name"], twin["images"], twin["seeds"]) == ("resnet18.tiny", 12, 1)
    assert (twin["own"]["top1"], twin["top1"]) == (pytest.approx(right[0].mean()), pytest.approx(right[1].mean()))
    assert twin["top1_difference"] == pytest.approx(right[0].mean() - right[1].mean())
    assert twin["interval"] == pytest.approx(paired_change((right[1] & ~right[0]).sum(), (right[0] & ~right[1]).sum(), 12))
    for key, ready in (("own", gated), ("parameters", plain)):
        found = twin[key]["parameters"] if key == "own" else twin[key]
        assert found == sum(p.numel() for p in ready.model.parameters())


def test_networks_of_other_recipes_are_no_twins(colours: Path, shelf: Path, runs) -> None:
    other = msgspec.structs.replace(TINY, model="resnet18", epochs=3)
    publishing.publish("longer", runs["resnet18"][0], other, open_colours(colours), command="")
    gated, plain, longer = (load(name, device="cpu") for name in ("se_resnet18.tiny", "resnet18.tiny", "longer"))
    with pytest.raises(SevisError, match="are not twins: they differ in epochs"):
        compare_twins(gated, longer, open_colours(colours)[1])
    with pytest.raises(SevisError, match="are not twins"):
        compare_twins(plain, gated, open_colours(colours)[1])
