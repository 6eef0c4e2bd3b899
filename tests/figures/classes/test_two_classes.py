"""Figures of two classes: the numbers that they draw are those of the comparison."""

import numpy as np
import pytest

from sevis.analysis.two_classes import Effects
from sevis.figures.classes.two_classes import depth_table, effects_by_depth, largest_effects, sorted_effects
from sevis.figures.theme import LESS, MORE

MEGABYTE = 1_000_000


def effects_of(g, blocks, *, q=None):
    g = np.array(g, dtype=float)
    q = np.full(len(g), 0.01) if q is None else np.array(q, dtype=float)
    means = np.stack([0.5 + g / 20, np.full(len(g), 0.5)])
    return Effects(
        names=("goldfish", "<i>cliff</i>"),
        counts=(20, 30),
        block=np.array(blocks),
        channel=np.arange(len(g)) % 4,
        means=means,
        g=g,
        low=g - 0.3,
        high=g + 0.5,
        p=q / 2,
        q=np.where(np.isnan(g), np.nan, q),
    )


@pytest.fixture
def effects():
    """Two blocks of four channels; one channel is still, two are no discoveries."""
    g = [0.2, -1.5, np.nan, 0.9, 2.0, -0.1, 0.7, -0.8]
    return effects_of(g, ["SE_2_1"] * 4 + ["SE_3_1"] * 4, q=[0.2, 0.001, 0.5, 0.01, 0.001, 0.9, 0.03, 0.02])


def traces(figure):
    return {trace.name: trace for trace in figure.data if trace.name}


def test_the_largest_effects_stand_on_top_with_their_intervals(effects):
    chart = largest_effects(effects, count=4)
    figure = chart.figure
    assert list(figure.layout.yaxis.ticktext) == ["SE_3_1 · 0", "SE_2_1 · 1", "SE_2_1 · 3", "SE_3_1 · 3"]
    more, less = (traces(figure)[f"opened more for {name}"] for name in ("goldfish", "&lt;i&gt;cliff&lt;/i&gt;"))
    assert (more.marker.color, less.marker.color) == (MORE, LESS)
    assert list(more.x) == [2.0, 0.9]
    assert list(more.y) == [0, 2]
    assert list(less.x) == [-1.5, -0.8]
    np.testing.assert_allclose(more.error_x.array, 0.5)
    np.testing.assert_allclose(less.error_x.arrayminus, 0.3)
    assert chart.caption.startswith("The 4 channels whose scales differ most")
    assert chart.table["Hedges' g"].tolist() == [2.0, -1.5, 0.9, -0.8, 0.7, 0.2, -0.1]  # all that are known
    assert chart.table["channel"].tolist() == [0, 1, 3, 3, 2, 0, 1]


def test_what_may_be_chance_is_hollow(effects):
    figure = largest_effects(effects).figure
    symbols = {float(x): symbol for trace in figure.data for x, symbol in zip(trace.x, trace.marker.symbol, strict=True)}
    assert symbols == {2.0: "circle", 0.9: "circle", 0.7: "circle", 0.2: "circle-open", -1.5: "circle", -0.8: "circle", -0.1: "circle-open"}


def test_of_one_block_the_channels_need_no_block_name():
    figure = largest_effects(effects_of([1.0, 2.0], ["SE_2_1"] * 2)).figure
    assert list(figure.layout.yaxis.ticktext) == ["channel 1", "channel 0"]


def test_by_depth_the_sizes_and_the_share_of_discoveries(effects):
    chart = effects_by_depth(effects)
    figure, table = chart.figure, chart.table
    assert table["block"].tolist() == ["SE_2_1", "SE_3_1"]
    np.testing.assert_allclose(table["median |g|"], [0.9, 0.75])
    np.testing.assert_allclose(table["largest |g|"], [1.5, 2.0])
    assert table["channels that differ"].tolist() == [2, 3]
    np.testing.assert_allclose(table["share that differs"], [0.5, 0.75])  # of all channels, the still one among them
    drawn = traces(figure)
    assert list(figure.layout.xaxis2.ticktext) == ["2_1", "3_1"]
    np.testing.assert_allclose(drawn["median |g|"].y, table["median |g|"])
    np.testing.assert_allclose(drawn["channels that differ (5% false discoveries)"].y, [50, 75])
    np.testing.assert_allclose(drawn["median if no channel differed"].y, 0.6745 * np.sqrt(1 / 20 + 1 / 30))


def test_a_block_that_is_still_has_no_size():
    table = depth_table(effects_of([np.nan, np.nan, 1.0], ["SE_2_1"] * 2 + ["SE_3_1"]))
    assert np.isnan(table["median |g|"][0])
    assert table["channels that differ"].tolist() == [0, 1]


def test_all_channels_of_a_block_fall_from_left_to_right():
    chart = sorted_effects(effects_of([0.2, -1.5, np.nan, 0.9], ["SE_2_1"] * 4, q=[0.2, 0.001, 0.5, 0.01]))
    figure = chart.figure
    drawn = traces(figure)
    np.testing.assert_allclose(drawn["differs (5% false discoveries)"].y, [0.9, -1.5], rtol=1e-6)
    assert list(drawn["differs (5% false discoveries)"].x) == [1, 3]
    np.testing.assert_allclose(drawn["may be chance"].y, [0.2], rtol=1e-6)
    edges = [trace.y for trace in figure.data if trace.mode == "lines"]
    np.testing.assert_allclose(edges, [[0.6, -0.1, -1.8], [1.4, 0.7, -1.0]], rtol=1e-6)


def test_the_table_of_effects_holds_every_channel(effects):
    table = sorted_effects(effects).table
    assert table["block"].tolist() == effects.block.tolist()
    np.testing.assert_array_equal(table["Hedges' g"], effects.g)
    np.testing.assert_array_equal(table["mean s of goldfish"], effects.means[0])


def test_figures_of_wide_networks_are_small_on_the_wire():
    random = np.random.default_rng(0)
    widths = np.repeat([256, 512, 1024, 2048], [3, 4, 6, 3])
    blocks = np.repeat([f"SE_{place}" for place in range(16)], widths)
    effects = effects_of(random.normal(size=len(blocks)), blocks)
    one = effects_of(random.normal(size=2048), ["SE_5_1"] * 2048)
    for chart in (largest_effects(effects), effects_by_depth(effects), sorted_effects(one)):
        assert len(chart.figure.to_json()) < MEGABYTE
