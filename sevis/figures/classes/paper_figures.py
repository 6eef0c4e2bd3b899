"""Figures 6 and 7 of the paper: the mean excitation of each channel by class, and its spread within a class; and the words below them.

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

from sevis.analysis.formulas import HIGH, open_share
from sevis.analysis.paper_figures import (
    INDEX,
    MEAN,
    PAPER_CHANNELS,
    SHARE,
    Curve,
    Table,
    count_of,
    label_of,
    mean_table,
    means_of,
    overall_label,
    spread_table,
    std_of,
)
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.provenance import describe_source
from sevis.errors import SevisError
from sevis.figures.chart import Chart
from sevis.figures.theme import NEUTRAL, PALETTE, finish, translucent
from sevis.paper import by_stage

MAX_CURVES = 12  # in one figure: eight colours, and four of them again with dashes; more cannot be told apart
COLUMNS = 3  # of panels
DENSE = 200  # curves of more points are drawn thinner
PAPER_BLOCKS = ("SE_2_3", "SE_3_4", "SE_4_6", "SE_5_1", "SE_5_2", "SE_5_3")  # the panels of SE-ResNet-50, section 7.2
PAPER_CLASSES = ("goldfish", "Chihuahua", "bullet train", "cliff")  # the nearest to the paper's goldfish, pug, plane and cliff
ABOUT_MEANS = (
    "The mean excitation of each channel, one curve for each class. In the paper the curves part with depth: alike in SE_2_3, "
    "class-specific in SE_4_6 and SE_5_1, mostly close to one in SE_5_2, and in SE_5_3 alike again up to a modest change in scale."
)
ABOUT_SPREAD = (
    "The mean excitation of each channel over the photos of one class, in a band of one standard deviation each side. In the paper "
    "excitations differ within a class, too, and most in the later layers, where one class is represented most diversely."
)
CLAIMS = {  # what the paper says of the blocks in Figure 6
    "SE_2_3": "In the paper early blocks are alike for all classes",
    "SE_3_4": "In the paper the classes part with depth",
    "SE_4_6": "In the paper deeper blocks are much more class-specific",
    "SE_5_1": "In the paper deeper blocks are much more class-specific",
    "SE_5_2": "In the paper most activations of this block are close to one",
    "SE_5_3": "In the paper the last block's classes are alike up to a modest change in scale",
}
BORDERS = {"solid": "solid", "dash": "dashed", "dot": "dotted"}  # Plotly's words for lines, and CSS's
ORDERED = {
    INDEX: "",
    MEAN: "; channels by their mean over all images, highest first",
    SHARE: "; channels by class share (omega squared), highest first",
}


class Stroke(NamedTuple):
    """How a curve is drawn: its colour, and Plotly's word for its line."""

    colour: str
    dash: str = "solid"


STROKES = (*map(Stroke, PALETTE), *(Stroke(colour, "dash") for colour in PALETTE[: MAX_CURVES - len(PALETTE)]))
OVERALL = Stroke(NEUTRAL, "dot")


def entries(statistics: ClassStatistics, curves: Sequence[Curve]) -> dict[str, Stroke]:
    """Return the legend: a label with the number of images, and how it is drawn, for each curve and for the one over all classes.

    Raises:
        SevisError: for more than MAX_CURVES curves, or a class that the statistics do not hold.
    """
    different = list(dict.fromkeys(curves))
    if len(different) > MAX_CURVES:
        raise SevisError(f"at most {MAX_CURVES} curves can be told apart, got {len(different)}: choose fewer classes and groups")
    strokes = {label_of(statistics, curve): stroke for curve, stroke in zip(different, STROKES, strict=False)}
    return strokes | {overall_label(statistics): OVERALL}


def paper_blocks(sites: Sequence[str]) -> tuple[str, ...]:
    """Return the blocks of the paper's panels, for any depth: the last one of each stage, and all of the last stage.

    Args:
        sites: the names of all blocks, SE_stage_block, in order.
    """
    *early, last = by_stage(sites).values()
    return (*(stage[-1] for stage in early), *last)


def paper_classes(statistics: ClassStatistics) -> list[str]:
    """Return the classes of PAPER_CLASSES that the statistics hold; the first four where they hold none of them."""
    return [name for name in PAPER_CLASSES if name in statistics.classes] or list(dict.fromkeys(statistics.classes))[:4]


