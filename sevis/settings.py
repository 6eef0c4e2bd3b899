"""Every SEVIS_ variable, the folders that follow from it, and the version."""

import os
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

from sevis.errors import SevisError

VERSION = "0.1.0"
MAX_PARAMETERS = 200_000_000  # of 4 bytes each
DATA_ROOTS = "SEVIS_DATA_ROOTS"


def pretrained_folder() -> Path:
    """Return where the networks lie that come with sevis, which is only read: what SEVIS_PRETRAINED names, else what ships."""
    return _named("SEVIS_PRETRAINED") or shipped_folder("pretrained")


def shipped_folder(name: str) -> Path:
    """Return a folder that ships with sevis: an installed package holds it, and in a checkout it lies beside the package."""
    package = Path(__file__).resolve().parent
    inside = package / name.removeprefix(".")
    return inside if inside.is_dir() else package.parent / name


def home_folder() -> Path:
    """Return where sevis keeps what a user adds, collects and measures: SEVIS_HOME, else sevis's folder in the user's data.

    It is made when something is first written. Its index.json is like that of `pretrained_folder()`; `Card.place` says where files lie.
    """
    return _named("SEVIS_HOME") or user_data_path("sevis", appauthor=False)


def find_file(name: str) -> Path:
    """Return where a file is read that both folders may hold: the user's, unless only the one that ships has it."""
    own, shipped = home_folder() / name, pretrained_folder() / name
    return shipped if shipped.is_file() and not own.is_file() else own


def named_data() -> Path | None:
    """Return the folder or zip that SEVIS_DATA names; None where it names none."""
    return _named("SEVIS_DATA")


def cache_folder() -> Path:
    """Return where downloads go: SEVIS_DATA, or sevis's folder in the user's cache."""
    return named_data() or user_cache_path("sevis", appauthor=False)


def allowed_roots() -> tuple[Path, ...]:
    """Return the folders that the operator named in SEVIS_DATA_ROOTS, with the system's separator between them; those that are there."""
    named = [Path(part).expanduser() for part in os.environ.get(DATA_ROOTS, "").split(os.pathsep) if part]
    return tuple(dict.fromkeys(path.resolve() for path in named if path.is_dir()))


def most_parameters() -> int:
    """Return how many parameters a network may have: SEVIS_MAX_PARAMETERS, else MAX_PARAMETERS. Raises SevisError for other values."""
    return _count("SEVIS_MAX_PARAMETERS", default=MAX_PARAMETERS, meaning="how many a network may have")


def forwards_at_once() -> int:
    """Return how many forward passes run at a time: SEVIS_FORWARDS, else half the cores, at least 1. Raises SevisError for other values."""
    return _count("SEVIS_FORWARDS", default=max(1, (os.cpu_count() or 1) // 2), meaning="how many may run at a time")


def _named(variable: str) -> Path | None:
    """Return the place that an environment variable names, where `~` is the user's own folder; None where it names none."""
    named = os.environ.get(variable)
    return Path(named).expanduser() if named else None


def _count(variable: str, *, default: int, meaning: str) -> int:
    """Return the whole number from 1 on that an environment variable holds."""
    text = os.environ.get(variable) or str(default)
    if not text.isdecimal() or not int(text):
        raise SevisError(f"expected {variable} to be a whole number from 1, got {text!r}: set it to {meaning}")
    return int(text)
