"""The What if? page in Streamlit's AppTest, on a small network made here, against gates replaced by hand in a copy of it."""

import copy
import dataclasses
import re
import shutil
from functools import partial
from itertools import islice

import numpy as np
import pytest
import streamlit as st
import torch
from PIL import Image
from torch import nn

import sevis
from sevis.data.datasets import sample_photos
from sevis.data.images import read_image
from sevis.errors import SevisError
from sevis.experiments.interventions import Step
from sevis.experiments.sensitivity import scan_blocks
from sevis.pages.classes import collecting
from sevis.pages.shared import growing
from sevis.pages.shared.explanations import note_seconds, seconds_of
from sevis.pages.shared.show import as_text, to_png
from sevis.pages.what_if.counterfactuals import Means
from sevis.pages.what_if.steps import describe
from sevis.weights.card import DEFAULT
from tests.helpers.charts import by_title, numbers
from tests.helpers.pages import open_page, sentence
from tests.helpers.shelves import write_shelf

run_page = partial(open_page, "what_if")
CLASSES = ["tabby", "lion", "espresso", "pizza", "teapot", "cliff", "orange"]
FIRST, ROCKET = "Cup of espresso", "Rocket"
COMPARED, STRIP = "The most probable classes, before and after", "One block changed at a time"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A folder as `pretrained/` with a small network under the default's name, and made-up class statistics of it."""
    folder = tmp_path_factory.mktemp("pretrained")
    model, sha256 = write_shelf(folder, CLASSES)
    make_statistics(model, {"weights": sha256, "data": "made up"}).save(folder / f"{DEFAULT}.statistics.safetensors")
    return folder


def make_statistics(model, metadata):
    random = np.random.default_rng(3)
    channels = {site.name: site.channels for site in sevis.find_sites(model)}
    statistics = sevis.ClassStatistics(channels, tuple(CLASSES), metadata)
    scales = {site: random.uniform(size=(20, width)).astype(np.float32) for site, width in channels.items()}
    statistics.update(np.arange(20) % 5, {site: {"squeeze": scale, "scale": scale} for site, scale in scales.items()})
    return statistics


@pytest.fixture
def folder(shelf, tmp_path, monkeypatch):
    """A copy of the shelf that a test may damage; the pages start without anything kept."""
    place = tmp_path / "pretrained"
    shutil.copytree(shelf, place)
    monkeypatch.setenv("SEVIS_PRETRAINED", str(place))
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "no-data"))
    monkeypatch.delenv("SEVIS_FORWARDS", raising=False)
    st.cache_resource.clear()
    st.cache_data.clear()
    return place


@pytest.fixture
def ready(folder):
    return sevis.load(DEFAULT)


@pytest.fixture
def means(folder):
    return sevis.ClassStatistics.load(folder / f"{DEFAULT}.statistics.safetensors")


def compared(page):
    """The probabilities before and after, by class, as they were sent to the browser."""
    shown = by_title(page)[COMPARED]
    names = shown["layout"]["yaxis"]["ticktext"]
    return [dict(zip(names, numbers(trace["x"]).tolist(), strict=True)) for trace in shown["data"]]


def strip(page, way):
    """The drawn change of the probability by block, in percentage points."""
    (trace,) = [trace for trace in by_title(page)[STRIP]["data"] if trace.get("name", "").startswith(way)]
    return numbers(trace["x"])


class Gate(nn.Module):
    """A gate whose output is changed by hand."""

    def __init__(self, gate, change):
        super().__init__()
        self.gate, self.change = gate, change

    def forward(self, logits):
        return self.change(self.gate(logits).clone())


