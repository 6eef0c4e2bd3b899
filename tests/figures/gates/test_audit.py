"""The figure of an audit, and the sentences that follow from its numbers."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from sevis.analysis.audit import (
    ALL,
    CHANGES,
    Audit,
    AuditProvenance,
    Outcome,
    ParameterCounts,
    describe_audit,
    last_stage_answer,
    last_stage_question,
    reading,
)
from sevis.figures.gates.audit import audit_chart

BLOCKS = ("SE_2_1", "SE_4_1", "SE_5_1", "SE_5_2")


def make(frozen, *, whole=(300, 10), last=(8, 2)):
    """An audit of 1,000 photos with so many (lost, won) by block where it is frozen."""
    outcomes = {}
    for address, (lost, won) in {**dict(zip(BLOCKS, frozen, strict=True)), "SE_5": last, ALL: whole}.items():
        counts = {"open": (lost + 100, won), "frozen": (lost, won), "shuffled": (lost + 20, won + 3)}
        outcomes[address] = {change: Outcome(1000, 800, *counts[change]) for change in CHANGES}
    known = AuditProvenance(model="small", weights="abcdef0123456789", data="photos", split="val", classes=5, seed=7, date="2026-11-23")
    return Audit(outcomes=outcomes, parameters=ParameterCounts(network=1100, se=100, se_last_stage=70), metadata=known)


MIXED = make([(40, 10), (12, 10), (5, 5), (30, 9)])


def test_every_dot_stands_at_its_change_with_its_interval():
    figure = audit_chart(MIXED).figure
    assert len(figure.data) == 2 * len(CHANGES)
    for place, addresses in enumerate((BLOCKS, ("SE_5", ALL))):
        for change, trace in zip(CHANGES, figure.data[3 * place : 3 * place + 3], strict=True):
            outcomes = [MIXED.outcomes[address][change] for address in addresses]
            np.testing.assert_allclose(trace.x, [100 * (part.won - part.lost) / 1000 for part in outcomes])
            low, high = np.array([part.change_interval for part in outcomes]).T
            np.testing.assert_allclose(trace.x + trace.error_x.array, 100 * high)
            np.testing.assert_allclose(trace.x - trace.error_x.arrayminus, 100 * low)
            np.testing.assert_allclose(np.round(trace.y), np.arange(len(addresses)))
            ends = figure.layout[f"xaxis{place + 1 if place else ''}"].range
            assert ends[0] < 100 * low.min()
            assert ends[1] > max(0, 100 * high.max())
    assert list(figure.layout.yaxis.ticktext) == list(BLOCKS)
    assert list(figure.layout.yaxis2.ticktext) == ["all of SE_5", "all blocks"]
    assert [trace.showlegend for trace in figure.data] == [True] * 3 + [False] * 3


def test_the_dots_of_a_row_do_not_hide_each_other():
    figure = audit_chart(MIXED).figure
    assert len({trace.y[0] for trace in figure.data[:3]}) == len({trace.marker.color for trace in figure.data[:3]}) == 3
    assert len({trace.marker.symbol for trace in figure.data[:3]}) == 3


def test_the_reading_names_the_blocks_that_could_be_frozen():
    text = reading(MIXED)
    assert "Frozen one at a time, 2 of 4 blocks (SE_4_1 and SE_5_1) cost nothing measurable" in text
    assert f"reach −{-100 * MIXED.outcomes['SE_4_1']['frozen'].change_interval[0]:.1f} points" in text
    assert "Freezing SE_2_1 costs most: −3.0 points (" in text
    assert "All blocks frozen at once: −29.0 points (" in text
    assert "which is what the answer to each photo is worth" in text
    assert "another photo: −30.7 points" in text


@pytest.mark.parametrize(
    ("frozen", "sentence"),
    [
        ([(5, 5)] * 4, "each of the 4 blocks cost nothing measurable"),
        ([(90, 5)] * 4, "No block can be frozen without a measurable loss."),
        ([(90, 5), (90, 5), (0, 0), (90, 5)], "1 of 4 blocks (SE_5_1) cost"),
    ],
)
def test_the_reading_of_all_or_none(frozen, sentence):
    assert sentence in reading(make(frozen))


def test_gates_that_may_be_constants_are_called_so():
    assert ", which is not measurable. All blocks with" in reading(make([(5, 5)] * 4, whole=(6, 5)))


@pytest.mark.parametrize(("outputs", "guesses"), [(1, True), (2, False), (1000, False)])
def test_a_network_that_guesses_has_nothing_to_lose(outputs, guesses):
    audit = replace(MIXED, metadata=msgspec.structs.replace(MIXED.metadata, outputs=outputs))
    assert ("no more than guessing" in reading(audit)) == guesses
    assert ("costs most" in reading(audit)) != guesses


def test_the_answer_about_the_last_stage():
    text = last_stage_answer(MIXED)
    assert last_stage_question(MIXED) == "What are the SE blocks of the last stage (SE_5) worth?"
    assert "by −10.6 points (" in text
    assert "by −0.6 points (" in text
    assert "from 10.0 % to 3.0 %" in text


def test_for_a_network_that_guesses_there_is_no_answer_but_the_parameters():
    text = last_stage_answer(replace(MIXED, metadata=msgspec.structs.replace(MIXED.metadata, outputs=1)))
    assert "only guesses" in text
    assert "points" not in text
    assert "from 10.0 % to 3.0 %" in text


def test_the_legend_has_room_below_the_title():
    """On a phone, 366 pixels wide, the legend wraps: each entry takes about 8 pixels a letter, and 45 for its mark and the gaps."""
    figure = audit_chart(MIXED).figure
    entries = [8 * len(trace.name) + 45 for trace in figure.data if trace.showlegend]
    lines, left = 1, 0
    for entry in entries:
        lines, left = (lines, left + entry) if left + entry <= 366 - 120 else (lines + 1, entry)
    assert figure.layout.margin.t >= 40 + 22 * lines


def test_the_source_is_named():
    text = describe_audit(MIXED)
    for part in ("small (weights abcdef01)", "80.0%", "1,000 photos of 5 classes", "photos val", "seed 7", "2026-11-23"):
        assert part in text
