"""The figures of the architectures against the numbers that went in."""

from math import log10

import pytest

from sevis.figures.networks.architectures import (
    MULTIPLY_ADDS,
    PARAMETERS,
    Cell,
    Stage,
    block_strip,
    reduction_curve,
    stage_bars,
    stage_table,
    strip_table,
)
from sevis.figures.networks.costs import Point, Slowdown, cost_table, error_and_cost, slowdown_chart, slowdown_table

CELLS = [
    Cell("conv1", "conv1", 112, 64, "", ""),
    Cell("SE_2_1", "layer1.0", 56, 256, "SE_2_1", "256 → 16 → 256"),
    Cell("SE_2_2", "layer1.1", 56, 256, "SE_2_2", "256 → 16 → 256"),
    Cell("3_1", "layer2.0", 28, 512, "SE_3_1", ""),
    Cell("fc", "fc", 1, 1000, "", ""),
]
STAGES = [Stage(112, 1, 9_536, 0), Stage(56, 3, 216_000, 21_600), Stage(7, 2, 40_000_000, 1_000)]
POINTS = [
    Point("ResNet-50", False, 24.80, 3.86e9, 3.858e9),
    Point("ResNet-50", True, 23.29, 3.87e9, 3.860e9),
    Point("Inception-ResNet-v2", False, 20.37, 11.75e9, 13.156e9),
    Point("SENet-154", True, 18.68, None, 20.688e9),
]


def test_the_strip_has_a_row_for_each_output_size_in_order():
    figure = block_strip(CELLS)
    assert list(figure.layout.yaxis.ticktext) == ["112 × 112", "56 × 56", "28 × 28", "1 × 1"]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # the first on top
    gated, plain = figure.data
    assert (gated.name, plain.name) == ("with SE", "without SE")
    assert list(gated.y) == [1, 1]
    assert list(plain.y) == [0, 2, 3]
    assert gated.marker.color != plain.marker.color
    first, second = gated.base
    assert first + gated.x[0] < second, "the cells of a row do not touch"


def test_a_click_on_the_strip_tells_the_unit_and_the_mouse_finds_the_gate():
    gated, plain = block_strip(CELLS).data
    assert [data[0] for data in gated.customdata] == ["SE_2_1", "SE_2_2"]
    assert [data[0] for data in plain.customdata] == ["", "SE_3_1", ""]
    assert "256 → 16 → 256" in gated.customdata[0][3]
    assert "SE_3_1 could stand here" in plain.customdata[1][3]
    assert plain.customdata[0][2] == "64 × 112 × 112"
    assert all(trace.hoverinfo is None for trace in (gated, plain))  # "skip" would lose the clicks
    assert strip_table(CELLS)["unit"] == [cell.unit for cell in CELLS]


def test_many_blocks_in_a_row_have_short_names_and_stay_on_the_figure():
    cells = [Cell(f"SE_4_{block}", f"layer3.{block}", 14, 1024, f"SE_4_{block}", "1024 → 64 → 1024") for block in range(1, 37)]
    figure = block_strip(cells)
    assert figure.data[0].text[35] == "4_36"
    assert figure.layout.xaxis.range[1] >= figure.data[0].base[35] + figure.data[0].x[35]
    assert block_strip(cells[:6]).data[0].text[0] == "SE_4_1"


def test_a_network_without_blocks_is_an_empty_strip():
    assert block_strip([]).layout.height > 0


def test_the_bars_of_a_stage_add_up_and_say_what_se_adds():
    plain, gated = stage_bars(STAGES, what=PARAMETERS).data
    assert list(plain.x) == ["112", "56", "7"]
    assert [a + b for a, b in zip(plain.y, gated.y, strict=True)] == pytest.approx([0.009536, 0.2376, 40.001])
    assert list(gated.text) == ["", "+10 %", "+0.003 %"]
    assert stage_table(STAGES, what=PARAMETERS)["parameters_of_se"] == [0, 21_600, 1_000]


@pytest.mark.parametrize(
    ("count", "title"), [(3_900, "thousand multiply-adds"), (40_000_000, "million multiply-adds"), (1_500_000_000, "billion multiply-adds")]
)
def test_the_axis_of_the_bars_says_in_what(count, title):
    figure = stage_bars([Stage(28, 1, count, 0)], what=MULTIPLY_ADDS)
    assert figure.layout.yaxis.title.text == title
    assert figure.data[0].y[0] < figure.layout.yaxis.range[1] < 2 * figure.data[0].y[0]
    assert 1 <= figure.data[0].y[0] < 1000


def test_the_curve_marks_the_chosen_ratio_and_the_papers_figures():
    counts = {2: 45_700_000, 4: 35_640_000, 16: 28_090_000}
    figure = reduction_curve(counts, 25_560_000, chosen=16, printed={4: 35.7e6})
    drawn = {trace.name: trace for trace in figure.data}
    assert list(drawn["counted here"].x) == [2, 4, 16]
    assert list(drawn["counted here"].y) == pytest.approx([45.7, 35.64, 28.09])
    assert list(drawn["the paper's figure"].y) == pytest.approx([35.7])
    assert list(drawn["r = 16"].x) == [16]
    assert drawn["the paper's figure"].marker.symbol != drawn["r = 16"].marker.symbol
    low, high = figure.layout.yaxis.range
    assert low < 25.56
    assert high > 45.7
    left, right = figure.layout.xaxis.range
    assert left < log10(2) < log10(16) < right
    assert list(figure.layout.xaxis.tickvals) == [2, 4, 16]
    assert len(reduction_curve(counts, 25_560_000, chosen=32, printed={}).data) == 1


def test_each_point_says_whose_figure_its_cost_is():
    plain, gated, printed = error_and_cost(POINTS).data
    assert list(plain.x) == pytest.approx([3.858, 13.156])
    assert list(gated.y) == [23.29, 18.68]
    assert list(printed.x) == pytest.approx([3.86, 3.87, 11.75])
    assert list(gated.customdata) == ["SE-ResNet-50", "SENet-154"]
    assert "counted here" in plain.hovertemplate
    assert printed.hovertemplate.count("the paper's figure") == 2
    assert printed.marker.symbol != plain.marker.symbol


def test_arrows_lead_from_plain_to_se():
    figure = error_and_cost(POINTS)
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
    plain, gated, printed = error_and_cost(points).data
    assert len(plain.x) == len(gated.x) == 0
    assert len(printed.x) == 3
    table = cost_table(points)
    assert table["multiply_adds_counted"] == [""] * 4
    assert table["multiply_adds_paper"] == ["3860000000", "3870000000", "11750000000", ""]


def test_the_slowdown_shows_quartiles_and_the_papers_times():
    rows = [
        Slowdown("here", "ResNet-50 on a toaster", 1.05, (1.02, 1.11), 100.0, 105.0),
        Slowdown("paper, CPU", "ResNet-50", 167 / 164, None, 164, 167),
    ]
    figure = slowdown_chart(rows)
    here, paper = figure.data
    assert (here.error_x.array[0], here.error_x.arrayminus[0]) == pytest.approx((0.06, 0.03))
    assert list(here.text) == ["1.050×"]
    assert list(paper.x) == pytest.approx([1.0183], abs=1e-4)
    assert not paper.error_x.visible
    low, high = figure.layout.xaxis.range
    assert low < 1
    assert high > 1.11
    table = slowdown_table(rows)
    assert table["upper_quartile"] == ["1.11", ""]
    assert table["milliseconds_with_se"] == [105.0, 167]
