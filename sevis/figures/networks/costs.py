"""The networks of the paper's tables: their error against their cost, and the time that SE takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

import plotly.graph_objects as go

from sevis.experiments.timing import Ratio
from sevis.figures.chart import Chart
from sevis.figures.theme import NEUTRAL, PRINTED, WITH_SE, WITHOUT_SE, arrow, finish, name_rows, whiskers
from sevis.paper import TIMINGS, Timing

COUNTED, PAPER = "counted here", "the paper's figure"
LEFT = ("VGG-16", "ResNeXt-50", "SENet-154")  # to the right, their names would lie on others, or outside on a phone
SHIFTED = {"BN-Inception": 6, "ResNeXt-101": -5, "Inception-ResNet-v2": -9}  # pixels upwards, for the same reason
LINES = {"Inception-ResNet-v2": "Inception-<br>ResNet-v2"}
SPAN = (0.1, 70)  # billions: with room for the names


@dataclass(frozen=True)
class Point:
    """A network of the paper's tables.

    Attributes:
        title: the plain network's in the paper.
        gated: whether it is the one with SE.
        top1: the paper's error, in percent.
        printed, counted: its multiply-adds as the paper prints them and as counted here; None where they are not.
    """

    title: str
    gated: bool
    top1: float
    printed: float | None
    counted: float | None

    @property
    def cost(self) -> float | None:
        """Return the multiply-adds where it is drawn: counted here, or as long as they are not, the paper's."""
        return self.counted or self.printed


def error_and_cost(points: Sequence[Point]) -> Chart:
    """Draw top-1 error against multiply-adds, on a logarithmic axis, with an arrow from each plain network to the one with SE.

    A dot is drawn where the multiply-adds were counted here, a diamond where the paper prints them; all errors are the paper's. In the
    table, what is not known is empty.
    """
    return Chart(
        _draw_points(points),
        caption="Single-crop top-1 error on ImageNet's validation set against the multiply-adds of one "
        "image: all errors are the paper's figures (Tables 2, 3 and 8), a dot has a cost that "
        "was counted here, a diamond the paper's cost, and an arrow leads from a network without "
        "SE to the same network with SE.",
        table={
            "network": [_title(point) for point in points],
            "top1_error_paper": [point.top1 for point in points],
            "multiply_adds_paper": ["" if point.printed is None else f"{point.printed:.0f}" for point in points],
            "multiply_adds_counted": ["" if point.counted is None else f"{point.counted:.0f}" for point in points],
        },
    )


def _draw_points(points: Sequence[Point]) -> go.Figure:
    figure = go.Figure()
    for gated, name, colour in ((False, "without SE", WITHOUT_SE), (True, "with SE", WITH_SE)):
        mine = [point for point in points if point.gated == gated and point.counted]
        figure.add_scatter(
            x=[_billions(point.counted) for point in mine],
            y=[point.top1 for point in mine],
            mode="markers",
            marker={"size": 13, "color": colour},
            customdata=[_title(point) for point in mine],
            name=name,
            hovertemplate=_hover(COUNTED),
        )
    printed = [point for point in points if point.printed]
    figure.add_scatter(
        x=[_billions(point.printed) for point in printed],
        y=[point.top1 for point in printed],
        mode="markers",
        marker={"size": 16, "symbol": "diamond-open", "color": PRINTED, "line": {"width": 2}},
        customdata=[_title(point) for point in printed],
        name="the paper's cost",
        hovertemplate=_hover(PAPER),
    )
    finish(figure, title="Top-1 error on ImageNet against cost", height=700)
    annotations = [*_names(points), *_arrows(points)]  # all at once: Plotly looks at all of them again with each that is added
    figure.update_layout(hovermode="closest", margin={"t": 104}, annotations=annotations)
    figure.update_xaxes(
        title_text="billion multiply-adds (GFLOPs)",
        type="log",
        range=[log10(end) for end in SPAN],
        tickvals=[0.1, 0.3, 1, 3, 10, 30],
        ticktext=["0.1", "0.3", "1", "3", "10", "30"],
    )
    errors = [point.top1 for point in points] or [0.0]
    figure.update_yaxes(title_text="top-1 error, in %", range=[min(errors) - 1, max(errors) + 1])
    return figure


@dataclass(frozen=True)
class _Slowdown:
    """By how much SE makes a network slower.

    Attributes:
        label: of its row.
        what: was measured, and where.
        ratio: of the times, with SE to without.
        quartiles: of that ratio; None where only two times are known.
        plain, gated: the times in milliseconds.
    """

    label: str
    what: str
    ratio: float
    quartiles: tuple[float, float] | None
    plain: float
    gated: float


