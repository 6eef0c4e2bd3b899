"""The figures of an intervention against the arrays that went in."""

import numpy as np
import pytest

from sevis.figures.gates.what_if import change_map, channel_bars, compare_bars, compare_table, sensitivity_strip, union_of_top

SITES = ["SE_2_1", "SE_2_2", "SE_3_1"]


@pytest.fixture
def random():
    return np.random.default_rng(3)


def drawn(figure):
    """The traces that a reader sees in the legend, by name."""
    return {trace.name: trace for trace in figure.data if trace.name and trace.showlegend is not False}


def test_the_union_holds_both_tops_in_the_order_of_before(random):
    for _ in range(50):
        before, after = random.permutation(20) / 190, random.permutation(20) / 190
        chosen = union_of_top(before, after, count=3)
        expected = {*np.argsort(-before)[:3].tolist(), *np.argsort(-after)[:3].tolist()}
        assert set(chosen.tolist()) == expected
        assert (np.diff(before[chosen]) < 0).all()


def test_before_and_after_stand_side_by_side():
    before, after = np.float32([0.717, 0.049, 0.00024]), np.float32([0.45, 0.3, 0.00024])
    figure = compare_bars(["tabby", "lion", "<b>"], before, after)
    bars = {trace.name: trace for trace in figure.data}
    assert np.array_equal(bars["before"].x, before)
    assert np.array_equal(bars["after"].x, after)
    assert list(bars["before"].text) == ["71.7 %", "4.9 %", "< 0.1 %"]
    assert list(bars["after"].text) == ["45.0 % (−26.7)", "30.0 % (+25.1)", "< 0.1 % (±0.0)"]
    assert list(figure.layout.yaxis.ticktext) == ["tabby", "lion", "<b>"]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # the first on top
    for place in range(3):  # the two bars of a class neither cover each other nor leave its row
        low, high = sorted((bars[name].offset, bars[name].offset + bars[name].width) for name in ("before", "after"))
        assert -0.5 < low[0] < low[1] <= high[0] < high[1] < 0.5, place
    table = compare_table(["tabby", "lion", "<b>"], before, after)
    assert np.allclose(table["change"], after - before)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (3.8e-7, 0.0, ["< 0.1 %", "< 0.1 % (±0.0)"]),
        (0.00099, 0.001, ["< 0.1 %", "0.1 % (±0.0)"]),
        (0.0012, 3.8e-7, ["0.1 %", "< 0.1 % (−0.1)"]),
        (0.0, 1.0, ["< 0.1 %", "100.0 % (+100.0)"]),
    ],
)
def test_small_probabilities_are_said_to_be_small(before, after, said):
    figure = compare_bars(["tabby"], np.float32([before]), np.float32([after]))
    assert [bar.text[0] for bar in figure.data] == said


def test_a_long_class_leaves_room_for_its_bars():
    name = "great white shark, white shark, man-eater"
    figure = compare_bars([name], np.float32([0.5]), np.float32([0.25]))
    (label,) = figure.layout.yaxis.ticktext
    assert len(label) < 25
    assert name.startswith(label.rstrip("…"))
    assert figure.data[0].customdata[0] == name, "the mouse finds it whole"


@pytest.mark.parametrize("reach", [1e-9, 0.004, 0.2, 19.9, 20.1, 49, 100])
def test_the_axis_of_a_change_has_three_ticks_that_fit(reach):
    for figure in (
        sensitivity_strip(["SE_2_1"], np.float32([reach / 100]), None),
        channel_bars(np.array([3]), np.float32([-reach / 100]), site="SE_2_1"),
    ):
        axis = figure.layout.xaxis
        low, zero, high = axis.tickvals
        assert zero == 0
        assert 0.39 * axis.range[1] <= high == -low <= 0.8 * axis.range[1]
        assert [float(text.replace("−", "-")) for text in axis.ticktext] == pytest.approx([low, 0, high])
        assert "e" not in "".join(axis.ticktext)
        assert axis.tickangle == 0


