"""The rows that a benchmark measures: printed, and with --save kept in benchmarks/results, from which docs/speed.md is made."""

import argparse
import json
import platform
import shlex
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from sevis.experiments.timing import Ratio, Way, paired
from sevis.files import replace_file
from sevis.settings import VERSION

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass
class Rows:
    """What one run of a benchmark measured.

    Attributes:
        device: that it ran on.
        clock: `wall`, or `processor` where only the time of this process was counted.
        found: a row for each measurement so far.
    """

    device: str
    clock: str = "wall"
    found: list[dict[str, Any]] = field(default_factory=list)

    def pair(self, plain: Way, measured: Way, *, pairs: int) -> Ratio:
        """Return the ratio of the times of two ways, by this clock."""
        return paired(plain, measured, pairs=pairs, clock=time.process_time if self.clock == "processor" else None)

    def add(self, what: str, ratio: Ratio, *, aim: str = "", note: str = "") -> None:
        """Print a ratio and keep it; `aim` is what is asked for, such as `at most 1.03x`."""
        print(f"{what}: {ratio}{note}", flush=True)
        self._keep(what, ratio.median, "x", aim, low=ratio.low, high=ratio.high, pairs=ratio.pairs, plain_ms=ratio.plain * 1e3)

    def add_number(self, what: str, value: float, unit: str, *, aim: str = "", digits: int = 2, **more: float) -> None:
        """Print a number and keep it; `more` holds its quartiles as `low` and `high`, and the `pairs` that they are of."""
        quartiles = f" (quartiles {more['low']:.{digits}f} to {more['high']:.{digits}f})" if "low" in more else ""
        print(f"{what}: {value:.{digits}f} {unit}{quartiles}", flush=True)
        self._keep(what, value, unit, aim, **more)

    def save(self, script: str) -> None:
        """Write the rows into the results of a script: those that it measured before and not now stay as they are."""
        path = RESULTS / f"{Path(script).stem}.json"
        known = {row["what"]: row for row in (json.loads(path.read_text()) if path.is_file() else [])}
        known |= {row["what"]: {**row, **self._origin(script)} for row in self.found}
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in known.values())
        RESULTS.mkdir(exist_ok=True)
        replace_file(path, f"[\n{lines}\n]\n".encode())
        print(f"saved in {path.relative_to(RESULTS.parent.parent)}")

    def _keep(self, what: str, value: float, unit: str, aim: str, **more: float) -> None:
        self.found.append({"what": what, "median": round(value, 4), "unit": unit, "aim": aim, **{k: round(v, 4) for k, v in more.items()}})

    def _origin(self, script: str) -> dict[str, Any]:
        """Return where and when the rows were measured, and the command that repeats them."""
        return {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "device": self.device,
            "clock": self.clock,
            "versions": {"sevis": VERSION, "python": platform.python_version(), "torch": torch.__version__},
            "command": shlex.join(["python", f"benchmarks/{Path(script).name}", *sys.argv[1:]]),
        }


def begin(arguments: argparse.Namespace, device: str) -> Rows:
    """Return the rows of a run that was given the options of `add_options`."""
    return Rows(device, "processor" if arguments.processor_time else "wall")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a benchmark the options --save and --processor-time."""
    text = "count the time that the processor works for this process, which other work disturbs less; not on a GPU"
    parser.add_argument("--processor-time", action="store_true", help=text)
    parser.add_argument(
        "--save", action="store_true", help="keep the rows in benchmarks/results; python benchmarks/table.py then writes them"
    )
