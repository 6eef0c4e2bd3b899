"""Figures 6 and 7 against NumPy over the raw excitations."""

import re

import numpy as np
import pytest

from sevis.analysis.paper_figures import mean_table, missing, sample_channels, spread_table
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError
from sevis.figures.classes.captions import describe_source, mean_caption, spread_caption
from sevis.figures.classes.paper_figures import (
    MAX_CURVES,
    OVERALL,
    PAPER_BLOCKS,
    STROKES,
    drawable_channels,
    entries,
    figure6,
    figure7,
    mean_panel,
    paper_blocks,
    spread_panel,
)
from sevis.figures.theme import NEUTRAL, PALETTE

RESNET50 = tuple(f"SE_{stage}_{block}" for stage, blocks in zip((2, 3, 4, 5), (3, 4, 6, 3), strict=True) for block in range(1, blocks + 1))
COUNTS = {"goldfish": 7, "cliff": 5, "lion": 0, "pizza": 1}
WIDTHS = {"SE_2_1": 12, "SE_5_3": 300}


@pytest.fixture(scope="module")
def excitations():
    """Per class and block, the scales of each image, of very different sizes per class: shape (n, C)."""
    random = np.random.default_rng(0)
    return {
        name: {site: random.beta(1 + place, 2, size=(count, width)).astype(np.float32) for site, width in WIDTHS.items()}
        for place, (name, count) in enumerate(COUNTS.items())
    }


@pytest.fixture(scope="module")
def statistics(excitations):
    statistics = ClassStatistics(WIDTHS, tuple(COUNTS))
    for label, blocks in enumerate(excitations.values()):
        values = {site: {"scale": scale, "squeeze": 5 + scale} for site, scale in blocks.items()}
        statistics.update(np.full(COUNTS[list(COUNTS)[label]], label), values)
    return statistics


def curves(figure):
    return {trace.name: trace for trace in figure.data if trace.name}


def test_the_papers_blocks_follow_from_the_rule():
    assert paper_blocks(RESNET50) == PAPER_BLOCKS
    assert paper_blocks([f"SE_{stage}_{block}" for stage in (2, 3, 4, 5) for block in (1, 2)]) == (
        "SE_2_2",
        "SE_3_2",
        "SE_4_2",
        "SE_5_1",
        "SE_5_2",
    )
    assert paper_blocks(["SE_4_9", "SE_4_10", "SE_5_1"]) == ("SE_4_10", "SE_5_1")
    assert paper_blocks(["SE_2_1"]) == ("SE_2_1",)


@pytest.mark.parametrize("width", [50, 51, 128, 1000, 2048])
def test_sampled_channels_are_uniform_and_hold_both_ends(width):
    picked = sample_channels(width, 50)
    steps = np.diff(picked)
    assert (len(picked), picked[0], picked[-1]) == (50, 0, width - 1)
    assert steps.min() >= 1
    assert steps.max() - steps.min() <= 1


def test_all_channels_are_drawn_when_asked_for_or_when_there_are_few():
    assert sample_channels(128, None).tolist() == list(range(128))
    assert sample_channels(12, 50).tolist() == list(range(12))
    assert sample_channels(9, 1).tolist() == [0]
    with pytest.raises(SevisError, match="at least one channel to draw, got 0"):
        sample_channels(128, 0)


@pytest.mark.parametrize("channels", [50, None])
@pytest.mark.parametrize("site", WIDTHS)
def test_curves_of_figure_6_are_the_means_over_images(statistics, excitations, site, channels):
    drawn = curves(mean_panel(statistics, site, ["goldfish", "cliff"], channels=channels))
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
    figure = mean_panel(statistics, "SE_2_1", ["lion", "cliff"])
    assert missing(statistics, ["lion", "cliff"]) == ["lion"]
    assert curves(figure).keys() == {"cliff (n = 5)", "all 3 classes (n = 13)"}
    assert curves(figure)["cliff (n = 5)"].line.color == PALETTE[1]  # its own colour, though the class before it is not drawn
    assert "lion (n = 0)" in entries(statistics, ["lion", "cliff"])
    assert "no photo" in spread_caption(statistics, "SE_2_1", "lion")
    assert curves(spread_panel(statistics, "SE_2_1", "lion")).keys() == {"all 3 classes (n = 13)"}
    assert "None of the chosen classes" in mean_caption(statistics, "SE_2_1", ["lion"])


