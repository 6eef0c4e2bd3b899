"""The numbers of docs/networks.md and docs/ablations.md are those of pretrained/."""

import json

import pytest

from sevis.errors import SevisError
from sevis.settings import pretrained_folder
from tests.helpers.paths import ROOT
from tools.marked_blocks import as_table, fill, read_block
from tools.networks_page import ablation_blocks, quick_blocks, statements

NETWORKS = (ROOT / "docs" / "networks.md").read_text()
ABLATIONS = (ROOT / "docs" / "ablations.md").read_text()
AGAIN = "run PYTHONPATH=. python tools/networks_page.py"


@pytest.mark.parametrize("name", ["shipped", "trainings", "gates", "audits", "twins"])
def test_a_block_of_the_networks_is_what_the_script_writes(name):
    assert read_block(NETWORKS, name) == quick_blocks()[name].strip(), AGAIN


@pytest.mark.parametrize("name", ["grid", "answers", "pairs"])
def test_a_block_of_the_ablations_is_what_the_script_writes(name):
    assert read_block(ABLATIONS, name) == ablation_blocks()[name].strip(), AGAIN


def test_what_is_said_of_the_ablations_is_so():
    """Read without sevis: the sentences below the answers."""
    runs = json.loads((pretrained_folder() / "ablations.json").read_text())
    hits = {(run["variant"], run["recipe"]["seed"]): round(1000 * run["top1"]) for run in runs["runs"]}
    for worse, better in (("identity", "SE"), ("identity", "pre"), ("identity", "plain"), ("pre", "SE"), ("post", "plain")):
        assert all(hits[worse, seed] < hits[better, seed] for seed in range(3))
    assert {run["variant"] for run in runs["diverged"]} == {"relu"}
    assert {key for key, _ in hits} == {row.split(" | ")[0].strip("| ") for row in read_block(ABLATIONS, "grid").splitlines()[2:]} - {
        "relu"
    }
    answers = read_block(ABLATIONS, "answers")
    assert answers.startswith(
        "**Against the paper: 0 of 44 pairs**.\n\nWithout the correction for many pairs, 4 would be:\n\n- SE-Identity has"
    )
    assert "**As in the paper: 0 of 44 pairs**" in answers


def test_the_statements_are_what_the_statistics_say():
    assert read_block(NETWORKS, "statements") == statements().strip(), AGAIN


def test_scores_and_epochs_are_those_of_the_index():
    """Read without sevis."""
    rows = {line.split(" | ")[0].strip("| `"): line for line in read_block(NETWORKS, "shipped").splitlines()[2:]}
    index = json.loads((pretrained_folder() / "index.json").read_text())
    assert set(rows) == set(index)
    for name, entry in index.items():
        expected = [str(len(entry["classes"])), f"{entry['top1']:.1%}", f"{entry['top5']:.1%}", str(entry["epochs"])]
        cells = [cell.strip().replace(" %", "%") for cell in rows[name].split("|")]
        assert [cells[place] for place in (2, 5, 6, 7)] == expected


def test_what_the_audits_lost_is_counted_in_their_files():
    """Read without sevis."""
    block = read_block(NETWORKS, "audits").replace("−", "-")
    for path in pretrained_folder().glob("*.audit.json"):
        for row in json.loads(path.read_text())["rows"]:
            if row["blocks"] in ("SE", "SE_5"):
                right = row["correct"] - row["lost"] + row["won"]
                digits = 2 if row["images"] >= 10_000 else 1
                added = f"{100 * (row['won'] - row['lost']) / row['images']:+.{digits}f} ("
                said = f"| {100 * right / row['images']:.1f} % (" if row["before"] == "as it is" else f": {added}"
                assert said in block


def test_a_block_is_replaced_between_its_markers_only():
    text = "before\n<!-- begin a: written by me -->\nold\n<!-- end a -->\nafter <!-- begin b: x -->\n"
    filled = fill(text, {"a": "new \\1\nlines"})
    assert read_block(filled, "a") == "new \\1\nlines"
    assert filled.startswith("before\n<!-- begin a: written by me -->\n\nnew") and filled.endswith("\nafter <!-- begin b: x -->\n")
    assert fill(filled, {"a": "new \\1\nlines"}) == filled
    with pytest.raises(SevisError, match="begin b"):
        fill(text, {"b": "nothing"})
    with pytest.raises(SevisError, match="begin c"):
        read_block(text, "c")


def test_a_bar_in_a_cell_does_not_end_it():
    assert as_table(["a", "b"], [["x|y", "z"]]) == "| a | b |\n| --- | --- |\n| x\\|y | z |"
