"""The grid of the ablations: every variant once, and which of them stands in which row of the paper's tables 10 to 16."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import msgspec

from sevis import paper
from sevis.errors import SevisError
from sevis.paper import Printed
from sevis.recipe import DEFAULTS, Recipe

BASELINE = "SE"
PLAIN = "plain"
VARIED = ("reduction", "placement", "stages", "squeeze", "gate", "bias", "seed")  # the grid says these, whatever a recipe says
TITLES = {
    10: "Reduction ratio r",
    11: "Squeeze",
    12: "Gate",
    13: "Stages with SE",
    14: "Placement of SE",
    15: "SE behind the 3×3 convolution",
    16: "With and without the squeeze",
}


@dataclass(frozen=True)
class Variant:
    """One way to build the network.

    Attributes:
        key: its short name, such as r=8.
        changes: the options that tell it from the baseline, by their names in `sevis.recipe.Recipe`; None: the plain network.
    """

    key: str
    changes: Mapping[str, Any] | None

    @property
    def slug(self) -> str:
        """The key as it may stand in the name of a file."""
        return re.sub(r"[^A-Za-z0-9]+", "-", self.key)

    def recipe(self, base: Recipe, seed: int) -> Recipe:
        """Return what a run of the variant is told: as `base`, but for what the grid varies; without biases, as the paper's ablations.

        Raises:
            SevisError: when `base` is of a network without SE, or of one whose plain twin has no name.
        """
        plain = base.model.removeprefix("se_")
        if plain == base.model:
            raise SevisError(f"{base.model} has no SE to vary: choose a network whose name begins with se_, such as se_resnet50")
        options = {name: DEFAULTS[name] for name in VARIED} | {"seed": seed}
        changes = {"model": plain} if self.changes is None else {"bias": False, **self.changes}
        return msgspec.structs.replace(base, **{**options, **changes})


@dataclass(frozen=True)
class AblationRow:
    """A row of a table.

    Attributes:
        label: the paper's, or one like it where the paper has no such row.
        key: of the variant that is measured here.
        printed: what the paper prints, of ResNet-50 on ImageNet; None where it has no such row.
    """

    label: str
    key: str
    printed: Printed | None


@dataclass(frozen=True)
class Table:
    """One of the paper's tables 10 to 16, with the rows in its order, and behind them those that it does not have."""

    number: int
    title: str
    rows: tuple[AblationRow, ...]


def _grid() -> tuple[Variant, ...]:
    changes: dict[str, dict[str, Any] | None] = {BASELINE: {}, PLAIN: None}
    changes |= {f"r={ratio}": {"reduction": ratio} for ratio in (2, 4, 8, 32)}
    changes |= {name: {"squeeze": name} for name in ("max", "none")}
    changes |= {name: {"gate": name} for name in ("tanh", "relu")}
    changes |= {name: {"placement": name} for name in ("pre", "post", "identity", "3x3")}
    changes |= {f"stages {stages}": {"stages": stages} for stages in ("2", "3", "4", "5", "2,3,4")}
    return tuple(Variant(key, None if some is None else MappingProxyType(some)) for key, some in changes.items())


VARIANTS: tuple[Variant, ...] = _grid()  # the baseline is also r = 16, avg, sigmoid, standard, and SE in all stages
KEYS: tuple[str, ...] = tuple(variant.key for variant in VARIANTS)


def find_variant(key: str) -> Variant:
    """Return the variant of that key. Raises SevisError for one that the grid does not have, with the nearest."""
    if key not in KEYS:
        near = get_close_matches(str(key), KEYS, n=3, cutoff=0.5) or KEYS
        raise SevisError(f"there is no variant {str(key)[:40]!r}; the nearest are {', '.join(map(repr, near))}")
    return VARIANTS[KEYS.index(key)]


def tables() -> tuple[Table, ...]:
    """Return the paper's tables 10 to 16, in its order, and for every row the variant that is measured here."""
    more = {13: (AblationRow("SE Stage 5", "stages 5", None), AblationRow("SE Stages 2 to 4", "stages 2,3,4", None))}
    return tuple(
        Table(number, title, tuple(_row(entry) for entry in paper.ABLATIONS if entry.table == number) + more.get(number, ()))
        for number, title in TITLES.items()
    )


def _row(entry: paper.PrintedVariant) -> AblationRow:
    """Return a row of the paper's, and the variant that is built as it is."""
    if not entry.options:
        return AblationRow(entry.label, PLAIN, entry.printed)
    options = {**entry.options, "stages": ",".join(map(str, entry.options.get("stages", ()))) or "all"}
    changes = {name: value for name, value in options.items() if name != "bias" and value != DEFAULTS[name]}
    return AblationRow(entry.label, next(variant.key for variant in VARIANTS if variant.changes == changes), entry.printed)
