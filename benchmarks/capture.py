"""Capture against the plain forward pass, paired.

    PYTHONPATH=. python benchmarks/capture.py [--pairs 40] [--batches 1 32] [--save]
    PYTHONPATH=. python benchmarks/capture.py --batches 1 8 64 512 --bf16 --channels-last    # on a GPU

At most 1.03x is allowed. The record is read in full, as `explain` and `collect` do it. `idle` is a model with its hooks attached
(`keep_hooks`) and nobody recording.
"""

import argparse
import copy
from functools import partial

import torch
from torch import Tensor, nn

import sevis
from benchmarks.rows import add_options, begin
from sevis.blocks.hooks import keep_hooks
from sevis.experiments.timing import forward
from sevis.training.training import device_name

CASES = {"the shipped default, 64 px": ({"num_classes": 20, "width": 0.5}, 64), "SE-ResNet-50, 224 px": ({}, 224)}


def captured(model: nn.Module, batch: Tensor) -> None:
    with sevis.capture(model) as record:
        forward(model, batch)
        for block in record.values():
            block.scale  # noqa: B018


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add_options(parser)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    dtype = torch.bfloat16 if arguments.bf16 else torch.float32
    layout = torch.channels_last if arguments.channels_last else torch.contiguous_format
    rows = begin(arguments, device_name(device))
    print(f"device {rows.device}, {dtype}, {layout}, torch {torch.__version__}")
    for title, (options, size) in CASES.items():
        model = sevis.build("se_resnet50", **options).eval().to(device, dtype, memory_format=layout)  # type: ignore[arg-type, call-overload]
        for count in arguments.batches:
            batch = torch.randn(count, 3, size, size, device=device, dtype=dtype).contiguous(memory_format=layout)
            plain = partial(forward, model, batch)
            ratio = rows.pair(plain, partial(captured, model, batch), pairs=arguments.pairs)
            rows.add(f"capture against the plain forward pass: {title}, batch {count}", ratio, aim="at most 1.03x")
            twin = copy.deepcopy(model)
            release = keep_hooks(model)
            ratio = rows.pair(partial(forward, twin, batch), plain, pairs=arguments.pairs)
            release()
            rows.add(f"hooks attached and nobody recording: {title}, batch {count}", ratio)
    if arguments.save:
        rows.save(__file__)


if __name__ == "__main__":
    main()
