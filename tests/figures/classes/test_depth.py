"""The charts over depth draw the profile's own numbers."""

from dataclasses import replace
from math import nan

import numpy as np
import pytest

from sevis.analysis.dead_gates import CAUSES, DEAD
from sevis.analysis.depth import Curve, DepthProfile
from sevis.analysis.depth_measures import MEASURES
from sevis.analysis.statements import judge
from sevis.figures.classes.depth import INTERVALS, JUDGED, measure_chart, profile_table, statement_chart
from sevis.figures.theme import NEUTRAL, PALETTE, translucent

BY_NAME = {measure.name: measure for measure in MEASURES}
DRAWN = [measure for measure in MEASURES if not measure.beside]
SITES = ("SE_2_1", "SE_2_2", "SE_3_1", "SE_3_2", "SE_3_3")


def made(sites=SITES, **curves):
    random = np.random.default_rng(0)
    table = {}
    for name in BY_NAME:
        estimate = random.uniform(0.2, 0.8, size=len(sites))
        null = np.full(len(sites), 0.05) if name in ("class_share", "accuracy", "selectivity") else None
        over_classes = (None, None) if name == "selectivity" else (estimate - 0.18, estimate + 0.25)
        table[name] = Curve(estimate, estimate - 0.1, estimate + 0.15, null, *over_classes)
    return DepthProfile(
        sites=tuple(sites),
        curves=table | curves,
        images=1000,
        classes=20,
        per_class=50,
        p_values=np.full(len(sites), 0.01),
        dead={"SE_3_1": "still"},
        level=0.95,
        permutations=100,
        seed=0,
        measured=len(sites),
    )


def statements(profile):
    """The four charts, by the statement's name, and the statements."""
    judged = {statement.name: statement for statement in judge(profile)}
    return {name: statement_chart(profile, statement) for name, statement in judged.items()}, judged


@pytest.mark.parametrize("measure", DRAWN, ids=lambda measure: measure.name)
def test_a_chart_draws_its_measures_with_their_intervals(measure):
    profile = made()
    chart = measure_chart(profile, measure.name)
    curves = [measure, *(other for other in MEASURES if other.beside == measure.name)]
    wide, points = ([trace for trace in chart.figure.data if (trace.marker.opacity == 0) == hidden] for hidden in (True, False))
    for drawn, trace, colour in zip(curves, points, PALETTE, strict=False):
        curve = profile.curves[drawn.name]
        assert (trace.name, trace.line.color, trace.type) == (drawn.label, colour, "scatter")
        np.testing.assert_array_equal(trace.y, curve.estimate)
        np.testing.assert_allclose(trace.y + trace.error_y.array, curve.high)
        np.testing.assert_allclose(trace.y - trace.error_y.arrayminus, curve.low)
        assert [row[0] for row in trace.customdata] == list(SITES)
    told = [curve for curve in curves if curve.name != "selectivity"]
    for drawn, trace, colour in zip(told, wide, PALETTE, strict=False):
        curve = profile.curves[drawn.name]
        np.testing.assert_allclose(trace.y + trace.error_y.array, curve.high_over_classes)
        np.testing.assert_allclose(trace.y - trace.error_y.arrayminus, curve.low_over_classes)
        assert (trace.error_y.color, trace.showlegend, trace.hoverinfo) == (translucent(colour, 0.3), False, "skip")
        assert chart.figure.data.index(trace) < chart.figure.data.index(points[curves.index(drawn)])  # behind the points
    assert len(wide) == len(told)
    assert chart.figure.layout.title.text == measure.title
    assert chart.figure.layout.yaxis.tickformat == (".0%" if measure.unit == "%" else None)
    assert chart.caption == f"{measure.about} {INTERVALS}"
    assert list(chart.table) == list(profile_table(profile))


def test_a_statements_chart_has_the_measure_it_is_judged_by_its_limits_and_its_data():
    profile = made()
    charts, judged = statements(profile)
    measures = {
        "agnostic": ("distance", "furthest"),
        "specific": ("accuracy", "nearest"),
        "saturated": ("high", "low"),
        "scaled": ("residual", "factor"),
    }
    for name, chart in charts.items():
        first, *_ = measures[name]
        assert chart.figure.layout.title.text == BY_NAME[first].title
        assert chart.caption == f"{BY_NAME[first].about} {JUDGED} {INTERVALS}"
        written = {annotation.text for annotation in chart.figure.layout.annotations}
        assert written == set(judged[name].limits)
        columns = [column for column in chart.table if column in BY_NAME]
        assert columns == list(measures[name])


