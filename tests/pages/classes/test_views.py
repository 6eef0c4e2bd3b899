"""The views Class map, Two classes and Two models of the page Classes, in Streamlit's AppTest, on statistics made here."""

import json
import tempfile

import numpy as np
import pytest
import streamlit as st

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.pages.classes.own_data import KEPT, Own
from sevis.weights.card import DEFAULT
from tests.helpers.cards import ENTRY
from tests.helpers.charts import charts, numbers, titles
from tests.helpers.class_pages import WIDTHS, open_page
from tests.helpers.pages import text

CLASSES = ("lion", "goldfish", "Chihuahua", "bullet train", "cliff", "pizza")
EACH = 8  # photos of a class
MAP, PAIR, MODELS = "Class map", "Two classes", "Two models"
SITES = list(WIDTHS)


def make_scales(seed, *, apart=0.35):
    """The scales of eight photos of each class, by block, shape (8 * classes, C): the deeper, the further the classes are apart."""
    random = np.random.default_rng(seed)
    found = {}
    for place, (site, width) in enumerate(WIDTHS.items()):
        centres = 0.5 + apart * place / len(WIDTHS) * random.uniform(-1, 1, size=(len(CLASSES), width))
        found[site] = np.clip(np.repeat(centres, EACH, axis=0) + 0.1 * random.normal(size=(len(CLASSES) * EACH, width)), 0, 1).astype(
            np.float32
        )
    return found


def collected(scales, classes=CLASSES, *, sample=6, **metadata):
    known = {"model": "another", "weights": "f" * 64, "fingerprint": "same"} | metadata
    statistics = ClassStatistics({site: scale.shape[1] for site, scale in scales.items()}, classes, known, sample=sample)
    values = {site: {"scale": scale, "squeeze": scale} for site, scale in scales.items()}
    statistics.update(np.repeat(np.arange(len(classes)), len(scales[SITES[0]]) // len(classes)), values)
    return statistics


@pytest.fixture
def scales():
    return make_scales(0)


@pytest.fixture
def folder(tmp_path, monkeypatch, scales):
    """A folder as `pretrained/`, with the statistics of the default network; beside it an empty place for data."""
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path / "shipped"))
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "cache"))
    (tmp_path / "shipped").mkdir()
    (tmp_path / "cache").mkdir()
    write_index(tmp_path, DEFAULT)
    collected(scales, model=DEFAULT, weights="a1b2c3d4e5").save(tmp_path / "shipped" / f"{DEFAULT}.statistics.safetensors")
    return tmp_path


def write_index(folder, *names):
    entries = {name: ENTRY | {"sha256": "a1b2c3d4e5", "classes": CLASSES} for name in names}
    (folder / "shipped" / "index.json").write_text(json.dumps(entries))


def places(chart):
    """Where the classes of a map lie, by name."""
    return {
        name: (x, y)
        for trace in chart["data"]
        if trace.get("mode") == "markers" and "photo" not in trace["text"][0]
        for name, x, y in zip(trace["text"], numbers(trace["x"]), numbers(trace["y"]), strict=True)
    }


def open_view(view, **query):
    app = open_page(figure=view, **query)
    assert not app.exception
    return app


def test_a_class_map_shows_all_classes_and_their_distances(folder, scales):
    app = open_view(MAP, map_block="SE_5_3")
    chart, matrix = charts(app)
    assert titles(app) == ["SE_5_3 · map of 6 classes", "SE_5_3 · distances between 6 classes"]
    assert set(places(chart)) == set(CLASSES)
    means = dict(zip(CLASSES, scales["SE_5_3"].astype(float).reshape(6, EACH, -1).mean(axis=1), strict=True))
    names, z = matrix["layout"]["yaxis"]["ticktext"], numbers(matrix["data"][0]["z"]).reshape(6, 6)
    for row, one in enumerate(names):
        for column, other in enumerate(names):
            cosine = means[one] @ means[other] / np.linalg.norm(means[one]) / np.linalg.norm(means[other])
            assert z[row, column] == pytest.approx(1 - cosine, abs=1e-6)
    assert "the means of two classes lie" in text(app)
    assert "guessing finds 16.7%" in text(app)


