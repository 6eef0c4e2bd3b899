"""Figure 6 against NumPy over the raw excitations."""

import re

import numpy as np
import pytest

from sevis.analysis.class_curves import missing, sample_channels
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.provenance import describe_source
from sevis.errors import SevisError
from sevis.figures.classes.class_curves import OVERALL, PAPER_BLOCKS, describe_sampling
from sevis.figures.classes.figure6 import ABOUT_MEANS, MAX_CURVES, STROKES, entries, figure6, mean_panel
from sevis.figures.classes.figure7 import figure7, spread_panels
from sevis.figures.theme import NEUTRAL, PALETTE
from tests.helpers.curves import COUNTS, WIDTHS, curves

RESNET50 = tuple(f"SE_{stage}_{block}" for stage, blocks in zip((2, 3, 4, 5), (3, 4, 6, 3), strict=True) for block in range(1, blocks + 1))


@pytest.mark.parametrize("channels", [50, None])
@pytest.mark.parametrize("site", WIDTHS)
def test_curves_of_figure_6_are_the_means_over_images(statistics, excitations, site, channels):
    drawn = curves(mean_panel(statistics, site, ["goldfish", "cliff"], channels=channels).figure)
    picked = np.linspace(0, WIDTHS[site] - 1, min(WIDTHS[site], channels or WIDTHS[site])).round().astype(int)
    everything = np.concatenate([blocks[site] for blocks in excitations.values()]).astype(np.float64)
    expected = {name: excitations[name][site].astype(np.float64).mean(axis=0) for name in ("goldfish", "cliff")}
    expected = {f"{name} (n = {COUNTS[name]})": mean for name, mean in expected.items()}
    expected["all 3 classes (n = 13)"] = everything.mean(axis=0)
    assert drawn.keys() == expected.keys()
    for name, curve in drawn.items():
        np.testing.assert_array_equal(curve.x, picked)
        np.testing.assert_allclose(curve.y, expected[name][picked], rtol=1e-6)


def test_a_class_without_images_is_named_and_never_drawn(statistics):
    figure = mean_panel(statistics, "SE_2_1", ["lion", "cliff"]).figure
    assert missing(statistics, ["lion", "cliff"]) == ["lion"]
    assert curves(figure).keys() == {"cliff (n = 5)", "all 3 classes (n = 13)"}
    assert curves(figure)["cliff (n = 5)"].line.color == PALETTE[1]  # its own colour, though the class before it is not drawn
    assert "lion (n = 0)" in entries(statistics, ["lion", "cliff"])
    assert "no photo of lion" in spread_panels(statistics, "SE_2_1", ["lion"]).caption
    assert curves(spread_panels(statistics, "SE_2_1", ["lion"]).figures[0]).keys() == {"all 3 classes (n = 13)"}
    assert "None of the chosen classes" in mean_panel(statistics, "SE_2_1", ["lion"]).caption


def test_no_curve_without_any_image():
    figure = mean_panel(ClassStatistics({"SE_2_1": 4}, ("goldfish",)), "SE_2_1", ["goldfish"]).figure
    assert len(figure.data) == 0


def test_tables_hold_what_the_panels_draw(statistics):
    panel = mean_panel(statistics, "SE_5_3", ["cliff"])
    table = panel.table
    assert curves(panel.figure).keys() == table.keys() - {"channel"}
    for name, curve in curves(panel.figure).items():
        np.testing.assert_array_equal(curve.y, table[name].astype(np.float32))
    assert table["channel"].tolist() == sample_channels(300).tolist()
    assert list(spread_panels(statistics, "SE_5_3", ["cliff"]).table) == [
        "channel",
        "cliff (n = 5)",
        "all 3 classes (n = 13)",
        "standard deviation of cliff (n = 5)",
    ]


def test_curves_are_svg_lines_between_0_and_1_in_the_order_of_the_legend(statistics):
    figure = mean_panel(statistics, "SE_2_1", ["goldfish", "cliff"]).figure
    assert {trace.type for trace in figure.data} == {"scatter"}
    assert {trace.mode for trace in figure.data} == {"lines"}
    assert list(figure.layout.yaxis.range) == [0, 1]
    strokes = entries(statistics, ["goldfish", "cliff"])
    assert list(strokes.values()) == [(PALETTE[0], "solid"), (PALETTE[1], "solid"), (NEUTRAL, "dot")]
    assert {name: (trace.line.color, trace.line.dash) for name, trace in curves(figure).items()} == strokes
    assert [trace.line.dash for trace in figure.data] == ["dot", "solid", "solid"]


def test_a_gate_that_leaves_0_to_1_widens_the_axis():
    statistics = ClassStatistics({"SE_2_1": 2}, ("goldfish",))
    tanh = np.array([[-0.5, 0.25]], dtype=np.float32)
    statistics.update(np.array([0]), {"SE_2_1": {"scale": tanh, "squeeze": tanh}})
    assert list(mean_panel(statistics, "SE_2_1", ["goldfish"]).figure.layout.yaxis.range) == [-0.5, 1]


