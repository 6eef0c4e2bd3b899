"""Random views of whole batches: crop, flip, colour, MixUp, on whatever device the batch lies. NumPy draws the numbers, so that a seed
means the same on a CPU and on a GPU."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def random_resized_crop(images: Tensor, size: int, *, min_area: float, rng: np.random.Generator) -> Tensor:
    """Cuts a random box out of each image, resizes it to (size, size), and mirrors half of them.

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
    """Scales brightness, contrast and saturation of each image by factors within 1 +- strength; values in 0..1, shape (N, 3, H, W)."""
    factors = rng.uniform(1 - strength, 1 + strength, (3, len(images), 1, 1, 1)).astype(np.float32)
    brightness, contrast, saturation = torch.from_numpy(factors).to(images.device)
    images = images * brightness
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = mean + (images - mean) * contrast
    grey = images.mean(dim=1, keepdim=True)
    return torch.clamp(grey + (images - grey) * saturation, 0, 1)


def mixup(images: Tensor, targets: Tensor, alpha: float, *, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Blends each image, and its target distribution (N, K), with another of the batch (arXiv 1710.09412)."""
    share = float(rng.beta(alpha, alpha))
    other = torch.from_numpy(rng.permutation(len(images))).to(images.device)
    return images.lerp(images[other], 1 - share), targets.lerp(targets[other], 1 - share)
