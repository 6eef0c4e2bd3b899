"""The folder of a training run: checkpoint.pt, the one before it, and log.csv; each is whole or not there."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sevis.errors import SevisError
from sevis.files import replacing

NEWEST, BEFORE = "checkpoint.pt", "checkpoint.before.pt"


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Writes a checkpoint and keeps the one before it; a kill at any moment leaves a whole one."""
    newest = folder / NEWEST
    with replacing(folder / ".checkpoint.new") as file:
        torch.save(dict(state), file)
    if newest.exists():
        newest.replace(folder / BEFORE)
    (folder / ".checkpoint.new").replace(newest)


def read_checkpoint(folder: Path, facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """The newest checkpoint that can be read, or None where there is none.

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
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            differing = {part: [name for name, value in values.items() if state[part].get(name) != value] for part, values in facts.items()}
        except Exception as error:  # a damaged archive raises whatever its damage leads to
            damaged.append(f"{path} cannot be read ({type(error).__name__})")
            continue
        for part, names in differing.items():
            if names:
                raise SevisError(
                    f"{path} belongs to another run, whose {part} differs in {', '.join(names)}: "
                    "repeat the command it was started with, or train into another folder"
                )
        if damaged:  # the next one would otherwise be kept beside a damaged one
            path.replace(folder / NEWEST)
        return state
    if damaged:
        raise SevisError(f"{' and '.join(damaged)}: delete {folder} to start again")
    return None


def is_started(folder: Path) -> bool:
    """Whether the folder holds a run."""
    return any((folder / name).exists() for name in (NEWEST, BEFORE))


def write_log(folder: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Writes log.csv: a line a row."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    with replacing(folder / "log.csv") as file:
        file.write(text.getvalue().encode())


def read_log(folder: Path) -> list[dict[str, float]]:
    """The rows of log.csv. Raises SevisError where there is none, or it is damaged."""
    path = folder / "log.csv"
    try:
        with path.open(newline="") as file:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, AttributeError, csv.Error):
        rows = []
    if not rows:
        raise SevisError(f"there is no log at {path}: name the folder of a run of sevis train that has finished an epoch")
    return rows
