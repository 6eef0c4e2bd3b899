"""The page Two photos in a real browser."""

import re

from playwright.sync_api import expect

from tests.helpers.browser import needs_browser
from tests.helpers.visitor import assert_no_sideways_scroll, heatmap, settle

pytestmark = needs_browser


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
