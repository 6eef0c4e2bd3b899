"""The charts over depth draw the profile's own numbers."""

from math import nan

import numpy as np
import pytest

from sevis.analysis.block_measures import NAMES
from sevis.analysis.dead_gates import CAUSES
from sevis.analysis.depth import Curve, DepthProfile
from sevis.figures.classes.depth import OTHERS, STATEMENTS, depth_chart, profile_table
from sevis.figures.theme import NEUTRAL, PALETTE

SITES = ("SE_2_1", "SE_2_2", "SE_3_1", "SE_3_2", "SE_3_3")


def made(sites=SITES, **curves):
    random = np.random.default_rng(0)
    table = {}
    for name in NAMES:
        estimate = random.uniform(0.2, 0.8, size=len(sites))
        null = np.full(len(sites), 0.05) if name in ("class_share", "accuracy", "selectivity") else None
        table[name] = Curve(estimate, estimate - 0.1, estimate + 0.15, null)
    return DepthProfile(
        sites=tuple(sites),
        curves=table | curves,
        images=1000,
        classes=20,
        per_class=50,
        p_values=np.full(len(sites), 0.01),
        dead={"SE_3_1": "still"},
        level=0.95,
        replicates=200,
        permutations=100,
        seed=0,
        measured=len(sites),
    )


@pytest.mark.parametrize("chart", [*STATEMENTS.values(), *OTHERS.values()], ids=lambda chart: chart.title)
def test_a_chart_draws_its_measures_with_their_intervals(chart):
    profile = made()
    traces = depth_chart(profile, chart).data
    for (name, label), trace, colour in zip(chart.curves.items(), traces, PALETTE, strict=False):
        curve = profile.curves[name]
        assert (trace.name, trace.line.color, trace.type) == (label, colour, "scatter")
        np.testing.assert_array_equal(trace.y, curve.estimate)
        np.testing.assert_allclose(trace.y + trace.error_y.array, curve.high)
        np.testing.assert_allclose(trace.y - trace.error_y.arrayminus, curve.low)
        assert [row[0] for row in trace.customdata] == list(SITES)


def test_what_chance_gives_is_a_dotted_line():
    profile = made()
    for chart, label in ((STATEMENTS["agnostic"], "shuffled labels"), (STATEMENTS["specific"], "chance")):
        trace = depth_chart(profile, chart).data[-1]
        assert (trace.name, trace.line.dash, trace.line.color) == (label, "dot", NEUTRAL)
        np.testing.assert_array_equal(trace.y, 0.05)
    assert len(depth_chart(profile, STATEMENTS["saturated"]).data) == 2


def test_the_axis_starts_at_zero_and_holds_every_end():
    for chart in STATEMENTS.values():
        low, high = depth_chart(made(), chart).layout.yaxis.range
        assert low == 0
        assert high > max(made().curves[name].high.max() for name in chart.curves)
    negative = Curve(np.full(5, 0.01), np.full(5, -0.02), np.full(5, 0.04), None)
    low, high = depth_chart(made(class_share=negative), STATEMENTS["agnostic"]).layout.yaxis.range
    assert low == -0.02
    assert high > 0.14  # the threshold


def test_stages_are_parted_and_thresholds_drawn():
    figure = depth_chart(made(), STATEMENTS["agnostic"])
    upright = [shape.x0 for shape in figure.layout.shapes if shape.x0 == shape.x1]
    level = sorted(shape.y0 for shape in figure.layout.shapes if shape.y0 == shape.y1)
    assert upright == [1.5]
    assert level == [0.06, 0.14]


def test_judged_blocks_stand_out():
    marker = depth_chart(made(), STATEMENTS["agnostic"], judged=["SE_2_2"]).data[0].marker
    assert [symbol == "diamond" for symbol in marker.symbol] == [False, True, False, False, False]
    assert np.argmax(marker.size) == 1


def test_of_many_blocks_the_last_of_each_stage_is_named():
    many = [f"SE_{stage}_{block}" for stage, blocks in ((2, 3), (3, 8), (4, 36), (5, 3)) for block in range(1, blocks + 1)]
    assert list(depth_chart(made(many), STATEMENTS["scaled"]).layout.xaxis.ticktext) == ["2_3", "3_8", "4_36", "5_3"]
    assert list(depth_chart(made(), STATEMENTS["scaled"]).layout.xaxis.ticktext) == ["2_1", "2_2", "3_1", "3_2", "3_3"]


def test_what_is_unknown_has_no_point():
    unknown = np.array([0.3, nan, 0.4, nan, 0.5])
    figure = depth_chart(made(left=Curve(unknown, unknown, unknown)), STATEMENTS["scaled"])
    np.testing.assert_array_equal(figure.data[0].y, unknown)
    nothing = np.full(5, nan)
    figure = depth_chart(made(left=Curve(nothing, nothing, nothing)), STATEMENTS["scaled"])
    assert np.isfinite(figure.layout.yaxis.range).all()


def test_the_table_holds_all_measures_by_block():
    profile = made()
    table = profile_table(profile)
    assert table["block"] == list(SITES)
    for name, curve in profile.curves.items():
        for end, part in (("", curve.estimate), ("_low", curve.low), ("_high", curve.high)):
            np.testing.assert_array_equal(table[name + end], part)
    assert {column for column in table if column.endswith("_chance")} == {"class_share_chance", "accuracy_chance", "selectivity_chance"}
    assert table["dead"] == ["", "", CAUSES["still"], "", ""]
    assert list(profile_table(profile, ["left"])) == ["block", "left", "left_low", "left_high"]


def test_every_measure_is_drawn_somewhere():
    assert {name for chart in (*STATEMENTS.values(), *OTHERS.values()) for name in chart.curves} == set(NAMES)
