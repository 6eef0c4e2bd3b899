"""sevis itself: the networks that it builds by name, plain and with SE."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from inspect import signature
from typing import Any, Self

from torch import nn

from sevis.architecture import Architecture
from sevis.blocks.block import SqueezeExcitation
from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.extras import require
from sevis.networks import preactivation, resnet
from sevis.networks.grafting import find_units, insert_blocks
from sevis.networks.inception import BNInception
from sevis.networks.libraries.library import LibraryNetwork, PublishedWeights
from sevis.networks.libraries.timm_library import TimmNetwork
from sevis.networks.libraries.torchvision_library import TorchvisionNetwork
from sevis.networks.mobilenet import MobileNet
from sevis.networks.preactivation import PreactivationResNet
from sevis.networks.resnet import SENET154, STEMS, ResNet
from sevis.networks.shufflenet import ShuffleNet


@dataclass(frozen=True)
class Spec:
    """How a plain network is made.

    Attributes:
        make: called with `num_classes` and with the options that it takes.
        takes: which of `width` and `stem`.
        side: of the square input that the network is meant for, in pixels.
        classes: how many logits, where the caller does not say.
    """

    make: Callable[..., nn.Module]
    takes: tuple[str, ...] = ()
    side: int = 224
    classes: int = 1000


def _made_by(library: type[LibraryNetwork], name: str, *, num_classes: int) -> nn.Module:
    require(str(library.library), f"the network {name}")
    return library.named(name, num_classes=num_classes).build()


PLAIN = {
    **{name: Spec(partial(ResNet, layout), takes=("width", "stem")) for name, layout in resnet.LAYOUTS.items()},
    "vgg16_bn": Spec(partial(_made_by, TorchvisionNetwork, "vgg16_bn")),
    "bn_inception": Spec(BNInception),
    "inception_resnet_v2": Spec(partial(_made_by, TimmNetwork, "inception_resnet_v2"), side=299),
    "mobilenet": Spec(MobileNet, takes=("width",)),
    "shufflenet": Spec(ShuffleNet, takes=("width",)),
    **{name: Spec(partial(PreactivationResNet, layout), side=32, classes=10) for name, layout in preactivation.LAYOUTS.items()},
}
GATED = {f"se_{name}": spec for name, spec in PLAIN.items()} | {"senet154": Spec(partial(ResNet, SENET154))}


def list_models() -> tuple[str, ...]:
    """Return the names that `build` knows: the plain networks, and those with SE."""
    return (*PLAIN, *GATED)


def input_size(name: str) -> int:
    """Return the side, in pixels, of the square input that a network is meant for. Raises SevisError for an unknown name."""
    return _spec(name).side


def takes_width(name: str) -> bool:
    """Return whether `build` takes a width for that network. Raises SevisError for an unknown name."""
    return "width" in _spec(name).takes


def plain_twin(name: str) -> str | None:
    """Return the same network without SE: resnet50 for se_resnet50 and for itself; None for senet154, whose twin has no name of its own.

    That one is `build("senet154", stages=())`.

    Raises:
        SevisError: for an unknown name.
    """
    _spec(name)
    plain = name.removeprefix("se_")
    return plain if plain in PLAIN else None


def build(
    name: str,
    *,
    num_classes: int | None = None,
    width: float = 1.0,
    stem: str = "paper",
    reduction: int = 16,
    placement: str = "standard",
    stages: Sequence[int] | None = None,
    squeeze: str = "avg",
    gate: str = "sigmoid",
    bias: bool = True,
) -> nn.Module:
    """Build a network with fresh weights, in training mode: images (N, 3, H, W) in, logits (N, num_classes) out.

    With the same seed, `se_resnet50` and `resnet50` start from the same convolutions: SE is grafted onto the plain network.

    Args:
        name: one of `list_models()`.
        num_classes: how many logits; None: 1000, or 10 of the networks for CIFAR.
        width: multiplies the channels of every stage (0.5 halves them); of resnet*, resnext*, mobilenet and shufflenet.
        stem: `paper` (7x7 with stride 2 and max pool) or `small` (3x3 with stride 1, for small images); of resnet* and resnext*, but
            not of the networks for CIFAR.
        reduction, squeeze, gate, bias: the SE blocks', see `sevis.SqueezeExcitation`; a plain network has none, and a reduction,
            which every recipe has, means nothing to it.
        placement, stages: where the SE blocks stand, see `sevis.graft`; `stages=()` gives the plain network.

    Raises:
        SevisError: for an unknown name (with the nearest), an option that the network does not take, a stage that it does not have, or a
            number out of range.
    """
    spec = _spec(name)
    blocks = {"reduction": reduction, "placement": placement, "stages": stages, "squeeze": squeeze, "gate": gate, "bias": bias}
    options = {"width": width, "stem": stem}
    _check(name, spec, options, blocks)
    classes = spec.classes if num_classes is None else num_classes
    if classes < 1:
        raise SevisError(f"expected at least one class, got num_classes={num_classes}")
    network = spec.make(num_classes=classes, **{option: options[option] for option in spec.takes})
    if name in PLAIN:
        return network
    make_block = partial(SqueezeExcitation, reduction=reduction, squeeze=squeeze, gate=gate, bias=bias)
    return insert_blocks(network, find_units(network), make_block, placement=placement, stages=stages)


DEFAULTS = {name: option.default for name, option in signature(build).parameters.items()}


class SevisNetwork(LibraryNetwork):
    """One of `list_models()`, with the options of `build`."""

    library = None

    @classmethod
    def find(cls, name: str) -> Self | None:
        return cls.named(name) if name in list_models() else None

    @staticmethod
    def list_names() -> list[str]:
        return list(list_models())

    @classmethod
    def read(cls, architecture: Architecture) -> Self:
        return cls(architecture)  # `build` says which names are near

    def build(self) -> nn.Module:
        return build(**self.architecture.arguments())

    def outputs(self, model: nn.Module) -> int:
        return _spec(self.name).classes

    def preprocessing(self) -> Preprocessing:
        """Return the paper's, section 5.1."""
        side = input_size(self.name)
        return Preprocessing(resize={224: 256, 299: 352}.get(side, side), crop=side)

    def published(self) -> PublishedWeights:
        raise SevisError(
            f"sevis has no trained weights of {self.name}: use random weights (weights='random', --weights random), or a file of weights"
        )


