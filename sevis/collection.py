"""A model and labelled images become class statistics: the one place that joins them, in one pass and constant memory."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

import sevis
from sevis.class_statistics import QUANTITIES, ClassStatistics
from sevis.datasets import ImageDataset
from sevis.hooks import capture
from sevis.images import Preprocessing
from sevis.records import Record
from sevis.weights import ReadyModel


def collect(ready: ReadyModel, loader: Iterable[tuple[Tensor, Tensor]], *, classes: Sequence[str] | None = None) -> ClassStatistics:
    """Runs every batch of a loader through a model and keeps, per class, block and channel, the moments of z and s.

    Args:
        ready: the network, from `sevis.load`.
        loader: yields inputs (N, 3, S, S), as `ready.preprocess` makes them, and labels (N,); see `make_loader`.
        classes: the names of the labels; by default those of the model's outputs.

    Raises:
        SevisError: for a label without a class.
    """
    with capture(ready.model) as record, torch.inference_mode():
        channels = {site.name: site.channels for site in record.sites}
        statistics = ClassStatistics(channels, tuple(classes or ready.classes), provenance(ready))
        for images, labels in loader:
            ready.model(images.to(ready.device, non_blocking=True))
            statistics.update(labels.cpu().numpy(), gates_of(record))
    return statistics


def collect_dataset(ready: ReadyModel, dataset: ImageDataset, *, batch_size: int = 64, workers: int = 0) -> ClassStatistics:
    """`collect` over a data set, with a progress bar and the data's provenance."""
    loader = make_loader(dataset, ready.preprocess, batch_size=batch_size, workers=workers)
    statistics = collect(ready, tqdm(loader, desc=f"collecting {ready.card.name}", unit="batch"), classes=dataset.classes)
    statistics.metadata |= {"data": dataset.name, "split": dataset.split, "wnids": list(dataset.wnids), "images": len(dataset)}
    return statistics


def gates_of(record: Record) -> dict[str, dict[str, Any]]:
    """The arrays of a record that `ClassStatistics.update` takes."""
    return {site: {quantity: getattr(block, quantity).numpy() for quantity in QUANTITIES} for site, block in record.items()}


def make_loader(
    dataset: ImageDataset, preprocess: Preprocessing, *, batch_size: int = 64, workers: int = 0
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches of (inputs, labels) of a data set, in order; `workers` processes decode (0: this one)."""
    collate = partial(_collate, preprocess=preprocess)
    return DataLoader(dataset, batch_size=batch_size, num_workers=workers, collate_fn=collate)  # type: ignore[arg-type]


def _collate(pairs: list[tuple[Any, int]], *, preprocess: Preprocessing) -> tuple[Tensor, Tensor]:  # picklable, for spawned workers
    inputs = torch.stack([torch.from_numpy(preprocess(image)) for image, _ in pairs])
    return inputs, torch.tensor([label for _, label in pairs])


def provenance(ready: ReadyModel) -> dict[str, Any]:
    """What made a result: the model, its weights and preprocessing, the software and the day."""
    return {
        "model": ready.card.name,
        "weights": ready.card["sha256"],
        "preprocessing": asdict(ready.preprocess),
        "precision": str(next(ready.model.parameters()).dtype).removeprefix("torch."),
        "device": ready.device.type,
        "torch": torch.__version__.split("+")[0],
        "sevis": sevis.__version__,
        "date": datetime.now(UTC).date().isoformat(),
    }
