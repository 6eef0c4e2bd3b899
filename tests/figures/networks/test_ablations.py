"""The figures of the ablations against the numbers that went in."""

from dataclasses import replace

import numpy as np
import pytest

from sevis.ablations.results import Estimate
from sevis.analysis.dead_gates import DEAD
from sevis.figures.networks.ablations import Dot, Gain, Life, error_dots, gain_dots, gate_bars, life_map
from sevis.weights.card import BlockAliveness

DOTS = (
    Dot("Max", Estimate(41.0, (40.0, 42.5), 3), 22.57),
    Dot("Avg <b>", Estimate(40.0, None, 1), 22.28, baseline=True),
    Dot("not run", None, 23.0),
    Dot("not printed", Estimate(43.0, (42.0, 44.0), 3), None),
)
LIVES = (Life("r = 2", 40.0, 0.2, 3.0, True), Life("max", 39.0, 0.01, 0.1, False), Life("r = 16", 41.0, 0.1, 2.0, True))


def test_each_error_stands_in_its_panel_with_its_interval():
    figure = error_dots(DOTS, title="Table 11").figure
    here, paper = figure.data
    np.testing.assert_allclose(here.x, [41.0, 40.0, 43.0])
    np.testing.assert_allclose(here.y, [0, 1, 3])
    np.testing.assert_allclose(here.error_x.array, [1.5, 0, 1])
    np.testing.assert_allclose(here.error_x.arrayminus, [1, 0, 1])
    np.testing.assert_allclose(paper.x, [22.57, 22.28, 23.0])
    np.testing.assert_allclose(paper.y, [0, 1, 2])
    assert (here.xaxis, paper.xaxis) == ("x", "x2")
    assert [line.x0 for line in figure.layout.shapes] == [40.0, 22.28], "the baseline's lines"
    assert list(figure.layout.yaxis.ticktext) == ["Max", "Avg &lt;b&gt;", "not run", "not printed"]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1], "the first row is on top"
    assert here.customdata[1] == "Avg &lt;b&gt;: 40.0 % (a single seed: no interval)"


def test_the_caption_of_the_errors_names_their_source():
    assert error_dots(DOTS, title="", source="on a toaster").caption.endswith("marks the default SE block; on a toaster.")
    assert error_dots(DOTS, title="").caption.endswith("marks the default SE block.")


def test_nothing_measured_leaves_the_paper_s_figures():
    here, paper = error_dots([replace(dot, measured=None) for dot in DOTS], title="").figure.data
    assert len(here.x) == 0
    assert len(paper.x) == 3


def test_the_table_of_errors_leaves_out_what_is_not_known():
    table = error_dots(DOTS, title="Table 11").table
    assert table["top1_error"] == ["41.0", "40.0", "", "43.0"]
    assert table["low"] == ["40.0", "", "", "42.0"]
    assert table["seeds"] == [3, 1, 0, 3]
    assert table["top1_error_paper"] == ["22.57", "22.28", "23.0", ""]


def test_accuracy_stands_beside_aliveness():
    chart = life_map(LIVES, source="on a toaster", caveats="It is made up.")
    figure = chart.figure
    assert [trace.name for trace in figure.data] == ["other tables", "r = 2", "r = 16"]
    assert [(trace.x[0], trace.y[0]) for trace in figure.data] == [(0.01, 61.0), (0.2, 60.0), (0.1, 59.0)]
    assert len({trace.marker.color for trace in figure.data}) == 3
    assert figure.layout.shapes[0].x0 == DEAD
    assert chart.caption.endswith("wins for another reason; on a toaster. It is made up.")
    assert chart.table["points_lost_when_frozen"] == [3.0, 0.1, 2.0]


def test_the_gain_of_se_stands_beside_the_paper_s():
    gains = (Gain("here", 1.3, (-0.2, 2.8), "ours"), Gain("paper", 1.51, None, "theirs", printed=True))
    chart = gain_dots(gains, source="on a toaster")
    figure = chart.figure
    here, paper = figure.data
    assert (here.x[0], here.error_x.array[0], here.error_x.arrayminus[0]) == pytest.approx((1.3, 1.5, 1.5))
    assert paper.x[0] == 1.51
    assert not paper.error_x.visible
    low, high = figure.layout.xaxis.range
    assert low < -0.2 < 2.8 < high
    assert chart.table["low"] == ["-0.2", ""]


def test_the_gates_of_every_block_have_their_bar():
    blocks = {"SE_2_1": BlockAliveness(std_over_images=0.2, mean=0.5, spread=0.1, top1_frozen=0.7)}
    chart = gate_bars(blocks, network="a network", source="on a toaster")
    figure = chart.figure
    assert list(figure.data[0].x) == ["2_1"]
    assert list(figure.data[0].y) == [0.2]
    assert figure.layout.shapes[0].y0 == DEAD
    assert chart.table == {"block": ["SE_2_1"], "std_over_images": [0.2], "mean": [0.5], "top1_frozen": [0.7]}
