"""The app and a browser, shared by all tests here; expect waits as long as a busy machine takes."""

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.helpers.browser import OPTIONS, serving_pages
from tests.helpers.paths import ROOT
from tests.helpers.visitor import PATIENCE, is_outside

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="package")
def app_url(tmp_path_factory):
    """The address of the app, which finds no weights of the internet, whatever this machine has downloaded."""
    nowhere = str(tmp_path_factory.mktemp("cache"))
    log = tmp_path_factory.mktemp("app") / "log.txt"
    with serving_pages(ROOT / "app.py", log, HF_HOME=nowhere, TORCH_HOME=nowhere, HF_HUB_OFFLINE="1") as address:
        yield address


@pytest.fixture(scope="package")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**OPTIONS)
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
