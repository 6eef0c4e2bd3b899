"""The networks that sevis builds by name, plain and with SE."""

from difflib import get_close_matches
from functools import partial

from torch import nn

from sevis.blocks import SqueezeExcitation
from sevis.errors import SevisError
from sevis.networks.resnet import DEPTHS, STEMS, ResNet, graft_se


def list_models() -> tuple[str, ...]:
    """The names that `build` knows."""
    return (*DEPTHS, *(f"se_{name}" for name in DEPTHS))


def build(
    name: str,
    *,
    num_classes: int = 1000,
    reduction: int = 16,
    width: float = 1.0,
    stem: str = "paper",
    squeeze: str = "avg",
    gate: str = "sigmoid",
    bias: bool = True,
) -> nn.Module:
    """Builds a network with fresh weights, in training mode: images (N, 3, H, W) in, logits (N, num_classes) out.

    With the same seed, `se_resnet50` and `resnet50` start from the same convolutions: SE is grafted onto the plain network.

    Args:
        name: one of `list_models()`.
        num_classes: how many logits.
        reduction, squeeze, gate, bias: the SE blocks', see `sevis.blocks.SqueezeExcitation`; a plain network has none.
        width: multiplies the channels of every stage (0.5 halves them).
        stem: `paper` (7x7 with stride 2 and max pool) or `small` (3x3 with stride 1, for small images).

    Raises:
        SevisError: for an unknown name or stem (with the nearest names), or a number out of range.
    """
    if name not in list_models():
        near = get_close_matches(str(name), list_models(), n=3, cutoff=0.4) or list_models()
        raise SevisError(f"unknown model {name!r}; the nearest names are {', '.join(near)}")
    if stem not in STEMS:
        raise SevisError(f"unknown stem {stem!r}: choose one of {', '.join(STEMS)}")
    if num_classes < 1:
        raise SevisError(f"expected at least one class, got num_classes={num_classes}")
    if not 1 / 64 <= width <= 16:
        raise SevisError(f"expected a width between 1/64 and 16, got {width}")
    network = ResNet(name.removeprefix("se_"), num_classes=num_classes, width=width, stem=stem)
    if not name.startswith("se_"):
        return network
    return graft_se(network, partial(SqueezeExcitation, reduction=reduction, squeeze=squeeze, gate=gate, bias=bias))
