"""How a fresh network starts."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

# Fresh weights come from PyTorch's one generator, and are the same at every call only if no other thread draws from it.
_BUILDING = threading.RLock()


@contextmanager
def building() -> Iterator[None]:
    """Let one thread at a time build a network, and leave PyTorch's generator as it was."""
    with _BUILDING, torch.random.fork_rng(devices=[]):
        yield


def he_initialise(network: nn.Module) -> None:
    """Draw the weights of every convolution as in arXiv 1502.01852, section 2.2, backward: variance 2 over k k C_out / groups.

    With one group, as `nn.init.kaiming_normal_` with mode="fan_out".
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
            nn.init.normal_(module.weight, 0.0, math.sqrt(2.0) / math.sqrt(fan_out))
