"""Work on many images in batches that fit into memory: halved when an accelerator's runs out, and at last on the CPU."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import torch
from torch import nn

from sevis.errors import SevisError
from sevis.weights.loading import ReadyModel

T = TypeVar("T")


def run_batches(
    ready: ReadyModel, count: int, work: Callable[[ReadyModel, slice], T], *, batch_size: int, say: Callable[[str], None] | None = None
) -> Iterator[T]:
    """Yield work(ready, part) for the parts of range(count), in order.

    When an accelerator's memory runs out, the same images are tried again in batches of half the size, and where not even one fits, on a
    copy of the model on the CPU, which then does the rest; the caller's model stays where it is.

    Args:
        ready: the network; `work` must run the one that it is given.
        count: how many images.
        work: runs the images of a slice; it may be called again with the beginning of the slice.
        batch_size: how many images to begin with.
        say: told in a sentence what had to be changed.
    """
    start = 0
    while start < count:
        part = slice(start, min(start + batch_size, count))
        exhausted = False
        try:
            result = work(ready, part)
        except RuntimeError as error:
            exhausted = is_exhaustion(error)
            if not exhausted:
                raise
        if exhausted:  # out here, where the error no longer holds the tensors of the failed pass
            ready, batch_size = _economise(ready, part.stop - start, say or (lambda _: None))
            continue
        yield result
        start = part.stop


def is_exhaustion(error: RuntimeError) -> bool:
    """Return whether memory ran out: an accelerator's, or that of the CPU, for which PyTorch has no class of error."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def _economise(ready: ReadyModel, batch_size: int, say: Callable[[str], None]) -> tuple[ReadyModel, int]:
    """Return what to try next, after so many images did not fit. Raises SevisError where nothing is left to try."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if batch_size > 1:
        say(f"The memory of {ready.device} does not hold {batch_size} images at once; continuing with {batch_size // 2}.")
        return ready, batch_size // 2
    if ready.device.type == "cpu":
        raise SevisError(f"one image of {ready.card.name} does not fit into memory: choose a smaller network, or close other programs")
    say(f"The memory of {ready.device} does not hold a single image; continuing on the CPU, which is slower.")
    return replace(ready, model=_on_cpu(ready.model), device=torch.device("cpu")), 1


def _on_cpu(model: nn.Module) -> nn.Module:
    """Return a copy on the CPU, for which the full device needs no memory."""
    there: dict[int, object] = {id(buffer): buffer.cpu() for buffer in model.buffers()}
    there |= {id(weight): nn.Parameter(weight.detach().cpu(), requires_grad=weight.requires_grad) for weight in model.parameters()}
    return copy.deepcopy(model, there)
