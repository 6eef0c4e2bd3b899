"""SE put into a network that never had it: where, by a rule for its family (arXiv 1709.01507, section 3.3 and Figures 2, 3 and 5).

A network is a sequence of units: residual blocks, Inception modules, convolutions. A rule names, for each class of units, the module beside
which SE stands for each placement; the module is replaced by itself and the SE block, one after the other.
"""

import copy
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import log2
from typing import Any

from torch import Tensor, nn

from sevis.blocks.block import SqueezeExcitation
from sevis.blocks.sites import find_sites
from sevis.errors import SevisError
from sevis.networks.meta import Size, default_size, meta_copy, run_meta, try_meta
from sevis.networks.placements import PLACEMENTS, SEQUENCES, UNITS, Slot
from sevis.networks.placements import after as only_after

Spot = tuple[str, bool]  # the path of a module, and whether it is what goes into it, not what comes out
Shape = tuple[int, ...]  # of maps, with the batch
Rules = Mapping[str, Mapping[str, Slot]]  # slots by placement, by the path of the unit


@dataclass(frozen=True)
class Unit:
    """A unit of a network, in or beside which SE can stand.

    Attributes:
        name: that of its SE block, SE_stage_block.
        stage: `layerN` is stage N + 1 and `stageN` stage N; of others, the number of times that the input was halved, as in ResNet.
        path: the module's path, for `model.get_submodule`.
        slots: where SE stands, by placement.
        channels: of the maps there, by placement.
    """

    name: str
    stage: int
    path: str
    slots: Mapping[str, Slot]
    channels: Mapping[str, int]


class Gated(nn.Sequential):
    """A module of a network, `body`, and before or behind it the SE block that was grafted beside it, `se`."""


def graft(
    model: nn.Module,
    *,
    placement: str = "standard",
    stages: Sequence[int] | None = None,
    reduction: int = 16,
    squeeze: str = "avg",
    gate: str = "sigmoid",
    bias: bool = True,
    start: str = "he",
    after: Sequence[str] = (),
    again: bool = False,
    size: Size | None = None,
) -> nn.Module:
    """Return a copy of a network, weights and all, with SE blocks in it; the network itself stays as it is.

    Args:
        model: of sevis, torchvision or timm; the families that have a rule are in `sevis.networks.placements`.
        placement: one of PLACEMENTS (the paper's Figure 5 and Table 15): before the sum of a residual unit (standard), before the unit, on
            its branch (pre), after the sum (post), on the identity connection (identity), or after the 3x3 convolution (3x3). Most other
            families have the standard one only.
        stages: which stages get SE blocks (Table 13); None: all.
        reduction, squeeze, gate, bias, start: the SE blocks', see `sevis.SqueezeExcitation`. With start="identity", the network
            first computes exactly what it did before.
        after: instead of a rule, the paths of the modules on whose outputs SE stands: (N, C, *places), such as maps (N, C, H, W), sequences
            (N, C, L) or volumes (N, C, D, H, W).
        again: whether a network may have SE blocks already.
        size: the shape of an input that the network takes, without the batch, for a forward pass without numbers that finds the channels
            of the maps: (channels, height, width). None: as the first convolution suggests, 224 x 224 pixels, a sequence of 16,000, or
            224 x 224 x 224 voxels.

    Raises:
        SevisError: for a network without a rule, with SE blocks already, and for a placement, stage or reduction that it does not have.
    """
    sites = find_sites(model)
    if sites and not again:
        raise SevisError(
            f"{type(model).__name__} already has {len(sites)} SE blocks ({sites[0].name} to {sites[-1].name}): pass again=True to "
            "add more beside them"
        )
    make_block = partial(SqueezeExcitation, reduction=reduction, squeeze=squeeze, gate=gate, bias=bias, start=start)
    units = find_units(model, after=after, size=size)
    return insert_blocks(copy.deepcopy(model), units, make_block, placement=placement, stages=stages)


def list_placements(model: nn.Module) -> tuple[str, ...]:
    """Return the placements that the family of a network has, in the order of PLACEMENTS. Raises SevisError as `find_units`."""
    return _common(find_units(model))