def slowdown_chart(ratio: Ratio, *, network: str, device: str) -> Chart:
    """Draw how much longer a network takes with SE, with quartiles, and below it how much longer the paper's does.

    Args:
        ratio: of the times of one forward pass, with SE to without.
        network: what it is called.
        device: on which it was measured, in words.
    """
    plain = 1e3 * ratio.plain
    what = f"{network}, forward of one image on {device}"
    here = _Slowdown("here", what, ratio.median, (ratio.low, ratio.high), plain, plain * ratio.median)
    rows = [here, *map(_printed, reversed(TIMINGS))]
    quartiles = [row.quartiles or ("", "") for row in rows]
    return Chart(
        _draw_slowdowns(rows),
        caption=f"The time that {network} takes with SE, divided by its time without SE, measured here on {device}, beside the paper's "
        "figures for ResNet-50 (a forward pass on a CPU; training on 8 GPUs).",
        table={
            "what": [row.what for row in rows],
            "ratio": [row.ratio for row in rows],
            "lower_quartile": [str(low) for low, _ in quartiles],
            "upper_quartile": [str(high) for _, high in quartiles],
            "milliseconds_without_se": [row.plain for row in rows],
            "milliseconds_with_se": [row.gated for row in rows],
        },
    )


def _printed(timing: Timing) -> _Slowdown:
    label = "paper, CPU" if "CPU" in timing.what else "paper, training"
    return _Slowdown(label, f"ResNet-50, {timing.what}", timing.gated / timing.plain, None, timing.plain, timing.gated)


def _draw_slowdowns(rows: Sequence[_Slowdown]) -> go.Figure:
    figure = go.Figure()
    for measured, name, colour, symbol in ((True, "here, with quartiles", WITH_SE, "circle"), (False, PAPER, PRINTED, "diamond")):
        mine = [(index, row) for index, row in enumerate(rows) if bool(row.quartiles) == measured]
        spans = [row.quartiles or (row.ratio, row.ratio) for _, row in mine]
        figure.add_scatter(
            x=[row.ratio for _, row in mine],
            y=[index for index, _ in mine],
            error_x=whiskers([row.ratio for _, row in mine], spans) | {"visible": measured},
            mode="markers+text",
            marker={"size": 13, "color": colour, "symbol": symbol},
            text=[f"{row.ratio:.3f}×" for _, row in mine],
            textposition="top center",
            textfont={"size": 15},
            customdata=[(row.what, row.plain, row.gated) for _, row in mine],
            hovertemplate="<b>%{customdata[0]}</b>: %{customdata[1]:.1f} → %{customdata[2]:.1f} ms<extra></extra>",
            name=name,
        )
    ends = [1.0, *(end for row in rows for end in (row.quartiles or (row.ratio,)))]
    room = 0.12 * (max(ends) - min(ends)) + 0.01
    finish(figure, title="Time with SE against without", height=62 * len(rows) + 172)
    figure.update_layout(hovermode="closest", margin={"t": 92, "b": 60})
    figure.add_vline(x=1, line={"color": NEUTRAL, "width": 2})
    figure.update_xaxes(title_text="time with SE / time without", range=[min(ends) - room, max(ends) + room])
    name_rows(figure, [row.label for row in rows])
    figure.update_yaxes(range=[len(rows) - 0.5, -0.8])  # with room above the first row for its number
    return figure


def _names(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Return each name once, beside the plain network, or that with SE where there is no other."""
    plain = {point.title for point in points if not point.gated}
    return [_name(point) for point in points if point.cost and (not point.gated or point.title not in plain)]


def _name(point: Point) -> dict[str, Any]:
    known = [cost for cost in (point.printed, point.counted) if cost]
    left = point.title in LEFT
    return {
        "x": _on_axis(min(known) if left else max(known)),
        "y": point.top1,
        "text": LINES.get(point.title, point.title),
        "align": "left",
        "showarrow": False,
        "xanchor": "right" if left else "left",
        "xshift": -12 if left else 12,
        "yshift": SHIFTED.get(point.title, 0),
    }


def _arrows(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Return the arrows, from each plain network to the one with SE."""
    ends = {point.title: point for point in points if point.gated}
    pairs = [(point, ends[point.title]) for point in points if not point.gated and point.title in ends]
    space = {"standoff": 7, "startstandoff": 7}  # pixels
    return [
        arrow((_on_axis(start.cost), start.top1), (_on_axis(end.cost), end.top1), colour=WITH_SE) | space
        for start, end in pairs
        if start.cost and end.cost
    ]


def _on_axis(cost: float) -> float:
    """Return where a cost is on the logarithmic axis of billions, as Plotly wants it of annotations."""
    return log10(cost / 1e9)


def _hover(source: str) -> str:
    """Return what the mouse finds on a point whose cost is from that source."""
    return f"<b>%{{customdata}}</b><br>%{{y:.2f}} % ({PAPER})<br>%{{x:.4g}} billion multiply-adds ({source})<extra></extra>"


def _billions(value: float | None) -> float | None:
    return None if value is None else value / 1e9


def _title(point: Point) -> str:
    return f"SE-{point.title}" if point.gated and not point.title.startswith("SE") else point.title
