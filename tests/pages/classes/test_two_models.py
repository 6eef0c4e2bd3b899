"""The view Two models of the page Classes, in Streamlit's AppTest, on statistics made here."""

import tempfile

import numpy as np
import pytest
import streamlit as st

from sevis.pages.classes.own_data import KEPT, Own
from sevis.settings import home_folder
from sevis.weights.card import DEFAULT
from tests.helpers.charts import charts, numbers, titles
from tests.helpers.class_pages import growing_scales, open_page, open_view, view_statistics
from tests.helpers.pages import text

VIEW = "Two models"


def shelve(name, statistics):
    """Puts statistics of another network where `collect` writes them."""
    statistics.save(home_folder() / "statistics" / f"{name}.safetensors")


def test_two_models_are_compared_block_by_block(folder, scales):
    shelve("another.ffff", view_statistics(scales))
    app = open_view(VIEW)
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
    fewer = {site: scale for site, scale in growing_scales(3).items() if site != "SE_4_6"}
    shelve("another.ffff", view_statistics(fewer, fingerprint="other"))
    app = open_view(VIEW)
    assert "saw different photos" in app.warning[0].value
    assert "the same relative depth" in text(app)
    assert len(charts(app)) == 5  # no channel by channel


def test_other_classes_are_refused_until_the_common_ones_are_asked_for(folder, scales):
    shelve("another.ffff", view_statistics(growing_scales(4), ("lion", "goldfish", "Chihuahua", "bullet train", "sofa", "lamp")))
    app = open_view(VIEW)
    assert not charts(app)
    assert "6 and 6 classes, of which 4 are the same" in app.warning[0].value
    app.toggle(key="models_common").set_value(True).run()
    assert len(charts(app)) == 6
    assert "Measured over the 4 classes that both networks saw, with 32 and 32 photos." in text(app)
    shelve("another.ffff", view_statistics(growing_scales(4), tuple("abcdef")))
    nothing = open_view(VIEW)
    assert not charts(nothing)
    assert "none is the same" in nothing.error[0].value


@pytest.mark.parametrize(("weights", "offered"), [("a1b2c3d4e5", f"{DEFAULT} without your data"), ("f" * 64, "your data with another")])
def test_a_visitors_own_data_can_be_compared(folder, weights, offered):
    """Own data of the network that is shown with what came before it, own data of another network with what is shown."""
    app = open_page(session={KEPT: Own(weights, view_statistics(growing_scales(6), weights=weights), None)}, figure=VIEW)
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
        app = open_view(VIEW)
        app.file_uploader(key="models_upload").upload(name, data, "application/octet-stream").run()
        assert not app.exception
        assert list((tmp_path / "private").iterdir()) == []
        return app

    return send


def bytes_of(statistics, folder):
    statistics.save(folder / "made.safetensors")
    return (folder / "made.safetensors").read_bytes()


def test_an_uploaded_file_is_compared_and_gone(upload, folder):
    app = upload(bytes_of(view_statistics(growing_scales(5)), folder))
    assert len(charts(app)) == 6
    assert not app.error


def test_hostile_uploads_are_answered_in_a_sentence(upload, folder):
    good = bytes_of(view_statistics(growing_scales(5)), folder)
    values = view_statistics(growing_scales(5))
    values._moments["scale"].mean[:] = np.nan
    huge = (2**62).to_bytes(8, "little") + good[8:]
    for data in (b"", b"no safetensors", good[: len(good) // 2], huge, bytes_of(values, folder)):
        app = upload(data)
        assert not charts(app)
        assert len(app.error) == 1
        assert "private" not in app.error[0].value
        assert str(folder) not in app.error[0].value


def test_names_in_an_uploaded_file_are_no_markup(upload, folder):
    app = upload(bytes_of(view_statistics(growing_scales(5), model="<img src=x>", weights=None, fingerprint=[1]), folder))
    assert len(charts(app)) == 6
    assert "&lt;img src=x&gt;" in charts(app)[0]["data"][1]["name"]
    assert "<img" not in text(app)


def test_a_file_beyond_the_limit_is_refused(upload, folder, monkeypatch):
    option = st.get_option
    monkeypatch.setattr(st, "get_option", lambda name: 0 if name == "server.maxUploadSize" else option(name))
    app = upload(bytes_of(view_statistics(growing_scales(5)), folder))
    assert "this app takes at most 0 MB: collect it again" in app.error[0].value
