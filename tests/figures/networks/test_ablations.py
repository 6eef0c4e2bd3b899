"""The figures of the ablations against the numbers that went in, and their sentences."""

from dataclasses import replace
from math import isnan

import numpy as np
import pytest

from sevis.ablations.agreement import compare
from sevis.ablations.grid import BASELINE, KEYS, tables
from sevis.ablations.report import brief_source, describe_deaths, describe_order, say_seeds
from sevis.ablations.results import Ablations, Estimate
from sevis.analysis.dead_gates import DEAD
from sevis.errors import SevisError
from sevis.figures.networks.ablations import (
    Dot,
    Gain,
    Life,
    error_dots,
    error_table,
    gain_dots,
    gain_table,
    gate_bars,
    gate_table,
    life_map,
    life_table,
)
from sevis.figures.networks.training_curves import (
    WINDOW,
    LiveCurve,
    curves_table,
    live_curves,
    live_table,
    seed_curves,
    smooth,
    training_curves,
)
from tests.helpers.made_up_runs import make_grid, make_run

DOTS = (
    Dot("Max", Estimate(41.0, (40.0, 42.5), 3), 22.57),
    Dot("Avg <b>", Estimate(40.0, None, 1), 22.28, baseline=True),
    Dot("not run", None, 23.0),
    Dot("not printed", Estimate(43.0, (42.0, 44.0), 3), None),
)
LIVES = (Life("r = 2", 40.0, 0.2, 3.0, True), Life("max", 39.0, 0.01, 0.1, False), Life("r = 16", 41.0, 0.1, 2.0, True))
TABLE_11 = next(table for table in tables() if table.number == 11)


def row(epoch, loss, top1):
    return {"epoch": epoch, "size": 32, "train_loss": loss + 0.5, "val_loss": loss, "top1": top1, "top5": 0.9, "seconds": 1.0}


RUNS = ([row(1, 3.0, 0.1), row(2, 2.0, 0.3)], [row(1, 3.4, 0.2), row(2, 2.6, 0.5), row(3, 1.0, 0.6)])


def test_each_error_stands_in_its_panel_with_its_interval():
    figure = error_dots(DOTS, title="Table 11")
    here, paper = figure.data
    np.testing.assert_allclose(here.x, [41.0, 40.0, 43.0])
    np.testing.assert_allclose(here.y, [0, 1, 3])
    np.testing.assert_allclose(here.error_x.array, [1.5, 0, 1])
    np.testing.assert_allclose(here.error_x.arrayminus, [1, 0, 1])
    np.testing.assert_allclose(paper.x, [22.57, 22.28, 23.0])
    np.testing.assert_allclose(paper.y, [0, 1, 2])
    assert (here.xaxis, paper.xaxis) == ("x", "x2")
    assert [line.x0 for line in figure.layout.shapes] == [40.0, 22.28], "the baseline's lines"
    assert list(figure.layout.yaxis.ticktext) == ["Max", "Avg &lt;b&gt;", "not run", "not printed"]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1], "the first row is on top"
    assert here.customdata[1] == "Avg &lt;b&gt;: 40.0 % (a single seed: no interval)"


def test_nothing_measured_leaves_the_paper_s_figures():
    here, paper = error_dots([replace(dot, measured=None) for dot in DOTS], title="").data
    assert len(here.x) == 0
    assert len(paper.x) == 3


def test_the_table_of_errors_leaves_out_what_is_not_known():
    table = error_table(DOTS)
    assert table["top1_error"] == ["41.0", "40.0", "", "43.0"]
    assert table["low"] == ["40.0", "", "", "42.0"]
    assert table["seeds"] == [3, 1, 0, 3]
    assert table["top1_error_paper"] == ["22.57", "22.28", "23.0", ""]


def test_accuracy_stands_beside_aliveness():
    figure = life_map(LIVES)
    assert [trace.name for trace in figure.data] == ["other tables", "r = 2", "r = 16"]
    assert [(trace.x[0], trace.y[0]) for trace in figure.data] == [(0.01, 61.0), (0.2, 60.0), (0.1, 59.0)]
    assert len({trace.marker.color for trace in figure.data}) == 3
    assert figure.layout.shapes[0].x0 == DEAD
    assert life_table(LIVES)["points_lost_when_frozen"] == [3.0, 0.1, 2.0]


def test_the_gain_of_se_stands_beside_the_paper_s():
    gains = (Gain("here", 1.3, (-0.2, 2.8), "ours"), Gain("paper", 1.51, None, "theirs", printed=True))
    figure = gain_dots(gains)
    here, paper = figure.data
    assert (here.x[0], here.error_x.array[0], here.error_x.arrayminus[0]) == pytest.approx((1.3, 1.5, 1.5))
    assert paper.x[0] == 1.51
    assert not paper.error_x.visible
    low, high = figure.layout.xaxis.range
    assert low < -0.2 < 2.8 < high
    assert gain_table(gains)["low"] == ["-0.2", ""]


