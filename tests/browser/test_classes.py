"""The page Classes in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.helpers.browser import needs_browser
from tests.helpers.visitor import assert_no_sideways_scroll, choose_view, heatmap, settle, show_classes

pytestmark = needs_browser


def test_the_classes_page_shows_six_panels(open_page):
    page = open_page()
    expect(heatmap(page)).to_have_count(1)
    show_classes(page)


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
    expect(page.get_by_text("an excitation has a standard deviation").first).to_be_visible()
    settle(page)  # a run that ends later would write its own link
    page.get_by_role("combobox", name="Second class").click()
    page.get_by_role("combobox", name="Second class").fill("animal")
    page.keyboard.press("Enter")
    expect(page.get_by_text(re.compile(r"within animal \(group of \d+\)")).first).to_be_visible()
    expect(page).to_have_url(re.compile(r"spread_second=animal"))
    expect(page).to_have_url(re.compile(r"figure=Figure"))
    settle(page)


@pytest.mark.slow
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
    expect(page.get_by_role("heading", name=re.compile("The photos that open and shut channel"))).to_be_visible()
    expect(page).to_have_url(re.compile(r"figure=One"))
    expect(page.get_by_text("% measured")).to_have_count(0)
    settle(page)
    assert_no_sideways_scroll(page)


@pytest.mark.slow
def test_the_classes_of_a_network_without_statistics(open_page):
    page = open_page("/?network=regnety_002&weights=random")
    expect(page.get_by_text("regnety_002 has learnt nothing")).to_be_visible()
    settle(page)
    page.get_by_role("link", name="Classes").click()
    expect(page.get_by_text("There are no class statistics of regnety_002")).to_be_visible()
    expect(page.get_by_text("python -m sevis collect --model regnety_002")).to_be_visible()
    expect(page).to_have_url(re.compile(r"network=regnety_002"))
    settle(page)
    assert_no_sideways_scroll(page)
