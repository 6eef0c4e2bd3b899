"""What a network costs: parameters and multiply-adds, in total, by block, and those of its SE blocks.

Counted by PyTorch's own counter in one forward pass without numbers, so no weights are needed. What the paper calls FLOPs are
multiply-adds, of the convolutions and the linear layers only (arXiv 1709.01507, section 4 and Tables 2 and 3).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sevis.blocks.evidence import Evidence, Wiring, examine
from sevis.blocks.sites import Known, Site, know, pair_of
from sevis.blocks.structure import outline
from sevis.networks.meta import Size, meta_copy, run_meta

CONTAINERS = (nn.Sequential, nn.ModuleList)  # what a network strings its blocks up in
REST = ""  # the path of the block that stands for what belongs to no other: parameters and operations of the network's own


@dataclass(frozen=True)
class SiteCost:
    """What one SE block costs for one image: its two projections, and nothing else of the module that holds them.

    A norm between the projections, which the paper's block does not have, is not counted: neither its parameters nor its operations.

    Attributes:
        name: SE_stage_block.
        channels, hidden: C, and the units of the hidden layer.
        places: H x W of the maps that it scales, L of a sequence, D x H x W of a volume; 0 where the forward pass does not come to it.
        parameters: weights and biases of the projections.
        squeeze: additions of eq. (2), or comparisons where the maximum squeezes; 0 where nothing does (the paper's NoSqueeze).
        projections: multiply-adds of eq. (3), those of the two projections.
        scaling: multiplications of eq. (4), one for each number of the maps, whatever becomes of the product.
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


class _Share(NamedTuple):
    """What projections of SE blocks cost."""

    parameters: int
    multiply_adds: int


@dataclass
class _Seen:
    """What a forward pass tells of one module: the shape of its last output without the batch, the operations of all its calls."""

    started: int = 0
    multiply_adds: int = 0
    outputs: tuple[int, ...] = ()


def measure_cost(model: nn.Module, size: Size = (3, 224, 224)) -> Cost:
    """Count the parameters and multiply-adds of any network, and the share of its SE blocks.

    Nothing is computed: the network may be on the meta device, and its weights and mode stay as they are. The count is that of evaluation.
    Which blocks scale what is read off the same forward pass without numbers, unless one with numbers has shown it before.

    Args:
        model: a network that takes one tensor of images, sequences or volumes; its SE blocks are those of `find_sites`.
        size: channels, height and width of one image, in pixels; channels and length of a sequence; channels, depth, height and width of a
            volume.

    Raises:
        TypeError: when `model` is no nn.Module.
        SevisError: for an image that the network does not take, with the smallest that it takes; for a compiled or scripted SE block.
    """
    before = know(model)
    skeleton = meta_copy(model)
    seen, evidence = _run(skeleton, size, before)
    known = Known(skeleton, before.declared)
    known.learn(skeleton, evidence)
    sites = before.sites if before.evidence else known.sites
    site_costs = tuple(_site_cost(skeleton, site, known.wiring(site), seen) for site in sites)
    shares = {path: _cost_of(skeleton, path, seen) for site in sites for path in pair_of(site)}
    blocks = _blocks(skeleton, _parts(skeleton, seen, shares), seen, shares)
    parameters = count_parameters(skeleton)
    whole = seen[skeleton]
    return Cost(size, parameters, whole.multiply_adds, (*blocks, *_rest(parameters, whole, blocks)), site_costs)


def count_parameters(*modules: nn.Module) -> int:
    """Return how many numbers some modules learn, each counted once."""
    return sum(parameter.numel() for parameter in {parameter for module in modules for parameter in module.parameters()})


def count_projections(model: nn.Module, sites: Iterable[Site]) -> int:
    """Return how many numbers the projections of some SE blocks of a model learn, each counted once."""
    return count_parameters(*(model.get_submodule(path) for site in sites for path in pair_of(site)))


def _run(skeleton: nn.Module, size: Size, known: Known) -> tuple[Mapping[nn.Module, _Seen], Evidence]:
    """Run the forward pass once, and return what it tells of the modules that it comes to, in their order, and of the SE blocks."""
    seen: dict[nn.Module, _Seen] = {}
    counter = FlopCounterMode(display=False)

    def before(module: nn.Module, _: object) -> None:
        call = seen.setdefault(module, _Seen())
        call.started = counter.get_total_flops()

    def after(module: nn.Module, _: object, output: object) -> None:
        call = seen[module]
        call.multiply_adds += (counter.get_total_flops() - call.started) // 2
        call.outputs = _shape(output)

    for module in skeleton.modules():
        module.register_forward_pre_hook(before)
        module.register_forward_hook(after)
    with counter:
        return seen, examine(outline(skeleton), known.candidates, lambda: run_meta(skeleton, size))


def _site_cost(skeleton: nn.Module, site: Site, wiring: Wiring | None, seen: Mapping[nn.Module, _Seen]) -> SiteCost:
    return SiteCost(
        name=site.name,
        channels=site.channels,
        hidden=site.hidden,
        places=prod(wiring.places) if wiring else 0,
        parameters=count_projections(skeleton, [site]),
        squeeze=wiring.squeezed if wiring else 0,
        projections=sum(_cost_of(skeleton, path, seen).multiply_adds for path in pair_of(site)),
        scaling=wiring.scaled if wiring else 0,
    )


def _cost_of(skeleton: nn.Module, path: str, seen: Mapping[nn.Module, _Seen]) -> _Share:
    """Return what a projection costs."""
    module = skeleton.get_submodule(path)
    return _Share(count_parameters(module), seen[module].multiply_adds if module in seen else 0)


def _parts(skeleton: nn.Module, seen: Mapping[nn.Module, _Seen], shares: Mapping[str, _Share]) -> list[str]:
    """Return the paths of the modules that stand in the sequence that the network is; each module once."""
    found: dict[nn.Module, str] = {}

    def descend(module: nn.Module, below: str) -> None:
        for key, child in module.named_children():
            path = below + key
            if isinstance(child, CONTAINERS) and not is_gate(child, path) and not is_gated(child, path):
                descend(child, f"{path}.")
            else:
                found.setdefault(child, path)

    def is_gate(module: nn.Module, path: str) -> bool:
        """Return whether a module is an SE block and nothing else: it multiplies in the projections only."""
        share = _share_within([path], shares)
        return share.parameters > 0 and share.multiply_adds == (seen[module].multiply_adds if module in seen else 0)

    def is_gated(module: nn.Module, path: str) -> bool:
        """Return whether a sequence is one module and the SE block beside it, as `sevis.graft` makes them."""
        others = [child for key, child in module.named_children() if not is_gate(child, f"{path}.{key}")]
        return len(module._modules) == 2 and len(others) == 1 and not isinstance(others[0], CONTAINERS)

    descend(skeleton, "")
    return list(found.values())


def _blocks(skeleton: nn.Module, parts: list[str], seen: Mapping[nn.Module, _Seen], shares: Mapping[str, _Share]) -> list[BlockCost]:
    """Return the blocks that have parameters or multiply-adds, each parameter in the first block that has it."""
    owned: set[nn.Parameter] = set()
    blocks = []
    for group in _groups(skeleton, parts, seen, shares):
        modules = [skeleton.get_submodule(path) for path in group]
        held = {parameter for module in modules for parameter in module.parameters()} - owned
        owned |= held
        calls = [seen[module] for module in modules if module in seen]
        multiply_adds = sum(call.multiply_adds for call in calls)
        if held or multiply_adds:
            parameters = sum(parameter.numel() for parameter in held)
            shape = calls[0].outputs if calls else ()
            share = _share_within(group, shares)
            blocks.append(BlockCost(group[0], shape, parameters, multiply_adds, share.parameters, share.multiply_adds))
    return blocks


def _groups(skeleton: nn.Module, parts: list[str], seen: Mapping[nn.Module, _Seen], shares: Mapping[str, _Share]) -> list[list[str]]:
    """Return the parts in the order in which they run: one that multiplies nothing but in its SE blocks belongs to the one before it."""
    groups: list[list[str]] = []
    modules = {path: skeleton.get_submodule(path) for path in parts}
    order = {module: index for index, module in enumerate(seen)}
    for path in sorted((path for path in parts if modules[path] in seen), key=lambda path: order[modules[path]]):
        own = seen[modules[path]].multiply_adds - _share_within([path], shares).multiply_adds
        if groups and not own:
            groups[-1].append(path)
        else:
            groups.append([path])
    return groups + [[path] for path in parts if modules[path] not in seen]


def _share_within(group: Iterable[str], shares: Mapping[str, _Share]) -> _Share:
    """Return what the projections below some modules cost."""
    inside = [share for path, share in shares.items() if _is_within(path, group)]
    return _Share(sum(share.parameters for share in inside), sum(share.multiply_adds for share in inside))


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
