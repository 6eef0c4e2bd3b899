"""What python -m sevis ablate does: the runs of the grid that are missing, one after the other, and the report of those that are there.

A run that is finished, or has diverged, is a file FOLDER/VARIANT-seedN.json; one on its way is a folder of that name, from whose
checkpoint it goes on.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sevis.ablation_grid import BASELINE, KEYS, VARIED, Variant, find_variant
from sevis.ablation_records import Divergence, Record, check_alike, load_record, save_record
from sevis.ablation_report import report
from sevis.ablations import Ablations, read_ablations, shipped_path
from sevis.commands import Arguments, open_data, read_classes
from sevis.datasets import TINY_IMAGENET
from sevis.errors import Diverged, SevisError
from sevis.recipe import Recipe
from sevis.weights import pretrained_folder

if TYPE_CHECKING:
    from sevis.datasets import ImageDataset

__all__ = ["DEFAULTS", "KEYS", "VARIED", "Grid", "ablate_command", "choose_jobs"]
Job = tuple[Variant, int]  # and its seed
Data = tuple["ImageDataset", "ImageDataset"]

# Fixed on 8,000 of the 9,000 training images of the 20 classes and tested on the other 1,000, with seed 0 of the baseline: top-1 46 %, and
# 50 % after 4 epochs. Stronger augmentation, as of `train`, cost 7 points in a run so short, and 32 pixels instead of 40 cost 12.
DEFAULTS: Mapping[str, Any] = MappingProxyType({"width": 0.25, "size": 40, "epochs": 3, "batch_size": 64, "colour": 0.0, "min_area": 0.5})
ALL = "all"


def ablate_command(arguments: Arguments) -> None:
    """Makes the runs that are missing, a line a run; or prints the report."""
    if arguments.report is not None:
        file = arguments.report if arguments.report != Path() else arguments.out
        print(report(read_ablations(file)))
        return
    jobs = choose_jobs(arguments.seeds, arguments.only, arguments.part)
    base, data = _read_recipe(arguments), _open_splits(arguments)
    grid = Grid(base, data, arguments.folder, arguments.out or shipped_path())
    grid.check(jobs)
    failures = []
    for number, (variant, seed) in enumerate(jobs, start=1):
        try:
            line = grid.run(variant, seed)
        except SevisError as error:  # the others are still worth a night
            failures.append(f"{variant.key} with seed {seed}: {error}")
            line = f"failed: {error}"
        print(f"{number}/{len(jobs)} {variant.key}, seed {seed}: {line}", flush=True)
    found = grid.collect()
    diverged = f", and {len(found.diverged)} that diverged" if found.diverged else ""
    print(f"{len(found.runs)} runs are in {grid.out}{diverged}: python -m sevis ablate --report prints what they say")
    if failures:
        raise SevisError(f"{len(failures)} of {len(jobs)} runs failed, the first of them {failures[0]}")


def choose_jobs(seeds: int, only: Sequence[str] | None, part: str) -> list[Job]:
    """The runs that are asked for, seed by seed, so that all variants have one run before any has two.

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
    """

    base: Recipe
    data: Data
    folder: Path
    out: Path

    def check(self, jobs: Sequence[Job]) -> None:
        """Raises SevisError, before hours of work, for a network that cannot be built, and for runs of another recipe or other data."""
        from sevis.assembly import on_meta

        for recipe in {variant.key: variant.recipe(self.base, seed) for variant, seed in jobs}.values():
            on_meta(recipe.architecture(len(self.data[0].wnids)))
        for _, run in self.gather().everything:
            try:
                check_alike(run, self.base, self._facts())
            except SevisError as error:
                raise SevisError(f"{self.out} or {self.folder} holds other runs ({error}): name others with --out and --folder") from None

    def gather(self) -> Ablations:
        """The runs that are done. Raises SevisError where they cannot be compared, or a file is damaged."""
        known = Ablations.load(self.out) if self.out.exists() else Ablations()
        return known.with_runs(map(load_record, self._records()))

    def collect(self) -> Ablations:
        """Writes all runs that are done into `out`; again where another process has meanwhile finished one."""
        while True:
            before = self._records()
            found = self.gather()
            found.save(self.out)
            if self._records() == before:
                return found

    def run(self, variant: Variant, seed: int) -> str:
        """Makes one run, if it is not done, or goes on with it; returns what came of it in words. Raises what training raises."""
        place = self.folder / f"{variant.slug}-seed{seed}"
        done = {(key, run.recipe["seed"]): run for key, run in self.gather().everything}
        known = done.get((variant.key, seed))
        if known is not None:
            shutil.rmtree(place, ignore_errors=True)  # of a process that was killed when it had just finished
            return f"done already, {_in_words(known)}"
        run = self._train(variant.recipe(self.base, seed), place)
        save_record(place.with_suffix(".json"), variant.key, run)
        shutil.rmtree(place, ignore_errors=True)  # checkpoints that nobody needs any more
        self.collect()
        return _in_words(run)

    def _train(self, recipe: Recipe, place: Path) -> Record:
        from sevis.experiments import train_and_measure
        from sevis.training import TrainOptions

        try:
            return train_and_measure(recipe, self.data, place, options=TrainOptions(resume=True))[1]
        except Diverged as error:  # a result, too, and the same again however often it is run
            return Divergence(recipe=asdict(recipe), data=self._facts(), reason=error.reason)

    def _facts(self) -> dict[str, Any]:
        """What the record of a run says of the data."""
        training, validation = self.data
        return {"name": training.name, "classes": list(training.wnids), "train_images": len(training), "val_images": len(validation)}

    def _records(self) -> list[Path]:
        return sorted(self.folder.glob("*-seed*.json"))


def _in_words(run: Record) -> str:
    if isinstance(run, Divergence):
        return f"diverged: {run.reason}"
    alive = "" if run.gates is None else f", std of s over images {run.gates['std_over_images']:.3f}"
    return f"top-1 {run.top1:.1%}{alive}, {run.seconds:.0f} s"


def _read_recipe(arguments: Arguments) -> Recipe:
    import torch

    values = {entry.name: getattr(arguments, entry.name) for entry in fields(Recipe) if entry.name not in VARIED}
    recipe = Recipe(**values | {"bf16": torch.cuda.is_available() if arguments.bf16 is None else arguments.bf16})
    return find_variant(BASELINE).recipe(recipe, 0)


def _open_splits(arguments: Arguments) -> Data:
    """The training and the validation images of the classes that were asked for; by default 20 of Tiny ImageNet-200, all of others."""
    data = open_data(arguments, "train"), open_data(arguments, "val")
    wnids = None
    if arguments.classes is None and data[0].name == TINY_IMAGENET:
        wnids = read_classes(str(pretrained_folder() / "tiny20.txt"))
    elif arguments.classes not in (None, ALL):
        wnids = read_classes(arguments.classes)
    return data if wnids is None else (data[0].select(wnids), data[1].select(wnids))
