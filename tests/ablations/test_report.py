"""What is said of the ablations, sentence by sentence."""

import pytest

from sevis.ablations.agreement import compare
from sevis.ablations.grid import BASELINE, KEYS, tables
from sevis.ablations.report import brief_source, caveats, describe, describe_deaths, describe_order, is_dead, report, say, say_seeds
from sevis.ablations.results import Ablations, Estimate
from sevis.analysis.dead_gates import DEAD
from sevis.errors import SevisError
from tests.helpers.made_up_runs import make_divergence, make_grid, make_run, several

TABLES = {table.number: table for table in tables()}
TABLE_11 = TABLES[11]


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
        "**The order is not the paper's.** Of 3 pairs of rows: 2 in the paper's order, 1 in the opposite order (ReLU minus Tanh is " in text
    )
    assert "The intervals are 98.3 % for each of the 3 pairs that the paper tells apart, and so 95 % for all of them together" in text
    text = describe_order(compare(table, Ablations(tuple(run for run in runs if run[0] != "tanh"))))
    assert text.startswith(
        "**Where the order can be told, it is the paper's.** Of 3 pairs of rows: 1 in the paper's order, 2 not measured yet. An order is"
    )


def test_one_seed_tells_no_order_and_that_is_not_called_noise():
    text = describe_order(compare(TABLE_11, agreeing((0.5,), (0.6,))))
    assert text == "**One seed each, so the order cannot be told.** Max minus Avg is +10.0 points of error, in the paper +0.29."
    table = next(table for table in tables() if table.number == 14)
    found = Ablations(tuple((key, make_run(key)) for key in (BASELINE, "pre", "post")))
    assert describe_order(compare(table, found)) == (
        "**One seed each, so the order cannot be told.** Of 6 pairs of rows: 2 with one seed each, 3 too close in the paper, 1 not "
        "measured yet."
    )


def test_an_opposite_order_of_rows_that_are_close_in_the_paper_is_no_disagreement():
    table = next(table for table in tables() if table.number == 14)
    top1 = {BASELINE: 0.5, "pre": 0.3, "post": 0.2, "identity": 0.4}  # the paper: pre and identity a little better than SE
    runs = tuple((key, make_run(key, seed, top1=value + seed / 500)) for key, value in top1.items() for seed in range(3))
    text = describe_order(compare(table, Ablations(runs)))
    assert text.startswith("**Where the order can be told, it is the paper's.** Of 6 pairs of rows: 3 in the paper's order, 3 too close")


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
    assert "and it loses 0.1 (0.1 to 0.1) points when frozen. So the reason is not" in text


@pytest.mark.parametrize("top1", [(0.40, 0.41, 0.40), (0.70, 0.40, 0.60), (0.60,)], ids=["loses", "too noisy", "one seed"])
def test_dead_gates_are_named_where_nothing_is_won(top1):
    text = describe_deaths(TABLE_11, with_dead("max", top1))
    assert text.startswith("**The gates of Max are dead**: s varies by only 0.025")
    assert text.endswith("If it gains, it gains for another reason.")


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


def test_the_report_says_what_was_run_and_what_it_means():
    runs = [(key, make_run(key, run.recipe.seed, top1=run.top1, std=0.001) if key == "r=32" else run) for key, run in make_grid()]
    found = Ablations(tuple(runs))
    text = report(found)
    for words in (
        "se_resnet50 at 0.25 of its width, on 36 images of 3 classes of made-up at 16 pixels, 2 epochs; tested on 1,000 other images,",
        "57 runs of 19 of the 19 variants, 3 of each (seeds 0, 1, 2), on cpu, 2026-11-26.",
        "Dead gates (s varies by less than 0.05 over images): r=32.",
        "## Table 13 of the paper: Stages with SE",
        "| SE Stage 5 (not in the paper) | – |",
        "| ResNet-50 | 23.30 |",
        "Without the squeeze (none, NoSqueeze), s differs from place to place",
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
        "tanh: diverged in 1 of 3 seeds (the loss became nan in step 27 of epoch 1); its numbers come from the other seeds.\n",
        "| ReLU | 23.47 | diverged | – |",
        "- with a variant that diverged: 2 of 3 pairs",
        ", 2 with a variant that diverged, ",
    ):
        assert words in text
    assert "diverged" not in report(found)


def test_what_diverged_is_not_called_unmeasured():
    runs = tuple((key, make_run(key, seed, top1=top1 + seed / 500)) for key, top1 in ((BASELINE, 0.6), ("tanh", 0.5)) for seed in range(3))
    text = describe_order(compare(TABLES[12], Ablations(runs, (("relu", make_divergence("relu")),))))
    assert text.startswith(
        "**Where the order can be told, it is the paper's.** Of 3 pairs of rows: 1 in the paper's order, 2 with a variant that diverged. An"
    )
    diverged = Ablations(runs, (("max", make_divergence("max")),))
    assert describe_order(compare(TABLES[11], diverged)) == "**A variant diverged, so there is no order.**"
