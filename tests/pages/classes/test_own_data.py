"""One's own photos on the Classes page, in Streamlit's AppTest: folders that the operator allowed, and zips."""

import numpy as np
import pytest
import streamlit as st
import torch
from PIL import Image

import sevis
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.data.preprocessing import Preprocessing
from sevis.pages.classes import collecting, own_data
from sevis.pages.shared import loading, turns
from sevis.pages.shared.network import SHOWN, Network
from sevis.weights.loading import ReadyModel
from tests.helpers import pages
from tests.helpers.cards import make_card
from tests.helpers.networks import stir
from tests.helpers.pages import text
from tests.helpers.pictures import fill, png, write_photos, zip_of


def photo(number):
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, size=(40, 40, 3), dtype=np.uint8))


NAMES = ("cat/1.png", "cat/2.png", "cat/3.png", "n00000001/4.png", "n00000001/5.png")
PHOTOS = {name: png(photo(number)) for number, name in enumerate(NAMES, 1)}


@pytest.fixture
def ready(tmp_path, monkeypatch):
    """A network that the page loads, one of whose classes has the folder name n00000001; no data on this machine."""
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "nothing"))
    monkeypatch.delenv("SEVIS_DATA_ROOTS", raising=False)
    st.cache_resource.clear()
    st.cache_data.clear()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = stir(sevis.build("se_resnet18", num_classes=2, width=0.125, reduction=4)).eval()
    preprocess = Preprocessing(resize=32, crop=32)
    card = make_card("untold", sha256="f" * 64, classes=("lion", "goldfish"), wnids=("n00000000", "n00000001"), shipped=False)
    ready = ReadyModel(model, card, card.classes, preprocess, torch.device("cpu"))
    monkeypatch.setattr(loading, "load", lambda *_, **__: ready)
    monkeypatch.setattr(loading, "HEAD_START", 0)
    return ready


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder that the operator allowed, with a data set of class folders."""
    root = tmp_path / "shared"
    fill(root / "pets", PHOTOS)
    monkeypatch.setenv("SEVIS_DATA_ROOTS", str(root))
    return root


def open_page(**query):
    return pages.open_page("classes", session={SHOWN: Network("untold", "random")}, **({"figure": "Your data"} | query))


def upload(app, files, name="pets.zip"):
    data = files if isinstance(files, bytes) else zip_of(files.items())
    app.file_uploader(key="own_zip").set_value((name, data, "application/zip")).run()
    assert not app.exception
    return app


def collect(app):
    app.button(key="own_collect").click().run()
    assert not app.exception
    return app


def own(app):
    return app.session_state[own_data.KEPT]


def test_without_a_folder_only_a_zip_is_offered_and_the_operators_way_is_named(ready):
    app = open_page()
    assert not app.exception
    assert [control.key for control in app.segmented_control] == ["figure"]
    assert app.file_uploader(key="own_zip").allowed_type == [".zip"]
    assert "the environment variable SEVIS_DATA_ROOTS names them" in text(app)
    assert not app.button


def test_a_zip_is_collected_and_its_means_are_those_of_the_photos(ready):
    app = collect(upload(open_page(), PHOTOS))
    statistics = own(app).statistics
    assert statistics.classes == ("cat", "goldfish"), "a folder with the id of one of the network's classes has its name"
    assert statistics.count.tolist() == [3, 2]
    scales = [sevis.explain(ready, photo(number)).scale["SE_4_2"] for number in range(1, 6)]
    np.testing.assert_allclose(statistics.mean("SE_4_2"), [np.mean(scales[:3], axis=0), np.mean(scales[3:], axis=0)], atol=1e-5)
    assert statistics.metadata["data"] == "pets"
    assert "5 photos of 2 classes" in text(app)
    assert "Only you see these data" in text(app)


def test_what_is_collected_from_a_zip_is_nobody_elses_and_can_be_forgotten(ready):
    app = collect(upload(open_page(), PHOTOS))
    assert own_data.KEPT not in open_page().session_state
    app.button(key="own_forget").click().run()
    assert own_data.KEPT not in app.session_state
    assert app.file_uploader(key="own_zip")


def test_own_statistics_are_those_of_these_weights_only(ready):
    app = collect(upload(open_page(), PHOTOS))
    st.session_state[own_data.KEPT] = own(app)
    try:
        assert own_data.own_statistics(Network("untold"), ready.card) is own(app).statistics
        assert len(own_data.own_photos(ready.card)) == 5
        other = make_card("other", shipped=False)
        assert own_data.own_statistics(Network("other"), other) is None
        assert own_data.own_photos(other) is None
    finally:
        del st.session_state[own_data.KEPT]


def test_a_statistics_file_can_be_saved_and_opened_again(ready, tmp_path):
    app = collect(upload(open_page(), PHOTOS))
    statistics = own(app).statistics
    assert [button.label for button in app.get("download_button")] == ["Save as a statistics file"]
    (tmp_path / "own.safetensors").write_bytes(own_data.to_file(statistics))
    again = ClassStatistics.load(tmp_path / "own.safetensors")
    assert again.classes == statistics.classes
    np.testing.assert_array_equal(again.mean("SE_5_2"), statistics.mean("SE_5_2"))


def test_a_folder_that_the_operator_allowed_is_collected_for_everybody(ready, root, monkeypatch):
    app = open_page()
    assert app.segmented_control(key="own_source").value == own_data.FOLDER
    assert app.selectbox(key="own_folder").options == ["shared/pets"]
    assert "holds 5 images of 2 classes" in text(app)
    statistics = own(collect(app)).statistics
    assert statistics.count.tolist() == [3, 2]
    assert "other visitors who choose the same photos get this result at once" in text(app)
    monkeypatch.setattr(own_data, "collect_in_turns", None)  # whoever collects again fails
    assert own(collect(open_page())).statistics is statistics


def test_the_amount_can_be_chosen(ready, root):
    app = open_page(own_classes="2", own_photos="1")
    assert app.button(key="own_collect").label == "Collect 2 photos"
    assert own(collect(app)).statistics.count.tolist() == [1, 1]


@pytest.mark.parametrize("folder", ["../../etc", "/etc", "shared/../../etc", "nothing"])
def test_a_link_names_no_folder_that_is_not_in_the_list(ready, root, folder):
    app = open_page(own_folder=folder)
    assert not app.exception
    assert app.selectbox(key="own_folder").value == "shared/pets"


def test_a_folder_that_became_a_link_is_refused(ready, root, tmp_path):
    open_page()  # the list is kept for a while
    fill(tmp_path / "secret", PHOTOS)
    (root / "pets").rename(tmp_path / "before")
    (root / "pets").symlink_to(tmp_path / "secret")
    st.cache_resource.clear()
    app = open_page()
    assert "is not below a folder that the operator" in app.error[0].value
    assert not [button for button in app.button if button.key == "own_collect"]


def test_the_data_sets_of_the_app_are_offered_too(ready, root, tmp_path, monkeypatch):
    monkeypatch.setenv("SEVIS_DATA", str(write_photos(tmp_path / "data", ["n00000001", "n00000002"])))
    app = open_page()
    assert app.selectbox(key="own_folder").options == ["tiny-imagenet-200", "shared/pets"]
    assert own(collect(app)).statistics.classes == ("goldfish", "name of n00000002")


def test_links_that_lead_out_of_the_folder_are_not_followed_for_visitors(ready, root, tmp_path):
    (tmp_path / "secret.png").write_bytes(png(photo(9)))
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "1.png").write_bytes(png(photo(8)))
    (root / "pets" / "cat" / "secret.png").symlink_to(tmp_path / "secret.png")
    (root / "pets" / "eel").symlink_to(tmp_path / "private")
    app = collect(open_page(own_folder="shared/pets"))
    assert own(app).statistics.classes == ("cat", "goldfish")
    assert "1 photo could not be read and was left out: cat/secret.png" in text(app)


def test_a_part_can_be_chosen_where_there_are_some(ready, root):
    fill(root / "birds", {f"{part}/{name}": data for part in ("train", "val") for name, data in PHOTOS.items()})
    app = open_page(own_folder="shared/birds", own_split="train")
    assert app.segmented_control(key="own_split").options == ["val", "train"]
    assert own(collect(app)).statistics.metadata["split"] == "train"


def test_photos_that_cannot_be_read_are_named(ready):
    many = {f"cat/{number:03}.png": png(photo(0)) for number in range(99)} | {"cat/broken.png": b"no picture", "cat/notes.txt": b"notes"}
    app = upload(open_page(own_photos="100"), many)
    assert "1 file is no image and was skipped: cat/notes.txt" in text(app)
    app = collect(app)
    assert own(app).statistics.count.tolist() == [99]
    assert "1 photo could not be read and was left out: cat/broken.png" in text(app)


def test_more_than_half_of_few_photos_stop_the_collecting(ready):
    app = collect(upload(open_page(), PHOTOS | dict.fromkeys(list(PHOTOS)[:3], b"no picture")))
    assert "3 of 5 images cannot be read" in app.error[0].value
    assert next(iter(PHOTOS)) in app.error[0].value
    assert own_data.KEPT not in app.session_state


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (b"no zip", "Pets.zip is no readable zip file"),
        ({"readme.txt": b""}, "Pets.zip holds no image"),
        (PHOTOS | {"../6.png": png(photo(6))}, "leads out of the zip"),
        ({"1.png": png(photo(1))}, "put the images of each class into a folder of its own"),
    ],
)
def test_a_zip_that_is_not_taken_gives_one_sentence(ready, files, sentence):
    app = upload(open_page(), files)
    assert len(app.error) == 1
    assert sentence in app.error[0].value
    assert not [button for button in app.button if button.key == "own_collect"]


def test_a_zip_that_is_too_large_is_refused_on_the_server_too(ready, monkeypatch):
    monkeypatch.setattr(own_data, "LARGEST", 1)
    app = upload(open_page(), PHOTOS | {"cat/large.bin": bytes(1_000_000)})
    assert "but this app takes at most 1 MB" in app.error[0].value


def test_names_are_text_and_no_markdown(ready):
    app = upload(open_page(), PHOTOS | {"cat/*x* :red[y].txt": b""}, name="[a](b).zip")
    assert r"**\[a\](b)** holds 5 images" in text(app)
    assert "cat/\\*x\\* :\u2060red\\[y\\].txt" in text(app)  # an invisible sign: Streamlit reads :red[ in spite of the backslash


def test_collecting_that_is_cancelled_leaves_nothing(ready, root, monkeypatch):
    monkeypatch.setattr(collecting, "BATCH", 2)
    left = []

    def cancel(*_):
        left.append(turns._turns(turns.forwards_at_once()))
        st.stop()  # as a click on Cancel ends the run: by an exception that is no Exception

    handle = ready.model.register_forward_pre_hook(cancel)
    app = open_page()
    app.button(key="own_collect").click().run()
    handle.remove()
    assert not left[0]._row
    app = open_page()
    assert own_data.KEPT not in app.session_state
    assert app.button(key="own_collect")


def test_the_time_left_is_told_in_words():
    assert collecting.describe_pace(20, 100, 10.0) == "20 of 100 photos, 2.0 a second, about 40 seconds left"
    assert collecting.describe_pace(20, 1000, 10.0) == "20 of 1000 photos, 2.0 a second, about 8 minutes left"
