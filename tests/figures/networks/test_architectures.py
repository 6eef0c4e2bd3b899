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
)

CELLS = [
    Cell("conv1", "conv1", 112, 64, "", ""),
    Cell("SE_2_1", "layer1.0", 56, 256, "SE_2_1", "256 → 16 → 256"),
    Cell("SE_2_2", "layer1.1", 56, 256, "SE_2_2", "256 → 16 → 256"),
    Cell("3_1", "layer2.0", 28, 512, "SE_3_1", ""),
    Cell("fc", "fc", 1, 1000, "", ""),
]
STAGES = [Stage(112, 1, 9_536, 0), Stage(56, 3, 216_000, 21_600), Stage(7, 2, 40_000_000, 1_000)]


def test_the_strip_has_a_row_for_each_output_size_in_order():
    chart = block_strip(CELLS, network="ResNet-50")
    figure = chart.figure
    assert list(figure.layout.yaxis.ticktext) == ["112 × 112", "56 × 56", "28 × 28", "1 × 1"]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # the first on top
    gated, plain = figure.data
    assert (gated.name, plain.name) == ("with SE", "without SE")
    assert list(gated.y) == [1, 1]
    assert list(plain.y) == [0, 2, 3]
    assert gated.marker.color != plain.marker.color
    first, second = gated.base
    assert first + gated.x[0] < second, "the cells of a row do not touch"
    assert chart.caption.startswith("Each cell is one block of ResNet-50, ")
    assert chart.caption.endswith("; 2 of 3 units have SE.")


def test_a_click_on_the_strip_tells_the_unit_and_the_mouse_finds_the_gate():
    chart = block_strip(CELLS, network="ResNet-50")
    gated, plain = chart.figure.data
    assert [data[0] for data in gated.customdata] == ["SE_2_1", "SE_2_2"]
    assert [data[0] for data in plain.customdata] == ["", "SE_3_1", ""]
    assert "256 → 16 → 256" in gated.customdata[0][3]
    assert "SE_3_1 could stand here" in plain.customdata[1][3]
    assert plain.customdata[0][2] == "64 × 112 × 112"
    assert all(trace.hoverinfo is None for trace in (gated, plain))  # "skip" would lose the clicks
    assert chart.table["unit"] == [cell.unit for cell in CELLS]


def test_many_blocks_in_a_row_have_short_names_and_stay_on_the_figure():
    cells = [Cell(f"SE_4_{block}", f"layer3.{block}", 14, 1024, f"SE_4_{block}", "1024 → 64 → 1024") for block in range(1, 37)]
    figure = block_strip(cells, network="").figure
    assert figure.data[0].text[35] == "4_36"
    assert figure.layout.xaxis.range[1] >= figure.data[0].base[35] + figure.data[0].x[35]
    assert block_strip(cells[:6], network="").figure.data[0].text[0] == "SE_4_1"


def test_a_network_without_blocks_is_an_empty_strip():
    assert block_strip([], network="").figure.layout.height > 0


def test_the_bars_of_a_stage_add_up_and_say_what_se_adds():
    chart = stage_bars(STAGES, what=PARAMETERS, network="ResNet-50")
    plain, gated = chart.figure.data
    assert list(plain.x) == ["112", "56", "7"]
    assert [a + b for a, b in zip(plain.y, gated.y, strict=True)] == pytest.approx([0.009536, 0.2376, 40.001])
    assert list(gated.text) == ["", "+10 %", "+0.003 %"]
    assert chart.table["parameters_of_se"] == [0, 21_600, 1_000]
    assert chart.table["parameters_without_se"] == [9_536, 216_000, 40_000_000]
    assert chart.caption.startswith("The parameters of ResNet-50, counted here, by the side")


@pytest.mark.parametrize(
    ("count", "title"), [(3_900, "thousand multiply-adds"), (40_000_000, "million multiply-adds"), (1_500_000_000, "billion multiply-adds")]
)
def test_the_axis_of_the_bars_says_in_what(count, title):
    figure = stage_bars([Stage(28, 1, count, 0)], what=MULTIPLY_ADDS, network="").figure
    assert figure.layout.yaxis.title.text == title
    assert figure.data[0].y[0] < figure.layout.yaxis.range[1] < 2 * figure.data[0].y[0]
    assert 1 <= figure.data[0].y[0] < 1000


def test_the_curve_marks_the_chosen_ratio_and_the_papers_figures():
    counts = {2: 45_700_000, 4: 35_640_000, 16: 28_090_000}
    chart = reduction_curve(counts, 25_560_000, chosen=16, printed={4: 35.7e6}, network="ResNet-50")
    figure = chart.figure
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
    assert chart.table["parameters_paper"] == ["", "35700000", ""]
    assert "every reduction ratio r from 2 to 16: by eq. (5)" in chart.caption
    assert "Table 10" in chart.caption
    bare = reduction_curve(counts, 25_560_000, chosen=32, printed={}, network="ResNet-50")
    assert len(bare.figure.data) == 1
    assert "Table 10" not in bare.caption
