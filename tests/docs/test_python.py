"""The page of the Python names: all of them are there, and its code runs."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sevis
from sevis.data.datasets import sample_photos
from tests.helpers.markdown import DOCS, fences
from tests.helpers.paths import ROOT

PAGE = (DOCS / "python.md").read_text(encoding="utf-8")
WNIDS = ("n01443537", "n02123045", "n07920052")  # goldfish, tabby and espresso: classes of the shipped network
EACH = 6  # images of a class: of fewer than five there are no intervals


def write_photos(folder: Path) -> None:
    """Writes photo.jpg and photos/: parts of the sample photos, so that no two are alike."""
    photos = [Image.open(path).convert("RGB") for path in sample_photos().values()]
    photos[0].save(folder / "photo.jpg")
    random = np.random.default_rng(0)
    for number, wnid in enumerate(WNIDS):
        (folder / "photos" / wnid).mkdir(parents=True)
        for index in range(EACH):
            left, top = random.integers(0, 100, 2).tolist()
            photos[number].crop((left, top, left + 200, top + 200)).resize((80, 80)).save(folder / "photos" / wnid / f"{index}.png")


def test_every_public_name_is_on_the_page() -> None:
    stub = (ROOT / "sevis" / "__init__.pyi").read_text(encoding="utf-8")
    names = {*re.findall(r"import \w+ as (\w+)", stub), *re.findall(r"^(\w+):", stub, re.MULTILINE)}
    assert names >= set(sevis.__all__)
    assert sorted(names - set(re.findall(r"`sevis\.(\w+)`", PAGE))) == []
    assert sorted(set(re.findall(r"\bsevis\.(\w+)\(", PAGE)) - names) == []


def test_the_code_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEVIS_HOME", str(tmp_path / "home"))
    known: dict[str, object] = {}
    run = [code for info, code in fences(PAGE) if info == "python"]
    assert len(run) > 15
    assert sum(info == "python notest" for info, _ in fences(PAGE)) == 1
    for code in run:
        exec(compile(code, f"docs/python.md: {code.splitlines()[0]}", "exec"), known)
    told = capsys.readouterr().out
    assert told.splitlines()[0].split() == ["SE_2_1", "layer1.0.se", "128", "16.0", "Sigmoid"]
    assert all(f"\n{name} " in told for name in ("agnostic", "specific", "saturated", "scaled"))
    assert "the nearest are" in told
    same, statistics = known["same"], known["statistics"]
    assert isinstance(same, sevis.ClassStatistics)
    assert isinstance(statistics, sevis.ClassStatistics)
    np.testing.assert_allclose(same.mean("SE_4_6"), statistics.mean("SE_4_6"), atol=1e-5)
    assert known["grafted"] is not known["plain"]
