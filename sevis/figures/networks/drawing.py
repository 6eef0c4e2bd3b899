"""A unit of a network as a drawing of boxes and arrows, the SE block in a colour of its own (the paper's Figures 2, 3 and 5)."""

from typing import TYPE_CHECKING

import plotly.graph_objects as go

from sevis.figures.chart import Chart
from sevis.figures.theme import NEUTRAL, PALETTE, TEXT_SIZE, WITH_SE, arrow, finish

if TYPE_CHECKING:
    from sevis.networks.drawing import Drawing, Operation

ROW = 78  # pixels from one row of boxes to the next
WIDE, HIGH = 0.46, 0.36  # half a box, in columns and rows
LANE = 0.62  # how far beside its column an arrow passes boxes, in columns
CONVOLUTION = PALETTE[0]
Position = tuple[float, float]


def block_drawing(drawing: "Drawing", *, path: str, network: str, source: str = "") -> Chart:
    """Draw the operations from top to bottom, shapes as C × H × W.

    The main branch is in the middle, the shortcut and other branches are beside it, SE is at the outside.

    Args:
        drawing: of a unit.
        path: the unit's in the network.
        network: what that is called.
        source: where the paper draws the unit, as the end of a sentence.
    """
    way = "with SE" if any(step.gated for step in drawing.steps) else "without SE"
    return Chart(
        _draw_unit(drawing, title=f"{drawing.title} {way}"),
        caption=f"{drawing.title} ({path}) of {network} {way}, drawn from the model itself{source}.",
        table={"step": [step.label for step in drawing.steps], "detail": [step.detail for step in drawing.steps]},
    )


def _draw_unit(drawing: "Drawing", *, title: str) -> go.Figure:
    rows, columns = _rows(drawing), _columns(drawing)
    figure = go.Figure()
    for start, end in drawing.arrows:
        _add_arrow(figure, _route(start, end, rows, columns), gated=drawing.steps[end].gated or drawing.steps[start].gated)
    for step, row, column in zip(drawing.steps, rows, columns, strict=True):
        _add_box(figure, step, (column, -row))
    figure.add_scatter(
        x=columns,
        y=[-row for row in rows],
        mode="markers",
        marker={"size": 40, "opacity": 0},
        hovertext=[f"{step.label}<br>{step.detail}" for step in drawing.steps],
        hoverinfo="text",
        showlegend=False,
    )
    finish(figure, title=title, height=ROW * (max(rows) + 1) + 60)
    figure.update_layout(margin={"l": 4, "r": 4, "t": 44, "b": 4})
    figure.update_xaxes(visible=False, range=[min(columns) - LANE - 0.1, max(columns) + LANE])
    figure.update_yaxes(visible=False, range=[-max(rows) - 0.5, 0.5])
    return figure


def _parents(drawing: "Drawing", step: int) -> list[int]:
    return [start for start, end in drawing.arrows if end == step]


def _rows(drawing: "Drawing") -> list[int]:
    """Return the row of each step: one below the lowest that it needs."""
    rows: list[int] = []
    for step in range(len(drawing.steps)):
        rows.append(1 + max((rows[parent] for parent in _parents(drawing, step)), default=-1))
    return rows


def _columns(drawing: "Drawing") -> list[int]:
    """Return the column of each step: the first branch stays in the middle, the others go left and right of it in turns, and a join
    returns to the middle.
    """
    columns: list[int] = []
    children = [0] * len(drawing.steps)  # of each step, those that are no part of its SE block
    for index, step in enumerate(drawing.steps):
        parents = _parents(drawing, index)
        if not parents:
            columns.append(0)
            continue
        first = columns[parents[0]]
        if step.gated and step.kind != "product":
            outwards = -1 if first < 0 else 1
            columns.append(first if drawing.steps[parents[0]].gated else first + outwards)
            continue
        if len(parents) > 1 and step.kind != "product":
            columns.append(min((columns[parent] for parent in parents), key=abs))
            continue
        number = children[parents[0]]
        children[parents[0]] += 1
        columns.append(first + (-(number + 1) // 2 if number % 2 else number // 2))
    return columns


def _route(start: int, end: int, rows: list[int], columns: list[int]) -> list[Position]:
    """Return the corners of an arrow that passes no box."""
    source, target = (columns[start], -rows[start] - HIGH), (columns[end], -rows[end] + HIGH)
    boxes = set(zip(columns, rows, strict=True))

    def free(column: float) -> bool:
        return all((column, row) not in boxes for row in range(rows[start] + 1, rows[end]))

    if columns[start] == columns[end] and free(columns[start]):
        return [source, target]
    if columns[start] == columns[end]:
        lane = columns[start] - LANE
        return [
            (source[0] - WIDE, source[1] + HIGH),
            (lane, source[1] + HIGH),
            (lane, target[1] - HIGH),
            (target[0] - WIDE, target[1] - HIGH),
        ]
    level = source[1] - (0.5 - HIGH) if free(columns[end]) else target[1] + (0.5 - HIGH)
    return [source, (source[0], level), (target[0], level), target]


def _add_arrow(figure: go.Figure, corners: list[Position], *, gated: bool) -> None:
    colour = WITH_SE if gated else NEUTRAL
    xs, ys = zip(*corners, strict=True)
    figure.add_scatter(x=xs, y=ys, mode="lines", line={"color": colour, "width": 2}, hoverinfo="skip", showlegend=False)
    figure.add_annotation(arrow(corners[-2], corners[-1], colour=colour))


def _add_box(figure: go.Figure, step: "Operation", centre: Position) -> None:
    x, y = centre
    colour = WITH_SE if step.gated else CONVOLUTION if step.kind in ("convolution", "projection") else NEUTRAL
    figure.add_shape(
        type="rect",
        x0=x - WIDE,
        x1=x + WIDE,
        y0=y - HIGH,
        y1=y + HIGH,
        line={"color": colour, "width": 2},
        fillcolor=colour,
        opacity=0.16,
        layer="below",
    )
    lines = [f"<b>{step.label}</b>", *(f"<span style='font-size:12px'>{line}</span>" for line in (step.notes, step.shape) if line)]
    figure.add_annotation(x=x, y=y, text="<br>".join(lines), showarrow=False, font={"size": TEXT_SIZE}, align="center")
