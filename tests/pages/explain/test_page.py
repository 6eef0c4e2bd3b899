"""The Explain page in Streamlit's AppTest, on a small network made here."""

import io
import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import streamlit as st
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

import sevis
from sevis.data.datasets import sample_photos
from sevis.data.image_formats import read_image
from sevis.experiments import explanation
from sevis.pages.shared import explanations as models
from sevis.pages.shared import loading
from sevis.pages.shared.show import to_csv, to_png
from sevis.weights.card import DEFAULT
from tests.helpers.charts import by_title, numbers
from tests.helpers.pages import open_page, sentence
from tests.helpers.pictures import write_photos
from tests.helpers.processes import loaded_by
from tests.helpers.shelves import write_shelf

run_page = partial(open_page, "explain")
CLASSES = {"n02123045": "tabby", "n02129165": "lion", "n07920052": "espresso"}
FIRST, OTHER = "Cup of espresso", "Tabby cat"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A folder as `pretrained/` with a small network under the default's name, and its explanation of the first sample photo."""
    folder = tmp_path_factory.mktemp("pretrained")
    write_shelf(folder, list(CLASSES.values()), list(CLASSES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEVIS_PRETRAINED", str(folder))
        ready = sevis.load(DEFAULT)
        blocks = [site.name for site in sevis.find_sites(ready.model)]
        explain_sample(ready, FIRST, maps=blocks).save(folder / f"{DEFAULT}.example.safetensors")
    return folder


@pytest.fixture
def folder(shelf, tmp_path, monkeypatch):
    """A copy of the shelf that a test may damage; the pages start without anything kept."""
    copy = tmp_path / "pretrained"
    shutil.copytree(shelf, copy)
    monkeypatch.setenv("SEVIS_PRETRAINED", str(copy))
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "no-data"))
    st.cache_resource.clear()
    st.cache_data.clear()
    return copy


def explain_sample(ready, title, *, maps=()):
    return sevis.explain(ready, read_image(sample_photos()[title].read_bytes()), maps=maps)


def drawn_scales(page):
    """The rows of the gate map as they were sent to the browser, in per cent."""
    return numbers(by_title(page)["Scale s of every channel, block by block"]["data"][0]["z"])


