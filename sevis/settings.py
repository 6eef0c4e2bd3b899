"""Every SEVIS_ variable, the folders that follow from it, and the version."""

import os
from pathlib import Path

from sevis.errors import SevisError

VERSION = "0.1.0"
MAX_PARAMETERS = 200_000_000  # of 4 bytes each
DATA_ROOTS = "SEVIS_DATA_ROOTS"


def pretrained_folder() -> Path:
    """Return where the weights and index.json lie: the folder that SEVIS_PRETRAINED names, else `pretrained` beside the package."""
    return Path(os.environ.get("SEVIS_PRETRAINED") or Path(__file__).resolve().parent.parent / "pretrained")


def named_data() -> Path | None:
    """Return the folder or zip that SEVIS_DATA names; None where it names none."""
    named = os.environ.get("SEVIS_DATA")
    return Path(named) if named else None


def cache_folder() -> Path:
    """Return where downloads go: SEVIS_DATA, or sevis's folder in the user's cache."""
    return named_data() or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sevis"


def results_folder(name: str) -> Path:
    """Return the folder of that name for what sevis measured of a user's networks: in the cache, or beside the zip that SEVIS_DATA is."""
    folder = cache_folder()
    return (folder.parent if folder.suffix == ".zip" else folder) / name


def allowed_roots() -> tuple[Path, ...]:
    """Return the folders that the operator named in SEVIS_DATA_ROOTS, with the system's separator between them; those that are there."""
    named = [Path(part) for part in os.environ.get(DATA_ROOTS, "").split(os.pathsep) if part]
    return tuple(dict.fromkeys(path.resolve() for path in named if path.is_dir()))


def most_parameters() -> int:
    """Return how many parameters a network may have: SEVIS_MAX_PARAMETERS, else MAX_PARAMETERS. Raises SevisError for other values."""
    return _count("SEVIS_MAX_PARAMETERS", default=MAX_PARAMETERS, meaning="how many a network may have")


def forwards_at_once() -> int:
    """Return how many forward passes run at a time: SEVIS_FORWARDS, else half the cores, at least 1. Raises SevisError for other values."""
    return _count("SEVIS_FORWARDS", default=max(1, (os.cpu_count() or 1) // 2), meaning="how many may run at a time")


def _count(variable: str, *, default: int, meaning: str) -> int:
    """Return the whole number from 1 on that an environment variable holds."""
    text = os.environ.get(variable) or str(default)
    if not text.isdecimal() or not int(text):
        raise SevisError(f"expected {variable} to be a whole number from 1, got {text!r}: set it to {meaning}")
    return int(text)
