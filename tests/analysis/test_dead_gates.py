"""When gates are called dead, and why; and that the limit is where the shipped ablations put it."""

import json

import numpy as np

from sevis.analysis.dead_gates import DEAD, FLAT, STILL, dead_cause
from sevis.settings import pretrained_folder


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
