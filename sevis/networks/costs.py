"""What a network costs: parameters and multiply-adds, in total, by block, and those of its SE blocks.

Counted by PyTorch's own counter in one forward pass without numbers, so no weights are needed. What the paper calls FLOPs are
multiply-adds, of the convolutions and the linear layers only (arXiv 1709.01507, section 4 and Tables 2 and 3).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod

from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sevis.blocks.sites import Site, find_sites
from sevis.networks.meta import Size, meta_copy, run_meta

CONTAINERS = (nn.Sequential, nn.ModuleList)  # what a network strings its blocks up in
REST = ""  # the path of the block that stands for what belongs to no other: parameters and operations of the network's own


@dataclass(frozen=True)
class SiteCost:
    """What one SE block costs for one image.

    Attributes:
        name: SE_stage_block.
        channels, hidden: C, and the units of the hidden layer.
        places: H x W of the maps that it scales, L of a sequence, D x H x W of a volume; 0 where the forward pass does not come to it.
        parameters: its weights and biases.
        squeeze: additions of eq. (2), or comparisons where the maximum squeezes; 0 where nothing does (the paper's NoSqueeze).
        projections: multiply-adds of eq. (3).
        scaling: multiplications of eq. (4).
    """

    name: str
    channels: int
    hidden: int
    places: int
    parameters: int
    squeeze: int
    projections: int
    scaling: int


@dataclass(frozen=True)
class BlockCost:
    """What one block of the sequence that a network is costs for one image: a residual block, an Inception module, a convolution.

    Norms, activations and SE blocks that stand in the sequence themselves belong to the block before them.

    Attributes:
        path: the module's, for `model.get_submodule`; REST for what the network has and does outside its blocks.
        shape: of its output, without the batch: (C, H, W) or (C, *places), or (C,) after the last pool; empty where the forward pass does
            not come to it.
        parameters, multiply_adds: with those of its SE blocks.
        se_parameters, se_multiply_adds: those of its SE blocks.
    """

    path: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    se_parameters: int
    se_multiply_adds: int


@dataclass(frozen=True)
class Cost:
    """What a network costs for one image, sequence or volume.

    Attributes:
        size: of that input: (channels, height, width), (channels, length) or (channels, depth, height, width).
        parameters: all that are trained; running means and variances are none.
        multiply_adds: of convolutions, linear layers and matrix products; not the additions of biases, norms, pools and sums.
        blocks: in the order in which they run; they add up to the whole.
        sites: the SE blocks, in the order of `find_sites`.
    """

    size: Size
    parameters: int
    multiply_adds: int
    blocks: tuple[BlockCost, ...]
    sites: tuple[SiteCost, ...]

    @property
    def se_parameters(self) -> int:
        """The parameters of the SE blocks."""
        return sum(site.parameters for site in self.sites)

    @property
    def se_multiply_adds(self) -> int:
        """The multiply-adds of the SE blocks' projections; squeeze and scaling are none."""
        return sum(site.projections for site in self.sites)

    @property
    def squeeze(self) -> int:
        """The additions of the SE blocks' squeezes. With them, and without the scaling, SE adds what the paper's tables 2 and 3 print."""
        return sum(site.squeeze for site in self.sites)

    @property
    def closed_form(self) -> int:
        """The SE blocks' weights by eq. (5), (2/r) sum N_s C_s^2, with r = C / hidden as each block has it; without biases."""
        return sum(2 * site.channels * site.hidden for site in self.sites)


@dataclass
class _Seen:
    """What a forward pass tells of one module: the shapes of its last call without the batch, the operations of all its calls."""

    calls: int = 0
    started: int = 0
    multiply_adds: int = 0
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()


def measure_cost(model: nn.Module, size: Size = (3, 224, 224)) -> Cost:
    """Count the parameters and multiply-adds of any network, and the share of its SE blocks.

    Nothing is computed: the network may be on the meta device, and its weights and mode stay as they are. The count is that of evaluation.

    Args:
        model: a network that takes one tensor of images, sequences or volumes; its SE blocks are those of `find_sites`.
        size: channels, height and width of one image, in pixels; channels and length of a sequence; channels, depth, height and width of a
            volume.

    Raises:
        TypeError: when `model` is no nn.Module.
        SevisError: for an image that the network does not take, with the smallest that it takes; for a compiled or scripted SE block.
    """
    sites = find_sites(model)
    skeleton = meta_copy(model)
    parts = _parts(skeleton, {site.path for site in sites})
    projections = [f"{site.path}.{site.parts[0]}" for site in sites]
    seen = _run(skeleton, size, [REST, *parts, *(site.path for site in sites), *projections])
    site_costs = tuple(_site_cost(skeleton, site, seen) for site in sites)
    shares = {site.path: cost for site, cost in zip(sites, site_costs, strict=True)}
    blocks = _blocks(skeleton, parts, seen, shares)
    parameters = count_parameters(skeleton)
    return Cost(size, parameters, seen[REST].multiply_adds, (*blocks, *_rest(parameters, seen[REST], blocks)), site_costs)


def count_parameters(*modules: nn.Module) -> int:
    """Return how many numbers some modules learn, each counted once."""
    return sum(parameter.numel() for parameter in {parameter for module in modules for parameter in module.parameters()})


def _parts(skeleton: nn.Module, gates: set[str]) -> list[str]:
    """Return the paths of the modules that stand in the sequence that the network is; each module once."""
    found: dict[nn.Module, str] = {}

    def descend(module: nn.Module, below: str) -> None:
        for key, child in module.named_children():
            path = below + key
            if path not in gates and isinstance(child, CONTAINERS) and not _is_gated(child, path, gates):
                descend(child, f"{path}.")
            else:
                found.setdefault(child, path)

    descend(skeleton, "")
    return list(found.values())


def _is_gated(module: nn.Module, path: str, gates: set[str]) -> bool:
    """Return whether a sequence is one module and the SE block beside it, as `sevis.graft` makes them."""
    children = dict(module.named_children())
    others = [child for key, child in children.items() if f"{path}.{key}" not in gates]
    return len(children) == 2 and len(others) == 1 and not isinstance(others[0], CONTAINERS)


def _run(skeleton: nn.Module, size: Size, paths: Iterable[str]) -> dict[str, _Seen]:
    """Run the forward pass once, and return what it tells of the modules at these paths, those that it comes to, in their order."""
    seen: dict[str, _Seen] = {}
    counter = FlopCounterMode(display=False)

    def before(path: str, _: nn.Module, arguments: object, options: object) -> None:
        call = seen.setdefault(path, _Seen())
        call.calls += 1
        call.started = counter.get_total_flops()
        call.inputs = _shape((arguments, options))

    def after(path: str, _: nn.Module, __: object, output: object) -> None:
        call = seen[path]
        call.multiply_adds += (counter.get_total_flops() - call.started) // 2
        call.outputs = _shape(output)

    for path in dict.fromkeys(paths):
        module = skeleton.get_submodule(path)
        module.register_forward_pre_hook(partial(before, path), with_kwargs=True)
        module.register_forward_hook(partial(after, path))
    with counter:
        run_meta(skeleton, size)
    return seen


def _site_cost(skeleton: nn.Module, site: Site, seen: Mapping[str, _Seen]) -> SiteCost:
    block = seen.get(site.path, _Seen())
    projected = seen.get(f"{site.path}.{site.parts[0]}", _Seen())
    elements = prod(block.inputs) if block.calls else 0
    places = elements // site.channels
    squeezed = places == 1 or prod(projected.inputs) != elements  # NoSqueeze projects the maps themselves
    return SiteCost(
        name=site.name,
        channels=site.channels,
        hidden=site.hidden,
        places=places,
        parameters=count_parameters(skeleton.get_submodule(site.path)),
        squeeze=block.calls * elements if squeezed else 0,
        projections=block.multiply_adds,
        scaling=block.calls * elements,
    )


def _blocks(skeleton: nn.Module, parts: list[str], seen: Mapping[str, _Seen], shares: Mapping[str, SiteCost]) -> list[BlockCost]:
    """Return the blocks that have parameters or multiply-adds, each parameter in the first block that has it."""
    owned: set[nn.Parameter] = set()
    blocks = []
    for group in _groups(parts, seen, shares):
        held = {parameter for path in group for parameter in skeleton.get_submodule(path).parameters()} - owned
        owned |= held
        inside = [cost for gate, cost in shares.items() if _is_within(gate, group)]
        first, multiply_adds = seen.get(group[0], _Seen()), sum(seen[path].multiply_adds for path in group if path in seen)
        share = sum(cost.parameters for cost in inside), sum(cost.projections for cost in inside)
        if held or multiply_adds:
            parameters = sum(parameter.numel() for parameter in held)
            blocks.append(BlockCost(group[0], first.outputs, parameters, multiply_adds, *share))
    return blocks


def _groups(parts: list[str], seen: Mapping[str, _Seen], shares: Mapping[str, SiteCost]) -> list[list[str]]:
    """Return the parts in the order in which they run: one that multiplies nothing but in its SE blocks belongs to the one before it."""
    groups: list[list[str]] = []
    for path in sorted(set(parts) & set(seen), key=list(seen).index):
        own = seen[path].multiply_adds - sum(cost.projections for gate, cost in shares.items() if _is_within(gate, [path]))
        if groups and not own:
            groups[-1].append(path)
        else:
            groups.append([path])
    return groups + [[path] for path in parts if path not in seen]


def _rest(parameters: int, whole: _Seen, blocks: Iterable[BlockCost]) -> list[BlockCost]:
    """Return the block for the network's own parameters and operations, where it has any."""
    parameters -= sum(block.parameters for block in blocks)
    multiply_adds = whole.multiply_adds - sum(block.multiply_adds for block in blocks)
    return [BlockCost(REST, whole.outputs, parameters, multiply_adds, 0, 0)] if parameters or multiply_adds else []


def _is_within(path: str, above: Iterable[str]) -> bool:
    return any(path == other or path.startswith(f"{other}.") for other in above)


def _shape(value: object) -> tuple[int, ...]:
    """Return the shape, without the batch, of the first tensor in what a module takes or return; empty where there is none."""
    if isinstance(value, Tensor):
        return tuple(value.shape[1:])
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return next((shape for part in inside if (shape := _shape(part))), ())
