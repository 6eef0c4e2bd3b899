"""What is said of the ablations, sentence by sentence."""

import pytest

from sevis.ablations.agreement import compare
from sevis.ablations.grid import BASELINE, KEYS, tables
from sevis.ablations.report import brief_source, describe_deaths, describe_order, say_seeds
from sevis.ablations.results import Ablations
from sevis.analysis.dead_gates import DEAD
from tests.helpers.made_up_runs import make_grid, make_run

TABLE_11 = next(table for table in tables() if table.number == 11)


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
