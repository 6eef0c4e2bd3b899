"""Random views of whole batches, on whatever device the batch lies: crop, flip and colour, drawn for each image, and torchvision's MixUp,
CutMix and RandAugment. The numbers are drawn on the CPU, so that a seed means the same on a GPU."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sevis.extras import require
from sevis.recipe import Recipe

GROUP = 8  # images that share the operations of RandAugment


def random_resized_crop(images: Tensor, size: int, *, min_area: float, rng: np.random.Generator) -> Tensor:
    """Cut a random box out of each image, resize it to (size, size), and mirror half of them.

    Args:
        images: floats, shape (N, C, H, W).
        size: the side of the result, in pixels.
        min_area: the smallest area of a box as a fraction of the image; the aspect ratio lies between 3/4 and 4/3 (as in
            torchvision's RandomResizedCrop, but a box that would not fit is narrowed instead of drawn again).
        rng: where the random numbers come from.
    """
    n = len(images)
    area = rng.uniform(min_area, 1.0, n)
    aspect = np.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3), n))
    width = np.minimum(np.sqrt(area * aspect), 1.0)
    height = np.minimum(np.sqrt(area / aspect), 1.0)
    mirror = np.where(rng.random(n) < 0.5, -1.0, 1.0)
    # affine_grid's coordinates run from -1 to 1: a box of half the width has scale 0.5 and its centre within +-0.5.
    theta = np.zeros((n, 2, 3), dtype=np.float32)
    theta[:, 0, 0] = width * mirror
    theta[:, 1, 1] = height
    theta[:, 0, 2] = rng.uniform(-1, 1, n) * (1 - width)
    theta[:, 1, 2] = rng.uniform(-1, 1, n) * (1 - height)
    boxes = torch.from_numpy(theta).to(images.device)
    grid = F.affine_grid(boxes, [n, images.shape[1], size, size], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def colour_jitter(images: Tensor, strength: float, *, rng: np.random.Generator) -> Tensor:
    """Scale brightness, contrast and saturation of each image by factors within 1 +- strength; values in 0..1, shape (N, 3, H, W)."""
    factors = rng.uniform(1 - strength, 1 + strength, (3, len(images), 1, 1, 1)).astype(np.float32)
    brightness, contrast, saturation = torch.from_numpy(factors).to(images.device)
    images = images * brightness
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = mean + (images - mean) * contrast
    grey = images.mean(dim=1, keepdim=True)
    return torch.clamp(grey + (images - grey) * saturation, 0, 1)


def check_installed(recipe: Recipe) -> None:
    """Raise SevisError, before the images are read, where a recipe asks for what torchvision does, and it is not installed."""
    for option in ("mixup", "cutmix", "randaugment"):
        if getattr(recipe, option):
            require("torchvision", f"--{option}")


def mix(images: Tensor, labels: Tensor, *, num_classes: int, recipe: Recipe, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Blend each image, and its target distribution (N, K), with another of the batch (MixUp, arXiv 1710.09412; CutMix, 1905.04899)."""
    from torchvision.transforms import v2

    kind, alpha = (v2.MixUp, recipe.mixup) if recipe.mixup else (v2.CutMix, recipe.cutmix)
    with seeded(rng):
        mixed, targets = kind(alpha=alpha, num_classes=num_classes)(images, labels)
    return mixed, targets.float()


def rand_augment(images: Tensor, magnitude: int, *, rng: np.random.Generator) -> Tensor:
    """Apply two random operations (arXiv 1909.13719) on images of uint8; GROUP images share them, so that a batch takes a few calls."""
    from torchvision.transforms import v2

    operations = v2.RandAugment(num_ops=2, magnitude=magnitude, interpolation=v2.InterpolationMode.BILINEAR)
    with seeded(rng):
        return torch.cat([operations(group) for group in torch.split(images, GROUP)])


def augment(
    images: Tensor, labels: Tensor, *, recipe: Recipe, side: int, num_classes: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Return what a recipe makes of a batch in training.

    Args:
        images: uint8, shape (N, 3, H, W).
        labels: shape (N,).
        recipe: which operations, and how strong.
        side: of the result, in pixels.
        num_classes: K.
        rng: where the random numbers come from.

    Returns:
        Views with values in 0..1, shape (N, 3, side, side), and target distributions, shape (N, K).
    """
    if recipe.randaugment:
        images = rand_augment(images, recipe.randaugment, rng=rng)
    views = random_resized_crop(images.float() / 255, side, min_area=recipe.min_area, rng=rng)
    if recipe.colour:
        views = colour_jitter(views, recipe.colour, rng=rng)
    if recipe.mixup or recipe.cutmix:
        return mix(views, labels, num_classes=num_classes, recipe=recipe, rng=rng)
    return views, F.one_hot(labels, num_classes).float()


@contextmanager
def seeded(rng: np.random.Generator, *gpus: torch.device) -> Iterator[None]:
    """Set PyTorch's generator on the CPU, which torchvision draws from, and those of some GPUs by `rng` inside, and put them back."""
    with torch.random.fork_rng(devices=gpus):
        seed = int(rng.integers(2**63))
        torch.default_generator.manual_seed(seed)
        if gpus:
            torch.cuda.manual_seed(seed)
        yield