def test_the_gates_of_every_block_have_their_bar():
    blocks = {"SE_2_1": {"std_over_images": 0.2, "mean": 0.5, "top1_frozen": 0.7}}
    figure = gate_bars(blocks)
    assert list(figure.data[0].x) == ["2_1"]
    assert list(figure.data[0].y) == [0.2]
    assert figure.layout.shapes[0].y0 == DEAD
    assert gate_table(blocks) == {"block": ["SE_2_1"], "std_over_images": [0.2], "mean": [0.5], "top1_frozen": [0.7]}


def named(figure, axis, *, lines=True):
    return [trace for trace in figure.data if trace.yaxis == axis and (trace.fill is None) == lines]


def test_a_run_has_its_loss_and_its_top1_by_epoch():
    figure = training_curves({"a <b>": RUNS[0], "b": RUNS[1]})
    losses, top1 = named(figure, "y"), named(figure, "y2")
    np.testing.assert_allclose(losses[0].y, [3.0, 2.0])
    np.testing.assert_allclose(losses[1].y, [3.5, 2.5])
    np.testing.assert_allclose(losses[2].x, [1, 2, 3])
    np.testing.assert_allclose(top1[1].y, [20, 50, 60])
    assert losses[0].name == "a &lt;b&gt;"
    assert losses[0].line.color == losses[1].line.color == top1[0].line.color != top1[1].line.color
    assert [trace.name for trace in figure.data if trace.showlegend is not False] == ["a &lt;b&gt;", "b", "validation", "training"]
    assert figure.layout.yaxis.type == "log", "an early loss far above the others must not hide them"


def test_a_log_from_a_csv_file_draws_the_same_and_what_it_lacks_is_left_out():
    text = [{name: str(value) for name, value in line.items() if name != "train_loss"} | {"top5": ""} for line in RUNS[0]]
    losses = named(training_curves({"a": text}), "y")
    np.testing.assert_allclose(losses[0].y, [3.0, 2.0])
    assert all(map(isnan, losses[1].y))


def test_seeds_are_a_mean_and_a_band_as_far_as_all_have_come():
    figure = seed_curves({"SE": RUNS})
    np.testing.assert_allclose(named(figure, "y")[0].y, [3.2, 2.3])
    band = named(figure, "y", lines=False)[0]
    np.testing.assert_allclose(band.x, [1, 2, 2, 1])
    np.testing.assert_allclose(band.y, [3.4, 2.6, 2.0, 3.0])
    table = curves_table({"SE": RUNS})
    assert table["number"] == [0, 0, 1, 1, 1]
    assert table["top1"] == [0.1, 0.3, 0.2, 0.5, 0.6]


@pytest.mark.parametrize("runs", [{}, {"a": []}])
def test_curves_need_a_finished_epoch(runs):
    with pytest.raises(SevisError, match=r"at least one|no finished epoch"):
        training_curves(runs)


def test_a_live_loss_is_the_mean_of_some_steps():
    losses = np.random.default_rng(0).random(2 * WINDOW + 3)
    steps, means = smooth(losses)
    np.testing.assert_allclose(steps, [WINDOW, 2 * WINDOW])
    np.testing.assert_allclose(means, [losses[:WINDOW].mean(), losses[WINDOW : 2 * WINDOW].mean()])
    assert len(smooth([])[0]) == 0


def test_live_curves_stand_on_one_axis_of_epochs():
    runs = {"1: old": LiveCurve(np.linspace(3, 1, 40), (0.2, 0.4), 20), "2: new": LiveCurve(np.linspace(3, 2, 25), (0.3,), 20)}
    figure = live_curves(runs, epochs=2)
    np.testing.assert_allclose(figure.data[0].x, [0.5, 1.0, 1.5, 2.0])
    np.testing.assert_allclose(figure.data[1].y, [20, 40])
    np.testing.assert_allclose(figure.data[3].x, [1])
    assert figure.layout.xaxis.range[1] > 2
    table = live_table(runs)
    assert len(table["loss"]) == 65
    assert [(table["step"][at], value) for at, value in enumerate(table["top1"]) if value] == [(20, "0.2"), (40, "0.4"), (20, "0.3")]


def agreeing(*top1):
    """Max and Avg, each with three seeds."""
    keys = {"max": top1[0], BASELINE: top1[1]}
    return Ablations(tuple((key, make_run(key, seed, top1=value)) for key, values in keys.items() for seed, value in enumerate(values)))


@pytest.mark.parametrize(
    ("largest", "average", "sentence"),
    [
        ((0.50, 0.51, 0.50), (0.60, 0.61, 0.60), "**The order is the paper's.** Max minus Avg is +10.0"),
        ((0.60, 0.61, 0.60), (0.50, 0.51, 0.49), "**The order is not the paper's.**"),
        ((0.60, 0.50, 0.40), (0.50, 0.51, 0.52), "**The noise is too large to tell the order.** Max minus Avg is "),
    ],
)
def test_the_order_is_said_in_words(largest, average, sentence):
    assert sentence in describe_order(compare(TABLE_11, agreeing(largest, average)))


def test_an_opposite_pair_is_named_with_both_differences():
    text = describe_order(compare(TABLE_11, agreeing((0.60, 0.61, 0.60), (0.50, 0.51, 0.49))))
    assert "Max minus Avg is −10.3 (−11.8 to −8.9) points of error, in the paper +0.29" in text


