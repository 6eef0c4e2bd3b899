"""How good a network is, and how alive its gates are."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sevis.blocks.hooks import capture, override
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError
from sevis.experiments.collection import gates_of
from sevis.experiments.ready import refuse_training
from sevis.weights.card import Aliveness, BlockAliveness

Batches = Iterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy in nats, and the fractions of images whose class is the first, or among the first five, of the logits."""

    val_loss: float
    top1: float
    top5: float


def evaluate(model: nn.Module, batches: Batches) -> Score:
    """Score a model on batches of (input, label).

    Raises:
        SevisError: when there is no image, and for a model in training mode.
    """
    refuse_training(model, "the model")
    loss, first, five, count = 0.0, 0, 0, 0
    with torch.inference_mode():
        for images, labels in batches:
            logits = model(images).float()
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
            hits = logits.topk(min(5, logits.shape[1])).indices == labels[:, None]
            first += int(hits[:, 0].sum())
            five += int(hits.any(dim=1).sum())
            count += len(labels)
    if not count:
        raise SevisError("there is no image to evaluate on")
    return Score(val_loss=loss / count, top1=first / count, top5=five / count)


def gate_moments(model: nn.Module, batches: Batches) -> ClassStatistics:
    """Return the moments of z and s over all images, as statistics of a single class. Raises SevisError for a model in training mode."""
    refuse_training(model, "the model")
    with torch.inference_mode(), capture(model) as record:
        statistics = ClassStatistics({site.name: site.channels for site in record.sites}, ("all",))
        for images, _ in batches:
            model(images)
            statistics.update(np.zeros(len(images), dtype=np.int64), gates_of(record))
    return statistics


def measure_gates(model: nn.Module, train: Callable[[], Batches], val: Callable[[], Batches]) -> Aliveness:
    """Measure how alive the gates are: how far they move over images, and what the network loses when they may not.

    A frozen gate keeps its mean over the training images (never those it is tested on); an open gate is 1.

    Args:
        model: a network with SE blocks, in evaluation mode.
        train, val: make batches of (input, label) anew. For the means a part of the training images will do, if it holds as many of each
            class: 10,000 images give a mean to 0.01 of its standard deviation. `ImageDataset.first` takes such a part.
    """
    moments = gate_moments(model, val())
    trained = gate_moments(model, train())
    means = {site: trained.overall_mean(site) for site in trained.sites}
    blocks = {}
    for site in moments.sites:
        mean = moments.overall_mean(site)
        blocks[site] = BlockAliveness(
            mean=float(mean.mean()),
            spread=float(mean.std()),
            std_over_images=float(moments.overall_std(site).mean()),
            top1_frozen=_top1(model, val(), {site: means[site]}),
        )
    return Aliveness(
        blocks=blocks,
        std_over_images=float(np.mean([block.std_over_images for block in blocks.values()])),
        top1=evaluate(model, val()).top1,
        top1_frozen=_top1(model, val(), {**means}),
        top1_open=_top1(model, val(), dict.fromkeys(means, 1.0)),
        frozen_over=int(trained.count.sum()),
    )


def _top1(model: nn.Module, batches: Batches, scales: dict[str, Any]) -> float:
    with override(model, scales):
        return evaluate(model, batches).top1
