"""Collecting class statistics against a bare loop of the same loader and forward pass, and its peak memory.

    PYTHONPATH=. python benchmarks/collection.py [--images 640] [--memory]

At most 1.10x is allowed, and with --memory at most 5 % more memory at 10,000 images than at 1,000 (each in a process of its own). The
images are made up, so no data is needed.
"""

import argparse
import resource
import subprocess
import sys

import numpy as np
import torch
from PIL import Image

import sevis
from sevis.collection import collect, make_loader
from sevis.images import Preprocessing
from sevis.timing import paired
from sevis.weights import Card, ReadyModel, make_ready

PREPROCESSING = {"resize": 64, "crop": 64}


class Noise:
    """So many images of noise in 20 classes."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.fromarray(np.roll(self.pixels, index)), index % 20


def make_model() -> ReadyModel:
    entry = {"classes": [f"class {number}" for number in range(20)], "preprocessing": PREPROCESSING, "sha256": "none"}
    return make_ready(Card("se_resnet50x0_5", entry), sevis.build("se_resnet50", num_classes=20, width=0.5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        collect(make_model(), make_loader(Noise(arguments.peak), Preprocessing(**PREPROCESSING)))  # type: ignore[arg-type]
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    elif arguments.memory:
        small, large = (peak(count) for count in (1_000, 10_000))
        print(f"peak memory: {small / 1e3:.0f} MB at 1,000 images, {large / 1e3:.0f} MB at 10,000: {large / small:.3f}x")
    else:
        ready = make_model()
        loader = make_loader(Noise(arguments.images), Preprocessing(**PREPROCESSING))  # type: ignore[arg-type]

        def bare() -> None:
            with torch.inference_mode():
                for images, _ in loader:
                    ready.model(images.to(ready.device)).cpu()

        print(f"device {ready.device}, {torch.get_num_threads()} threads, {arguments.images} images a pass")
        print(f"collect against a bare loop: {paired(bare, lambda: collect(ready, loader), pairs=arguments.pairs)}")


def peak(count: int) -> int:
    """The peak memory, in kB, of a process that collects over so many images."""
    result = subprocess.run([sys.executable, __file__, "--peak", str(count)], capture_output=True, text=True, check=True)
    return int(result.stdout.split()[-1])


if __name__ == "__main__":
    main()
