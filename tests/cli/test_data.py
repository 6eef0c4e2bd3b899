"""The command that says where data is, and how a command tells what it made of a data set."""

from argparse import Namespace
from pathlib import Path

import pytest

import sevis
from sevis.cli import main
from sevis.cli.data import number_classes, open_data
from sevis.data.datasets import open_dataset
from sevis.weights.card import list_pretrained, read_card
from sevis.weights.describe import describe
from tests.helpers.pictures import fill, write_classes, write_colours
from tests.helpers.processes import run_sevis
from tests.helpers.shelves import write_small_index, write_small_shelf


def test_data_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny-imagenet-200.zip").touch()
    for place, told in ((tmp_path, str(tmp_path)), (tmp_path / "elsewhere", "not found")):
        monkeypatch.setenv("SEVIS_DATA", str(place))
        assert main(["data"]) == 0
        assert told in capsys.readouterr().out


def test_what_a_data_set_leaves_out_is_told_by_one_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = fill(write_classes(tmp_path / "pets", "valid/cat/0.png", "valid/dog/1.png", "train/dog/2.png"), {"valid/cat/1.tif": b"II*\0"})
    for _ in range(2):
        assert len(open_data(Namespace(data=root), "val")) == 2
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == f"pets: there is no folder val in {root}, so its folder valid is taken"
        assert lines[1].startswith("pets: .tif: 1 file is not read, because only .png")
        assert len(lines) == 2
    told = run_sevis("collect", "--data", root, "--out", tmp_path / "out", RANK="0")
    assert told.returncode == 0
    assert lines == [line for line in told.stderr.splitlines() if line.startswith("pets: ")]


def test_a_flat_folder_is_audited_by_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    colours, shelf = write_colours(tmp_path / "data", train=1, val=2) / "val", tmp_path / "shelf"
    shelf.mkdir()
    write_small_shelf(shelf)
    write_small_index(shelf, wnids=["blue", "green", "red"])
    monkeypatch.setenv("SEVIS_PRETRAINED", str(shelf))
    flat = fill(tmp_path / "flat", {f"{path.parent.name}{path.name}": path.read_bytes() for path in colours.glob("*/*.png")})
    assert main(["audit", "--model", "small", "--data", str(flat)]) == 2
    assert "6 images lie in" in capsys.readouterr().err
    labels, out = tmp_path / "list.csv", tmp_path / "audit.json"
    labels.write_text("file;label\nblue0.png;blue\nblue1.png;blue\nred0.png;red\nred1.png;red\n")
    assert main(["audit", "--model", "small", "--data", str(flat), "--labels", str(labels), "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert "flat: 2 images are on no line of" in told.err
    assert sevis.Audit.load(out).metadata.images == 4


def test_the_numbers_of_imagenets_classes_are_taken_for_them_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbered = open_dataset(fill(tmp_path / "v2", {f"{number}/0.png": b"" for number in range(1000)}))
    card = describe("legacy_seresnet50")
    named = number_classes(numbered, card)
    assert named.wnids[named.labels[named.files.index("1/0.png")]] == card.wnids[1] == "n01443537"  # type: ignore[index]
    assert named.classes[:2] == ("tench", "goldfish")
    assert "v2: its folders are numbers, which are taken for the outputs of legacy_seresnet50" in capsys.readouterr().err
    fewer = open_dataset(fill(tmp_path / "few", {f"{number}/0.png": b"" for number in range(3)}))
    assert number_classes(fewer, card) is fewer
    assert number_classes(fewer, read_card(list_pretrained()[0])) is fewer
    assert capsys.readouterr().err == ""
