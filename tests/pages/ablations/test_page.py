"""The page Ablations in Streamlit's AppTest; every number that it shows here is made up."""

import json
from functools import partial

import pytest

from sevis.ablations.agreement import compare
from sevis.ablations.grid import BASELINE, tables
from sevis.ablations.report import describe_order
from sevis.ablations.results import Ablations
from sevis.pages.ablations.twins import GATED, PLAIN
from tests.helpers.ablation_page import GATES, INDEX, TWIN
from tests.helpers.charts import by_title
from tests.helpers.made_up_runs import make_divergence, make_grid, make_run
from tests.helpers.pages import check, open_page, text
from tests.helpers.processes import loaded_by

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
    assert "**In one run of each, top-1 is 1.3 points higher with SE** (95 % interval +0.4 to +2.3). The paper's" in words
    assert "; on 10,000 validation images, one run of each, paired; cpu, seed 0, 2026-11-26." in words
    assert "24.80 to 23.29 %, so +1.51 points" in words
    assert "holds 0" not in words
    assert "The gates are alive" in words
    assert {"What SE adds to top-1", "Training curves", "How alive the gates are", "Accuracy beside aliveness"} <= by_title(page).keys()


def test_every_figure_says_device_seeds_and_date():
    page = check(run_page())
    captions = [chart.proto.alt for chart in page.get("plotly_chart")]
    assert len(captions) == 6
    for caption in captions:
        assert "cpu, seed" in caption
        assert "2026-11-26" in caption


def test_a_caption_names_the_runs_that_are_drawn_and_no_others(shelf):
    runs = [(BASELINE, make_run(BASELINE)), ("max", make_run("max", 7, device="a GPU"))]
    Ablations(tuple(runs)).save(shelf / "ablations.json")
    page = check(run_page(table="12: Gate"))
    captions = {json.loads(chart.proto.spec)["layout"]["title"]["text"]: chart.proto.alt for chart in page.get("plotly_chart")}
    assert "; on cpu, seed 0, 2026-11-26" in captions["Table 12: Gate"]
    assert "; on a GPU and cpu, seeds 0, 7, 2026-11-26" in captions["Accuracy beside aliveness"]


def test_without_the_comparison_both_are_counted(shelf):
    index = {**INDEX, GATED: {name: value for name, value in INDEX[GATED].items() if name != "twin"}}
    (shelf / "index.json").write_text(json.dumps(index))
    page = check(run_page())
    from sevis.networks import build

    counts = [sum(part.numel() for part in build(**index[name]["architecture"]).parameters()) for name in (GATED, PLAIN)]
    assert twin_cells(page)["parameters"][:2] == tuple(f"{count:,}" for count in counts)
    assert "its interval is not known: `python -m sevis twins` measures it." in text(page)
    assert "interval is over" not in text(page)


@pytest.mark.parametrize("other", [{"name": "another"}, {"weights": "1" * 64}])
def test_a_comparison_with_other_weights_is_not_shown(shelf, other):
    twin = {**TWIN, **other, "top1_difference": 0.2}
    (shelf / "index.json").write_text(json.dumps({**INDEX, GATED: {**INDEX[GATED], "twin": twin}}))
    page = check(run_page())
    assert "is of another network without SE: `python -m sevis twins` measures it again." in text(page)
    assert twin_cells(page)["top-1"][2] == "+1.3 points"


def test_less_is_said_with_a_minus(shelf):
    twin = {**TWIN, "top1_difference": -0.02, "interval": [-0.03, -0.01], "own": {**TWIN["own"], "parameters": 900}}
    (shelf / "index.json").write_text(json.dumps({**INDEX, GATED: {**INDEX[GATED], "twin": twin}}))
    page = check(run_page())
    assert "top-1 is 2.0 points lower with SE** (95 % interval −3.0 to −1.0)" in text(page)
    assert twin_cells(page)["parameters"][2] == "−10.0 %"


