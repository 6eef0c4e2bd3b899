"""Where the SE blocks of a model are, named SE_stage_block as in the paper."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from sevis.errors import NoBlocks, SevisError

# The children of a block that project, project back, and gate, in the libraries that hold the paper's block.
CHILDREN = (
    ("fc1", "fc2", "gate"),  # sevis; timm.layers SEModule
    ("conv_reduce", "conv_expand", "gate"),  # timm's EfficientNet-style SqueezeExcite
    ("fc1", "fc2", "scale_activation"),  # torchvision SqueezeExcitation
    ("fc1", "fc2", "sigmoid"),  # timm's legacy SEModule, and the paper's released networks
)
# Blocks that are taken for the paper's, by the name of their class, and why they are not.
COUSINS = {
    "EcaModule": "ECA convolves the channel means instead of projecting them through a bottleneck",
    "CecaModule": "ECA convolves the channel means instead of projecting them through a bottleneck",
    "EffectiveSEModule": "effective SE has one projection and no bottleneck",
    "EseModule": "effective SE has one projection and no bottleneck",
    "GlobalContext": "GlobalContext squeezes by a softmax over places, not by their mean",
    "SplitAttn": "SplitAttn weighs the branches of a convolution against each other by a softmax",
    "SelectiveKernel": "SelectiveKernel weighs convolutions of several sizes against each other by a softmax",
    "SelectiveKernelAttn": "SelectiveKernel weighs convolutions of several sizes against each other by a softmax",
    "ChannelAttention": "CBAM squeezes by the mean and by the maximum through the same projections",
    "ChannelAttn": "CBAM squeezes by the mean and by the maximum through the same projections",
    "LightChannelAttn": "CBAM squeezes by the mean and by the maximum together",
    "GatherExcite": "GatherExcite may squeeze over neighbourhoods, so that its scales differ from place to place",
    "SpatialGatingUnit": "gMLP gates places, not channels",
    "SqueezeExciteCl": "it squeezes maps whose channels come last (N, H, W, C), but sevis reads (N, C, H, W)",
}


@dataclass(frozen=True)
class Site:
    """One SE block of a model.

    Attributes:
        name: SE_stage_block as in the paper: the stem is stage 1, so ResNet's layer1[0] is SE_2_1.
        path: the module's path, for `model.get_submodule`.
        parts: the paths, below it, of the two projections and of the gate.
        channels, hidden: C, and the units of the hidden layer.
        gate: the class of the gate, such as Sigmoid or Hardsigmoid.
        bias: whether the projections have biases.
        spatial: whether every place of the map has scales of its own, as in the paper's NoSqueeze.
    """

    name: str
    path: str
    parts: tuple[str, str, str]
    channels: int
    hidden: int
    gate: str
    bias: bool
    spatial: bool = False

    @property
    def reduction(self) -> float:
        """The reduction ratio r = C / hidden."""
        return self.channels / self.hidden


def find_sites(model: nn.Module) -> tuple[Site, ...]:
    """Return the SE blocks of a model, in the order of its modules; empty for a network without any.

    A block is known by its children: two projections that narrow and widen again, and a gate without parameters (class names do not
    do: two different classes of timm are called SEModule). They have the names of CHILDREN, or are the first, third and last layer of a
    sequence beside an average pool, as in many SELayer classes.

    It is named by the residual block that holds it: SE_stage_block. `layerN` is stage N + 1; of other numbered stages (`stages.0`, `s1`,
    `blocks.0`), the first of its kind is stage 2, and so on, with or without SE; a module called `stem` is stage 1, and one long sequence
    is stage 2. The block's number is its position in the stage. Where two blocks would be called the same, as two SE blocks of one residual
    block are, the second has a `b` behind its name. A block that `sevis.graft` put in says itself what it is called.

    Raises:
        TypeError: when `model` is no nn.Module.
        SevisError: when its blocks cannot be hooked, because it is compiled, scripted, or spread by DataParallel.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"expected a torch.nn.Module, got {type(model).__name__}")
    containers = _containers(model)
    modules = {path: module for path, module, _ in containers}
    stages: dict[str, int] = {}
    sites: dict[str, Site] = {}
    for path, module, obstacle in containers:
        parts = _parts(module)
        if parts is None:
            continue
        if obstacle := obstacle or next(filter(None, map(_obstacle, parts.values())), ""):
            raise SevisError(obstacle)
        own = vars(module)
        name = own.get("site") or _name(modules, path, stages)
        while name in sites:  # a second SE block in one residual block
            name += "b"
        first, _, gate = parts.values()
        channels, hidden = _widths(first)
        paths = tuple(parts)
        biased = first.bias is not None
        sites[name] = Site(name, path, paths, channels, hidden, type(gate).__name__, biased, own.get("spatial") is True)  # type: ignore[arg-type]
    return tuple(sites.values())


def require_sites(model: nn.Module) -> tuple[Site, ...]:
    """Return the SE blocks of a model, as `find_sites`. Raises NoBlocks, a SevisError, where it has none to look into."""
    sites = find_sites(model)
    if sites:
        return sites
    found = Counter(type(module).__name__ for module in model.modules())
    cousins = [f"its {found[name]} {name} are not SE blocks: {reason}" for name, reason in COUSINS.items() if name in found]
    raise NoBlocks(type(model).__name__, f"has no Squeeze-and-Excitation block{''.join(f' ({cousin})' for cousin in cousins)}")


def site_named(sites: Mapping[str, Site], name: str) -> Site:
    """Return the block of that name. Raises SevisError with the names there are."""
    if name not in sites:
        raise SevisError(f"no SE block is called {name!r}: the model has {', '.join(sites)}")
    return sites[name]


