"""The folder of a training run: checkpoint.pt, the one before it, and log.csv; each is whole or not there."""

import csv
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sevis.errors import SevisError
from sevis.files import replace_file

NEWEST, BEFORE = "checkpoint.pt", "checkpoint.before.pt"


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint and keep the one before it; a kill at any moment, and a full disk, leave a whole one."""
    buffer = io.BytesIO()  # into a file, torch.save does not say that a disk is full
    torch.save(dict(state), buffer)
    newest = folder / NEWEST
    for rest in folder.glob(f".{NEWEST}.*.tmp"):  # of a process that was killed while it wrote
        rest.unlink(missing_ok=True)
    if newest.exists():
        newest.replace(folder / BEFORE)
    replace_file(newest, buffer.getvalue())


def read_progress(folder: Path, facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the newest checkpoint that can be read, or None where there is none.

    Args:
        folder: of the run.
        facts: what the checkpoint must have in common with the run that goes on, by part.

    Raises:
        SevisError: for the checkpoint of another run, and when none can be read.
    """
    damaged: list[str] = []
    for path in (folder / NEWEST, folder / BEFORE):
        if not path.exists():
            continue
        try:
            state = _load(path)
        except Exception as error:  # a damaged archive raises whatever its damage leads to
            damaged.append(f"{path} cannot be read ({type(error).__name__})")
            continue
        _check(path, state, facts)
        if damaged:  # the next one would otherwise be kept beside a damaged one
            path.replace(folder / NEWEST)
        return state
    if damaged:
        raise SevisError(f"{' and '.join(damaged)}: delete {folder} to start again")
    return None


def _load(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:  # torch.load does not look at its checksums
        if damage := archive.testzip():
            raise zipfile.BadZipFile(damage)
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _check(path: Path, state: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise SevisError for the checkpoint of another run; a fact that an older version did not write down is passed over."""
    for part, wanted in facts.items():
        names = [name for name, value in wanted.items() if name in state[part] and state[part][name] != value]
        if names:
            raise SevisError(
                f"{path} belongs to another run, whose {part} differs in {', '.join(names)}: repeat the command of that run, or "
                "train into another folder"
            )


def is_started(folder: Path) -> bool:
    """Return whether the folder holds a run."""
    return any((folder / name).exists() for name in (NEWEST, BEFORE))


def write_log(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write log.csv: a line a row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    replace_file(folder / "log.csv", text.getvalue().encode())


def read_log(folder: Path) -> list[dict[str, float]]:
    """Return the rows of log.csv. Raises SevisError where there is none, or it is damaged."""
    path = folder / "log.csv"
    try:
        with path.open(newline="") as file:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError):
        rows = []
    if not rows:
        raise SevisError(f"there is no log at {path}: name the folder of a run of sevis train that has finished an epoch")
    return rows
