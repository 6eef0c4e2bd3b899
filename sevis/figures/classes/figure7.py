"""Figure 7 of the paper: the excitation of each channel within one class, as mean and spread, and the words below it."""

from collections.abc import Sequence
from html import escape
from itertools import chain

import numpy as np
import plotly.graph_objects as go

from sevis.analysis.class_curves import (
    INDEX,
    PAPER_CHANNELS,
    Array,
    Curve,
    Table,
    count_of,
    deviation_label,
    label_of,
    overall_label,
    spread_table,
    std_of,
)
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.provenance import describe_source
from sevis.figures.chart import Chart, Panels
from sevis.figures.classes.class_curves import (
    COLUMNS,
    ORDERED,
    OVERALL,
    Stroke,
    describe_sampling,
    grid,
    join_tables,
    line,
    panel,
    ranks,
    title_of,
)
from sevis.figures.classes.figure6 import entries
from sevis.figures.theme import translucent

ABOUT_SPREAD = (
    "The mean excitation of each channel over the photos of one class, with a band of one standard deviation on each side; where a band "
    "leaves the axis, it is cut off. In the paper, excitations also differ within a class, most in the later layers, where the "
    "representation of one class is most diverse."
)


def spread_panels(
    statistics: ClassStatistics, site: str, curves: Sequence[Curve], *, channels: int | None = PAPER_CHANNELS, order: str = INDEX
) -> Panels:
    """Draw one block of Figure 7: a panel for each class or group, with one range of the axis, so that they compare.

    Each draws what `spread_table` holds: the mean, in a band of one standard deviation on each side.
    """
    table = spread_table(statistics, site, curves, channels=channels, order=order)
    parts = _parts(statistics, site, table, curves)
    together = list(chain.from_iterable(parts.values()))
    figures = tuple(panel(traces, title, "excitation", order, beside=together) for title, traces in parts.items())
    return Panels(figures, _caption(statistics, site, curves, order), table)


def figure7(
    statistics: ClassStatistics,
    sites: Sequence[str],
    classes: Sequence[Curve],
    *,
    channels: int | None = PAPER_CHANNELS,
    order: str = INDEX,
) -> Chart:
    """Draw Figure 7 in one figure with one legend: a row for each block, with a panel for each class or group."""
    tables = {site: spread_table(statistics, site, classes, channels=channels, order=order) for site in sites}
    panels = {title: traces for site, table in tables.items() for title, traces in _parts(statistics, site, table, classes).items()}
    title = "Excitation per channel within a class: mean, with a band of one standard deviation on each side"
    columns = min(len(dict.fromkeys(classes)), COLUMNS)
    figure = grid(panels, title=title, axis="excitation", order=order, columns=columns)
    return Chart(
        figure, " ".join(filter(None, (ABOUT_SPREAD, describe_sampling(channels), describe_source(statistics)))), join_tables(tables)
    )


def _parts(statistics: ClassStatistics, site: str, table: Table, curves: Sequence[Curve]) -> dict[str, list[go.Scatter]]:
    """Return the panels of a block by their titles: what each draws."""
    strokes, name = entries(statistics, curves), title_of(statistics, site, table)
    return {
        f"{escape(str(curve))}: {name}": _traces(statistics, table, curve, strokes[label_of(statistics, curve)])
        for curve in dict.fromkeys(curves)
    }


def _caption(statistics: ClassStatistics, site: str, curves: Sequence[Curve], order: str) -> str:
    """Return the words under the panels of a block: how far the photos of each class, or group, differ."""
    counts = {curve: count_of(statistics, curve) for curve in curves}
    spreads = [
        f"{std_of(statistics, site, curve).mean():.2f} within {curve} ({count:,} photos)" for curve, count in counts.items() if count > 1
    ]
    told = [
        f"There is {'only one photo' if count else 'no photo'} of {curve}, so no spread can be drawn."
        for curve, count in counts.items()
        if count < 2
    ]
    if spreads:
        of = f"On average over all {statistics.channels[site]:,} channels"
        told.insert(0, f"{of}, an excitation has a standard deviation of {' and of '.join(spreads)}{ORDERED[order]}.")
    return " ".join(told)


def _traces(statistics: ClassStatistics, table: Table, curve: Curve, stroke: Stroke) -> list[go.Scatter]:
    """Return a band, above it the curve over all classes, and above that the mean of the class."""
    label, overall, deviation = label_of(statistics, curve), overall_label(statistics), deviation_label(statistics, curve)
    band = _band(table, label, table[deviation], stroke.colour) if deviation in table else []
    return [*band, *(line(table, key, way) for key, way in ((overall, OVERALL), (label, stroke)) if key in table)]


def _band(table: Table, label: str, deviation: Array, colour: str) -> list[go.Scatter]:
    """Return the lower and the upper edge of mean and standard deviation, filled between."""
    group = escape(label, quote=False)
    edges = (table[label] - deviation, table[label] + deviation)
    lower, upper = (
        go.Scatter(
            x=ranks(table),
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
