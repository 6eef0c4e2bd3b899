"""A made-up data set for tests: one folder a class, and the classes differ in colour, so that a network can learn them."""

from pathlib import Path

import numpy as np
from PIL import Image

from sevis.datasets import ImageDataset, open_dataset

COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}


def write_colours(folder: Path, *, train: int = 12, val: int = 4, side: int = 32) -> Path:
    """Writes train/ and val/ below `folder`, with so many noisy one-coloured PNGs a class; returns the folder."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for name, colour in COLOURS.items():
            place = folder / split / name
            place.mkdir(parents=True)
            for number in range(count):
                noisy = np.clip(np.array(colour) + rng.normal(0, 30, (side, side, 3)), 0, 255)
                Image.fromarray(noisy.astype(np.uint8)).save(place / f"{number}.png")
    return folder


def open_colours(folder: Path) -> tuple[ImageDataset, ImageDataset]:
    """The training and the validation images."""
    return open_dataset(folder, "train"), open_dataset(folder, "val")
