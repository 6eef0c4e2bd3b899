"""Where the SE blocks of a network sit, and what they cost: by block, by stage, and by reduction ratio."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10

import plotly.graph_objects as go

from sevis.figures.chart import Chart
from sevis.figures.theme import ON_COLOUR, PRINTED, WITH_SE, WITHOUT_SE, finish, name_rows
from sevis.paper import short_name

ROW = 44  # pixels: the height of a row of blocks
NARROW, LONG = 8, 12  # blocks: a row stretches over that many at least; with more than so many, there is room for short names only
HEADROOM = 1.18  # of the highest bar: for what is written above it
UNITS = ((1e9, "billion"), (1e6, "million"), (1e3, "thousand"), (1, ""))
PARAMETERS, MULTIPLY_ADDS = "parameters", "multiply-adds"


@dataclass(frozen=True)
class Cell:
    """One block of a network in the order in which they run.

    Attributes:
        label: what is written on it.
        path: the module's.
        side: of its output, in pixels; 1 after the last pool.
        channels: of its output.
        unit: the name of the unit, SE_stage_block, where SE could stand; empty for other blocks.
        gate: the channels of its SE block, C → C/r → C; empty where there is none.
    """

    label: str
    path: str
    side: int
    channels: int
    unit: str
    gate: str


@dataclass(frozen=True)
class Stage:
    """The blocks whose outputs have one side, and what they cost without SE and for SE, in numbers of something."""

    side: int
    blocks: int
    plain: int
    gated: int


def block_strip(cells: Sequence[Cell], *, network: str) -> Chart:
    """Draw the blocks of a network as cells, a row for each output size, those with SE in colour; a click tells a cell's `unit`.

    It is the first of the point's custom data; empty for a block beside which SE cannot stand.
    """
    units, gated = sum(bool(cell.unit) for cell in cells), sum(bool(cell.gate) for cell in cells)
    return Chart(
        _draw_strip(cells),
        caption=f"Each cell is one block of {network}, in the order in which the blocks run, with a row "
        f"for each output size in pixels (as in the paper's Table 1); {gated} of {units} units "
        "have SE.",
        table={
            "block": [cell.path for cell in cells],
            "channels": [cell.channels for cell in cells],
            "side": [cell.side for cell in cells],
            "unit": [cell.unit for cell in cells],
            "se": [cell.gate for cell in cells],
        },
    )


def _draw_strip(cells: Sequence[Cell]) -> go.Figure:
    sides = list(dict.fromkeys(cell.side for cell in cells))
    columns = _columns(cells)
    longest = max(NARROW, *(column + 1 for column in columns), 1)
    labels = {cell.path: short_name(cell.label) if longest > LONG else cell.label for cell in cells}
    figure = go.Figure()
    for name, colour, gated in (("with SE", WITH_SE, True), ("without SE", WITHOUT_SE, False)):
        mine = [(cell, column) for cell, column in zip(cells, columns, strict=True) if bool(cell.gate) == gated]
        figure.add_bar(
            y=[sides.index(cell.side) for cell, _ in mine],
            x=[0.9] * len(mine),
            base=[column + 0.05 for _, column in mine],
            orientation="h",
            width=0.78,
            name=name,
            marker={"color": colour, "line": {"width": 0}},
            text=[labels[cell.path] for cell, _ in mine],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"color": ON_COLOUR, "size": 14},
            customdata=[(cell.unit, cell.path, _shape(cell), _gate(cell)) for cell, _ in mine],
            hovertemplate="<b>%{customdata[1]}</b>: %{customdata[2]}<br>%{customdata[3]}<extra></extra>",
            unselected={"marker": {"opacity": 1}},  # after a click, Plotly would fade the others
        )
    finish(figure, title="The blocks, by output size", height=ROW * len(sides) + 92)
    figure.update_layout(barmode="overlay", margin={"t": 74, "b": 12}, uniformtext={"minsize": 11, "mode": "hide"}, hovermode="closest")
    figure.update_xaxes(visible=False, range=[0, longest])
    name_rows(figure, [f"{side} × {side}" for side in sides])
    return figure


def stage_bars(stages: Sequence[Stage], *, what: str, network: str) -> Chart:
    """Draw what the blocks of each output size cost: a bar from 0, the part of SE on top, and by how much that is more than without SE.

    Args:
        stages: in the order in which they run.
        what: is counted: PARAMETERS or MULTIPLY_ADDS.
        network: what it is called.
    """
    name = what.replace("-", "_")
    return Chart(
        _draw_stages(stages, what),
        caption=f"The {what} of {network}, counted here, by the side of the blocks' outputs in pixels (1: "
        "after the last pool); the number above each bar is what SE adds to the network without "
        "SE.",
        table={
            "side": [stage.side for stage in stages],
            "blocks": [stage.blocks for stage in stages],
            f"{name}_without_se": [stage.plain for stage in stages],
            f"{name}_of_se": [stage.gated for stage in stages],
        },
    )


def _draw_stages(stages: Sequence[Stage], what: str) -> go.Figure:
    highest = max((stage.plain + stage.gated for stage in stages), default=1)
    unit, word = next((unit, word) for unit, word in UNITS if highest >= unit)
    sides = [str(stage.side) for stage in stages]
    figure = go.Figure()
    for name, colour, counts in (
        ("without SE", WITHOUT_SE, [stage.plain for stage in stages]),
        ("SE", WITH_SE, [stage.gated for stage in stages]),
    ):
        figure.add_bar(
            x=sides,
            y=[count / unit for count in counts],
            name=name,
            marker={"color": colour, "line": {"width": 0}},
            customdata=[[stage.blocks, f"{count:,}"] for stage, count in zip(stages, counts, strict=True)],
            hovertemplate=f"<b>%{{x}} × %{{x}}</b>, %{{customdata[0]}} blocks: %{{customdata[1]}} {what}<extra>{name}</extra>",
        )
    figure.update_traces(
        text=[_share(stage) for stage in stages],
        textposition="outside",
        textfont={"size": 13},
        constraintext="none",
        cliponaxis=False,
        textangle=0,
        selector={"name": "SE"},
    )
    finish(figure, title=f"{what.capitalize()} by output size", height=380)
    figure.update_layout(barmode="stack", bargap=0.25, margin={"t": 74}, hovermode="closest", legend_traceorder="normal")
    figure.update_xaxes(title_text="side of the output, in pixels", type="category")
    figure.update_yaxes(title_text=f"{word} {what}".strip(), range=[0, HEADROOM * highest / unit])
    return figure


def reduction_curve(counts: Mapping[int, int], plain: int, *, chosen: int, printed: Mapping[int, float], network: str) -> Chart:
    """Draw the parameters of a network against its reduction ratio r, in millions, on a logarithmic axis of r.

    Args:
        counts: parameters by r.
        plain: those without SE.
        chosen: an r that is marked.
        printed: the paper's figures by r; empty where it has none for this network.
        network: what it is called.
    """
    rounding = "; Table 10 rounds to 0.1 million and counts networks without biases" if printed else ""
    return Chart(
        _draw_ratios(counts, plain, chosen, printed),
        caption=f"The parameters of {network} with SE, in millions, for every reduction ratio r from 2 to "
        f"{max(counts)}: by eq. (5), half the r costs twice as much{rounding}.",
        table={
            "r": list(counts),
            "parameters": list(counts.values()),
            "parameters_paper": [f"{printed[ratio]:.0f}" if ratio in printed else "" for ratio in counts],
        },
    )


def _draw_ratios(counts: Mapping[int, int], plain: int, chosen: int, printed: Mapping[int, float]) -> go.Figure:
    ratios = list(counts)
    figure = go.Figure()
    figure.add_scatter(
        x=ratios,
        y=[count / 1e6 for count in counts.values()],
        mode="lines",
        line={"color": WITH_SE, "width": 3},
        name="counted here",
        hovertemplate="r = %{x}: %{y:.3f} million<extra>counted here</extra>",
    )
    if printed:
        figure.add_scatter(
            x=list(printed),
            y=[value / 1e6 for value in printed.values()],
            mode="markers",
            marker={"symbol": "diamond-open", "size": 17, "color": PRINTED, "line": {"width": 2}},
            name="the paper's figure",
            hovertemplate="r = %{x}: %{y:.1f} million<extra>the paper's figure</extra>",
        )
    if chosen in counts:
        _mark_ratio(figure, chosen, counts[chosen] / 1e6)
    finish(figure, title="Parameters against the reduction ratio r", height=430)
    figure.add_hline(y=plain / 1e6, line={"dash": "dot", "color": WITHOUT_SE, "width": 2})
    figure.add_annotation(
        x=1, xref="paper", y=plain / 1e6, text=f"without SE: {plain / 1e6:.2f} million", showarrow=False, xanchor="right", yanchor="top"
    )
    _ratio_axes(figure, ratios, (plain, max(counts.values(), default=plain)))
    return figure


def _mark_ratio(figure: go.Figure, ratio: int, millions: float) -> None:
    """Mark the ratio that is chosen on the curve, and write its parameters into the corner."""
    figure.add_scatter(
        x=[ratio], y=[millions], mode="markers", marker={"size": 12, "color": WITH_SE}, name=f"r = {ratio}", hoverinfo="skip"
    )
    figure.add_annotation(
        **{"x": 1, "xref": "paper", "xanchor": "right", "y": 1, "yref": "paper", "yanchor": "top"},
        text=f"r = {ratio}: {millions:.2f} million",
        showarrow=False,
        font={"size": 17},
    )


def _ratio_axes(figure: go.Figure, ratios: Sequence[int], span: tuple[int, int]) -> None:
    low, high = (value / 1e6 for value in span)
    room = max(0.02 * high, 0.16 * (high - low))
    ticks = [ratio for ratio in (2, 4, 8, 16, 32) if ratio in ratios]
    figure.update_layout(margin={"t": 104}, hovermode="closest")
    figure.update_xaxes(
        title_text="reduction ratio r",
        type="log",
        range=[log10(min(ratios) / 1.15), log10(max(ratios) * 1.15)],
        tickvals=ticks,
        ticktext=[str(tick) for tick in ticks],
    )
    figure.update_yaxes(title_text="million parameters", range=[low - room, high + room])


def _columns(cells: Sequence[Cell]) -> list[int]:
    """Return the column of each block in its row."""
    filled: dict[int, int] = {}
    columns = []
    for cell in cells:
        columns.append(filled.get(cell.side, 0))
        filled[cell.side] = columns[-1] + 1
    return columns


def _shape(cell: Cell) -> str:
    return f"{cell.channels} × {cell.side} × {cell.side}" if cell.side > 1 else f"{cell.channels}"


def _gate(cell: Cell) -> str:
    if cell.gate:
        return f"{cell.unit}: {cell.gate}"
    return f"no SE here ({cell.unit} could stand here)" if cell.unit else "no SE here"


def _share(stage: Stage) -> str:
    """Return by how much SE adds to a stage, in words; empty where there is none."""
    if not stage.gated:
        return ""
    share = 100 * stage.gated / stage.plain if stage.plain else float("inf")
    return f"+{share:.0f} %" if share >= 9.5 else f"+{share:.1g} %" if share < 0.01 else f"+{share:.2g} %"