def find_units(model: nn.Module, *, after: Sequence[str] = (), size: Size | None = None) -> tuple[Unit, ...]:
    """Return the units of a network in the order in which they run, by the rule of its family or, for any network, by the paths of `after`.

    `size` is that of `graft`.

    Raises:
        SevisError: for a network without a rule, with the reason; for a path that leads nowhere, to a module that does not run, or to one
            whose output has no channels where SE reads them, (N, C, *places).
    """
    rules = _rules_at(model, after) if after else _rules(model)
    if not rules:
        raise SevisError(
            f"no rule says where SE goes in {type(model).__name__}, because sevis knows only {', '.join(_families())}: name the "
            "modules whose outputs SE should gate, as in graft(model, after=['blocks.0', 'blocks.1'])"
        )
    size = size or default_size(model)
    units: list[Unit] = []
    stages = _sequence_stages(model)
    for path, shapes in _measure(model, rules, size, told=bool(after)).items():
        stage = stages.get(path) or _stage(path) or _halvings(size, shapes[_whole(path)])
        number = 1 + sum(unit.stage == stage for unit in units)
        channels = {placement: shapes[_spot(path, slot)][1] for placement, slot in rules[path].items()}
        units.append(Unit(f"SE_{stage}_{number}", stage, path, rules[path], channels))
    return tuple(units)


def insert_blocks(
    network: nn.Module, units: Sequence[Unit], make_block: Callable[[int], nn.Module], *, placement: str, stages: Sequence[int] | None
) -> nn.Module:
    """Put what `make_block` makes, for so many channels, into units of a network; returns the network itself.

    Raises:
        SevisError: for a placement or a stage that the network does not have.
    """
    known, there = _common(units), sorted({unit.stage for unit in units})
    if placement not in known:
        raise SevisError(f"{type(network).__name__} has no placement {placement!r}: choose one of {', '.join(known)}")
    if isinstance(stages, int | str):
        raise SevisError(f"expected a sequence of stages, such as (4,), got {stages!r}")
    strange = [stage for stage in stages or () if stage not in there]
    if strange:
        raise SevisError(f"{type(network).__name__} has no stage {strange[0]!r}: choose among {', '.join(map(str, there))}")
    chosen = [unit for unit in units if stages is None or unit.stage in stages]
    blocks = [make_block(unit.channels[placement]) for unit in chosen]
    for unit, block in zip(reversed(chosen), reversed(blocks), strict=True):  # one inside another first, while its path still leads there
        block.site = unit.name  # type: ignore[assignment]  # what `find_sites` calls it
        _put(network, unit, unit.slots[placement], block)
    return network


def _put(network: nn.Module, unit: Unit, slot: Slot, block: nn.Module) -> None:
    """Fill a slot that holds nothing, or replace the module there by itself and the block."""
    whole = network.get_submodule(unit.path)
    like = next(whole.parameters(), None)
    like = next(network.parameters()) if like is None else like
    block.to(like.device, like.dtype).train(whole.training)
    path, _, key = _join(unit.path, slot.module).rpartition(".")
    parent = network.get_submodule(path)
    body = getattr(parent, key)
    if body is None or isinstance(body, nn.Identity):
        setattr(parent, key, block)
        return
    children = [("se", block), ("body", body)] if slot.before else [("body", body), ("se", block)]
    setattr(parent, key, Gated(OrderedDict(children)).train(whole.training))


def _common(units: Sequence[Unit]) -> tuple[str, ...]:
    return tuple(placement for placement in PLACEMENTS if all(placement in unit.slots for unit in units))


def _rules(model: nn.Module) -> Rules:
    """Return the rules of all units by their paths."""
    stages = _sequence_stages(model)
    if stages:
        return {path: only_after("") for path in stages}
    return {path: UNITS[name] for path, module in model.named_modules() if path and (name := _class_of(module)) in UNITS}


def _rules_at(model: nn.Module, paths: Sequence[str]) -> Rules:
    if isinstance(paths, str):
        raise SevisError(f"expected a sequence of paths, such as [{paths!r}], got {paths!r}")
    modules = dict(model.named_modules())
    for path in paths:
        if not path or path not in modules:
            raise SevisError(f"{type(model).__name__} has no module {path!r}: its named_modules() lists those that it has")
    return {path: only_after("") for path in paths}


def _sequence_stages(model: nn.Module) -> dict[str, int]:
    """Return the stage of every non-linearity of a network that is one sequence: a max pool ends it. Empty for any other network."""
    found = (_join(path, SEQUENCES[name]) for path, module in model.named_modules() if (name := _class_of(module)) in SEQUENCES)
    sequence = next(found, "")
    stages, stage = {}, 1
    for key, child in model.get_submodule(sequence).named_children() if sequence else ():
        gated = isinstance(child, Gated)
        if isinstance(child.body if gated else child, nn.ReLU):
            stages[f"{sequence}.{key}.body" if gated else f"{sequence}.{key}"] = stage
        stage += isinstance(child, nn.MaxPool2d)
    return stages


def _stage(path: str) -> int:
    """Return the number that the network itself gives to the stage; 0 where it gives none."""
    for key in path.split("."):
        if named := re.fullmatch(r"(layer|stage)(\d+)", key):
            return int(named[2]) + (named[1] == "layer")
        if key == "stem":
            return 1
    return 0


