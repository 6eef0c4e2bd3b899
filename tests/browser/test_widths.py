"""The pages on a phone and on a screen, light and dark."""

import pytest
from playwright.sync_api import expect

from tests.helpers.browser import needs_browser
from tests.helpers.visitor import assert_no_sideways_scroll, heatmap, settle, show_classes

pytestmark = needs_browser
PLACES = [(390, True), *(pytest.param(*place, marks=pytest.mark.slow) for place in ((390, False), (1440, True), (1440, False)))]


@pytest.mark.parametrize(("width", "dark"), PLACES)
def test_the_pages_do_not_scroll_sideways(open_page, width, dark):
    page = open_page("/?block=SE_4_6", width=width, dark=dark)
    expect(heatmap(page)).to_have_count(1)
    settle(page)
    assert_no_sideways_scroll(page)
    if width < 600:
        page.get_by_test_id("stExpandSidebarButton").click()  # on a phone the pages hide behind it
    show_classes(page)
    assert_no_sideways_scroll(page)
