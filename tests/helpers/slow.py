"""Which parameters of a test belong to the slow part: those that repeat a smaller one at full size."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest

# The networks of sevis that have more than 40 million parameters or more than a hundred layers.
LARGE = ("resnet101", "resnet152", "resnext101_32x4d", "vgg16_bn", "inception_resnet_v2", "senet154", "resnet110", "resnet164")
LARGE += tuple(f"se_{name}" for name in LARGE)


def slow(values: Iterable[Any], which: Collection[Any] = LARGE) -> list[Any]:
    """Return the values, with those in `which` marked as slow."""
    return [pytest.param(value, marks=pytest.mark.slow) if value in which else value for value in values]
