"""What is said of the ablations, sentence by sentence."""

import re
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from sevis.ablations.agreement import NOISY, REVERSED, UNTOLD, choose_pairs, compare
from sevis.ablations.grid import BASELINE, KEYS, tables
from sevis.ablations.report import (
    brief_source,
    caveats,
    describe,
    describe_answers,
    describe_deaths,
    guess_cause,
    is_dead,
    label_rows,
    pair_rows,
    report,
    say,
    say_seeds,
    summarize,
)
from sevis.ablations.results import Ablations, Estimate, read_ablations
from sevis.analysis.dead_gates import DEAD
from sevis.errors import SevisError
from sevis.settings import pretrained_folder
from tests.helpers.made_up_runs import BASE, make_divergence, make_grid, make_run, several

TABLES = {table.number: table for table in tables()}
TABLE_11 = TABLES[11]


def around(count=12, **centres):
    """Runs of some variants, closely around accuracies."""
    rng = np.random.default_rng(2)
    return several(**{key: list(centre + rng.normal(0, 0.001, count)) for key, centre in centres.items()})


def tell(table, ablations):
    return describe_answers(choose_pairs(table, compare(ablations)), labels=label_rows(table))


def test_contradictions_come_first_with_both_differences_and_a_guess():
    found = around(SE=0.6, pre=0.6, post=0.7, identity=0.5, plain=0.4, max=0.5)
    against, named, guess, agreeing, untold = describe_answers(compare(found), guess_cause(found))
    assert against == "**Against the paper: 5 of 44 pairs** (3 reversed, 2 equal in the paper but different here):"
    pair = next(pair for pair in compare(found) if (pair.first, pair.second) == ("identity", BASELINE))
    assert f"\n- SE-Identity has {say(pair.measured)} points more error than SE (in the paper 0.08 less)\n" in named
    assert re.search(r"\n- SE has (10\.\d|9\.9) \(9\.\d to 10\.\d\) points more error than SE-POST \(in the paper 0\.50 less\)", named)
    assert named.count("\n") == 4
    assert guess == "The likely cause, a guess that nothing here tests: 2 epochs of training instead of about 300."
    assert re.fullmatch(r"\*\*As in the paper: 7 of 44 pairs\*\* \(6 same order, 1 equal in both\)\.", agreeing)
    assert untold.startswith("**Cannot be told: 32 of 44 pairs** (")


def test_a_contradiction_that_the_correction_takes_away_is_named_behind_those_that_stay():
    pairs = list(compare(around(SE=0.6, pre=0.6, post=0.7, identity=0.5, plain=0.4, max=0.5)))
    place = next(place for place, pair in enumerate(pairs) if (pair.first, pair.second) == ("identity", BASELINE))
    pairs[place] = replace(pairs[place], answer=UNTOLD, reason=NOISY)
    against, named, without, leaning, agreeing, _ = describe_answers(pairs)
    assert against == "**Against the paper: 4 of 44 pairs** (3 reversed, 1 equal in the paper but different here):"
    assert "than SE (" not in named
    assert without == "Without the correction for many pairs, 1 more would be:"
    assert leaning.startswith("- SE-Identity has ") and " than SE (in the paper 0.08 less)" in leaning
    assert agreeing.startswith("**As in the paper: 7 of")


def test_the_sentence_of_readme_counts_with_and_without_the_correction():
    shipped = compare(read_ablations(pretrained_folder() / "ablations.json"))
    assert summarize(shipped) == (
        "taken alone, 4 of 44 pairs of variants go against the paper and 12 agree; corrected for all pairs, 0 and 0."
    )
    found = compare(around(SE=0.6, pre=0.6, post=0.7, identity=0.5, plain=0.4, max=0.5))
    assert summarize(found).startswith(
        "taken alone, 5 of 44 pairs of variants go against the paper and 7 agree; corrected for all pairs, 5 and 7"
    )


def test_without_contradictions_nothing_is_guessed():
    found = around(SE=0.6, max=0.55, plain=0.5)
    against, agreeing, untold = describe_answers(compare(found), guess_cause(found))
    assert against == "**Against the paper: 0 of 44 pairs**."
    assert agreeing == "**As in the paper: 3 of 44 pairs** (3 same order)."
    assert untold == "**Cannot be told: 41 of 44 pairs** (not measured with the same seed: 41)."
    assert tell(TABLE_11, found) == ["**Against the paper: 0 of 3 pairs**.", "**As in the paper: 3 of 3 pairs** (3 same order)."]


def test_runs_as_long_as_the_papers_have_no_guess():
    base = msgspec.structs.replace(BASE, epochs=300)
    assert guess_cause(Ablations(((BASELINE, make_run(BASELINE, base=base)),))) == ""


