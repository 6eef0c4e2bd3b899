"""Networks whose weights hide nothing from a test, and what a test's own hooks see of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

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
