"""Trains a network, plain or SE, with a recipe that keeps the gates alive; a killed run resumes with the last whole epoch.

Images live decoded in memory, on the GPU where there is one, and are augmented as whole batches.
"""

import csv
import io
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from sevis.augmentation import colour_jitter, mixup, random_resized_crop
from sevis.blocks import SqueezeExcitation
from sevis.datasets import ImageDataset
from sevis.errors import SevisError
from sevis.evaluation import evaluate
from sevis.files import replace_file
from sevis.images import Preprocessing
from sevis.networks import build
from sevis.recipe import Recipe


@dataclass(frozen=True)
class Pixels:
    """Images decoded into memory: uint8 of shape (N, 3, S, S), and their labels (N,), out of `num_classes`."""

    images: Tensor
    labels: Tensor
    num_classes: int

    @classmethod
    def decode(cls, dataset: ImageDataset, preprocess: Preprocessing, device: torch.device) -> "Pixels":
        """Reads every image of a data set, as the network will see it before normalisation."""
        side = preprocess.crop
        images = np.empty((len(dataset), side, side, 3), dtype=np.uint8)
        for index in tqdm(range(len(dataset)), desc=f"reading {dataset.split or dataset.name}", leave=False):
            images[index] = preprocess.view(dataset[index][0])
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        return cls(pixels.to(device), torch.tensor(dataset.labels, device=device), len(dataset.wnids))

    def batches(self, preprocess: Preprocessing, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised float batches in order, for evaluation."""
        for images, labels in zip(torch.split(self.images, size), torch.split(self.labels, size), strict=True):
            yield normalise(images.float() / 255, preprocess), labels


def normalise(images: Tensor, preprocess: Preprocessing) -> Tensor:
    """Subtracts the mean and divides by the standard deviation: values in 0..1, shape (N, 3, H, W)."""
    mean = torch.tensor(preprocess.mean, device=images.device)[:, None, None]
    std = torch.tensor(preprocess.std, device=images.device)[:, None, None]
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


def build_model(recipe: Recipe, num_classes: int) -> nn.Module:
    """The recipe's network with fresh weights, the same for the same seed; PyTorch's global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return build(recipe.model, num_classes=num_classes, width=recipe.width, stem=recipe.stem, reduction=recipe.reduction)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for the convolutions and the classifier only.

    None on norms and biases, and none on the two projections of an SE block: with it they shrink, and every gate dies at sigmoid(0) = 0.5.
    """
    gates = {id(p) for m in model.modules() if isinstance(m, SqueezeExcitation) for p in m.parameters()}
    decayed = [p for p in model.parameters() if p.ndim > 1 and id(p) not in gates]
    kept = {id(p) for p in decayed}
    free = [p for p in model.parameters() if id(p) not in kept]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


def train(
    recipe: Recipe,
    data: tuple[ImageDataset, ImageDataset],
    folder: Path,
    *,
    resume: bool = False,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
) -> tuple[nn.Module, list[dict[str, float]]]:
    """Trains the recipe's network; returns it, in evaluation mode, and the rows of its log, one an epoch.

    After every epoch `folder` holds checkpoint.pt and log.csv, each replaced as a whole. The randomness of an epoch depends only on the
    seed and the epoch's number, so a resumed run goes on as the uninterrupted one would have.

    Args:
        recipe: what to do.
        data: the training and the validation images, with the same classes.
        folder: where the checkpoint and the log go.
        resume: go on from the checkpoint in `folder`, if there is one.
        on_epoch: called after every epoch with its row of the log.

    Raises:
        SevisError: when the two data sets differ in their classes, or the checkpoint belongs to another recipe or other data.
    """
    if data[0].wnids != data[1].wnids:
        raise SevisError("the training and the validation images have different classes")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    preprocess = Preprocessing(resize=recipe.size, crop=recipe.size)
    model = build_model(recipe, len(data[0].wnids)).to(device)
    model = model.to(memory_format=torch.channels_last)
    groups = parameter_groups(model, recipe.weight_decay)
    optimizer = torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
    if not resume and (folder / "checkpoint.pt").exists():
        raise SevisError(f"{folder} holds a run already: go on with it (--resume), or train into another folder (--folder)")
    facts = _facts(recipe, data[0])
    rows = _restore(folder, facts, model, optimizer) if resume else []
    training, validation = (Pixels.decode(part, preprocess, device) for part in data)
    steps = len(split_batches(training.labels, recipe.batch_size))
    with tqdm(total=recipe.epochs * steps, initial=len(rows) * steps, unit="step", desc=recipe.model) as bar:
        for epoch in range(len(rows), recipe.epochs):
            started = time.perf_counter()
            loss = _run_epoch(model, optimizer, training, recipe=recipe, epoch=epoch, bar=bar)
            score = evaluate(model, validation.batches(preprocess, 256))
            if not math.isfinite(loss):
                raise SevisError(f"the loss became {loss} in epoch {epoch + 1}: lower the learning rate ({recipe.learning_rate})")
            seconds = time.perf_counter() - started
            rows.append({"epoch": epoch + 1, "train_loss": loss, **asdict(score), "seconds": round(seconds, 2)})
            bar.set_postfix(loss=f"{loss:.3f}", top1=f"{score.top1:.3f}")
            _save(folder, facts, model, optimizer, rows)
            if on_epoch:
                on_epoch(rows[-1])
    return model.eval(), rows


def split_batches(order: Tensor, size: int) -> list[Tensor]:
    """Splits (N,) into consecutive batches of `size`; a last one of a single image joins the one before it.

    In training, batch norm needs more than one value a channel, and the last maps of a small image hold one each.
    """
    batches = list(torch.split(order, size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _run_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, data: Pixels, *, recipe: Recipe, epoch: int, bar: Any) -> float:
    """One pass over the training images; returns the mean loss."""
    rng = np.random.default_rng((recipe.seed, epoch))
    preprocess = Preprocessing(resize=recipe.size, crop=recipe.size)
    device = data.labels.device
    order = torch.from_numpy(rng.permutation(len(data.labels))).to(device)
    batches = split_batches(order, recipe.batch_size)
    total = torch.zeros((), device=device)
    model.train()
    for number, chosen in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(epoch * len(batches) + number, recipe.epochs * len(batches))
        images = random_resized_crop(data.images[chosen].float() / 255, recipe.size, min_area=recipe.min_area, rng=rng)
        targets = F.one_hot(data.labels[chosen], data.num_classes).float()
        if recipe.colour:
            images = colour_jitter(images, recipe.colour, rng=rng)
        if recipe.mixup:
            images, targets = mixup(images, targets, recipe.mixup, rng=rng)
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.bf16):
            logits = model(normalise(images, preprocess))
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.detach() * len(chosen)
        bar.update()
    return float(total) / len(order)


def _facts(recipe: Recipe, dataset: ImageDataset) -> dict[str, dict[str, Any]]:
    """What a resumed run must have in common with the one that wrote the checkpoint."""
    return {"recipe": asdict(recipe), "data": {"classes": list(dataset.wnids), "number of training images": len(dataset)}}


def _save(
    folder: Path, facts: dict[str, dict[str, Any]], model: nn.Module, optimizer: torch.optim.Optimizer, rows: list[dict[str, float]]
) -> None:
    state = {**facts, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "rows": rows}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    replace_file(folder / "checkpoint.pt", buffer.getvalue())
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    replace_file(folder / "log.csv", text.getvalue().encode())


def _restore(folder: Path, facts: dict[str, dict[str, Any]], model: nn.Module, optimizer: torch.optim.Optimizer) -> list[dict[str, float]]:
    path = folder / "checkpoint.pt"
    if not path.exists():
        return []
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        for part, values in facts.items():
            differing = [name for name, value in values.items() if state[part].get(name) != value]
            if differing:
                raise SevisError(
                    f"{path} belongs to another run, whose {part} differs in {', '.join(differing)}: "
                    "repeat the command it was started with, or train into another folder"
                )
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return list(state["rows"])
    except SevisError:
        raise
    except Exception as error:  # a damaged archive raises whatever its damage leads to
        raise SevisError(f"{path} cannot be read ({type(error).__name__}): delete it to start again") from error
