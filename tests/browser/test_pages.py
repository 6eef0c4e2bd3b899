"""The app in a real browser: what a visitor sees, clicks and is sent."""

import io
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlparse
from urllib.request import urlopen

import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from sevis.weights.card import DEFAULT
from tests.helpers.paths import ROOT

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
PATIENCE = 120_000  # milliseconds: for whatever a busy machine takes; a passing step does not wait for it
GATE_MAP = ".js-plotly-plot:has(.heatmaplayer image)"
PICTURE = '[data-testid="stImage"] img'

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on the PATH: apt-get install chromium")
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def app_url(tmp_path_factory):
    """The address of the app, started as the README says, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", f"--server.port={port}", "--server.headless=true"]
    log = tmp_path_factory.mktemp("app") / "log.txt"
    nowhere = str(tmp_path_factory.mktemp("cache"))  # no weights of the internet, whatever this machine has downloaded
    environment = {**os.environ, "HF_HOME": nowhere, "TORCH_HOME": nowhere, "HF_HUB_OFFLINE": "1"}
    with log.open("wb") as output:
        app = subprocess.Popen([*command, "--server.address=127.0.0.1"], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        wait_for(f"http://127.0.0.1:{port}/_stcore/health", app, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        app.terminate()
        app.wait(timeout=30)
    assert "Traceback" not in log.read_text(), log.read_text()


def wait_for(address, app, log):
    for _ in range(600):
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, OSError):
            assert app.poll() is None, log.read_text()
            time.sleep(0.1)
    pytest.fail(f"the app did not start: {log.read_text()}")


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, app_url):
    """Opens an address of the app; at the end of the test the page must have shown, logged and fetched nothing it should not."""
    faults = []
    pages = []

    def opened(address="/", *, width=1440, dark=False):
        page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: faults.append(f"console: {message.text}") if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(f"page error: {error}"))
        page.on("request", lambda request: faults.append(f"outside: {request.url}") if is_outside(request.url) else None)
        page.goto(app_url + address)
        pages.append(page)
        return page

    yield opened
    for page in pages:
        boxes = page.locator('[data-testid="stException"], [data-testid="stAlertContentError"]')
        faults.extend(box.inner_text() for box in boxes.all())
        page.close()
    assert not faults


def is_outside(address):
    return urlparse(address).hostname not in (None, "127.0.0.1")


def settle(page: Page):
    """Waits until the app has answered and the page has drawn it."""
    page.wait_for_timeout(300)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', state="attached")
    page.wait_for_timeout(300)


def sources(page: Page):
    return [picture.get_attribute("src") for picture in page.locator(PICTURE).all()]


def heatmap(page: Page):
    """The picture in the gate map: Plotly draws its cells as one, and keeps the old one until the new one is there."""
    return page.locator(GATE_MAP).locator(".heatmaplayer image")


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


@pytest.mark.parametrize(("row", "block"), [(12, "SE_4_6"), (0, "SE_2_1"), (15, "SE_5_3")])
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


def test_the_classes_page_shows_six_panels(open_page):
    page = open_page()
    expect(heatmap(page)).to_have_count(1)
    show_classes(page)


def show_classes(page: Page):
    page.get_by_role("link", name="Classes").click()
    expect(page.locator(".js-plotly-plot .scatterlayer")).to_have_count(6)
    settle(page)


def choose_view(page: Page, name: str):
    page.get_by_role("radiogroup", name="Show").get_by_text(name, exact=True).click()


def test_the_views_of_the_classes_page_share_their_choice_in_the_link(open_page):
    page = open_page()
    expect(heatmap(page)).to_have_count(1)
    show_classes(page)
    groups = page.get_by_role("combobox", name="Groups of classes")
    groups.fill("anim")
    groups.press("Enter")
    groups.press("Escape")
    expect(page.get_by_text(re.compile(r"animal \(group of \d+, n = [\d,]+\)"))).to_be_visible()
    expect(page).to_have_url(re.compile(r"group=animal"))
    settle(page)
    choose_view(page, "Figure 7: spread")
    expect(page.get_by_text("a channel's excitation has a standard deviation").first).to_be_visible()
    expect(page.get_by_text(re.compile(r"^animal \(group of \d+\)$"))).to_be_visible()
    expect(page).to_have_url(re.compile(r"figure=Figure"))
    settle(page)


@pytest.mark.parametrize("width", [390, 1440])
def test_one_channel_fits_its_page(open_page, width):
    page = open_page(width=width, dark=width < 600)
    expect(heatmap(page)).to_have_count(1)
    settle(page)
    if width < 600:
        page.get_by_test_id("stExpandSidebarButton").click()
    show_classes(page)
    if width < 600:
        page.get_by_role("button", name="Collapse sidebar").click()
    choose_view(page, "One channel")
    expect(page.get_by_text("of its variance lies between the classes")).to_be_visible()
    expect(page.locator(".js-plotly-plot .barlayer .trace")).to_have_count(3)
    expect(page.get_by_role("heading", name=re.compile("The photos that raise and lower channel"))).to_be_visible()
    expect(page).to_have_url(re.compile(r"figure=One"))
    expect(page.get_by_text("% measured")).to_have_count(0)
    settle(page)
    assert_no_sideways_scroll(page)


def test_two_photos_are_compared_and_a_click_on_their_difference_opens_a_block(open_page):
    page = open_page()
    expect(heatmap(page)).to_have_count(1)
    page.get_by_role("link", name="Two photos").click()
    expect(heatmap(page)).to_have_count(3)
    settle(page)
    difference = heatmap(page).nth(2)
    difference.scroll_into_view_if_needed()
    box = difference.bounding_box()
    page.mouse.move(box["x"] + 0.37 * box["width"], box["y"] + 5.5 * box["height"] / 16)
    expect(page.locator(".hovertext").first).to_contain_text("SE_3_3")
    page.mouse.down()
    page.mouse.up()
    expect(page.get_by_role("heading", name="The maps of these channels of SE_3_3")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/two_photos\?.*block=SE_3_3"))
    settle(page)
    assert_no_sideways_scroll(page)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_the_pages_do_not_scroll_sideways(open_page, width, dark):
    page = open_page("/?block=SE_4_6", width=width, dark=dark)
    expect(heatmap(page)).to_have_count(1)
    settle(page)
    assert_no_sideways_scroll(page)
    if width < 600:
        page.get_by_test_id("stExpandSidebarButton").click()  # on a phone the pages hide behind it
    show_classes(page)
    assert_no_sideways_scroll(page)


def expect_blocks(page: Page, *, second: str, last: str):
    """The rows of the gate map: 16 of them, with these names."""
    rows = page.locator(GATE_MAP).locator(".yaxislayer-above .ytick text, .yaxislayer-below .ytick text")
    expect(rows).to_have_count(16)
    expect(rows.nth(1)).to_have_text(second)
    expect(rows.last).to_have_text(last)


def choose_network(page: Page, name: str):
    box = page.get_by_role("combobox", name="Network")
    box.click()
    box.fill(name)
    box.press("Enter")


def test_a_network_that_is_typed_is_shown_with_random_weights(open_page):
    page = open_page()
    expect(heatmap(page)).to_have_count(1)
    settle(page)
    choose_network(page, "efficientnet_b0")
    expect(page.get_by_text("The trained weights of efficientnet_b0 are not on this machine.")).to_be_visible()
    expect(page.get_by_text(f"These pages go on showing {DEFAULT}.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"network=efficientnet_b0"))
    expect_blocks(page, second="SE_2_2", last="SE_5_3")
    settle(page)
    page.get_by_role("button", name="Use random weights").click()
    expect(page.get_by_text("efficientnet_b0 has learnt nothing")).to_be_visible()
    expect(page).to_have_url(re.compile(r"weights=random"))
    expect_blocks(page, second="SE_3_1", last="SE_8_1")
    settle(page)
    assert_no_sideways_scroll(page)


def test_a_name_that_is_on_no_list_can_be_typed_and_one_that_nobody_knows_is_refused(open_page):
    page = open_page("/?network=efficientnet_b0&weights=random")
    expect(page.get_by_text("efficientnet_b0 has learnt nothing")).to_be_visible()
    settle(page)
    choose_network(page, "mobilenetv3_small_050")
    expect(page.get_by_text("The trained weights of mobilenetv3_small_050 are not on this machine.")).to_be_visible()
    settle(page)
    choose_network(page, "mobilenetv3_smal_050")
    error = page.locator('[data-testid="stAlertContentError"]')
    expect(error).to_contain_text("mobilenetv3_small_050")
    expect(page.get_by_text("These pages go on showing efficientnet_b0 with random weights.")).to_be_visible()
    settle(page)
    choose_network(page, DEFAULT)
    expect(error).to_have_count(0)


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize(("name", "second", "last"), [("regnety_004", "SE_3_1", "SE_5_6"), ("legacy_seresnet50", "SE_2_2", "SE_5_3")])
def test_a_link_opens_a_network_of_timm(open_page, name, second, last, width):
    page = open_page(f"/?network={name}&weights=random&block=SE_3_2", width=width, dark=width < 600)
    expect(page.get_by_role("heading", name="The maps that SE_3_2 gates")).to_be_visible()
    expect(page.get_by_text(f"{name} has learnt nothing")).to_be_visible()
    expect_blocks(page, second=second, last=last)
    settle(page)
    assert_no_sideways_scroll(page)


def test_a_click_opens_a_row_of_another_network(open_page):
    page = open_page("/?network=regnety_004&weights=random")
    expect(heatmap(page)).to_have_count(1)
    settle(page)
    heatmap(page).scroll_into_view_if_needed()
    box = heatmap(page).bounding_box()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 9.5 * box["height"] / 16)
    expect(page.locator(".hovertext").first).to_contain_text("SE_4_6")
    page.mouse.down()
    page.mouse.up()
    expect(page.get_by_role("heading", name="The maps that SE_4_6 gates")).to_be_visible()


def test_the_classes_of_a_network_without_statistics(open_page):
    page = open_page("/?network=regnety_002&weights=random")
    expect(page.get_by_text("regnety_002 has learnt nothing")).to_be_visible()
    settle(page)
    page.get_by_role("link", name="Classes").click()
    expect(page.get_by_text("No class statistics came with regnety_002")).to_be_visible()
    expect(page.get_by_text("python -m sevis collect --model regnety_002")).to_be_visible()
    expect(page).to_have_url(re.compile(r"network=regnety_002"))
    settle(page)
    assert_no_sideways_scroll(page)


def show_architectures(page: Page, width: int):
    if width < 600:
        page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_role("link", name="Architectures").click()
    if width < 600:
        page.get_by_role("button", name="Collapse sidebar").click()
    expect(page.get_by_text("16 of 16 units have SE")).to_be_visible()
    expect(page.get_by_text("Where the paper's figure is not met").first).to_be_visible()
    expect(page.get_by_text("% measured")).to_have_count(0)
    settle(page)


@pytest.mark.parametrize("width", [390, 1440])
def test_a_click_on_a_block_shows_how_it_is_put_together(open_page, width):
    page = open_page("/", width=width, dark=width < 600)
    expect(heatmap(page)).to_have_count(1)
    show_architectures(page, width)
    assert_no_sideways_scroll(page)
    cell = page.locator(".barlayer .trace").first.locator(".point path").nth(8)
    cell.scroll_into_view_if_needed()
    box = cell.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".hovertext").first).to_contain_text("SE_4_2: 1024 → 64 → 1024")
    page.mouse.down()
    page.mouse.up()
    expect(page.get_by_role("combobox", name="Unit")).to_have_value("SE_4_2")
    expect(page).to_have_url(re.compile(r"unit=SE_4_2"))
    page.get_by_text("Post", exact=True).click()
    expect(page.get_by_text("as in the paper's Figure 5")).to_be_visible()
    settle(page)
    assert_no_sideways_scroll(page)


def test_the_time_of_se_is_measured_in_sight_and_can_be_stopped(open_page):
    page = open_page()
    expect(heatmap(page)).to_have_count(1)
    show_architectures(page, 1440)
    page.get_by_role("button", name="Measure the time on this machine").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Measure the time on this machine")).to_be_visible()
    choose_network(page, "ResNet-20 for CIFAR")
    expect(page.get_by_text("9 of 9 units have SE")).to_be_visible()
    page.get_by_role("button", name="Measure the time on this machine").click()
    expect(page.get_by_text("of 30 pairs")).to_be_visible()
    settle(page)


def test_the_pages_keep_their_network_while_architectures_are_looked_at(open_page):
    page = open_page("/?network=regnety_002&weights=random")
    expect(page.get_by_text("regnety_002 has learnt nothing")).to_be_visible()
    settle(page)
    show_architectures(page, 1440)
    expect(page.get_by_text("regnety_002 has learnt nothing")).to_have_count(0)
    page.get_by_role("link", name="Two photos").click()
    expect(page.get_by_text("regnety_002 has learnt nothing")).to_be_visible()
    for part in (r"/two_photos\?", "network=regnety_002", "weights=random"):
        expect(page).to_have_url(re.compile(part))
    settle(page)


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("path", ["what_if", "two_photos"])
def test_the_other_pages_show_any_network_and_do_not_scroll_sideways(open_page, path, width):
    page = open_page("/?network=regnety_002&weights=random", width=width, dark=width < 600)
    expect(page.get_by_text("regnety_002 has learnt nothing")).to_be_visible()
    settle(page)
    if width < 600:
        page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_role("link", name={"what_if": "What if?", "two_photos": "Two photos"}[path]).click()
    for part in (rf"/{path}\?", "network=regnety_002", "weights=random"):
        expect(page).to_have_url(re.compile(part))
    expect(page.locator(".js-plotly-plot .heatmaplayer image").first).to_be_attached()
    settle(page)
    assert_no_sideways_scroll(page)


def assert_no_sideways_scroll(page: Page):
    wide, seen = page.eval_on_selector('[data-testid="stMain"]', "main => [main.scrollWidth, main.clientWidth]")
    assert wide <= seen