def test_the_slider_lets_the_classes_grow_apart_on_one_scale(folder):
    app = open_view(MAP)
    spread = {}
    for site in (SITES[0], SITES[-1]):
        app.select_slider(key="map_block").set_value(site).run()
        assert not app.exception
        spread[site] = np.std(list(places(charts(app)[0]).values()))
    assert spread[SITES[-1]] > 3 * spread[SITES[0]]
    ranges = [charts(open_view(MAP, map_block=site))[0]["layout"]["xaxis"]["range"] for site in (SITES[0], SITES[-1])]
    assert ranges[0] == ranges[1]
    own = charts(open_view(MAP, map_block=SITES[0], map_scale="of this block"))[0]["layout"]["xaxis"]["range"]
    assert own[1] < ranges[0][1] / 2


def test_a_link_restores_the_map(folder):
    query = {"map_kind": "MDS", "map_metric": "L1", "map_block": "SE_4_2", "map_class": ["pizza"]}
    app = open_view(MAP, **query)
    chart, matrix = charts(app)
    assert titles(app)[0].startswith("SE_4_2")
    assert [trace["name"] for trace in chart["data"] if "name" in trace] == ["class mean", "pizza"]
    assert matrix["data"][0]["colorbar"]["title"]["text"] == "mean |difference| of s"
    for part in ("SMACOF", "L1 distances", "stress-1", "tolerance"):
        assert part in text(app)
    fallen_back = open_view(MAP, map_kind="<script>", map_metric="furlong", map_block="SE_9_9", map_class=["unicorn"])
    assert titles(fallen_back)[0].startswith("SE_2_3")
    assert not fallen_back.error


def test_photos_are_placed_on_demand(folder):
    app = open_view(MAP, map_photos="true")
    photos = [trace for trace in charts(app)[0]["data"] if trace.get("name") == "photo"]
    assert sum(len(trace["text"]) for trace in photos) == 6 * len(CLASSES)
    assert "36 photos" in text(app)


def test_statistics_of_moments_alone_have_a_map_and_no_photos(folder, scales):
    collected(scales, sample=None, weights="a1b2c3d4e5").save(folder / "shipped" / f"{DEFAULT}.statistics.safetensors")
    app = open_view(MAP)
    assert len(charts(app)) == 2
    assert not app.toggle
    assert "guessing" not in text(app)


def test_two_classes_differ_where_they_were_made_to(folder):
    app = open_view(PAIR)
    assert (app.selectbox(key="pair_first").value, app.selectbox(key="pair_second").value) == ("goldfish", "Chihuahua")
    assert titles(app) == ["The largest effects", "Effects by depth"]
    assert len(charts(app)[0]["layout"]["yaxis"]["ticktext"]) == 20
    assert "channels" in text(app)
    assert "Benjamini and Hochberg" in text(app)
    assert "n = 8 and 8 photos" in text(app)


def test_one_block_shows_all_its_channels(folder):
    app = open_view(PAIR, pair_first="lion", pair_second="pizza", pair_block="SE_5_3")
    assert titles(app) == ["The largest effects", "All channels by effect"]
    assert f"of SE_5_3's {WIDTHS['SE_5_3']} channels" in text(app)
    assert charts(app)[0]["layout"]["yaxis"]["ticktext"][0].startswith("channel ")


def test_the_same_class_twice_and_too_few_photos_are_said(folder, scales):
    same = open_view(PAIR, pair_first="lion", pair_second="lion")
    assert not charts(same)
    assert "Both are the same class" in text(same)
    few = {site: scale[::4] for site, scale in scales.items()}
    collected(few, weights="a1b2c3d4e5").save(folder / "shipped" / f"{DEFAULT}.statistics.safetensors")
    app = open_view(PAIR)
    assert not charts(app)
    assert "too few photos" in text(app)


def shelve(folder, name, statistics):
    """Puts statistics of another network where `collect` writes them."""
    (folder / "cache" / "statistics").mkdir(parents=True, exist_ok=True)
    statistics.save(folder / "cache" / "statistics" / f"{name}.safetensors")


def test_two_models_are_compared_block_by_block(folder, scales):
    shelve(folder, "another.ffff", collected(scales))
    app = open_view(MODELS)
    assert app.selectbox(key="models_other").options == ["another.ffff", "a file of yours"]
    assert titles(app) == [
        "Class share of the variance",
        "Spread over images",
        "Scales above 0.9",
        "Agreement on class distances",
        "Which blocks agree",
        "Difference of class means",
    ]
    np.testing.assert_allclose(numbers(charts(app)[3]["data"][0]["y"]), 1)  # the same gates
    assert not app.warning
    assert not app.error


