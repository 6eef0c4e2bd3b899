"""The page Architectures: SE in the networks of the paper, where it sits, what it costs in theory and in time."""

from typing import TYPE_CHECKING

import streamlit as st

from sevis.errors import SevisError
from sevis.figures.networks.architectures import block_strip
from sevis.pages.architectures.costs import show_costs, show_ratios, show_stages
from sevis.pages.architectures.designs import (
    GATES,
    PLACEMENTS,
    SQUEEZES,
    TITLES,
    Design,
    Family,
    cells_of,
    cost_of,
    drawing_of,
    family_of,
    list_families,
)
from sevis.pages.architectures.paper_tables import show_paper
from sevis.pages.architectures.timing import show_overhead
from sevis.pages.shared.controls import choose_one
from sevis.pages.shared.show import errors_shown, show, show_error

if TYPE_CHECKING:
    from sevis.networks.costs import Cost

START = "resnet50"
WIDTHS = (0.25, 0.5, 0.75, 1.0)
RATIOS = (2, 4, 8, 16, 32)
OF_ONE_NETWORK = ("width", "placement", "stages", "unit")  # what another may lack


@st.fragment
def explore() -> None:
    """Show all that changes with the controls: a fragment, so that quick clicks do not run beside each other."""
    controls = st.container(horizontal=True, gap="medium")
    try:
        with st.spinner("Loading PyTorch …"):
            names = list_families()
        with controls:
            name = _choose_network(names)
        with st.spinner(f"Counting {TITLES.get(name, name)} …"):
            family = family_of(name, 1.0)
        with controls:
            design = _choose(name, family)
        family = family_of(name, design.width)
        with st.spinner(f"Counting {design.title} …"):
            plain, cost = cost_of(design.plain), cost_of(design)
    except SevisError as error:
        show_error(error)
        return
    _show_blocks(design, family, cost)
    show_costs(design, plain, cost)
    show_stages(design, cost)
    show_ratios(design, plain)
    if cost.sites:
        _show_time(design)


def _show_time(design: Design) -> None:
    st.header("The time it takes here", anchor="time")
    with errors_shown():
        show_overhead(design)


def _choose_network(names: list[str]) -> str:
    return st.selectbox(
        "Network",
        names,
        index=names.index(START),
        format_func=lambda name: TITLES.get(name, name),
        key="architecture",
        bind="query-params",
        on_change=_forget,
        width=300,
        help="The plain network. The controls beside it say how SE is added. SENet-154 was a part of the authors' entry to ILSVRC 2017.",
    )


def _forget() -> None:
    """Forget what another network may lack; what it has too comes back from the URL."""
    for key in OF_ONE_NETWORK:
        st.session_state.pop(key, None)


def _choose(name: str, family: Family) -> Design:
    """Show the controls of SE, whose state lives in the URL, and return what is chosen."""
    reduction = st.select_slider(
        "Reduction ratio r", RATIOS, 16, key="r", bind="query-params", width=300, help="The hidden layer has C / r units (Table 10)."
    )
    placement = choose_one(
        "Placement",
        family.placements,
        key="placement",
        titles=PLACEMENTS,
        default="standard",
        wrap=True,
        help="Where SE stands in a residual unit (Figure 5, Tables 14 and 15): before the sum (Standard), on the branch before its "
        "first convolution (Pre), after the sum (Post), on the shortcut (Identity), or after the 3×3 convolution. Other "
        "families have only one place.",
    )
    stages = st.multiselect(
        "Stages",
        family.stages,
        list(family.stages),
        key="stages",
        bind="query-params",
        width=330,
        help="The stages that have SE (Table 13).",
    )
    about = "How z is made (Table 11). NoSqueeze (Table 16) has no z: it projects the maps themselves."
    squeeze = choose_one("Squeeze", list(SQUEEZES), key="squeeze", titles=SQUEEZES, wrap=True, help=about)
    about = "The non-linearity at the end of the excitation (Table 12)."
    gate = choose_one("Gate", list(GATES), key="gate", titles=GATES, wrap=True, help=about)
    width = choose_one("Width", WIDTHS, key="width", default=1.0, wrap=True) if family.widens else 1.0
    bias = st.toggle(
        "Biases", value=True, key="bias", bind="query-params", help="The released networks have biases; the paper's ablations have none."
    )
    wanted = tuple(stage for stage in family.stages if stage in stages)
    return Design(name, width, reduction, placement, None if wanted == family.stages else wanted, squeeze, gate, bias)


def _show_blocks(design: Design, family: Family, cost: "Cost") -> None:
    st.header("Where the blocks sit", anchor="blocks")
    cells = cells_of(family, cost)
    hint = "**Click a cell to see how the block is built.**"
    show(block_strip(cells, network=design.title), key="blocks-strip", hint=hint, on_select=_choose_clicked)
    names = [unit.name for unit in family.units]
    gated = [cell.unit for cell in cells if cell.gate]
    start = names.index(gated[0]) if gated else 0
    name = st.selectbox("Unit", names, index=start, key="unit", bind="query-params", width=300)
    _show_unit(design, family, name, gated=name in gated)


def _choose_clicked() -> None:
    points = st.session_state["blocks-strip"]["selection"]["points"]
    if points and points[0]["customdata"][0]:
        st.session_state["unit"] = points[0]["customdata"][0]


def _show_unit(design: Design, family: Family, name: str, *, gated: bool) -> None:
    """Show the drawing of one unit without and with SE."""
    from sevis.figures.networks.drawing import block_drawing

    path = next(unit.path for unit in family.units if unit.name == name)
    ways = {"without SE": design.plain, "with SE": design} if gated else {"without SE": design.plain}
    for column, (way, one) in zip(st.columns(2, gap="large"), ways.items(), strict=False):
        with column:
            source = _source(one) if one == design else ""
            chart = block_drawing(drawing_of(one, name), path=path, network=design.title, source=source)
            show(chart, key=f"{name}-{way.replace(' ', '-')}")
    if not gated:
        st.info(f"{name} has no SE block, because its stage is not chosen above.", icon=":material/info:")


def _source(design: Design) -> str:
    """Return where the paper draws the unit, as the end of a sentence."""
    if design.name == "bn_inception":
        return ", as in the paper's Figure 2"
    if design.placement == "3x3":
        return ": SE_3×3 in the paper's Table 15"
    if design.placement != "standard":
        return ", as in the paper's Figure 5"
    residual = design.name.startswith(("resn", "wrn", "senet", "inception_resnet"))
    return ", as in the paper's Figure 3" if residual else ": the paper has no figure of it, but section 3.3 says where SE stands"


st.title("Architectures")
st.markdown(
    "SE fits into almost any convolutional network. In the paper, ResNet-50 takes 0.26 % more multiply-adds with SE, and has "
    "about 10 % more parameters. Choose a network, see where the blocks sit, and count what they add. No weights are needed."
)
explore()
st.header("The networks of the paper's Tables 2 and 3, and SENet-154", anchor="paper")
with errors_shown():
    show_paper()
