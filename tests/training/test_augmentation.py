"""Random views: their geometry, their colours, and the mixtures of images and targets."""

import math

import numpy as np
import pytest
import torch

from sevis.recipe import Recipe
from sevis.training.augmentation import augment, colour_jitter, mix, rand_augment, random_resized_crop


def test_a_crop_of_everything_is_the_image_or_its_mirror() -> None:
    images = torch.rand(40, 3, 16, 16)
    # At the full area the box is as high or as wide as the image; with the sides clipped at 1 the other one is at least 3/4 ** 0.5.
    crops = random_resized_crop(images, 16, min_area=1.0, rng=np.random.default_rng(0))
    assert crops.shape == images.shape
    assert crops.min() >= 0
    assert crops.max() <= 1
    ramp = torch.linspace(0, 1, 16).expand(200, 3, 16, 16).contiguous()
    views = random_resized_crop(ramp, 16, min_area=0.3, rng=np.random.default_rng(1))
    slopes = (views[:, 0, 0, -1] - views[:, 0, 0, 0]) * 16 / 15  # of a ramp: the box's width, negative when mirrored
    mirrored = (slopes < 0).float().mean()
    assert 0.35 < mirrored < 0.65
    assert slopes.abs().max() <= 1.07  # reflection at the border flattens, interpolation steepens by at most 16/15
    assert slopes.abs().min() >= math.sqrt(0.3 * 3 / 4) * 0.9


def test_augmentation_depends_on_the_generator_alone() -> None:
    images = torch.rand(8, 3, 20, 20)
    views = [random_resized_crop(images, 12, min_area=0.2, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])


def test_colour_jitter_of_strength_zero_changes_nothing_and_stays_in_range() -> None:
    images = torch.rand(16, 3, 8, 8)
    torch.testing.assert_close(colour_jitter(images, 0.0, rng=np.random.default_rng(0)), images)
    jittered = colour_jitter(images, 0.9, rng=np.random.default_rng(0))
    assert jittered.min() >= 0
    assert jittered.max() <= 1
    assert not torch.allclose(jittered, images)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_images_and_targets_are_mixed_alike(kind: str) -> None:
    labels = torch.arange(6)
    images = torch.eye(6)[:, :, None, None].expand(6, 6, 16, 16).clone()  # each image shows its own target
    recipe = Recipe(**{kind: 0.8})
    seen = set()
    for seed in range(8):
        mixed, targets = mix(images, labels, num_classes=6, recipe=recipe, rng=np.random.default_rng(seed))
        torch.testing.assert_close(mixed.mean(dim=(2, 3)), targets)  # of CutMix the share of the area
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))
        seen.add(round(float(targets[0, 0]), 4))
    assert len(seen) > 4
    again, _ = mix(images, labels, num_classes=6, recipe=recipe, rng=np.random.default_rng(7))
    assert torch.equal(again, mixed)


def test_rand_augment_draws_from_the_generator_and_leaves_pytorchs_alone() -> None:
    images = (torch.rand(20, 3, 16, 16) * 255).to(torch.uint8)
    before = torch.get_rng_state()
    first, again, other = (rand_augment(images, 9, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert (first.dtype, first.shape) == (torch.uint8, images.shape)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_batch_becomes_views_of_the_asked_size_and_target_distributions() -> None:
    images = (torch.rand(6, 3, 24, 24) * 255).to(torch.uint8)
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    for options in ({}, {"mixup": 0.2}, {"cutmix": 1.0}, {"randaugment": 9}):
        views, targets = augment(images, labels, recipe=Recipe(**options), side=16, num_classes=3, rng=np.random.default_rng(0))
        assert views.shape == (6, 3, 16, 16)
        assert 0 <= views.min() <= views.max() <= 1
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))
        assert set(options) & {"mixup", "cutmix"} or torch.equal(targets.argmax(dim=1), labels)
