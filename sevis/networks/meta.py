"""Networks on PyTorch's meta device, where tensors have shapes but no numbers: for what can be known without computing."""

import copy

import torch
from torch import Tensor, nn

from sevis.errors import SevisError, one_line

Size = tuple[int, int, int]
LARGEST = 1024  # the side, in pixels, that a network is tried with before it is said to take no input of that kind


def meta_copy(model: nn.Module) -> nn.Module:
    """Return a copy of a model on the meta device, in evaluation mode; it takes no memory, and the model stays as it is.

    What hangs on the model's outputs, such as a caller's own hooks, sees nothing of the copy.
    """
    tensors = [*model.parameters(), *model.buffers()]
    skeleton = copy.deepcopy(model, {id(tensor): _outline(tensor) for tensor in tensors}).eval()
    for module in skeleton.modules():
        module._forward_hooks.clear()
    return skeleton


def run_meta(skeleton: nn.Module, size: Size = (3, 224, 224)) -> None:
    """Run the forward pass of a `meta_copy` for one image of that size (channels, height, width), for its hooks and counters.

    Raises:
        SevisError: for an input that the network does not take, with the smallest or next larger one that it takes.
    """
    if not isinstance(size, tuple | list) or len(size) != 3 or min(size) < 1:
        raise SevisError(f"expected channels, height and width of an input of at least one channel and one pixel, got {size}")
    reason = _complaint(skeleton, size)
    if reason:
        raise SevisError(_refusal(skeleton, size, reason))


def _outline(tensor: Tensor) -> Tensor:
    outline = tensor.detach().to("meta")
    return nn.Parameter(outline, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else outline


def _complaint(skeleton: nn.Module, size: Size) -> str:
    """Return what the forward pass says against an input of that size; empty where it takes it."""
    dtype = next((tensor.dtype for tensor in skeleton.parameters()), torch.float32)
    try:
        with torch.no_grad():
            skeleton(torch.empty(1, *size, dtype=dtype, device="meta"))
    except Exception as error:  # every library has its own class for it
        return one_line(error)
    return ""


def _refusal(skeleton: nn.Module, size: Size, reason: str) -> str:
    """Return a sentence that says which inputs the network takes instead."""
    channels, name = size[0], type(skeleton).__name__
    refusal = f"{name} takes no input of {_times(size)} ({reason})"
    if _complaint(skeleton, (channels, LARGEST, LARGEST)):
        return refusal
    fails, works = 0, LARGEST
    while works - fails > 1:
        side = (fails + works) // 2
        if _complaint(skeleton, (channels, side, side)):
            fails = side
        else:
            works = side
    if min(size[1:]) < works:
        return f"an input of {_times(size)} is too small for {name}: the smallest possible input is {channels} × {works} × {works}"
    larger = range(max(size[1:]) + 1, LARGEST + 1)  # some networks halve even sides only
    side = next((side for side in larger if not _complaint(skeleton, (channels, side, side))), works)
    return f"{refusal}: the next possible input is {channels} × {side} × {side}"


def _times(size: Size) -> str:
    return " × ".join(map(str, size))