def test_figure_6_holds_every_panel_and_one_legend(statistics):
    chart = figure6(statistics, list(WIDTHS), ["goldfish", "cliff"])
    figure, parts = chart.figure, [mean_panel(statistics, site, ["goldfish", "cliff"]) for site in WIDTHS]
    panels = [part.figure for part in parts]
    assert len(figure.data) == sum(len(panel.data) for panel in panels)
    for drawn, alone in zip(figure.data, (trace for panel in panels for trace in panel.data), strict=True):
        np.testing.assert_array_equal(drawn.y, alone.y)
        assert drawn.name == alone.name
    named = [trace.name for trace in figure.data if trace.showlegend]
    assert sorted(named) == sorted(entries(statistics, ["goldfish", "cliff"]))
    assert [title.text for title in figure.layout.annotations] == ["SE_2_1 · 12 channels", "SE_5_3 · 50 of 300 channels"]
    assert chart.caption == f"{ABOUT_MEANS} {describe_sampling(50)} {describe_source(statistics)}"
    assert "evenly spaced" in chart.caption
    assert "does not say which" in chart.caption, "the paper"
    everything = figure6(statistics, ["SE_5_3"], ["cliff"], channels=None)
    assert everything.figure.layout.annotations[0].text == "SE_5_3 · 300 channels"
    assert "spaced" not in everything.caption
    assert chart.table["panel"].tolist() == ["SE_2_1"] * 12 + ["SE_5_3"] * 50
    for name in parts[0].table:
        np.testing.assert_array_equal(chart.table[name], np.concatenate([part.table[name] for part in parts]))


def test_captions_say_how_far_a_class_lies_from_all(statistics, excitations):
    everything = np.concatenate([blocks["SE_2_1"] for blocks in excitations.values()]).astype(np.float64).mean(axis=0)
    distance = np.mean([np.abs(excitations[name]["SE_2_1"].astype(np.float64).mean(axis=0) - everything) for name in ("goldfish", "cliff")])
    caption = mean_panel(statistics, "SE_2_1", ["goldfish", "cliff"]).caption
    assert f"differs by {distance:.2f} from the mean of all photos" in caption
    assert "over all 12 channels" in caption
    assert "paper" not in caption  # its claims are about SE-ResNet-50, which these two blocks are not


def test_captions_set_the_papers_claims_beside_the_numbers():
    statistics = ClassStatistics(dict.fromkeys(RESNET50, 10), ("goldfish",))
    scale = np.array([[0.95] * 3 + [0.2] * 7], dtype=np.float32)
    statistics.update(np.array([0]), {site: {"scale": scale, "squeeze": scale} for site in RESNET50})
    saturated = mean_panel(statistics, "SE_5_2", ["goldfish"]).caption
    assert "In the paper, most activations of this block are close to one; here 30% of the channels have a mean above 0.9" in saturated
    assert all(mean_panel(statistics, site, ["goldfish"]).caption.startswith("In the paper") for site in PAPER_BLOCKS)
    assert "paper" not in mean_panel(statistics, "SE_2_1", ["goldfish"]).caption


def test_names_from_outside_are_no_markup():
    statistics = ClassStatistics({"SE_2_1": 2}, ("<b>bold</b> & co",))
    scale = np.full((2, 2), 0.5, dtype=np.float32)
    statistics.update(np.array([0, 0]), {"SE_2_1": {"scale": scale, "squeeze": scale}})
    for draw in (figure6, figure7):
        text = draw(statistics, ["SE_2_1"], statistics.classes).figure.to_json().replace("\\u003c", "<")
        assert "<b>" not in text
        assert re.search(r"&lt;b.{0,8}bold", text)


@pytest.mark.parametrize("draw", [mean_panel, figure6])
def test_an_unknown_class_is_refused_with_the_known_ones(statistics, draw):
    site = "SE_2_1" if draw is mean_panel else ["SE_2_1"]
    with pytest.raises(SevisError, match="there is no class 'unicorn' in these statistics; they hold goldfish"):
        draw(statistics, site, ["unicorn"])


def test_an_unknown_block_is_refused_with_the_known_ones(statistics):
    with pytest.raises(SevisError, match="no SE block is called 'SE_9_9': there are SE_2_1, SE_5_3"):
        mean_panel(statistics, "SE_9_9", ["goldfish"])
    with pytest.raises(SevisError, match="no SE block is called 'SE_9_9'"):
        figure6(statistics, ["SE_9_9"], ["goldfish"])


def test_twelve_curves_differ_in_colour_or_line_and_more_are_refused():
    names = tuple(f"class {number}" for number in range(MAX_CURVES + 1))
    statistics = ClassStatistics({"SE_2_1": 2}, names)
    assert len({*STROKES, OVERALL}) == len(set(entries(statistics, names[:MAX_CURVES]).values())) == MAX_CURVES + 1 == 13
    with pytest.raises(SevisError, match=f"at most {MAX_CURVES} curves .* got {MAX_CURVES + 1}: choose fewer"):
        figure6(statistics, ["SE_2_1"], names)


def test_a_class_named_twice_is_drawn_once(statistics):
    for draw in (figure6, figure7):
        twice, once = (draw(statistics, ["SE_2_1"], names).figure for names in (["cliff", "cliff", "goldfish"], ["cliff", "goldfish"]))
        assert [(trace.name, trace.line.color) for trace in twice.data] == [(trace.name, trace.line.color) for trace in once.data]
