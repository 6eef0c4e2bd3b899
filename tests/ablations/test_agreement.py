"""The answers pair by pair: against scipy's tests and a Holm of our own, and in simulations where the truth is known."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from sevis.ablations import agreement
from sevis.ablations.agreement import (
    AGAINST,
    DIFFERENT,
    DIVERGED,
    EQUAL,
    FLAT,
    MISSING,
    NOISY,
    REVERSED,
    SAME,
    SINGLE,
    UNTOLD,
    by_answer,
    choose_pairs,
    compare,
)
from sevis.ablations.grid import BASELINE, KEYS, PLAIN, tables
from sevis.ablations.results import Ablations, Estimate, read_ablations
from sevis.analysis.intervals import student
from sevis.settings import pretrained_folder
from tests.helpers.made_up_runs import make_divergence, make_grid, make_run, several

PRINTED = {row.key: row.printed.top1 for table in tables() for row in table.rows if row.printed}


def drawn(seeds, spread):
    """Every variant with several seeds, whose accuracies are drawn at random around one of its own."""
    rng = np.random.default_rng(0)
    return several(**{key: list(rng.uniform(0.4, 0.6) + rng.normal(0, spread, seeds)) for key in KEYS})


def find(pairs, first, second):
    """The pair of two variants as the first minus the second."""
    (pair,) = [pair for pair in pairs if {pair.first, pair.second} == {first, second}]
    return pair if pair.first == first else pair.turned()


def expected_answers(ablations):
    """Return answers as scipy's t tests and a step-down of NumPy find them: by pair, the answer, the corrected p and the answer alone."""
    errors = {key: 100 * (1 - np.array([run.top1 for run in ablations.seeds(key).values()])) for key in ablations.keys}
    sets = [{row.key for row in table.rows if row.printed} | {PLAIN} for table in tables()]
    pairs = sorted({tuple(sorted(pair)) for keys in sets for pair in combinations(keys, 2) if {*pair} <= {*errors}})
    family = []
    for first, second in pairs:
        values = errors[first] - errors[second]
        for claim, limit, side in (("up", 0, "greater"), ("down", 0, "less")):
            family.append(((first, second), claim, stats.ttest_1samp(values, limit, alternative=side).pvalue))
        if abs(round(PRINTED[first] - PRINTED[second], 2)) <= 0.1:
            within = max(
                stats.ttest_1samp(values, -2, alternative="greater").pvalue, stats.ttest_1samp(values, 2, alternative="less").pvalue
            )
            family.append(((first, second), "within", within))
    p = np.array([entry[2] for entry in family])
    order = p.argsort(kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    found = {}
    for pair in pairs:
        mine = [number for number, entry in enumerate(family) if entry[0] == pair]
        difference = round(PRINTED[pair[0]] - PRINTED[pair[1]], 2)
        together = {family[number][1] for number in mine if corrected[number] <= 0.05}
        alone = {family[number][1] for number in mine if p[number] <= 0.025}
        single, told = answer(alone, difference), answer(together, difference)
        found[pair] = told if told == single else UNTOLD, corrected[mine].min(), single
    return found


def answer(claims, printed):
    if not claims:
        return "cannot be told"
    if abs(printed) <= 0.1:
        return "equal in both" if "within" in claims else "equal in the paper but different here"
    return "same order" if claims == {"up" if printed > 0 else "down"} else "reversed"


@pytest.mark.parametrize("seeds", [2, 3, 12, 40])
def test_the_answers_are_those_of_scipy_and_numpy(seeds):
    ablations = drawn(seeds, 0.02)
    pairs, expected = compare(ablations), expected_answers(ablations)
    assert len(pairs) == len(expected) == 44
    for names, (told, p, alone) in expected.items():
        pair = find(pairs, *names)
        assert (pair.answer, pair.alone) == (told, alone)
        assert pair.p == pytest.approx(p)
        assert (pair.reason == "") == (told != UNTOLD)
    if seeds == 40:
        assert {SAME, REVERSED, DIFFERENT} <= {pair.answer for pair in pairs}


def test_the_shipped_answers_are_those_of_scipy_and_numpy():
    ablations = read_ablations(pretrained_folder() / "ablations.json")
    pairs, expected = compare(ablations), expected_answers(ablations)
    assert {(pair.answer, pair.alone) for pair in pairs if pair.measured is None} == {(UNTOLD, UNTOLD)}
    for names, found in expected.items():
        pair = find(pairs, *names)
        assert (pair.answer, pytest.approx(pair.p), pair.alone) == found
    assert find(pairs, "identity", BASELINE).alone == find(pairs, "pre", BASELINE).alone == DIFFERENT
    assert find(pairs, "identity", PLAIN).alone == REVERSED
    assert find(pairs, "pre", BASELINE).answer == UNTOLD, "three seeds do not suffice for 44 pairs"


@pytest.mark.parametrize("keys", [("identity", BASELINE), ("post", PLAIN), ("3x3", PLAIN), ("relu", PLAIN), ("tanh", "relu")])
def test_every_variant_is_compared_with_the_plain_network_and_with_those_of_its_tables(keys):
    first, second = keys
    pair = find(compare(Ablations(make_grid(3))), first, second)
    assert pair.printed == pytest.approx(PRINTED[first] - PRINTED[second])


def test_a_pair_of_several_tables_is_there_once_with_one_answer():
    pairs = compare(Ablations(make_grid(3)))
    assert len({frozenset((pair.first, pair.second)) for pair in pairs}) == len(pairs) == 44
    shown = [choose_pairs(table, pairs) for table in tables()]
    assert {frozenset((pair.first, pair.second)) for own in shown for pair in own} == {frozenset((p.first, p.second)) for p in pairs}
    assert len({find(own, BASELINE, PLAIN) for own in shown}) == 1
    thirteen = shown[3]
    assert not {pair.first for pair in thirteen} & {"stages 5", "stages 2,3,4"}, "the paper lacks these rows"
    assert [(pair.first, pair.second) for pair in shown[1]] == [("max", BASELINE), ("max", PLAIN), (BASELINE, PLAIN)]


def alike(**centres):
    """Runs of several seeds around accuracies; the seeds of a variant lie 0.01 apart and end in a pattern of its own."""
    rng = np.random.default_rng(1)
    return several(**{key: list(centre + rng.normal(0, 0.001, 12)) for key, centre in centres.items()})


def test_each_of_the_five_answers():
    pairs = compare(alike(SE=0.6, pre=0.6, post=0.7, identity=0.5, plain=0.4, max=0.5))
    assert find(pairs, "pre", BASELINE).answer == EQUAL
    assert find(pairs, "identity", BASELINE).answer == DIFFERENT
    assert find(pairs, "post", BASELINE).answer == REVERSED
    assert find(pairs, "max", BASELINE).answer == SAME
    assert find(pairs, "tanh", BASELINE).answer == UNTOLD
    found = by_answer(pairs)
    assert [*found][:2] == [*AGAINST], "contradictions first"
    assert sum(map(len, found.values())) == 44


def test_a_small_difference_that_is_sure_is_equal_within_the_margin():
    pair = find(compare(alike(SE=0.6, pre=0.59)), "pre", BASELINE)
    assert pair.measured.interval[0] > 0
    assert pair.answer == EQUAL
    assert find(compare(alike(SE=0.6, pre=0.57)), "pre", BASELINE).answer == DIFFERENT


def test_what_cannot_be_told_says_why():
    runs = [(key, make_run(key, seed, top1=0.5 + seed / 10)) for key in (BASELINE, "max") for seed in range(3)]
    runs += [("tanh", make_run("tanh", 0)), ("pre", make_run("pre", 7))]
    runs += [("post", make_run("post", seed, top1=top1)) for seed, top1 in enumerate((0.3, 0.9, 0.4))]
    pairs = compare(Ablations(tuple(runs), (("relu", make_divergence("relu")),)))
    assert {pair.answer for pair in pairs} == {UNTOLD}
    reasons = {"max": FLAT, "tanh": SINGLE, "pre": MISSING, "none": MISSING, "relu": DIVERGED, "post": NOISY}
    assert {key: find(pairs, key, BASELINE).reason for key in reasons} == reasons
    assert [find(pairs, key, BASELINE).p is None for key in reasons] == [True] * 5 + [False]


def test_identical_differences_of_two_seeds_are_not_called_equal():
    pair = find(compare(several(SE=[0.5, 0.6], pre=[0.5, 0.6])), "pre", BASELINE)
    assert (pair.answer, pair.reason, pair.alone) == (UNTOLD, FLAT, UNTOLD)


@pytest.mark.parametrize("seeds", [2, 3, 8])
def test_no_interval_contradicts_its_answer(seeds):
    for spread in (0.001, 0.01, 0.05):
        for pair in compare(drawn(seeds, spread)):
            low, high = pair.measured.interval
            assert pair.answer in (pair.alone, UNTOLD)
            for told in (pair.answer, pair.alone):
                if told in (SAME, REVERSED, DIFFERENT):
                    assert low > 0 or high < 0
                elif told == EQUAL:
                    assert low > -2 and high < 2
            leaves_out_0 = low > 0 or high < 0
            assert leaves_out_0 == (pair.alone != UNTOLD) or pair.alone == EQUAL


class Simulated:
    """In place of `Ablations`: errors that are drawn, so that pairs that share a variant depend on each other."""

    def __init__(self, rng, truth, spreads, seeds):
        shared = rng.normal(0, 1, seeds)  # what a seed does to all variants
        self.errors = {key: truth[key] + shared + spreads[key] * rng.normal(0, 1, seeds) for key in KEYS}

    def differences(self, key, other):
        return (self.errors[key] - self.errors[other]).tolist()

    def difference(self, key, other):
        values = self.differences(key, other)
        return Estimate(float(np.mean(values)), student(values), len(values))


def is_wrong(pair, truth):
    """Whether the answer claims what is not so."""
    difference = truth[pair.first] - truth[pair.second]
    if pair.answer == EQUAL:
        return abs(difference) >= 2
    if pair.answer == DIFFERENT:
        return difference == 0
    return pair.answer != UNTOLD and difference * pair.printed * (1 if pair.answer == SAME else -1) <= 0


def share_of_wrong_families(truth, spreads, seeds, *, count):
    rng = np.random.default_rng(0)
    return np.mean([any(is_wrong(pair, truth) for pair in compare(Simulated(rng, truth, spreads, seeds))) for _ in range(count)])


class Surely14(Simulated):
    """SE-PRE has 1.4 points more error than SE, with a spread of 0.7: surely not 0, and within 2 only without the correction."""

    def differences(self, key, other):
        if (key, other) != ("pre", BASELINE):
            return super().differences(key, other)
        values = np.arange(12.0)
        return (1.4 + 0.7 * (values - values.mean()) / values.std(ddof=1)).tolist()


def test_what_lies_within_the_margin_without_the_correction_is_not_called_different():
    pairs = compare(Surely14(np.random.default_rng(0), NOTHING, dict.fromkeys(KEYS, 5.0), 12))
    pair = find(pairs, "pre", BASELINE)
    low, high = pair.measured.interval
    assert 0 < low < high < 2
    assert pair.p < 0.05
    assert (pair.answer, pair.alone, pair.reason) == (UNTOLD, EQUAL, NOISY)


UNEQUAL = {key: 5.0 if key in (PLAIN, "identity") else 0.5 + place / 9 for place, key in enumerate(KEYS)}
NOTHING = dict.fromkeys(KEYS, 0.0)
# Pairs that are equal in the paper lie just outside the margin here, pairs that are not have no difference, or a clear one.
EDGE = NOTHING | {"r=2": 2.0, "r=8": -2.0, "pre": 2.0, "identity": -2.0, "stages 2": 2.0, PLAIN: 20.0, "post": 40.0}
WORLDS = {"nothing differs": (NOTHING, 3), "equal ones are not": (EDGE, 3), "equal ones are not, ten seeds": (EDGE, 10)}


@pytest.mark.parametrize("world", WORLDS)
def test_wrong_answers_are_rare_where_the_truth_is_known(world):
    truth, seeds = WORLDS[world]
    assert share_of_wrong_families(truth, UNEQUAL, seeds, count=120) <= 0.1, "four of five families would hold one without a correction"


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_at_most_one_family_in_twenty_holds_a_wrong_answer(world):
    truth, seeds = WORLDS[world]
    count = 2000
    assert share_of_wrong_families(truth, UNEQUAL, seeds, count=count) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / count)


def test_without_the_correction_most_families_would_hold_a_wrong_answer(monkeypatch):
    monkeypatch.setattr(agreement, "holm", list)
    assert share_of_wrong_families(NOTHING, UNEQUAL, 3, count=40) > 0.5


def test_equal_in_both_is_never_noise():
    """With so much noise, no difference can be told, and none can be called equal."""
    rng = np.random.default_rng(3)
    answers = [pair.answer for _ in range(20) for pair in compare(Simulated(rng, NOTHING, dict.fromkeys(KEYS, 10.0), 5))]
    assert EQUAL not in answers
    quiet = compare(Simulated(rng, NOTHING, dict.fromkeys(KEYS, 0.2), 8))
    equal = [pair for pair in quiet if pair.equal_in_paper]
    assert len(equal) == 10
    assert {pair.answer for pair in equal} == {EQUAL}
