"""What a visitor does in a browser, and what the visitor's page shows."""

from urllib.parse import urlparse

from playwright.sync_api import Page, expect

PATIENCE = 120_000  # milliseconds: for whatever a busy machine takes; a passing step does not wait for it
GATE_MAP = ".js-plotly-plot:has(.heatmaplayer image)"
PICTURE = '[data-testid="stImage"] img'


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


def show_classes(page: Page):
    page.get_by_role("link", name="Classes").click()
    expect(page.locator(".js-plotly-plot .scatterlayer")).to_have_count(6)
    settle(page)


def choose_view(page: Page, name: str):
    page.get_by_role("radiogroup", name="Show").get_by_text(name, exact=True).click()


def show_architectures(page: Page, width: int):
    if width < 600:
        page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_role("link", name="Architectures").click()
    if width < 600:
        page.get_by_role("button", name="Collapse sidebar").click()
    expect(page.get_by_text("16 of 16 units have SE")).to_be_visible()
    expect(page.get_by_text("Where our count differs from the paper's figure").first).to_be_visible()
    expect(page.get_by_text("% measured")).to_have_count(0)
    settle(page)


def assert_no_sideways_scroll(page: Page):
    wide, seen = page.eval_on_selector('[data-testid="stMain"]', "main => [main.scrollWidth, main.clientWidth]")
    assert wide <= seen
