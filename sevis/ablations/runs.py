"""The record of one run of the grid, as JSON, and whether it is what it says: it may come from anyone."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from sevis.ablations.grid import PLAIN, VARIANTS, find_variant
from sevis.errors import SevisError, one_line
from sevis.files import replace_file
from sevis.recipe import Recipe
from sevis.training.run_record import Run

LARGEST = 64 * 2**20  # bytes of a file that is read; that of the whole grid has less than one MB
HIGHEST = 1e15  # of any number in a record; a whole one may have any number of digits
DIGITS = 5  # behind the point, of what is measured in the course of a run
AGAIN = "make it again with python -m sevis ablate"
CURVE = {"epoch", "train_loss", "val_loss", "top1", "top5"}  # what a row of a run's log has, at least
DATA = ("classes", "train_images", "val_images")  # what two runs must have in common
REASON = re.compile("[A-Za-z0-9 ,.-]{1,200}")  # why a run diverged: told on a page, where other signs might be Markdown
_DEFAULTS = {field.name: field.default for field in fields(Recipe)}


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """A run that came to nothing, because its loss or its weights were no longer numbers.

    Attributes:
        recipe, data: as those of a `sevis.run_record.Run`.
        reason: what was no longer a number, and since when: a clause.
    """

    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
    reason: str


Record = Run | Divergence


def as_record(key: str, run: Record) -> dict[str, Any]:
    """Return a run and the key of its variant, for `json`; the course of the run and its gates are rounded."""
    if isinstance(run, Divergence):
        return {"variant": key, **asdict(run)}
    values = run.as_json()
    return {"variant": key, **values, "rows": _rounded(list(values["rows"])), "gates": _rounded(values["gates"])}


def from_record(entry: Any) -> tuple[str, Record]:
    """Return what `as_record` was given. Raises SevisError for what is no such record, or a run of another variant."""
    if isinstance(entry, dict) and "reason" in entry:
        run: Record = _read_divergence(entry)
    else:
        run = Run.from_json(entry)
    key = str(entry.get("variant"))
    check_run(key, run)
    return key, run


def save_record(path: Path, key: str, run: Record) -> None:
    """Write the record of a run as a file of its own, as a whole or not at all."""
    replace_file(path, (json.dumps(as_record(key, run), indent=1) + "\n").encode())


def load_record(path: Path) -> tuple[str, Record]:
    """Read what `save_record` wrote. Raises SevisError for a file that is missing or damaged."""
    entry = read_json(path)
    try:
        return from_record(entry)
    except (SevisError, TypeError, LookupError) as error:
        raise SevisError(f"{path} is damaged ({one_line(error)}): delete it, and {AGAIN}") from None


def read_json(path: Path) -> Any:
    """Return the values in a JSON file, of numbers that are finite. Raises SevisError for one that is missing, too large, or no such
    file.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise SevisError(f"{path} is too large: expected the runs of the ablations, in less than {LARGEST // 2**20} MB")
        return json.loads(path.read_bytes(), parse_constant=_refuse)
    except FileNotFoundError:
        raise SevisError(f"there are no ablations at {path}: make them with python -m sevis ablate") from None
    except OSError as error:
        raise SevisError(f"{path} cannot be read ({error.strerror or one_line(error)}): name a file that this user may read") from None
    except (ValueError, RecursionError) as error:
        raise SevisError(f"{path} is damaged ({type(error).__name__}): {AGAIN}") from None


def base_recipe(run: Record) -> Recipe:
    """Return the recipe of the baseline, with seed 0, of which a run's is a variant. Raises SevisError for what is no recipe."""
    recipe = _read_recipe(run.recipe)
    return VARIANTS[0].recipe(replace(recipe, model=f"se_{recipe.model.removeprefix('se_')}"), 0)


def check_run(key: str, run: Record) -> None:
    """Raise SevisError for a run that is not of the variant that it is called, or whose measurements cannot be."""
    _check_origin(key, run)
    if isinstance(run, Run):
        _check_measurements(key, run)
    elif not REASON.fullmatch(run.reason):
        raise SevisError(f"a run of {key} diverged without a reason of at most 200 letters, digits and the like")


def check_alike(run: Record, base: Recipe, data: Mapping[str, Any]) -> None:
    """Raise SevisError for a run that cannot be compared with others, because it differs from them in more than variant and seed.

    Args:
        run: one that `check_run` accepts.
        base: the baseline's recipe, with seed 0, of the others.
        data: what their records say of the data.
    """
    here, there = asdict(base_recipe(run)), asdict(base)
    differing = [f"{name} is {there[name]!r} in one and {here[name]!r} in another" for name in here if here[name] != there[name]]
    differing += [f"the {name.replace('_', ' ')} differ" for name in DATA if run.data[name] != data[name]]
    if differing:
        raise SevisError(f"the runs cannot be compared: {differing[0]}")


def _check_origin(key: str, run: Record) -> None:
    recipe = _read_recipe(run.recipe)
    if find_variant(key).recipe(base_recipe(run), recipe.seed) != recipe:
        raise SevisError(f"a run is called {key}, but its recipe is another variant's")
    if not all(isinstance(run.data.get(name), kind) for name, kind in zip(DATA, (list, int, int), strict=True)):
        raise SevisError(f"a run of {key} does not say which data it was trained on")


def _check_measurements(key: str, run: Run) -> None:
    if type(run.parameters) is not int or not _are_numbers([run.top1, run.top5, run.seconds, run.parameters]):
        raise SevisError(f"a run of {key} has a number of {HIGHEST:.0e} or more, or its parameters are no whole number")
    if max(run.top1, run.top5) > 1 or not run.parameters:
        raise SevisError(f"a run of {key} has an accuracy above 1, or no parameters")
    if not run.rows or not all(isinstance(row, Mapping) and set(row) >= CURVE and _are_numbers(row.values()) for row in run.rows):
        raise SevisError(f"a run of {key} has no curve, or a damaged one")
    gates = [] if run.gates is None else [run.gates.get(name) for name in ("std_over_images", "top1", "top1_frozen")]
    if (run.gates is None) != (key == PLAIN) or not _are_numbers(gates):
        raise SevisError(f"a run of {key} lacks what was measured of its gates, or has none to measure")


def _read_divergence(entry: Mapping[str, Any]) -> Divergence:
    recipe, data, reason = (entry.get(name) for name in ("recipe", "data", "reason"))
    if not (isinstance(recipe, dict) and isinstance(data, dict) and isinstance(reason, str)):
        raise SevisError("expected the record of a run that diverged, got one whose recipe, data or reason is missing or damaged")
    return Divergence(recipe=recipe, data=data, reason=reason)


def _read_recipe(values: Mapping[str, Any]) -> Recipe:
    for name, value in values.items():
        default = _DEFAULTS.get(name)
        if type(value) not in ((int, float) if isinstance(default, float) else (type(default),)):
            raise SevisError(f"expected a recipe, got one with {str(name)[:40]}={str(value)[:40]!r}")
    if "model" not in values or "seed" not in values:
        raise SevisError("expected a recipe, got one without a model or a seed")
    return Recipe(**values)


def _are_numbers(values: Iterable[Any]) -> bool:
    """Return whether all are numbers, finite ones, and none beyond what there is to measure."""
    return all(type(value) in (int, float) and abs(value) < HIGHEST for value in values)


def _rounded(value: Any) -> Any:
    """Return the same with every number rounded."""
    if isinstance(value, Mapping):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return round(value, DIGITS) if isinstance(value, float) else value


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no number")
