"""The view Class map of the page Classes, in Streamlit's AppTest, on statistics made here."""

import numpy as np
import pytest

from sevis.weights.card import DEFAULT
from tests.helpers.charts import charts, numbers, titles
from tests.helpers.class_pages import CLASSES, PHOTOS, WIDTHS, open_view, view_statistics
from tests.helpers.pages import text

VIEW = "Class map"
FIRST, *_, LAST = WIDTHS  # blocks


def points(chart):
    """Where the classes of a map lie, by name."""
    return {
        name: (x, y)
        for trace in chart["data"]
        if trace.get("mode") == "markers" and "photo" not in trace["text"][0]
        for name, x, y in zip(trace["text"], numbers(trace["x"]), numbers(trace["y"]), strict=True)
    }


def test_a_class_map_shows_all_classes_and_their_distances(folder, scales):
    app = open_view(VIEW, map_block="SE_5_3")
    chart, matrix = charts(app)
    assert titles(app) == ["SE_5_3 · map of 6 classes", "SE_5_3 · distances between 6 classes"]
    assert set(points(chart)) == set(CLASSES)
    means = dict(zip(CLASSES, scales["SE_5_3"].astype(float).reshape(6, PHOTOS, -1).mean(axis=1), strict=True))
    names, z = matrix["layout"]["yaxis"]["ticktext"], numbers(matrix["data"][0]["z"]).reshape(6, 6)
    for row, one in enumerate(names):
        for column, other in enumerate(names):
            cosine = means[one] @ means[other] / np.linalg.norm(means[one]) / np.linalg.norm(means[other])
            assert z[row, column] == pytest.approx(1 - cosine, abs=1e-6)
    assert "the means of two classes lie" in text(app)
    assert "guessing gives 16.7%" in text(app)


def test_the_slider_lets_the_classes_grow_apart_on_one_scale(folder):
    app = open_view(VIEW)
    spread = {}
    for site in (FIRST, LAST):
        app.select_slider(key="map_block").set_value(site).run()
        assert not app.exception
        spread[site] = np.std(list(points(charts(app)[0]).values()))
    assert spread[LAST] > 3 * spread[FIRST]
    ranges = [charts(open_view(VIEW, map_block=site))[0]["layout"]["xaxis"]["range"] for site in (FIRST, LAST)]
    assert ranges[0] == ranges[1]
    own = charts(open_view(VIEW, map_block=FIRST, map_scale="of this block"))[0]["layout"]["xaxis"]["range"]
    assert own[1] < ranges[0][1] / 2


def test_a_link_restores_the_map(folder):
    query = {"map_kind": "MDS", "map_metric": "L1", "map_block": "SE_4_2", "map_class": ["pizza"]}
    app = open_view(VIEW, **query)
    chart, matrix = charts(app)
    assert titles(app)[0].startswith("SE_4_2")
    assert [trace["name"] for trace in chart["data"] if "name" in trace] == ["class mean", "pizza"]
    assert matrix["data"][0]["colorbar"]["title"]["text"] == "mean |difference| of s"
    for part in ("SMACOF", "L1 distances", "stress-1", "tolerance"):
        assert part in text(app)
    fallen_back = open_view(VIEW, map_kind="<script>", map_metric="furlong", map_block="SE_9_9", map_class=["unicorn"])
    assert titles(fallen_back)[0].startswith("SE_2_3")
    assert not fallen_back.error


def test_photos_are_placed_on_demand(folder):
    app = open_view(VIEW, map_photos="true")
    photos = [trace for trace in charts(app)[0]["data"] if trace.get("name") == "photo"]
    assert sum(len(trace["text"]) for trace in photos) == 6 * len(CLASSES)
    assert "36 photos" in text(app)


def test_statistics_of_moments_alone_have_a_map_and_no_photos(folder, scales):
    view_statistics(scales, sample=None, weights="a1b2c3d4e5").save(folder / "shipped" / f"{DEFAULT}.statistics.safetensors")
    app = open_view(VIEW)
    assert len(charts(app)) == 2
    assert not app.toggle
    assert "guessing" not in text(app)