def test_a_contradiction_of_the_uncorrected_interval_alone_is_named_as_such():
    """The shipped runs: their differences are large, and their seeds few."""
    found = read_ablations(pretrained_folder() / "ablations.json")
    against, without, named, guess, agreeing, untold = describe_answers(compare(found), guess_cause(found))
    assert against == "**Against the paper: 0 of 44 pairs**."
    assert without == "Without the correction for many pairs, 4 would be:"
    assert named.splitlines() == [
        "- SE-Identity has 29.6 (18.6 to 40.6) points more error than SE (in the paper 0.08 less)",
        "- SE-Identity has 24.9 (18.1 to 31.7) points more error than SE-PRE (in the paper 0.03 less)",
        "- SE-Identity has 18.3 (4.4 to 32.1) points more error than no SE (in the paper 1.10 less)",
        "- SE-PRE has 4.7 (0.5 to 8.9) points more error than SE (in the paper 0.05 less)",
    ]
    assert guess.startswith("The likely cause, a guess that nothing here tests: 3 epochs")
    assert untold == "**Cannot be told: 44 of 44 pairs** (too noisy for so few seeds: 41, a variant diverged: 3)."
    assert agreeing == "**As in the paper: 0 of 44 pairs**. Without the correction for many pairs, 12 would be."


def test_of_many_contradictions_the_largest_are_named():
    pairs = [
        replace(pair, measured=Estimate(float(place), (place - 1, place + 1), 3), answer=REVERSED)
        for place, pair in enumerate(compare(Ablations(make_grid(3))))
    ]
    against, named, _ = describe_answers(pairs)
    assert against == "**Against the paper: 44 of 44 pairs** (44 reversed):"
    assert named.count("points more error") == 8
    assert " has 43.0 (42.0 to 44.0) points" in named
    assert named.endswith("\n- and 36 more")


def test_nothing_measured_is_said():
    assert tell(TABLE_11, Ablations()) == ["**Nothing can be compared** (not measured with the same seed: 3)."]
    diverged = Ablations(((BASELINE, make_run(BASELINE)),), (("max", make_divergence("max")),))
    assert tell(TABLE_11, diverged) == ["**Nothing can be compared** (a variant diverged: 2, not measured with the same seed: 1)."]


def test_one_seed_tells_nothing_and_that_is_not_called_noise():
    assert tell(TABLE_11, several(SE=[0.9], max=[0.1]))[-1] == (
        "**Cannot be told: 3 of 3 pairs** (one seed each: 1, not measured with the same seed: 2)."
    )


def test_each_pair_has_its_row_with_the_reason_of_no_answer():
    found = around(SE=0.6, max=0.55).with_runs([("plain", make_run("plain", 0, top1=0.5))])
    head, *rows = pair_rows(choose_pairs(TABLE_11, compare(found)), label_rows(TABLE_11))
    assert head[0] == "Pair"
    assert [row[0] for row in rows] == ["Max minus Avg", "Max minus no SE", "Avg minus no SE"]
    assert rows[0][1].startswith("+5.0 (+4.9 to +5.1)")
    assert rows[0][2:] == ("+0.29", "same order", "below 0.001", "same order")
    assert rows[1][3:] == ("cannot be told: one seed each", "–", "–")


def with_dead(key, top1, *, base=(0.50, 0.51, 0.50)):
    """SE and a variant whose gates are dead, with some seeds of each."""
    runs = [(BASELINE, make_run(BASELINE, seed, top1=value)) for seed, value in enumerate(base)]
    runs += [(key, make_run(key, seed, top1=value, std=DEAD / 2, frozen=value - 0.001)) for seed, value in enumerate(top1)]
    return Ablations(tuple(runs))


def test_a_winner_with_dead_gates_is_named():
    text = describe_deaths(TABLE_11, with_dead("max", (0.60, 0.61, 0.601)))
    assert text.startswith("**Max has fewer errors than SE, by its own 95 % interval over seeds, and dead gates**: s varies by only 0.025")
    assert "and it loses 0.1 points when frozen. So the reason is not" in text


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
        "of 44 pairs**",
        "| SE minus SE-Identity | ",
        "corrected for all measured pairs of all tables together (Holm's correction",
    ):
        assert words in text
    assert say(found.summary("max").error) in text
    assert is_dead(found.summary("r=32"))
    assert not is_dead(found.summary("SE"))
    partial = report(several(SE=[0.5, 0.6], max=[0.4]))
    assert "3 runs of 2 of the 19 variants, 1 to 2 of each" in partial
    assert "**Nothing can be compared** (not measured with the same seed: 10)" in partial
    assert text.index("Against the paper") < text.index("se_resnet50 at 0.25"), "first of all"
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
        "**Cannot be told: 6 of 6 pairs** (no spread between the seeds: 1, a variant diverged: 3, not measured with the same seed: 2).",
        "| ReLU minus Sigmoid | – | +1.19 | cannot be told: a variant diverged | – | – |",
    ):
        assert words in text
    assert "diverged" not in report(found)
