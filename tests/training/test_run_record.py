"""The record of a run says what its network does, and comes back from JSON."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from sevis.recipe import Recipe
from sevis.training.run_record import Run
from sevis.training.training import train_and_measure
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
