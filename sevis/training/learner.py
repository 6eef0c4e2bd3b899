"""A network with its optimizer: one training step, and all that a step changes."""

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel
from torch.utils import deterministic as determinism

from sevis.blocks.block import SqueezeExcitation
from sevis.data.pixels import normalise
from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.networks.initialisation import building
from sevis.networks.libraries.sevis_library import build
from sevis.recipe import Recipe
from sevis.training.augmentation import augment, check_installed, seeded


def build_model(recipe: Recipe, num_classes: int) -> nn.Module:
    """Return the recipe's network with fresh weights, the same for the same seed; PyTorch's global generator stays as it was."""
    with building():
        torch.default_generator.manual_seed(recipe.seed)
        return build(**recipe.architecture(num_classes).arguments())


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return the parameters in two groups: weight decay is for the convolutions and the classifier only.

    None on norms and biases, and none on the two projections of an SE block: with it they shrink, and every gate dies at sigmoid(0) = 0.5.
    """
    gates = {p for m in model.modules() if isinstance(m, SqueezeExcitation) for p in m.parameters()}
    decayed = [p for p in model.parameters() if p.ndim > 1 and p not in gates]
    free = [p for p in model.parameters() if p.ndim <= 1 or p in gates]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]


class Learner:
    """A network that learns by a recipe; in each of several processes there is one, and all hold the same parameters."""

    def __init__(self, recipe: Recipe, num_classes: int, *, device: torch.device, world: int = 1) -> None:
        """Build the network on `device`; `world` is the number of processes. Raises SevisError for batches too small for so many."""
        if recipe.sync_bn and device.type != "cuda":
            raise SevisError("sync_bn needs GPUs, and there is none here: leave --sync-bn out")
        if recipe.batch_size < 2 * world:
            raise SevisError(f"expected a batch_size of at least 2 images for each of {world} processes, got {recipe.batch_size}")
        check_installed(recipe)
        self.recipe, self.num_classes, self.device = recipe, num_classes, device
        self.preprocess = Preprocessing.square(recipe.size)
        model = build_model(recipe, num_classes).to(device)
        if recipe.sync_bn and world > 1:
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        self.model = model.to(memory_format=torch.channels_last)
        groups = parameter_groups(model, recipe.weight_decay)
        self.optimizer = torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0)
        self.average = AveragedModel(model, multi_avg_fn=_decay(recipe.ema), use_buffers=True) if recipe.ema else None
        self._drops = any(isinstance(module, nn.Dropout) for module in model.modules())
        network: nn.Module = self.model
        if world > 1:
            network = DistributedDataParallel(network, device_ids=[device.index] if device.type == "cuda" else None)
        self._network = torch.compile(network) if recipe.compile else network

    def step(self, images: Tensor, labels: Tensor, *, rate: float, side: int, share: float, rng: np.random.Generator) -> Tensor:
        """Take one step of SGD on this process's images of a batch.

        Args:
            images: uint8, shape (N, 3, H, W).
            labels: shape (N,).
            rate: the learning rate.
            side: of the views, in pixels.
            share: what one image counts: the number of processes, divided by the images of the whole batch.
            rng: of the augmentation.

        Returns:
            The sum of the losses of these images, in nats, on the device.
        """
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        views, targets = augment(images, labels, recipe=self.recipe, side=side, num_classes=self.num_classes, rng=rng)
        gpus = [self.device] if self.device.type == "cuda" else []
        dropping = seeded(rng, *gpus) if self._drops else nullcontext()
        with dropping, torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.bf16):
            logits = self._network(normalise(views, self.preprocess))
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=self.recipe.label_smoothing, reduction="sum")
        self.optimizer.zero_grad(set_to_none=True)
        (loss * share).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return loss.detach()

    def sound(self) -> bool:
        """Return whether all weights and running statistics are finite numbers."""
        return bool(torch.stack([value.isfinite().all() for value in self.model.state_dict().values()]).all())

    def result(self) -> nn.Module:
        """Return the network as it is used: in evaluation mode, and the average of its weights where the recipe keeps one."""
        result = self.model if self.average is None else self.average.module
        return result.eval()

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds of it."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        return state if self.average is None else state | {"ema": self.average.state_dict()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take the state of another learner with the same recipe."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        if self.average is not None:
            self.average.load_state_dict(state["ema"])


def _decay(decay: float) -> Any:
    """Return the rule of the average (EMA): it follows quickly at first, for the fresh weights are not worth keeping."""

    def update(averaged: list[Tensor], current: list[Tensor], number: Tensor) -> None:
        weight = 1 - torch.clamp((1 + number) / (10 + number), max=decay)  # on the device, for reading it would wait for a GPU
        for kept, new in zip(averaged, current, strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, weight.to(kept.dtype))
            else:  # the counters of batch norm
                kept.copy_(new)

    return update


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Make a GPU compute the same in every run, inside; PyTorch warns of what it cannot. A CPU does so anyway, with the same threads."""
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    filled = determinism.fill_uninitialized_memory  # type: ignore[attr-defined]
    determinism.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # it would cost time, and nothing reads such memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        determinism.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