def test_an_interval_that_holds_zero_is_said(shelf):
    twin = {**TWIN, "interval": [-0.001, 0.02]}
    (shelf / "index.json").write_text(json.dumps({**INDEX, GATED: {**INDEX[GATED], "twin": twin}}))
    assert "The interval holds 0" in text(check(run_page()))


def test_a_missing_twin_is_said(shelf):
    (shelf / "index.json").write_text(json.dumps({GATED: INDEX[GATED]}))
    page = check(run_page())
    assert page.info[0].value == f"`{PLAIN}` is not among the networks that are shipped, so the two cannot be compared here."
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


@pytest.mark.parametrize("table", tables(), ids=lambda table: str(table.number))
def test_every_table_stands_beside_the_paper_s_in_its_order(table):
    page = check(run_page(table=f"{table.number}: {table.title}"))
    chart = by_title(page)[f"Table {table.number}: {table.title}"]
    assert chart["layout"]["yaxis"]["ticktext"] == [row.label for row in table.rows]
    rows = page.dataframe[0].value
    assert list(rows["Variant"]) == [row.label for row in table.rows]
    assert list(rows["Error, paper"]) == [f"{row.printed.top1:.2f}" if row.printed else "–" for row in table.rows]
    differences = [cell.replace("−", "-") for cell in rows["Difference, paper"]]
    assert differences == [f"{row.printed.top1 - 22.28:+.2f}" if row.printed and row.key != BASELINE else "–" for row in table.rows]
    ablations = Ablations(make_grid(3))
    assert [cell.split()[0] for cell in rows["Error here"]] == [f"{ablations.summary(row.key).error.mean:.1f}" for row in table.rows]
    assert describe_order(compare(table, ablations)) in [part.value for part in page.markdown]


def test_an_unknown_table_in_the_address_is_the_first():
    assert "Table 10: Reduction ratio r" in by_title(check(run_page(table="99: <b>")))


def test_a_variant_that_wins_with_dead_gates_is_marked(shelf):
    runs = [(BASELINE, make_run(BASELINE, seed, top1=0.5)) for seed in range(2)]
    runs += [("max", make_run("max", seed, top1=0.6, std=0.001)) for seed in range(2)]
    Ablations(tuple(runs)).save(shelf / "ablations.json")
    assert "Max wins with dead gates" in check(run_page(table="11: Squeeze")).warning[0].value
    assert not check(run_page(table="12: Gate")).warning


def test_a_variant_that_diverged_keeps_its_row_and_says_why(shelf):
    runs = tuple(entry for entry in make_grid(3) if entry[0] != "relu")
    Ablations(runs, tuple(("relu", make_divergence("relu", seed)) for seed in range(3))).save(shelf / "ablations.json")
    page = check(run_page(table="12: Gate"))
    assert "ReLU: diverged in 3 of 3 seeds (the loss became nan in step 27 of epoch 1)." in text(page)
    assert "2 with a variant that diverged" in text(page)
    chart = by_title(page)["Table 12: Gate"]
    labels = chart["layout"]["yaxis"]["ticktext"]
    assert len(labels) == 3
    assert labels.index("ReLU") not in chart["data"][0]["y"], "no dot of its own"
    cells = page.dataframe[0].value.set_index("Variant").loc["ReLU"]
    assert (cells["Error here"], cells["Difference here"], cells["Seeds"]) == ("diverged", "–", "0")
    assert "ReLU: diverged" not in text(check(run_page(table="11: Squeeze")))


def test_without_results_the_paper_s_figures_stand_alone(shelf):
    (shelf / "ablations.json").unlink()
    page = check(run_page())
    assert "python -m sevis ablate" in page.info[0].value
    assert "Table 10: Reduction ratio r" in by_title(page)
    assert "Accuracy beside aliveness" not in by_title(page)


def test_damaged_results_are_a_sentence_and_the_page_stays(shelf):
    (shelf / "ablations.json").write_text("{")
    page = run_page()
    assert not page.exception
    assert "ablations.json" in page.error[0].value
    assert page.button(key="train")


def test_the_page_is_found_without_torch():
    assert "torch" not in loaded_by("from sevis.pages.ablations import tables, train_now, twins")
