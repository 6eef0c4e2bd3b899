"""The commands that list networks, their SE blocks, and take a user's own."""

import json
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

import sevis
from sevis.cli.parser import main
from sevis.recipe import Recipe
from sevis.training.training import train
from sevis.weights.card import DEFAULT
from tests.helpers.cards import ENTRY
from tests.helpers.pictures import open_colours, write_colours


def test_models_lists_what_can_be_loaded_and_built(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    told = capsys.readouterr().out
    for name in (*sevis.list_pretrained(), *sevis.list_models()):
        assert name in told


@pytest.mark.parametrize(
    "name", ["mobilenetv3_small_050", "torchvision/mobilenet_v3_small", "torchvision/regnet_y_400mf", "legacy_seresnet18", DEFAULT]
)
def test_sites_prints_every_block_without_any_weights(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    if name == DEFAULT:
        monkeypatch.delenv("SEVIS_PRETRAINED")
    assert main(["sites", name]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "module", "channels", "hidden", "r", "gate", "bias", "form"]
    model = sevis.load(name, weights="random", device="cpu").model
    expected = sevis.find_sites(model)
    assert len(lines) == len(expected) > 7
    for line, site in zip(lines, expected, strict=True):
        block = model.get_submodule(site.path)
        first, _, gate = (block.get_submodule(part) for part in site.parts)
        hidden, channels = first.weight.shape[:2]
        told = [site.name, site.path, str(channels), str(hidden), f"{channels / hidden:.4g}", type(gate).__name__]
        assert line.split() == [*told, "no" if first.bias is None else "yes", "s", "*", "u"]


def test_sites_tells_what_looks_alike_and_which_forms_there_are(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sites", "ghostnetv2_100"]) == 0
    blocks, others = capsys.readouterr().out.split("\nwhat looks like an SE block, and is none:\n")
    assert len(blocks.splitlines()) == 1 + 7
    head, *lines = others.splitlines()
    assert head.split() == ["module", "class", "why"]
    assert all(line.split()[1] == "GhostModuleV2" for line in lines)
    assert main(["sites", "torchvision/resnet18"]) == 2
    assert "has no Squeeze-and-Excitation block" in capsys.readouterr().err
    assert main(["sites", "timm/eca_resnext26ts"]) == 2
    assert "EcaModule are not SE blocks: it convolves the means of the channels, as ECA does" in capsys.readouterr().err


def test_a_network_too_large_to_run_is_told_by_its_layers(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sevis.cli.networks.LARGE", 1000)
    assert main(["sites", "mobilenetv3_small_050"]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("The list is by the layers alone, because no forward pass was possible: it has more than")


def test_a_network_of_ones_own_in_one_command(
    elsewhere: Path, photo: Path, trained: tuple[Path, nn.Module], capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / "names.txt").write_text("red fox\ngrey wolf\n\npolar bear\n")
    words = ["--network", "mobilenetv3_small_050", "--weights", str(trained[0]), "--classes", str(elsewhere / "names.txt")]
    assert main(["add", "mine", *words]) == 0
    assert "mine: 3 classes" in capsys.readouterr().out
    assert main(["models"]) == 0
    assert "mine: 3 classes\n" in capsys.readouterr().out
    assert main(["explain", str(photo), "--model", "mine", "--json"]) == 0
    assert {entry["class"] for entry in json.loads(capsys.readouterr().out)["top"]} == {"red fox", "grey wolf", "polar bear"}
    assert main(["add", "mine", *words]) == 2
    assert "there is a network called mine already" in capsys.readouterr().err


def test_a_network_of_ones_own_gets_imagenets_names_where_one_says_so(
    elsewhere: Path, trained: tuple[Path, nn.Module], capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(timm.create_model("mobilenetv3_small_050").state_dict(), elsewhere / "thousand.pth")
    words = ["--network", "mobilenetv3_small_050", "--classes", "imagenet", "--weights"]
    assert main(["add", "three", *words, str(trained[0])]) == 2
    assert "no list of ImageNet's has 3 classes" in capsys.readouterr().err
    assert main(["add", "thousand", *words, str(elsewhere / "thousand.pth")]) == 0
    assert sevis.load("thousand", device="cpu").classes[1] == "goldfish"


def test_a_checkpoint_needs_no_name(elsewhere: Path, trained: tuple[Path, nn.Module], capsys: pytest.CaptureFixture[str]) -> None:
    data = open_colours(write_colours(elsewhere / "colours", train=4, val=1))
    recipe = Recipe(model="se_resnet18", width=0.125, reduction=4, stem="small", size=32, epochs=1, batch_size=6)
    train(recipe, data, elsewhere / "run")
    checkpoint = str(elsewhere / "run" / "checkpoint.pt")
    assert main(["add", "mine", "--weights", checkpoint]) == 0
    assert "mine: 3 classes" in capsys.readouterr().out
    theirs = sevis.load(checkpoint, device="cpu")
    for key, value in sevis.load("mine", device="cpu").model.state_dict().items():
        assert torch.equal(value, theirs.model.state_dict()[key])
    tables = []
    for words in ([checkpoint], ["mine"], [checkpoint, "--weights", "random"]):
        assert main(["sites", *words]) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] == tables[1] == tables[2]
    assert tables[0].count("SE_") == 8
    for words in (["add", "other", "--weights", "gone.pt"], ["add", "other", "--weights", "gone"], ["sites", "gone.pt"]):
        assert main(words) == 2
        assert "there is no file of weights at gone" in capsys.readouterr().err
    assert main(["add", "other", "--weights", str(trained[0])]) == 2
    assert "does not name its network" in capsys.readouterr().err


def test_one_damaged_entry_does_not_end_the_list(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = {"broken": {"sha256": 5}, "whole": ENTRY}
    (elsewhere / "shelf" / "index.json").write_text(json.dumps(index))
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("  the entry of broken in index.json is damaged")
    assert lines[2] == "described, their weights are not here:"
    assert lines[3].startswith("  whole: 3 classes")


def test_a_damaged_index_of_ones_own_is_one_line(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (elsewhere / "home").mkdir()
    (elsewhere / "home" / "index.json").write_text("[]")
    assert main(["models"]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if "your own" in line]
    assert told == [
        f"not listed, your own networks: {elsewhere / 'home' / 'index.json'} should hold one entry per network: repair it, or delete it "
        "(the files of weights stay)"
    ]
