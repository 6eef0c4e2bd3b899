"""The Classes page in Streamlit's AppTest, on statistics made here."""

import json
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import streamlit as st

import sevis
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.data.image_formats import read_image
from sevis.pages.classes import collecting
from sevis.pages.shared import turns
from sevis.pages.shared.photos import validation_photos
from sevis.weights.card import DEFAULT
from tests.helpers.cards import ENTRY
from tests.helpers.charts import charts, numbers
from tests.helpers.class_pages import CLASSES, WIDTHS, open_page, open_untold, panels, random_scales, save, untold_network
from tests.helpers.processes import loaded_by

PAPER = ["SE_2_3", "SE_3_4", "SE_4_6", "SE_5_1", "SE_5_2", "SE_5_3"]
SPREAD = "Figure 7: spread"


@pytest.fixture
def scales():
    """The scales of three photos of each class, by block: shape (3 * classes, C)."""
    return random_scales()


@pytest.fixture
def pretrained(tmp_path, monkeypatch, scales):
    """A folder as `pretrained/`, with the card and the statistics of the default network."""
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    save(tmp_path, CLASSES, scales)
    return tmp_path


def legend(app):
    return app.get("html")[0].proto.body


def test_first_view_is_the_papers_figure_6(pretrained):
    app = open_page()
    assert not app.exception
    assert not app.error
    assert panels(app) == PAPER
    assert app.multiselect(key="class").value == ["goldfish", "Chihuahua", "bullet train", "cliff"]
    for label in ("goldfish (n = 3)", "Chihuahua (n = 3)", "bullet train (n = 3)", "cliff (n = 3)", "all 6 classes (n = 18)"):
        assert label in legend(app)
    labels = [button.proto.label for button in app.get("download_button")]
    assert len(labels) == len(PAPER) + 2
    assert labels[-2:] == ["All panels as one HTML file", "Everything as one HTML report"]


def test_numbers_carry_their_provenance(pretrained):
    source = open_page().caption[-1].value
    for part in (DEFAULT, "weights a1b2c3d4", "n = 18 photos of 6 classes", "tiny-imagenet-200 val", "2026-11-23"):
        assert part in source


def test_curves_on_the_page_are_the_means(pretrained, scales):
    chart = charts(open_page())[PAPER.index("SE_5_1")]
    picked = np.linspace(0, WIDTHS["SE_5_1"] - 1, 50).round().astype(int)
    drawn = {trace["name"]: trace for trace in chart["data"]}
    goldfish = CLASSES.index("goldfish")
    means = scales["SE_5_1"].astype(np.float64)
    np.testing.assert_array_equal(numbers(drawn["goldfish (n = 3)"]["x"]), picked)
    np.testing.assert_allclose(numbers(drawn["goldfish (n = 3)"]["y"]), means[3 * goldfish :][:3].mean(axis=0)[picked], rtol=1e-6)
    np.testing.assert_allclose(numbers(drawn["all 6 classes (n = 18)"]["y"]), means.mean(axis=0)[picked], rtol=1e-6)


def test_a_link_restores_the_view(pretrained):
    chosen = {"spread_first": "lion", "spread_second": "pizza", "channels": "all"}
    app = open_page(blocks=["SE_4_2", "SE_2_1"], figure=SPREAD, **chosen)
    assert not app.exception
    assert panels(app) == ["lion: SE_2_1", "pizza: SE_2_1", "lion: SE_4_2", "pizza: SE_4_2"]  # in the order of the network
    assert "lion (n = 3)" in legend(app)
    assert "pizza (n = 3)" in legend(app)
    assert "goldfish" not in legend(app)
    assert len(numbers(charts(app)[0]["data"][-1]["y"])) == WIDTHS["SE_2_1"]
    assert sum("fill" in trace for trace in charts(app)[0]["data"]) == 1


def test_unknown_values_in_a_link_fall_back(pretrained):
    app = open_page(**{"class": ["unicorn"], "blocks": ["SE_9_9"], "figure": "<script>", "channels": "-1"})
    assert not app.exception
    assert not app.error
    assert panels(app) == PAPER
    assert app.multiselect(key="class").value == ["goldfish", "Chihuahua", "bullet train", "cliff"]


def test_a_choice_redraws_the_panels(pretrained):
    app = open_page()
    app.multiselect(key="class").set_value(["pizza"])
    app.multiselect(key="blocks").set_value(["SE_2_2"])
    app.run()
    assert panels(app) == ["SE_2_2"]
    assert [trace["name"] for trace in charts(app)[0]["data"]] == ["all 6 classes (n = 18)", "pizza (n = 3)"]


