"""README is short, its code runs, and its links open what they say."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import sevis
from sevis.weights.card import read_card
from tests.docs.test_python import write_photos
from tests.helpers.markdown import code_lines, fences
from tests.helpers.paths import ROOT
from tools.marked_blocks import read_block
from tools.networks_page import ablations_in_short, which_table

INDEX = ROOT / "pretrained" / "index.json"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_can_be_read_in_minutes() -> None:
    assert len(README.split()) <= 800
    (code,) = [code for info, code in fences(README) if info == "python"]
    assert len(code.splitlines()) <= 12
    assert len([line for line in code_lines(README) if line.startswith("sevis ")]) == 8


def test_its_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(tmp_path)
    monkeypatch.chdir(tmp_path)
    (code,) = [code for info, code in fences(README) if info == "python"]
    known: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), known)
    before, after, ready = known["before"], known["after"], known["ready"]
    assert isinstance(before, sevis.Explanation)
    assert isinstance(after, sevis.Explanation)
    assert not np.array_equal(before.probabilities, after.probabilities)
    assert (after.scale["SE_4_6"] == 1).all()
    np.testing.assert_array_equal(before.scale["SE_2_1"], after.scale["SE_2_1"])  # an earlier block
    again = sevis.explain(ready, known["photo"])
    np.testing.assert_array_equal(again.probabilities, before.probabilities)  # nothing is left behind
    assert "(512,)" in capsys.readouterr().out


def test_its_two_commands_are_there_once() -> None:
    """CI runs the second as it stands."""
    lines = code_lines(README)
    for command in ("streamlit run app.py", "python -m pytest"):
        assert lines.count(f"pip install -r requirements.txt && {command}") == 1


def test_its_links_into_the_app_name_networks_and_blocks_that_there_are() -> None:
    found = re.findall(r"http://localhost:8501/(\w*)\?network=([\w.]+)(?:&block=(\w+))?", README)
    assert [page for page, _, _ in found] == ["", "", "classes"]  # Explain is the app's first page, without a name of its own
    for _, network, block in found:
        assert network in sevis.list_pretrained()
        assert block in ("", *read_card(network).gates.blocks)


def test_its_blocks_are_what_the_script_writes() -> None:
    assert read_block(README, "which") == which_table().strip(), "run PYTHONPATH=. python tools/networks_page.py"
    assert read_block(README, "ablations") == ablations_in_short().strip(), "run PYTHONPATH=. python tools/networks_page.py"
    for name in re.findall(r"^\| `(\w+\.\w+)`", README, re.MULTILINE):
        row = next(line for line in README.splitlines() if line.startswith(f"| `{name}`"))
        assert f"{100 * json.loads(INDEX.read_text())[name]['top1']:.1f} %" in row
