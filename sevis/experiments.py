"""A training run from its first step to its record: accuracy of the final weights, and how alive their gates are."""

from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import nn

from sevis.datasets import ImageDataset
from sevis.evaluation import evaluate, measure_gates
from sevis.images import Preprocessing
from sevis.pixels import evaluation_batches
from sevis.recipe import Recipe
from sevis.run_record import Run
from sevis.sites import find_sites
from sevis.training import EVALUATED, Trained, TrainOptions, train

FROZEN_OVER = 4000  # training images, at most, whose means frozen gates keep: to 0.016 of a scale's deviation over images


def train_and_measure(
    recipe: Recipe, data: tuple[ImageDataset, ImageDataset], folder: Path, *, options: TrainOptions | None = None
) -> tuple[Trained, Run]:
    """Trains as `sevis.training.train` does, and measures the final weights on the validation images, in float32.

    Frozen gates keep their means over the training images. Raises what `train` raises.
    """
    trained = train(recipe, data, folder, options=options)
    return trained, record(trained, recipe, data)


def record(trained: Trained, recipe: Recipe, data: tuple[ImageDataset, ImageDataset]) -> Run:
    """Measures the network at the end of a run."""
    model = trained.model
    device = next(model.parameters()).device
    preprocess = Preprocessing(resize=recipe.size, crop=recipe.size)
    training, validation = trained.images
    score = evaluate(model, evaluation_batches(validation, preprocess, EVALUATED))
    gates = None
    if find_sites(model):
        gates = measure_gates(
            model,
            lambda: evaluation_batches(training, preprocess, EVALUATED, per_class=max(1, FROZEN_OVER // training.num_classes)),
            lambda: evaluation_batches(validation, preprocess, EVALUATED),
        )
    return Run(
        recipe=vars(recipe),
        data={"name": data[0].name, "classes": list(data[0].wnids), "train_images": len(data[0]), "val_images": len(data[1])},
        rows=tuple(trained.rows),
        top1=score.top1,
        top5=score.top5,
        gates=gates,
        parameters=count_parameters(model),
        seconds=round(sum(row["seconds"] for row in trained.rows), 1),
        device=device_name(device),
        torch=torch.__version__.partition("+")[0],
        date=datetime.now(UTC).date().isoformat(),
    )


def count_parameters(model: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(parameter.numel() for parameter in model.parameters())


def device_name(device: torch.device) -> str:
    """What people call a device: the name of a GPU, or `cpu` and its threads, on which results depend in their last bits."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"cpu, {threads} thread{'s' if threads > 1 else ''}"
