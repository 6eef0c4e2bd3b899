"""The network that the pages show: chosen or typed, offered, refused."""

import json
from functools import partial

import numpy as np
import pytest
import timm
import torch
from streamlit.testing.v1 import AppTest

import sevis
from sevis.data.datasets import sample_photos
from sevis.data.image_formats import read_image
from sevis.errors import SevisError
from sevis.pages.shared import loading, network
from sevis.pages.shared.loading import wait_for
from sevis.pages.shared.network import Network
from sevis.settings import pretrained_folder
from sevis.weights.card import DEFAULT, SUFFIXES, read_index
from tests.helpers.charts import charts, numbers, title
from tests.helpers.pages import PATIENCE, open_page, page_file, words
from tests.helpers.processes import loaded_by
from tests.helpers.slow import slow
from tests.helpers.small_networks import OTHER, SMALL

open_app = partial(open_page, "app")
pytestmark = pytest.mark.usefixtures("nothing_kept")


def gate_map(app):
    (chart,) = [chart for chart in charts(app) if title(chart).startswith("Scale s of every channel, block")]
    return chart


def drawn_blocks(app):
    assert not app.exception
    return gate_map(app)["layout"]["yaxis"]["ticktext"]


def test_a_plain_twin_is_not_offered_and_says_why_it_cannot_be_shown(tmp_path, monkeypatch):
    entries = read_index()
    plain = {field: value for field, value in entries[DEFAULT].items() if field != "gates"}
    (tmp_path / "shelf").mkdir()
    for path in pretrained_folder().iterdir():
        (tmp_path / "shelf" / path.name).symlink_to(path)
    (tmp_path / "shelf" / "index.json").unlink()
    (tmp_path / "shelf" / "index.json").write_text(json.dumps(entries | {"plain_net": plain}))
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path / "shelf"))
    app = open_app()
    assert "plain_net" not in app.selectbox(key="network").options
    app = open_app(network="plain_net")
    assert "plain_net has no SE blocks, so it has no gates to show" in words(app.error)
    assert f"These pages still show `{DEFAULT}`." in words(app.info)
    assert len(drawn_blocks(app)) == 16


def test_a_damaged_index_of_the_users_own_is_told_once(home):
    home.mkdir()
    (home / "index.json").write_text("no JSON")
    app = open_app()
    assert len(drawn_blocks(app)) == 16
    assert len(app.warning) == 1
    assert "Only the networks that come with sevis are here, because" in app.warning[0].value
    assert "repair it, or delete it" in app.warning[0].value


def test_the_default_is_shown_at_first():
    app = open_app()
    assert len(drawn_blocks(app)) == 16
    assert app.selectbox(key="network").value == DEFAULT
    assert app.radio(key="weights").value == "trained"
    assert not app.warning


def test_the_first_page_needs_no_torch():
    program = """
from tests.helpers.pages import check, open_page
assert len(check(open_page("app")).get("plotly_chart")) == 2
"""
    assert not loaded_by(program) & {"torch", "torchvision", "timm"}


@pytest.mark.parametrize("name", slow(["efficientnet_b0", "regnety_004", "legacy_seresnet50"], ["efficientnet_b0", "legacy_seresnet50"]))
def test_a_network_of_timm_gives_the_same_page(name):
    app = open_app(network=name, weights="random", block="SE_3_1")
    model = timm.create_model(name)
    gates = [path for path, module in model.named_modules() if path.endswith(("se.gate", "se_module.sigmoid"))]
    assert len(drawn_blocks(app)) == len(gates) == 16
    assert "learnt nothing" in words(app.warning)
    assert not app.error
    assert len(app.image) == 4, "the photo, what the network sees of it, and the maps of the channels at either end"
    assert len(app.get("plotly_chart")) == 6


def test_the_gates_on_the_page_are_those_of_the_network_s_own_sigmoids():
    app = open_app(network="legacy_seresnet50", weights="random", sample="Rocket")
    ready, found = sevis.load("legacy_seresnet50", weights="random"), []
    for module in ready.model.modules():
        if type(module).__name__ == "Sigmoid":
            module.register_forward_hook(lambda *parts: found.append(parts[-1][0, :, 0, 0]))
    photo = read_image(sample_photos()["Rocket"].read_bytes())
    with torch.inference_mode():
        ready.model(torch.from_numpy(ready.preprocess(photo))[None])
    table = gate_map(app)["data"][1:]
    assert len(table) == len(found) == 16
    for row, scale in zip(table, found, strict=True):
        points = [float(text) for text in np.array(numbers(row["customdata"])).reshape(-1, 4)[:, 2]]
        lowest = [part.min().item() for part in torch.tensor_split(scale, 64)]
        assert np.allclose(points, lowest, atol=1e-5)


def test_trained_weights_that_are_not_here_are_offered_and_the_pages_stay(loads):
    app = open_app(network=SMALL)
    assert len(drawn_blocks(app)) == 16, "the default's"
    said = words(app.markdown)
    assert f"The trained weights of `{SMALL}` are not on this machine." in said
    assert f"These pages still show `{DEFAULT}`." in said
    assert [button.label for button in app.button if button.key in ("download", "use-random")] == [
        "Download them from weights.example",
        "Use random weights",
    ]
    assert loads == [(SMALL, None, False)], "nothing is fetched before it is asked for"


def test_random_weights_are_a_click_away(loads):
    app = open_app(network=SMALL)
    app.button(key="use-random").click().run()
    assert len(drawn_blocks(app)) == 8
    assert app.radio(key="weights").value == "random"
    assert "learnt nothing" in words(app.warning)
    assert loads == [(SMALL, None, False), (SMALL, "random", False)]


