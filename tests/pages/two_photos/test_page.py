"""The page Two photos in Streamlit's AppTest, on a small network made here."""

import io
from functools import partial

import numpy as np
import pytest
import streamlit as st
from PIL import Image

import sevis
from sevis.data.datasets import sample_photos
from sevis.data.image_formats import read_image
from sevis.weights.card import DEFAULT
from tests.helpers.charts import charts, numbers, title, titles
from tests.helpers.pages import open_page
from tests.helpers.shelves import write_shelf

run_page = partial(open_page, "two_photos")
FIRST, SECOND, ROCKET = "Cup of espresso", "Tabby cat", "Rocket"
CLASSES = {"n02123045": "tabby", "n02129165": "lion", "n07920052": "espresso"}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A folder as `pretrained/` with a small network under the default's name."""
    folder = tmp_path_factory.mktemp("pretrained")
    write_shelf(folder, list(CLASSES.values()), list(CLASSES))
    return folder


@pytest.fixture(autouse=True)
def folder(shelf, tmp_path, monkeypatch):
    monkeypatch.setenv("SEVIS_PRETRAINED", str(shelf))
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "no-data"))
    st.cache_resource.clear()
    st.cache_data.clear()
    return shelf


def explain(title):
    return sevis.explain(sevis.load(DEFAULT), read_image(sample_photos()[title].read_bytes()))


def figures(page):
    """The charts of the page by title: one or two of each."""
    return {name: [chart for chart in charts(page) if title(chart) == name] for name in titles(page)}


def assert_compares(page, first, second):
    assert not page.exception
    assert not page.error
    drawn, (one, other) = figures(page), (explain(first), explain(second))
    for bars, explanation in zip(drawn["The 3 most probable classes"], (one, other), strict=True):
        np.testing.assert_allclose(numbers(bars["data"][0]["x"]), np.sort(explanation.probabilities)[::-1], atol=1e-5)
    for name, explanation in (("A", one), ("B", other)):
        rows = numbers(drawn[f"Scale s of every channel for photo {name}"][0]["data"][0]["z"])
        assert abs(rows[0].mean() / 100 - explanation.scale["SE_2_1"].mean()) < 0.01
    chart = drawn["Scale s of A minus scale s of B"][0]
    end = float(chart["data"][0]["colorbar"]["ticktext"][-1])
    rows = numbers(chart["data"][0]["z"]) / 100 * end
    width = rows.shape[1]
    for row, site in zip(rows, one.sites, strict=True):
        difference = one.scale[site] - other.scale[site]
        expected = difference[np.arange(width) * len(difference) // width]
        np.testing.assert_allclose(row, expected, atol=0.0051 * end + 1e-4)


def test_at_first_two_different_photos_are_compared():
    page = run_page()
    assert_compares(page, FIRST, SECOND)
    assert page.title[0].value == "Two photos"
    assert len(page.image) == 2
    assert "differs by" in " ".join(part.value for part in page.markdown)


def test_another_photo_changes_its_side_only():
    page = run_page()
    page.segmented_control(key="first_sample").set_value(ROCKET).run()
    assert_compares(page, ROCKET, SECOND)


def test_a_link_restores_everything():
    page = run_page(first_sample=SECOND, second_sample=ROCKET, block="SE_3_1", maps="On the photo")
    assert_compares(page, SECOND, ROCKET)
    assert page.selectbox(key="block").value == "SE_3_1"
    assert page.segmented_control(key="maps").value == "On the photo"
    assert len(page.image) == 4
    first, second = (explain(title).scale["SE_3_1"] for title in (SECOND, ROCKET))
    curve = figures(page)["Channels sorted by the difference"][0]["data"][0]
    np.testing.assert_allclose(numbers(curve["y"]), np.sort(first - second)[::-1], atol=1e-4)
    pairs = figures(page)["The channels that differ most"][0]
    top = np.argsort(second - first)[:4]
    assert pairs["layout"]["yaxis"]["ticktext"][:4] == [f"ch {channel}" for channel in top]


def test_unknown_values_in_a_link_fall_back():
    page = run_page(first_sample="Unicorn", second_source="<script>", block="SE_9_9", maps="x")
    assert_compares(page, FIRST, SECOND)
    assert page.selectbox(key="block").value is None


def test_the_same_photo_twice_is_said_so():
    page = run_page(second_sample=FIRST, block="SE_2_1")
    assert not page.exception
    assert "same photo" in page.info[0].value
    assert "Scale s of A minus scale s of B" not in figures(page)
    assert len(page.image) == 2


def test_a_file_that_is_no_picture_is_a_sentence_on_its_side():
    page = run_page(second_source="Upload")
    assert not page.exception
    assert len(page.image) == 1
    page.file_uploader(key="second_upload").upload("x.png", b"no picture", "image/png").run()
    assert not page.exception
    assert len(page.error) == 1
    assert "not a picture" in page.error[0].value
    buffer = io.BytesIO()
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(buffer, format="PNG")
    page.file_uploader(key="second_upload").upload("grey.png", buffer.getvalue(), "image/png").run()
    assert not page.error
    assert len(page.image) == 2
    assert "Scale s of A minus scale s of B" in figures(page)


def test_weights_that_are_missing_are_a_sentence(tmp_path, monkeypatch, shelf):
    (tmp_path / "index.json").write_text((shelf / "index.json").read_text())
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    page = run_page()
    assert not page.exception
    assert "missing" in page.error[0].value