def test_other_photos_are_a_warning_and_other_blocks_are_said(folder, scales):
    fewer = {site: scale for site, scale in make_scales(3).items() if site != "SE_4_6"}
    shelve(folder, "another.ffff", collected(fewer, fingerprint="other"))
    app = open_view(MODELS)
    assert "saw different photos" in app.warning[0].value
    assert "the same relative depth" in text(app)
    assert len(charts(app)) == 5  # no channel by channel


def test_other_classes_are_refused_until_the_common_ones_are_asked_for(folder, scales):
    shelve(folder, "another.ffff", collected(make_scales(4), ("lion", "goldfish", "Chihuahua", "bullet train", "sofa", "lamp")))
    app = open_view(MODELS)
    assert not charts(app)
    assert "6 and 6 classes, of which 4 are the same" in app.warning[0].value
    app.toggle(key="models_common").set_value(True).run()
    assert len(charts(app)) == 6
    assert "Over the 4 classes that both saw, with 32 and 32 photos." in text(app)
    shelve(folder, "another.ffff", collected(make_scales(4), tuple("abcdef")))
    nothing = open_view(MODELS)
    assert not charts(nothing)
    assert "none is the same" in nothing.error[0].value


@pytest.mark.parametrize(("weights", "offered"), [("a1b2c3d4e5", f"{DEFAULT} without your data"), ("f" * 64, "your data with another")])
def test_a_visitors_own_data_can_be_compared(folder, weights, offered):
    """Own data of the network that is shown with what came before it, own data of another network with what is shown."""
    app = open_page(session={KEPT: Own(weights, collected(make_scales(6), weights=weights), None)}, figure=MODELS)
    assert not app.exception
    assert app.selectbox(key="models_other").options == [offered, "a file of yours"]
    assert len(charts(app)) == 6
    assert (numbers(charts(app)[3]["data"][0]["y"]) < 0.9).any()  # not with itself


@pytest.fixture
def upload(folder, monkeypatch, tmp_path):
    """Uploads bytes as statistics; the private files lie in a folder that can be looked at."""
    (tmp_path / "private").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "private"))

    def send(data, name="mine.safetensors"):
        app = open_view(MODELS)
        app.file_uploader(key="models_upload").upload(name, data, "application/octet-stream").run()
        assert not app.exception
        assert list((tmp_path / "private").iterdir()) == []
        return app

    return send


def bytes_of(statistics, folder):
    statistics.save(folder / "made.safetensors")
    return (folder / "made.safetensors").read_bytes()


def test_an_uploaded_file_is_compared_and_gone(upload, folder):
    app = upload(bytes_of(collected(make_scales(5)), folder))
    assert len(charts(app)) == 6
    assert not app.error


def test_hostile_uploads_are_answered_in_a_sentence(upload, folder):
    good = bytes_of(collected(make_scales(5)), folder)
    values = collected(make_scales(5))
    values._moments["scale"].mean[:] = np.nan
    huge = (2**62).to_bytes(8, "little") + good[8:]
    for data in (b"", b"no safetensors", good[: len(good) // 2], huge, bytes_of(values, folder)):
        app = upload(data)
        assert not charts(app)
        assert len(app.error) == 1
        assert "private" not in app.error[0].value
        assert str(folder) not in app.error[0].value


def test_names_in_an_uploaded_file_are_no_markup(upload, folder):
    app = upload(bytes_of(collected(make_scales(5), model="<img src=x>", weights=None, fingerprint=[1]), folder))
    assert len(charts(app)) == 6
    assert "&lt;img src=x&gt;" in charts(app)[0]["data"][1]["name"]
    assert "<img" not in text(app)


def test_a_file_beyond_the_limit_is_refused(upload, folder, monkeypatch):
    option = st.get_option
    monkeypatch.setattr(st, "get_option", lambda name: 0 if name == "server.maxUploadSize" else option(name))
    app = upload(bytes_of(collected(make_scales(5)), folder))
    assert "this app takes at most 0: collect it again" in app.error[0].value
