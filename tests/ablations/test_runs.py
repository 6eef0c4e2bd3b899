"""The record of a run, finished or diverged: what is changed in it is refused, wherever it comes from."""

import json

import pytest

from sevis.ablations.results import Ablations
from sevis.ablations.runs import load_record, save_record
from sevis.errors import SevisError
from tests.helpers.made_up_runs import make_divergence, make_run


def change(**fields):
    return lambda stored: stored["runs"][0].update(fields)


def change_in(part, **fields):
    return lambda stored: stored["runs"][0][part].update(fields)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (change(variant="SE"), "the key of a run is SE"),
        (change(variant=["max"]), "no variant"),
        (change(top1="high"), r"Expected `float`, got `str` - at `\$\.top1`"),
        (change(top1=-0.5), r"Expected `float` >= 0\.0 - at `\$\.top1`"),
        (change(top5=1.2), r"Expected `float` <= 1\.0 - at `\$\.top5`"),
        (change(top5=10**400), r"out of range|<= 1"),
        (change(seconds=10**400), r"at `\$\.seconds`|out of range"),
        (change(parameters=10**400), r"at `\$\.parameters`"),
        (change(parameters=0.5), r"Expected `int`, got `float` - at `\$\.parameters`"),
        (change(parameters=0), r"Expected `int` >= 1 - at `\$\.parameters`"),
        (change(recipe=None), r"Expected `object`, got `null` - at `\$\.recipe`"),
        (change(device=1), r"at `\$\.device`"),
        (change(data={}), r"missing required field `name` - at `\$\.data`"),
        (change(rows=3), r"at `\$\.rows`"),
        (change(rows=[[1]]), r"at `\$\.rows\[0\]`"),
        (change(rows=[{"epoch": "one"}]), r"at `\$\.rows\[0\]"),
        (change(gates={"std_over_images": True}), r"at `\$\.gates"),
        (change_in("gates", top1=10**400), r"at `\$\.gates\.top1`"),
        (change_in("gates", std_over_images=10**400), r"at `\$\.gates\.std_over_images`"),
        (change_in("gates", top1_frozen=-(10**400)), r"at `\$\.gates\.top1_frozen`"),
        (lambda stored: stored["runs"][0]["rows"][0].update(epoch=10**400), r"at `\$\.rows\[0\]"),
        (lambda stored: stored["runs"][0]["rows"][0].update(val_loss=10**400), r"at `\$\.rows\[0\]"),
        (change_in("recipe", width=10**400), r"at `\$\.recipe\.width`"),
        (change_in("recipe", epochs="many"), r"Expected `int`, got `str` - at `\$\.recipe\.epochs`"),
        (change_in("recipe", secret=1), r"unknown field `secret` - at `\$\.recipe`"),
        (change_in("recipe", seed="0"), r"at `\$\.recipe\.seed`"),
        (change_in("recipe", gate="swish"), "unknown gate 'swish'"),
        (lambda stored: stored["runs"][0]["recipe"].pop("model"), "lacks the model or the seed"),
        (lambda stored: stored["runs"][0]["recipe"].pop("seed"), "lacks the model or the seed"),
        (lambda stored: stored["runs"].append(stored["runs"][0]), ""),
        (lambda stored: stored["runs"].append(None), r"at `\$\.runs\[1\]`"),
        (lambda stored: stored.pop("runs"), "missing required field `runs`"),
        (lambda stored: stored.update(runs=3), r"at `\$\.runs`"),
        (lambda stored: stored.update(format="sevis-ablations-0"), r"'sevis-ablations-0' - at `\$\.format`"),
    ],
)
def test_a_changed_file_is_refused(tmp_path, spoil, reason):
    path = tmp_path / "a.json"
    Ablations((("max", make_run("max")),)).save(path)
    stored = json.loads(path.read_text())
    spoil(stored)
    path.write_text(json.dumps(stored))
    with pytest.raises(SevisError, match=rf"{reason}.*make it again with python -m sevis ablate"):
        Ablations.load(path)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda stored: stored["diverged"][0].update(variant="max"), "the key of a run is max"),
        (lambda stored: stored["diverged"][0].update(variant="swish"), "no variant 'swish'"),
        (lambda stored: stored["diverged"][0].update(reason="<b>nan</b>"), r"matching regex .* - at `\$\.reason`"),
        (lambda stored: stored["diverged"][0].update(reason="nan" * 100), r"matching regex .* - at `\$\.reason`"),
        (lambda stored: stored["diverged"][0].update(reason=["nan"]), r"Expected `str`, got `array` - at `\$\.reason`"),
        (lambda stored: stored["diverged"][0].pop("reason"), "the record of a training run"),
        (lambda stored: stored["diverged"][0].pop("data"), "missing required field `data`"),
        (lambda stored: stored["diverged"][0].update(data={}), r"missing required field `name` - at `\$\.data`"),
        (lambda stored: stored["diverged"][0]["data"].update(train_images=35), "the train images differ"),
        (lambda stored: stored["diverged"][0]["recipe"].update(epochs=3), "epochs is 2 in one run and 3 in another"),
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


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "null", '"x"', "\xff", "[" * 100_000, '{"format": NaN}', '{"format": "sevis-ablations-1", "runs": NaN}']
)
def test_a_file_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SevisError, match="make it again with python -m sevis ablate"):
        Ablations.load(path)


def test_a_huge_file_and_a_folder_are_refused(tmp_path):
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(SevisError, match="too large"):
        Ablations.load(tmp_path / "a.json")
    with pytest.raises(SevisError, match="cannot be read"):
        Ablations.load(tmp_path)


def test_a_record_is_a_file_of_its_own(tmp_path):
    path = tmp_path / "max.json"
    save_record(path, "max", make_run("max", 2))
    key, run = load_record(path)
    assert (key, run.recipe.seed) == ("max", 2)
    path.write_text(path.read_text().replace('"max"', '"none"', 1))
    with pytest.raises(SevisError, match=r"max.json is damaged \(the key of a run is none.*: delete it"):
        load_record(path)
