"""The map of the classes and the matrix of their distances: what is drawn, where, and how much of it goes to the browser."""

from dataclasses import replace

import numpy as np
import pytest

from sevis.analysis.class_map import ClassMaps
from sevis.figures.classes.class_map import (
    MATRIX,
    NAMED,
    class_map,
    distance_matrix,
    pooled,
    reach,
    readable,
)
from sevis.figures.theme import NEUTRAL, PALETTE

MEGABYTE = 1_000_000
NAMES = ("goldfish", "<b>lion</b>", "tabby", "nobody", "cliff")


@pytest.fixture
def maps():
    """Four of five classes in two blocks, with three photos."""
    places = np.array([[[0.0, 0.1], [0.1, 0.0], [-0.1, 0.0], [0.0, -0.1]], [[0.0, 0.4], [0.3, 0.0], [-0.2, 0.0], [0.0, -0.1]]])
    photos = np.array([[[0.1, 0.2], [0.0, 0.0], [0.3, 0.1]], [[0.5, 0.0], [1.0, 0.0], [0.0, 2.0]]])
    return ClassMaps(
        ("SE_2_1", "SE_3_1"), np.array([0, 1, 2, 4]), places, np.array([0.9, 0.5]), photos, np.array([0, 2, 4]), np.array([7, 8, 9])
    )


def traces(figure):
    return {trace.name: trace for trace in figure.data if trace.name}


def large(classes, blocks=16, photos=1000):
    random = np.random.default_rng(0)
    names = [f"a class with a name of usual length, number {row}" for row in range(classes)]
    maps = ClassMaps(
        tuple(f"SE_2_{block}" for block in range(blocks)),
        np.arange(classes),
        random.normal(size=(blocks, classes, 2)),
        np.ones(blocks),
        random.normal(size=(blocks, photos, 2)),
        random.integers(classes, size=photos),
        np.arange(photos),
    )
    return maps, names


def test_classes_lie_where_the_map_says_and_the_marked_ones_have_colours(maps):
    figure = class_map(maps, 1, NAMES, marked=["cliff", "goldfish"]).figure
    drawn = traces(figure)
    assert list(drawn) == ["class mean", "cliff", "goldfish"]
    assert (drawn["class mean"].marker.color, drawn["cliff"].marker.color, drawn["goldfish"].marker.color) == (NEUTRAL, *PALETTE[:2])
    np.testing.assert_allclose(np.c_[drawn["cliff"].x, drawn["cliff"].y], [[0, -0.1]], atol=1e-7)
    np.testing.assert_allclose(np.c_[drawn["class mean"].x, drawn["class mean"].y], [[0.3, 0], [-0.2, 0]], atol=1e-7)
    assert "SE_3_1" in figure.layout.title.text
    assert "units of s" in figure.layout.xaxis.title.text


def test_names_from_outside_are_shown_and_no_tags(maps):
    figure = class_map(maps, 1, NAMES, marked=["<b>lion</b>"]).figure
    assert "<b>lion" not in figure.to_json().replace("\\u003c", "<").replace("&lt;b&gt;", "").replace("<b>&lt;", "")
    assert traces(figure)["&lt;b&gt;lion&lt;/b&gt;"].text == ("&lt;b&gt;lion&lt;/b&gt;",)


def test_a_marked_class_without_images_is_left_out(maps):
    assert "nobody" not in traces(class_map(maps, 0, NAMES, marked=["nobody"]).figure)


def test_photos_are_drawn_when_asked_for_in_the_colour_of_their_class(maps):
    assert "photo" not in traces(class_map(maps, 0, NAMES).figure)
    figure = class_map(maps, 0, NAMES, marked=["tabby"], photos=True).figure
    faint = [trace for trace in figure.data if trace.name == "photo"]
    assert [trace.marker.color for trace in faint] == [NEUTRAL, PALETTE[0]]
    assert [list(trace.text) for trace in faint] == [["photo 7 of goldfish", "photo 9 of cliff"], ["photo 8 of tabby"]]
    np.testing.assert_allclose(np.c_[faint[0].x, faint[0].y], [[0.1, 0.2], [0.3, 0.1]], atol=1e-7)


def test_axes_of_one_scale_reach_to_the_furthest_class_of_all_blocks(maps):
    assert reach(maps) == pytest.approx(0.4 * 1.12)
    assert reach(maps, block=0) == pytest.approx(0.1 * 1.12)
    assert reach(maps, photos=True) > 1.9
    figure = class_map(maps, 0, NAMES).figure
    assert figure.layout.xaxis.range == figure.layout.yaxis.range == pytest.approx((-0.448, 0.448))
    assert class_map(maps, 0, NAMES, common=False).figure.layout.xaxis.range == pytest.approx((-0.112, 0.112))
    assert figure.layout.yaxis.scaleanchor == "x"  # or distances would not be distances
    still = ClassMaps(
        ("SE_2_1",), np.arange(3), np.zeros((1, 3, 2)), np.array([np.nan]), np.zeros((1, 0, 2)), np.zeros(0, int), np.zeros(0, int)
    )
    assert reach(still) == 1.0


