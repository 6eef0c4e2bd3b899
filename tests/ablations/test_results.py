"""The grid against the paper's tables and `sevis.build`, the statistics against scipy, and files that may come from anyone."""

import json

import numpy as np
import pytest
from msgspec.structs import replace
from scipy import stats

from sevis import networks, paper
from sevis.ablations.grid import BASELINE, KEYS, PLAIN, VARIANTS, find_variant, tables
from sevis.ablations.report import caveats, describe, is_dead, report, say
from sevis.ablations.results import Ablations, Estimate, read_ablations
from sevis.ablations.runs import load_record, save_record
from sevis.analysis.intervals import student
from sevis.errors import SevisError
from tests.helpers.made_up_runs import BASE, DATA, make_grid, make_run, several


def test_each_variant_is_another_network():
    recipes = [variant.recipe(BASE, 0) for variant in VARIANTS]
    assert len({str(recipe.architecture(3)) for recipe in recipes}) == len(VARIANTS) == 19
    assert len({variant.slug for variant in VARIANTS}) == 19
    assert {recipe.seed for recipe in recipes} == {0}


def test_every_row_of_the_paper_is_measured_with_the_network_that_it_is_of():
    rows = [(table.number, row) for table in tables() for row in table.rows if row.printed]
    assert [(number, row.label, row.printed) for number, row in rows] == [
        (entry.table, entry.label, entry.printed) for entry in paper.ABLATIONS
    ]
    width = replace(BASE, width=1.0)
    for (_, row), entry in zip(rows, paper.ABLATIONS, strict=True):
        recipe = find_variant(row.key).recipe(width, 0)
        expected = networks.DEFAULTS | dict(entry.options) | {"name": entry.name, "num_classes": 3}
        assert recipe.architecture(3).arguments() == {name: value for name, value in expected.items() if value is not None}
    more = [row for table in tables() for row in table.rows if not row.printed]
    assert [find_variant(row.key).recipe(width, 0).architecture(3).stages for row in more] == [(5,), (2, 3, 4)]
    assert {row.key for table in tables() for row in table.rows} == set(KEYS)


def test_a_recipe_keeps_what_the_grid_does_not_vary():
    base = replace(BASE, reduction=8, gate="tanh", bias=True, epochs=7, label_smoothing=0.0)
    recipe = find_variant("max").recipe(base, 5)
    assert (recipe.epochs, recipe.label_smoothing, recipe.seed) == (7, 0.0, 5)
    assert (recipe.reduction, recipe.gate, recipe.bias, recipe.squeeze) == (16, "sigmoid", False, "max")
    assert find_variant(PLAIN).recipe(base, 5).model == "resnet50"
    with pytest.raises(SevisError, match="resnet18 has no SE to vary"):
        find_variant(BASELINE).recipe(replace(base, model="resnet18"), 0)
    with pytest.raises(SevisError, match="no variant 'r=3'; the nearest are 'r="):
        find_variant("r=3")


@pytest.mark.parametrize("count", [2, 3, 7])
def test_students_interval_equals_scipys(count):
    values = np.random.default_rng(count).normal(50, 2, count)
    expected = stats.t.interval(0.95, count - 1, loc=values.mean(), scale=stats.sem(values))
    assert student(values.tolist()) == pytest.approx(expected)
    expected = stats.t.interval(0.995, count - 1, loc=values.mean(), scale=stats.sem(values))
    assert student(values.tolist(), level=0.995) == pytest.approx(expected)


def test_one_value_has_no_interval_and_none_is_an_error():
    assert student([3.0]) is None
    with pytest.raises(SevisError, match="at least one value"):
        student([])


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


