"""The What if? page as a whole: what a link shows, and what stands when something is missing."""

import numpy as np
import pytest
import torch

import sevis
from sevis.errors import SevisError
from sevis.pages.what_if.counterfactuals import Means
from sevis.weights.card import DEFAULT
from tests.helpers.charts import by_title, numbers
from tests.helpers.pages import sentence
from tests.helpers.what_if_page import (
    COMPARED,
    FIRST,
    ROCKET,
    assert_compares,
    assert_plain,
    held,
    probabilities,
    run_page,
    scales_of,
    strip,
)


def test_the_first_page_changes_nothing_and_shows_the_sensitivity_of_every_block(ready, means):
    page = run_page()
    plain = probabilities(ready)
    assert not page.error
    assert_plain(page, plain)
    first = max(plain, key=plain.get)
    for way, scale in (("opened", lambda site: 1.0), ("frozen", lambda site: means.gates()[site])):
        expected = [probabilities(ready, {site: held(scale(site))})[first] - plain[first] for site in means.sites]
        assert np.allclose(strip(page, way), 100 * np.array(expected), atol=1e-3)
        assert np.abs(expected).max() > 0.001
    assert "20 photos (made up)" in " ".join(caption.value for caption in page.caption)


def test_a_link_restores_the_changes(ready, means):
    page = run_page(steps="SE_3_1:open;SE_4[1,3]:0;SE_5_2:x0.5", where="SE_4_2", sample=ROCKET, watch="lion")
    assert not page.error
    assert page.text_input(key="steps").value == "SE_3_1:open;SE_4[1,3]:0;SE_5_2:x0.5"
    assert page.selectbox(key="where").value == "SE_4_2"
    shut, half = held(0, [1, 3]), lambda scale: scale * 0.5
    after = probabilities(ready, {"SE_3_1": torch.ones_like, "SE_4_1": shut, "SE_4_2": shut, "SE_5_2": half}, photo=ROCKET)
    before = probabilities(ready, photo=ROCKET)
    assert_compares(page, before, after)
    opened = [probabilities(ready, {site: torch.ones_like}, photo=ROCKET)["lion"] - before["lion"] for site in means.sites]
    assert np.allclose(strip(page, "opened"), 100 * np.array(opened), atol=1e-3)  # of the network with no gate changed


def test_how_far_the_scales_moved_is_drawn(ready):
    page = run_page(steps="SE_3_1:open")
    rows = numbers(by_title(page)["How far the scale of every channel moved"]["data"][0]["z"])
    before = scales_of(ready, FIRST)
    with sevis.override(ready.model, {"SE_3_1": 1.0}):
        after = scales_of(ready, FIRST)
    width = max(map(len, before.values()))
    for row, site in zip(rows, before, strict=True):
        assert np.abs(row - np.repeat(100 * (after[site] - before[site]), width // len(before[site]))).max() <= 0.51
    moved = list(before)[list(before).index("SE_3_1") :]
    assert all(rows[list(before).index(site)].any() == (site in moved) for site in before)
    page = page.button_group(key="gates").set_value("After").run()
    rows = numbers(by_title(page)["Scale s of every channel, block by block"]["data"][0]["z"])
    for row, site in zip(rows, after, strict=True):
        assert np.abs(row - np.repeat(100 * after[site], width // len(after[site]))).max() <= 0.51


def test_a_file_that_is_no_picture_is_refused_in_one_sentence(folder):
    page = run_page(source="Upload", steps="SE:open")
    page = page.file_uploader(key="upload").upload("photo.png", b"no picture", "image/png").run()
    assert "picture" in sentence(page)
    assert page.text_input(key="steps").value == "SE:open"


@pytest.mark.parametrize(
    ("steps", "said", "not_said"),
    [
        ("SE:open", "8 of 8 blocks. You changed all of them.", "later"),
        ("SE_5_2:open", "1 of 8 blocks. You changed SE_5_2.", "later"),
        ("SE_2_1:open", "You changed SE_2_1. The other blocks that moved come later", "all of them"),
        ("SE_5_1:x1", "No scale s differs by more than 0.01", "You changed"),
    ],
)
def test_what_moved_is_told_as_it_is(ready, steps, said, not_said):
    captions = " ".join(caption.value for caption in run_page(steps=steps).caption)
    assert said in captions
    assert not_said not in captions


def test_outputs_that_are_no_numbers_are_said_and_the_photo_s_own_stay(ready):
    page = run_page(steps="SE:x1e38")
    assert "finite" in sentence(page)
    assert_plain(page, probabilities(ready))


def test_the_comparison_is_there_before_the_sample_photos_are_looked_at(folder, monkeypatch):
    (folder / f"{DEFAULT}.statistics.safetensors").unlink()

    def refuse(*_):
        raise SevisError("not now")

    monkeypatch.setattr(Means, "gates", refuse)
    page = run_page(steps="SE_3_1:open")
    assert sentence(page) == "Not now."
    assert COMPARED in by_title(page)
    assert "How far the scale of every channel moved" in by_title(page)
