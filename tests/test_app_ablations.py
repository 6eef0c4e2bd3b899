"""The page Ablations in Streamlit's AppTest; every number that it shows here is made up."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import streamlit as st
import torch
from made_up_runs import make_grid, make_run
from streamlit.testing.v1 import AppTest

from sevis.ablation_grid import BASELINE, tables
from sevis.ablations import Ablations
from sevis.agreement import compare
from sevis.errors import SevisError
from sevis.experiments import device_name
from sevis.figures.ablation_words import describe_order
from sevis.pages import train_now, trials
from sevis.pages.trial_data import TrialData, open_digits
from sevis.pages.turns import Turns
from sevis.pages.twins import GATED, PLAIN

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "sevis" / "pages" / "ablations.py"
PATIENCE = 120  # seconds
DEVICE = device_name(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
CURVE = [{"epoch": 1, "size": 64, "train_loss": 3.0, "val_loss": 2.9, "top1": 0.3, "top5": 0.6, "seconds": 60.0}]
TWIN = {
    "name": PLAIN,
    "weights": "0" * 64,
    "top1": 0.57,
    "parameters": 1000,
    "multiply_adds": 5000,
    "own": {"top1": 0.5833, "parameters": 1100, "multiply_adds": 5010},
    "top1_difference": 0.0133,
    "interval": [0.004, 0.0226],
    "images": 10000,
    "seeds": 1,
    "how": "one run of each, paired",
}
BLOCKS = {"SE_2_1": {"mean": 0.5, "spread": 0.2, "std_over_images": 0.21, "top1_frozen": 0.57}}
GATES = {"blocks": BLOCKS, "std_over_images": 0.21, "top1": 0.5833, "top1_frozen": 0.52, "top1_open": 0.1}


def card(name, top1, **more):
    return {
        "architecture": {"name": name, "num_classes": 5, "width": 0.125, "reduction": 4},
        "classes": list("abcde"),
        "preprocessing": {"resize": 32, "crop": 32},
        "sha256": "0" * 64,
        "recipe": {"seed": 0},
        "epochs": 30,
        "curve": CURVE,
        "seconds": 7200.0,
        "device": "cpu",
        "date": "2026-11-26",
        "top1": top1,
        "top5": top1 + 0.2,
        **more,
    }


INDEX = {GATED: card("se_resnet18", 0.5833, twin=TWIN, gates=GATES), PLAIN: card("resnet18", 0.57)}


@pytest.fixture(autouse=True)
def shelf(tmp_path, monkeypatch):
    """A folder with made-up results in place of pretrained/, and a few digits to train on."""
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    (tmp_path / "index.json").write_text(json.dumps(INDEX))
    Ablations(make_grid(3)).save(tmp_path / "ablations.json")
    monkeypatch.setattr(train_now, "find_trial_data", lambda: FEW)
    monkeypatch.setattr(trials, "ALONE", PATIENCE)  # a page may take long on a busy machine
    st.cache_resource.clear()
    st.cache_data.clear()
    return tmp_path


def open_few():
    training, validation = open_digits()
    return training.first(4), validation.first(2)


FEW = TrialData("a few digits", size=32, epochs=2, time="a moment", open=open_few)
LONG = replace(FEW, epochs=1000)


def run_page(**address):
    page = AppTest.from_file(str(PAGE), default_timeout=PATIENCE)
    for name, value in address.items():
        page.query_params[name] = value
    return page.run()


def check(page):
    assert not page.exception
    assert not [error.value for error in page.error]
    return page


def charts(page):
    found = [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]
    return {chart["layout"]["title"]["text"]: chart for chart in found}


def text(page):
    return " ".join(part.value for part in (*page.markdown, *page.caption))


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
    assert {"What SE adds to top-1", "Training curves", "How alive the gates are", "Accuracy beside aliveness"} <= charts(page).keys()


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
    assert "Table 10: Reduction ratio r" in charts(page)


@pytest.mark.parametrize("damage", [{"top1": "0.5"}, {"top5": 57.0}, {"curve": 3}, {"curve": [{"epoch": "one"}]}, {"recipe": [0]}])
def test_damaged_scores_and_curves_are_a_sentence_and_the_page_stays(shelf, damage):
    (shelf / "index.json").write_text(json.dumps({**INDEX, PLAIN: {**INDEX[PLAIN], **damage}}))
    page = run_page()
    assert not page.exception
    assert [error.value for error in page.error] == [
        f"The scores, the curve or the recipe of {PLAIN} in index.json are damaged: restore the file."
    ]
    assert "Table 10: Reduction ratio r" in charts(page)


@pytest.mark.parametrize("table", tables(), ids=lambda table: str(table.number))
def test_every_table_stands_beside_the_paper_s_in_its_order(table):
    page = check(run_page(table=f"{table.number}: {table.title}"))
    chart = charts(page)[f"Table {table.number}: {table.title}"]
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
    assert "Table 10: Reduction ratio r" in charts(check(run_page(table="99: <b>")))


def test_a_variant_that_wins_with_dead_gates_is_marked(shelf):
    runs = [(BASELINE, make_run(BASELINE, seed, top1=0.5)) for seed in range(2)]
    runs += [("max", make_run("max", seed, top1=0.6, std=0.001)) for seed in range(2)]
    Ablations(tuple(runs)).save(shelf / "ablations.json")
    assert "Max wins with dead gates" in check(run_page(table="11: Squeeze")).warning[0].value
    assert not check(run_page(table="12: Gate")).warning


def test_without_results_the_paper_s_figures_stand_alone(shelf):
    (shelf / "ablations.json").unlink()
    page = check(run_page())
    assert "python -m sevis ablate" in page.info[0].value
    assert "Table 10: Reduction ratio r" in charts(page)
    assert "Accuracy beside aliveness" not in charts(page)


def test_damaged_results_are_a_sentence_and_the_page_stays(shelf):
    (shelf / "ablations.json").write_text("{")
    page = run_page()
    assert not page.exception
    assert "ablations.json" in page.error[0].value
    assert page.button(key="train")


def train(page):
    """Starts a run and lets it end."""
    page.button(key="train").click().run()
    assert not page.exception
    if "trial" not in page.session_state:  # it has ended already
        return page
    trial = page.session_state["trial"]
    deadline = time.monotonic() + PATIENCE
    while not trial.over and time.monotonic() < deadline:
        trial.look()
        trial.join(0.1)
    return page.run()


def test_a_run_is_added_to_the_visitor_s_own_view():
    page = run_page(try_r="4", try_gate="Tanh")
    check(train(page))
    rows = page.dataframe[-1].value
    assert list(rows["Run"]) == ["1: SE r = 4, tanh, seed 0"]
    assert rows["Images"][0] == "40 trained, 20 scored, 10 classes"
    assert rows["Device"][0] == DEVICE
    page.segmented_control(key="try_network").set_value("Plain").run()
    check(train(page))
    assert list(page.dataframe[-1].value["Run"]) == ["1: SE r = 4, tanh, seed 0", "2: plain, seed 0"]
    curves = charts(page)["Your runs"]
    assert [trace["name"] for trace in curves["data"]][::2] == ["1: SE r = 4, tanh, seed 0", "2: plain, seed 0"]
    assert f"on {DEVICE}, " in next(chart.proto.alt for chart in page.get("plotly_chart") if "Your runs" in chart.proto.spec)
    other = check(run_page())
    assert len(other.dataframe) == 1, "another visitor sees nothing of it"
    page.button(key="forget-trials").click().run()
    assert len(check(page).dataframe) == 1


def test_a_run_can_be_cancelled(monkeypatch):
    monkeypatch.setattr(train_now, "find_trial_data", lambda: LONG)
    page = run_page()
    page.button(key="train").click().run()
    assert page.button(key="train").disabled
    trial = page.session_state["trial"]
    page.button(key="cancel-trial").click().run()
    trial.join(PATIENCE)
    check(page.run())
    assert any("ended before it was trained, because it was cancelled; nothing" in part.value for part in page.info)
    assert not page.button(key="train").disabled
    assert len(page.dataframe) == 1


def test_a_run_that_nobody_watched_says_so(monkeypatch):
    page = run_page()
    assert "20 seconds after you leave" in text(page)
    monkeypatch.setattr(trials, "ALONE", 0.0)
    check(train(page))
    assert any("because nobody had looked at it for 0 seconds" in part.value for part in page.info)


def test_a_second_click_starts_nothing():
    page = run_page()
    going = trials.Trial(trials.Choice(), LONG, row=Turns(1), turns=Turns(1))
    page.session_state["trial"] = going  # as if the first click had come while the page was drawn
    page.button(key="train").click().run()
    assert page.session_state["trial"] is going
    going.cancel()
    going.join(PATIENCE)


def test_what_a_run_cannot_do_is_a_sentence(monkeypatch):
    def fail():
        raise SevisError("no photos: bring some")

    monkeypatch.setattr(train_now, "find_trial_data", lambda: TrialData("nothing", size=32, epochs=1, time="a moment", open=fail))
    page = train(run_page())
    assert page.error[0].value == "No photos: bring some."
    monkeypatch.setenv("SEVIS_FORWARDS", "many")
    page = run_page()
    page.button(key="train").click().run()
    assert not page.exception
    assert "SEVIS_FORWARDS" in page.error[0].value


def test_the_page_is_found_without_torch():
    program = "import sys, sevis.pages.twins, sevis.pages.ablation_tables, sevis.pages.train_now; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "False"