def test_runs_are_added_once_and_stand_seed_by_seed():
    second, first = ("max", make_run("max", 1)), ("relu", make_run("relu", 0))
    found = Ablations((second,)).with_runs([first, ("max", make_run("max", 1, top1=0.9)), ("SE", make_run("SE", 1))])
    assert [(key, run.recipe.seed) for key, run in found.runs] == [("relu", 0), ("SE", 1), ("max", 1)]
    assert found.seeds("max")[1].top1 == 0.5


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        ([("r=4", make_run("r=2"))], "a run is called r=4, but its recipe is another variant's"),
        ([("stages 4", make_run("stages 4", recipe=replace(make_run("stages 4").recipe, bias=True)))], "another variant's"),
        ([("SE", make_run("SE")), ("SE", make_run("SE"))], "two runs of SE with seed 0"),
        ([("SE", make_run("SE")), ("max", make_run("max", base=replace(BASE, epochs=3)))], "epochs is 2 in one and 3 in another"),
        ([("SE", make_run("SE")), ("max", make_run("max", data=replace(DATA, classes=("a", "b", "c"))))], "the classes differ"),
        ([("SE", make_run("SE")), ("max", make_run("max", data=replace(DATA, val_images=3)))], "the val images differ"),
        ([("SE", make_run("SE", gates=None))], "lacks what was measured of its gates"),
        ([("plain", make_run("plain", gates=make_run("SE").gates))], "has none to measure"),
        ([("SE", make_run("SE", rows=()))], "no curve"),
        ([("SE", make_run("SE", rows=({"epoch": 1},)))], "no curve, or a damaged one"),
    ],
)
def test_what_cannot_be_compared_is_refused(runs, reason):
    with pytest.raises(SevisError, match=reason):
        Ablations(tuple(runs))


def change(**fields):
    return lambda stored: stored["runs"][0].update(fields)


def change_in(part, **fields):
    return lambda stored: stored["runs"][0][part].update(fields)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (change(variant="SE"), "a run is called SE"),
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
    with pytest.raises(SevisError, match=r"max.json is damaged \(a run is called none.*: delete it"):
        load_record(path)


def test_the_report_says_what_was_run_and_what_it_means():
    runs = [(key, make_run(key, run.recipe.seed, top1=run.top1, std=0.001) if key == "r=32" else run) for key, run in make_grid()]
    found = Ablations(tuple(runs))
    text = report(found)
    for words in (
        "se_resnet50 at 0.25 of its width, on 36 images of 3 classes of made-up at 16 pixels, 2 epochs; tested on 1,000 others,",
        "57 runs of 19 of the 19 variants, 3 of each (seeds 0, 1, 2), on cpu, 2026-11-26.",
        "Dead gates (s varies by less than 0.05 over images): r=32.",
        "## Table 13 of the paper: Stages with SE",
        "| SE Stage 5 (not in the paper) | – |",
        "| ResNet-50 | 23.30 |",
        "Without the squeeze (none, NoSqueeze) s differs from place to place",
        "was measured with sigmoid gates",
        "10 too close in the paper",
        "Of 37 different pairs of variants, ",
    ):
        assert words in text
    assert say(found.summary("max").error) in text
    assert is_dead(found.summary("r=32"))
    assert not is_dead(found.summary("SE"))
    partial = report(several(SE=[0.5, 0.6], max=[0.4]))
    assert "3 runs of 2 of the 19 variants, 1 to 2 of each" in partial
    assert "- not measured: 9 of 10 pairs" in partial
    assert "sigmoid gates" not in partial
    with pytest.raises(SevisError, match="no run yet"):
        describe(Ablations())


def test_numbers_in_words():
    assert say(Estimate(51.26, (50.01, 52.5), 3)) == "51.3 (50.0 to 52.5)"
    assert say(Estimate(-1.26, (-3.0, 0.5), 3), sign=True) == "−1.3 (−3.0 to +0.5)"
    assert say(Estimate(0.12345, None, 1), 3) == "0.123"
    assert say(-0.03, 2, sign=True) == "−0.03"
    assert say(22.5, 2) == "22.50"
    assert say(None) == "–"


def test_what_must_be_known_of_some_gates_is_said_of_them_alone():
    assert caveats(["SE", "max"]) == ""
    assert "sigmoid gates" in caveats(["SE", "relu"])
    assert "NoSqueeze" in caveats(["none"])
    assert "sigmoid gates" not in caveats(["none"])
