"""The figures of one image against the arrays that went in."""

import colorsys
from itertools import combinations, pairwise

import numpy as np
import pytest

from sevis.figures.gates.gate_map import channel_profile, describe_channels, extremes, gate_map, gate_map_table, sorted_scales, top_bars
from sevis.figures.gates.mosaic import SIDE, colours, corner, enlarge, framed, mosaic, overlay
from sevis.figures.theme import NEUTRAL, PALETTE, SCALE_COLOURS
from tests.helpers.processes import loaded_by

LIGHT, DARK = "#FFFFFF", "#0E1117"


@pytest.fixture
def random():
    return np.random.default_rng(3)


@pytest.fixture
def scale(random):
    """Blocks of 6, 7 and 300 channels: 7 does not divide 300, and 300 is more than a row has places for the mouse."""
    return {name: random.uniform(size=width).astype(np.float32) for name, width in (("SE_2_1", 6), ("SE_2_2", 7), ("SE_3_1", 300))}


def test_every_channel_has_its_colour_at_its_place_of_the_gate_map(scale):
    heatmap = gate_map(scale).data[0]
    assert heatmap.z.shape == (3, 300)
    assert heatmap.z.dtype == np.uint8
    assert (heatmap.zmin, heatmap.zmax) == (0, 100)
    for row, values in zip(heatmap.z, scale.values(), strict=True):
        expected = [round(100 * float(values[place * len(values) // 300])) for place in range(300)]
        assert np.abs(row.astype(int) - expected).max() == 0
        assert len(values) == len(set(np.arange(300) * len(values) // 300)), "a channel has no place"


def test_scales_of_other_gates_keep_to_the_ends_of_the_colours():
    heatmap = gate_map({"SE_2_1": np.float32([-0.7, 0, 0.5, 1, 3.2])}).data[0]
    assert heatmap.z.tolist() == [[0, 0, 50, 100, 100]]


def test_the_first_block_is_on_top_and_the_legend_spans_0_to_1(scale):
    figure = gate_map(scale)
    assert list(figure.layout.yaxis.ticktext) == list(scale)
    bottom, top = figure.layout.yaxis.range
    assert bottom > top
    bar = figure.data[0].colorbar
    shown = dict(zip(bar.tickvals, bar.ticktext, strict=True))
    assert shown[0] == "0"
    assert shown[50] == "0.5"
    assert shown[100] == "1"


def test_the_points_under_the_mouse_tell_block_channel_and_scale(scale):
    figure = gate_map(scale)
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
    table = gate_map_table(scale)
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
    figure = top_bars([(name, 0.75), ("tench", 0.25)])
    assert figure.layout.yaxis.ticktext == ("Staffordshire bullterri…", "tench")
    assert figure.data[0].hovertext == (name, "tench")


def test_a_network_of_many_blocks_gets_thinner_rows():
    heights = [gate_map({f"SE_2_{block}": np.full(4, 0.5, np.float32) for block in range(count)}).layout.height for count in (16, 50)]
    assert heights[1] < 50 / 16 * heights[0]
    assert heights[1] >= 50 * 20, "room for a line of text each"


def test_scales_outside_0_to_1_are_within_the_axis():
    scale = np.linspace(-1, 1, 32, dtype=np.float32)
    axis = sorted_scales(scale).layout.yaxis
    assert axis.range is None, "fitted to the values"
    assert sorted_scales(np.abs(scale)).layout.yaxis.range == (0, 1.02)


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
    curve, raised, lowered = sorted_scales(scale, count=4).data
    assert curve.y.tolist() == sorted(scale.tolist(), reverse=True)
    assert np.array_equal(scale[curve.customdata], curve.y)
    assert raised.x.tolist() == [1, 2, 3, 4]
    assert lowered.x.tolist() == [37, 38, 39, 40]
    for marks in (raised, lowered):
        assert np.array_equal(marks.y, curve.y[marks.x - 1])
        assert np.array_equal(scale[marks.customdata], marks.y)
    assert "4 most raised" in raised.name


@pytest.mark.parametrize("count", [20, 300])
def test_a_profile_shows_its_values_in_order(random, count):
    values = random.normal(size=count).astype(np.float32)
    figure = channel_profile(values, title="Squeeze z", name="z")
    assert np.array_equal(figure.data[0].y, values)
    assert figure.data[0].x.tolist() == list(range(count))
    assert figure.layout.title.text == "Squeeze z"
    low, high = channel_profile(values, title="s", name="s", upper=1).layout.yaxis.range
    assert low == 0
    assert 1 <= high < 1.1


def test_bars_carry_names_and_per_cent():
    bars = top_bars([("tabby", 0.8125), ("<b>lion</b>", 0.1)]).data[0]
    assert list(bars.x) == [0.8125, 0.1]
    assert [text.split()[0] for text in bars.text] == ["81.2", "10.0"]
    assert list(top_bars([("tabby", 0.8), ("lion", 0.1)]).layout.yaxis.ticktext) == ["tabby", "lion"]


def test_a_photo_s_gate_map_is_small_on_the_wire(random):
    network = {
        f"SE_{stage}_{block}": random.uniform(size=2**stage * 64).astype(np.float32)
        for stage, depth in ((2, 3), (3, 4), (4, 6), (5, 3))
        for block in range(1, depth + 1)
    }
    assert len(gate_map(network).to_json()) < 200_000


def test_colours_are_white_at_zero_blue_below_red_above():
    low, zero, high = colours(np.float32([-2, 0, 2]), 2.0)
    assert zero.min() > 240
    assert low[2] > low[0] + 50
    assert high[0] > high[2] + 50
    assert np.array_equal(colours(np.float32([-9, np.nan, np.inf]), 2.0), np.stack([low, zero, high]))


def test_enlarging_repeats_pixels(random):
    picture = random.integers(0, 256, size=(4, 4, 3), dtype=np.uint8)
    assert np.array_equal(enlarge(picture, 12, 20), np.kron(picture, np.ones((3, 5, 1), dtype=np.uint8)))


def test_the_mosaic_holds_u_and_s_u_of_each_channel_in_the_same_colours(random):
    maps, scale = random.normal(size=(9, 6, 6)).astype(np.float32), random.uniform(size=9).astype(np.float32)
    channels = [4, 0, 8, 2, 7]
    picture = mosaic(maps, scale, channels, columns=3)
    assert picture.dtype == np.uint8
    for place, channel in enumerate(channels):
        limit = np.abs(maps[channel]).max()
        for scaled, expected in ((False, maps[channel]), (True, scale[channel] * maps[channel])):
            top, left = corner(place, scaled=scaled, columns=3)
            step = SIDE // 6
            centres = picture[top + step // 2 : top + SIDE : step, left + step // 2 : left + SIDE : step]
            assert np.array_equal(centres, colours(expected, limit))


def test_thumbnails_of_the_mosaic_do_not_overlap_and_lie_inside(random):
    maps = random.normal(size=(8, 3, 3)).astype(np.float32)
    height, width, _ = mosaic(maps, np.ones(8, dtype=np.float32), range(8)).shape
    covered = np.zeros((height, width), dtype=int)
    for place in range(8):
        for scaled in (False, True):
            top, left = corner(place, scaled=scaled)
            assert top + SIDE <= height
            assert left + SIDE <= width
            covered[top : top + SIDE, left : left + SIDE] += 1
    assert covered.max() == 1


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_map_without_values_is_white(value):
    picture = mosaic(np.full((1, 2, 2), value, dtype=np.float32), np.ones(1, dtype=np.float32), [0])
    top, left = corner(0, scaled=False)
    assert picture[top : top + SIDE, left : left + SIDE].min() > 240


def test_an_overlay_leaves_the_grey_photo_where_the_map_is_zero(random):
    photo = random.integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
    values = np.float32([[0, 3], [-3, 0]])
    laid = overlay(values, 3.0, photo).astype(float)
    grey = np.repeat(photo.astype(float).mean(axis=-1, keepdims=True), 3, axis=-1)
    for corner_of, value in (((0, 0), 0), ((0, 4), 3), ((4, 0), -3), ((4, 4), 0)):
        rows, columns = slice(corner_of[0], corner_of[0] + 4), slice(corner_of[1], corner_of[1] + 4)
        colour = colours(np.float32(value), 3.0)
        expected = grey[rows, columns] if value == 0 else 0.1 * grey[rows, columns] + 0.9 * colour
        assert np.abs(laid[rows, columns] - expected).max() <= 0.51


def test_the_frame_dims_only_what_is_outside(random):
    photo = random.integers(30, 256, size=(10, 20, 3), dtype=np.uint8)
    picture = framed(photo, (5, 0, 15, 10))
    assert np.array_equal(picture[:, 5:15], photo[:, 5:15])
    assert np.all(picture[:, :5] < photo[:, :5])
    assert np.all(picture[:, 15:] < photo[:, 15:])


@pytest.mark.parametrize("colour", [*PALETTE, NEUTRAL])
@pytest.mark.parametrize("ground", [LIGHT, DARK])
def test_every_colour_stands_out_on_both_themes(colour, ground):
    bright, dark = sorted((luminance(colour), luminance(ground)), reverse=True)
    assert (bright + 0.05) / (dark + 0.05) >= 3  # WCAG 2.2, success criterion 1.4.11


def test_no_two_curve_colours_are_alike():
    for one, other in combinations(PALETTE, 2):
        assert np.abs(np.subtract(rgb(one), rgb(other))).max() > 0.15, (one, other)


def test_the_colours_of_the_scale_grow_lighter_and_so_survive_grey_print():
    assert all(luminance(dark) < luminance(light) for dark, light in pairwise(SCALE_COLOURS))
    assert colorsys.rgb_to_hls(*rgb(SCALE_COLOURS[0]))[1] < 0.2


def test_figures_need_neither_torch_nor_streamlit():
    assert not loaded_by("import sevis.figures.gates.gate_map, sevis.figures.gates.mosaic") & {"torch", "streamlit"}


def rgb(colour):
    return [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]


def luminance(colour):
    """Relative luminance as WCAG 2.2 defines it."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in rgb(colour)]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))
