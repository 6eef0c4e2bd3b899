"""Where the SE blocks of a model are, named SE_stage_block as in the paper."""

import re
from collections.abc import Iterator, Mapping
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
COUSINS = ("ChannelAttn", "LightChannelAttn")  # CBAM's, whose children are the paper's but which pools twice


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

    A block is known by its children: two projections that narrow and widen again, and a gate without parameters (class names do not
    do: two different classes of timm are called SEModule). It is named by the residual block that holds it and that block's position
    in its stage: `layerN` is stage N + 1, stages with other names are counted from 2, in order.

    Raises:
        TypeError: when `model` is no nn.Module.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected a torch.nn.Module, got {type(model).__name__}")
    stages: dict[str, int] = {}
    taken: set[str] = set()
    sites = []
    modules = dict(model.named_modules())
    for path, parts, channels, hidden in _blocks(modules):
        name = _name(modules, path, stages)
        while name in taken:  # a second SE block in one residual block
            name += "b"
        taken.add(name)
        sites.append(Site(name=name, path=path, parts=parts, channels=channels, hidden=hidden))
    return tuple(sites)


def require_sites(model: nn.Module) -> tuple[Site, ...]:
    """`find_sites`, or a SevisError where a model has no SE block to look into."""
    sites = find_sites(model)
    if not sites:
        raise SevisError(
            f"{type(model).__name__} has no Squeeze-and-Excitation block: choose an SE network, such as sevis.build('se_resnet50')"
        )
    return sites


def _blocks(modules: Mapping[str, nn.Module]) -> Iterator[tuple[str, tuple[str, str, str], int, int]]:
    for path, module in modules.items():
        if len(module._modules) < len(PARTS[0]):  # most modules are leaves, and `capture` comes here every time
            continue
        children = dict(module.named_children())
        for parts in PARTS:
            if all(part in children for part in parts) and type(module).__name__ not in COUSINS:
                first, second, gate = (children[part] for part in parts)
                channels, hidden = _widths(first)
                narrows = 1 <= hidden <= channels and _widths(second) == (hidden, channels)
                if narrows and not any(True for _ in gate.parameters()):
                    yield path, parts, channels, hidden
                    break


def _name(modules: Mapping[str, nn.Module], path: str, stages: dict[str, int]) -> str:
    """SE_stage_block from a path such as layer3.5.se; `stages` remembers the stages met so far."""
    block = _residual_block(modules, path)
    stage, _, key = block.rpartition(".")
    layer = re.search(r"(?:^|\.)layer([1-9]\d*)$", stage)
    number = stages.setdefault(stage, int(layer[1]) + 1 if layer else len(stages) + 2)
    position = list(modules[stage]._modules).index(key) if key else 0
    return f"SE_{number}_{position + 1}"


def _residual_block(modules: Mapping[str, nn.Module], path: str) -> str:
    """The path of the numbered module that holds an SE block, or of the block itself where it stands in a plain sequence."""
    keys = path.split(".")
    for end in range(len(keys) - 1, 0, -1):
        ancestor = ".".join(keys[:end])
        if keys[end - 1][-1].isdigit() and type(modules[ancestor]) not in (nn.Sequential, nn.ModuleList):
            return ancestor
    return path


def _widths(projection: nn.Module) -> tuple[int, int]:
    """The inputs and outputs of a linear layer or a convolution; zeros for anything else."""
    for kind in ("features", "channels"):
        widths = getattr(projection, f"in_{kind}", None), getattr(projection, f"out_{kind}", None)
        if isinstance(widths[0], int) and isinstance(widths[1], int):
            return widths[0], widths[1]
    return 0, 0
