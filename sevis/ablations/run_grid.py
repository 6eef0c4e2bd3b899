"""Makes the runs that are missing."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sevis.ablations.grid import KEYS, Variant, find_variant
from sevis.ablations.results import Ablations
from sevis.ablations.runs import Divergence, Record, check_alike, load_record, save_record
from sevis.errors import Diverged, SevisError
from sevis.recipe import Recipe
from sevis.training.run_record import describe_data

if TYPE_CHECKING:
    from sevis.data.datasets import ImageDataset


Job = tuple[Variant, int]  # and its seed


Data = tuple["ImageDataset", "ImageDataset"]


def choose_jobs(seeds: int, only: Sequence[str] | None, part: str) -> list[Job]:
    """Return the runs that are asked for, seed by seed, so that all variants have one run before any has two.

    Args:
        seeds: how many of each variant, at least 1.
        only: the keys of the variants; None: all.
        part: such as 2/3, the second of three parts.

    Raises:
        SevisError: for an unknown variant, or a part that there is not.
    """
    number, slash, count = part.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise SevisError(f"expected a part such as 1/2 or 2/2, got {part!r}")
    variants = [find_variant(key) for key in dict.fromkeys(only or KEYS)]
    return [(variant, seed) for seed in range(seeds) for variant in variants][int(number) - 1 :: int(count)]


@dataclass(frozen=True)
class Grid:
    """Runs that differ in nothing but variant and seed.

    Attributes:
        base: the recipe of the baseline.
        data: the training and the validation images.
        folder: where each finished run is a file, and each that is on its way a folder.
        out: the file of all runs.
        known: a file of runs that count as done, where `out` is not there yet.
    """

    base: Recipe
    data: Data
    folder: Path
    out: Path
    known: Path | None = None

    def check(self, jobs: Sequence[Job]) -> None:
        """Raise SevisError, before hours of work, for a network that cannot be built, and for runs of another recipe or other data."""
        from sevis.networks import libraries

        for recipe in {variant.key: variant.recipe(self.base, seed) for variant, seed in jobs}.values():
            libraries.read(recipe.architecture(len(self.data[0].wnids))).on_meta()
        for _, run in self.gather().everything:
            try:
                check_alike(run, self.base, describe_data(self.data))
            except SevisError as error:
                raise SevisError(
                    f"{self.out} or {self.folder} holds other runs ({error}): name other places with --out and --folder"
                ) from None

    def gather(self) -> Ablations:
        """Return the runs that are done. Raises SevisError where they cannot be compared, or a file is damaged."""
        before = self.out if self.out.exists() or self.known is None else self.known
        known = Ablations.load(before) if before.exists() else Ablations()
        return known.with_runs(map(load_record, self._records()))

    def collect(self) -> Ablations:
        """Write all runs that are done into `out`; again where another process has meanwhile finished one."""
        while True:
            before = self._records()
            found = self.gather()
            found.save(self.out)
            if self._records() == before:
                return found

    def run(self, variant: Variant, seed: int) -> str:
        """Make one run, if it is not done, or go on with it; return what came of it in words. Raises what training raises."""
        folder = self.folder / f"{variant.slug}-seed{seed}"
        done = {(key, run.recipe.seed): run for key, run in self.gather().everything}
        known = done.get((variant.key, seed))
        if known is not None:
            shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed when it had just finished
            return f"done already, {_in_words(known)}"
        run = self._train(variant.recipe(self.base, seed), folder)
        save_record(folder.with_suffix(".json"), variant.key, run)
        shutil.rmtree(folder, ignore_errors=True)  # checkpoints that nobody needs any more
        self.collect()
        return _in_words(run)

    def _train(self, recipe: Recipe, folder: Path) -> Record:
        from sevis.training.training import TrainOptions, train_and_measure

        try:
            return train_and_measure(recipe, self.data, folder, options=TrainOptions(resume=True))[1]
        except Diverged as error:  # a result, too, and the same again however often it is run
            return Divergence(recipe=recipe, data=describe_data(self.data), reason=error.reason)

    def _records(self) -> list[Path]:
        return sorted(self.folder.glob("*-seed*.json"))


def _in_words(run: Record) -> str:
    if isinstance(run, Divergence):
        return f"diverged: {run.reason}"
    alive = "" if run.gates is None else f", std of s over images {run.gates.std_over_images:.3f}"
    return f"top-1 {run.top1:.1%}{alive}, {run.seconds:.0f} s"
