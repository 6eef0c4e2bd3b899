"""The grid against the paper's tables and `sevis.build`, the statistics against scipy, and files that may come from anyone."""

import json

import numpy as np
import pytest
from msgspec.structs import replace
from scipy import stats

from sevis.ablations.grid import BASELINE, KEYS, PLAIN
from sevis.ablations.results import Ablations, Estimate, read_ablations
from sevis.ablations.run_grid import Grid
from sevis.ablations.runs import load_record, save_record
from sevis.errors import SevisError
from tests.helpers.made_up_runs import BASE, DATA, make_divergence, make_grid, make_run


def test_summaries_equal_numpys_and_differences_are_paired():
    grid = Ablations(make_grid(4))
    for key in KEYS:
        runs, base = grid.seeds(key), grid.seeds(BASELINE)
        errors, others = (np.array([100 - 100 * some[seed].top1 for seed in range(4)]) for some in (runs, base))
        summary = grid.summary(key)
        assert summary.error.mean == pytest.approx(errors.mean())
        assert summary.error.interval == pytest.approx(stats.t.interval(0.95, 3, loc=errors.mean(), scale=stats.sem(errors)))
        assert (summary.parameters, summary.error.seeds) == (1000, 4)
        if key != BASELINE:
            assert summary.difference.mean == pytest.approx(np.mean(errors - others))
            assert summary.difference.interval == pytest.approx(tuple(stats.ttest_rel(errors, others).confidence_interval(0.95)))
    assert grid.summary(BASELINE).difference is None
    assert (grid.summary(PLAIN).alive, grid.summary(PLAIN).freezing) == (None, None)
    assert (grid.summary("max").alive.mean, grid.summary("max").freezing.mean) == pytest.approx((0.1, 5.0))


def test_only_seeds_in_common_are_paired():
    found = Ablations((("SE", make_run("SE", 0, top1=0.5)), ("SE", make_run("SE", 2, top1=0.9)), ("max", make_run("max", 2, top1=0.8))))
    assert found.difference("max", "SE") == Estimate(pytest.approx(10.0), None, 1)
    assert found.difference("max", "relu") is None
    assert found.summary("relu") is None
    assert found.keys == ("SE", "max")
    with pytest.raises(SevisError, match="no variant 'min'"):
        found.seeds("min")
    with pytest.raises(SevisError, match="no run yet"):
        _ = Ablations().base


def test_a_saved_file_is_the_same_but_for_the_rounding(tmp_path):
    found = Ablations(make_grid())
    found.save(tmp_path / "a.json")
    loaded = Ablations.load(tmp_path / "a.json")
    assert [key for key, _ in loaded.runs] == [key for key, _ in found.runs]
    assert [replace(run, rows=(), gates=None) for _, run in loaded.runs] == [replace(run, rows=(), gates=None) for _, run in found.runs]
    assert loaded.summary("max").freezing.mean == pytest.approx(found.summary("max").freezing.mean, abs=1e-3)
    assert loaded.runs[0][1].rows[0]["train_loss"] == 1.23457
    assert loaded.base == replace(BASE, bias=False)
    loaded.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.json").stat().st_size < 2**20


def test_the_shipped_place_is_read_by_default(tmp_path, monkeypatch):
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    with pytest.raises(SevisError, match=r"no ablations at .*ablations.json: make them with python -m sevis ablate"):
        read_ablations()
    Ablations(make_grid(1)).save(tmp_path / "ablations.json")
    assert len(read_ablations().runs) == 19
    Ablations(make_grid(2)).save(tmp_path / "home" / "ablations.json")
    assert len(read_ablations().runs) == 38, "the user's, which hold those that ship"


def test_runs_that_ship_count_as_done(tmp_path):
    known = tmp_path / "known.json"
    Ablations(make_grid(1)).save(known)
    grid = Grid(BASE, (), tmp_path / "runs", tmp_path / "home" / "out.json", known)
    assert len(grid.collect().runs) == len(Ablations.load(grid.out).runs) == 19
    known.unlink()
    assert len(grid.gather().runs) == 19


def test_runs_are_added_once_and_stand_seed_by_seed():
    second, first = ("max", make_run("max", 1)), ("relu", make_run("relu", 0))
    found = Ablations((second,)).with_runs([first, ("max", make_run("max", 1, top1=0.9)), ("SE", make_run("SE", 1))])
    assert [(key, run.recipe.seed) for key, run in found.runs] == [("relu", 0), ("SE", 1), ("max", 1)]
    assert found.seeds("max")[1].top1 == 0.5


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        ([("r=4", make_run("r=2"))], "the key of a run is r=4, but its recipe is that of another variant"),
        ([("stages 4", make_run("stages 4", recipe=replace(make_run("stages 4").recipe, bias=True)))], "that of another variant"),
        ([("SE", make_run("SE")), ("SE", make_run("SE"))], "two runs of SE with seed 0"),
        ([("SE", make_run("SE")), ("max", make_run("max", base=replace(BASE, epochs=3)))], "epochs is 2 in one run and 3 in another"),
        ([("SE", make_run("SE")), ("max", make_run("max", data=replace(DATA, classes=("a", "b", "c"))))], "the classes differ"),
        ([("SE", make_run("SE")), ("max", make_run("max", data=replace(DATA, val_images=3)))], "the val images differ"),
        ([("SE", make_run("SE", gates=None))], "lacks the measurements of its gates"),
        ([("plain", make_run("plain", gates=make_run("SE").gates))], "has some although it has no gates"),
        ([("SE", make_run("SE", rows=()))], "no curve"),
        ([("SE", make_run("SE", rows=({"epoch": 1},)))], "no curve, or a damaged curve"),
    ],
)
def test_what_cannot_be_compared_is_refused(runs, reason):
    with pytest.raises(SevisError, match=reason):
        Ablations(tuple(runs))


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