def test_every_channel_s_move_has_its_colour(random):
    before = {name: random.uniform(size=width).astype(np.float32) for name, width in zip(SITES, (6, 7, 60), strict=True)}
    after = {name: random.uniform(size=len(row)).astype(np.float32) for name, row in before.items()}
    after["SE_2_1"][0] = 5.0  # further than the colours go
    heatmap = change_map(before, after).data[0]
    assert (heatmap.zmin, heatmap.zmax, heatmap.z.dtype) == (-100, 100, np.int8)
    for row, name in zip(heatmap.z, SITES, strict=True):
        width = len(before[name])
        moved = 100 * np.clip(after[name] - before[name], -1, 1)
        assert np.abs(row - moved[np.arange(60) * width // 60]).max() <= 0.5
    colours = dict(heatmap.colorscale)
    assert colours[0.5].upper() == "#F7F7F7"  # no change is white


def test_the_label_of_a_move_says_that_it_is_one(random):
    before = {"SE_2_1": np.float32([0.5, 0.25])}
    figure = change_map(before, {"SE_2_1": np.float32([1.0, 0.25])})
    (places,) = figure.data[1:]
    assert "s changed by" in places.hovertemplate
    assert np.allclose(places.customdata[:, 2], [0.5, 0])
    assert places.y.tolist() == [0, 0]


def test_the_strip_shows_both_ways_of_every_block(random):
    opened, frozen = random.uniform(-0.5, 0.5, size=(2, 3)).astype(np.float32)
    figure = sensitivity_strip(SITES, opened, frozen)
    ways = drawn(figure)
    assert np.allclose(ways["opened (s = 1)"].x, 100 * opened)
    assert np.allclose(ways["frozen at its mean"].x, 100 * frozen)
    for way in ways.values():
        assert np.round(way.y).tolist() == [0, 1, 2]
    assert list(figure.layout.yaxis.ticktext) == SITES
    assert "percentage points" in figure.layout.xaxis.title.text
    low, high = figure.layout.xaxis.range
    assert low == -high < 0 < max(np.abs([*opened, *frozen])) * 100 < high


def test_every_row_of_the_strip_answers_to_the_mouse(random):
    opened, frozen = random.uniform(-0.5, 0.5, size=(2, 3)).astype(np.float32)
    places = sensitivity_strip(SITES, opened, frozen).data[0]
    assert places.opacity == 0
    assert places.hoverinfo is None  # "skip" would lose the clicks
    for row, site in enumerate(SITES):
        mine = np.flatnonzero(places.y == row)
        assert len(mine) > 20
        assert {places.text[place] for place in mine} == {site}
        assert np.allclose(places.customdata[mine], [100 * opened[row], 100 * frozen[row]], atol=1e-4)


@pytest.mark.parametrize("blocks", [1, 16, 50])
def test_the_strip_stays_readable(blocks, random):
    sites = [f"SE_2_{block}" for block in range(blocks)]
    figure = sensitivity_strip(sites, random.uniform(size=blocks).astype(np.float32), None)
    assert len(drawn(figure)) == 1
    assert figure.layout.height / blocks >= 18  # pixels: as high as a line of text


def test_what_is_not_measured_yet_is_not_drawn():
    figure = sensitivity_strip(SITES, np.float32([0.2, np.nan, np.nan]), np.float32([np.nan] * 3))
    assert np.isnan(drawn(figure)["opened (s = 1)"].x).tolist() == [False, True, True]
    assert figure.layout.xaxis.range[1] == pytest.approx(22.4)
    nothing = sensitivity_strip(SITES, np.zeros(3, np.float32), np.zeros(3, np.float32))
    assert nothing.layout.xaxis.range[0] < 0 < nothing.layout.xaxis.range[1]


def test_the_channels_have_bars_with_their_signs():
    figure = channel_bars(np.array([17, 3, 250, 9]), np.float32([-0.02, 0.0101, 0.00002, 4e-9]), site="SE_5_3")
    (bars,) = figure.data
    assert np.allclose(bars.x, [-2, 1.01, 0.002, 4e-7])
    assert list(bars.text) == ["−2.00", "+1.01", "+0.002", "< 0.001"]
    assert list(figure.layout.yaxis.ticktext) == ["channel 17", "channel 3", "channel 250", "channel 9"]
    assert bars.marker.color[0] != bars.marker.color[1] == bars.marker.color[2]
    assert figure.layout.xaxis.range[0] == -figure.layout.xaxis.range[1] < -2
    assert "SE_5_3" in figure.layout.title.text
