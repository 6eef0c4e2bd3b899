"""Networks and images in float64, where only the order of sums may differ."""

import torch
from torch import Tensor, nn

from tests.helpers.networks import stir

State = dict[str, Tensor]


def images(side: int, *, channels: int = 3) -> Tensor:
    return torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def ready(model: nn.Module) -> nn.Module:
    """In float64 and evaluation mode, with norms that are no identities."""
    return stir(model).double().eval()


def normalise(x: Tensor, state: State, name: str) -> Tensor:
    """Batch norm in evaluation, by the weights called `name`."""
    weight, bias, mean, variance = (state[f"{name}.{key}"][:, None, None] for key in ("weight", "bias", "running_mean", "running_var"))
    return (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias


def assert_close(mine: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(mine, expected, atol=1e-9, rtol=1e-9)
    assert expected.std() > 1e-3