def test_no_curve_without_any_image():
    figure = mean_panel(ClassStatistics({"SE_2_1": 4}, ("goldfish",)), "SE_2_1", ["goldfish"])
    assert len(figure.data) == 0


def test_the_band_of_figure_7_is_one_standard_deviation_each_side(statistics, excitations):
    raw = excitations["goldfish"]["SE_2_1"].astype(np.float64)
    lower, upper = (trace for trace in spread_panel(statistics, "SE_2_1", "goldfish").data if not trace.name)
    np.testing.assert_allclose(upper.y, raw.mean(axis=0) + raw.std(axis=0, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(lower.y, raw.mean(axis=0) - raw.std(axis=0, ddof=1), rtol=1e-5, atol=1e-7)
    assert (lower.fill, upper.fill) == (None, "tonexty")
    assert f"{raw.std(axis=0, ddof=1).mean():.2f}" in spread_caption(statistics, "SE_2_1", "goldfish")


def test_one_image_has_a_mean_and_no_band(statistics, excitations):
    figure = spread_panel(statistics, "SE_5_3", "pizza", channels=None)
    assert [trace.name for trace in figure.data] == ["all 3 classes (n = 13)", "pizza (n = 1)"]
    np.testing.assert_array_equal(curves(figure)["pizza (n = 1)"].y, excitations["pizza"]["SE_5_3"][0])
    assert "only one photo" in spread_caption(statistics, "SE_5_3", "pizza")
    assert "standard deviation" not in spread_table(statistics, "SE_5_3", "pizza")


def test_tables_hold_what_the_panels_draw(statistics):
    table = mean_table(statistics, "SE_5_3", ["cliff"])
    for name, curve in curves(mean_panel(statistics, "SE_5_3", ["cliff"])).items():
        np.testing.assert_array_equal(curve.y, table[name].astype(np.float32))
    assert table["channel"].tolist() == sample_channels(300).tolist()
    assert list(spread_table(statistics, "SE_5_3", "cliff")) == ["channel", "cliff (n = 5)", "all 3 classes (n = 13)", "standard deviation"]


def test_curves_are_svg_lines_between_0_and_1_in_the_order_of_the_legend(statistics):
    figure = mean_panel(statistics, "SE_2_1", ["goldfish", "cliff"])
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
    assert list(mean_panel(statistics, "SE_2_1", ["goldfish"]).layout.yaxis.range) == [-0.5, 1]


def test_figure_6_holds_every_panel_and_one_legend(statistics):
    figure = figure6(statistics, list(WIDTHS), ["goldfish", "cliff"])
    panels = [mean_panel(statistics, site, ["goldfish", "cliff"]) for site in WIDTHS]
    assert len(figure.data) == sum(len(panel.data) for panel in panels)
    for drawn, alone in zip(figure.data, (trace for panel in panels for trace in panel.data), strict=True):
        np.testing.assert_array_equal(drawn.y, alone.y)
        assert drawn.name == alone.name
    named = [trace.name for trace in figure.data if trace.showlegend]
    assert sorted(named) == sorted(entries(statistics, ["goldfish", "cliff"]))
    assert [title.text for title in figure.layout.annotations] == ["SE_2_1 · 12 channels", "SE_5_3 · 300 channels"]


def test_figure_7_holds_a_panel_for_each_class_and_block(statistics):
    figure = figure7(statistics, list(WIDTHS), ["goldfish", "cliff"])
    assert [title.text.split(" ·")[0] for title in figure.layout.annotations] == [
        "goldfish: SE_2_1",
        "goldfish: SE_5_3",
        "cliff: SE_2_1",
        "cliff: SE_5_3",
    ]
    alone = spread_panel(statistics, "SE_5_3", "cliff", stroke=STROKES[1])
    for drawn, expected in zip(figure.data[-len(alone.data) :], alone.data, strict=True):
        np.testing.assert_array_equal(drawn.y, expected.y)
        assert drawn.line.color == expected.line.color


def test_the_points_of_a_page_stay_within_the_limit():
    statistics = ClassStatistics(dict.fromkeys(RESNET50, 2048), ("goldfish",))
    assert drawable_channels(statistics, PAPER_BLOCKS, 2) is None
    for curves_drawn in (5, MAX_CURVES + 1):
        count = drawable_channels(statistics, RESNET50, curves_drawn)
        assert count is not None
        assert 50 < count < 2048
        assert curves_drawn * len(RESNET50) * count <= 40_000 < 2 * curves_drawn * len(RESNET50) * count


def test_captions_say_how_far_a_class_lies_from_all(statistics, excitations):
    everything = np.concatenate([blocks["SE_2_1"] for blocks in excitations.values()]).astype(np.float64).mean(axis=0)
    distance = np.mean([np.abs(excitations[name]["SE_2_1"].astype(np.float64).mean(axis=0) - everything) for name in ("goldfish", "cliff")])
    caption = mean_caption(statistics, "SE_2_1", ["goldfish", "cliff"])
    assert f"lies {distance:.2f} from the mean of all" in caption
    assert "paper" not in caption  # its claims are about SE-ResNet-50, which these two blocks are not


def test_captions_set_the_papers_claims_beside_the_numbers():
    statistics = ClassStatistics(dict.fromkeys(RESNET50, 10), ("goldfish",))
    scale = np.array([[0.95] * 3 + [0.2] * 7], dtype=np.float32)
    statistics.update(np.array([0]), {site: {"scale": scale, "squeeze": scale} for site in RESNET50})
    saturated = mean_caption(statistics, "SE_5_2", ["goldfish"])
    assert "In the paper most activations of this block are close to one; here 30% of the channels have a mean above 0.9" in saturated
    assert all(mean_caption(statistics, site, ["goldfish"]).startswith("In the paper") for site in PAPER_BLOCKS)
    assert "paper" not in mean_caption(statistics, "SE_2_1", ["goldfish"])


def test_names_from_outside_are_no_markup():
    statistics = ClassStatistics({"SE_2_1": 2}, ("<b>bold</b> & co",))
    scale = np.full((2, 2), 0.5, dtype=np.float32)
    statistics.update(np.array([0, 0]), {"SE_2_1": {"scale": scale, "squeeze": scale}})
    for figure in (figure6(statistics, ["SE_2_1"], statistics.classes), figure7(statistics, ["SE_2_1"], statistics.classes)):
        text = figure.to_json().replace("\\u003c", "<")
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
        twice, once = (draw(statistics, ["SE_2_1"], names) for names in (["cliff", "cliff", "goldfish"], ["cliff", "goldfish"]))
        assert [(trace.name, trace.line.color) for trace in twice.data] == [(trace.name, trace.line.color) for trace in once.data]


def test_provenance_names_what_is_known(statistics):
    assert describe_source(statistics) == "A network over n = 13 photos of 3 classes: an unnamed data set."
    known = ClassStatistics(
        {"SE_2_1": 2}, ("a",), {"model": "m", "weights": "0123456789", "data": "d", "split": "val", "date": "2026-01-02"}
    )
    assert describe_source(known) == "m (weights 01234567) over n = 0 photos of 0 classes: d val, collected on 2026-01-02."
