"""Figure 7 against NumPy over the raw excitations."""

import numpy as np
import pytest

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.provenance import describe_source
from sevis.figures.classes.class_curves import describe_sampling
from sevis.figures.classes.figure6 import STROKES
from sevis.figures.classes.figure7 import ABOUT_SPREAD, figure7, spread_panels
from tests.helpers.curves import WIDTHS, curves

TWO = ["goldfish", "cliff"]


def test_a_block_has_a_panel_for_each_class_with_a_band_of_one_standard_deviation(statistics, excitations):
    panels = spread_panels(statistics, "SE_2_1", TWO)
    assert len(panels.figures) == 2
    for name, figure, stroke in zip(TWO, panels.figures, STROKES, strict=False):
        raw = excitations[name]["SE_2_1"].astype(np.float64)
        mean, spread = raw.mean(axis=0), raw.std(axis=0, ddof=1)
        lower, upper = (trace for trace in figure.data if not trace.name)
        np.testing.assert_allclose(upper.y, mean + spread, rtol=1e-6)
        np.testing.assert_allclose(lower.y, mean - spread, rtol=1e-5, atol=1e-7)
        assert (lower.fill, upper.fill) == (None, "tonexty")
        own = curves(figure)[f"{name} (n = {len(raw)})"]
        np.testing.assert_allclose(own.y, mean, rtol=1e-6)
        assert own.line.color == stroke.colour
        assert figure.layout.title.text == f"{name}: SE_2_1 · 12 channels"
        assert f"{spread.mean():.2f} within {name} ({len(raw)} photos)" in panels.caption
        np.testing.assert_allclose(panels.table[f"standard deviation of {name} (n = {len(raw)})"], spread)


def test_the_panels_of_a_block_have_one_range_though_only_one_class_needs_it():
    statistics = ClassStatistics({"SE_2_1": 2}, ("calm", "wild"))
    scale = np.array([[0.2, 0.3], [0.3, 0.4], [-0.6, 1.5], [-0.4, 1.7]], dtype=np.float32)
    statistics.update(np.array([0, 0, 1, 1]), {"SE_2_1": {"scale": scale, "squeeze": scale}})
    ranges = [list(figure.layout.yaxis.range) for figure in spread_panels(statistics, "SE_2_1", ["calm", "wild"]).figures]
    assert ranges[0] == ranges[1] == pytest.approx([-0.5, 1.6])


def test_one_image_has_a_mean_and_no_band(statistics, excitations):
    panels = spread_panels(statistics, "SE_5_3", ["pizza"], channels=None)
    (figure,) = panels.figures
    assert [trace.name for trace in figure.data] == ["all 3 classes (n = 13)", "pizza (n = 1)"]
    np.testing.assert_array_equal(curves(figure)["pizza (n = 1)"].y, excitations["pizza"]["SE_5_3"][0])
    assert panels.caption == "There is only one photo of pizza, so no spread can be drawn."
    assert not any("deviation" in column for column in panels.table)
    beside = spread_panels(statistics, "SE_5_3", ["pizza", "cliff"]).caption
    assert "within cliff (5 photos). There is only one photo of pizza" in beside


def test_the_file_holds_the_panels_of_the_page_a_row_for_each_block(statistics):
    chart = figure7(statistics, list(WIDTHS), TWO)
    titles = [title.text.split(" ·")[0] for title in chart.figure.layout.annotations]
    assert titles == ["goldfish: SE_2_1", "cliff: SE_2_1", "goldfish: SE_5_3", "cliff: SE_5_3"]
    assert [len(set(axis)) for axis in zip(*((title.x, title.y) for title in chart.figure.layout.annotations), strict=True)] == [2, 2]
    pairs = [spread_panels(statistics, site, TWO) for site in WIDTHS]
    alone = [trace for pair in pairs for figure in pair.figures for trace in figure.data]
    for drawn, expected in zip(chart.figure.data, alone, strict=True):
        np.testing.assert_array_equal(drawn.y, expected.y)
        assert (drawn.name, drawn.line.color) == (expected.name, expected.line.color)
    assert chart.caption == f"{ABOUT_SPREAD} {describe_sampling(50)} {describe_source(statistics)}"
    assert list(dict.fromkeys(chart.table["panel"])) == list(WIDTHS)
    for column in pairs[0].table:
        np.testing.assert_array_equal(chart.table[column], np.concatenate([pair.table[column] for pair in pairs]))
