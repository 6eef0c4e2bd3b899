"""The page Architectures in Streamlit's AppTest."""

from functools import partial

import pytest

from sevis.pages.architectures.designs import Design, cost_of
from tests.helpers.charts import by_title, numbers
from tests.helpers.pages import open_page
from tests.helpers.processes import loaded_by

run_page = partial(open_page, "architectures")
RESNET50, SE_RESNET50 = 25_557_032, 28_088_024  # the latter as the paper's authors released it
STRIP, CURVE, SCATTER = "The blocks, by output size", "Parameters against the reduction ratio r", "Top-1 error on ImageNet against cost"


def gated(page):
    """The units with SE."""
    return [data[0] for data in by_title(page)[STRIP]["data"][0]["customdata"]]


def test_at_first_resnet_50_stands_beside_the_paper(totals):
    page = run_page()
    assert not page.exception
    assert not page.error
    assert page.title[0].value == "Architectures"
    counted = totals(page)
    assert counted["without SE, counted here"][0] == f"{RESNET50:,}"
    assert counted["with SE, counted here"][0] == f"{SE_RESNET50:,}"
    assert counted["with SE, the paper's figure"] == ("28.1 M", "3.87 G")
    assert len(gated(page)) == 16
    assert "2,514,944 weights" in " ".join(part.value for part in page.markdown)
    curve = {trace["name"]: trace for trace in by_title(page)[CURVE]["data"]}
    assert numbers(curve["the paper's figure"]["y"]).tolist() == [45.7, 35.7, 30.7, 28.1, 26.9]
    assert numbers(curve["r = 16"]["y"])[0] == pytest.approx(SE_RESNET50 / 1e6)


def test_a_link_restores_everything(totals):
    page = run_page(architecture="ResNet-50", placement="Post", stages=["4"], r="8", bias="false", unit="SE_4_6", gate="Tanh")
    assert not page.exception
    assert gated(page) == [f"SE_4_{block}" for block in range(1, 7)]
    assert totals(page)["with SE, counted here"][0] == f"{RESNET50 + 6 * 2 * 1024 * 128:,}"
    assert page.selectbox(key="unit").value == "SE_4_6"
    assert any("Figure 5" in part.value for part in page.caption)
    assert "the paper's figure" not in {trace["name"] for trace in by_title(page)[CURVE]["data"]}, "Table 10 is of other networks"


def test_unknown_values_in_a_link_fall_back(totals):
    page = run_page(architecture="Unicorn", placement="<b>", stages=["9"], r="3", unit="SE_9_9", squeeze="x", width="7")
    assert not page.exception
    assert not page.error
    assert totals(page)["with SE, counted here"][0] == f"{SE_RESNET50:,}"


def test_of_what_was_chosen_another_network_keeps_what_it_has():
    page = run_page(placement="Identity", stages=["4"], width="0.5", unit="SE_4_6")
    page.selectbox(key="architecture").set_value("vgg16_bn").run()
    assert not page.exception
    assert not page.error
    assert page.segmented_control(key="placement").options == ["Standard"]
    assert page.multiselect(key="stages").options == ["1", "2", "3", "4", "5"]
    assert gated(page) == ["SE_4_1", "SE_4_2", "SE_4_3"]
    assert page.selectbox(key="unit").value == "SE_4_1"
    assert not [control for control in page.segmented_control if control.key == "width"]


def test_a_reduction_beyond_the_channels_is_a_sentence_and_the_page_stays():
    page = run_page(architecture="ResNet-20 for CIFAR", r="32")
    assert not page.exception
    assert "16 channels" in page.error[0].value
    assert SCATTER in by_title(page)
    page.select_slider(key="r").set_value(16).run()
    assert not page.error
    assert len(gated(page)) == 9


def test_without_stages_nothing_is_added(totals):
    page = run_page()
    page.multiselect(key="stages").set_value([]).run()
    assert not page.exception
    assert not page.error
    assert gated(page) == []
    assert totals(page)["with SE, counted here"] == totals(page)["without SE, counted here"]
    assert CURVE not in by_title(page)
    assert not page.button, "there is nothing to measure"


def test_senet_154_has_no_plain_name(totals):
    page = run_page(architecture="SENet-154")
    assert not page.exception
    assert totals(page)["with SE, counted here"][0] == "115,088,984"
    assert totals(page)["without SE, counted here"][0] == f"{115_088_984 - cost_of(Design('senet154')).se_parameters:,}"


def test_the_page_is_found_without_torch():
    assert "torch" not in loaded_by("from sevis.pages.architectures import costs, designs, paper_tables, timing")
