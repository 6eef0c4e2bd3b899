"""Figures of two classes and of two networks: the numbers that they draw are those of the comparison."""

import numpy as np
import pytest

from sevis.analysis.two_classes import Effects
from sevis.analysis.two_models import BlockProfile, ModelComparison
from sevis.figures.classes.two_classes import depth_table, effect_table, effects_by_depth, largest_effects, sorted_effects
from sevis.figures.classes.two_models import (
    MEASURES,
    agreement_map,
    agreement_map_table,
    agreement_panel,
    agreement_table,
    difference_panel,
    profile_panel,
    profile_table,
)
from sevis.figures.theme import LESS, MORE, NEUTRAL

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
    figure = largest_effects(effects, count=4)
    assert list(figure.layout.yaxis.ticktext) == ["SE_3_1 · 0", "SE_2_1 · 1", "SE_2_1 · 3", "SE_3_1 · 3"]
    more, less = (traces(figure)[f"opened more for {name}"] for name in ("goldfish", "&lt;i&gt;cliff&lt;/i&gt;"))
    assert (more.marker.color, less.marker.color) == (MORE, LESS)
    assert list(more.x) == [2.0, 0.9]
    assert list(more.y) == [0, 2]
    assert list(less.x) == [-1.5, -0.8]
    np.testing.assert_allclose(more.error_x.array, 0.5)
    np.testing.assert_allclose(less.error_x.arrayminus, 0.3)


def test_what_may_be_chance_is_hollow(effects):
    figure = largest_effects(effects)
    symbols = {float(x): symbol for trace in figure.data for x, symbol in zip(trace.x, trace.marker.symbol, strict=True)}
    assert symbols == {2.0: "circle", 0.9: "circle", 0.7: "circle", 0.2: "circle-open", -1.5: "circle", -0.8: "circle", -0.1: "circle-open"}


def test_of_one_block_the_channels_need_no_block_name():
    figure = largest_effects(effects_of([1.0, 2.0], ["SE_2_1"] * 2))
    assert list(figure.layout.yaxis.ticktext) == ["channel 1", "channel 0"]


def test_by_depth_the_sizes_and_the_share_of_discoveries(effects):
    table = depth_table(effects)
    assert table["block"].tolist() == ["SE_2_1", "SE_3_1"]
    np.testing.assert_allclose(table["median |g|"], [0.9, 0.75])
    np.testing.assert_allclose(table["largest |g|"], [1.5, 2.0])
    assert table["channels that differ"].tolist() == [2, 3]
    np.testing.assert_allclose(table["share that differs"], [0.5, 0.75])  # of all channels, the still one among them
    figure = effects_by_depth(effects)
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
    figure = sorted_effects(effects_of([0.2, -1.5, np.nan, 0.9], ["SE_2_1"] * 4, q=[0.2, 0.001, 0.5, 0.01]))
    drawn = traces(figure)
    np.testing.assert_allclose(drawn["differs (5% false discoveries)"].y, [0.9, -1.5], rtol=1e-6)
    assert list(drawn["differs (5% false discoveries)"].x) == [1, 3]
    np.testing.assert_allclose(drawn["may be chance"].y, [0.2], rtol=1e-6)
    edges = [trace.y for trace in figure.data if trace.mode == "lines"]
    np.testing.assert_allclose(edges, [[0.6, -0.1, -1.8], [1.4, 0.7, -1.0]], rtol=1e-6)


def test_the_table_of_effects_holds_every_channel(effects):
    table = effect_table(effects)
    assert table["block"].tolist() == effects.block.tolist()
    np.testing.assert_array_equal(table["Hedges' g"], effects.g)
    assert effect_table(effects, np.array([4, 1]))["channel"].tolist() == [0, 1]
    assert "mean s of goldfish" in table


def test_figures_of_wide_networks_are_small_on_the_wire():
    random = np.random.default_rng(0)
    widths = np.repeat([256, 512, 1024, 2048], [3, 4, 6, 3])
    blocks = np.repeat([f"SE_{place}" for place in range(16)], widths)
    effects = effects_of(random.normal(size=len(blocks)), blocks)
    one = effects_of(random.normal(size=2048), ["SE_5_1"] * 2048)
    for figure in (largest_effects(effects), effects_by_depth(effects), sorted_effects(one)):
        assert len(figure.to_json()) < MEGABYTE


@pytest.fixture
def comparison():
    first = BlockProfile(("SE_2_1", "SE_3_1"), np.array([0.1, 0.4]), np.array([0.1, 0.2]), np.array([np.nan, np.nan]))
    second = BlockProfile(("SE_2_1", "SE_2_2", "SE_3_1"), np.array([-0.01, 0.3, 0.5]), np.array([0.2, 0.2, 0.3]), np.array([0.0, 0.1, 0.7]))
    return ModelComparison(
        names=("one", "<script>"),
        classes=("a", "b", "c", "d"),
        images=(20, 30),
        profiles=(first, second),
        partner=np.array([0, 2]),
        named=False,
        agreement=np.array([[0.9, 0.2, -0.1], [0.3, 0.4, 0.8]]),
        chance=np.array([0.25, 0.3]),
        difference=np.array([0.05, np.nan]),
        same_images=None,
    )


@pytest.mark.parametrize("measure", MEASURES)
def test_a_panel_draws_both_networks_by_depth(comparison, measure):
    figure = profile_panel(comparison, measure)
    one, other = figure.data
    assert [one.name, other.name] == ["one", "&lt;script&gt;"]
    assert (list(one.x), list(other.x)) == ([0, 1], [0, 0.5, 1])
    np.testing.assert_array_equal(one.y, getattr(comparison.profiles[0], measure))
    np.testing.assert_array_equal(other.y, getattr(comparison.profiles[1], measure))
    assert (one.line.color, other.line.color) == (MORE, LESS)
    assert one.marker.symbol != other.marker.symbol  # and without colours, too
    table = profile_table(comparison, measure)
    assert table["network"].tolist() == ["one"] * 2 + ["<script>"] * 3
    np.testing.assert_array_equal(table[MEASURES[measure][1]], [*one.y, *other.y])


def test_agreement_stands_beside_chance(comparison):
    agreement, chance = agreement_panel(comparison).data
    assert list(agreement.y) == [0.9, 0.8]
    assert list(agreement.text) == ["SE_2_1", "SE_3_1"]
    assert list(chance.y) == [0.25, 0.3]
    assert chance.line.color == NEUTRAL
    assert agreement_table(comparison)["partner"].tolist() == ["SE_2_1", "SE_3_1"]


def test_every_block_meets_every_block(comparison):
    figure = agreement_map(comparison)
    np.testing.assert_allclose(figure.data[0].z, comparison.agreement, rtol=1e-6)
    assert list(figure.layout.xaxis.ticktext) == ["2_1", "2_2", "3_1"]
    assert figure.layout.xaxis.title.text == "&lt;script&gt;"
    table = agreement_map_table(comparison)
    pairs = dict(
        zip(
            zip(table["block of the first"].tolist(), table["block of the second"].tolist(), strict=True),
            table["rank correlation"],
            strict=True,
        )
    )
    assert pairs["SE_3_1", "SE_2_2"] == 0.4
    assert pairs["SE_2_1", "SE_3_1"] == -0.1


def test_differences_are_drawn_where_they_are_known(comparison):
    np.testing.assert_array_equal(difference_panel(comparison).data[0].y, [0.05, np.nan])
