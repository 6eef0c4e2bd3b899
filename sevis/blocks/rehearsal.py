"""A forward pass of a model that leaves no trace: neither in its running means nor in the random numbers that follow."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

IMAGES = 2  # that a rehearsal runs, where the model is in evaluation mode


@contextmanager
def without_trace(model: nn.Module) -> Iterator[None]:
    """Put back what a forward pass changes of a model in training, and the generators of random numbers."""
    devices = {tensor.device for tensor in (*model.parameters(), *model.buffers()) if tensor.is_cuda}
    kept = [(buffer, buffer.detach().clone()) for buffer in model.buffers()] if in_training(model) else []
    with torch.random.fork_rng(devices=[device.index for device in devices]), torch.no_grad():
        try:
            yield
        finally:
            for buffer, before in kept:
                buffer.copy_(before)


def in_training(model: nn.Module) -> bool:
    """Return whether any part of a model is in training mode."""
    return any(module.training for module in model.modules())


def few(value: Any, images: int) -> Any:
    """Return what a model is called with, with the first images only of each tensor that holds so many."""
    if isinstance(value, Tensor):
        return value[:IMAGES] if value.ndim and len(value) == images else value
    if isinstance(value, list | tuple):
        parts = [few(part, images) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if type(value) is dict:
        return {key: few(part, images) for key, part in value.items()}
    return value