def drawable_channels(statistics: ClassStatistics, sites: Iterable[str], curves: int, *, limit: int = 40_000) -> int | None:
    """Return how many channels a block may show when all are asked for, so that a page holds at most `limit` points; None is all.

    A point costs about ten bytes on the way to the browser.
    """
    widths = [statistics.channels[site] for site in sites]
    count = max(widths, default=1)
    while count > PAPER_CHANNELS and curves * sum(min(width, count) for width in widths) > limit:
        count //= 2
    return None if count >= max(widths, default=1) else count


def mean_panel(
    statistics: ClassStatistics, site: str, curves: Sequence[Curve], *, channels: int | None = PAPER_CHANNELS, order: str = INDEX
) -> Chart:
    """Draw one panel of Figure 6: what `mean_table` holds, a curve for each class or group and one over all. The legend is `entries`."""
    table = mean_table(statistics, site, curves, channels=channels, order=order)
    figure = _panel(_mean_traces(table, entries(statistics, curves)), _title(statistics, site), "mean excitation", order)
    return Chart(figure, _mean_caption(statistics, site, curves, order), table)


def spread_panel(
    statistics: ClassStatistics,
    site: str,
    curve: Curve,
    *,
    stroke: Stroke = STROKES[0],
    channels: int | None = PAPER_CHANNELS,
    order: str = INDEX,
) -> Chart:
    """Draw one panel of Figure 7: what `spread_table` holds, the mean of a class or group in a band of one standard deviation each side."""
    table = spread_table(statistics, site, curve, channels=channels, order=order)
    figure = _panel(_spread_traces(statistics, table, curve, stroke), _title(statistics, site), "excitation", order)
    return Chart(figure, _spread_caption(statistics, site, curve, order), table)


def figure6(
    statistics: ClassStatistics,
    sites: Sequence[str],
    classes: Sequence[Curve],
    *,
    channels: int | None = PAPER_CHANNELS,
    order: str = INDEX,
) -> Chart:
    """Draw the panels of Figure 6 in one figure with one legend."""
    strokes = entries(statistics, classes)
    tables = {site: mean_table(statistics, site, classes, channels=channels, order=order) for site in sites}
    panels = {_title(statistics, site): _mean_traces(table, strokes) for site, table in tables.items()}
    figure = _grid(panels, title="Mean excitation per channel, by class", axis="mean excitation", order=order)
    return Chart(figure, f"{ABOUT_MEANS} {describe_source(statistics)}", _joined(tables))


def figure7(
    statistics: ClassStatistics,
    sites: Sequence[str],
    classes: Sequence[Curve],
    *,
    channels: int | None = PAPER_CHANNELS,
    order: str = INDEX,
) -> Chart:
    """Draw the panels of Figure 7 for each class or group in one figure with one legend."""
    strokes = entries(statistics, classes)
    tables, panels = {}, {}
    for curve in dict.fromkeys(classes):
        for site in sites:
            table = spread_table(statistics, site, curve, channels=channels, order=order)
            tables[f"{curve}: {site}"] = table
            title = f"{escape(str(curve))}: {_title(statistics, site)}"
            panels[title] = _spread_traces(statistics, table, curve, strokes[label_of(statistics, curve)])
    title = "Excitation per channel within a class: mean, and a band of one standard deviation each side"
    figure = _grid(panels, title=title, axis="excitation", order=order)
    return Chart(figure, f"{ABOUT_SPREAD} {describe_source(statistics)}", _joined(tables))


def _joined(tables: Mapping[str, Table]) -> Table:
    """Return the tables of several panels as one, the panel's name in front; NaN where a panel lacks a column."""
    sizes = [len(table["channel"]) for table in tables.values()]
    names = dict.fromkeys(name for table in tables.values() for name in table)
    columns = {name: [table.get(name, np.full(size, np.nan)) for table, size in zip(tables.values(), sizes, strict=True)] for name in names}
    return {"panel": np.repeat(list(tables), sizes)} | {name: np.concatenate(parts) for name, parts in columns.items()}


def _mean_caption(statistics: ClassStatistics, site: str, curves: Sequence[Curve], order: str) -> str:
    """Return one sentence under a panel of Figure 6: what this network shows, beside what the paper says of the block."""
    drawn = [curve for curve in curves if count_of(statistics, curve)]
    if not drawn:
        return "None of the chosen classes has an image, so only the axes are drawn."
    overall = statistics.overall_mean(site)
    distance = np.abs(means_of(statistics, site, drawn) - overall).mean()
    what = "class" if all(isinstance(curve, str) for curve in drawn) else "curve"
    finding = f"a {what} lies {distance:.2f} from the mean of all on average{ORDERED[order]}"
    claim = CLAIMS.get(site) if paper_blocks(statistics.sites) == PAPER_BLOCKS else None
    if claim and site == "SE_5_2":
        finding = f"{open_share(overall):.0%} of the channels have a mean above {HIGH}, and {finding}"
    return f"{claim}; here {finding}." if claim else f"{finding[0].upper()}{finding[1:]}."


