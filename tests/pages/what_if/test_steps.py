"""The editor of changes: what its buttons and its text do to the gates."""

import numpy as np
import pytest
import torch

from sevis.experiments.interventions import Intervention
from sevis.pages.shared.show import as_text
from sevis.pages.what_if.steps import describe
from tests.helpers.pages import sentence
from tests.helpers.what_if_page import FIRST, assert_compares, assert_plain, held, probabilities, run_page, scales_of, strip


def test_buttons_add_changes_and_take_them_back(ready, means):
    page = run_page(where="SE_3_1")
    page = page.button(key="open").click().run()
    page.selectbox(key="where").set_value("stage 5")
    page = page.run().button(key="freeze").click().run()
    assert page.text_input(key="steps").value == "SE_3_1:open;SE_5:static"
    frozen = {site: held(means.gates()[site]) for site in ("SE_5_1", "SE_5_2")}
    assert_compares(page, probabilities(ready), probabilities(ready, {"SE_3_1": torch.ones_like, **frozen}))
    assert [page.button(key=f"step-{index}").label for index in (0, 1)] == ["SE_3_1: open (s = 1)", "stage 5: frozen at its mean"]
    page = page.button(key="step-0").click().run()
    assert page.text_input(key="steps").value == "SE_5:static"
    assert_compares(page, probabilities(ready), probabilities(ready, frozen))
    page = page.button(key="undo").click().run()
    assert not page.text_input(key="steps").value
    assert_plain(page, probabilities(ready))


def test_the_most_raised_channels_are_shut(ready):
    page = run_page(where="SE_4_1", shut_count="3").button(key="shut").click().run()
    raised = sorted(np.argsort(-scales_of(ready, FIRST)["SE_4_1"])[:3].tolist())
    assert_compares(page, probabilities(ready), probabilities(ready, {"SE_4_1": held(0, raised)}))


def test_a_number_for_some_channels(ready):
    page = run_page(where="SE_4_1", only="0, 2-4", how="Multiply s by", number="-2").button(key="do-number").click().run()
    assert page.text_input(key="steps").value == "SE_4_1[0,2-4]:x-2"

    def doubled(scale):
        scale[:, [0, 2, 3, 4]] *= -2
        return scale

    assert_compares(page, probabilities(ready), probabilities(ready, {"SE_4_1": doubled}))


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("SE_3_1:open;SE_4:opne", "Step 2, 'SE_4:opne'"),
        ("SE_9_1:open", "SE_9_1"),
        ("SE_2_1[999]:0", "999"),
        ("SE:class=cliff", "no image of 'cliff'"),
        ("SE:class=bird", "bird"),
        ("SE:photo=Nobody", "Nobody"),
    ],
)
def test_changes_that_cannot_be_made_are_said_and_the_rest_of_the_page_stands(ready, steps, message):
    page = run_page(steps=steps)
    assert as_text(message) in sentence(page)
    assert_plain(page, probabilities(ready))
    assert len(strip(page, "opened")) == 8
    page = page.button(key="open").click().run()
    assert page.text_input(key="steps").value == f"{steps};SE:open"  # nothing is dropped without a word


@pytest.mark.parametrize("channels", ["x", "3,3", "-1", "1-99999"])
def test_channels_that_cannot_be_read_are_said(ready, channels):
    page = run_page(only=channels)
    assert "channels" in sentence(page)
    assert len(strip(page, "opened")) == 8


def test_names_in_buttons_are_no_markup():
    steps = (Intervention("SE", "photo", name="[x](http://y) :material/x: *a*"), Intervention("SE_2_1", "set", 0.5, channels=(3, 17)))
    assert describe(steps[0]) == "every block: gates of the photo \\[x\\](http://y) :\u2060material/x: \\*a\\*"
    assert describe(steps[1]) == "SE_2_1, channels 3, 17: s = 0.5"


def test_a_damaged_text_is_open_to_be_mended_and_can_be_undone(ready):
    page = run_page(steps="SE_3_1:opne")
    assert [box.proto.expanded for box in page.expander if box.label == "The changes as text"] == [True]
    page = page.button(key="undo").click().run()
    assert not page.error
    assert [box.proto.expanded for box in page.expander if box.label == "The changes as text"] == [False]
    assert_plain(page, probabilities(ready))


def test_a_step_is_added_after_a_separator_at_the_end(ready):
    page = run_page(steps="SE_2_1:open;", where="SE_3_1")
    page = page.button(key="open").click().run()
    assert page.text_input(key="steps").value == "SE_2_1:open;SE_3_1:open"
    opened = dict.fromkeys(("SE_2_1", "SE_3_1"), torch.ones_like)
    assert_compares(page, probabilities(ready), probabilities(ready, opened))
