"""The panel with the shipped network and its plain twin, in Streamlit's AppTest; every number that it shows here is made up."""

import json
from functools import partial

import pytest

from sevis.pages.ablations.twins import GATED, PLAIN
from tests.helpers.ablation_page import GATES, INDEX, TWIN
from tests.helpers.charts import by_title
from tests.helpers.pages import check, open_page, text

run_page = partial(open_page, "ablations")
pytestmark = pytest.mark.usefixtures("shelf")


def twin_cells(page):
    """The cells of the table of both networks, by row."""
    return {row.iloc[0].strip("*"): tuple(row.iloc[1:]) for _, row in page.table[0].value.iterrows()}


def test_the_twins_stand_beside_each_other_with_the_measured_difference():
    page = check(run_page())
    assert page.title[0].value == "Ablations"
    cells = twin_cells(page)
    assert cells["top-1"] == ("58.3 %", "57.0 %", "+1.3 (+0.4 to +2.3) points")
    assert cells["top-5"] == ("78.3 %", "77.0 %", "+1.3 points")
    assert cells["parameters"] == ("1,100", "1,000", "+10.0 %")
    words = text(page)
    assert f"{GATED}: 30 epochs in 2.0 hours, cpu, seed 0, 2026-11-26; {PLAIN}: " in words
    assert (
        "**In one run of each network, top-1 is 1.3 points higher with SE** (95 % interval over photos: +0.4 to +2.3). In the paper, for"
        in words
    )
    assert "; on 10,000 validation images, one run of each, paired; cpu, seed 0, 2026-11-26." in words
    assert "24.80 to 23.29 %, so +1.51 points" in words
    assert "holds 0" not in words
    assert "The gates are alive" in words
    assert {"What SE adds to top-1", "Training curves", "How alive the gates are", "Accuracy beside aliveness"} <= by_title(page).keys()


def test_without_the_comparison_both_are_counted(shelf):
    index = {**INDEX, GATED: {name: value for name, value in INDEX[GATED].items() if name != "twin"}}
    (shelf / "index.json").write_text(json.dumps(index))
    page = check(run_page())
    from sevis.networks import build

    counts = [sum(part.numel() for part in build(**index[name]["architecture"]).parameters()) for name in (GATED, PLAIN)]
    assert twin_cells(page)["parameters"][:2] == tuple(f"{count:,}" for count in counts)
    assert "its interval is unknown: `python -m sevis twins` measures it." in text(page)
    assert "interval is over" not in text(page)


@pytest.mark.parametrize("other", [{"name": "another"}, {"weights": "1" * 64}])
def test_a_comparison_with_other_weights_is_not_shown(shelf, other):
    twin = {**TWIN, **other, "top1_difference": 0.2}
    (shelf / "index.json").write_text(json.dumps({**INDEX, GATED: {**INDEX[GATED], "twin": twin}}))
    page = check(run_page())
    assert "belongs to another network without SE: `python -m sevis twins` measures it again." in text(page)
    assert twin_cells(page)["top-1"][2] == "+1.3 points"


def test_less_is_said_with_a_minus(shelf):
    twin = {**TWIN, "top1_difference": -0.02, "interval": [-0.03, -0.01], "own": {**TWIN["own"], "parameters": 900}}
    (shelf / "index.json").write_text(json.dumps({**INDEX, GATED: {**INDEX[GATED], "twin": twin}}))
    page = check(run_page())
    assert "top-1 is 2.0 points lower with SE** (95 % interval over photos: −3.0 to −1.0)" in text(page)
    assert twin_cells(page)["parameters"][2] == "−10.0 %"


def test_an_interval_that_holds_zero_is_said(shelf):
    twin = {**TWIN, "interval": [-0.001, 0.02]}
    (shelf / "index.json").write_text(json.dumps({**INDEX, GATED: {**INDEX[GATED], "twin": twin}}))
    assert "The interval holds 0" in text(check(run_page()))


def test_a_missing_twin_is_said(shelf):
    (shelf / "index.json").write_text(json.dumps({GATED: INDEX[GATED]}))
    page = check(run_page())
    assert page.info[0].value == f"`{PLAIN}` is not among the networks on this machine, so the two networks cannot be compared here."
    assert twin_cells(page)["top-1"] == ("58.3 %", "–", "–")
    (shelf / "index.json").write_text("{}")
    page = check(run_page())
    assert "are not among the networks" in page.info[0].value
    assert not page.table


@pytest.mark.parametrize(
    ("twin", "gates"), [({"interval": [0.1]}, GATES), ({**TWIN, "own": {}}, GATES), ("yes", GATES), (TWIN, {"blocks": 3}), (TWIN, [1])]
)
def test_a_damaged_card_is_a_sentence_and_the_page_stays(shelf, twin, gates):
    (shelf / "index.json").write_text(json.dumps({**INDEX, GATED: {**INDEX[GATED], "twin": twin, "gates": gates}}))
    page = run_page()
    assert not page.exception
    assert "index.json" in page.error[0].value
    assert "Table 10: Reduction ratio r" in by_title(page)


@pytest.mark.parametrize("damage", [{"top1": "0.5"}, {"top5": 57.0}, {"curve": 3}, {"curve": [{"epoch": "one"}]}, {"recipe": [0]}])
def test_damaged_scores_and_curves_are_a_sentence_and_the_page_stays(shelf, damage):
    (shelf / "index.json").write_text(json.dumps({**INDEX, PLAIN: {**INDEX[PLAIN], **damage}}))
    page = run_page()
    assert not page.exception
    (error,) = (error.value.replace("\\", "") for error in page.error)
    assert error.startswith(f"The entry of {PLAIN} in index.json is damaged (")
    assert f" - at `$.{next(iter(damage))}" in error
    assert error.endswith(": repair it or restore the file.")
    assert "Table 10: Reduction ratio r" in by_title(page)
