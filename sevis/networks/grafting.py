"""SE put into a network that never had it: where, by a rule for its family (arXiv 1709.01507, section 3.3 and Figures 2, 3 and 5).

A network is a sequence of units: residual blocks, Inception modules, convolutions. A rule names, for each class of units, the module beside
which SE stands for each placement; the module is replaced by itself and the SE block, one after the other.
"""

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import log2

from torch import Tensor, nn

from sevis.blocks import SqueezeExcitation
from sevis.errors import SevisError
from sevis.meta import Size, meta_copy, run_meta
from sevis.networks.rules import PLACEMENTS, SEQUENCES, UNITS, Place, after
from sevis.sites import find_sites


@dataclass(frozen=True)
class Unit:
    """A unit of a network, in or beside which SE can stand.

    Attributes:
        name: that of its SE block, SE_stage_block.
        stage: `layerN` is stage N + 1 and `stageN` stage N; of others, the number of times that the input was halved, as in ResNet.
        path: the module's path, for `model.get_submodule`.
        places: where SE stands, by placement.
        channels: of the maps there, by placement.
    """

    name: str
    stage: int
    path: str
    places: Mapping[str, Place]
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
    size: Size = (3, 224, 224),
) -> nn.Module:
    """A copy of a network, weights and all, with SE blocks in it; the network itself stays as it is.

    Args:
        model: of sevis, torchvision or timm; the families that have a rule are in `sevis.networks.rules`.
        placement: one of PLACEMENTS (the paper's Figure 5 and Table 15): before the sum of a residual unit (standard), before the unit, on
            its branch (pre), after the sum (post), on the identity connection (identity), or after the 3x3 convolution (3x3). Most other
            families have the standard one only.
        stages: which stages get SE blocks (Table 13); None: all.
        reduction, squeeze, gate, bias, start: the SE blocks', see `sevis.blocks.SqueezeExcitation`. With start="identity", the network
            first computes exactly what it did before.
        after: instead of a rule, the paths of the modules on whose outputs SE stands.
        again: whether a network may have SE blocks already.
        size: channels, height and width of an image that the network takes; a forward pass without numbers finds the channels.

    Raises:
        SevisError: for a network without a rule, with SE blocks already, and for a placement, stage or reduction that it does not have.
    """
    sites = find_sites(model)
    if sites and not again:
        raise SevisError(
            f"{type(model).__name__} has {len(sites)} SE blocks already ({sites[0].name} to {sites[-1].name}): "
            "pass again=True to put others beside them"
        )
    make_block = partial(SqueezeExcitation, reduction=reduction, squeeze=squeeze, gate=gate, bias=bias, start=start)
    units = find_units(model, after=after, size=size)
    return _insert(copy.deepcopy(model), units, make_block, placement=placement, stages=stages)


def insert_blocks(
    network: nn.Module,
    make_block: Callable[[int], nn.Module],
    *,
    placement: str = "standard",
    stages: Sequence[int] | None = None,
) -> nn.Module:
    """Puts what `make_block` makes, for so many channels, into a network of a known family; returns the network itself.

    Raises:
        SevisError: as `graft`.
    """
    return _insert(network, find_units(network), make_block, placement=placement, stages=stages)


def list_placements(units: Sequence[Unit]) -> tuple[str, ...]:
    """The placements that all units have, in the order of PLACEMENTS."""
    return tuple(placement for placement in PLACEMENTS if all(placement in unit.places for unit in units))


def find_units(model: nn.Module, *, after: Sequence[str] = (), size: Size = (3, 224, 224)) -> tuple[Unit, ...]:
    """The units of a network in the order in which they run, by the rule of its family or, for any network, by the paths of `after`.

    Raises:
        SevisError: for a network without a rule, with the reason; for a path that leads nowhere or to no maps (N, C, H, W).
    """
    found = _named(model, after) if after else _by_rule(model)
    if not found:
        raise SevisError(
            f"no rule says where SE goes in {type(model).__name__}: it has no units of the families {', '.join(_families())}; "
            "name the modules yourself, as in graft(model, after=['blocks.0', 'blocks.1'])"
        )
    shapes = _shapes(model, found, (_input_channels(model, size[0]), *size[1:]))
    counts: dict[int, int] = {}
    units = []
    for path in sorted(shapes, key=list(shapes).index):
        stage = found[path].stage or _stage(path, log2(size[1] / shapes[path][""][-2]))
        counts[stage] = counts.get(stage, 0) + 1
        name = f"SE_{stage}_{counts[stage]}"
        channels = {placement: shapes[path][_key(place)][1] for placement, place in found[path].places.items()}
        units.append(Unit(name, stage, path, found[path].places, channels))
    return tuple(units)
