"""How a fresh network starts."""

import math

from torch import nn


def he_initialise(network: nn.Module) -> None:
    """Draw the weights of every convolution as in arXiv 1502.01852, section 2.2, backward: variance 2 over k k C_out / groups.

    With one group, as `nn.init.kaiming_normal_` with mode="fan_out".
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
            nn.init.normal_(module.weight, 0.0, math.sqrt(2.0) / math.sqrt(fan_out))
