"""The verdicts on the order of the paper's rows, with scipy's intervals and with variants that do not differ."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from sevis.ablations.agreement import AGREES, CLOSE, DISAGREES, DIVERGED, MISSING, NOISY, SINGLE, Pair, compare, count_verdicts
from sevis.ablations.grid import KEYS, AblationRow, Table, tables
from sevis.ablations.report import list_agreement, tally
from sevis.ablations.results import Ablations, Estimate
from sevis.analysis.intervals import student
from sevis.paper import Printed
from tests.helpers.made_up_runs import make_grid, several


def test_pairs_agree_disagree_or_are_too_noisy():
    table = Table(
        0,
        "made up",
        tuple(AblationRow(key, key, Printed(error, 5)) for key, error in (("SE", 22.0), ("max", 23.0), ("relu", 21.0), ("tanh", 20.0))),
    )
    found = several(SE=[0.50, 0.51, 0.49], max=[0.45, 0.46, 0.441], relu=[0.40, 0.411, 0.391], tanh=[0.30, 0.51, 0.7], pre=[0.5])
    pairs = {(pair.first.key, pair.second.key): pair for pair in compare(table, found)}
    assert set(pairs) == set(combinations(("SE", "max", "relu", "tanh"), 2))
    assert {names: pair.verdict for names, pair in pairs.items()} == {
        ("SE", "max"): AGREES,
        ("SE", "relu"): DISAGREES,
        ("max", "relu"): DISAGREES,
        ("SE", "tanh"): NOISY,
        ("max", "tanh"): NOISY,
        ("relu", "tanh"): NOISY,
    }
    assert pairs["SE", "max"].printed == -1
    assert count_verdicts(pairs.values()) == {AGREES: 1, DISAGREES: 2, NOISY: 3, SINGLE: 0, CLOSE: 0, DIVERGED: 0, MISSING: 0}
    lines = list_agreement(tuple(pairs.values()))
    assert lines[0].startswith("- SE minus max (paper −1.00, here −5.0 (")
    assert lines[0].endswith(")) agrees with the paper")
    assert lines[3:5] == ["- too noisy to tell: 3 of 6 pairs", ""]
    assert "The intervals are 99.2 % for each of the 6 pairs that the paper tells apart, and so 95 %" in lines[5]
    text = tally(2 * tuple(pairs.values()))
    assert text.startswith("Of 6 different pairs of variants, 1 agree with the paper, 2 disagree, 3 too noisy to tell. ")
    assert "about 0.05 of the 6 pairs with an interval and an order in the paper would be told apart by chance" in text


class Alike:
    """In place of `Ablations`: every variant with three seeds, and none better than another."""

    def __init__(self, rng):
        self.errors = {key: rng.normal(50, 1, 3) for key in KEYS}

    def difference(self, key, other, *, level):
        values = (self.errors[key] - self.errors[other]).tolist()
        return Estimate(float(np.mean(values)), student(values, level=level), 3)


def test_a_table_without_differences_seldom_shows_one():
    ten = next(table for table in tables() if table.number == 10)
    rng = np.random.default_rng(0)
    wrong = [any(pair.verdict in (AGREES, DISAGREES) for pair in compare(ten, Alike(rng))) for _ in range(400)]
    assert np.mean(wrong) < 0.1, "about one in three would at 95 % for each pair"


def test_the_pairs_of_a_table_hold_their_level_together():
    ten = next(table for table in tables() if table.number == 10)
    alike = Ablations(make_grid(3))
    told = [pair for pair in compare(ten, alike) if pair.verdict != CLOSE]
    assert len(told) == 9
    first, second = ([run.top1 for run in alike.seeds(key).values()] for key in (told[0].first.key, told[0].second.key))
    expected = stats.ttest_rel(second, first).confidence_interval(1 - 0.05 / 9)
    assert told[0].measured.interval == pytest.approx(tuple(100 * end for end in expected))
    eleven = next(table for table in tables() if table.number == 11)
    assert [pair.level for pair in compare(eleven, alike)] == [pytest.approx(0.95)], "a single pair needs no correction"


def test_rows_that_the_paper_does_not_tell_apart_are_not_judged():
    fourteen = next(table for table in tables() if table.number == 14)
    found = several(SE=[0.5, 0.51, 0.5], pre=[0.3, 0.31, 0.3], post=[0.2, 0.21, 0.2], identity=[0.6, 0.61, 0.6])
    pairs = compare(fourteen, found)
    close = {(pair.first.key, pair.second.key) for pair in pairs if pair.verdict == CLOSE}
    assert close == {("SE", "pre"), ("SE", "identity"), ("pre", "identity")}
    assert all(abs(pair.printed) < 0.1 for pair in pairs if pair.verdict == CLOSE)
    assert all(pair.measured.sign for pair in pairs), "here they all differ"
    text = tally(pairs)
    assert text.startswith("Of 6 different pairs of variants, 3 agree with the paper, 3 too close in the paper. ")
    assert "about 0.05 of the 3 pairs with an interval" in text


def test_a_single_seed_tells_nothing_and_a_missing_one_says_so():
    table = Table(0, "made up", tuple(AblationRow(key, key, Printed(22 + place, 5)) for place, key in enumerate(("SE", "max", "relu"))))
    pairs = compare(table, several(SE=[0.9], max=[0.1]))
    assert [pair.verdict for pair in pairs] == [SINGLE, MISSING, MISSING]
    assert tally(pairs) == "Of 3 different pairs of variants, 1 with one seed each, 2 not measured."
    assert list_agreement(pairs) == ["- one seed each: 1 of 3 pairs", "- not measured: 2 of 3 pairs"]
    assert Pair(*table.rows[:2], -1, Estimate(0.0, (0.0, 0.0), 3)).verdict == NOISY


def test_rows_that_the_paper_lacks_are_compared_with_nothing():
    thirteen = next(table for table in tables() if table.number == 13)
    pairs = compare(thirteen, Ablations(make_grid(2)))
    assert len(pairs) == 10  # of the paper's five rows
    assert not {pair.first.key for pair in pairs} & {"stages 5", "stages 2,3,4"}
