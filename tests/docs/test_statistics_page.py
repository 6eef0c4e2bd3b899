"""docs/statistics.md: its code runs, and its table of arrays is what files hold."""

import re
from pathlib import Path

from safetensors import safe_open

from sevis.class_statistics.file import COMPACT, FORMAT, OLD_COMPACT
from tests.helpers.paths import ROOT
from tests.helpers.statistics import detailed

PAGE = (ROOT / "docs" / "statistics.md").read_text()


def test_the_code_runs_from_top_to_bottom() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    exec("\n".join(blocks), names)
    assert names["profile"] is not None, "the shipped profile is of the shipped statistics"


def arrays_of(path: Path, *, compact: bool) -> set[str]:
    detailed(1, 2).save(path, compact=compact)
    with safe_open(path, framework="numpy") as file:
        return {name for name in file.keys() if not name.startswith("squeeze.")}  # noqa: SIM118  (no mapping)


def test_the_arrays_are_those_that_files_hold(tmp_path: Path) -> None:
    rows = [line.split("|")[1:-1] for line in PAGE[PAGE.index("## The file format") :].splitlines() if line.startswith("| `")]
    listed = {name: cells for cells in rows for name in re.findall(r"`([a-z0-9_]+\.[a-z0-9_]+)`", cells[0])}
    for column, compact in ((2, False), (3, True)):
        told = {name for name, cells in listed.items() if cells[column].strip() != "–"}
        assert told == arrays_of(tmp_path / "file", compact=compact)
    assert all(f"`{form}`" in PAGE for form in (FORMAT, COMPACT, OLD_COMPACT))


def test_sizes_of_what_ships_are_those_of_the_tables() -> None:
    for name, packing in (("tiny200", "8/8/0/4x5"), ("tiny20", "8/8/0/4x10")):
        size = (ROOT / "pretrained" / f"se_resnet50x0_5.{name}.statistics.safetensors").stat().st_size
        assert f"| {packing} | {size / 1e6:.2f} |" in PAGE
