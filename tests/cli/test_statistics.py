"""The commands that make, draw, export and tell class statistics, called in this process."""

import csv
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import sevis
from sevis.analysis.formulas import mean_share
from sevis.analysis.saved_profile import load_profile
from sevis.cli.parser import main
from sevis.files import sha256
from sevis.weights.adopt import adopt
from sevis.weights.card import DEFAULT, read_card
from tests.helpers.pictures import write_colours, zipped
from tests.helpers.shelves import write_small_index, write_small_shelf


def test_collect_takes_the_networks_own_classes_by_default(tmp_path: Path, network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["red fox", "grey wolf", "polar bear", "sea otter", "ring-tailed lemur"]
    for name in (*names, "not of this network"):
        (tmp_path / "data" / "val" / name).mkdir(parents=True)
        Image.new("RGB", (32, 32), (200, 10, 10)).save(tmp_path / "data" / "val" / name / "1.png")
    archive = zipped(tmp_path / "data")
    shelf = tmp_path / "pretrained"
    shelf.mkdir()
    save_file(network.state_dict(), shelf / "small.safetensors")
    entry = {
        "architecture": {"name": "se_resnet18", "num_classes": 5, "width": 0.125, "reduction": 4},
        "classes": names,
        "wnids": names,
        "preprocessing": {"resize": 32, "crop": 32},
        "sha256": sha256(shelf / "small.safetensors"),
    }
    (shelf / "index.json").write_text(json.dumps({"small": entry}))
    out = tmp_path / "out.safetensors"
    places = {"SEVIS_PRETRAINED": str(shelf), "SEVIS_DATA": str(archive)}
    for name, value in places.items():
        monkeypatch.setenv(name, value)
    assert main(["collect", "--model", "small", "--out", str(out)]) == 0
    assert sevis.ClassStatistics.load(out).classes == tuple(names)


def test_collect_and_figure6_of_any_network(elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    goldfish, cat = "n01443537", "n02123045"
    for folder in (goldfish, cat, "of no class"):
        (elsewhere / "photos" / folder).mkdir(parents=True)
        Image.new("RGB", (40, 30), (200, 90, 10)).save(elsewhere / "photos" / folder / "1.png")
    archive = zipped(elsewhere / "photos")
    network = ["--model", "mobilenetv3_small_050", "--weights", "random"]
    monkeypatch.setenv("SEVIS_DATA", str(archive))
    assert main(["collect", *network]) == 0
    out = Path(capsys.readouterr().out.split(":")[0])
    ready = sevis.load("mobilenetv3_small_050", weights="random", device="cpu")
    assert out == ready.card.statistics_path
    assert out.is_relative_to(elsewhere / "home")
    statistics = sevis.ClassStatistics.load(out)
    assert statistics.metadata["weights"] == ready.card.sha256
    assert statistics.metadata["wnids"] == [goldfish, cat]  # those that the network knows
    assert main(["figure6", *network, "--classes", *statistics.classes, "--out", str(elsewhere / "figure.html")]) == 0
    assert statistics.classes == ("goldfish", "tabby"), "as the network names them"
    assert "goldfish" in (elsewhere / "figure.html").read_text()


def test_one_is_told_what_no_longer_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    data, shelf = write_colours(tmp_path / "data", train=1, val=2), tmp_path / "shelf"
    shelf.mkdir()
    write_small_shelf(shelf)
    write_small_index(shelf, wnids=["blue", "green", "red"])
    monkeypatch.setenv("SEVIS_PRETRAINED", str(shelf))
    collect = ["collect", "--model", "small", "--data", str(data)]
    assert main(collect) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1, "no statistics came with it"
    card = read_card("small")
    own, ships = card.place("statistics"), shelf / "small.statistics.safetensors"
    own.rename(ships)
    assert main([*collect, "--out", str(tmp_path / "other")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    for what, words in (("statistics", collect), ("statistics", collect), ("audit", ["audit", *collect[1:]])):
        (shelf / "small.audit.json").write_text("{}")
        assert main(words) == 0
        told = capsys.readouterr().out.splitlines()[-1]
        assert told.endswith(f"the shipped {what}. Delete {card.place(what)} to see the shipped {what} again.")
    assert card.statistics_path == own
    own.unlink()
    assert card.statistics_path == ships


def test_the_tables_and_the_report_of_a_network_by_its_name(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_colours(elsewhere / "colours", train=1, val=5)
    write_small_shelf(elsewhere / "shelf")
    adopt("mine", sevis.load("small", device="cpu"), classes=["blue", "green", "red"])
    out, spread, page, table = (str(elsewhere / name) for name in ("figure.html", "spread.html", "report.html", "table.npz"))
    assert main(["report", "--model", "mine", "--out", page]) == 2
    assert "there are no class statistics at" in capsys.readouterr().err
    assert main(["collect", "--model", "mine", "--data", str(data)]) == 0
    for words in (["report", "--out", page], ["export", "--out", table], ["figure6", "--out", out], ["figure7", "--out", spread]):
        assert main([*words, "--model", "mine"]) == 0
    assert "mine" in Path(page).read_text()
    text = Path(spread).read_text()
    assert "blue: SE_" in text
    assert "green: SE_" in text
    assert "red: SE_" not in text
    assert np.load(table)["classes"].tolist() == ["blue", "green", "red"]


def test_collect_some_images_of_each_class_into_a_compact_file_with_its_profile(tmp_path: Path) -> None:
    data = write_colours(tmp_path / "data", train=1, val=6)
    whole, small = tmp_path / "whole", tmp_path / "small"
    assert main(["collect", "--data", str(data), "--per-class", "5", "--out", str(whole)]) == 0
    assert main(["collect", "--data", str(data), "--per-class", "5", "--compact", "--out", str(small)]) == 0
    first, second = (sevis.ClassStatistics.load(path) for path in (whole, small))
    assert (first.compact, second.compact) == (False, True)
    assert first.count.tolist() == second.count.tolist() == [5, 5, 5]
    assert second.metadata["per_class"] == 5
    for site in first.sites:
        np.testing.assert_allclose(second.mean(site), first.mean(site), atol=0.5 / 255)
    profile = load_profile(tmp_path / "small.profile.json", second)
    assert profile.sites == first.sites
    assert profile.per_class == 5
    assert not (tmp_path / "whole.profile.json").exists()


def test_a_compact_files_profile_compares_with_the_network_before_any_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_colours(tmp_path / "data", train=1, val=6)
    floor, small = tmp_path / "floor", tmp_path / "small"
    untrained = ["--untrained", str(floor)]
    assert main(["collect", "--data", str(data), "--weights", "random", "--out", str(floor)]) == 0
    assert main(["collect", "--data", str(data), "--compact", *untrained, "--out", str(small)]) == 0
    profile = load_profile(tmp_path / "small.profile.json", sevis.ClassStatistics.load(small))
    random = sevis.ClassStatistics.load(floor)
    shares = [mean_share(random.mean(site), random.m2(site), random.count) for site in random.sites]
    np.testing.assert_allclose(profile.untrained, shares)
    assert not np.allclose(profile.untrained, profile.curves["class_share"].estimate)
    capsys.readouterr()
    assert main(["collect", "--data", str(data), *untrained, "--out", str(tmp_path / "whole")]) == 2
    assert "--untrained is for the depth profile, which --compact writes: add --compact" in capsys.readouterr().err
    assert main(["collect", "--data", str(data), "--per-class", "3", "--compact", *untrained, "--out", str(small)]) == 2
    assert "expected class statistics of the same network with random weights, on the same images" in capsys.readouterr().err


def test_collect_tells_what_it_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_colours(tmp_path / "data", train=1, val=50)
    (data / "val" / "purple").mkdir()
    (data / "val" / "red" / "3.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    assert main(["collect", "--data", str(data), "--out", str(out), "--sample", "2"]) == 0
    told = capsys.readouterr()
    assert told.out == (
        f"{out}: 149 images of 3 classes; left out, because they cannot be read: val/red/3.png; "
        "not used as classes, because they hold no image: purple\n"
    )
    assert re.search(r"collecting .*100%.*150/150.* images/s", told.err), "a progress bar"
    statistics = sevis.ClassStatistics.load(out)
    assert statistics.metadata["broken"] == ["val/red/3.png"]
    assert len(statistics.sample("SE_5_3").ids) == 6


def test_names_that_are_no_text_are_told_with_escapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_colours(tmp_path / "data", train=1, val=50)
    strange = os.fsdecode(b"caf\xe9")
    try:
        (data / "val" / "red").rename(data / "val" / strange)
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    (data / "val" / strange / "3.png").write_bytes(b"no picture")
    (data / "val" / f"{strange} empty").mkdir()
    out, table = tmp_path / "out", tmp_path / "out.csv"
    assert main(["collect", "--data", str(data), "--out", str(out), "--sample", "0"]) == 0
    told = capsys.readouterr().out.encode().decode()
    assert r"cannot be read: val/caf\udce9/3.png; not used as classes, because they hold no image: caf\udce9 empty" in told
    assert sevis.ClassStatistics.load(out).classes == ("blue", r"caf\udce9", "green", "red")
    assert main(["export", str(out), "--out", str(table)]) == 0
    assert r"caf\udce9" in table.read_text(encoding="utf-8")


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_colours(tmp_path / "data", train=1, val=1)
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr("sevis.experiments.collection.collect_dataset", lambda *_, **__: pytest.fail("it began"))
    assert main(["collect", "--data", str(data), "--out", str(tmp_path / "file" / "new" / "out")]) == 2
    assert f"cannot be written, because {tmp_path / 'file'} is not a folder" in capsys.readouterr().err
    monkeypatch.setattr("os.access", lambda *_: False)
    assert main(["collect", "--data", str(data), "--out", str(tmp_path / "new" / "out")]) == 2
    assert f"cannot be written, because {tmp_path} is not a folder that you may write to" in capsys.readouterr().err


def test_collect_of_flat_files_and_of_some_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "flat").mkdir()
    lines = []
    for number, path in enumerate(sorted(write_colours(tmp_path / "data", train=1, val=4).glob("val/*/*.png"))):
        path.rename(tmp_path / "flat" / f"{number}.png")
        lines.append(f"{number}.png {path.parent.name}")
    (tmp_path / "labels.txt").write_text("\n".join(lines))
    words = ["collect", "--data", str(tmp_path / "flat"), "--labels", str(tmp_path / "labels.txt"), "--out", str(tmp_path / "out")]
    assert main([*words, "--classes", "red,blue", "--bf16", "--channels-last", "--workers", "1"]) == 0
    assert "8 images of 2 classes\n" in capsys.readouterr().out
    statistics = sevis.ClassStatistics.load(tmp_path / "out")
    assert (statistics.classes, statistics.count.tolist()) == (("red", "blue"), [4, 4])
    assert statistics.metadata["precision"] == "bfloat16 autocast"


def test_export_writes_the_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    statistics = sevis.ClassStatistics({"SE_2_1": 3}, ("cat", "dog"), sample=2)
    values = np.random.default_rng(0).random((5, 3), dtype=np.float32)
    statistics.update(np.array([0, 0, 1, 1, 1]), {"SE_2_1": {"squeeze": values, "scale": values}})
    statistics.save(tmp_path / "in")
    assert main(["export", str(tmp_path / "in"), "--out", str(tmp_path / "out.csv")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out.csv'}\n"
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["class"] == "dog" and row["statistic"] == "scale mean"]
    np.testing.assert_allclose([float(row["value"]) for row in rows], values[2:].mean(axis=0), rtol=1e-6)


def test_report_writes_a_page_of_the_shipped_statistics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--out", str(tmp_path / "out.html")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out.html'}\n"
    assert DEFAULT in (tmp_path / "out.html").read_text()
