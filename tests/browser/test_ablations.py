"""The page Ablations in a real browser: the choice of a table in the address, a phone, and a training that is cancelled."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.helpers.browser import needs_browser
from tests.helpers.visitor import assert_no_sideways_scroll, settle

pytestmark = needs_browser


def show_ablations(page: Page, width: int = 1440):
    if width < 600:
        page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_role("link", name="Ablations").click()
    if width < 600:
        page.get_by_role("button", name="Collapse sidebar").click()
    expect(page.get_by_role("heading", name="Train one now")).to_be_visible()
    settle(page)


def test_the_chosen_table_is_in_the_address_and_a_link_restores_it(open_page):
    page = open_page()
    show_ablations(page)
    expect(page.get_by_text("Table 10: Reduction ratio r")).to_be_visible()
    page.get_by_role("radiogroup", name="Table of the paper").get_by_text("12: Gate", exact=True).click()
    expect(page.get_by_text("Table 12: Gate")).to_be_visible()
    expect(page).to_have_url(re.compile(r"table=12"))
    settle(page)


@pytest.mark.slow
def test_a_training_can_be_watched_and_cancelled(open_page):
    page = open_page()
    show_ablations(page)
    page.get_by_role("button", name="Train", exact=True).click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("the run ended early")).to_be_visible()
    expect(page.get_by_role("button", name="Train", exact=True)).to_be_enabled()
    settle(page)


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone(open_page, dark):
    page = open_page(width=390, dark=dark)
    show_ablations(page, 390)
    assert_no_sideways_scroll(page)
