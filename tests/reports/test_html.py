"""Figures as files: self-contained HTML, images through a browser, and what is said where that cannot be."""

import base64
import re
import sys
from xml.etree import ElementTree

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from sevis.errors import SevisError
from sevis.extras import install_command
from sevis.figures.chart import Chart
from sevis.reports import html as report
from tests.helpers.browser import OPTIONS, needs_browser
from tests.helpers.html_pages import HOSTILE, Page, drawn


@pytest.fixture
def figure():
    return go.Figure(go.Scatter(y=np.array([0.25, 0.5, 1.0]), name="goldfish"), layout={"height": 300, "paper_bgcolor": "rgba(0,0,0,0)"})


def plain(figure):
    """The figure as a chart without a caption."""
    return Chart(figure, "", {})


def test_html_asks_for_nothing_outside_itself(figure, tmp_path):
    report.write([plain(figure)], tmp_path / "figure.html", title="Figure 6")
    html = (tmp_path / "figure.html").read_text()
    page = Page(html)
    assert page.addresses == []
    assert "link" not in page.tags
    assert re.search(r"default-src 'none'", html)
    assert sum(len(script) for script in page.scripts) > 1_000_000  # plotly.js itself


def test_html_draws_the_figures_in_order_with_their_captions(figure):
    second = go.Figure(go.Scatter(y=np.array([3.0, 4.0])))
    html = report.to_html([Chart(figure, "The first.", {}), Chart(second, "The second.", {})], title="Two")
    values = [np.frombuffer(base64.b64decode(packed["bdata"]), dtype=packed["dtype"]) for packed in drawn(html)]
    np.testing.assert_array_equal(values[0], [0.25, 0.5, 1.0])
    np.testing.assert_array_equal(values[1], [3.0, 4.0])
    text = " ".join(Page(html).text)
    assert text.index("Two") < text.index("The first.") < text.index("The second.")


def test_html_is_on_white_and_leaves_the_figure_as_it_was(figure):
    before = figure.to_json()
    html = report.to_html([plain(figure)])
    assert '"paper_bgcolor":"white"' in html.replace(" ", "")
    assert "<figcaption>" not in html  # where there is no caption
    assert figure.to_json() == before


def test_text_from_outside_is_escaped(figure):
    figure.data[0].name = HOSTILE
    html = report.to_html([Chart(figure, HOSTILE, {})], title=HOSTILE)
    page = Page(html)
    assert "img" not in page.tags
    assert page.addresses == []
    assert page.tags.count("script") == html.count("<script")  # none of them was closed early by a name
    assert "".join(page.text).count(HOSTILE) == 3  # in the title, the heading and the caption


@pytest.mark.parametrize("name", ["figure.pdf", "figure", "figure.html.gz"])
def test_another_suffix_is_refused_with_the_allowed_ones(figure, tmp_path, name):
    with pytest.raises(SevisError, match=r"choose one of \.html, \.svg, \.png"):
        report.write([plain(figure)], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_the_suffix_chooses_the_format(figure, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "_render", lambda figure, options: f"drawn as {options['format']}".encode())
    for name in ("a.HTML", "a.svg", "a.PNG"):
        report.write([plain(figure)], tmp_path / name)
    assert (tmp_path / "a.HTML").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "a.svg").read_text() == "drawn as svg"
    assert (tmp_path / "a.PNG").read_text() == "drawn as png"


def test_an_image_holds_one_figure(figure, tmp_path):
    with pytest.raises(SevisError, match=r"\.png holds one figure, got 2"):
        report.write([plain(figure)] * 2, tmp_path / "figures.png")


def test_a_place_that_cannot_be_written_is_said(figure, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SevisError, match="cannot be written"):
        report.write([plain(figure)], tmp_path / "file" / "figure.html")


def test_without_a_browser_one_sentence_says_what_to_install(figure, tmp_path, monkeypatch):
    pytest.importorskip("kaleido", reason="Kaleido is not installed")
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "no-such-browser"))
    with pytest.raises(SevisError, match="install Chromium or Chrome") as caught:
        report.write_image(figure, tmp_path / "figure.svg")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_without_kaleido_one_sentence_says_what_to_install(figure, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(SevisError) as caught:
        report.write_image(figure, tmp_path / "figure.png")
    assert str(caught.value) == f"Kaleido is not installed, which a figure as SVG or PNG needs: {install_command('export')}"


@pytest.mark.parametrize("error", [RuntimeError, TimeoutError])
def test_a_browser_that_fails_gives_one_sentence_and_no_file(figure, tmp_path, monkeypatch, error):
    kaleido = pytest.importorskip("kaleido", reason="Kaleido is not installed")

    def fail(*arguments, **options):
        raise error("line one\nline two")

    monkeypatch.setattr(kaleido, "calc_fig_sync", fail)
    with pytest.raises(SevisError, match=f"could not draw the figure .{error.__name__}.: write an .html file instead"):
        report.write_image(figure, tmp_path / "figure.png")
    assert list(tmp_path.iterdir()) == []


@needs_browser
def test_images_are_drawn_on_white_in_the_asked_size(figure, tmp_path):
    pytest.importorskip("kaleido", reason="Kaleido is not installed")
    report.write_image(figure, tmp_path / "figure.png", width=400, scale=1.5)
    with Image.open(tmp_path / "figure.png") as image:
        assert image.size == (600, 450)
        assert image.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
        assert len(image.convert("RGB").getcolors(maxcolors=100_000)) > 10
    report.write_image(figure, tmp_path / "figure.svg", width=400)
    root = ElementTree.fromstring((tmp_path / "figure.svg").read_text())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert (root.get("width"), root.get("height")) == ("400", "300")


@needs_browser
def test_a_browser_opens_the_file_without_a_request_or_an_error(figure, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    report.write([Chart(figure, "One.", {}), Chart(figure, "Two.", {})], tmp_path / "figure.html")
    faults, asked = [], []
    with playwright.sync_playwright() as context:
        browser = context.chromium.launch(**OPTIONS)
        page = browser.new_page()
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "figure.html").as_uri())
        page.wait_for_selector(".scatterlayer .trace path")
        lines = page.locator(".scatterlayer .trace").count()
        browser.close()
    assert lines == 2
    assert faults == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
