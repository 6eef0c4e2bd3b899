"""Blocks that say themselves what is true: what a test of sevis compares with.

A `Witness` keeps, in its own forward, the tensor u that it scales, its squeeze z and its scale s. It can also leave its gate out, which is
what `sevis.override(model, {...: 1.0})` must give.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

C, HIDDEN = 16, 4
PLACES = {1: (11,), 2: (11, 9), 3: (7, 6, 5)}  # of an input, by its dimensions; no two alike, so that mixed-up ones are seen


class Witness(nn.Module):
    """A block that keeps what it did.

    Attributes:
        seen: u as it lay before it was scaled, z of shape (N, C) and s of shape (N, C) of the latest run, the
            factor of that s, and the source whose mean z is, which mostly is u; empty before the first run.
        runs: how often it ran.
        neutral: the s at which the block is as if it had no gate.
        factor: what a channel is multiplied by in all, from s: `1 + s` where the block gives u + u*s.
        opened: whether it takes the neutral s instead of its own.
        parts: the paths of the two projections, whose parameters alone are the cost of the gate.
    """

    neutral = 1.0
    factor: Callable[[Tensor], Tensor] | None = None
    opened = False
    parts = ("fc1", "fc2")

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, Tensor] = {}
        self.runs = 0

    def saw(self, u: Tensor, z: Tensor, s: Tensor, source: Tensor | None = None) -> Tensor:
        """Keep copies, unseen by those who watch the operations; return the s to go on with.

        The source is what z is the mean of, where that is not u.
        """
        if isinstance(u, Tensor):  # a tracer passes stand-ins
            with torch._C.DisableTorchFunction(), _disable_current_modes():
                z, s_kept = (value.detach().clone().reshape(len(value), -1) for value in (z, s))
                self.seen = {"u": u.detach().clone(), "z": z, "s": s_kept}
                self.seen["factor"] = self.factor(s_kept) if self.factor else s_kept
                self.seen["source"] = self.seen["u"] if source is None else source.detach().clone()
            self.runs += 1
        return torch.full_like(s, self.neutral) if self.opened else s

    def gate_parameters(self) -> int:
        return sum(parameter.numel() for part in self.parts for parameter in self.get_submodule(part).parameters())


@dataclass(frozen=True)
class Stranger:
    """A network as a public project may have it, and what sevis shall say of it.

    Attributes:
        name: in a few words.
        block: what builds the module behind the first convolution; it gets (N, C, ...).
        taken: whether its blocks are SE blocks; None where both is right, so long as what is read is true.
        form: what the block gives, by u and s.
        why: why it is refused, in three words.
        places: the dimensions of the maps: 1, 2 or 3.
        channels: of the block.
        called: whether the network calls its block.
    """

    name: str
    block: Callable[[], nn.Module]
    taken: bool | None = True
    form: str = "u*s"
    why: str = ""
    places: int = 2
    channels: int = C
    called: bool = True

    def network(self) -> nn.Sequential:
        convolution = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[self.places]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return nn.Sequential(convolution(3, self.channels, 3), self.block()).eval()

    def example(self, images: int = 2, seed: int = 1) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(images, 3, *PLACES[self.places], generator=generator)


def witnesses(network: nn.Module) -> list[Witness]:
    """Return the blocks that keep what they did, in the order of the modules."""
    return [module for module in network.modules() if isinstance(module, Witness)]


@contextmanager
def opened(blocks: list[Witness]) -> Iterator[None]:
    """Leave the gates of the blocks out while the body runs."""
    for block in blocks:
        block.opened = True
    try:
        yield
    finally:
        for block in blocks:
            del block.opened