def _containers(model: nn.Module) -> list[tuple[str, nn.Module, str]]:
    """Return the modules with children, in the order of `named_modules`, each with what keeps hooks from working in it, if anything.

    Three times as quick as `named_modules`, for most modules are leaves, and `capture` comes here every time.
    """
    stack, seen, found = [("", model, "")], set(), []
    while stack:
        path, module, obstacle = stack.pop()
        if id(module) in seen:
            continue
        seen.add(id(module))
        obstacle = obstacle or _obstacle(module)
        found.append((path, module, obstacle))
        below = f"{path}." if path else ""
        stack += [
            (below + key, child, obstacle) for key, child in reversed(module._modules.items()) if child is not None and child._modules
        ]
    return found


def _obstacle(module: nn.Module) -> str:
    """Return why hooks below this module would not see every forward pass, and what to do; empty when they do."""
    if isinstance(module, nn.DataParallel):
        return "the model is wrapped in DataParallel, and its copies cannot be captured: pass model.module"
    if isinstance(module, torch.jit.ScriptModule):
        return "the model is scripted or traced, and such blocks run no hooks: pass the Python model it was made from"
    if type(module).__name__ == "OptimizedModule":  # importing its class takes a second
        return "the model is compiled, and compiled blocks may skip hooks: pass the model as it was before torch.compile"
    if module._compiled_call_impl is not None:
        return "the model is compiled, and compiled blocks may skip hooks: build it again without model.compile()"
    return ""


def _parts(module: nn.Module) -> dict[str, nn.Module] | None:
    """Return the projections and the gate of an SE block by their paths below it; None for any other module."""
    children = module._modules
    if len(children) < 2 or type(module).__name__ in COUSINS or any(isinstance(child, nn.AdaptiveMaxPool2d) for child in children.values()):
        return None
    for names in CHILDREN:
        if names[0] in children and names[1] in children and names[2] in children:
            first, second, gate = (children[name] for name in names)
            if first is not None and second is not None and gate is not None and _is_block(first, second, gate):
                return dict(zip(names, (first, second, gate), strict=True))
    sequence = [key for key, child in children.items() if type(child) is nn.Sequential and len(child) == 4]
    if len(sequence) == 1 and any(isinstance(child, nn.AdaptiveAvgPool2d) for child in children.values()):
        (first_key, first), _, (second_key, second), (gate_key, gate) = module.get_submodule(sequence[0]).named_children()
        if _is_block(first, second, gate):
            return {f"{sequence[0]}.{first_key}": first, f"{sequence[0]}.{second_key}": second, f"{sequence[0]}.{gate_key}": gate}
    return None


def _is_block(first: nn.Module, second: nn.Module, gate: nn.Module) -> bool:
    """Return whether two projections narrow and widen again, and the gate has no parameters."""
    channels, hidden = _widths(first)
    return 1 <= hidden <= channels and _widths(second) == (hidden, channels) and not any(part._parameters for part in gate.modules())


def _widths(projection: nn.Module) -> tuple[int, int]:
    """Return the inputs and outputs of a linear layer or a convolution; zeros for anything else."""
    if isinstance(projection, torch.jit.ScriptModule):  # a traced layer has forgotten all but its weight
        weight = getattr(projection, "weight", None)
        return (weight.shape[1], weight.shape[0]) if isinstance(weight, torch.Tensor) and weight.ndim >= 2 else (0, 0)
    own = vars(projection)  # asking the module itself for an attribute that it lacks is slow
    inputs, outputs = own.get("in_features") or own.get("in_channels"), own.get("out_features") or own.get("out_channels")
    return (inputs, outputs) if isinstance(inputs, int) and isinstance(outputs, int) else (0, 0)


def _name(modules: Mapping[str, nn.Module], path: str, stages: dict[str, int]) -> str:
    """Return SE_stage_block for a path such as layer3.5.se; `stages` remembers the numbers of the stages met so far."""
    block = _residual_block(modules, path)
    stage, _, key = block.rpartition(".")
    if stage not in stages:
        unnumbered = [met for met in stages if not _stage_number(modules, met)]
        stages[stage] = _stage_number(modules, stage) or len(unnumbered) + 2
    position = list(modules[stage]._modules).index(key) if key else 0
    return f"SE_{stages[stage]}_{position + 1}"


def _stage_number(modules: Mapping[str, nn.Module], path: str) -> int:
    """Return the number of the stage that the nearest numbered module on the path stands for; 0 where there is none."""
    keys = path.split(".")
    for end in range(len(keys), 0, -1):
        key = keys[end - 1]
        if layer := re.fullmatch(r"layer([1-9]\d*)", key):
            return int(layer[1]) + 1
        if key == "stem":
            return 1
        if _is_number(key):
            siblings = modules[".".join(keys[: end - 1])]._modules
            return 2 + [name for name, child in siblings.items() if type(child) is type(siblings[key])].index(key)
    return 0


def _residual_block(modules: Mapping[str, nn.Module], path: str) -> str:
    """Return the path of the numbered module that holds an SE block, or of the block itself where it stands in a plain sequence."""
    keys = path.split(".")
    for end in range(len(keys) - 1, 0, -1):
        ancestor = ".".join(keys[:end])
        if _is_number(keys[end - 1]) and type(modules[ancestor]) not in (nn.Sequential, nn.ModuleList):
            return ancestor
    return path


def _is_number(key: str) -> bool:
    """Return whether a module's name ends in a number, as those of stages and blocks do."""
    return key[-1:].isdigit()
