"""What the page Architectures asks of the library: networks without weights, their units and costs, kept for all visitors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from sevis.figures.networks.architectures import Cell, Stage
from sevis.paper import TABLES_2_AND_3, short_name

if TYPE_CHECKING:
    from torch import nn

    from sevis.networks.costs import BlockCost, Cost, SiteCost
    from sevis.networks.drawing import Drawing
    from sevis.networks.grafting import Unit

PLACEMENTS = {"standard": "Standard", "pre": "Pre", "post": "Post", "identity": "Identity", "3x3": "3×3"}
SQUEEZES = {"avg": "Mean", "max": "Maximum", "none": "None (NoSqueeze)"}
GATES = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "ReLU"}
SENET_154 = "senet154"
TITLES: Mapping[str, str] = {
    "resnet18": "ResNet-18",
    "resnet34": "ResNet-34",
    **{row.name: row.title for row in TABLES_2_AND_3},
    "resnet20": "ResNet-20 for CIFAR",
    "resnet110": "ResNet-110 for CIFAR",
    "resnet164": "ResNet-164 for CIFAR",
    "wrn16_8": "WRN-16-8 for CIFAR",
    SENET_154: "SENet-154",
}


@dataclass(frozen=True)
class Design:
    """A network and how SE is put into it: what `sevis.build` takes.

    Attributes:
        name: of the plain network, or SENET_154.
        width: of its channels.
        reduction, placement, stages, squeeze, gate, bias: of the SE blocks; `stages=None` is all of them, `()` none.
    """

    name: str
    width: float = 1.0
    reduction: int = 16
    placement: str = "standard"
    stages: tuple[int, ...] | None = None
    squeeze: str = "avg"
    gate: str = "sigmoid"
    bias: bool = True

    @property
    def title(self) -> str:
        """Return what the network is called in the paper."""
        return TITLES.get(self.name, self.name)

    @property
    def plain(self) -> "Design":
        """Return the same network without SE."""
        return Design(self.name, self.width, stages=())

    @property
    def gated_name(self) -> str:
        """Return what `sevis.build` calls the network with SE."""
        return self.name if self.name == SENET_154 else f"se_{self.name}"

    @property
    def key(self) -> str:
        """Return what tells this design from all others."""
        return repr(self)

    def arguments(self) -> tuple[str, dict[str, Any]]:
        """Return the name and the options for `sevis.build`."""
        options = {"reduction": self.reduction, "squeeze": self.squeeze, "gate": self.gate, "bias": self.bias}
        where = {"placement": self.placement, "stages": self.stages}
        width = {} if self.width == 1 else {"width": self.width}
        return self.gated_name, {**options, **where, **width}


@dataclass(frozen=True)
class Family:
    """What can be chosen of a network.

    Attributes:
        side: of its input, in pixels.
        widens: whether it takes a width.
        placements: that it has.
        units: in the order in which they run.
    """

    side: int
    widens: bool
    placements: tuple[str, ...]
    units: "tuple[Unit, ...]"

    @property
    def stages(self) -> tuple[int, ...]:
        """Return the stages that have units."""
        return tuple(sorted({unit.stage for unit in self.units}))

    @property
    def size(self) -> tuple[int, int, int]:
        """Return the shape of an image: channels, height and width."""
        return 3, self.side, self.side


def list_families() -> list[str]:
    """Return the networks to choose from, by the names of the plain ones."""
    from sevis.networks.libraries.sevis_library import list_models, plain_twin

    return [name for name in list_models() if name == SENET_154 or plain_twin(name) == name]


@st.cache_data(max_entries=256, show_spinner=False)
def family_of(name: str, width: float) -> Family:
    """Return what can be chosen of a network. Raises SevisError where it cannot be built."""
    from sevis.networks.grafting import find_units, list_placements
    from sevis.networks.libraries.sevis_library import input_size, takes_width

    side = input_size(name)
    model = skeleton_of(Design(name, width).plain)
    return Family(side, takes_width(name), list_placements(model), find_units(model, size=(3, side, side)))


@st.cache_data(max_entries=512, show_spinner=False)
def cost_of(design: Design) -> "Cost":
    """Return what a network costs for an image of the size that it is meant for. Raises SevisError where the options do not fit it."""
    from sevis.networks.costs import measure_cost
    from sevis.networks.libraries.sevis_library import input_size

    side = input_size(design.name)
    return measure_cost(skeleton_of(design), (3, side, side))


@st.cache_data(max_entries=512, show_spinner=False)
def drawing_of(design: Design, unit: str) -> "Drawing":
    """Return how a unit, SE_stage_block, is put together. Raises SevisError where the options do not fit the network."""
    from sevis.networks.drawing import draw_unit

    return draw_unit(skeleton_of(design), unit, size=family_of(design.name, design.width).size)


@st.cache_resource(max_entries=16, show_spinner=False)
def skeleton_of(design: Design) -> "nn.Module":
    """Return the network on the meta device: it takes no memory for numbers, and all visitors share it.

    Raises:
        SevisError: as `sevis.build`.
    """
    import torch

    from sevis.networks.libraries.sevis_library import build

    name, options = design.arguments()
    with torch.device("meta"):
        return build(name, **options).eval()


def cells_of(family: Family, cost: "Cost") -> list[Cell]:
    """Return the blocks of a network with SE, for `block_strip`."""
    sites = {site.name: site for site in cost.sites}
    units = {block_at(cost.blocks, unit.path): unit.name for unit in family.units}
    cells = []
    for block in cost.blocks:
        unit = units.get(block.path, "")
        gate = describe_gate(sites[unit]) if block.se_parameters and unit in sites else ""
        label = unit if gate else short_name(unit) or block.path
        cells.append(Cell(label, block.path or "the rest", side_of(block.shape), block.shape[0] if block.shape else 0, unit, gate))
    return cells


def stages_of(cost: "Cost", *, parameters: bool) -> list[Stage]:
    """Return the cost by output size, for `stage_bars`: parameters, or multiply-adds."""
    sums: dict[int, tuple[int, int, int]] = {}
    for block in cost.blocks:
        whole, gated = (block.parameters, block.se_parameters) if parameters else (block.multiply_adds, block.se_multiply_adds)
        blocks, plain, share = sums.get(side_of(block.shape), (0, 0, 0))
        sums[side_of(block.shape)] = blocks + 1, plain + whole - gated, share + gated
    return [Stage(side, *counted) for side, counted in sums.items()]


def parameters_by_ratio(plain: int, sites: "Sequence[SiteCost]", *, bias: bool) -> dict[int, int]:
    """Return the parameters of the network for every r from 2 to 32 that leaves each block a hidden unit: C // r of them."""
    most = min([32, *(site.channels for site in sites)])
    return {
        ratio: plain + sum(_projections(site.channels, site.channels // ratio, bias=bias) for site in sites) for ratio in range(2, most + 1)
    }


def describe_gate(site: "SiteCost") -> str:
    """Return the channels of an SE block and of its hidden layer."""
    return f"{site.channels} → {site.hidden} → {site.channels}"


def side_of(shape: tuple[int, ...]) -> int:
    """Return the side of an output (C, H, W) in pixels; 1 of an output (C,)."""
    return shape[-1] if len(shape) == 3 else 1


def block_at(blocks: "Sequence[BlockCost]", path: str) -> str:
    """Return the path of the block that the module at `path` belongs to: the one that holds it, or in a sequence the last before it."""
    for block in blocks:
        if path == block.path or path.startswith(f"{block.path}."):
            return block.path
    parent, _, key = path.rpartition(".")
    before = [
        int(number)
        for block in blocks
        for holder, _, number in [block.path.rpartition(".")]
        if holder == parent and number.isdecimal() and key.isdecimal() and int(number) < int(key)
    ]
    return f"{parent}.{max(before)}" if before else ""


def _projections(channels: int, hidden: int, *, bias: bool) -> int:
    return 2 * channels * hidden + (channels + hidden if bias else 0)