def _spec(name: str) -> Spec:
    if name not in list_models():
        near = get_close_matches(str(name), list_models(), n=3, cutoff=0.4) or list_models()
        raise SevisError(f"unknown model {name!r}; the nearest names are {', '.join(near)}")
    return GATED.get(name) or PLAIN[name]


def _check(name: str, spec: Spec, options: Mapping[str, Any], blocks: Mapping[str, Any]) -> None:
    """Refuse the options that the network does not take, unless they are as if they were not given."""
    strange = [option for option in options if option not in spec.takes and options[option] != DEFAULTS[option]]
    if strange:
        known = f"takes {' and '.join(spec.takes)}, but no" if spec.takes else "has no choice of"
        got, only = options[strange[0]], DEFAULTS[strange[0]]
        raise SevisError(f"{name} {known} {strange[0]}, got {strange[0]}={got!r}: leave it out, or say {only!r}")
    if options["stem"] not in STEMS:
        raise SevisError(f"unknown stem {options['stem']!r}: choose one of {', '.join(STEMS)}")
    if not 1 / 64 <= options["width"] <= 16:
        raise SevisError(f"expected a width between 1/64 and 16, got {options['width']}")
    idle = [option for option in blocks if name in PLAIN and option != "reduction" and blocks[option] != DEFAULTS[option]]
    if idle:
        raise SevisError(f"{name} has no SE blocks for {idle[0]}={blocks[idle[0]]!r}: build se_{name}, or leave {idle[0]} out")
