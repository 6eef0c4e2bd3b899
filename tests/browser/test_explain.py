"""The page Explain in a real browser: what a visitor sees, clicks and is sent."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.helpers.browser import needs_browser
from tests.helpers.visitor import GATE_MAP, PICTURE, heatmap, settle, sources

pytestmark = needs_browser


def test_a_sample_photo_changes_the_gate_map(open_page):
    page = open_page()
    expect(heatmap(page)).to_have_count(1)
    expect(page.locator(PICTURE)).to_have_count(2)
    settle(page)
    cells, pictures = heatmap(page).get_attribute("href"), sources(page)
    rows = page.locator(GATE_MAP).locator(".yaxislayer-above .ytick text, .yaxislayer-below .ytick text")
    assert rows.all_text_contents()[0] == "SE_2_1"
    assert rows.count() == 16

    page.get_by_text("Tabby cat", exact=True).click()
    page.wait_for_function("old => (document.querySelector('.heatmaplayer image')?.getAttribute('href') ?? old) !== old", arg=cells)
    expect(page.get_by_text("Tabby cat: the network sees the bright part")).to_be_visible()
    expect(page).to_have_url(re.compile(r"sample=Tabby"))
    settle(page)
    assert not set(sources(page)) & set(pictures), "every picture is of the new photo"


@pytest.mark.parametrize(
    ("row", "block"),
    [(12, "SE_4_6"), pytest.param(0, "SE_2_1", marks=pytest.mark.slow), pytest.param(15, "SE_5_3", marks=pytest.mark.slow)],
)
def test_a_click_on_a_row_of_the_gate_map_opens_its_block(open_page, row, block):
    page = open_page("/?block=SE_3_2")
    expect(page.get_by_role("heading", name="The maps that SE_3_2 gates")).to_be_visible()
    settle(page)
    heatmap(page).scroll_into_view_if_needed()
    box = heatmap(page).bounding_box()
    page.mouse.move(box["x"] + 0.37 * box["width"], box["y"] + (row + 0.5) * box["height"] / 16)
    expect(page.locator(".hovertext").first).to_contain_text(block)
    page.mouse.down()
    page.mouse.up()
    expect(page.get_by_role("heading", name=f"The maps that {block} gates")).to_be_visible()
    expect(page.get_by_role("combobox", name="Block")).to_have_value(block)


@pytest.mark.slow
def test_a_link_restores_the_view(open_page):
    page = open_page("/?sample=Rocket&block=SE_4_2&maps=On+the+photo")
    expect(page.get_by_text("Rocket: the network sees the bright part")).to_be_visible()
    expect(page.get_by_role("heading", name="The maps that SE_4_2 gates")).to_be_visible()
    settle(page)


def test_a_photo_that_is_uploaded_is_explained_and_a_file_that_is_none_is_refused(open_page):
    page = open_page("/?source=Upload")
    chooser = page.locator('input[type="file"]')
    chooser.set_input_files({"name": "photo.png", "mimeType": "image/png", "buffer": b"no picture"})
    error = page.locator('[data-testid="stAlertContentError"]')
    expect(error).to_contain_text("picture")
    chooser.set_input_files({"name": "orange.png", "mimeType": "image/png", "buffer": one_colour_png()})
    expect(error).to_have_count(0)
    expect(heatmap(page)).to_have_count(1)


def one_colour_png():
    file = io.BytesIO()
    Image.new("RGB", (90, 60), "orange").save(file, format="PNG")
    return file.getvalue()


@pytest.mark.slow
def test_the_data_of_a_figure_can_be_downloaded(open_page):
    page = open_page()
    expect(heatmap(page)).to_have_count(1)
    settle(page)
    with page.expect_download() as download:
        page.locator('[class*="st-key-gate-map-csv"] button:visible').first.click()
    assert download.value.suggested_filename == "gate-map.csv"
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0] == "block,channel,s"
    assert len({line.split(",")[0] for line in lines[1:]}) == 16
