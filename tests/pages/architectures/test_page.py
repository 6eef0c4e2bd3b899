"""The page Architectures in Streamlit's AppTest."""

from functools import partial

import pytest
import streamlit as st

from sevis.pages.architectures import paper_tables
from sevis.pages.architectures import timing as overhead
from sevis.pages.architectures.designs import Design, block_at, cost_of, family_of, list_families, parameters_by_ratio, side_of
from sevis.pages.shared import growing
from tests.helpers.charts import by_title, numbers
from tests.helpers.pages import open_page
from tests.helpers.processes import loaded_by

run_page = partial(open_page, "architectures")
RESNET50, SE_RESNET50 = 25_557_032, 28_088_024  # the latter as the paper's authors released it
STRIP, CURVE, SCATTER = "The blocks, by output size", "Parameters against the reduction ratio r", "Top-1 error on ImageNet against cost"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Two of the paper's networks are counted, four pairs measured, in one go."""
    monkeypatch.setattr(paper_tables, "NETWORKS", (("shufflenet", False), ("shufflenet", True)))
    monkeypatch.setattr(overhead, "PAIRS", 4)
    monkeypatch.setattr(growing, "SLICE", 30.0)
    monkeypatch.delenv("SEVIS_MAX_PARAMETERS", raising=False)
    st.cache_resource.clear()
    st.cache_data.clear()


def totals(page):
    """Parameters and multiply-adds by row of the first table."""
    rows = page.table[0].value
    return {row.iloc[0].replace("*", ""): tuple(cell.replace("*", "") for cell in row.iloc[1:]) for _, row in rows.iterrows()}


def gated(page):
    """The units with SE."""
    return [data[0] for data in by_title(page)[STRIP]["data"][0]["customdata"]]


def test_at_first_resnet_50_stands_beside_the_paper():
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


def test_a_link_restores_everything():
    page = run_page(architecture="ResNet-50", placement="Post", stages=["4"], r="8", bias="false", unit="SE_4_6", gate="Tanh")
    assert not page.exception
    assert gated(page) == [f"SE_4_{block}" for block in range(1, 7)]
    assert totals(page)["with SE, counted here"][0] == f"{RESNET50 + 6 * 2 * 1024 * 128:,}"
    assert page.selectbox(key="unit").value == "SE_4_6"
    assert any("Figure 5" in part.value for part in page.caption)
    assert "the paper's figure" not in {trace["name"] for trace in by_title(page)[CURVE]["data"]}, "Table 10 is of other networks"


def test_unknown_values_in_a_link_fall_back():
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


def test_without_stages_nothing_is_added():
    page = run_page()
    page.multiselect(key="stages").set_value([]).run()
    assert not page.exception
    assert not page.error
    assert gated(page) == []
    assert totals(page)["with SE, counted here"] == totals(page)["without SE, counted here"]
    assert CURVE not in by_title(page)
    assert not page.button, "there is nothing to measure"


def test_senet_154_has_no_plain_name():
    page = run_page(architecture="SENet-154")
    assert not page.exception
    assert totals(page)["with SE, counted here"][0] == "115,088,984"
    assert totals(page)["without SE, counted here"][0] == f"{115_088_984 - cost_of(Design('senet154')).se_parameters:,}"


def test_the_papers_networks_are_counted_and_drawn():
    page = run_page()
    plain, se, printed = by_title(page)[SCATTER]["data"]
    assert plain["name"] == "without SE"
    assert numbers(plain["y"]).tolist() == [32.6]
    assert numbers(se["x"])[0] == pytest.approx(0.138, abs=0.001)
    assert len(numbers(printed["x"])) == 20
    rows = page.dataframe[0].value
    assert len(rows) == 10
    assert rows["GFLOPs, paper"][0] == "3.86 → 3.87"
    assert rows["GFLOPs, counted here"][9].startswith("0.137 → 0.138")
    assert sum("not met" in part.value for part in page.caption) == 2


def test_the_time_is_measured_when_asked():
    page = run_page(architecture="ResNet-20 for CIFAR")
    (button,) = page.button
    assert button.label == "Measure the time on this machine"
    button.click().run()
    assert not page.exception
    assert not page.error
    chart = by_title(page)["Time with SE against without"]
    here, paper = chart["data"]
    assert numbers(here["x"])[0] > 0
    assert numbers(paper["x"]).tolist() == pytest.approx([167 / 164, 209 / 190])
    assert any("of 4 pairs" in part.value for part in page.markdown)
    page.select_slider(key="r").set_value(8).run()
    assert [button.label for button in page.button] == ["Measure the time on this machine"], "of this one, nothing is known"


def test_a_network_beyond_the_limit_is_counted_but_not_run(monkeypatch):
    monkeypatch.setenv("SEVIS_MAX_PARAMETERS", "1000000")
    page = run_page()
    assert "SEVIS_MAX_PARAMETERS" in page.error[0].value
    assert not page.button
    assert totals(page)["with SE, counted here"][0] == f"{SE_RESNET50:,}"


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", ["resnet50", "bn_inception", "shufflenet"])
def test_the_curve_is_that_of_the_networks_themselves(name, bias):
    sites = cost_of(Design(name, bias=bias)).sites
    counts = parameters_by_ratio(cost_of(Design(name).plain).parameters, sites, bias=bias)
    for ratio in (2, 3, 16, 32):
        assert counts[ratio] == cost_of(Design(name, reduction=ratio, bias=bias)).parameters


def test_the_curve_ends_where_a_block_would_have_no_hidden_unit():
    assert max(parameters_by_ratio(0, cost_of(Design("resnet20")).sites, bias=True)) == 16


@pytest.mark.parametrize("name", list_families())
def test_every_unit_of_every_network_has_its_cell(name):
    family, cost = family_of(name, 1.0), cost_of(Design(name))
    paths = [block_at(cost.blocks, unit.path) for unit in family.units]
    gated = [block.path for block in cost.blocks if block.se_parameters]
    assert paths == gated
    assert len(set(paths)) == len(family.units) == len(cost.sites)
    assert side_of(cost.blocks[-1].shape) == 1


def test_the_page_is_found_without_torch():
    assert "torch" not in loaded_by("from sevis.pages.architectures import costs, designs, paper_tables, timing")