def test_what_chance_gives_is_a_dotted_line():
    charts, _ = statements(made())
    for chart, label in ((measure_chart(made(), "class_share"), "shuffled labels"), (charts["specific"], "chance")):
        trace = chart.figure.data[-1]
        assert (trace.name, trace.line.dash, trace.line.color) == (label, "dot", NEUTRAL)
        np.testing.assert_array_equal(trace.y, 0.05)
    assert [trace.name for trace in charts["saturated"].figure.data if trace.name] == ["above 0.9", "below 0.1"]


def test_what_no_training_gives_is_a_dashed_line():
    profile = replace(made(), untrained=np.full(5, 0.95))
    chart = measure_chart(profile, "class_share")
    (trace,) = [trace for trace in chart.figure.data if trace.line.dash == "dash"]
    assert trace.name == "of s before any training"
    np.testing.assert_array_equal(trace.y, 0.95)
    assert chart.figure.layout.yaxis.range[1] > 0.95
    np.testing.assert_array_equal(chart.table["class_share_untrained"], 0.95)
    others = {name for name in profile_table(profile) if name.endswith("_untrained")}
    assert others == {"class_share_untrained"}


def test_the_axis_starts_at_zero_and_holds_every_end():
    profile = made()
    charts, judged = statements(profile)
    for name, chart in charts.items():
        low, high = chart.figure.layout.yaxis.range
        assert low == 0
        assert high > profile.curves[judged[name].measure].high_over_classes.max()
    negative = Curve(np.full(5, 0.01), np.full(5, -0.02), np.full(5, 0.04), None)
    z = Curve(*np.full((3, 5), 0.02))
    assert measure_chart(made(class_share=negative, squeeze_share=z), "class_share").figure.layout.yaxis.range[0] == -0.02
    near = Curve(*np.full((3, 5), 0.01))
    assert statements(made(distance=near, furthest=near))[0]["agnostic"].figure.layout.yaxis.range[1] > 0.1  # the threshold


def test_stages_are_parted_and_thresholds_drawn():
    figure = statements(made())[0]["agnostic"].figure
    upright = [shape.x0 for shape in figure.layout.shapes if shape.x0 == shape.x1]
    level = sorted(shape.y0 for shape in figure.layout.shapes if shape.y0 == shape.y1)
    assert upright == [1.5]
    assert level == [0.05, 0.1]
    figure = measure_chart(made(), "spread").figure
    assert [shape.y0 for shape in figure.layout.shapes if shape.y0 == shape.y1] == [DEAD]


def test_judged_blocks_stand_out():
    profile = made()
    marker = statement_chart(profile, replace(judge(profile)[0], blocks=("SE_2_2",))).figure.data[1].marker
    assert [symbol == "diamond" for symbol in marker.symbol] == [False, True, False, False, False]
    assert np.argmax(marker.size) == 1


def test_of_many_blocks_the_last_of_each_stage_is_named():
    many = [f"SE_{stage}_{block}" for stage, blocks in ((2, 3), (3, 8), (4, 36), (5, 3)) for block in range(1, blocks + 1)]
    assert list(measure_chart(made(many), "left").figure.layout.xaxis.ticktext) == ["2_3", "3_8", "4_36", "5_3"]
    assert list(measure_chart(made(), "left").figure.layout.xaxis.ticktext) == ["2_1", "2_2", "3_1", "3_2", "3_3"]


def test_what_is_unknown_has_no_point():
    unknown = np.array([0.3, nan, 0.4, nan, 0.5])
    figure = measure_chart(made(left=Curve(unknown, unknown, unknown)), "left").figure
    np.testing.assert_array_equal(figure.data[0].y, unknown)
    assert len(figure.data) == 1  # no interval over classes, so no bars
    nothing = np.full(5, nan)
    figure = measure_chart(made(left=Curve(nothing, nothing, nothing)), "left").figure
    assert np.isfinite(figure.layout.yaxis.range).all()


def test_the_table_holds_all_measures_by_block():
    profile = made()
    table = profile_table(profile)
    assert table["block"] == list(SITES)
    for name, curve in profile.curves.items():
        for end, part in (("", curve.estimate), ("_low", curve.low), ("_high", curve.high)):
            np.testing.assert_array_equal(table[name + end], part)
        for end in ("low_over_classes", "high_over_classes"):
            if name == "selectivity":
                assert f"{name}_{end}" not in table
            else:
                np.testing.assert_array_equal(table[f"{name}_{end}"], getattr(curve, end))
    assert {column for column in table if column.endswith("_chance")} == {"class_share_chance", "accuracy_chance", "selectivity_chance"}
    assert table["dead"] == ["", "", CAUSES["still"], "", ""]
    np.testing.assert_array_equal(table["class_share_p"], profile.p_values)
    assert list(profile_table(profile, [BY_NAME["left"]])) == [
        "block",
        "left",
        "left_low",
        "left_high",
        "left_low_over_classes",
        "left_high_over_classes",
    ]
