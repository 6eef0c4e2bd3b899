"""The page on one's own network: its code runs, and its lists are those of the code."""

import re
from pathlib import Path

import pytest

import sevis
from sevis.blocks.block import GATES, SQUEEZES
from sevis.blocks.sites import find_sites
from sevis.blocks.structure import DOUBTS
from sevis.networks.placements import PLACEMENTS, SEQUENCES, UNITS
from sevis.settings import MAX_PARAMETERS
from sevis.weights.card import SUFFIXES
from sevis.weights.checkpoint import MAX_BYTES, PREFIXES, WRAPPERS
from tests.helpers.markdown import DOCS, fences, section
from tests.helpers.strangers_check import STRANGERS

PAGE = (DOCS / "your-network.md").read_text(encoding="utf-8")
FLAT = " ".join(PAGE.split())


def test_the_code_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVIS_HOME", str(tmp_path))
    known: dict[str, object] = {}
    run = [code for info, code in fences(PAGE) if info == "python"]
    assert len(run) > 4
    for code in run:
        exec(compile(code, f"docs/your-network.md: {code.splitlines()[0]}", "exec"), known)
    assert sevis.load("mine", device="cpu").preprocess.mean == (0.5, 0.5, 0.5)


def test_every_form_is_on_the_page() -> None:
    forms = section(PAGE, "Which form a block has")
    sites = [site for row in STRANGERS if row.taken and row.called for site in find_sites(row.network(), row.example())]
    seen = {site.form for site in sites} - {"(0.5 + 0.5 * s) * u"}
    assert sorted(form for form in seen if f"`{form}`" not in forms) == []
    assert sorted(form for form in re.findall(r"`([^`]*[uv])`", forms) if form not in seen) == []


def test_every_reason_is_on_the_page() -> None:
    refused = " ".join(section(PAGE, "Which blocks are refused, and why").split())
    told = {reason for reason in DOUBTS.values() if "maximum" not in reason}
    assert all(reason in refused for reason in told)
    assert all(f"| {start}" in refused for start in ("it convolves the means", "it has one layer with weights", "two squeezes go through"))


def test_what_is_read_of_a_file_is_on_the_page() -> None:
    told = section(PAGE, "Load weights from a file")
    assert ", ".join(f"`{name}`" for name in WRAPPERS) in " ".join(told.split())
    assert all(f"`{prefix}`" in told for prefix in PREFIXES)
    assert f"{', '.join(SUFFIXES[:-1])} and {SUFFIXES[-1]}, at most {MAX_BYTES / 1e9:.0f} GB" in told


def test_every_family_and_every_choice_is_on_the_page() -> None:
    table = section(PAGE, "Put SE into any network")
    for name in (*UNITS, *SEQUENCES):
        library, *_, file, _ = name.split(".")
        rows = [row for row in table.splitlines() if f"{library}'s" in row and file in row]
        assert rows, name
    choices = section(PAGE, "Build a variant of a paper network")
    assert all(f"`{name}`" in choices for name in (*PLACEMENTS, *SQUEEZES, *GATES))
    assert f"more than {MAX_PARAMETERS / 1e6:.0f} million parameters" in FLAT
