"""How good a network is, and how alive its gates are."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Score:
    """Mean cross-entropy in nats, and the fractions of images whose class is the first, or among the first five, of the logits."""

    val_loss: float
    top1: float
    top5: float


@torch.inference_mode()
def evaluate(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> Score:
    """Scores a model on batches of (input, label), in evaluation mode; the model's own mode is put back."""
    was_training = model.training
    model.eval()
    loss, first, five, count = 0.0, 0, 0, 0
    try:
        for images, labels in batches:
            logits = model(images).float()
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
            hits = logits.topk(min(5, logits.shape[1])).indices == labels[:, None]
            first += int(hits[:, 0].sum())
            five += int(hits.any(dim=1).sum())
            count += len(labels)
    finally:
        model.train(was_training)
    return Score(val_loss=loss / count, top1=first / count, top5=five / count)