def test_a_table_holds_classes_and_photos(maps):
    table = class_map(maps, 1, NAMES).table
    assert table["class"].tolist() == ["goldfish", "<b>lion</b>", "tabby", "cliff", "goldfish", "tabby", "cliff"]
    assert table["photo"].tolist() == [-1, -1, -1, -1, 7, 8, 9]
    assert table["first axis"].tolist() == [0.0, 0.3, -0.2, 0.0, 0.5, 1.0, 0.0]


def test_the_words_say_how_the_map_was_made_and_how_faithful_it_is(maps):
    caption = class_map(maps, 1, NAMES).caption
    assert caption.startswith("The class means on their first two principal axes, which hold 50% of the variance between the classes; ")
    assert caption.endswith("and all blocks share one scale.")
    scaled = class_map(maps, 0, NAMES, metric="l1", common=False).caption
    assert "the L1 distances between class means (SMACOF" in scaled
    assert "stress-1 is 0.90" in scaled
    assert scaled.endswith("and the scale is this block's own.")
    assert class_map(maps, 0, NAMES, photos=True).caption.endswith("; the faint dots are 3 photos, and some may lie outside the axes.")
    still = replace(maps, quality=np.array([np.nan, 0.5]))
    assert class_map(still, 0, NAMES).caption == "All classes have the same mean gates here, so all points coincide."


def test_no_name_covers_another_and_the_marked_come_first():
    points = np.array([[0.0, 0.0], [0.01, 0.0], [0.0, 0.6], [0.02, -0.01]])
    names = ["first", "second", "above", "marked"]
    assert readable(points, names, span=1.0, first=["marked"]) == [3, 2]
    assert readable(points * 40, names, span=40.0, first=["marked"]) == [3, 2]  # whatever the units
    assert readable(np.array([[0.99, 0.0]]), ["a name that would leave the map"], span=1.0) == []


def test_of_many_classes_few_are_named():
    maps, _ = large(1000)
    shown = readable(maps.points[0], [f"class {row}" for row in range(1000)], span=4.0)
    assert 0 < len(shown) < 40


def test_maps_of_a_thousand_classes_are_small_on_the_wire():
    maps, names = large(1000)
    figure = class_map(maps, 3, names, marked=names[:8], photos=True).figure
    assert len(figure.to_json()) < MEGABYTE / 3


def matrix_of(size):
    random = np.random.default_rng(1)
    matrix = random.uniform(size=(size, size))
    matrix = matrix + matrix.T
    np.fill_diagonal(matrix, 0)
    return matrix


def test_a_matrix_is_drawn_as_it_is_with_names_where_there_is_room():
    matrix, names = matrix_of(20), [f"class {row}" for row in range(20)]
    chart = distance_matrix(matrix, names, site="SE_2_1", metric="cosine", furthest=3.0)
    figure = chart.figure
    np.testing.assert_allclose(figure.data[0].z, matrix, rtol=1e-6)
    assert (figure.data[0].zmin, figure.data[0].zmax) == (0, 3)
    assert list(figure.layout.yaxis.ticktext) == names
    assert figure.layout.yaxis.showticklabels
    off = matrix[np.triu_indices(20, 1)]
    assert chart.caption.startswith("The cosine distance between the mean gates of every two classes")
    assert f"(mean {off.mean():.3g}, largest {off.max():.3g})" in chart.caption
    assert "neighbours." not in chart.caption
    many = distance_matrix(matrix_of(NAMED + 1), [str(row) for row in range(NAMED + 1)], site="SE_2_1", metric="l1", furthest=3.0).figure
    assert not many.layout.yaxis.showticklabels
    assert len(many.layout.yaxis.ticktext) == NAMED + 1  # for the hover
    assert many.data[0].colorbar.title.text == "mean |difference| of s"


def test_a_large_matrix_is_drawn_as_means_over_neighbours():
    matrix, names = matrix_of(10), list("abcdefghij")
    small, groups = pooled(matrix, names, most=4)
    assert groups == ["a … c", "d … f", "g … i", "j … j"]
    assert small[0, 1] == pytest.approx(matrix[:3, 3:6].mean())
    assert small[0, 0] == pytest.approx(matrix[:3, :3][~np.eye(3, dtype=bool)].mean())  # not those of a class to itself
    assert small[3, 3] == 0
    assert small[3, 2] == pytest.approx(matrix[9, 6:9].mean())


def test_matrices_of_a_thousand_classes_are_small_on_the_wire():
    chart = distance_matrix(matrix_of(1000), [f"class {row}" for row in range(1000)], site="SE_2_1", metric="l1", furthest=2.0)
    figure = chart.figure
    assert max(figure.data[0].z.shape) <= MATRIX
    assert len(figure.to_json()) < MEGABYTE


def test_the_table_of_a_matrix_keeps_classes_of_one_name_apart():
    table = distance_matrix(matrix_of(3), ["crane", "lion", "crane"], site="SE_2_1", metric="l1", furthest=2.0).table
    assert list(table) == ["class", "crane", "lion", "crane (3)"]
    assert table["crane (3)"].tolist() == matrix_of(3)[2].tolist()
