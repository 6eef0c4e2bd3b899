"""The sensitivity strip against the forward passes that it needs, paired: PYTHONPATH=. python benchmarks/sensitivity.py [--pairs N]

At most 1.3x is allowed of the plain forward pass of as many images in the same batches (33 for 16 blocks). Beside it: the same images one
by one, and all channels of a block turned off in turn against as many plain images in batches.
"""

import argparse
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

import sevis
from sevis.blocks.hooks import keep_hooks
from sevis.experiments.sensitivity import BATCH_PIXELS, ablate_channels, measure_sensitivity
from sevis.experiments.timing import paired
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


def measure(title: str, ready: ReadyModel, *, pairs: int, channels: bool) -> None:
    size = ready.preprocess.crop
    random = np.random.default_rng(0)
    image = random.normal(size=(3, size, size)).astype(np.float32)
    sites = sevis.find_sites(ready.model)
    static = {site.name: random.uniform(size=site.channels) for site in sites}
    rows, batch_size = 1 + 2 * len(sites), max(1, BATCH_PIXELS // size**2)
    plain = partial(forward, ready, image, rows, batch_size)
    strip = partial(measure_sensitivity, ready, image, static=static)
    print(f"{title}: strip of {len(sites)} blocks against {rows} images in batches: {paired(plain, strip, pairs=pairs)}", flush=True)
    one_by_one = partial(forward, ready, image, rows, 1)
    print(f"{title}: the same images one by one: {paired(plain, one_by_one, pairs=pairs)}", flush=True)
    for site in (sites[0], sites[-1]) if channels else ():
        plain = partial(forward, ready, image, 1 + site.channels, batch_size)
        ratio = paired(plain, partial(ablate, ready, image, site.name), pairs=max(3, pairs // 4))
        print(f"{title}: {site.channels} channels of {site.name} against as many images: {ratio}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    arguments = parser.parse_args()
    ready = sevis.load()
    print(f"device {device_name(ready.device)}, torch {torch.__version__}")
    keep_hooks(ready.model)  # as in the app
    measure("the shipped default, 64 px", ready, pairs=arguments.pairs, channels=True)
    large = make_ready(ready.card, sevis.build("se_resnet50"), device=ready.device)
    large = ReadyModel(large.model, large.card, large.classes, type(ready.preprocess)(resize=256, crop=224), large.device)
    keep_hooks(large.model)
    measure("SE-ResNet-50, 224 px", large, pairs=max(3, arguments.pairs // 4), channels=large.device.type != "cpu")


if __name__ == "__main__":
    main()
