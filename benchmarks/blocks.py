"""What SE blocks cost in time, paired: sevis's against timm's, alone and in a whole network, and SE-ResNet-50 against ResNet-50.

    PYTHONPATH=. python benchmarks/blocks.py [--what blocks parts networks] [--pairs 40] [--batches 1 16] [--save]

sevis's block is allowed at most 1.00x of timm's. `eval` is a forward pass, `train` a forward and a backward pass; `last` are maps and
weights in the memory format channels_last. `parts` says where a block's time goes: each of its three equations alone, beside the whole.
In `networks`, timm's own resnet50 is given sevis's blocks and compared with timm's seresnet50, so that all else is the same.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import timm
import torch
from timm.layers.squeeze_excite import SEModule
from torch import Tensor, nn

import sevis
from benchmarks.rows import Rows, add_options, begin
from sevis.experiments.timing import Ratio, wait
from sevis.training.training import device_name

STAGES = ((256, 56), (512, 28), (1024, 14), (2048, 7))  # channels and side of the maps of stages 2 to 5
FORMATS = {"first": torch.contiguous_format, "last": torch.channels_last}
NAMES = {"first": "contiguous", "last": "channels_last", "evaluate": "evaluation", "train": "training step"}
ELEMENTS = 3_000_000  # a small block runs as often in one measurement as it takes to see so many
PAPER = "the paper: 164 to 167 ms of one image on a CPU, 1.018x; 190 to 209 ms of a training step of 256 on 8 GPUs, 1.100x"


def evaluate(model: nn.Module, images: Tensor, times: int = 1) -> None:
    with torch.inference_mode():
        for _ in range(times):
            model(images)
    wait(images.device)


def train(model: nn.Module, images: Tensor, times: int = 1) -> None:
    """The gradients of all parameters, and of maps that want one; the gradient that comes from above is dense, as in a network."""
    wanted = [tensor for tensor in (images, *model.parameters()) if tensor.requires_grad]
    for _ in range(times):
        output = model(images)
        torch.autograd.grad(output, wanted, output.detach(), allow_unused=True)
    wait(images.device)


def cells(batches: list[int]) -> Iterator[tuple[int, str, Callable[..., None]]]:
    """Every batch size, memory format and way to run."""
    yield from product(batches, FORMATS, (evaluate, train))


def compare(
    rows: Rows, plain: nn.Module, measured: nn.Module, images: Tensor, run: Callable[..., None], *, times: int = 1, pairs: int
) -> Ratio:
    for model in (plain, measured):
        model.train(run is train)
    return rows.pair(partial(run, plain, images, times), partial(run, measured, images, times), pairs=pairs)


def make_maps(shape: tuple[int, ...], layout: str, device: torch.device, *, leaf: bool = True) -> Tensor:
    """Random maps or images; maps inside a network want gradients, images do not."""
    return torch.randn(shape, device=device).to(memory_format=FORMATS[layout]).requires_grad_(leaf)


def measure_blocks(rows: Rows, batches: list[int], pairs: int, device: torch.device) -> None:
    for (channels, side), (batch, layout, run) in product(STAGES, cells(batches)):
        maps = make_maps((batch, channels, side, side), layout, device)
        theirs, own = SEModule(channels), sevis.SqueezeExcitation(channels)
        blocks = [block.to(device, memory_format=FORMATS[layout]) for block in (theirs, own)]  # type: ignore[call-overload]
        times = max(1, ELEMENTS // maps.numel())
        ratio = compare(rows, blocks[0], blocks[1], maps, run, times=times, pairs=pairs)
        place = f"{channels} × {side} × {side}, batch {batch}, {NAMES[layout]}"
        rows.add(f"sevis's SE block against timm's SEModule, {NAMES[run.__name__]}: {place}", ratio, aim="at most 1.00x")


class Scaling(nn.Module):
    """Equation (4) alone, with scales that do not depend on the maps."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), 0.5))

    def forward(self, u: Tensor) -> Tensor:
        return self.scale[None, :, None, None] * u


class Squeezing(nn.Module):
    """Equation (2) alone."""

    def __init__(self, block: sevis.SqueezeExcitation) -> None:
        super().__init__()
        self.block = block

    def forward(self, u: Tensor) -> Tensor:
        return self.block.squeeze(u)


class Projecting(nn.Module):
    """Equation (3) alone."""

    def __init__(self, block: sevis.SqueezeExcitation) -> None:
        super().__init__()
        self.block = block

    def forward(self, z: Tensor) -> Tensor:
        return self.block.excite(z)


def measure_parts(rows: Rows, batches: list[int], pairs: int, device: torch.device) -> None:
    for (channels, side), (batch, layout, run) in product(STAGES, cells(batches)):
        maps = make_maps((batch, channels, side, side), layout, device)
        block = sevis.SqueezeExcitation(channels).to(device)
        times = max(1, ELEMENTS // maps.numel())
        place = f"{channels} × {side} × {side}, batch {batch}, {NAMES[layout]}"
        squeezed = torch.randn(batch, channels, device=device, requires_grad=True)
        parts = ((Squeezing(block), maps), (Projecting(block), squeezed), (Scaling(channels).to(device), maps))
        for part, given in parts:
            ratio = rows.pair(partial(run, block, maps, times), partial(run, part, given, times), pairs=pairs)
            rows.add(f"{type(part).__name__.lower()} alone against the whole SE block, {NAMES[run.__name__]}: {place}", ratio)


def measure_networks(rows: Rows, batches: list[int], pairs: int, device: torch.device) -> None:
    print(PAPER)
    backbone, theirs = (timm.create_model(name, zero_init_last=False) for name in ("resnet50", "seresnet50"))
    couples = {
        "sevis's SE-ResNet-50 against its ResNet-50": (sevis.build("resnet50"), sevis.build("se_resnet50")),
        "timm's resnet50 with sevis's blocks against timm's seresnet50": (theirs, sevis.graft(backbone)),
    }
    for (title, couple), (batch, layout, run) in product(couples.items(), cells(batches)):
        images = make_maps((batch, 3, 224, 224), layout, device, leaf=False)
        plain, measured = (model.to(device, memory_format=FORMATS[layout]) for model in couple)
        ratio = compare(rows, plain, measured, images, run, pairs=pairs)
        aim = "at most 1.00x" if "timm" in title else ""
        rows.add(f"{title}, {NAMES[run.__name__]}: 224 px, batch {batch}, {NAMES[layout]}", ratio, aim=aim)


MEASUREMENTS = {"blocks": measure_blocks, "parts": measure_parts, "networks": measure_networks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", nargs="+", choices=MEASUREMENTS, default=[*MEASUREMENTS])
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    add_options(parser)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = begin(arguments, device_name(device))
    print(f"device {rows.device}, torch {torch.__version__}, timm {timm.__version__}")
    for name in arguments.what:
        MEASUREMENTS[name](rows, arguments.batches, arguments.pairs, device)
    if arguments.save:
        rows.save(__file__)


if __name__ == "__main__":
    main()