def test_several_pairs_are_counted():
    top1 = {BASELINE: (0.6, 0.61, 0.6), "tanh": (0.55, 0.56, 0.55), "relu": (0.57, 0.58, 0.57)}
    runs = tuple((key, make_run(key, seed, top1=value)) for key, values in top1.items() for seed, value in enumerate(values))
    table = next(table for table in tables() if table.number == 12)
    text = describe_order(compare(table, Ablations(runs)))
    assert (
        "**The order is not the paper's.** Of 3 pairs of rows: 2 in the paper's order, 1 in the opposite one (ReLU minus Tanh is " in text
    )
    assert "at 98.3 % for each of the 3 pairs that the paper tells apart, and so at 95 % for all of them together" in text
    text = describe_order(compare(table, Ablations(tuple(run for run in runs if run[0] != "tanh"))))
    assert text.startswith(
        "**Where it can be told, the order is the paper's.** Of 3 pairs of rows: 1 in the paper's order, 2 not measured yet. An order is"
    )


def test_one_seed_tells_no_order_and_that_is_not_called_noise():
    text = describe_order(compare(TABLE_11, agreeing((0.5,), (0.6,))))
    assert text == "**One seed each: the order cannot be told.** Max minus Avg is +10.0 points of error, in the paper +0.29."
    table = next(table for table in tables() if table.number == 14)
    found = Ablations(tuple((key, make_run(key)) for key in (BASELINE, "pre", "post")))
    assert describe_order(compare(table, found)) == (
        "**One seed each: the order cannot be told.** Of 6 pairs of rows: 2 with one seed each, 3 too close in the paper, 1 not measured "
        "yet."
    )


def test_an_opposite_order_of_rows_that_are_close_in_the_paper_is_no_disagreement():
    table = next(table for table in tables() if table.number == 14)
    top1 = {BASELINE: 0.5, "pre": 0.3, "post": 0.2, "identity": 0.4}  # the paper: pre and identity a little better than SE
    runs = tuple((key, make_run(key, seed, top1=value + seed / 500)) for key, value in top1.items() for seed in range(3))
    text = describe_order(compare(table, Ablations(runs)))
    assert text.startswith("**Where it can be told, the order is the paper's.** Of 6 pairs of rows: 3 in the paper's order, 3 too close")


def test_nothing_measured_is_said():
    assert describe_order(compare(TABLE_11, Ablations())) == "**Not measured yet.**"


def with_dead(key, top1, *, base=(0.50, 0.51, 0.50)):
    """SE and a variant whose gates are dead, with some seeds of each."""
    runs = [(BASELINE, make_run(BASELINE, seed, top1=value)) for seed, value in enumerate(base)]
    runs += [(key, make_run(key, seed, top1=value, std=DEAD / 2, frozen=value - 0.001)) for seed, value in enumerate(top1)]
    return Ablations(tuple(runs))


def test_a_winner_with_dead_gates_is_named():
    text = describe_deaths(TABLE_11, with_dead("max", (0.60, 0.61, 0.60)))
    assert text.startswith("**Max wins with dead gates**: s varies by only 0.025")
    assert "and frozen it loses 0.1 (0.1 to 0.1) points. It wins for another reason" in text


@pytest.mark.parametrize("top1", [(0.40, 0.41, 0.40), (0.70, 0.40, 0.60), (0.60,)], ids=["loses", "too noisy", "one seed"])
def test_dead_gates_are_named_where_nothing_is_won(top1):
    text = describe_deaths(TABLE_11, with_dead("max", top1))
    assert text.startswith("**The gates of Max are dead**: s varies by only 0.025")
    assert text.endswith("Whatever it gains has another reason.")


def test_dead_gates_of_se_itself_are_named():
    text = describe_deaths(TABLE_11, Ablations(((BASELINE, make_run(BASELINE, std=DEAD / 2)), ("max", make_run("max")))))
    assert text.startswith("**The gates of Avg are dead**")
    assert "Max" not in text, "its gates are alive"


def test_the_limit_of_dead_gates_is_only_a_guide_for_other_gates():
    table = next(table for table in tables() if table.number == 12)
    assert "was measured with sigmoid gates" in describe_deaths(table, with_dead("relu", (0.6,)))


def test_device_seeds_and_date_are_those_of_the_runs_that_are_drawn():
    runs = make_grid(2)
    assert brief_source(Ablations(runs), KEYS) == "on cpu, seeds 0 to 1, 2026-11-26"
    later = Ablations((*runs, *((key, make_run(key, 5, device="a GPU", date="2026-11-28")) for key in ("max", "r=4"))))
    assert brief_source(later, ("SE", "max")) == "on a GPU and cpu, seeds 0, 1, 5, 2026-11-26 to 2026-11-28"
    assert brief_source(later, ("SE", "plain")) == "on cpu, seeds 0 to 1, 2026-11-26"
    assert brief_source(Ablations((runs[0],)), ("max",)) == ""
    assert say_seeds([3]) == "seed 3"