def _spread_caption(statistics: ClassStatistics, site: str, curve: Curve, order: str) -> str:
    """Return one sentence under a panel of Figure 7: how far the images of a class, or of a group, differ."""
    count, what = count_of(statistics, curve), "class" if isinstance(curve, str) else "group"
    if count < 2:
        return f"There is {'only one photo' if count else 'no photo'} of this {what}, so no spread can be drawn."
    within = std_of(statistics, site, curve).mean()
    return (
        f"Over the {count} photos of the {what}, a channel's excitation has a standard deviation of {within:.2f} on average"
        f"{ORDERED[order]}."
    )


def _title(statistics: ClassStatistics, site: str) -> str:
    return f"{escape(site)} · {statistics.channels.get(site, 0)} channels"


def _mean_traces(table: Table, strokes: Mapping[str, Stroke]) -> list[go.Scatter]:
    """Return the curve over all classes, and above it one for each class."""
    *curves, overall = strokes.items()
    return [_line(table, label, stroke) for label, stroke in (overall, *curves) if label in table]


def _spread_traces(statistics: ClassStatistics, table: Table, curve: Curve, stroke: Stroke) -> list[go.Scatter]:
    """Return a band, above it the curve over all classes, and above that the mean of the class."""
    label, overall = label_of(statistics, curve), overall_label(statistics)
    band = _band(table, label, stroke.colour) if "standard deviation" in table else []
    return [*band, *(_line(table, key, way) for key, way in ((overall, OVERALL), (label, stroke)) if key in table)]


def _line(table: Table, label: str, stroke: Stroke) -> go.Scatter:
    """Return a curve; that over all classes tells the channels, too, where they are not in the order of their index.

    A name from outside is escaped, because Plotly reads tags in it.
    """
    overall, dense, ranked = stroke == OVERALL, len(table[label]) > DENSE, "rank" in table
    return go.Scatter(
        x=_ranks(table),
        y=table[label].astype(np.float32),
        customdata=table["channel"].astype(np.uint16) if overall and ranked else None,
        name=escape(label, quote=False),
        legendgroup=escape(label, quote=False),
        legendrank=2 if overall else 1,
        mode="lines",
        line={"color": stroke.colour, "width": (1 if dense else 1.6) * (1.4 if overall else 1), "dash": stroke.dash},
        hovertemplate="%{y:.3f} in channel %{customdata}" if overall and ranked else "%{y:.3f}",
    )


def _ranks(table: Table) -> NDArray[np.uint16]:
    """Return where the channels stand on the axis: their ranks, or their numbers."""
    return table.get("rank", table["channel"]).astype(np.uint16)


def _band(table: Table, label: str, colour: str) -> list[go.Scatter]:
    """Return the lower and the upper edge of mean and standard deviation, filled between."""
    group = escape(label, quote=False)
    edges = (table[label] - table["standard deviation"], table[label] + table["standard deviation"])
    lower, upper = (
        go.Scatter(
            x=_ranks(table),
            y=edge.astype(np.float32),
            mode="lines",
            line={"width": 0, "color": colour},
            hoverinfo="skip",
            showlegend=False,
            legendgroup=group,
        )
        for edge in edges
    )
    return [lower, upper.update(fill="tonexty", fillcolor=translucent(colour, 0.25))]


def _panel(traces: Sequence[go.Scatter], title: str, axis: str, order: str) -> go.Figure:
    figure = go.Figure(data=traces, layout=_panel_layout(axis, order, *_range(traces)))
    figure.layout.title.text = title
    return figure


@lru_cache(maxsize=16)  # dressing a figure takes five times as long as its curves
def _panel_layout(axis: str, order: str, low: float, high: float) -> go.Layout:
    figure = finish(go.Figure(), title="", height=300)
    _dress_axes(figure, axis, order, low, high)
    return figure.update_layout(showlegend=False, margin_b=8).layout


def _grid(panels: Mapping[str, Sequence[go.Scatter]], *, title: str, axis: str, order: str) -> go.Figure:
    columns = min(COLUMNS, len(panels)) or 1
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