@pytest.mark.parametrize("empty", ["class", "blocks"])
def test_choosing_nothing_asks_for_a_choice(pretrained, empty):
    app = open_page()
    app.multiselect(key=empty).set_value([]).run()
    assert not app.exception
    assert charts(app) == []
    assert [box.value for box in app.info] == ["Choose at least one class and one block."]


def test_other_classes_than_the_papers_show_the_first_four(pretrained, scales):
    save(pretrained, ("a", "b", "c", "d", "e", "f"), scales)
    assert open_page().multiselect(key="class").value == ["a", "b", "c", "d"]


def test_a_class_without_photos_is_said(pretrained, scales):
    save(pretrained, CLASSES, {site: scale[:12] for site, scale in scales.items()})  # none of cliff, none of pizza
    app = open_page()
    assert "cliff (n = 0)" in legend(app)
    assert [box.value for box in app.info] == ["These have no photo, so they have no curve: 'cliff'."]
    assert all("cliff" not in trace.get("name", "") for chart in charts(app) for trace in chart["data"])


def test_names_are_text_and_no_markup(pretrained, scales):
    save(pretrained, ("<img src=x onerror=alert(1)>", *CLASSES[1:]), scales)
    app = open_page(**{"class": ["<img src=x onerror=alert(1)>"]})
    assert not app.exception
    assert "&lt;img src=x" in legend(app)
    assert "<img" not in legend(app)


def test_too_many_points_for_a_page_are_thinned_and_said(pretrained, scales):
    app = open_page(**{"class": list(CLASSES), "blocks": list(WIDTHS), "channels": "all"})
    assert not [caption for caption in app.caption if "too much for one page" in caption.value]
    wide = ClassStatistics(dict.fromkeys(WIDTHS, 1024), CLASSES, {"weights": "a1b2c3d4e5"})
    values = np.full((6, 1024), 0.5, dtype=np.float32)
    wide.update(np.arange(6), {site: {"scale": values, "squeeze": values} for site in WIDTHS})
    wide.save(pretrained / f"{DEFAULT}.statistics.safetensors")
    app = open_page(**{"class": list(CLASSES), "blocks": list(WIDTHS), "channels": "all"})
    assert [caption for caption in app.caption if "At most 256 evenly spaced channels" in caption.value]
    assert sum(len(chart.proto.spec) for chart in app.get("plotly_chart")) < 500_000


def damage_nothing_left(folder):
    (folder / f"{DEFAULT}.statistics.safetensors").unlink()


def damage_cut(folder):
    path = folder / f"{DEFAULT}.statistics.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def damage_other_weights(folder):
    (folder / "index.json").write_text(json.dumps({DEFAULT: ENTRY | {"sha256": "ffff", "classes": CLASSES}}))


def damage_no_index(folder):
    (folder / "index.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_nothing_left, "There are no class statistics"),
        (damage_cut, "is damaged"),
        (damage_other_weights, "made with other weights"),
        (damage_no_index, "There is no"),
    ],
)
def test_files_that_do_not_do_give_one_sentence(pretrained, damage, message):
    damage(pretrained)
    app = open_page()
    assert not app.exception
    assert len(app.error) == 1
    assert message in app.error[0].value
    assert charts(app) == []


def test_a_mended_file_is_read_again(pretrained, scales):
    damage_cut(pretrained)
    assert open_page().error
    save(pretrained, CLASSES, scales)
    assert panels(open_page()) == PAPER


def test_the_page_needs_no_torch(pretrained):
    program = """
from tests.helpers.pages import check, open_page
assert len(check(open_page("classes")).get("plotly_chart")) == 6
"""
    assert not loaded_by(program) & {"torch", "torchvision", "timm"}


@pytest.fixture
def untold(tmp_path, monkeypatch):
    return untold_network(tmp_path, monkeypatch)


def test_a_network_without_statistics_offers_to_collect_them(untold):
    app = open_untold()
    assert not app.exception
    assert not app.error
    assert charts(app) == []
    assert "15 validation photos of tiny-imagenet-200" in app.info[0].value
    assert app.code[0].value == "python -m sevis collect --model untold --weights random --data FOLDER"
    assert (app.number_input(key="collect_classes").value, app.number_input(key="collect_photos").value) == (5, 3)