def probabilities(ready, changes=None, *, photo=FIRST):
    """What a copy of the network whose gates are replaced makes of a sample photo, by class."""
    model = copy.deepcopy(ready.model)
    for site in sevis.find_sites(ready.model):
        if site.name in (changes or {}):
            block = model.get_submodule(site.path)
            block.gate = Gate(block.gate, changes[site.name])
    with torch.inference_mode():
        logits = model(torch.from_numpy(ready.preprocess(read_image(sample_photos()[photo].read_bytes())))[None])
    return dict(zip(CLASSES, logits.double().softmax(dim=1)[0].tolist(), strict=True))


def held(values, channels=slice(None)):
    def change(scale):
        scale[:, channels] = torch.as_tensor(values, dtype=torch.float32)
        return scale

    return change


def scales_of(ready, photo):
    return sevis.explain(ready, read_image(sample_photos()[photo].read_bytes())).scale


def assert_compares(page, before, after):
    shown_before, shown_after = compared(page)
    top = {name for values in (before, after) for name in sorted(values, key=values.get)[-5:]}
    assert set(shown_before) == top
    assert shown_before == pytest.approx({name: before[name] for name in top}, abs=1e-5)
    assert shown_after == pytest.approx({name: after[name] for name in top}, abs=1e-5)


def assert_plain(page, plain):
    """The page shows what the network makes of the photo, and that nothing is changed."""
    shown = by_title(page)["The 5 most probable classes"]
    top = dict(zip(shown["layout"]["yaxis"]["ticktext"], numbers(shown["data"][0]["x"]).tolist(), strict=True))
    assert top == pytest.approx({name: plain[name] for name in sorted(plain, key=plain.get)[-5:]}, abs=1e-5)
    assert COMPARED not in by_title(page)


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


def test_the_channels_that_matter_most_are_found(ready, monkeypatch):
    monkeypatch.setattr(growing, "SLICE", 60.0)
    page = run_page(where="SE_4_2", ablate="true", watch="pizza")
    shown = by_title(page)["The channels of SE_4_2 that matter most"]["data"][0]
    off = [probabilities(ready, {"SE_4_2": held(0, [channel])})["pizza"] for channel in range(64)]
    change = 100 * (np.array(off) - probabilities(ready)["pizza"])
    assert numbers(shown["customdata"]).tolist() == np.argsort(-np.abs(change), kind="stable")[:12].tolist()
    assert np.allclose(numbers(shown["x"]), change[np.argsort(-np.abs(change), kind="stable")[:12]], atol=1e-3)


def test_work_that_takes_long_is_drawn_as_it_grows_and_can_be_cancelled(ready, monkeypatch):
    monkeypatch.setattr(growing, "SLICE", 0.0)  # one batch between two drawings
    monkeypatch.setattr("sevis.experiments.sensitivity.BATCH_PIXELS", 32 * 32 * 5)
    page = run_page(where="SE_4_2", ablate="true")
    assert growing_so_far(page)
    page = page.button(key="cancel-ablate").click().run()
    assert not page.exception
    assert page.toggle(key="ablate").value is False
    assert "growing-ablate" not in page.session_state
    page = page.toggle(key="ablate").set_value(True).run()
    while growing_so_far(page):
        page = page.run()
    assert len(numbers(by_title(page)["The channels of SE_4_2 that matter most"]["data"][0]["x"])) == 12


def growing_so_far(page):
    assert not page.exception
    return re.search(r"of the \d+ tried so far", " ".join(caption.value for caption in page.caption))


def test_names_in_buttons_are_no_markup():
    steps = (Step("SE", "photo", name="[x](http://y) :material/x: *a*"), Step("SE_2_1", "set", 0.5, channels=(3, 17)))
    assert describe(steps[0]) == "every block: gates of the photo \\[x\\](http://y) :\u2060material/x: \\*a\\*"
    assert describe(steps[1]) == "SE_2_1, channels 3, 17: s = 0.5"


def test_a_file_that_is_no_picture_is_refused_in_one_sentence(folder):
    page = run_page(source="Upload", steps="SE:open")
    page = page.file_uploader(key="upload").upload("photo.png", b"no picture", "image/png").run()
    assert "picture" in sentence(page)
    assert page.text_input(key="steps").value == "SE:open"


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


