"""A run and its record, its twin, and its figure."""

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
from sevis.training.run_record import Run
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


def test_a_record_says_what_the_network_does(colours: Path, runs) -> None:
    data = open_colours(colours)
    for name, (trained, run) in runs.items():
        assert (run.recipe.model, run.data.classes) == (name, ("blue", "green", "red"))
        assert (run.data.train_images, run.data.val_images, list(run.rows)) == (36, 12, trained.rows)
        assert run.parameters == sum(p.numel() for p in trained.model.parameters())
        assert run.seconds == pytest.approx(sum(row["seconds"] for row in trained.rows), abs=0.1)
        views = np.stack([np.asarray(image.resize((32, 32)), dtype=np.float32) for image, _ in data[1]]).transpose(0, 3, 1, 2) / 255
        mean, std = (np.array(values, dtype=np.float32)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        with torch.no_grad():
            right = trained.model(torch.from_numpy((views - mean) / std)).argmax(1).numpy() == np.array(data[1].labels)
        assert run.top1 == pytest.approx(right.mean())
    assert runs["resnet18"][1].gates is None
    gates = runs["se_resnet18"][1].gates
    assert gates is not None
    assert len(gates.blocks) == 8


def test_a_record_comes_back_from_json_and_a_damaged_one_does_not(runs) -> None:
    for _, run in runs.values():
        stored = json.loads(msgspec.json.encode(run))
        assert msgspec.convert(stored, Run) == run
        for name, value in (("rows", 3), ("top1", "high"), ("top1", float("nan")), ("recipe", None), ("device", 1)):
            with pytest.raises(msgspec.ValidationError, match=rf"at `\$\.{name}`"):
                msgspec.convert(stored | {name: value}, Run)
    for other in (None, [], "text"):
        with pytest.raises(msgspec.ValidationError, match="Expected `object`"):
            msgspec.convert(other, Run)


@pytest.fixture
def shelf(colours: Path, runs, tmp_path: Path, monkeypatch) -> Path:
    """A folder of trained networks with a pair of twins."""
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
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
    with pytest.raises(SevisError, match="are no twins: they differ in epochs"):
        compare_twins(gated, longer, open_colours(colours)[1])
    with pytest.raises(SevisError, match="are no twins"):
        compare_twins(plain, gated, open_colours(colours)[1])


def test_the_logs_of_runs_are_drawn(colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_and_measure(TINY, open_colours(colours), tmp_path / "se")
    assert main(["curve", str(tmp_path / "se"), "--out", str(tmp_path / "curve.html")]) == 0
    assert "Training curves" in (tmp_path / "curve.html").read_text()
    assert main(["curve", str(tmp_path / "none"), "--out", str(tmp_path / "curve.html")]) == 2
    assert "there is no log at" in capsys.readouterr().err
