"""The figures of an intervention against the arrays that went in."""

from types import SimpleNamespace

import numpy as np
import pytest

from sevis.experiments.sensitivity import Ablation, Sensitivity
from sevis.figures.gates.what_if import (
    change_map,
    channel_bars,
    compare_bars,
    one_state_map,
    sensitivity_strip,
    unchanged_bars,
    union_of_top,
)

SITES = ["SE_2_1", "SE_2_2", "SE_3_1"]


@pytest.fixture
def random():
    return np.random.default_rng(3)


def strip(sites, opened, frozen):
    """The figure of these changes of a probability, whatever logits they come from."""
    changes = {"opened": opened, "frozen": frozen}
    answer = SimpleNamespace(
        sites=sites,
        classes=("tabby",),
        frozen=frozen,
        probability=lambda target: 0.5,
        change=lambda way, target: changes[way],
        logit_change=lambda way, target: changes[way],
        top1=lambda way: np.zeros(len(sites), int),
    )
    return sensitivity_strip(answer, 0, held_at="20 photos").figure


def bars_of(change, *, count):
    answer = SimpleNamespace(site="SE_5_3", classes=("tabby",), done=1, change=lambda target: change)
    return channel_bars(answer, 0, count=count).figure


def softmax(logits):
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(axis=-1, keepdims=True)


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
    chart = compare_bars(["tabby", "lion", "<b>"], before, after)
    figure = chart.figure
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
    assert chart.table["class"] == ["tabby", "lion", "<b>"]
    assert np.allclose(chart.table["change"], after - before)
    assert "the prediction stays “tabby” (in brackets" in chart.caption
    assert "turns from “tabby” into “lion” (in brackets" in compare_bars(["tabby", "lion", "<b>"], before, before[[1, 0, 2]]).caption


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
    figure = compare_bars(["tabby"], np.float32([before]), np.float32([after])).figure
    assert [bar.text[0] for bar in figure.data] == said


def test_a_long_class_leaves_room_for_its_bars():
    name = "great white shark, white shark, man-eater"
    figure = compare_bars([name], np.float32([0.5]), np.float32([0.25])).figure
    (label,) = figure.layout.yaxis.ticktext
    assert len(label) < 25
    assert name.startswith(label.rstrip("…"))
    assert figure.data[0].customdata[0] == name, "the mouse finds it whole"


