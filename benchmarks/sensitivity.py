"""The sensitivity strip against the forward passes that it needs, paired.

    PYTHONPATH=. python benchmarks/sensitivity.py [--pairs N] [--save]

At most 1.3x is allowed of the plain forward pass of as many images in the same batches (33 for 16 blocks). Beside it: the same images one
by one, and all channels of a block turned off in turn against as many plain images in batches.
"""

import argparse
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

import sevis
from benchmarks.rows import Rows, add_options, begin
from sevis.blocks.hooks import keep_hooks
from sevis.experiments.sensitivity import BATCH_PIXELS, ablate_channels, measure_sensitivity
from sevis.training.training import device_name
from sevis.weights.loading import ReadyModel, make_ready

Input = NDArray[np.float32]


def forward(ready: ReadyModel, image: Input, count: int, batch_size: int) -> None:
    """The plain forward pass of so many images, with logits on the CPU as the strip has them."""
    batch = torch.from_numpy(image).expand(count, *image.shape)
    with torch.inference_mode():
        for start in range(0, count, batch_size):
            ready.model(batch[start : start + batch_size].to(ready.device)).float().cpu().numpy()


def ablate(ready: ReadyModel, image: Input, site: str) -> None:
    for _ in ablate_channels(ready, image, site):
        pass


def measure(rows: Rows, title: str, ready: ReadyModel, *, pairs: int, channels: bool) -> None:
    size = ready.card.preprocessing.crop
    random = np.random.default_rng(0)
    image = random.normal(size=(3, size, size)).astype(np.float32)
    sites = sevis.find_sites(ready.model)
    static = {site.name: random.uniform(size=site.channels) for site in sites}
    count, batch_size = 1 + 2 * len(sites), max(1, BATCH_PIXELS // size**2)
    plain = partial(forward, ready, image, count, batch_size)
    strip = partial(measure_sensitivity, ready, image, static=static)
    what = f"against a plain batch of its {count} images: {title}"
    rows.add(f"the sensitivity strip of {len(sites)} blocks {what}", rows.pair(plain, strip, pairs=pairs), aim="at most 1.3x")
    one_by_one = partial(forward, ready, image, count, 1)
    rows.add(f"the same images one by one {what}", rows.pair(plain, one_by_one, pairs=pairs))
    for site in (sites[0], sites[-1]) if channels else ():
        plain = partial(forward, ready, image, 1 + site.channels, batch_size)
        ratio = rows.pair(plain, partial(ablate, ready, image, site.name), pairs=max(3, pairs // 4))
        rows.add(f"each of {site.channels} channels of {site.name} off in turn, against as many plain images: {title}", ratio)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    add_options(parser)
    arguments = parser.parse_args()
    ready = sevis.load()
    rows = begin(arguments, device_name(ready.device))
    print(f"device {rows.device}, torch {torch.__version__}")
    keep_hooks(ready.model)  # as in the app
    measure(rows, "the shipped default, 64 px", ready, pairs=arguments.pairs, channels=True)
    large = make_ready(ready.card, sevis.build("se_resnet50"), device=ready.device)
    large = ReadyModel(large.model, large.card, large.classes, type(ready.card.preprocessing)(resize=256, crop=224), large.device)
    keep_hooks(large.model)
    measure(rows, "SE-ResNet-50, 224 px", large, pairs=max(3, arguments.pairs // 4), channels=large.device.type != "cpu")
    if arguments.save:
        rows.save(__file__)


if __name__ == "__main__":
    main()