def _halvings(size: Size, shape: Shape) -> int:
    """Return how often the input was halved, along the place dimension where that was most often; at least 1."""
    return max(1, *(round(log2(whole / part)) for whole, part in zip(size[1:], shape[2:], strict=False)))


def _measure(model: nn.Module, rules: Rules, size: Size, *, told: bool) -> dict[str, dict[Spot, Shape]]:
    """Return the shapes at all slots of every unit that runs, in the order in which they run.

    A slot that holds nothing has the shape of the unit's output. Units that no rule but a caller named (`told`) must run, and must have
    their channels where SE reads them.
    """
    skeleton = meta_copy(model)
    seen: dict[Spot, Shape | str] = {}
    order: dict[str, None] = {}
    for path, slots in rules.items():
        skeleton.get_submodule(path).register_forward_pre_hook(lambda _, __, path=path: order.setdefault(path))
        for slot in (Slot(""), *slots.values()):
            module = _module_at(skeleton, _join(path, slot.module))
            if module is not None:
                _note_shape(module, _spot(path, slot), seen)
    run_meta(skeleton, size)
    shapes = {}
    for path in order:
        whole = _maps_shape(path, seen[_whole(path)])
        spots = [_whole(path), *(_spot(path, slot) for slot in rules[path].values())]
        shapes[path] = {spot: _maps_shape(path, seen.get(spot, whole)) for spot in spots}
    if told:
        idle = [path for path in rules if path not in order]
        if idle:
            raise SevisError(f"{idle[0]} does not run when {type(model).__name__} is called: name a module that does, such as one in it")
        seen.clear()
        for larger in ((size[0], *(2 * side for side in size[1:])), (2 * size[0], *size[1:])):  # places come first in some networks' inputs
            if not seen:
                try_meta(skeleton, larger)  # even one that takes a single size may come as far as its units
        for path, found in shapes.items():
            _require_channels(model, path, found[_whole(path)], seen.get(_whole(path)))
    return shapes


def _note_shape(module: nn.Module, spot: Spot, seen: dict[Spot, Shape | str]) -> None:
    """Note the shape of what a module takes or returns whenever it runs, or the class of what has none."""

    def note(_: nn.Module, args: tuple[Any, ...], *output: Any) -> None:
        value = (output or args or (None,))[0]
        seen[spot] = tuple(value.shape) if isinstance(value, Tensor) else f"a {type(value).__name__}"

    if spot[1]:
        module.register_forward_pre_hook(note)
    else:
        module.register_forward_hook(note)


def _maps_shape(path: str, shape: Shape | str) -> Shape:
    """Return the shape of some maps. Raises SevisError for what can be none."""
    if isinstance(shape, str) or len(shape) < 3:
        raise SevisError(
            f"expected maps of shape (N, C, H, W) out of {path}, got {shape}: SE gates the channels of maps, of sequences (N, C, L) and of "
            "volumes (N, C, D, H, W), so name a module that returns such"
        )
    return shape


def _require_channels(model: nn.Module, path: str, shape: Shape, larger: Shape | str | None) -> None:
    """Raise SevisError where what SE would read as the channels of a module's output are places, as in (N, L, C) and (N, H, W, C).

    Places grow with the input: `larger` is the shape for one twice as large. Where it tells nothing, because the network takes inputs of
    one size only, it is the width of the layers that tells.
    """
    named = f"expected the channels of {path} in the second dimension, as in (N, C, *places), got {shape}"
    if isinstance(larger, tuple) and larger != shape:
        if larger[1] != shape[1]:
            raise SevisError(f"{named}, whose second dimension grows with the input ({larger} for one twice as large): name another module")
        return
    modules = list(model.modules())
    first = {getattr(module, name, None) for module in modules for name in ("out_channels", "num_features", "num_channels")}
    last = {getattr(module, "out_features", None) for module in modules}
    last |= {module.normalized_shape[-1] for module in modules if isinstance(module, nn.LayerNorm)}
    if shape[1] not in first and shape[-1] in last:
        raise SevisError(f"{named}, where the last dimension is as wide as a linear layer or a norm: name another module")


def _spot(path: str, slot: Slot) -> Spot:
    return _join(path, slot.module), slot.before


def _whole(path: str) -> Spot:
    return path, False


def _join(path: str, below: str) -> str:
    return ".".join(filter(None, (path, below)))


def _module_at(model: nn.Module, path: str) -> nn.Module | None:
    parent, _, key = path.rpartition(".")
    module = getattr(model.get_submodule(parent), key)
    return module if isinstance(module, nn.Module) else None


def _class_of(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _families() -> list[str]:
    """Return what the classes with rules are called, for people: library and file."""
    return sorted({f"{library}'s {file}" for library, *_, file, _ in (name.split(".") for name in (*UNITS, *SEQUENCES))})