@pytest.mark.parametrize(
    ("steps", "said", "not_said"),
    [
        ("SE:open", "8 of 8 blocks. All of them are changed by hand.", "later"),
        ("SE_5_2:open", "1 of 8 blocks. Changed by hand is SE_5_2.", "later"),
        ("SE_2_1:open", "Changed by hand is SE_2_1; the others that moved come later", "All of them"),
        ("SE_5_1:x1", "No scale s differs by more than 0.01", "Changed by hand"),
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


@pytest.mark.parametrize("slices", [0, 2])
def test_an_error_in_the_middle_of_the_work_stays_until_it_is_tried_again(ready, monkeypatch, slices):
    monkeypatch.setattr(growing, "SLICE", 0.0)
    monkeypatch.setattr("sevis.experiments.sensitivity.BATCH_PIXELS", 32 * 32 * 5)
    calls = []

    def scan(*args, **options):
        calls.append(1)
        yield from islice(scan_blocks(*args, **options), slices)
        raise SevisError("the network fell asleep")

    with monkeypatch.context() as patch:
        patch.setattr("sevis.experiments.sensitivity.scan_blocks", scan)
        page = run_page()
        while "growing-strip" in page.session_state:
            page = page.run()
        for _ in range(3):
            assert sentence(page) == "The network fell asleep."
            page = page.run()
        assert len(calls) == 1
        page = page.button(key="again-strip").click().run()
        while "growing-strip" in page.session_state:
            page = page.run()
        assert len(calls) == 2
    page = page.button(key="again-strip").click().run()
    while "growing-strip" in page.session_state:
        page = page.run()
    assert not page.error
    assert len(strip(page, "opened")) == 8


def test_what_was_said_about_memory_stays_and_the_work_does_not(ready, monkeypatch):
    def scan(*args, say, **options):
        say("Memory was short.")
        yield from scan_blocks(*args, say=say, **options)

    monkeypatch.setattr("sevis.experiments.sensitivity.scan_blocks", scan)
    for _ in range(2):  # the second visitor gets the kept answer
        page = run_page()
        while "growing-strip" in page.session_state:
            page = page.run()
        page = page.run()
        assert [box.value for box in page.info if "Memory" in box.value] == ["Memory was short."]


def test_the_comparison_is_there_before_the_sample_photos_are_looked_at(folder, monkeypatch):
    (folder / f"{DEFAULT}.statistics.safetensors").unlink()

    def refuse(*_):
        raise SevisError("not now")

    monkeypatch.setattr(Means, "gates", refuse)
    page = run_page(steps="SE_3_1:open")
    assert sentence(page) == "Not now."
    assert COMPARED in by_title(page)
    assert "How far the scale of every channel moved" in by_title(page)


def test_statistics_that_were_collected_on_the_page_are_taken(folder, ready, means):
    (folder / f"{DEFAULT}.statistics.safetensors").unlink()
    assert run_page().button_group  # without them it works as well
    collecting._newest(ready.card.sha256)[:] = [means]
    page = run_page(steps="SE_4_1:static;SE_5_1:class=espresso")
    gates = {"SE_4_1": held(means.gates()["SE_4_1"]), "SE_5_1": held(means.mean("SE_5_1")[CLASSES.index("espresso")])}
    assert_compares(page, probabilities(ready), probabilities(ready, gates))


def test_the_quickest_pass_says_how_long_the_strip_takes(ready):
    slow, quick = (dataclasses.replace(sevis.explain(ready, Image.new("RGB", (8, 8))), seconds=seconds) for seconds in (5.0, 0.01))
    assert seconds_of(slow) == 5.0
    note_seconds(slow)
    note_seconds(quick)
    assert seconds_of(slow) == 0.01


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
