"""Runs whose training diverged: recorded once, never repeated, and told as a result."""

import json
import re
from pathlib import Path

import pytest

from sevis.ablations.agreement import compare
from sevis.ablations.grid import BASELINE, tables
from sevis.ablations.report import describe_order, report
from sevis.ablations.results import Ablations
from sevis.ablations.runs import REASON, load_record, save_record
from sevis.cli.parser import main
from sevis.errors import Diverged, SevisError
from sevis.recipe import Recipe
from sevis.training import training as experiments
from tests.helpers.made_up_runs import make_divergence, make_grid, make_run, several
from tests.helpers.pictures import open_colours, write_colours

BY_NUMBER = {table.number: table for table in tables()}
SMALL = ["ablate", "se_resnet18", "--width", "0.25", "--size", "16", "--data", "pictures", "--out", "all.json", "--only", "relu"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with pictures, which is the working directory."""
    write_colours(tmp_path / "pictures")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refuse(*_, **__):
    raise AssertionError("nothing is left to train")


def test_a_run_that_diverges_is_a_result_and_is_not_repeated(place, capsys, monkeypatch):
    def train(recipe, data, folder, *, options):
        folder.mkdir(parents=True)
        raise Diverged(f"the loss became nan in step {recipe.seed} of epoch 1", cure="lower the learning rate")

    monkeypatch.setattr(experiments, "train_and_measure", train)
    assert main([*SMALL, "--seeds", "2"]) == 0
    text = capsys.readouterr().out
    assert "2/2 relu, seed 1: diverged: the loss became nan in step 1 of epoch 1\n" in text
    assert "0 runs are in all.json, and 2 that diverged: python -m sevis" in text
    assert Ablations.load("all.json").reasons("relu") == {seed: f"the loss became nan in step {seed} of epoch 1" for seed in range(2)}
    folder = Path("runs/ablations")
    assert sorted(path.name for path in folder.iterdir()) == ["relu-seed0.json", "relu-seed1.json"]

    monkeypatch.setattr(experiments, "train_and_measure", refuse)
    Path("all.json").unlink()  # the files of the runs are enough
    assert main([*SMALL, "--seeds", "2"]) == 0
    assert "1/2 relu, seed 0: done already, diverged: the loss became nan in step 0" in capsys.readouterr().out
    for path in folder.iterdir():  # and so is that of all
        path.unlink()
    assert main([*SMALL, "--seeds", "2"]) == 0
    assert capsys.readouterr().out.count("done already") == 2
    assert main([*SMALL, "--seeds", "2", "--epochs", "1"]) == 2
    assert "epochs is 1 in one and 3 in another" in capsys.readouterr().err


def test_training_says_that_it_diverged_and_why(place):
    recipe = Recipe(model="se_resnet18", width=0.25, size=16, epochs=4, batch_size=8, gate="relu", learning_rate=100)
    with pytest.raises(Diverged, match="lower the learning rate") as caught:
        experiments.train_and_measure(recipe, open_colours(place / "pictures"), place / "run")
    assert str(caught.value).startswith(f"{caught.value.reason}: ")
    assert re.search(REASON, caught.value.reason)


def test_runs_that_diverged_are_kept_beside_the_others(tmp_path):
    path = tmp_path / "a.json"
    diverged = [("relu", make_divergence("relu", seed)) for seed in (1, 0)]
    found = Ablations(make_grid(1)[:3]).with_runs([*diverged, ("SE", make_divergence("SE"))])
    assert found.reasons("relu") == dict.fromkeys((0, 1), "the loss became nan in step 27 of epoch 1")
    assert found.reasons("SE") == {}, "this run is there"
    assert found.keys == ("SE", "plain", "r=2")
    found.save(path)
    loaded = Ablations.load(path)
    assert loaded.diverged == tuple(reversed(diverged))
    assert len(loaded.runs) == 3
    stored = json.loads(path.read_text())
    assert (stored["diverged"][0]["variant"], stored["diverged"][0]["recipe"]["seed"]) == ("relu", 0)
    stored.pop("diverged")  # as in a file of an earlier version
    path.write_text(json.dumps(stored))
    assert Ablations.load(path).diverged == ()
    save_record(path, *diverged[0])
    assert load_record(path) == diverged[0]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda stored: stored["diverged"][0].update(variant="max"), "a run is called max"),
        (lambda stored: stored["diverged"][0].update(variant="swish"), "no variant 'swish'"),
        (lambda stored: stored["diverged"][0].update(reason="<b>nan</b>"), r"matching regex .* - at `\$\.reason`"),
        (lambda stored: stored["diverged"][0].update(reason="nan" * 100), r"matching regex .* - at `\$\.reason`"),
        (lambda stored: stored["diverged"][0].update(reason=["nan"]), r"Expected `str`, got `array` - at `\$\.reason`"),
        (lambda stored: stored["diverged"][0].pop("reason"), "the record of a training run"),
        (lambda stored: stored["diverged"][0].pop("data"), "missing required field `data`"),
        (lambda stored: stored["diverged"][0].update(data={}), r"missing required field `name` - at `\$\.data`"),
        (lambda stored: stored["diverged"][0]["data"].update(train_images=35), "the train images differ"),
        (lambda stored: stored["diverged"][0]["recipe"].update(epochs=3), "epochs is 2 in one and 3 in another"),
        (lambda stored: stored["diverged"].append(stored["diverged"][0]), "two runs of relu with seed 0"),
        (lambda stored: stored["diverged"].append("relu"), r"got `str` - at `\$\.diverged\[1\]`"),
        (lambda stored: stored.update(diverged=3), r"at `\$\.diverged`"),
    ],
)
def test_a_changed_record_of_a_divergence_is_refused(tmp_path, spoil, reason):
    path = tmp_path / "a.json"
    Ablations((("SE", make_run("SE")),), (("relu", make_divergence("relu")),)).save(path)
    stored = json.loads(path.read_text())
    spoil(stored)
    path.write_text(json.dumps(stored))
    with pytest.raises(SevisError, match=rf"{reason}.*make it again with python -m sevis ablate"):
        Ablations.load(path)


def test_the_report_says_what_diverged_and_why():
    found = several(SE=[0.5, 0.6, 0.5], tanh=[0.4, 0.5])
    reasons = ["the loss became nan in step 47 of epoch 1", *2 * ["the loss became inf in step 3 of epoch 2"]]
    diverged = [("relu", make_divergence("relu", seed, reason=reason)) for seed, reason in enumerate(reasons)]
    text = report(found.with_runs([*diverged, ("tanh", make_divergence("tanh", 2))]))
    for words in (
        "5 runs of 2 of the 19 variants, 2 to 3 of each (seeds 0, 1, 2), on cpu, 2026-11-26. 4 more runs diverged.",
        "| relu | 0 | diverged | – | – | – | – |",
        "| tanh | 2 | 55.0 (",
        "relu: diverged in 3 of 3 seeds (with seed 0 the loss became nan in step 47 of epoch 1).\n",
        "tanh: diverged in 1 of 3 seeds (the loss became nan in step 27 of epoch 1); its numbers are of the other seeds.\n",
        "| ReLU | 23.47 | diverged | – |",
        "- with a variant that diverged: 2 of 3 pairs",
        ", 2 with a variant that diverged, ",
    ):
        assert words in text
    assert "diverged" not in report(found)


def test_what_diverged_is_not_called_unmeasured():
    runs = tuple((key, make_run(key, seed, top1=top1 + seed / 500)) for key, top1 in ((BASELINE, 0.6), ("tanh", 0.5)) for seed in range(3))
    text = describe_order(compare(BY_NUMBER[12], Ablations(runs, (("relu", make_divergence("relu")),))))
    assert text.startswith(
        "**Where it can be told, the order is the paper's.** Of 3 pairs of rows: 1 in the paper's order, 2 with a variant that diverged. An"
    )
    diverged = Ablations(runs, (("max", make_divergence("max")),))
    assert describe_order(compare(BY_NUMBER[11], diverged)) == "**What diverged has no order.**"
