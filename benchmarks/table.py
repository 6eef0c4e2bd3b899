"""Write the tables of docs/speed.md from the files in benchmarks/results: PYTHONPATH=. python benchmarks/table.py."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.rows import RESULTS
from tools.marked_blocks import as_table, write

EARLIER = RESULTS / "earlier.json"  # rows that README.md had, in words, before any row was saved


def measured_rows(path: Path) -> str:
    """Return the rows that one benchmark saved, and under what each was measured, as Markdown."""
    rows = json.loads(path.read_text())
    head = ("what", "measured", "quartiles", "pairs", "aim")
    parts = [f"### benchmarks/{path.stem}.py"]
    for origin in dict.fromkeys(map(_origin, rows)):
        parts += [origin, as_table(head, [_cells(row) for row in rows if _origin(row) == origin])]
    return "\n\n".join(parts)


def earlier_rows(path: Path = EARLIER) -> str:
    """Return the rows that were measured before a command wrote the table, as Markdown."""
    rows = json.loads(path.read_text())
    cells = [(row["what"], row["measured"], row["aim"], f"benchmarks/{row['script']}", row["date"]) for row in rows]
    return as_table(("what", "measured", "aim", "by", "written down"), cells)


def blocks() -> dict[str, str]:
    """Return the blocks of docs/speed.md by their names."""
    saved = sorted(path for path in RESULTS.glob("*.json") if path != EARLIER)
    return {"measured": "\n\n".join(measured_rows(path) for path in saved), "earlier": earlier_rows()}


def _origin(row: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in row["versions"].items())
    clock = "; the time of the processor" if row["clock"] == "processor" else ""
    return f"Measured on {row['date']} with `{row['command']}` on {row['device']} ({versions}{clock})."


def _cells(row: dict[str, Any]) -> Sequence[str]:
    quartiles = f"{_number(row['low'], row)} to {_number(row['high'], row)}" if "low" in row else ""
    return row["what"], _number(row["median"], row), quartiles, str(round(row["pairs"])) if "pairs" in row else "", row["aim"]


def _number(value: float, row: dict[str, Any]) -> str:
    if row["unit"] == "x":
        return f"{value:.2f}x"
    return f"{value:.0f} {row['unit']}" if value >= 100 else f"{value:.2g} {row['unit']}"


if __name__ == "__main__":
    write("docs/speed.md", blocks())