def expected_scales(explanation):
    width = max(map(len, explanation.scale.values()))
    return np.stack([np.kron(100 * scale, np.ones(width // len(scale))) for scale in explanation.scale.values()])


def assert_shows(page, explanation):
    assert not page.exception
    assert not page.error
    assert np.abs(drawn_scales(page) - expected_scales(explanation)).max() <= 0.501
    bars = by_title(page)[f"The {len(CLASSES)} most probable classes"]
    ranked = sorted(zip(explanation.probabilities.tolist(), CLASSES.values(), strict=True), reverse=True)
    assert bars["layout"]["yaxis"]["ticktext"] == [name for _, name in ranked]
    assert np.allclose(bars["data"][0]["x"], [value for value, _ in ranked], atol=1e-5)


def test_the_first_page_shows_the_shipped_explanation(folder):
    page = run_page()
    assert_shows(page, sevis.Explanation.load(folder / f"{DEFAULT}.example.safetensors"))
    assert page.title[0].value == "One photo, every gate"
    assert len(page.image) == 2  # the photo, and what the network sees of it
    assert all(caption.value for caption in page.caption)


def test_a_block_that_is_chosen_shows_its_maps(folder):
    page = run_page()
    page.selectbox(key="block").set_value("SE_3_1").run()
    assert not page.exception
    assert len(page.image) == 4  # and the maps of the channels at either end


def test_the_network_is_loaded_once_for_all(folder, monkeypatch):
    loads = []
    monkeypatch.setattr(loading, "load", lambda name, **options: loads.append(name) or sevis.load(name, **options))
    app = open_page("app")
    app.segmented_control(key="sample").set_value(OTHER).run()
    app.segmented_control(key="sample").set_value("Rocket").run()
    assert not app.exception
    assert loads == [DEFAULT]


def test_the_first_page_needs_no_torch(folder):
    program = """
from tests.helpers.pages import check, open_page
assert check(open_page("explain")).get("plotly_chart")
"""
    assert not loaded_by(program) & {"torch", "torchvision", "timm"}


def test_another_sample_is_computed(folder):
    page = run_page().button_group(key="sample").set_value(OTHER).run()
    assert_shows(page, explain_sample(sevis.load(DEFAULT), OTHER))


def test_without_the_shipped_explanation_it_is_computed(folder):
    shipped = sevis.Explanation.load(folder / f"{DEFAULT}.example.safetensors")
    (folder / f"{DEFAULT}.example.safetensors").unlink()
    assert_shows(run_page(), shipped)


def test_dead_gates_are_told(folder):
    path = folder / f"{DEFAULT}.example.safetensors"
    whole = sevis.Explanation.load(path)
    assert not run_page().warning
    dead = {site: np.zeros_like(whole.logits[site]) for site in whole.sites[:2]}
    replace(
        whole, logits={**whole.logits, **dead}, scale={**whole.scale, **{site: row + np.float32(0.5) for site, row in dead.items()}}
    ).save(path)
    st.cache_resource.clear()
    (told,) = run_page().warning
    assert told.value.startswith(f"{', '.join(dead)}: every s is 0.50 for any image: dead; likely cause: ")


def test_an_explanation_of_other_weights_is_not_shown(folder):
    other = explain_sample(sevis.load(DEFAULT), OTHER)
    shipped = sevis.Explanation.load(folder / f"{DEFAULT}.example.safetensors")
    fields = {**vars(other), "weights": "0" * 64, "view": shipped.view}
    sevis.Explanation(**fields).save(folder / f"{DEFAULT}.example.safetensors")
    assert_shows(run_page(), shipped)


def test_a_damaged_explanation_is_said_and_computed(folder):
    (folder / f"{DEFAULT}.example.safetensors").write_bytes(b"no explanation")
    page = run_page()
    assert "example" in sentence(page)
    assert drawn_scales(page).shape[0] == 8


def test_a_link_restores_photo_block_and_style(folder):
    page = run_page(sample=OTHER, block="SE_4_2", maps="On the photo")
    assert page.button_group(key="sample").value == OTHER
    assert page.button_group(key="maps").value == "On the photo"
    assert page.selectbox(key="block").value == "SE_4_2"
    explanation = explain_sample(sevis.load(DEFAULT), OTHER)
    shown = by_title(page)
    for title, expected in (
        ("Squeeze z", explanation.squeeze["SE_4_2"]),
        ("Hidden layer h", explanation.hidden["SE_4_2"]),
        ("Scale s", explanation.scale["SE_4_2"]),
        ("Channels sorted by scale s", np.sort(explanation.scale["SE_4_2"])[::-1]),
    ):
        assert np.allclose(numbers(shown[title]["data"][0]["y"]), expected, atol=1e-5), title


def test_a_link_with_nonsense_gives_the_first_page(folder):
    page = run_page(source="'; DROP", sample="<script>", block="SE_99_1", maps="x", photo_number="-3")
    assert_shows(page, sevis.Explanation.load(folder / f"{DEFAULT}.example.safetensors"))
    assert page.selectbox(key="block").value is None


def test_an_uploaded_picture_is_explained(folder):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, size=(40, 60, 3), dtype=np.uint8))
    page = run_page().button_group(key="source").set_value("Upload").run()
    assert not page.get("plotly_chart")
    page = page.file_uploader(key="upload").upload("photo.png", to_png(np.asarray(picture)), "image/png").run()
    assert_shows(page, sevis.explain(sevis.load(DEFAULT), picture))


def test_a_file_that_is_no_picture_is_refused_in_one_sentence_and_the_app_goes_on(folder):
    page = run_page().button_group(key="source").set_value("Upload").run()
    page = page.file_uploader(key="upload").upload("photo.png", b"GIF, but only by name", "image/png").run()
    assert "picture" in sentence(page)
    assert not page.get("plotly_chart")
    page = page.button_group(key="source").set_value("Samples").run()
    assert_shows(page, sevis.Explanation.load(folder / f"{DEFAULT}.example.safetensors"))


def test_a_photo_from_the_camera_is_explained(folder):
    page = run_page().button_group(key="source").set_value("Camera").run()
    assert not page.exception
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "orange").save(file, format="JPEG")
    page = page.camera_input(key="camera").set_value(("camera.jpg", file.getvalue(), "image/jpeg")).run()
    assert_shows(page, sevis.explain(sevis.load(DEFAULT), read_image(file.getvalue())))


def test_validation_photos_are_offered_by_class_where_the_data_set_is(folder, tmp_path, monkeypatch):
    data = write_photos(tmp_path / "data", CLASSES)
    monkeypatch.setenv("SEVIS_DATA", str(data))
    page = run_page(source="Validation photos", photo_class="lion", photo_number="2")
    chosen = data / "tiny-imagenet-200" / "val" / "images" / "n02129165_1.JPEG"
    assert_shows(page, sevis.explain(sevis.load(DEFAULT), read_image(chosen.read_bytes())))
    assert page.number_input(key="photo_number").max == 3
    page = page.selectbox(key="photo_class").set_value("espresso").run()
    assert not page.exception
    assert "espresso, photo 2" in page.image[0].captions[0]


def test_validation_photos_are_offered_of_those_classes_that_the_data_set_has(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SEVIS_DATA", str(write_photos(tmp_path / "data", ["n00000001", "n07920052", "n02129165"])))
    page = run_page(source="Validation photos", photo_class="espresso", photo_number="3")
    assert page.selectbox(key="photo_class").options == ["lion", "espresso"]
    chosen = tmp_path / "data" / "tiny-imagenet-200" / "val" / "images" / "n07920052_2.JPEG"
    assert_shows(page, sevis.explain(sevis.load(DEFAULT), read_image(chosen.read_bytes())))


def test_a_network_without_word_net_ids_is_offered_all_classes_of_the_data_set(folder, tmp_path, monkeypatch):
    index = json.loads((folder / "index.json").read_text())
    del index[DEFAULT]["wnids"]
    (folder / "index.json").write_text(json.dumps(index))
    data = write_photos(tmp_path / "data", ["n00000001", "n00000002"])
    words = data / "tiny-imagenet-200" / "words.txt"
    words.write_text("n00000001\tcrane\nn00000002\tcrane, a machine")
    monkeypatch.setenv("SEVIS_DATA", str(data))
    page = run_page(source="Validation photos")
    assert not page.exception
    assert page.selectbox(key="photo_class").options == ["crane (n00000001)", "crane (n00000002)"]
    page = page.selectbox(key="photo_class").set_value("crane (n00000002)").run()
    chosen = data / "tiny-imagenet-200" / "val" / "images" / "n00000002_0.JPEG"
    assert_shows(page, sevis.explain(sevis.load(DEFAULT), read_image(chosen.read_bytes())))


def test_two_choosers_on_a_page_do_not_disturb_each_other(folder):
    def script():
        import streamlit as st

        from sevis.pages.shared.photos import choose_photo
        from sevis.weights.card import DEFAULT, read_card

        for key in ("", "other_"):
            st.write(choose_photo(read_card(DEFAULT), key=key).title)

    page = AppTest.from_function(script)
    page.query_params["other_sample"] = OTHER
    assert [text.value for text in page.run().markdown] == [FIRST, OTHER]


def test_what_did_not_fit_into_memory_is_said(folder, monkeypatch):
    sentence = "The memory of cuda:0 does not hold a single image; continuing on the CPU, which is slower."
    monkeypatch.setattr(models, "explain", lambda *what, say, **how: say(sentence) or sevis.explain(*what, **how))
    page = run_page(sample=OTHER)
    assert_shows(page, explain_sample(sevis.load(DEFAULT), OTHER))
    assert [note.value for note in page.info] == [sentence]


def test_an_image_that_does_not_fit_into_an_accelerator_runs_on_the_cpu(folder, monkeypatch):
    run, places, said = explanation._explain_view, [], []

    def full(ready, *what):
        places.append(ready.device.type)
        if ready.device.type != "cpu":
            raise torch.OutOfMemoryError
        return run(ready, *what)

    ready = sevis.load(DEFAULT)
    expected = explain_sample(ready, OTHER)
    monkeypatch.setattr(explanation, "_explain_view", full)
    image = read_image(sample_photos()[OTHER].read_bytes())
    found = sevis.explain(replace(ready, device=torch.device("meta")), image, say=said.append)
    assert places == ["meta", "cpu"]
    assert len(said) == 1
    assert np.array_equal(found.probabilities, expected.probabilities)


def test_every_forward_waits_for_its_turn(folder, monkeypatch):
    row = []
    monkeypatch.setattr(models, "turn", lambda: row.append("turn") or nullcontext())
    monkeypatch.setattr(models, "explain", lambda *what, **how: row.append("forward") or sevis.explain(*what, **how))
    page = run_page()
    assert row == [], "the first page is shipped"
    page.segmented_control(key="sample").set_value(OTHER).run()
    assert row == ["turn", "forward"]
    page.segmented_control(key="sample").set_value(FIRST).run()
    page.segmented_control(key="sample").set_value(OTHER).run()
    assert row == ["turn", "forward"], "what is kept waits for nobody"


def test_a_data_set_without_the_network_s_classes_is_refused_in_one_sentence(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SEVIS_DATA", str(write_photos(tmp_path / "data", ["n00000001"])))
    page = run_page(source="Validation photos")
    assert "n02123045" in sentence(page)


def test_missing_weights_are_said_and_found_again(folder):
    weights = folder / f"{DEFAULT}.safetensors"
    kept = weights.read_bytes()
    weights.unlink()
    page = run_page()
    assert_shows(page, sevis.Explanation.load(folder / f"{DEFAULT}.example.safetensors"))
    page = page.button_group(key="sample").set_value(OTHER).run()
    assert "missing" in sentence(page)
    weights.write_bytes(kept)
    assert_shows(page.run(), explain_sample(sevis.load(DEFAULT), OTHER))


def test_damaged_weights_are_refused_in_one_sentence(folder):
    (folder / f"{DEFAULT}.safetensors").write_bytes(b"damaged")
    assert "SHA-256" in sentence(run_page(sample=OTHER))


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_a_missing_or_damaged_index_is_said_in_one_sentence(folder, content):
    (folder / "index.json").unlink()
    if content is not None:
        (folder / "index.json").write_text(content)
    assert sentence(run_page())


def test_a_table_becomes_csv():
    table = {"class": ["a, b", 'c"d'], "s": np.float32([0.5, 0.25]), "n": np.arange(2)}
    assert to_csv(table).decode() == 'class,s,n\n"a, b",0.5,0\n"c""d",0.25,1\n'
    with pytest.raises(ValueError, match="shorter"):
        to_csv({"a": [1, 2], "b": [1]})


def test_a_picture_becomes_a_png():
    picture = np.random.default_rng(0).integers(0, 256, size=(3, 5, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(to_png(picture)))), picture)


def test_an_error_is_shown_as_text_not_as_markup():
    def script():
        from sevis.errors import SevisError
        from sevis.pages.shared.show import show_error

        show_error(SevisError("no file at /tmp/*a*_b_[x](http://y)"))

    shown = AppTest.from_function(script).run().error[0].value
    assert shown == r"No file at /tmp/\*a\*\_b\_\[x\](http://y)."
