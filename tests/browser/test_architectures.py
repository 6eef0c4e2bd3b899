"""The page Architectures in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.helpers.browser import needs_browser
from tests.helpers.visitor import assert_no_sideways_scroll, choose_network, heatmap, settle, show_architectures

pytestmark = [needs_browser, pytest.mark.slow]  # the page counts every network of the paper


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
