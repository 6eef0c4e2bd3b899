"""python -m sevis curve: the logs of runs in one figure."""

from pathlib import Path

import pytest

from sevis.cli.parser import main
from sevis.recipe import Recipe
from sevis.training.training import train_and_measure
from tests.helpers.pictures import open_colours, write_colours

TINY = Recipe(model="se_resnet18", width=0.125, reduction=4, size=32, epochs=2, batch_size=12, learning_rate=0.05)


def test_the_logs_of_runs_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_and_measure(TINY, open_colours(write_colours(tmp_path / "data")), tmp_path / "se")
    assert main(["curve", str(tmp_path / "se"), "--out", str(tmp_path / "curve.html")]) == 0
    assert "Training curves" in (tmp_path / "curve.html").read_text()
    assert main(["curve", str(tmp_path / "none"), "--out", str(tmp_path / "curve.html")]) == 2
    assert "there is no log at" in capsys.readouterr().err
