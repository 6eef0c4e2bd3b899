"""The commands around a training: train in a process of its own, publish and collect, and the logs of runs in one figure."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch
from PIL import Image

import sevis
from sevis.cli.parser import main
from sevis.recipe import Recipe
from sevis.training.training import train_and_measure
from tests.helpers.pictures import open_colours, write_colours
from tests.helpers.processes import run_sevis

Call = Callable[..., CompletedProcess[str]]
TINY = Recipe(model="se_resnet18", width=0.125, reduction=4, size=32, epochs=2, batch_size=12, learning_rate=0.05)


def test_train_publish_collect_and_figure6_end_to_end(tmp_path: Path, call: Call) -> None:
    data, shelf = write_colours(tmp_path / "data"), tmp_path / "home"
    options = ["--width", "0.25", "--reduction", "4", "--size", "32", "--epochs", "6", "--batch-size", "12", "--learning-rate", "0.05"]
    words = ["train", "se_resnet18", "--data", data, *options, "--folder", tmp_path / "run", "--publish", "mine"]
    trained = run_sevis(*words, SEVIS_HOME=str(shelf))
    assert trained.returncode == 0, trained.stderr
    entry = json.loads((shelf / "index.json").read_text())["mine"]
    assert entry["command"].startswith("python -m sevis train se_resnet18 --data data --width 0.25")
    assert str(tmp_path) not in entry["command"]
    assert entry["device"].startswith(torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu, ")
    scored = call("train", "--evaluate", "mine", "--data", data, SEVIS_HOME=str(shelf))
    assert f"top1 {entry['top1']:.4f}, top5 {entry['top5']:.4f} on 12 images" in scored.stdout
    out = tmp_path / "mine.safetensors"
    collected = call("collect", "--model", "mine", "--data", data, "--split", "train", "--out", out, SEVIS_HOME=str(shelf))
    assert collected.returncode == 0, collected.stderr
    assert sevis.ClassStatistics.load(out).count.tolist() == [12, 12, 12]
    drawn = call("figure6", "--statistics", out, "--out", tmp_path / "figure.html", SEVIS_HOME=str(shelf))
    assert drawn.returncode == 0, drawn.stderr
    assert "green" in (tmp_path / "figure.html").read_text()


def test_classes_with_spaces_and_many_of_them(tmp_path: Path, call: Call) -> None:
    names = [f"kind of animal number {number}" for number in range(30)]
    for split in ("train", "val"):
        for name in names:
            (tmp_path / "data" / split / name).mkdir(parents=True)
            Image.new("RGB", (32, 32), (200, 10, 10)).save(tmp_path / "data" / split / name / "1.png")
    data, shelf = tmp_path / "data", str(tmp_path / "home")
    options = ["--data", data, "--width", "0.125", "--size", "32", "--epochs", "1", "--batch-size", "10", "--reduction", "4"]
    (tmp_path / "names.txt").write_text("\n".join(reversed(names)) + "\n\n")
    for number, classes in enumerate((",".join(reversed(names)), tmp_path / "names.txt")):
        words = ["resnet18", *options, "--classes", classes, "--folder", tmp_path / f"run {number}", "--publish", f"mine{number}"]
        trained = call("train", *words, SEVIS_HOME=shelf)
        assert trained.returncode == 0, trained.stderr
        assert json.loads((Path(shelf) / "index.json").read_text())[f"mine{number}"]["wnids"] == names[::-1]
    scored = call("train", "--evaluate", "mine0", "--data", data, SEVIS_HOME=shelf)
    assert scored.returncode == 0, scored.stderr
    assert "on 30 images" in scored.stdout


def test_the_logs_of_runs_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_and_measure(TINY, open_colours(write_colours(tmp_path / "data")), tmp_path / "se")
    assert main(["curve", str(tmp_path / "se"), "--out", str(tmp_path / "curve.html")]) == 0
    assert "Training curves" in (tmp_path / "curve.html").read_text()
    assert main(["curve", str(tmp_path / "none"), "--out", str(tmp_path / "curve.html")]) == 2
    assert "there is no log at" in capsys.readouterr().err
