"""The figures of one image against the arrays that went in."""

import numpy as np
import pytest

from sevis.figures.gates.gate_map import (
    describe_channels,
    extremes,
    gate_map,
    hidden_profile,
    scale_profile,
    sorted_scales,
    squeeze_profile,
    top_bars,
)
from tests.helpers.processes import loaded_by


@pytest.fixture
def random():
    return np.random.default_rng(3)


@pytest.fixture
def scale(random):
    """Blocks of 6, 7 and 300 channels: 7 does not divide 300, and 300 is more than a row has places for the mouse."""
    return {name: random.uniform(size=width).astype(np.float32) for name, width in (("SE_2_1", 6), ("SE_2_2", 7), ("SE_3_1", 300))}


def test_every_channel_has_its_colour_at_its_place_of_the_gate_map(scale):
    heatmap = gate_map(scale).figure.data[0]
    assert heatmap.z.shape == (3, 300)
    assert heatmap.z.dtype == np.uint8
    assert (heatmap.zmin, heatmap.zmax) == (0, 100)
    for row, values in zip(heatmap.z, scale.values(), strict=True):
        expected = [round(100 * float(values[place * len(values) // 300])) for place in range(300)]
        assert np.abs(row.astype(int) - expected).max() == 0
        assert len(values) == len(set(np.arange(300) * len(values) // 300)), "a channel has no place"


def test_scales_of_other_gates_keep_to_the_ends_of_the_colours():
    heatmap = gate_map({"SE_2_1": np.float32([-0.7, 0, 0.5, 1, 3.2])}).figure.data[0]
    assert heatmap.z.tolist() == [[0, 0, 50, 100, 100]]


def test_the_first_block_is_on_top_and_the_legend_spans_0_to_1(scale):
    figure = gate_map(scale).figure
    assert list(figure.layout.yaxis.ticktext) == list(scale)
    bottom, top = figure.layout.yaxis.range
    assert bottom > top
    bar = figure.data[0].colorbar
    shown = dict(zip(bar.tickvals, bar.ticktext, strict=True))
    assert shown[0] == "0"
    assert shown[50] == "0.5"
    assert shown[100] == "1"


def test_the_points_under_the_mouse_tell_block_channel_and_scale(scale):
    figure = gate_map(scale).figure
    for number, ((name, values), points) in enumerate(zip(scale.items(), figure.data[1:], strict=True)):
        assert points.type == "scatter", "WebGL points draw slowly without a GPU"
        assert points.opacity == 0
        assert points.hoverinfo != "skip", "then a click would be lost"
        assert set(points.y) == {number}
        assert name in points.hovertemplate
        assert np.all(np.diff(points.x) > 0)
        covered = []
        for x, (first, last, low, high) in zip(points.x, points.customdata, strict=True):
            channels = np.arange(int(first), int(last) + 1)
            covered.extend(channels)
            assert low == values[channels].min()
            assert high == values[channels].max()
            assert first <= (x + 0.5) * len(values) / 300 <= last + 1, "the point lies over its channels"
        assert covered == list(range(len(values)))


def test_the_table_of_the_gate_map_holds_every_scale_exactly(scale):
    table = gate_map(scale).table
    for name, values in scale.items():
        rows = table["block"] == name
        assert np.array_equal(table["s"][rows], values)
        assert table["channel"][rows].tolist() == list(range(len(values)))


def test_channels_by_stage_in_words(scale):
    assert describe_channels(scale) == "6 to 7 channels in stage 2, 300 in 3"


def test_stages_that_do_not_follow_each_other_are_counted_together():
    widths = {"SE_2_1": 8, "SE_3_1": 16, "SE_2_2": 4}
    assert describe_channels({name: np.zeros(width, dtype=np.float32) for name, width in widths.items()}) == (
        "4 to 8 channels in stage 2, 16 in 3"
    )


def test_a_long_name_of_a_class_is_shortened_beside_its_bar_and_whole_under_the_mouse():
    name = "Staffordshire bullterrier, Staffordshire bull terrier"
    chart = top_bars([(name, 0.75), ("tench", 0.25)], classes=7)
    figure = chart.figure
    assert chart.table == {"class": [name, "tench"], "probability": [0.75, 0.25]}
    assert chart.caption.startswith("The network knows 7 classes")
    assert figure.layout.yaxis.ticktext == ("Staffordshire bullterri…", "tench")
    assert figure.data[0].hovertext == (name, "tench")


def test_a_network_of_many_blocks_gets_thinner_rows():
    heights = [
        gate_map({f"SE_2_{block}": np.full(4, 0.5, np.float32) for block in range(count)}).figure.layout.height for count in (16, 50)
    ]
    assert heights[1] < 50 / 16 * heights[0]
    assert heights[1] >= 50 * 20, "room for a line of text each"


def test_scales_outside_0_to_1_are_within_the_axis():
    scale = np.linspace(-1, 1, 32, dtype=np.float32)
    axes = [sorted_scales(values, site="SE_2_1", order="").figure.layout.yaxis for values in (scale, np.abs(scale))]
    assert axes[0].range is None, "fitted to the values"
    assert axes[1].range == (0, 1.02)


def test_the_extremes_are_those_of_a_sort(random):
    scale = random.uniform(size=50).astype(np.float32)
    raised, lowered = extremes(scale, count=8)
    ranked = sorted(range(50), key=lambda channel: scale[channel])
    assert lowered.tolist() == ranked[:8]
    assert raised.tolist() == ranked[::-1][:8]
    raised, lowered = extremes(scale[:5], count=8)
    assert len(raised) == len(lowered) == 2
    assert not set(raised) & set(lowered)


def test_equal_scales_give_no_channel_twice():
    raised, lowered = extremes(np.full(6, 0.5, dtype=np.float32), count=3)
    assert sorted([*raised, *lowered]) == list(range(6))


def test_sorted_scales_fall_and_mark_the_ends(random):
    scale = random.uniform(size=40).astype(np.float32)
    chart = sorted_scales(scale, site="SE_2_1", order="a sigmoid stays below 1", count=4)
    curve, raised, lowered = chart.figure.data
    assert chart.caption == "The 40 channels of SE_2_1 from the highest scale to the lowest, for this photo; a sigmoid stays below 1."
    assert np.array_equal(scale[chart.table["channel"]], chart.table["s"])
    assert chart.table["s"].tolist() == sorted(scale.tolist(), reverse=True)
    assert chart.table["rank"].tolist() == list(range(1, 41))
    assert curve.y.tolist() == sorted(scale.tolist(), reverse=True)
    assert np.array_equal(scale[curve.customdata], curve.y)
    assert raised.x.tolist() == [1, 2, 3, 4]
    assert lowered.x.tolist() == [37, 38, 39, 40]
    for marks in (raised, lowered):
        assert np.array_equal(marks.y, curve.y[marks.x - 1])
        assert np.array_equal(scale[marks.customdata], marks.y)
    assert "4 most open" in raised.name


@pytest.mark.parametrize("count", [20, 300])
def test_a_profile_shows_its_values_in_order(random, count):
    values = random.normal(size=count).astype(np.float32)
    squeeze, hidden = squeeze_profile(values), hidden_profile(values, caption="Pressed into units.")
    bounded, free = (scale_profile(values, 2 * values, gate="σ is the sigmoid", bounded=bounded) for bounded in (True, False))
    for chart, title, unit, column in (
        (squeeze, "Squeeze z", "channel", "z"),
        (hidden, "Hidden layer h", "unit", "h"),
        (bounded, "Scale s", "channel", "s"),
    ):
        assert np.array_equal(chart.figure.data[0].y, values)
        assert chart.figure.data[0].x.tolist() == chart.table[unit].tolist() == list(range(count))
        assert chart.figure.layout.title.text == title
        assert np.array_equal(chart.table[column], values)
    assert np.array_equal(bounded.table["logit"], 2 * values)
    assert hidden.caption == "Pressed into units."
    assert bounded.caption == f"Each channel is multiplied by its scale s, which is {values.mean():.2f} on average; σ is the sigmoid."
    low, high = bounded.figure.layout.yaxis.range
    assert low == 0
    assert 1 <= high < 1.1
    assert free.figure.layout.yaxis.range is None


def test_bars_carry_names_and_per_cent():
    bars = top_bars([("tabby", 0.8125), ("<b>lion</b>", 0.1)], classes=2).figure.data[0]
    assert list(bars.x) == [0.8125, 0.1]
    assert [text.split()[0] for text in bars.text] == ["81.2", "10.0"]
    assert list(top_bars([("tabby", 0.8), ("lion", 0.1)], classes=2).figure.layout.yaxis.ticktext) == ["tabby", "lion"]


def test_a_photo_s_gate_map_is_small_on_the_wire(random):
    network = {
        f"SE_{stage}_{block}": random.uniform(size=2**stage * 64).astype(np.float32)
        for stage, depth in ((2, 3), (3, 4), (4, 6), (5, 3))
        for block in range(1, depth + 1)
    }
    assert len(gate_map(network).figure.to_json()) < 200_000


def test_figures_need_neither_torch_nor_streamlit():
    assert not loaded_by("import sevis.figures.gates.gate_map, sevis.figures.gates.mosaic, sevis.figures.gates.what_if") & {
        "torch",
        "streamlit",
    }
