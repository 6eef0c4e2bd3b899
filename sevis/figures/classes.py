"""Figures 6 and 7 of the paper: the mean excitation of each channel by class, and its spread within a class.

Curves are SVG lines: Plotly's WebGL traces draw ten times slower on machines without a GPU.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from sevis.class_statistics import ClassStatistics
from sevis.errors import SevisError
from sevis.figures.style import NEUTRAL, PALETTE, finish

Table = dict[str, NDArray[Any]]
PAPER_BLOCKS = ("SE_2_3", "SE_3_4", "SE_4_6", "SE_5_1", "SE_5_2", "SE_5_3")  # the panels of SE-ResNet-50, section 7.2
PAPER_CLASSES = ("goldfish", "Chihuahua", "bullet train", "cliff")  # the nearest to the paper's goldfish, pug, plane and cliff
PAPER_CHANNELS = 50
COLUMNS = 3
MAX_CLASSES = len(PALETTE)
DENSE = 200  # curves of more points are drawn thinner


def paper_blocks(sites: Sequence[str]) -> tuple[str, ...]:
    """The blocks of the paper's panels, for any depth: the last one of each stage, and all of the last stage.

    Args:
        sites: the names of all blocks, SE_stage_block, in order.
    """
    stages: dict[str, list[str]] = {}
    for site in sites:
        stages.setdefault(site.rpartition("_")[0], []).append(site)
    *early, last = stages.values()
    return (*(stage[-1] for stage in early), *last)


def paper_classes(statistics: ClassStatistics) -> list[str]:
    """The classes of PAPER_CLASSES that the statistics hold; the first four where they hold none of them."""
    return [name for name in PAPER_CLASSES if name in statistics.classes] or list(dict.fromkeys(statistics.classes))[:4]


def sample_channels(width: int, count: int | None = PAPER_CHANNELS) -> NDArray[np.intp]:
    """The indices of `count` uniformly spaced channels out of `width`, ascending, the first and the last among them; None is all.

    Raises:
        SevisError: for a count below 1.
    """
    if count is not None and count < 1:
        raise SevisError(f"expected at least one channel to draw, got {count}")
    if count is None or count >= width:
        return np.arange(width)
    return np.linspace(0, width - 1, count).round().astype(np.intp)


def drawable_channels(statistics: ClassStatistics, sites: Iterable[str], curves: int, *, limit: int = 40_000) -> int | None:
    """How many channels a block may show when all are asked for, so that a page holds at most `limit` points; None is all.

    A point costs about ten bytes on the way to the browser.
    """
    widths = [statistics.channels[site] for site in sites]
    count = max(widths, default=1)
    while count > PAPER_CHANNELS and curves * sum(min(width, count) for width in widths) > limit:
        count //= 2
    return None if count >= max(widths, default=1) else count


def entries(statistics: ClassStatistics, classes: Sequence[str]) -> dict[str, str]:
    """The legend: a label with the number of images, and its colour, for each class and for the curve over all classes.

    Raises:
        SevisError: for more than MAX_CLASSES classes, or one that the statistics do not hold.
    """
    names = list(dict.fromkeys(classes))
    if len(names) > MAX_CLASSES:
        raise SevisError(f"at most {MAX_CLASSES} classes can be told apart by their colours, got {len(names)}: choose fewer")
    colours = {_label(statistics, name): colour for name, colour in zip(names, PALETTE, strict=False)}
    return colours | {_all_label(statistics): NEUTRAL}


def missing(statistics: ClassStatistics, classes: Sequence[str]) -> list[str]:
    """Those of the classes that the statistics hold no image of."""
    return [name for name in classes if not statistics.count[statistics.index(name)]]


def mean_table(statistics: ClassStatistics, site: str, classes: Sequence[str], *, channels: int | None = PAPER_CHANNELS) -> Table:
    """What a panel of Figure 6 draws: the channels' indices, and the mean scale by class and over all images, each of shape (channels,).

    A class without images is left out.

    Raises:
        SevisError: for a class or a block that the statistics do not hold.
    """
    means = statistics.mean(site)
    picked = sample_channels(means.shape[1], channels)
    empty = missing(statistics, classes)
    rows = {_label(statistics, name): means[statistics.index(name), picked] for name in classes if name not in empty}
    return {"channel": picked, **rows, **_overall(statistics, site, picked)}


def spread_table(statistics: ClassStatistics, site: str, name: str, *, channels: int | None = PAPER_CHANNELS) -> Table:
    """What a panel of Figure 7 draws: the channels' indices, the mean of a class, its standard deviation (n - 1), the mean over all images.

    A class without images has no mean, one with a single image no standard deviation.

    Raises:
        SevisError: for a class or a block that the statistics do not hold.
    """
    table = mean_table(statistics, site, [name], channels=channels)
    row = statistics.index(name)
    if statistics.count[row] > 1:
        table["standard deviation"] = statistics.std(site)[row, table["channel"]]
    return table


def mean_panel(statistics: ClassStatistics, site: str, classes: Sequence[str], *, channels: int | None = PAPER_CHANNELS) -> go.Figure:
    """One panel of Figure 6: the mean scale of each channel, a curve by class and one over all. The legend is `entries`."""
    return _panel(_mean_traces(statistics, site, classes, channels), _title(statistics, site), "mean excitation")


def spread_panel(
    statistics: ClassStatistics, site: str, name: str, *, colour: str = PALETTE[0], channels: int | None = PAPER_CHANNELS
) -> go.Figure:
    """One panel of Figure 7: the mean scale of each channel over the images of a class, in a band of one standard deviation each side."""
    return _panel(_spread_traces(statistics, site, name, colour, channels), _title(statistics, site), "excitation")


def figure6(
    statistics: ClassStatistics, sites: Sequence[str], classes: Sequence[str], *, channels: int | None = PAPER_CHANNELS
) -> go.Figure:
    """The panels of Figure 6 in one figure with one legend."""
    panels = {_title(statistics, site): _mean_traces(statistics, site, classes, channels) for site in sites}
    return _grid(panels, title="Mean excitation per channel, by class", axis="mean excitation")


def figure7(
    statistics: ClassStatistics, sites: Sequence[str], classes: Sequence[str], *, channels: int | None = PAPER_CHANNELS
) -> go.Figure:
    """The panels of Figure 7 in one figure, class after class."""
    colours = entries(statistics, classes)
    panels = {
        f"{escape(name)}: {_title(statistics, site)}": _spread_traces(statistics, site, name, colours[_label(statistics, name)], channels)
        for name in classes
        for site in sites
    }
    return _grid(
        panels, title="Excitation per channel within a class: mean, and a band of one standard deviation each side", axis="excitation"
    )


def _label(statistics: ClassStatistics, name: str) -> str:
    return f"{name} (n = {statistics.count[statistics.index(name)]:,})"


def _all_label(statistics: ClassStatistics) -> str:
    return f"all {np.count_nonzero(statistics.count)} classes (n = {statistics.count.sum():,})"


def _title(statistics: ClassStatistics, site: str) -> str:
    return f"{escape(site)} · {statistics.channels.get(site, 0)} channels"


def _overall(statistics: ClassStatistics, site: str, picked: NDArray[np.intp]) -> Table:
    return {_all_label(statistics): statistics.overall_mean(site)[picked]} if statistics.count.any() else {}


def _mean_traces(statistics: ClassStatistics, site: str, classes: Sequence[str], channels: int | None) -> list[go.Scatter]:
    """The curve over all classes, and above it one for each class."""
    table = mean_table(statistics, site, classes, channels=channels)
    *colours, overall = entries(statistics, classes).items()
    return [_line(table, label, colour) for label, colour in (overall, *colours) if label in table]


def _spread_traces(statistics: ClassStatistics, site: str, name: str, colour: str, channels: int | None) -> list[go.Scatter]:
    """A band, above it the curve over all classes, and above that the mean of the class."""
    table = spread_table(statistics, site, name, channels=channels)
    label, overall = _label(statistics, name), _all_label(statistics)
    band = _band(table, label, colour) if "standard deviation" in table else []
    return [*band, *(_line(table, key, shade) for key, shade in ((overall, NEUTRAL), (label, colour)) if key in table)]


def _line(table: Table, label: str, colour: str) -> go.Scatter:
    """A curve, dotted where it stands for all classes; a name from outside is escaped, because Plotly reads tags in it."""
    overall, dense = colour == NEUTRAL, len(table[label]) > DENSE
    return go.Scatter(
        x=table["channel"].astype(np.uint16),
        y=table[label].astype(np.float32),
        name=escape(label, quote=False),
        legendgroup=escape(label, quote=False),
        legendrank=2 if overall else 1,
        mode="lines",
        line={"color": colour, "width": (1 if dense else 1.6) * (1.4 if overall else 1), "dash": "dot" if overall else "solid"},
        hovertemplate="%{y:.3f}",
    )


def _band(table: Table, label: str, colour: str) -> list[go.Scatter]:
    """The lower and the upper edge of mean and standard deviation, filled between."""
    group = escape(label, quote=False)
    edges = (table[label] - table["standard deviation"], table[label] + table["standard deviation"])
    lower, upper = (
        go.Scatter(
            x=table["channel"].astype(np.uint16),
            y=edge.astype(np.float32),
            mode="lines",
            line={"width": 0, "color": colour},
            hoverinfo="skip",
            showlegend=False,
            legendgroup=group,
        )
        for edge in edges
    )
    return [lower, upper.update(fill="tonexty", fillcolor=_translucent(colour))]


def _translucent(colour: str) -> str:
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, 0.25)"


def _panel(traces: Sequence[go.Scatter], title: str, axis: str) -> go.Figure:
    figure = go.Figure(data=traces, layout=_panel_layout(axis, *_range(traces)))
    figure.layout.title.text = title
    return figure


@lru_cache(maxsize=16)  # dressing a figure takes five times as long as its curves
def _panel_layout(axis: str, low: float, high: float) -> go.Layout:
    figure = finish(go.Figure(), title="", height=300)
    _dress_axes(figure, axis, low, high)
    return figure.update_layout(showlegend=False, margin_b=8).layout


def _grid(panels: Mapping[str, Sequence[go.Scatter]], *, title: str, axis: str) -> go.Figure:
    columns = min(COLUMNS, len(panels)) or 1
    rows = -(-len(panels) // columns) or 1
    figure = make_subplots(
        rows, columns, subplot_titles=list(panels), vertical_spacing=0.3 / rows if rows > 1 else 0, horizontal_spacing=0.06
    )
    seen: set[str] = set()
    for place, traces in enumerate(panels.values()):
        for trace in traces:
            if trace.name:
                trace.showlegend = trace.name not in seen
                seen.add(trace.name)
            figure.add_trace(trace, row=place // columns + 1, col=place % columns + 1)
    _dress_axes(figure, axis, *_range(figure.data))
    height = 150 + 290 * rows
    finish(figure, title=title, height=height)
    figure.update_layout(margin_t=120, title_pad_l=8, legend={"yref": "container", "y": 1 - 40 / height, "yanchor": "top"})
    return figure


def _range(traces: Iterable[go.Scatter]) -> tuple[float, float]:
    """The gate's range, 0 to 1; wider only where a gate such as tanh or ReLU leaves it."""
    values = np.concatenate([[0.0, 1.0], *(trace.y for trace in traces if trace.hoverinfo != "skip")])
    return float(values.min()), float(values.max())


def _dress_axes(figure: go.Figure, axis: str, low: float, high: float) -> None:
    figure.update_yaxes(range=[low, high], title_text=axis, fixedrange=True)
    figure.update_xaxes(title_text="channel", fixedrange=True, unifiedhovertitle_text="channel %{x}")
    figure.update_layout(hovermode="x unified")
