"""Where the SE blocks of a model are, named SE_stage_block as in the paper."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from sevis.errors import SevisError

# The children of a block that project, project back, and gate, in the libraries that hold the paper's block.
PARTS = (
    ("fc1", "fc2", "gate"),  # sevis; timm.layers SEModule
    ("conv_reduce", "conv_expand", "gate"),  # timm's EfficientNet-style SqueezeExcite
    ("fc1", "fc2", "scale_activation"),  # torchvision SqueezeExcitation
    ("fc1", "fc2", "sigmoid"),  # timm's legacy SEModule, and the paper's released networks
)


@dataclass(frozen=True)
class Site:
    """One SE block of a model.

    Attributes:
        name: SE_stage_block as in the paper: the stem is stage 1, so ResNet's layer1[0] is SE_2_1.
        path: the module's path, for `model.get_submodule`.
        parts: the paths, below it, of the two projections and of the gate.
        channels, hidden: C, and the units of the hidden layer.
    """

    name: str
    path: str
    parts: tuple[str, str, str]
    channels: int
    hidden: int

    @property
    def reduction(self) -> float:
        """The reduction ratio r = C / hidden."""
        return self.channels / self.hidden


def find_sites(model: nn.Module) -> tuple[Site, ...]:
    """The SE blocks of a model, in the order of its modules; empty for a network without any.

    A block is known by its children: two projections and a gate without parameters (class names do not do: two different classes of
    timm are called SEModule). It is named by the first two numbers of its path: the n-th sequence that holds SE blocks and is called
    `layerN` is stage N + 1; sequences with other names are counted from 2.

    Raises:
        TypeError: when `model` is no nn.Module.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected a torch.nn.Module, got {type(model).__name__}")
    found = list(_blocks(model))
    stages: dict[str, int] = {}
    taken: set[str] = set()
    sites = []
    for path, parts, first in found:
        name = _name(path, stages)
        while name in taken:  # a second SE block in one residual block
            name += "b"
        taken.add(name)
        sites.append(Site(name=name, path=path, parts=parts, channels=_inputs(first), hidden=_outputs(first)))
    return tuple(sites)


def require_sites(model: nn.Module) -> tuple[Site, ...]:
    """`find_sites`, or a SevisError where a model has no SE block to look into."""
    sites = find_sites(model)
    if not sites:
        raise SevisError(
            f"{type(model).__name__} has no Squeeze-and-Excitation block: choose an SE network, such as sevis.build('se_resnet50')"
        )
    return sites


def _blocks(model: nn.Module) -> Iterator[tuple[str, tuple[str, str, str], nn.Module]]:
    for path, module in model.named_modules():
        children = dict(module.named_children())
        for parts in PARTS:
            if all(part in children for part in parts) and not any(True for _ in children[parts[2]].parameters()):
                yield path, parts, children[parts[0]]
                break


def _name(path: str, stages: dict[str, int]) -> str:
    """SE_stage_block from a path such as layer3.5.se; `stages` remembers the sequences met so far."""
    match = re.match(r"(.*?)\.?(\d+)(?:\.|$)", path)
    sequence, index = (match[1], int(match[2])) if match else (path, 0)
    layer = re.search(r"layer(\d+)$", sequence)
    stage = stages.setdefault(sequence, int(layer[1]) + 1 if layer else len(stages) + 2)
    return f"SE_{stage}_{index + 1}"


def _inputs(projection: nn.Module) -> int:
    return int(getattr(projection, "in_features", None) or projection.in_channels)  # type: ignore[arg-type]


def _outputs(projection: nn.Module) -> int:
    return int(getattr(projection, "out_features", None) or projection.out_channels)  # type: ignore[arg-type]
