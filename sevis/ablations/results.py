"""The paper's ablations measured here: every run in one file, and what the seeds of each variant say together. No torch.

`sevis.ablations.grid` says which variants there are, `sevis.ablations.agreement` whether they compare as the paper's.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import msgspec

from sevis.ablations.grid import BASELINE, KEYS, find_variant
from sevis.ablations.runs import AGAIN, Divergence, Record, as_record, base_recipe, check_alike, check_run, from_record, read_json
from sevis.analysis.intervals import Interval, student
from sevis.errors import SevisError
from sevis.files import replace_file
from sevis.recipe import Recipe
from sevis.settings import find_file
from sevis.training.run_record import Run

DIGITS = 9  # behind the point, of what is averaged
FILE = "ablations.json"
FORMAT: Literal["sevis-ablations-1"] = "sevis-ablations-1"


class _AblationsFile(msgspec.Struct, frozen=True, kw_only=True):
    """The file of all runs; `diverged` is missing in older ones."""

    format: Literal["sevis-ablations-1"]
    runs: list[dict[str, Any]]
    diverged: list[dict[str, Any]] = []


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: in the unit of what was averaged.
        interval: at 95 %, by Student's t: where the mean over ever more seeds would lie, on the same images; None
            for a single seed, and where all seeds gave the same.
        seeds: over how many it is.
    """

    mean: float
    interval: Interval | None
    seeds: int

    @property
    def sign(self) -> int:
        """Return 1 or -1 where the whole interval lies above or below zero, else 0: too noisy to tell."""
        return 0 if self.interval is None else int(self.interval[0] > 0) - int(self.interval[1] < 0)

    def negated(self) -> "Estimate":
        """Return the mean of the opposite of what was averaged."""
        return Estimate(-self.mean, None if self.interval is None else (-self.interval[1], -self.interval[0]), self.seeds)


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What the runs of one variant say together.

    Attributes:
        key: the variant's.
        error: the top-1 error on the validation images, in percent.
        difference: its top-1 error minus the baseline's, in points, paired by seed; None of the baseline, and without a seed in common.
        alive: the standard deviation over images of the scales s, mean over channels and blocks; None of the plain network.
        freezing: the points of top-1 lost when every scale is held at its mean over the training images; None of the plain network.
        parameters: of the network.
    """

    key: str
    error: Estimate
    difference: Estimate | None
    alive: Estimate | None
    freezing: Estimate | None
    parameters: int


@dataclass(frozen=True)
class Ablations:
    """Runs of the grid, which differ in nothing but variant and seed.

    Attributes:
        runs: the key of the variant and the run; no seed of a variant twice.
        diverged: the same of those that came to nothing.

    Raises:
        SevisError: for runs that cannot be compared: of an unknown variant, of another variant than they are called, with another recipe or
            other data than the first, or with the same seed twice.
    """

    runs: tuple[tuple[str, Run], ...] = ()
    diverged: tuple[tuple[str, Divergence], ...] = ()

    def __post_init__(self) -> None:
        seen = set()
        for key, run in self.everything:
            check_run(key, run)
            check_alike(run, base_recipe(self.everything[0][1]), self.everything[0][1].data)
            if (key, run.recipe.seed) in seen:
                raise SevisError(f"there are two runs of {key} with seed {run.recipe.seed}: keep one of them")
            seen.add((key, run.recipe.seed))

    @property
    def everything(self) -> tuple[tuple[str, Record], ...]:
        """Return the runs, and behind them those that diverged."""
        return (*self.runs, *self.diverged)

    @cached_property
    def base(self) -> Recipe:
        """Return the recipe of the baseline with seed 0. Raises SevisError where there is no run."""
        if not self.runs:
            raise SevisError("there is no run yet: make runs with python -m sevis ablate")
        return base_recipe(self.runs[0][1])

    @cached_property
    def _by_key(self) -> Mapping[str, Mapping[int, Run]]:
        found: dict[str, dict[int, Run]] = {key: {} for key in KEYS}
        for key, run in self.runs:
            found[key][run.recipe.seed] = run
        return found

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the variants that there are runs of, in the order of the grid."""
        return tuple(key for key in KEYS if self._by_key[key])

    def seeds(self, key: str) -> Mapping[int, Run]:
        """Return the runs of a variant by their seeds; empty where there are none. Raises SevisError for an unknown variant."""
        return self._by_key[find_variant(key).key]

    def reasons(self, key: str) -> Mapping[int, str]:
        """Return why runs of a variant diverged, by their seeds; empty where none did. Raises SevisError for an unknown variant."""
        wanted = find_variant(key).key
        return {run.recipe.seed: run.reason for name, run in self.diverged if name == wanted}

    def differences(self, key: str, other: str) -> list[float]:
        """Return the top-1 error of a variant minus that of another, in points, of each seed that both have."""
        first, second = self.seeds(key), self.seeds(other)
        return _rounded(100 * (second[seed].top1 - first[seed].top1) for seed in sorted(first) if seed in second)

    def difference(self, key: str, other: str) -> Estimate | None:
        """Return the mean of `differences`; None where there is no seed that both have."""
        return _estimate(self.differences(key, other))

    def summary(self, key: str) -> Summary | None:
        """Return what the runs of a variant say together; None where there are none. Raises SevisError for an unknown variant."""
        runs = list(self.seeds(key).values())
        error = _estimate([100 * (1 - run.top1) for run in runs])
        if error is None:
            return None
        gates = [run.gates for run in runs if run.gates is not None]
        return Summary(
            key=key,
            error=error,
            difference=None if key == BASELINE else self.difference(key, BASELINE),
            alive=_estimate([part.std_over_images for part in gates]),
            freezing=_estimate([100 * (part.top1 - part.top1_frozen) for part in gates]),
            parameters=runs[0].parameters,
        )

    def with_runs(self, more: Iterable[tuple[str, Record]]) -> "Ablations":
        """Return these runs, and those of `more` whose variant and seed are not among them. Seed by seed, those that diverged for
        themselves.

        Raises SevisError where they cannot be compared.
        """
        known = {(key, run.recipe.seed) for key, run in self.everything}
        added = [(key, run) for key, run in more if (key, run.recipe.seed) not in known]
        found = sorted((*self.everything, *added), key=lambda entry: (entry[1].recipe.seed, KEYS.index(entry[0])))
        return Ablations(
            tuple((key, run) for key, run in found if isinstance(run, Run)),
            tuple((key, run) for key, run in found if isinstance(run, Divergence)),
        )

    def save(self, path: str | Path) -> None:
        """Write a JSON file, a line a run, as a whole or not at all; the curves and what was measured of gates are rounded."""
        runs, diverged = (",\n".join(json.dumps(as_record(key, run)) for key, run in some) for some in (self.runs, self.diverged))
        replace_file(Path(path), f'{{"format": "{FORMAT}", "runs": [\n{runs}\n], "diverged": [\n{diverged}\n]}}\n'.encode())

    @classmethod
    def load(cls, path: str | Path) -> "Ablations":
        """Read what `save` wrote. Raises SevisError for a file that is missing, damaged, of another format, or of what differs."""
        stored = read_json(Path(path), _AblationsFile)
        try:
            return cls().with_runs([from_record(entry) for entry in (*stored.runs, *stored.diverged)])
        except SevisError as error:
            raise SevisError(f"{path} is damaged ({error}): {AGAIN}") from None


def find_ablations() -> Path:
    """Return where the measured ablations are read: the user's, which hold those that ship, or these."""
    return find_file(FILE)


def read_ablations(path: str | Path | None = None) -> Ablations:
    """Return the measured ablations of `find_ablations`, or those of another file. Raises SevisError as `Ablations.load`."""
    return Ablations.load(path or find_ablations())


def _estimate(values: Sequence[float]) -> Estimate | None:
    return Estimate(fmean(values), student(_rounded(values)), len(values)) if values else None


def _rounded(values: Iterable[float]) -> list[float]:
    """Return the values so that those are equal that differ by the computer's rounding only."""
    return [round(value, DIGITS) for value in values]
