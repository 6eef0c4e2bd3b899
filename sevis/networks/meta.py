"""Networks on PyTorch's meta device, where tensors have shapes but no numbers: for what can be known without computing."""

import copy
from numbers import Integral

import torch
from torch import Tensor, nn

from sevis.errors import SevisError, one_line

Size = tuple[int, ...]  # of one input: its channels and its places
PLACES = {1: "length", 2: "height, width", 3: "depth, height, width"}
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
# The length, or the side, that a network is tried with before it is said to take no input of that kind.
LARGEST = {1: 2**20, 2: 1024, 3: 1024}


def default_size(model: nn.Module) -> Size:
    """Return the size of an input to try a network with, as its first convolution suggests: 224 a side, or a sequence of 16,000."""
    first = _first_convolution(model)
    if first is None:
        return (3, 224, 224)
    return (first.in_channels, 16_000) if isinstance(first, nn.Conv1d) else (first.in_channels, *[224] * len(first.kernel_size))


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
    """Run the forward pass of a `meta_copy` for one input of that size, for its hooks and counters.

    Args:
        skeleton: the `meta_copy`.
        size: channels and length, channels, height and width, or channels, depth, height and width: the input's shape without the batch.

    Raises:
        SevisError: for an input that the network does not take, with the smallest or next larger one that it takes.
    """
    if not _is_size(size):
        raise SevisError(
            "expected channels, height and width of an input of at least one channel and one pixel (channels and length of a sequence, "
            f"channels, depth, height and width of a volume), got {size}"
        )
    reason = try_meta(skeleton, size)
    if reason:
        raise SevisError(_refusal(skeleton, size, reason))


def try_meta(skeleton: nn.Module, size: Size) -> str:
    """Return what the forward pass of a `meta_copy` says against an input of that size; empty where it takes it."""
    dtype = next((tensor.dtype for tensor in skeleton.parameters()), torch.float32)
    try:
        with torch.no_grad():
            skeleton(torch.empty(1, *size, dtype=dtype, device="meta"))
    except Exception as error:  # every library has its own class for it
        return one_line(error)
    return ""


def _is_size(size: object) -> bool:
    """Return whether it is a sequence of whole numbers above zero, of Python or of NumPy."""
    return isinstance(size, tuple | list) and bool(size) and all(isinstance(side, Integral) and int(side) > 0 for side in size)


def _outline(tensor: Tensor) -> Tensor:
    outline = tensor.detach().to("meta")
    return nn.Parameter(outline, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else outline


def _first_convolution(model: nn.Module) -> nn.Conv1d | nn.Conv2d | nn.Conv3d | None:
    return next((module for module in model.modules() if isinstance(module, CONVOLUTIONS)), None)


def _refusal(skeleton: nn.Module, size: Size, reason: str) -> str:
    """Return a sentence that says which inputs the network takes instead."""
    channels, dimensions, name = size[0], len(size) - 1, type(skeleton).__name__
    first = _first_convolution(skeleton)
    if first and len(first.kernel_size) != dimensions:
        expected = f"(channels, {PLACES[len(first.kernel_size)]})"
        return f"{name} begins with a {type(first).__name__}: expected the size of an input as {expected}, got {size}"
    refusal = f"{name} takes no input of {_times(size)} ({reason})"
    cure = f"{refusal}: pass the size of one that it takes"

    largest = [LARGEST.get(dimensions, 0)] * dimensions
    if dimensions not in LARGEST or try_meta(skeleton, (channels, *largest)):
        return cure
    smallest = (channels, *(_smallest_side(skeleton, channels, largest, place) for place in range(dimensions)))
    if any(side < least for side, least in zip(size, smallest, strict=True)) and not try_meta(skeleton, smallest):
        return f"an input of {_times(size)} is too small for {name}: the smallest possible input is {_times(smallest)}"
    larger = range(max(size[1:]) + 1, max(size[1:]) + LARGEST[2] + 1)  # some networks halve even sides only
    side = next((side for side in larger if not try_meta(skeleton, (channels, *[side] * dimensions))), largest[0])
    return f"{refusal}: the next possible input is {_times((channels, *[side] * dimensions))}"


def _smallest_side(skeleton: nn.Module, channels: int, sides: list[int], place: int) -> int:
    """Return how small one side of an input may be where the others are `sides`, which the network takes."""
    fails, works = 0, sides[place]
    while works - fails > 1:
        side = (fails + works) // 2
        if try_meta(skeleton, (channels, *sides[:place], side, *sides[place + 1 :])):
            fails = side
        else:
            works = side
    return works


def _times(size: Size) -> str:
    return " × ".join(map(str, size))
