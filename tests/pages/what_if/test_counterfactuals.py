"""Where changed gates come from: classes, other photos, means."""

import re

import numpy as np
import pytest
import streamlit as st
import torch
from PIL import Image

import sevis
from sevis.data.datasets import sample_photos
from sevis.pages.classes import collecting
from sevis.pages.shared.show import to_png
from sevis.weights.card import DEFAULT
from tests.helpers.pages import sentence
from tests.helpers.what_if_page import (
    CLASSES,
    ROCKET,
    assert_compares,
    assert_plain,
    held,
    make_statistics,
    probabilities,
    run_page,
    scales_of,
    strip,
)


def test_a_class_s_gates_are_taken(ready, means):
    page = run_page(where="every block", gates_of="espresso").button(key="take-class").click().run()
    assert page.text_input(key="steps").value == "SE:class=espresso"
    gates = {site: held(means.mean(site)[CLASSES.index("espresso")]) for site in means.sites}
    assert_compares(page, probabilities(ready), probabilities(ready, gates))
    assert page.selectbox(key="gates_of").options == CLASSES[:5]  # those with photos


def test_another_photo_s_gates_are_taken(ready):
    page = run_page(where="stage 3", lend_sample=ROCKET).button(key="take-photo").click().run()
    assert page.text_input(key="steps").value == f"SE_3:photo={ROCKET}"
    lent = scales_of(ready, ROCKET)
    assert_compares(page, probabilities(ready), probabilities(ready, {site: held(lent[site]) for site in ("SE_3_1", "SE_3_2")}))


def test_an_uploaded_photo_lends_its_gates_in_its_own_session_only(ready):
    picture = np.random.default_rng(0).integers(0, 256, size=(40, 60, 3), dtype=np.uint8)
    page = run_page(where="every block", lend_source="Upload")
    page = page.file_uploader(key="lend_upload").upload("Rocket.png", to_png(picture), "image/png").run()
    page = page.button(key="take-photo").click().run()
    steps = page.text_input(key="steps").value
    assert re.fullmatch(r"SE:photo=Rocket\.png #[0-9a-f]{8}", steps)
    lent = sevis.explain(ready, Image.fromarray(picture)).scale
    after = probabilities(ready, {site: held(scale) for site, scale in lent.items()})
    assert_compares(page, probabilities(ready), after)
    page = page.button(key="undo").click().run()  # the photo is still lent, not only as long as it is chosen
    page = page.text_input(key="steps").set_value(steps).run()
    assert_compares(page, probabilities(ready), after)
    elsewhere = run_page(steps=steps)
    assert "a link holds no uploaded picture" in sentence(elsewhere)
    assert_plain(elsewhere, probabilities(ready))


@pytest.mark.parametrize("foreign", [False, True])
def test_without_statistics_of_these_weights_the_sample_photos_stand_in(folder, ready, means, foreign):
    (folder / f"{DEFAULT}.statistics.safetensors").unlink()
    if foreign:
        make_statistics(ready.model, {"weights": "0" * 64}).save(folder / f"{DEFAULT}.statistics.safetensors")
    page = run_page(steps="SE_4_1:static")
    scales = [scales_of(ready, photo) for photo in sample_photos()]
    static = {site: np.mean([scale[site] for scale in scales], axis=0) for site in scales[0]}
    plain = probabilities(ready)
    assert_compares(page, plain, probabilities(ready, {"SE_4_1": held(static["SE_4_1"])}))
    first = max(plain, key=plain.get)
    frozen = [probabilities(ready, {site: held(static[site])})[first] - plain[first] for site in static]
    assert np.allclose(strip(page, "frozen"), 100 * np.array(frozen), atol=1e-3)
    assert f"the {len(scales)} sample photos" in " ".join(caption.value for caption in page.caption)


def lending(page, number):
    """Uploads a photo of its own for every number, and gives what a step would call it; nothing is lent by that."""
    picture = np.full((8, 8, 3), number, dtype=np.uint8)
    page = page.file_uploader(key="lend_upload").upload(f"{number}.png", to_png(picture), "image/png").run()
    assert not page.exception
    return page


def test_a_photo_is_lent_by_the_button_alone_and_kept_as_long_as_a_step_needs_it(folder):
    page = run_page(where="SE_2_1", lend_source="Upload")
    page = lending(page, 0)
    assert "lent-photos" not in page.session_state
    page = page.button(key="take-photo").click().run()
    for number in range(1, 7):
        page = lending(page, number).button(key="take-photo").click().run()
        assert not page.error
    assert len(page.session_state["lent-photos"]) == 7
    page = page.button(key="undo").click().run()
    page = lending(page, 2).button(key="take-photo").click().run()  # one that is kept already is the newest then
    assert [name.split(".")[0] for name in page.session_state["lent-photos"]] == ["4", "5", "6", "2"]


def test_a_bad_picture_to_lend_is_said_beside_its_chooser_and_the_page_stands(ready):
    page = run_page(lend_source="Upload", steps="SE_3_1:open")
    page = page.file_uploader(key="lend_upload").upload("x.png", b"no picture", "image/png").run()
    assert "picture" in sentence(page)
    assert_compares(page, probabilities(ready), probabilities(ready, {"SE_3_1": torch.ones_like}))
    assert len(strip(page, "opened")) == 8


def test_statistics_that_were_collected_on_the_page_are_taken(folder, ready, means):
    (folder / f"{DEFAULT}.statistics.safetensors").unlink()
    assert run_page().button_group  # without them it works as well
    collecting._newest(ready.card.sha256)[:] = [means]
    page = run_page(steps="SE_4_1:static;SE_5_1:class=espresso")
    gates = {"SE_4_1": held(means.gates()["SE_4_1"]), "SE_5_1": held(means.mean("SE_5_1")[CLASSES.index("espresso")])}
    assert_compares(page, probabilities(ready), probabilities(ready, gates))


def test_the_mean_over_the_samples_says_how_far_it_is(folder, ready, monkeypatch):
    (folder / f"{DEFAULT}.statistics.safetensors").unlink()
    texts, draw = [], st.progress
    monkeypatch.setattr(st, "progress", lambda value, text: (texts.append(text), draw(value, text))[1])
    page = run_page(steps="SE_4_1:static")
    count = len(sample_photos())
    assert [text for text in texts if "Mean" in text][:count] == [
        f"Mean over the {count} samples: {done} of {count}" for done in range(count)
    ]
    assert not page.get("progress")
