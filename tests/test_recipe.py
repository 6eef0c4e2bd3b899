"""The recipe: what it refuses, its learning rate, its growing images, and the command that repeats it."""

import math

import numpy as np
import pytest

from sevis.errors import SevisError
from sevis.recipe import Recipe, command


@pytest.mark.parametrize(
    "option",
    [
        *({"epochs": 0}, {"learning_rate": -1.0}, {"learning_rate": math.nan}, {"min_area": 2.0}, {"batch_size": 1}, {"seed": -1}),
        *({"width": math.nan}, {"width": 0.0}, {"width": 17.0}, {"reduction": 0}, {"reduction": 5000}),
    ],
)
def test_a_number_out_of_range_is_refused(option) -> None:
    with pytest.raises(SevisError, match=f"expected {next(iter(option))} between"):
        Recipe(**option)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixup": 0.2, "cutmix": 1.0}, "mixup and cutmix exclude each other"),
        ({"gate": "softmax"}, "unknown gate 'softmax': choose one of sigmoid, tanh, relu"),
        ({"stages": "2-4"}, "expected stages such as 4 or 2,3,4"),
        ({"size": 64, "start_size": 80}, "expected a start_size between 16 and the size 64"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(options, message: str) -> None:
    with pytest.raises(SevisError, match=message):
        Recipe(**options)


def test_the_images_grow_from_the_start_size_over_three_quarters_of_the_run() -> None:
    assert [Recipe(size=64, start_size=32, epochs=9).side(epoch) for epoch in range(9)] == [32, 32, 40, 40, 48, 48, 56, 64, 64]
    assert {Recipe(size=48, epochs=5).side(epoch) for epoch in range(5)} == {48}
    sides = [Recipe(size=60, start_size=32, epochs=40).side(epoch) for epoch in range(40)]
    assert sides == sorted(sides)
    assert (sides[0], sides[29], sides[30]) == (32, 56, 60)


def test_the_learning_rate_warms_up_linearly_and_ends_near_zero() -> None:
    recipe = Recipe(learning_rate=0.4, warmup=0.2)
    rates = np.array([recipe.rate(step, 100) for step in range(100)])
    np.testing.assert_allclose(np.diff(rates[:20]), 0.4 / 21, rtol=1e-9)
    assert rates.argmax() == 20
    np.testing.assert_allclose(rates[20:], 0.2 * (1 + np.cos(np.pi * np.arange(80) / 80)), rtol=1e-9)


def test_the_command_repeats_the_recipe() -> None:
    recipe = Recipe(epochs=7, bf16=True, learning_rate=0.125, mixup=0.2)
    words = command(recipe, publish="mine", classes="some file.txt").split(" ")
    assert words[:5] == ["python", "-m", "sevis", "train", "se_resnet50"]
    for option in ("--epochs 7", "--bf16", "--learning-rate 0.125", "--classes 'some file.txt'", "--publish mine"):
        assert option in " ".join(words)
    several = command(recipe, publish="mine", data="cifar10", processes=4)
    assert several.startswith("torchrun --nproc-per-node 4 -m sevis train se_resnet50 --data cifar10 --width")
