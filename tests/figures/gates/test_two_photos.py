"""The figures of two photos: what they draw equals what NumPy says of the two sets of scales."""

import numpy as np
import pytest

from sevis.figures.gates.two_photos import (
    block_means,
    by_difference,
    colour_limit,
    difference_map,
    most_different,
    one_photos_map,
    one_photos_top,
    pairs,
    sorted_differences,
)

WIDTHS = {"SE_2_1": 16, "SE_2_2": 16, "SE_3_1": 200}


@pytest.fixture
def scales():
    rng = np.random.default_rng(0)
    return [{name: rng.uniform(size=width).astype(np.float32) for name, width in WIDTHS.items()} for _ in "AB"]


def test_the_map_shows_the_differences_each_row_stretched_over_the_whole_width(scales):
    first, second = scales
    figure = difference_map(first, second).figure
    heat = figure.data[0]
    assert (heat.zmin, heat.zmax) == (-100, 100)
    assert list(heat.colorbar.ticktext) == ["−1", "−0.5", "0", "+0.5", "+1"]
    for row, (name, width) in enumerate(WIDTHS.items()):
        expected = [(first[name] - second[name])[place * width // 200] for place in range(200)]
        np.testing.assert_allclose(np.asarray(heat.z[row]) / 100, expected, atol=0.0051)
    assert list(figure.layout.yaxis.ticktext) == list(WIDTHS)


def test_small_differences_use_all_of_the_colours(scales):
    first, second = ({name: row / 10 for name, row in one.items()} for one in scales)
    heat = difference_map(first, second).figure.data[0]
    assert list(heat.colorbar.ticktext) == ["−0.1", "−0.05", "0", "+0.05", "+0.1"]
    np.testing.assert_allclose(np.asarray(heat.z[2]) / 1000, first["SE_3_1"] - second["SE_3_1"], atol=0.00051)


def test_beside_each_row_stands_its_mean(scales):
    first, second = scales
    bar = difference_map(first, second).figure.data[-1]
    means = [np.abs(first[name].astype(float) - second[name]).mean() for name in WIDTHS]
    np.testing.assert_allclose(bar.x, means, rtol=1e-5)
    assert list(bar.text) == [f"{mean:.2f}" for mean in means]
    assert block_means(first, second) == pytest.approx(dict(zip(WIDTHS, means, strict=True)), rel=1e-5)


def test_every_row_answers_to_a_click_with_its_number(scales):
    points = [trace for trace in difference_map(*scales).figure.data if trace.type == "scatter"]
    assert [set(np.asarray(trace.y).tolist()) for trace in points] == [{0}, {1}, {2}]
    first, second = scales
    begin, end, low, high = np.asarray(points[2].customdata).T
    difference = first["SE_3_1"] - second["SE_3_1"]
    assert low[5] == difference[int(begin[5]) : int(end[5]) + 1].min()
    assert high[5] == difference[int(begin[5]) : int(end[5]) + 1].max()
    np.testing.assert_array_equal(np.asarray(points[0].customdata)[:, 2], first["SE_2_1"])
    np.testing.assert_array_equal(np.asarray(points[0].customdata)[:, 3], second["SE_2_1"])


def test_the_table_holds_every_channel_with_both_scales(scales):
    first, second = scales
    table = difference_map(first, second).table
    assert {len(column) for column in table.values()} == {sum(WIDTHS.values())}
    row = np.flatnonzero((table["block"] == "SE_2_2") & (table["channel"] == 7)).item()
    assert (table["s_A"][row], table["s_B"][row]) == (first["SE_2_2"][7], second["SE_2_2"][7])
    np.testing.assert_array_equal(table["difference"], table["s_A"] - table["s_B"])


@pytest.mark.parametrize(
    ("largest", "limit"),
    [(1.0, 1), (0.99, 1), (0.5, 0.5), (0.51, 1), (0.2, 0.2), (0.11, 0.2), (0.03, 0.05), (0, 0.001), (3, 5), (12, 20)],
)
def test_colours_end_at_the_next_round_number(largest, limit):
    assert colour_limit(largest) == pytest.approx(limit)


def test_channels_are_sorted_by_their_difference(scales):
    first, second = (one["SE_3_1"] for one in scales)
    order = by_difference(first, second)
    assert sorted(order) == list(range(200))
    assert (np.diff((first - second)[order]) <= 0).all()
    chart = sorted_differences(first, second, site="SE_3_1", count=4)
    curve, more, less = chart.figure.data
    assert chart.caption.startswith("The 200 channels of SE_3_1: those on the left are more open for A")
    np.testing.assert_array_equal(curve.y, (first - second)[order])
    np.testing.assert_allclose(curve.customdata, np.stack([order, first[order], second[order]], axis=1))
    assert np.asarray(more.customdata)[:, 0].tolist() == np.argsort(second - first)[:4].tolist()
    assert sorted(np.asarray(less.customdata)[:, 0]) == sorted(np.argsort(first - second)[:4])
    assert (more.name, less.name) == ("4 most for A", "4 most for B")
    table = chart.table
    np.testing.assert_array_equal(table["s_A"] - table["s_B"], table["difference"])
    np.testing.assert_array_equal(table["channel"], order)


def test_only_channels_with_a_difference_differ_most():
    first, second = np.array([0.5, 0.9, 0.1, 0.5], np.float32), np.array([0.5, 0.2, 0.1, 0.6], np.float32)
    more, less = most_different(first, second, count=4)
    assert (more.tolist(), less.tolist()) == ([1], [3])
    same = most_different(first, first, count=4)
    assert [len(part) for part in same] == [0, 0]


def test_pairs_show_both_scales_and_the_way_between():
    first, second = np.array([0.5, 0.9, 1.4], np.float32), np.array([0.25, 0.2, 0.1], np.float32)
    chart = pairs(first, second, np.array([2, 0]))
    figure = chart.figure
    way, a, b = figure.data
    assert chart.table["channel"].tolist() == [2, 0]
    np.testing.assert_array_equal(chart.table["s_A"], first[[2, 0]])
    np.testing.assert_array_equal(chart.table["s_B"], second[[2, 0]])
    np.testing.assert_allclose(a.x, [1.4, 0.5], rtol=1e-6)
    np.testing.assert_allclose(b.x, [0.1, 0.25], rtol=1e-6)
    np.testing.assert_allclose(np.asarray(way.x).reshape(2, 3)[:, :2], [[1.4, 0.1], [0.5, 0.25]], rtol=1e-6)
    assert list(figure.layout.yaxis.ticktext) == ["ch 2", "ch 0"]
    assert figure.layout.xaxis.range[1] > 1.4  # a gate that is no sigmoid


def test_each_photo_has_its_own_map_and_classes(scales):
    chart = one_photos_map("B", scales[1])
    assert chart.figure.layout.title.text == "Scale s of every channel for photo B"
    np.testing.assert_array_equal(chart.table["s"], np.concatenate(list(scales[1].values())))
    assert one_photos_top([("tabby", 0.5)], classes=200).caption == "The network knows 200 classes."
