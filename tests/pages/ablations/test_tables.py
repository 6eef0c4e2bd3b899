"""The panel with the paper's ablations, in Streamlit's AppTest; every number that it shows here is made up."""

import json
from functools import partial

import pytest

from sevis.ablations.agreement import choose_pairs, compare
from sevis.ablations.grid import BASELINE, tables
from sevis.ablations.report import describe_answers, guess_cause, label_rows, pair_rows
from sevis.ablations.results import Ablations
from tests.helpers.charts import by_title
from tests.helpers.made_up_runs import make_divergence, make_grid, make_run
from tests.helpers.pages import check, open_page, text

run_page = partial(open_page, "ablations")
pytestmark = pytest.mark.usefixtures("shelf")


def test_a_caption_names_the_runs_that_are_drawn_and_no_others(shelf):
    runs = [(BASELINE, make_run(BASELINE)), ("max", make_run("max", 7, device="a GPU"))]
    Ablations(tuple(runs)).save(shelf / "ablations.json")
    page = check(run_page(table="12: Gate"))
    captions = {json.loads(chart.proto.spec)["layout"]["title"]["text"]: chart.proto.alt for chart in page.get("plotly_chart")}
    assert "; on cpu, seed 0, 2026-11-26" in captions["Table 12: Gate"]
    assert "; on a GPU and cpu, seeds 0, 7, 2026-11-26" in captions["Accuracy beside aliveness"]


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
    pairs, words = compare(ablations), [part.value for part in page.markdown]
    whole = "\n\n".join(describe_answers(pairs, guess_cause(ablations)))
    own = choose_pairs(table, pairs)
    assert words.index(whole) < words.index("\n\n".join(describe_answers(own, labels=label_rows(table))))
    assert whole.startswith("**Against the paper: ")
    head, *expected = pair_rows(own, label_rows(table))
    shown = page.dataframe[1].value
    assert tuple(shown.columns) == head
    assert [tuple(row) for row in shown.to_numpy()] == expected


def test_an_unknown_table_in_the_address_is_the_first():
    assert "Table 10: Reduction ratio r" in by_title(check(run_page(table="99: <b>")))


def test_a_variant_that_wins_with_dead_gates_is_marked(shelf):
    runs = [(BASELINE, make_run(BASELINE, seed, top1=0.5)) for seed in range(2)]
    runs += [("max", make_run("max", seed, top1=0.6 + seed / 1000, std=0.001)) for seed in range(2)]
    Ablations(tuple(runs)).save(shelf / "ablations.json")
    assert (
        "Max has fewer errors than SE, by its own 95 % interval over seeds, and dead gates"
        in check(run_page(table="11: Squeeze")).warning[0].value
    )
    assert not check(run_page(table="12: Gate")).warning


def test_a_variant_that_diverged_keeps_its_row_and_says_why(shelf):
    runs = tuple(entry for entry in make_grid(3) if entry[0] != "relu")
    Ablations(runs, tuple(("relu", make_divergence("relu", seed)) for seed in range(3))).save(shelf / "ablations.json")
    page = check(run_page(table="12: Gate"))
    assert "ReLU: diverged in 3 of 3 seeds (the loss became nan in step 27 of epoch 1)." in text(page)
    assert "a variant diverged: 3" in text(page)
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
