"""The tables of docs/speed.md are those of benchmarks/results, and rows are saved as they were measured."""

import json
import re

from benchmarks import rows, table
from benchmarks.rows import Rows
from sevis.experiments.timing import Ratio
from tests.helpers.paths import ROOT
from tools.marked_blocks import read_block

PAGE = (ROOT / "docs" / "speed.md").read_text()


def test_the_page_is_what_the_command_writes():
    for name, block in table.blocks().items():
        assert read_block(PAGE, name) == block.strip(), "run PYTHONPATH=. python benchmarks/table.py"


def test_every_benchmark_is_named_and_every_saved_row_says_where_it_comes_from():
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py")} - {"rows.py", "table.py", "strangers_networks.py", "__init__.py"}
    assert set(re.findall(r"\| `benchmarks/(\w+\.py)` \|", PAGE)) == scripts
    for path in (ROOT / "benchmarks" / "results").glob("*.json"):
        for row in json.loads(path.read_text()):
            if path == table.EARLIER:
                assert row.keys() == {"script", "what", "measured", "aim", "date"}
                assert row["script"] in scripts
            else:
                assert row["command"].startswith(f"python benchmarks/{path.stem}.py ")
                assert row["versions"].keys() == {"sevis", "python", "torch"}
                assert re.fullmatch(r"\d{4}-\d\d-\d\d", row["date"])


def test_saved_rows_are_replaced_by_name_and_the_others_stay(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rows, "RESULTS", tmp_path / "benchmarks" / "results")
    (tmp_path / "benchmarks").mkdir()
    first = Rows("cpu, 1 thread")
    first.add("capture", Ratio(1.5, 1.25, 1.75, 0.001, 8, 8), aim="at most 1.03x")
    first.add_number("memory", 123.4, "MB")
    first.save("/anywhere/capture.py")
    second = Rows("cpu, 1 thread", "processor")
    second.add("capture", Ratio(2.5, 2.25, 2.75, 0.001, 9, 9))
    second.save("/anywhere/capture.py")
    path = tmp_path / "benchmarks" / "results" / "capture.json"
    found = {row["what"]: row for row in json.loads(path.read_text())}
    assert (found["capture"]["median"], found["capture"]["clock"], found["memory"]["clock"]) == (2.5, "processor", "wall")
    assert "capture: 1.500x (quartiles 1.250 to 1.750; plain 1.0 ms)" in capsys.readouterr().out
    text = table.measured_rows(path)
    assert "| capture | 2.50x | 2.25x to 2.75x | 9 |  |" in text
    assert "| memory | 123 MB |  |  |  |" in text
    assert "the time of the processor" in text
