"""Figure 7 against NumPy over the raw excitations."""

import numpy as np

from sevis.class_statistics.provenance import describe_source
from sevis.figures.classes.figure6 import STROKES
from sevis.figures.classes.figure7 import ABOUT_SPREAD, figure7, spread_panel
from tests.helpers.curves import WIDTHS, curves


def test_the_band_of_figure_7_is_one_standard_deviation_each_side(statistics, excitations):
    raw = excitations["goldfish"]["SE_2_1"].astype(np.float64)
    lower, upper = (trace for trace in spread_panel(statistics, "SE_2_1", "goldfish").figure.data if not trace.name)
    np.testing.assert_allclose(upper.y, raw.mean(axis=0) + raw.std(axis=0, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(lower.y, raw.mean(axis=0) - raw.std(axis=0, ddof=1), rtol=1e-5, atol=1e-7)
    assert (lower.fill, upper.fill) == (None, "tonexty")
    assert f"{raw.std(axis=0, ddof=1).mean():.2f}" in spread_panel(statistics, "SE_2_1", "goldfish").caption


def test_one_image_has_a_mean_and_no_band(statistics, excitations):
    figure = spread_panel(statistics, "SE_5_3", "pizza", channels=None).figure
    assert [trace.name for trace in figure.data] == ["all 3 classes (n = 13)", "pizza (n = 1)"]
    np.testing.assert_array_equal(curves(figure)["pizza (n = 1)"].y, excitations["pizza"]["SE_5_3"][0])
    assert "only one photo" in spread_panel(statistics, "SE_5_3", "pizza").caption
    assert "standard deviation" not in spread_panel(statistics, "SE_5_3", "pizza").table


def test_figure_7_holds_a_panel_for_each_class_and_block(statistics):
    chart = figure7(statistics, list(WIDTHS), ["goldfish", "cliff"])
    figure = chart.figure
    assert [title.text.split(" ·")[0] for title in figure.layout.annotations] == [
        "goldfish: SE_2_1",
        "goldfish: SE_5_3",
        "cliff: SE_2_1",
        "cliff: SE_5_3",
    ]
    panel = spread_panel(statistics, "SE_5_3", "cliff", stroke=STROKES[1])
    alone = panel.figure
    for drawn, expected in zip(figure.data[-len(alone.data) :], alone.data, strict=True):
        np.testing.assert_array_equal(drawn.y, expected.y)
        assert drawn.line.color == expected.line.color
    assert chart.caption == f"{ABOUT_SPREAD} {describe_source(statistics)}"
    mine = chart.table["panel"] == "cliff: SE_5_3"
    np.testing.assert_array_equal(chart.table["standard deviation"][mine], panel.table["standard deviation"])
    np.testing.assert_array_equal(chart.table["cliff (n = 5)"][mine], panel.table["cliff (n = 5)"])
    assert np.isnan(chart.table["goldfish (n = 7)"][mine]).all()  # another panel's
