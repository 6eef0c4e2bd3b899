"""How every page shows a figure: it can be saved as PNG, SVG and CSV. What the browser draws is looked at in a browser."""

import base64
import io
import json
from time import perf_counter
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from sevis.pages.shared.show import as_text, to_csv, to_svg
from tests.helpers.browser import OPTIONS, needs_browser, serving_pages

SVG = "{http://www.w3.org/2000/svg}"
PAGE = """
import numpy as np, plotly.graph_objects as go
from sevis.figures.chart import Chart, Panels, Picture
from sevis.pages.shared.show import show, show_panels, show_picture

for key, values in (("curve-SE 5.1", [0.25, 0.5, 1.0]), ("other", [1.0, 0.0])):
    figure = go.Figure(go.Scatter(y=values), layout={"height": 300})
    show(Chart(figure, f"The *{key}*.", {"channel": [0, 1]}), key=key, hint="**Click.**")
pair = tuple(go.Figure(go.Scatter(y=values), layout={"height": 200, "title": name}) for name, values in (("a", [0, 1]), ("b", [1, 0])))
show_panels(Panels(pair, "Two of *them*.", {"channel": [0]}), key="pair.5")
show_picture(Picture(np.zeros((4, 8, 3), dtype=np.uint8), "The maps of [SE_5_1].", {"channel": [0]}), key="maps")
"""


def test_every_figure_has_its_buttons():
    app = AppTest.from_string(PAGE).run()
    assert not app.exception
    assert [button.label for button in app.get("download_button")] == ["CSV", "CSV", "CSV", "PNG", "SVG", "CSV"]
    charts = [json.loads(button.proto.json)["charts"] for button in app.get("bidi_component")]
    assert charts == [["st-key-curve-SE-5-1"], ["st-key-other"], ["st-key-pair-5-1", "st-key-pair-5-2"]]
    cameras = [json.loads(chart.proto.config)["toImageButtonOptions"] for chart in app.get("plotly_chart")]
    assert [(camera["format"], camera["filename"]) for camera in cameras] == [
        ("png", name) for name in ("curve-SE 5.1", "other", "pair.5-1", "pair.5-2")
    ]
    captions = [r"The \*curve-SE 5.1\*. **Click.**", r"The \*other\*. **Click.**", r"Two of \*them\*.", r"The maps of \[SE_5_1\]."]
    assert [caption.value for caption in app.caption] == captions
    alternatives = ["The *curve-SE 5.1*.", "The *other*.", "a. Two of *them*.", "b. Two of *them*."]
    assert [chart.proto.alt for chart in app.get("plotly_chart")] == alternatives, "plain, as it is read out"


def test_a_picture_in_an_svg_keeps_its_pixels():
    picture = np.random.default_rng(0).integers(0, 256, size=(3, 5, 3), dtype=np.uint8)
    root = ElementTree.fromstring(to_svg(picture))
    assert (root.get("width"), root.get("height")) == ("5", "3")
    data = root.find(f"{SVG}image").get("href").removeprefix("data:image/png;base64,")
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        np.testing.assert_array_equal(np.asarray(image), picture)


def test_a_table_needs_columns_of_one_length():
    assert to_csv({"a": np.array([1, 2]), "b": ["x", 'y"']}) == b'a,b\n1,x\n2,"y"""\n'
    with pytest.raises(ValueError, match="shorter"):
        to_csv({"a": [1, 2], "b": [1]})


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("*a* [b](c) <d> $e$", r"\*a\* \[b\](c) \<d\> \$e\$"),
        ("_a_ b_c __d__", r"\_a\_ b_c \_\_d\_\_"),  # inside a word, such as SE_4_6, an underscore is one
        (":material/x: :red[a] :smile:", ":\u2060material/x: :\u2060red\\[a\\] :\u2060smile:"),
        ("SE_4_6, channel 3: s = 0.5", "SE_4_6, channel 3: s = 0.5"),
        ("black &amp; white & R&D", r"black \&amp; white & R\&D"),
    ],
)
def test_text_from_outside_is_no_markdown(text, markdown):
    assert as_text(text) == markdown


@pytest.fixture
def address(tmp_path):
    """The page above, on a server of its own."""
    (tmp_path / "page.py").write_text(PAGE)
    with serving_pages(tmp_path / "page.py", tmp_path / "log.txt") as address:
        yield address


@pytest.mark.slow
@needs_browser
def test_the_browser_saves_each_chart_as_svg_and_still_as_png(address):
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with playwright.sync_playwright() as context:
        browser = context.chromium.launch(**OPTIONS)
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.goto(address)
        page.wait_for_function("document.querySelectorAll('.scatterlayer .trace path').length >= 4")
        for key in ("curve-SE 5.1", "other"):
            place = f".st-key-{key.replace(' ', '-').replace('.', '-')}"
            with page.expect_download() as saved:
                page.locator(f"{place}-svg button").click()
            assert saved.value.suggested_filename == f"{key}.svg"
            root = ElementTree.parse(saved.value.path()).getroot()
            assert root.tag == f"{SVG}svg"
            assert root.get("height") == "300"
            assert len(root.findall(f".//{SVG}path[@class='js-line']")) == 1
            page.hover(f"{place} .js-plotly-plot")
            with page.expect_download() as saved:
                page.locator(f"{place} .modebar-btn").click()
            assert saved.value.suggested_filename == f"{key}.png"
            with Image.open(saved.value.path()) as image:
                assert image.height == 900
        saved = []
        page.on("download", lambda download: saved.append(download))  # noqa: PLW0108 - Playwright cannot wrap a built-in
        page.locator(".st-key-pair-5-svg button").click()
        deadline = perf_counter() + 60
        while len(saved) < 2 and perf_counter() < deadline:
            page.wait_for_timeout(100)
        assert sorted(download.suggested_filename for download in saved) == ["pair.5-1.svg", "pair.5-2.svg"]
        browser.close()
