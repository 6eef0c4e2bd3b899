"""Curves over the channels of a block, one for each class or group: what Figures 6 and 7 of the paper have in common.

Curves are SVG lines: Plotly's WebGL traces draw ten times slower on machines without a GPU.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from html import escape
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from sevis.analysis.class_curves import (
    INDEX,
    MEAN,
    PAPER_CHANNELS,
    SHARE,
    Table,
)
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.figures.theme import NEUTRAL, finish
from sevis.paper import by_stage

COLUMNS = 3  # of panels
DENSE = 200  # curves of more points are drawn thinner
PAPER_BLOCKS = ("SE_2_3", "SE_3_4", "SE_4_6", "SE_5_1", "SE_5_2", "SE_5_3")  # the panels of SE-ResNet-50, section 7.2
PAPER_CLASSES = {  # of Figures 6 and 7, and what is taken for each: the first that there is; a bullet train stands in for a plane
    "goldfish": ("goldfish",),
    "pug": ("pug", "Chihuahua"),
    "plane": ("airliner", "bullet train"),
    "cliff": ("cliff",),
}
PAPER_SPREADS = ("goldfish", "plane")  # of Figure 7
BORDERS = {"solid": "solid", "dash": "dashed", "dot": "dotted"}  # Plotly's words for lines, and CSS's
ORDERED = {
    INDEX: "",
    MEAN: "; the channels are sorted by their mean over all images, highest first",
    SHARE: "; the channels are sorted by class share (omega squared), highest first",
}


class Stroke(NamedTuple):
    """How a curve is drawn: its colour, and Plotly's word for its line."""

    colour: str
    dash: str = "solid"


OVERALL = Stroke(NEUTRAL, "dot")


def paper_blocks(sites: Sequence[str]) -> tuple[str, ...]:
    """Return the blocks of the paper's panels, for any depth: the last one of each stage, and all of the last stage.

    Args:
        sites: the names of all blocks, SE_stage_block, in order.
    """
    *early, last = by_stage(sites).values()
    return (*(stage[-1] for stage in early), *last)


def nearest_to_paper(names: Sequence[str], papers: Iterable[str] = PAPER_CLASSES) -> list[str]:
    """Return which of some classes stand for those of the paper, by PAPER_CLASSES."""
    there = (next((name for name in PAPER_CLASSES[paper] if name in names), None) for paper in papers)
    return [name for name in there if name is not None]


def paper_classes(statistics: ClassStatistics) -> list[str]:
    """Return the classes of Figure 6 at first: those nearest to the paper's; the first four where the statistics hold none of them."""
    return nearest_to_paper(statistics.classes) or list(dict.fromkeys(statistics.classes))[:4]


def paper_spreads(statistics: ClassStatistics) -> list[str]:
    """Return the two classes of Figure 7 at first: goldfish and the nearest to plane, else others; with two photos, where two have them."""
    usual = dict.fromkeys([*nearest_to_paper(statistics.classes, PAPER_SPREADS), *paper_classes(statistics), *statistics.classes])
    return sorted(usual, key=lambda name: statistics.count[statistics.index(name)] < 2)[:2]


def drawable_channels(statistics: ClassStatistics, sites: Iterable[str], curves: int, *, limit: int = 40_000) -> int | None:
    """Return how many channels a block may show when all are asked for, so that a page holds at most `limit` points; None is all.

    A point costs about ten bytes on the way to the browser.
    """
    widths = [statistics.channels[site] for site in sites]
    count = max(widths, default=1)
    while count > PAPER_CHANNELS and curves * sum(min(width, count) for width in widths) > limit:
        count //= 2
    return None if count >= max(widths, default=1) else count


def join_tables(tables: Mapping[str, Table]) -> Table:
    """Return the tables of several panels as one, the panel's name in front; NaN where a panel lacks a column."""
    sizes = [len(table["channel"]) for table in tables.values()]
    names = dict.fromkeys(name for table in tables.values() for name in table)
    columns = {name: [table.get(name, np.full(size, np.nan)) for table, size in zip(tables.values(), sizes, strict=True)] for name in names}
    return {"panel": np.repeat(list(tables), sizes)} | {name: np.concatenate(parts) for name, parts in columns.items()}