def test_a_download_is_a_click_away(loads):
    app = open_app(network=SMALL)
    app.button(key="download").click().run()
    assert len(drawn_blocks(app)) == 8
    assert not app.warning
    assert "not on this machine" not in words(app.markdown)
    assert [download for _, _, download in loads].count(True) == 1
    again = open_app(network=SMALL)
    assert len(drawn_blocks(again)) == 8
    assert [download for _, _, download in loads].count(True) == 1, "the next visitor finds it loaded"


def test_offline_the_sentence_names_the_file_and_the_pages_stay():
    app = open_app(network="legacy_seresnet50")
    app.button(key="download").click().run()
    assert len(drawn_blocks(app)) == 16
    assert len(app.error) == 1
    assert "legacy" in words(app.error)
    assert "https://" in words(app.error)
    assert f"still show `{DEFAULT}`" in words(app.markdown)


def test_another_network_begins_with_its_trained_weights(loads, monkeypatch):
    monkeypatch.setattr(network, "WELL_KNOWN", (SMALL, OTHER))
    app = open_app(network=SMALL, weights="random")
    app.selectbox(key="network").set_value(OTHER).run()
    assert app.radio(key="weights").value == "trained"
    assert f"The trained weights of `{OTHER}`" in words(app.markdown)
    assert f"still show `{SMALL}` with random weights." in words(app.markdown)
    assert "learnt nothing" in words(app.warning), "what is shown is still random"
    assert len(drawn_blocks(app)) == 8


def test_a_block_that_the_next_network_lacks_is_closed(loads, monkeypatch):
    monkeypatch.setattr(network, "WELL_KNOWN", (SMALL,))
    app = open_app(block="SE_4_6")
    assert app.selectbox(key="block").value == "SE_4_6"
    app.selectbox(key="network").set_value(SMALL).run()
    app.button(key="use-random").click().run()
    assert len(drawn_blocks(app)) == 8
    assert app.selectbox(key="block").value is None


@pytest.mark.parametrize("name", ["eca_resnet33ts", "timm/resnet18"])
def test_a_network_without_se_is_refused_by_the_name_that_was_typed(name):
    app = open_app(network=name, weights="random")
    assert words(app.error).startswith(f"The network {name} has no Squeeze-and-Excitation block")
    assert "choose an SE network such as legacy" in words(app.error)
    for code in ("ByobNet", "ResNet has", "sevis.build"):
        assert code not in words(app.error)


def test_an_error_that_does_not_name_the_network_gets_its_name(monkeypatch):
    def load(*_, **__):
        raise SevisError("its channels are odd")

    monkeypatch.setattr(loading, "load", load)
    app = open_app(network=SMALL, weights="random")
    assert words(app.error).startswith(f"The network {SMALL} cannot be shown (its channels are odd): choose an SE network such as")


def test_the_limit_is_that_of_the_one_who_runs_the_app(loads, monkeypatch):
    exact = sum(parameter.numel() for parameter in timm.create_model("efficientnet_b0").parameters())
    monkeypatch.setenv("SEVIS_MAX_PARAMETERS", str(exact - 1))
    app = open_app(network="efficientnet_b0", weights="random")
    assert len(drawn_blocks(app)) == 16, "the default's"
    assert "5 million parameters" in words(app.error)
    assert loads == []
    monkeypatch.setenv("SEVIS_MAX_PARAMETERS", str(exact))
    assert wait_for("efficientnet_b0", "random").card.name == "efficientnet_b0"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("eficientnet_b0", "efficientnet_b0"), ("timm/resnet18", "no Squeeze-and-Excitation block"), ("timm/ecaresnet26t", "ECA")],
)
def test_a_network_that_will_not_do_is_refused_with_the_reason_and_the_pages_stay(name, reason):
    app = open_app(network=name, weights="random")
    assert len(drawn_blocks(app)) == 16
    assert len(app.error) == 1
    assert reason in words(app.error)
    assert f"These pages still show `{DEFAULT}`." in words(app.info)
    assert not app.warning, "what is shown is trained"


CHOOSER = """
import streamlit as st
from sevis.pages.shared.network import choose_network

st.caption(str(choose_network()))
"""


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/passwd", "a/b/c", "timm/../../x", "hf-hub:some/body", "x" * 500, "<script>", "C:\\x", "timm/", ".hidden"]
    + [f"weights{suffix}" for suffix in SUFFIXES]
    + ["weights.PTH"],
)
def test_what_is_no_name_reaches_nobody(loads, name):
    page = AppTest.from_string(CHOOSER, default_timeout=PATIENCE)
    page.query_params |= {"network": name, "weights": "random"}
    page.run()
    assert page.caption[0].value == DEFAULT, "is shown"
    assert "Expected the name of a network" in words(page.error)
    assert loads == []


def test_nonsense_in_a_link_gives_the_default():
    app = open_app(network="", weights="stolen")
    assert len(drawn_blocks(app)) == 16
    assert app.radio(key="weights").value == "trained"
    assert not app.error


def test_a_damaged_index_is_said_once(tmp_path, monkeypatch):
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    (tmp_path / "index.json").write_text("{")
    app = open_app()
    assert not app.exception
    assert len(app.error) == 1


def test_the_network_stays_from_page_to_page(loads):
    app = open_app(network=SMALL, weights="random")
    app.switch_page(page_file("classes")).run()
    assert not app.exception
    assert SMALL in words(app.info)
    assert app.selectbox(key="network").value == SMALL


def test_a_network_is_named_in_words():
    assert str(Network()) == DEFAULT
    assert str(Network("a", "random")) == "a with random weights"
    assert Network().shipped
    assert not Network(DEFAULT, "random").shipped
    assert not Network("efficientnet_b0").shipped
