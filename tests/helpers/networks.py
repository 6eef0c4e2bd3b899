"""Networks whose weights hide nothing from a test."""

import torch
from torch import nn


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