@pytest.mark.parametrize("reach", [1e-9, 0.004, 0.2, 19.9, 20.1, 49, 100])
def test_the_axis_of_a_change_has_three_ticks_that_fit(reach):
    for figure in (
        strip(["SE_2_1"], np.float32([reach / 100]), None),
        bars_of(np.float32([-reach / 100]), count=1),
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
    heatmap = change_map(before, after, held=[]).figure.data[0]
    assert (heatmap.zmin, heatmap.zmax, heatmap.z.dtype) == (-100, 100, np.int8)
    for row, name in zip(heatmap.z, SITES, strict=True):
        width = len(before[name])
        moved = 100 * np.clip(after[name] - before[name], -1, 1)
        assert np.abs(row - moved[np.arange(60) * width // 60]).max() <= 0.5
    colours = dict(heatmap.colorscale)
    assert colours[0.5].upper() == "#F7F7F7"  # no change is white


def test_the_label_of_a_move_says_that_it_is_one(random):
    before = {"SE_2_1": np.float32([0.5, 0.25])}
    chart = change_map(before, {"SE_2_1": np.float32([1.0, 0.25])}, held=["SE_2_1"])
    (points,) = chart.figure.data[1:]
    assert "s changed by" in points.hovertemplate
    assert np.allclose(points.customdata[:, 2], [0.5, 0])
    assert points.y.tolist() == [0, 0]
    assert chart.table["s"].tolist() == [0.5, 0.25]
    assert chart.table["s_after"].tolist() == [1.0, 0.25]


@pytest.mark.parametrize(
    ("moved", "held", "said"),
    [
        ({}, ["SE_2_2"], "No scale s differs by more than 0.01 from the unchanged network."),
        ({"SE_2_2": 0.5}, ["SE_2_2"], "in 1 of 3 blocks. You changed SE_2_2."),
        (
            {"SE_2_1": 0.5, "SE_3_1": 0.02},
            ["SE_2_1", "SE_2_2"],
            "in 2 of 3 blocks. You changed 2 blocks. The other blocks that moved come",
        ),
        (dict.fromkeys(SITES, 0.5), SITES, "in 3 of 3 blocks. You changed all of them."),
    ],
)
def test_the_caption_of_a_move_says_what_moved_and_why(moved, held, said):
    before = {site: np.float32([0.25, 0.25]) for site in SITES}
    after = {site: row + np.float32([0, moved.get(site, 0.005)]) for site, row in before.items()}
    assert said in change_map(before, after, held=held).caption


def test_a_map_says_where_its_colours_end():
    scale = {"SE_2_1": np.float32([0.5, 0.25])}
    assert one_state_map(scale).caption == "Each row is one SE block and each column one of its channels (2 channels in stage 2)."
    scale["SE_2_1"][0] = 1.5
    assert one_state_map(scale).caption.endswith("(2 channels in stage 2); values below 0 or above 1 have the colour of that end.")


def test_without_a_change_only_one_bar_stands():
    chart = unchanged_bars([("tabby", 0.75)], classes=7)
    assert chart.table == {"class": ["tabby"], "probability": [0.75]}
    assert chart.caption.startswith("What the network sees in the photo with all gates as they are")


def test_the_data_of_the_strip_are_those_of_the_logits(random):
    plain, opened, frozen = random.normal(size=4), random.normal(size=(3, 4)), random.normal(size=(3, 4))
    plain, opened, frozen = (logits.astype(np.float32) for logits in (plain, opened, frozen))
    names = ("tabby", "lion", "tench", "cliff")
    known = {"model": "m", "weights": "w", "classes": names, "plain": plain, "target": 0}
    chart = sensitivity_strip(Sensitivity(**known, sites=tuple(SITES), opened=opened, frozen=frozen, done=1), 2, held_at="20 photos")
    assert chart.table["block"] == tuple(SITES)
    for way, logits in (("opened", opened), ("frozen", frozen)):
        assert np.allclose(chart.table[f"{way}_probability_change"], (softmax(logits) - softmax(plain))[:, 2], atol=1e-6)
        assert np.allclose(chart.table[f"{way}_logit_change"], logits[:, 2] - plain[2])
        assert chart.table[f"{way}_top1"].tolist() == [names[row.argmax()] for row in logits]
    assert f"“tench” ({100 * softmax(plain)[2]:.1f} % with no gate changed)" in chart.caption
    assert chart.caption.endswith("a frozen block is held at its mean over 20 photos.")
    without = sensitivity_strip(Sensitivity(**known, sites=tuple(SITES), opened=opened, frozen=None, done=1), 2, held_at="20 photos")
    assert list(without.table) == ["block", "opened_probability_change", "opened_logit_change", "opened_top1"]
    assert without.caption.endswith("in an opened block all channels pass whole.")


def test_the_data_of_the_bars_are_those_of_the_logits(random):
    plain, off = random.normal(size=4).astype(np.float32), random.normal(size=(20, 4)).astype(np.float32)
    answer = Ablation(model="m", weights="w", classes=tuple("abcd"), site="SE_3_1", plain=plain, off=off, channels=32, target=0)
    chart = channel_bars(answer, 3, count=5)
    change = (softmax(off) - softmax(plain))[:, 3]
    assert chart.table["channel"].tolist() == list(range(20))
    assert np.allclose(chart.table["probability_change"], change, atol=1e-6)
    assert chart.figure.data[0].customdata.tolist() == sorted(range(20), key=lambda channel: -abs(change[channel]))[:5]
    assert chart.caption.startswith("The 5 channels of SE_3_1 of the 20 tried so far that change the probability")
    assert "“d” most" in chart.caption


def test_the_strip_shows_both_ways_of_every_block(random):
    opened, frozen = random.uniform(-0.5, 0.5, size=(2, 3)).astype(np.float32)
    figure = strip(SITES, opened, frozen)
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
    points = strip(SITES, opened, frozen).data[0]
    assert points.opacity == 0
    assert points.hoverinfo is None  # "skip" would lose the clicks
    for row, site in enumerate(SITES):
        mine = np.flatnonzero(points.y == row)
        assert len(mine) > 20
        assert {points.text[index] for index in mine} == {site}
        assert np.allclose(points.customdata[mine], [100 * opened[row], 100 * frozen[row]], atol=1e-4)


@pytest.mark.parametrize("blocks", [1, 16, 50])
def test_the_strip_stays_readable(blocks, random):
    sites = [f"SE_2_{block}" for block in range(blocks)]
    figure = strip(sites, random.uniform(size=blocks).astype(np.float32), None)
    assert len(drawn(figure)) == 1
    assert figure.layout.height / blocks >= 18  # pixels: as high as a line of text


def test_what_is_not_measured_yet_is_not_drawn():
    figure = strip(SITES, np.float32([0.2, np.nan, np.nan]), np.float32([np.nan] * 3))
    assert np.isnan(drawn(figure)["opened (s = 1)"].x).tolist() == [False, True, True]
    assert figure.layout.xaxis.range[1] == pytest.approx(22.4)
    nothing = strip(SITES, np.zeros(3, np.float32), np.zeros(3, np.float32))
    assert nothing.layout.xaxis.range[0] < 0 < nothing.layout.xaxis.range[1]


def test_the_channels_have_bars_with_their_signs():
    change = np.zeros(300, np.float32)
    change[[17, 3, 250, 9]] = [-0.02, 0.0101, 0.00002, 4e-9]
    figure = bars_of(change, count=4)
    (bars,) = figure.data
    assert np.allclose(bars.x, [-2, 1.01, 0.002, 4e-7])
    assert list(bars.text) == ["−2.00", "+1.01", "+0.002", "< 0.001"]
    assert list(figure.layout.yaxis.ticktext) == ["channel 17", "channel 3", "channel 250", "channel 9"]
    assert bars.marker.color[0] != bars.marker.color[1] == bars.marker.color[2]
    assert figure.layout.xaxis.range[0] == -figure.layout.xaxis.range[1] < -2
    assert "SE_5_3" in figure.layout.title.text
