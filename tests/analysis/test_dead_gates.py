"""When gates are called dead, and why; and that the limit is where the shipped ablations put it."""

import json

import numpy as np

from sevis.analysis.dead_gates import DEAD, FLAT, STILL, dead_cause, dead_cause_in_one, dead_sentences, describe_death
from sevis.settings import pretrained_folder
from tests.helpers.paths import ROOT


def test_dead_gates_are_known_by_their_spread_and_their_cause_by_what_else_varies():
    assert dead_cause(DEAD, 0, 0) is None
    assert dead_cause(float("nan"), 0, 0) is None
    assert dead_cause(DEAD / 2, STILL / 2, 0) == "still"
    assert dead_cause(DEAD / 2, STILL * 2, 0) == "flat"
    assert dead_cause(DEAD / 2, STILL * 2, float("nan")) == "flat"
    assert dead_cause(DEAD / 2, STILL / 2, (1 + FLAT) / 2) == "saturated"


def test_the_limit_parts_blocks_that_can_be_frozen_for_nothing_from_those_that_cannot():
    runs = json.loads((pretrained_folder() / "ablations.json").read_text())["runs"]
    learned = [run["gates"] for run in runs if run["gates"] and run["gates"]["top1"] > 0.3 and run["recipe"]["gate"] == "sigmoid"]
    pairs = [(block["std_over_images"], gates["top1"] - block["top1_frozen"]) for gates in learned for block in gates["blocks"].values()]
    spread, cost = np.array(pairs).T
    below, above = 100 * cost[spread < DEAD], 100 * cost[(spread >= DEAD) & (spread < 2 * DEAD)]
    assert (len(below), len(above)) == (40, 169)
    assert np.mean(below).round(2) == -0.02
    assert np.mean(above).round(1) == 0.2
    assert np.std(below, ddof=1) / np.sqrt(40) < 0.05 > np.std(above, ddof=1) / np.sqrt(169)


def test_one_image_shows_parts_that_put_out_nothing_or_the_same():
    random = np.random.default_rng(0)
    z, hidden, logits = random.normal(size=16), random.normal(size=8), random.normal(size=16)
    same, half = np.zeros(16), np.full(16, 0.5)

    def sigmoid(values):
        return 1 / (1 + np.exp(-values))

    assert dead_cause_in_one(z, hidden, logits, sigmoid(logits)) is None
    assert dead_cause_in_one(same, hidden, logits, sigmoid(logits)) == "still", "whatever the biases make of nothing"
    assert dead_cause_in_one(z, same[:8], logits, sigmoid(logits)) == "silent"
    assert dead_cause_in_one(z, same[:2], logits, sigmoid(logits)) is None, "two units may be below zero by chance"
    assert dead_cause_in_one(z, hidden, same, half) == "flat"
    assert dead_cause_in_one(z, hidden, same + 2, sigmoid(same + 2)) == "flat"
    assert dead_cause_in_one(z, hidden, 1e-3 * logits, sigmoid(1e-3 * logits)) == "faint"
    assert dead_cause_in_one(z, hidden, 20 + logits, sigmoid(20 + logits)) == "saturated"
    assert dead_cause_in_one(z, hidden, -20 + logits, sigmoid(-20 + logits)) == "saturated"
    assert dead_cause_in_one(z, hidden, logits, np.ones(16)) is None, "an override is no death"
    assert dead_cause_in_one(z[:2], hidden, same[:2], half[:2]) is None, "two channels may agree by chance"


def test_the_dead_are_named_together_where_they_died_of_the_same():
    half = np.full(8, 0.5)
    clause = describe_death("flat", half)
    assert clause.startswith("every s is 0.50 for any image: dead; likely cause: the gate gets the same number in every channel")
    assert describe_death("still", np.linspace(0.25, 0.75, 8)).startswith(
        "s is the same, 0.25 to 0.75, for any image: dead; likely cause: "
    )
    assert describe_death("faint", half).startswith("every s is 0.50 for this image: perhaps dead; likely cause: ")
    assert dead_sentences({}, blocks=3) == []
    assert dead_sentences({"SE_2_1": clause, "SE_3_1": "s", "SE_2_2": clause}, blocks=4) == [f"SE_2_1, SE_2_2: {clause}.", "SE_3_1: s."]
    assert dead_sentences({"SE_2_1": "s", "SE_2_2": "s"}, blocks=2) == ["All 2 blocks: s."]


def test_what_the_page_of_measures_says_of_the_threshold_is_so() -> None:
    """Read without sevis."""
    runs = json.loads((pretrained_folder() / "ablations.json").read_text())["runs"]
    learned = [run for run in runs if run["recipe"]["gate"] == "sigmoid" and run["gates"] and run["top1"] > 0.3]
    blocks = [(block, run["top1"]) for run in learned for block in run["gates"]["blocks"].values()]
    spread, cost = np.array([(block["std_over_images"], 100 * (top1 - block["top1_frozen"])) for block, top1 in blocks]).T
    page = " ".join((ROOT / "docs" / "measures.md").read_text().split())
    for low, high, words in ((0, 0.05, "points of top-1 on average"), (0.05, 0.1, "points")):
        found = cost[(low <= spread) & (spread < high)]
        error = found.std(ddof=1) / np.sqrt(len(found))
        assert f"cost {found.mean():.2f} ± {error:.2f} {words} ({len(found)} blocks)".replace("-", "−", 1) in page