def describe_sampling(channels: int | None) -> str:
    """Return which channels the panels of Figures 6 and 7 show, beside the paper's; nothing where they show all."""
    if channels is None:
        return ""
    return (
        f"Of a block with more than {channels} channels, {channels} are drawn, evenly spaced from the first to the last. The paper draws "
        "fifty uniformly sampled channels and does not say which."
    )


def title_of(statistics: ClassStatistics, site: str, table: Table) -> str:
    """Return the title of a panel: a block, how many channels it has, and how many of them the table holds."""
    drawn, width = len(table["channel"]), statistics.channels.get(site, 0)
    return f"{escape(site)} · {f'{drawn} of ' if drawn < width else ''}{width} channels"


def line(table: Table, label: str, stroke: Stroke) -> go.Scatter:
    """Return a curve; that over all classes tells the channels, too, where they are not in the order of their index.

    A name from outside is escaped, because Plotly reads tags in it.
    """
    overall, dense, ranked = stroke == OVERALL, len(table[label]) > DENSE, "rank" in table
    return go.Scatter(
        x=ranks(table),
        y=table[label].astype(np.float32),
        customdata=table["channel"].astype(np.uint16) if overall and ranked else None,
        name=escape(label, quote=False),
        legendgroup=escape(label, quote=False),
        legendrank=2 if overall else 1,
        mode="lines",
        line={"color": stroke.colour, "width": (1 if dense else 1.6) * (1.4 if overall else 1), "dash": stroke.dash},
        hovertemplate="%{y:.3f} in channel %{customdata}" if overall and ranked else "%{y:.3f}",
    )


def ranks(table: Table) -> NDArray[np.uint16]:
    """Return where the channels stand on the axis: their ranks, or their numbers."""
    return table.get("rank", table["channel"]).astype(np.uint16)


def panel(traces: Sequence[go.Scatter], title: str, axis: str, order: str, *, beside: Iterable[go.Scatter] = ()) -> go.Figure:
    """Draw the curves of one block; its axis holds those of the panels `beside` it, too."""
    figure = go.Figure(data=traces, layout=_panel_layout(axis, order, *_range([*traces, *beside])))
    figure.layout.title.text = title
    return figure


@lru_cache(maxsize=16)  # dressing a figure takes five times as long as its curves
def _panel_layout(axis: str, order: str, low: float, high: float) -> go.Layout:
    figure = finish(go.Figure(), title="", height=300)
    _dress_axes(figure, axis, order, low, high)
    return figure.update_layout(showlegend=False, margin_b=8).layout


def grid(panels: Mapping[str, Sequence[go.Scatter]], *, title: str, axis: str, order: str, columns: int = COLUMNS) -> go.Figure:
    """Draw several panels, by their titles, row by row in one figure with one legend."""
    columns = min(columns, len(panels)) or 1
    rows = -(-len(panels) // columns) or 1
    figure = make_subplots(
        rows, columns, subplot_titles=list(panels), vertical_spacing=0.3 / rows if rows > 1 else 0, horizontal_spacing=0.06
    )
    seen: set[str] = set()
    for panel, traces in enumerate(panels.values()):
        for trace in traces:
            if trace.name:
                trace.showlegend = trace.name not in seen
                seen.add(trace.name)
            figure.add_trace(trace, row=panel // columns + 1, col=panel % columns + 1)
    _dress_axes(figure, axis, order, *_range(figure.data))
    height = 150 + 290 * rows
    finish(figure, title=title, height=height)
    figure.update_layout(margin_t=120, title_pad_l=8, legend={"yref": "container", "y": 1 - 40 / height, "yanchor": "top"})
    return figure


def _range(traces: Iterable[go.Scatter]) -> tuple[float, float]:
    """Return the gate's range, 0 to 1; wider only where a gate such as tanh or ReLU leaves it."""
    values = np.concatenate([[0.0, 1.0], *(trace.y for trace in traces if trace.hoverinfo != "skip")])
    return float(values.min()), float(values.max())


def _dress_axes(figure: go.Figure, axis: str, order: str, low: float, high: float) -> None:
    unit = "channel" if order == INDEX else "rank"
    figure.update_yaxes(range=[low, high], title_text=axis)
    figure.update_xaxes(title_text="channel" if order == INDEX else f"rank by {order}", unifiedhovertitle_text=f"{unit} %{{x}}")
    figure.update_layout(hovermode="x unified")
