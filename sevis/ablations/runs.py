"""The record of one run of the grid, and whether it is what it says: it may come from anyone."""

import json
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from sevis.ablations.grid import PLAIN, VARIANTS, find_variant
from sevis.errors import UNREADABLE, SevisError, one_line
from sevis.files import replace_file
from sevis.recipe import Recipe
from sevis.training.run_record import Run
from sevis.weights.card import TrainingData

LARGEST = 64 * 2**20  # bytes of a file that is read; that of the whole grid has less than one MB
DIGITS = 5  # behind the point, of what is measured in the course of a run
AGAIN = "make it again with python -m sevis ablate"
CURVE = {"epoch", "train_loss", "val_loss", "top1", "top5"}  # what a row of a run's log has, at least
DATA = ("classes", "train_images", "val_images")  # what two runs must have in common
REASON = r"\A[A-Za-z0-9 ,.-]{1,200}\Z"  # why a run diverged: told on a page, where other signs might be Markdown


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """A run that came to nothing, because its loss or its weights were no longer numbers.

    Attributes:
        recipe, data: as those of a `sevis.training.run_record.Run`.
        reason: what was no longer a number, and since when: a clause.
    """

    recipe: Recipe
    data: TrainingData
    reason: Annotated[str, msgspec.Meta(pattern=REASON)]


Record = Run | Divergence
T = TypeVar("T")


def as_record(key: str, run: Record) -> dict[str, Any]:
    """Return a run and the key of its variant, for `json`; the course of the run and its gates are rounded."""
    values = {"variant": key, **msgspec.to_builtins(run)}
    return values | {name: _rounded(values[name]) for name in ("rows", "gates") if name in values}


def from_record(entry: dict[str, Any]) -> tuple[str, Record]:
    """Return what `as_record` was given. Raises SevisError for what is no such record, or a run of another variant."""
    try:
        run = msgspec.convert(entry, Divergence) if "reason" in entry else msgspec.convert(entry, Run)
    except UNREADABLE as error:
        raise SevisError(f"expected the record of a training run: {one_line(error)}") from None
    if not {"model", "seed"} <= entry["recipe"].keys():  # which may not be guessed, as an option that an older version did not have
        raise SevisError("expected the record of a training run, got one whose recipe lacks the model or the seed")
    key = str(entry.get("variant"))
    check_run(key, run)
    return key, run


def save_record(path: Path, key: str, run: Record) -> None:
    """Write the record of a run as a file of its own, as a whole or not at all."""
    replace_file(path, (json.dumps(as_record(key, run), indent=1) + "\n").encode())


def load_record(path: Path) -> tuple[str, Record]:
    """Read what `save_record` wrote. Raises SevisError for a file that is missing or damaged."""
    entry = read_json(path, dict[str, Any])
    try:
        return from_record(entry)
    except SevisError as error:
        raise SevisError(f"{path} is damaged ({one_line(error)}): delete it, and {AGAIN}") from None


def read_json(path: Path, kind: type[T]) -> T:
    """Return what a JSON file of that type holds. Raises SevisError for one that is missing, too large, or of another type."""
    try:
        if path.stat().st_size > LARGEST:
            raise SevisError(f"{path} is too large: expected the runs of the ablations, in less than {LARGEST // 2**20} MB")
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise SevisError(f"there are no ablations at {path}: make them with python -m sevis ablate") from None
    except OSError as error:
        raise SevisError(f"{path} cannot be read ({error.strerror or one_line(error)}): name a file that you may read") from None
    except (ValueError, RecursionError) as error:
        raise SevisError(f"{path} is damaged ({one_line(error)}): {AGAIN}") from None


def base_recipe(run: Record) -> Recipe:
    """Return the recipe of the baseline, with seed 0, of which a run's is a variant."""
    model = f"se_{run.recipe.model.removeprefix('se_')}"
    return VARIANTS[0].recipe(msgspec.structs.replace(run.recipe, model=model), 0)


def check_run(key: str, run: Record) -> None:
    """Raise SevisError for a run that is not of the variant that it is called, or was not measured as one."""
    if find_variant(key).recipe(base_recipe(run), run.recipe.seed) != run.recipe:
        raise SevisError(f"the key of a run is {key}, but its recipe is that of another variant")
    if isinstance(run, Divergence):
        return
    if not run.rows or not all(row.keys() >= CURVE for row in run.rows):
        raise SevisError(f"a run of {key} has no curve, or a damaged curve")
    if (run.gates is None) != (key == PLAIN):
        raise SevisError(f"a run of {key} lacks the measurements of its gates, or has some although it has no gates")


def check_alike(run: Record, base: Recipe, data: TrainingData) -> None:
    """Raise SevisError for a run that cannot be compared with others, because it differs from them in more than variant and seed.

    Args:
        run: one that `check_run` accepts.
        base: the baseline's recipe, with seed 0, of the others.
        data: what their records say of the data.
    """
    here, there = msgspec.structs.asdict(base_recipe(run)), msgspec.structs.asdict(base)
    differing = [f"{name} is {there[name]!r} in one run and {here[name]!r} in another" for name in here if here[name] != there[name]]
    differing += [f"the {name.replace('_', ' ')} differ" for name in DATA if getattr(run.data, name) != getattr(data, name)]
    if differing:
        raise SevisError(f"the runs cannot be compared: {differing[0]}")


def _rounded(value: Any) -> Any:
    """Return the same with every number rounded."""
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return round(value, DIGITS) if isinstance(value, float) else value
