"""Made-up runs of the ablations: no network was trained for them, and no number of theirs means anything."""

import numpy as np

from sevis.ablations.grid import PLAIN, VARIANTS, find_variant
from sevis.ablations.results import Ablations
from sevis.ablations.runs import Divergence
from sevis.recipe import Recipe
from sevis.training.run_record import Run
from sevis.weights.card import Aliveness, TrainingData

BASE = Recipe(model="se_resnet50", width=0.25, size=16, epochs=2)
DATA = TrainingData(name="made-up", classes=("blue", "green", "red"), train_images=36, val_images=1000)


def make_run(key, seed=0, *, top1=0.5, std=0.1, frozen=None, base=BASE, **fields):
    """The record of a run of a variant, as if it had been trained."""
    row = {"epoch": 1, "size": 16, "train_loss": 1.23456789, "val_loss": 1.1, "top1": top1 / 2, "top5": 0.9, "seconds": 1.5}
    frozen = top1 - 0.05 if frozen is None else frozen
    gates = Aliveness(blocks={}, std_over_images=std, top1=top1, top1_frozen=frozen, top1_open=0.1)
    values = {
        "recipe": find_variant(key).recipe(base, seed),
        "data": DATA,
        "rows": (row, {**row, "epoch": 2, "top1": top1}),
        "top1": top1,
        "top5": min(1.0, top1 + 0.3),
        "gates": None if key == PLAIN else gates,
        "parameters": 1000,
        "seconds": 3.0,
        "device": "cpu",
        "torch": "2.11.0",
        "date": "2026-11-26",
    }
    return Run(**{**values, **fields})


def make_divergence(key, seed=0, *, reason="the loss became nan in step 27 of epoch 1", base=BASE, data=DATA):
    """The record of a run of a variant that came to nothing."""
    return Divergence(recipe=find_variant(key).recipe(base, seed), data=data, reason=reason)


def make_grid(seeds=3, *, spread=0.01):
    """Every variant with several seeds, whose accuracies are drawn at random."""
    rng = np.random.default_rng(0)
    centres = {variant.key: rng.uniform(0.4, 0.6) for variant in VARIANTS}
    return tuple(
        (key, make_run(key, seed, top1=round(centre + rng.normal(0, spread), 3)))
        for seed in range(seeds)
        for key, centre in centres.items()
    )


def several(**values):
    """Runs of some variants, with a top-1 accuracy for each seed."""
    return Ablations(tuple((key, make_run(key, seed, top1=value)) for key, some in values.items() for seed, value in enumerate(some)))
