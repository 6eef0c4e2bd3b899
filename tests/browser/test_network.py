"""The network that all pages show, in a real browser: typed, linked, refused."""

import re

import pytest
from playwright.sync_api import expect

from sevis.weights.card import DEFAULT
from tests.helpers.browser import needs_browser
from tests.helpers.visitor import assert_no_sideways_scroll, choose_network, expect_blocks, heatmap, settle

pytestmark = needs_browser


def test_a_network_that_is_typed_is_shown_with_random_weights(open_page):
    page = open_page()
    expect(heatmap(page)).to_have_count(1)
    settle(page)
    choose_network(page, "efficientnet_b0")
    expect(page.get_by_text("The trained weights of efficientnet_b0 are not on this machine.")).to_be_visible()
    expect(page.get_by_text(f"These pages still show {DEFAULT}.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"network=efficientnet_b0"))
    expect_blocks(page, second="SE_2_2", last="SE_5_3")
    settle(page)
    page.get_by_role("button", name="Use random weights").click()
    expect(page.get_by_text("efficientnet_b0 has learnt nothing")).to_be_visible()
    expect(page).to_have_url(re.compile(r"weights=random"))
    expect_blocks(page, second="SE_3_1", last="SE_8_1")
    settle(page)
    assert_no_sideways_scroll(page)


@pytest.mark.slow
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
    expect(page.get_by_text("These pages still show efficientnet_b0 with random weights.")).to_be_visible()
    settle(page)
    choose_network(page, DEFAULT)
    expect(error).to_have_count(0)


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize(("name", "second", "last"), [("regnety_004", "SE_3_1", "SE_5_6"), ("legacy_seresnet50", "SE_2_2", "SE_5_3")])
def test_a_link_opens_a_network_of_timm(open_page, name, second, last, width):
    page = open_page(f"/?network={name}&weights=random&block=SE_3_2", width=width, dark=width < 600)
    expect(page.get_by_role("heading", name="The maps that SE_3_2 gates")).to_be_visible()
    expect(page.get_by_text(f"{name} has learnt nothing")).to_be_visible()
    expect_blocks(page, second=second, last=last)
    settle(page)
    assert_no_sideways_scroll(page)


@pytest.mark.slow
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


@pytest.mark.slow
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
