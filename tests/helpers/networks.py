"""Networks whose weights hide nothing from a test, and what a test's own hooks see of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sevis.blocks.block import SqueezeExcitation
from sevis.blocks.sites import find_sites


def stir(model: nn.Module) -> nn.Module:
    """Gives norms and biases random values, so that a test sees a forgotten one; returns the model."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.1)
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
            elif isinstance(module, nn.Linear) and module.bias is not None:
                module.bias.normal_(0, 0.5)
    return model


def hook_count(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


@contextmanager
def block_outputs(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Each SE block's input and output, copied by the test's own hooks."""
    seen: dict[str, Tensor] = {}

    def keep(name: str, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen[f"{name} in"], seen[f"{name} out"] = inputs[0].clone(), output.clone()

    handles = [
        model.get_submodule(site.path).register_forward_hook(lambda _, inputs, output, name=site.name: keep(name, inputs, output))
        for site in find_sites(model)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def plain_gates(model: nn.Module, inputs: torch.Tensor) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """z and s of every SE block by re-computation from the block's own weights, with one plain hook on its input."""
    found, handles = {}, []
    blocks = [module for module in model.modules() if isinstance(module, SqueezeExcitation)]
    for number, block in enumerate(blocks):
        handles.append(block.register_forward_pre_hook(lambda _, args, number=number: found.__setitem__(number, args[0].clone())))
    with torch.no_grad():
        model(inputs)
    for handle in handles:
        handle.remove()
    result = {}
    for number, block in enumerate(blocks):
        z = found[number].numpy().astype(np.float64).mean(axis=(2, 3))
        w1, b1, w2, b2 = (p.detach().numpy() for p in (block.fc1.weight, block.fc1.bias, block.fc2.weight, block.fc2.bias))
        s = 1 / (1 + np.exp(-(np.maximum(z @ w1.T + b1, 0) @ w2.T + b2)))
        result[f"SE_{number // 2 + 2}_{number % 2 + 1}"] = (z, s)
    return result


def made(create: Callable[[], nn.Module], seed: int = 3) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return stir(create()).eval()


def timm_net(name: str, **options: Any) -> nn.Module:
    import timm

    return made(lambda: timm.create_model(name, **options))


@torch.no_grad()
def assert_same_outputs(mine: nn.Module, theirs: nn.Module, side: int = 64) -> None:
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    expected = theirs(images)
    assert expected.std() > 0
    assert torch.equal(mine(images), expected)
