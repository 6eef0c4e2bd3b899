"""The figures of what networks cost against the numbers that went in."""

from math import log10

import pytest

from sevis.experiments.timing import Ratio
from sevis.figures.networks.costs import Point, error_and_cost, slowdown_chart

POINTS = [
    Point("ResNet-50", False, 24.80, 3.86e9, 3.858e9),
    Point("ResNet-50", True, 23.29, 3.87e9, 3.860e9),
    Point("Inception-ResNet-v2", False, 20.37, 11.75e9, 13.156e9),
    Point("SENet-154", True, 18.68, None, 20.688e9),
]


def test_each_point_says_whose_figure_its_cost_is():
    plain, gated, printed = error_and_cost(POINTS).figure.data
    assert list(plain.x) == pytest.approx([3.858, 13.156])
    assert list(gated.y) == [23.29, 18.68]
    assert list(printed.x) == pytest.approx([3.86, 3.87, 11.75])
    assert list(gated.customdata) == ["SE-ResNet-50", "SENet-154"]
    assert "counted here" in plain.hovertemplate
    assert printed.hovertemplate.count("the paper's figure") == 2
    assert printed.marker.symbol != plain.marker.symbol


def test_arrows_lead_from_plain_to_se():
    figure = error_and_cost(POINTS).figure
    (arrow,) = [note for note in figure.layout.annotations if note.showarrow is not False]
    assert (arrow.ax, arrow.ay) == pytest.approx((log10(3.858), 24.80))
    assert (arrow.x, arrow.y) == pytest.approx((log10(3.860), 23.29))
    assert (arrow.axref, arrow.ayref) == ("x", "y")
    names = [note.text.replace("<br>", "") for note in figure.layout.annotations if note.showarrow is False]
    assert names == ["ResNet-50", "Inception-ResNet-v2", "SENet-154"]
    low, high = figure.layout.xaxis.range
    assert all(low < note.x < high for note in figure.layout.annotations)


def test_before_anything_is_counted_the_papers_costs_are_drawn_alone():
    points = [Point(point.title, point.gated, point.top1, point.printed, None) for point in POINTS]
    chart = error_and_cost(points)
    plain, gated, printed = chart.figure.data
    assert len(plain.x) == len(gated.x) == 0
    assert len(printed.x) == 3
    table = chart.table
    assert table["multiply_adds_counted"] == [""] * 4
    assert table["multiply_adds_paper"] == ["3860000000", "3870000000", "11750000000", ""]


def test_the_slowdown_shows_quartiles_and_the_papers_times():
    chart = slowdown_chart(Ratio(1.05, 1.02, 1.11, 0.1, pairs=30, total=30), network="ResNet-18", device="a toaster")
    here, paper = chart.figure.data
    assert (here.error_x.array[0], here.error_x.arrayminus[0]) == pytest.approx((0.06, 0.03))
    assert list(here.text) == ["1.050×"]
    assert list(paper.x) == pytest.approx([167 / 164, 209 / 190])
    assert not paper.error_x.visible
    low, high = chart.figure.layout.xaxis.range
    assert low < 1
    assert high > 1.11
    assert list(chart.figure.layout.yaxis.ticktext) == ["here", "paper, CPU", "paper, training"]
    assert chart.table["upper_quartile"] == ["1.11", "", ""]
    assert chart.table["milliseconds_with_se"] == pytest.approx([105.0, 167, 209])
    assert chart.table["what"][0] == "ResNet-18, forward of one image on a toaster"
    assert chart.caption.startswith(
        "The time that ResNet-18 takes with SE, divided by its time without SE, measured here on a toaster, beside"
    )
