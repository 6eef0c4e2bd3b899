"""The Squeeze-and-Excitation block: equations (2) to (4) of arXiv 1709.01507, line by line."""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Final

import torch
from torch import Tensor, fx, nn

from sevis.errors import SevisError

WIDER = {torch.float16: torch.float32, torch.bfloat16: torch.float32}  # in which half precision is summed


@fx.wrap  # torch.fx keeps the call, for it does not know how many dimensions u has
def places(u: Tensor) -> tuple[int, ...]:
    """Return the dimensions of the places: (2,) of a sequence (N, C, L), (2, 3) of maps (N, C, H, W), (2, 3, 4) of a volume."""
    return tuple(range(2, u.ndim))


@fx.wrap
def count_places(u: Tensor) -> int:
    """Return how many places each channel has, such as H x W."""
    return prod(u.shape[2:])


def average(u: Tensor) -> Tensor:
    """Return the mean over all places, eq. (2): (N, C, *places) in, (N, C) out.

    It is a sum and a division, because the backward pass of a sum writes no maps and that of a mean does: a training step of the block
    takes about two thirds of the time. Half precision, where a sum may overflow, is summed in float32.
    """
    total = u.sum(places(u), dtype=WIDER.get(u.dtype))  # a look-up and no condition, so that torch.fx can trace it
    return (total / count_places(u)).to(u.dtype)


def maximum(u: Tensor) -> Tensor:
    """Return the largest value of all places: (N, C, *places) in, (N, C) out."""
    return u.amax(places(u))


def unsqueezed(u: Tensor) -> Tensor:
    """Return the values of all places, as in the paper's NoSqueeze, as maps (N, C, H, W): of a sequence, H is 1; of a volume, D x H."""
    return u.unsqueeze(2).flatten(2, -2)  # copies nothing


def spread(s: Tensor, u: Tensor) -> Tensor:
    """Return the scales s, shape (N, C), as (N, C, 1, 1), with as many ones as u has dimensions of places."""
    return s[(...,) + (None,) * (u.ndim - 2)]


# A new squeeze or gate is a row here. Where people choose one, it has a word: in recipe.py, which may not load torch, and in
# pages/architectures/designs.py; tests/blocks/test_block.py says which of them lacks it.
SQUEEZES: dict[str, Callable[[Tensor], Tensor]] = {  # (N, C, *places) in, (N, C) out
    "avg": average,
    "max": maximum,
    "none": unsqueezed,
}
GATES: dict[str, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "hardsigmoid": nn.Hardsigmoid,
}
STARTS = ("he", "identity")


class DoubledSigmoid(nn.Module):
    """Twice the sigmoid, in 0..2: 1 exactly for 0, where its slope is 1/2."""

    def forward(self, logits: Tensor) -> Tensor:
        return 2 * torch.sigmoid(logits)


class SqueezeExcitation(nn.Module):
    """Recalibrates the channels of its input: (N, C, H, W) in, (N, C, H, W) out; a sequence (N, C, L) or a volume (N, C, D, H, W), too.

    Args:
        channels: C, the number of channels of the input.
        reduction: the reduction ratio r; the hidden layer has C // r units (the paper's 608 channels at r = 16 have 38).
        squeeze: `avg` as in eq. (2), `max` (Table 11), or `none` (NoSqueeze, Table 16): the projections become 1x1 convolutions, and
            every place has scales of its own.
        gate: `sigmoid` as in eq. (3), `tanh` or `relu` (Table 12), or `hardsigmoid` (MobileNetV3).
        bias: whether the two projections have biases. The released networks have, the paper's ablations have not.
        start: `he`, or `identity`: the second projection starts at zero and the gate is twice the sigmoid, so that s = 1 until the block
            learns otherwise (a sigmoid itself reaches 1 only where its gradient is gone).

    Raises:
        SevisError: for an unknown squeeze or gate, or a reduction that leaves no hidden unit.
    """

    spatial: Final[bool]  # whether every place has scales of its own

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        squeeze: str = "avg",
        gate: str = "sigmoid",
        bias: bool = True,
        start: str = "he",
    ) -> None:
        super().__init__()
        if not 1 <= reduction <= channels:
            raise SevisError(f"expected a reduction between 1 and the {channels} channels of the block, got {reduction}")
        if squeeze not in SQUEEZES:
            raise SevisError(f"unknown squeeze {squeeze!r}: choose one of {', '.join(SQUEEZES)}")
        if gate not in GATES:
            raise SevisError(f"unknown gate {gate!r}: choose one of {', '.join(GATES)}")
        if start not in STARTS:
            raise SevisError(f"unknown start {start!r}: choose one of {', '.join(STARTS)}")
        if start == "identity" and gate != "sigmoid":
            raise SevisError(f"a {gate} gate cannot start as the identity: choose gate='sigmoid', which is then doubled")
        self.spatial = squeeze == "none"
        project = partial(nn.Conv2d, kernel_size=1) if self.spatial else nn.Linear
        self.squeeze = SQUEEZES[squeeze]
        self.fc1 = project(channels, channels // reduction, bias=bias)
        self.relu = nn.ReLU()
        self.fc2 = project(channels // reduction, channels, bias=bias)
        self.gate = DoubledSigmoid() if start == "identity" else GATES[gate]()
        self.start = start
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Give both projections He's start: with it, and without weight decay on them, the gates stay alive."""
        for projection in (self.fc1, self.fc2):
            nn.init.kaiming_normal_(projection.weight, nonlinearity="relu")
            if projection.bias is not None:
                nn.init.zeros_(projection.bias)
        if self.start == "identity":
            nn.init.zeros_(self.fc2.weight)

    def forward(self, u: Tensor) -> Tensor:
        """Return x~, eq. (4), for u of shape (N, C, *places): (N, C, L), (N, C, H, W) or (N, C, D, H, W)."""
        z = self.squeeze(u)  # (N, C), eq. (2)
        s = self.excite(z)  # (N, C), eq. (3)
        return (s.view_as(u) if self.spatial else spread(s, u)) * u  # eq. (4)

    def excite(self, z: Tensor) -> Tensor:
        """Return the scales s, eq. (3), shape (N, C), for the squeezed z of shape (N, C); without a squeeze, for maps (N, C, H, W)."""
        return self.gate(self.fc2(self.relu(self.fc1(z))))  # type: ignore[no-any-return]