def test_what_is_collected_here_is_the_mean_over_the_photos(untold, tmp_path):
    app = open_untold(collect_classes="4", collect_photos="2", blocks=["SE_5_2"], channels="all")
    app.button(key="collect").click().run()
    assert not app.exception
    assert not app.error
    assert panels(app) == ["SE_5_2"]
    (chart,) = charts(app)
    drawn = {trace["name"]: numbers(trace["y"]) for trace in chart["data"]}
    assert set(drawn) == {"goldfish (n = 2)", "Chihuahua (n = 2)", "bullet train (n = 2)", "cliff (n = 2)", "all 4 classes (n = 8)"}
    images = tmp_path / "data" / "tiny-imagenet-200" / "val" / "images"
    everything = []
    for wnid, name in (("n00000001", "goldfish"), ("n00000002", "Chihuahua"), ("n00000003", "bullet train"), ("n00000004", "cliff")):
        photos = [read_image((images / f"{wnid}_{number}.JPEG").read_bytes()) for number in range(2)]
        scales = [sevis.explain(untold, photo).scale["SE_5_2"] for photo in photos]
        np.testing.assert_allclose(drawn[f"{name} (n = 2)"], np.mean(scales, axis=0), atol=1e-5)
        everything += scales
    np.testing.assert_allclose(drawn["all 4 classes (n = 8)"], np.mean(everything, axis=0), atol=1e-5)
    assert "untold (weights ffffffff) over n = 8 photos of 4 classes (at most 2 of each): tiny-imagenet-200 val" in app.caption[-1].value


def test_what_is_collected_is_there_for_the_next_visitor_and_the_other_controls_leave_it(untold):
    app = open_untold()
    app.button(key="collect").click().run()
    assert len(panels(app)) == 5
    app.multiselect(key="class").set_value(["pizza"]).run()
    assert len(panels(app)) == 5
    assert not [button for button in app.button if button.key == "collect"]
    assert len(panels(open_untold())) == 5
    assert charts(open_untold(collect_photos="1")) == [], "another amount is another collection"


def test_each_batch_of_the_collecting_takes_its_own_turn(untold, monkeypatch):
    row = []

    @contextmanager
    def turn():
        row.append("begin")
        yield
        row.append("end")

    monkeypatch.setattr(collecting, "turn", turn)
    monkeypatch.setattr(collecting, "BATCH", 4)
    untold.model.register_forward_pre_hook(lambda *_: row.append("forward"))
    open_untold().button(key="collect").click().run()
    assert row == ["begin", "forward", "end"] * 4  # 15 photos


def test_collecting_that_is_interrupted_leaves_nothing(untold, monkeypatch):
    monkeypatch.setattr(collecting, "BATCH", 4)
    left = []

    def interrupt(*_):
        left.append(turns._turns(turns.forwards_at_once()))
        st.stop()  # as a click on Cancel ends the run: by an exception that is no Exception

    handle = untold.model.register_forward_pre_hook(interrupt)
    app = open_untold()
    app.button(key="collect").click().run()
    handle.remove()
    assert not left[0]._row
    app = open_untold()
    assert charts(app) == []
    assert app.button(key="collect")


def test_without_data_the_command_is_named(untold, tmp_path, monkeypatch):
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "nothing"))
    app = open_untold()
    assert "no data on this machine" in app.info[0].value
    assert "python -m sevis collect --model untold" in app.code[0].value
    assert not app.button


def test_statistics_in_the_network_s_file_are_shown_at_once(untold, scales):
    path = untold.card.statistics_path
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path.parent, CLASSES, scales, model="untold", weights="f" * 64)
    (path.parent / f"{DEFAULT}.statistics.safetensors").rename(path)
    app = open_untold()
    assert not app.error
    assert panels(app) == PAPER


def test_the_classes_that_are_collected_hold_the_paper_s_and_are_spread_over_the_rest(untold):
    photos = validation_photos(Path(os.environ["SEVIS_DATA"]), untold.card)
    assert photos.classes == ("goldfish", "Chihuahua", "bullet train", "cliff", "pizza")
    for classes in range(1, 6):
        picked = collecting.pick(photos, collecting.Amount(classes, 2))
        assert len(picked.classes) == len(set(picked.classes)) == classes
        assert len(picked) == 2 * classes
        assert [photos.classes[photos.wnids.index(wnid)] for wnid in picked.wnids] == list(picked.classes)
        assert all(wnid in file for file, wnid in zip(picked.files, np.repeat(picked.wnids, 2), strict=True))
    assert collecting.pick(photos, collecting.Amount(4, 1)).classes == ("goldfish", "Chihuahua", "bullet train", "cliff")
