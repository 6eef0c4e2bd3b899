"""Figures of two networks: the numbers that they draw, and say, are those of the comparison."""

from dataclasses import replace

import numpy as np
import pytest

from sevis.analysis.two_models import ModelComparison, ModelProfile
from sevis.figures.classes.two_models import MEASURES, agreement_map, agreement_panel, difference_panel, profile_panel
from sevis.figures.theme import LESS, MORE, NEUTRAL


@pytest.fixture
def comparison():
    first = ModelProfile(("SE_2_1", "SE_3_1"), np.array([0.1, 0.4]), np.array([0.1, 0.2]), np.array([np.nan, np.nan]))
    second = ModelProfile(("SE_2_1", "SE_2_2", "SE_3_1"), np.array([-0.01, 0.3, 0.5]), np.array([0.2, 0.2, 0.3]), np.array([0.0, 0.1, 0.7]))
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
    chart = profile_panel(comparison, measure)
    figure, table = chart.figure, chart.table
    one, other = figure.data
    assert [one.name, other.name] == ["one", "&lt;script&gt;"]
    assert (list(one.x), list(other.x)) == ([0, 1], [0, 0.5, 1])
    np.testing.assert_array_equal(one.y, getattr(comparison.profiles[0], measure))
    np.testing.assert_array_equal(other.y, getattr(comparison.profiles[1], measure))
    assert (one.line.color, other.line.color) == (MORE, LESS)
    assert one.marker.symbol != other.marker.symbol  # and without colours, too
    assert table["network"].tolist() == ["one"] * 2 + ["<script>"] * 3
    np.testing.assert_array_equal(table[MEASURES[measure][1]], [*one.y, *other.y])


def test_a_panel_says_what_the_measure_is_and_how_both_networks_differ(comparison):
    assert profile_panel(comparison, "share").caption.endswith(
        "0 is chance): the means over the blocks of the first and of the second network are 0.25 and 0.26."
    )
    assert profile_panel(comparison, "saturated").caption.endswith(
        "unknown here, because one file holds only means and deviations: collect its statistics again."
    )


def test_agreement_stands_beside_chance(comparison):
    chart = agreement_panel(comparison)
    agreement, chance = chart.figure.data
    assert list(agreement.y) == [0.9, 0.8]
    assert list(agreement.text) == ["SE_2_1", "SE_3_1"]
    assert list(chance.y) == [0.25, 0.3]
    assert chance.line.color == NEUTRAL
    assert chart.table["partner"].tolist() == ["SE_2_1", "SE_3_1"]
    assert chart.table["agreement"].tolist() == [0.9, 0.8]
    assert chart.caption.endswith(": the highest value is 0.90 in SE_2_1, and 2 of 2 blocks lie above chance.")
    unknown = replace(comparison, agreement=np.full((2, 3), np.nan))
    assert agreement_panel(unknown).caption.endswith(": unknown, because it needs at least four classes with different gates.")


def test_every_block_meets_every_block(comparison):
    chart = agreement_map(comparison)
    figure, table = chart.figure, chart.table
    np.testing.assert_allclose(figure.data[0].z, comparison.agreement, rtol=1e-6)
    assert list(figure.layout.xaxis.ticktext) == ["2_1", "2_2", "3_1"]
    assert figure.layout.xaxis.title.text == "&lt;script&gt;"
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
    chart = difference_panel(comparison)
    np.testing.assert_array_equal(chart.figure.data[0].y, [0.05, np.nan])
    np.testing.assert_array_equal(chart.table["mean |difference| of class means"], [0.05, np.nan])
