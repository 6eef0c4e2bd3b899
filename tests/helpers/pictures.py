"""A made-up picture, and a made-up data set: one folder a class, and the classes differ in colour, so that a network can learn them."""

from pathlib import Path

import numpy as np
from PIL import Image

from sevis.data.datasets import ImageDataset, open_dataset

COLOURS = {"blue": (40, 60, 200), "green": (40, 180, 60), "red": (200, 50, 40)}


def a_picture(width: int = 40, height: int = 30, *, seed: int = 0) -> Image.Image:
    """Smooth enough for JPEG, and unlike its mirror images."""
    y, x = np.mgrid[:height, :width] / max(width, height)
    waves = np.random.default_rng(seed).uniform(1, 5, (3, 2))
    channels = [127.5 * (1 + np.sin(wx * x * 3 + wy * y * 2)) for wx, wy in waves]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


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


def write_tiny_imagenet(root, wnids):
    """Three validation photos of each class in the official layout."""
    images = root / "tiny-imagenet-200" / "val" / "images"
    images.mkdir(parents=True)
    (root / "tiny-imagenet-200" / "wnids.txt").write_text("\n".join(wnids))
    (root / "tiny-imagenet-200" / "words.txt").write_text("\n".join(f"{wnid}\tname of {wnid}, alias" for wnid in wnids))
    random = np.random.default_rng(0)
    rows = []
    for wnid in wnids:
        for number in range(3):
            name = f"{wnid}_{number}.JPEG"
            Image.fromarray(random.integers(0, 256, size=(64, 64, 3), dtype=np.uint8)).save(images / name)
            rows.append(f"{name}\t{wnid}\t0\t0\t63\t63")
    (root / "tiny-imagenet-200" / "val" / "val_annotations.txt").write_text("\n".join(rows))
    return root
