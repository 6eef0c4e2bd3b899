"""The panels of the page Architectures that say what SE costs: in total, by stage, and by reduction ratio."""

from typing import TYPE_CHECKING

import streamlit as st

from sevis.figures.networks.architectures import MULTIPLY_ADDS, PARAMETERS, reduction_curve, stage_bars
from sevis.pages.architectures.designs import SENET_154, Design, cost_of, parameters_by_ratio, stages_of
from sevis.pages.shared.show import show
from sevis.paper import TABLE_10, PrintedCost, printed_costs

if TYPE_CHECKING:
    from sevis.networks.costs import Cost

NOTHING = "–"


def show_costs(design: Design, plain: "Cost", cost: "Cost") -> None:
    """Show parameters and multiply-adds without and with SE beside the paper's figures, and what SE itself takes."""
    st.header("What it costs", anchor="costs")
    whole, share = st.columns([4, 3], gap="large")
    whole.table(_totals(design, plain, cost), hide_index=True, width="stretch")
    share.table(_share(cost), hide_index=True, width="stretch")
    if not cost.sites:
        st.info("No stage is chosen, so there is no SE to count.", icon=":material/info:")
        return
    ratio = f"r = {design.reduction}"
    biases = cost.se_parameters - cost.closed_form
    st.markdown(
        f"By the closed form of the paper's eq. (5), (2/r) Σ N C² with {ratio}, SE has **{cost.closed_form:,} weights** in its "
        f"{len(cost.sites)} blocks{f'. It also has {biases:,} biases, which eq. (5) leaves out' if biases else ''}. What the paper "
        "calls FLOPs are multiply-adds; its difference between the plain network and SE seems to include the additions of the "
        "squeeze."
    )


def show_stages(design: Design, cost: "Cost") -> None:
    """Show the cost of the blocks of each output size, plain part and SE part."""
    for column, what in zip(st.columns(2, gap="large"), (MULTIPLY_ADDS, PARAMETERS), strict=True):
        with column:
            stages = stages_of(cost, parameters=what == PARAMETERS)
            show(stage_bars(stages, what=what, network=design.title), key=f"stages-{what}")


def show_ratios(design: Design, plain: "Cost") -> None:
    """Show the parameters against r, with the paper's Table 10 where it is about this network."""
    sites = cost_of(design).sites
    if not sites:
        return
    counts = parameters_by_ratio(plain.parameters, sites, bias=design.bias)
    printed = _printed_ratios(design)
    chart = reduction_curve(counts, plain.parameters, chosen=design.reduction, printed=printed, network=design.title)
    show(chart, key="ratios")


def _totals(design: Design, plain: "Cost", cost: "Cost") -> list[dict[str, str]]:
    name, options = design.arguments()
    papers = printed_costs(design.name, {"width": design.width}), printed_costs(name, options)
    if design.name == SENET_154:
        papers = PrintedCost(None, 1e7, None), papers[1]
    rows = []
    for what, counted, paper in zip(("without SE", "with SE"), (plain, cost), papers, strict=True):
        rows.append((f"**{what}**, counted here", f"**{counted.parameters:,}**", f"**{counted.multiply_adds:,}**"))
        if paper.parameters or paper.multiply_adds:
            rows.append((f"{what}, the paper's figure", _millions(paper.parameters), _billions(paper)))
    rows.append(("SE adds", _more(plain.parameters, cost.parameters), _more(plain.multiply_adds, cost.multiply_adds)))
    return [dict(zip((design.title, "parameters", "multiply-adds"), row, strict=True)) for row in rows]


def _share(cost: "Cost") -> list[dict[str, str]]:
    """Return what SE takes, part by part."""
    adds, products = sum(site.squeeze for site in cost.sites), sum(site.scaling for site in cost.sites)
    parts = (
        ("Squeeze (eq. 2)", adds, "additions"),
        ("Projections (eq. 3)", cost.se_multiply_adds, "multiply-adds"),
        ("Scaling (eq. 4)", products, "multiplications"),
    )
    return [{"SE": name, "operations": f"{count:,} {what}", "of the network": _percent(count, cost)} for name, count, what in parts]


def _more(before: int, after: int) -> str:
    return f"+{100 * (after - before) / before:.3g} %"


def _percent(count: int, cost: "Cost") -> str:
    return f"{100 * count / cost.multiply_adds:.2g} %" if cost.multiply_adds else NOTHING


def _printed_ratios(design: Design) -> dict[int, float]:
    """Return the parameters in Table 10 by r, where the network differs from the paper's in r, gate and biases only; else nothing."""
    usual = Design("resnet50", reduction=design.reduction, squeeze=design.squeeze, gate=design.gate, bias=design.bias)
    if design != usual or design.squeeze not in ("avg", "max"):
        return {}
    return {
        variant.options["reduction"]: variant.printed.parameters
        for variant in TABLE_10
        if "reduction" in variant.options and variant.printed.parameters
    }


def _millions(value: float | None) -> str:
    return NOTHING if value is None else f"{value / 1e6:.1f} M"


def _billions(paper: PrintedCost) -> str:
    if paper.multiply_adds is None:
        return NOTHING
    return f"{paper.multiply_adds / 1e9:.2f} G" if paper.digit > 5e6 else f"{paper.multiply_adds / 1e6:.0f} M"
