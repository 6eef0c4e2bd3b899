"""Figure 7 of the paper: the excitation of each channel within one class, as mean and spread, and the words below it."""

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from sevis.analysis.class_curves import (
    INDEX,
    PAPER_CHANNELS,
    Curve,
    Table,
    count_of,
    label_of,
    overall_label,
    spread_table,
    std_of,
)
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.provenance import describe_source
from sevis.figures.chart import Chart
from sevis.figures.classes.class_curves import ORDERED, OVERALL, Stroke, grid, join_tables, line, panel, ranks, title_of
from sevis.figures.classes.figure6 import STROKES, entries
from sevis.figures.theme import translucent

ABOUT_SPREAD = (
    "The mean excitation of each channel over the photos of one class, with a band of one standard "
    "deviation on each side. In the paper, excitations also differ within a class, most in the later "
    "layers, where the representation of one class is most diverse."
)


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
    figure = panel(_traces(statistics, table, curve, stroke), title_of(statistics, site), "excitation", order)
    return Chart(figure, _caption(statistics, site, curve, order), table)


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
            title = f"{escape(str(curve))}: {title_of(statistics, site)}"
            panels[title] = _traces(statistics, table, curve, strokes[label_of(statistics, curve)])
    title = "Excitation per channel within a class: mean, with a band of one standard deviation on each side"
    figure = grid(panels, title=title, axis="excitation", order=order)
    return Chart(figure, f"{ABOUT_SPREAD} {describe_source(statistics)}", join_tables(tables))


def _caption(statistics: ClassStatistics, site: str, curve: Curve, order: str) -> str:
    """Return one sentence under a panel of Figure 7: how far the images of a class, or of a group, differ."""
    count, what = count_of(statistics, curve), "class" if isinstance(curve, str) else "group"
    if count < 2:
        return f"There is {'only one photo' if count else 'no photo'} of this {what}, so no spread can be drawn."
    within = std_of(statistics, site, curve).mean()
    return (
        f"Over the {count} photos of the {what}, the excitation of a channel has a standard deviation of "
        f"{within:.2f} on average{ORDERED[order]}."
    )


def _traces(statistics: ClassStatistics, table: Table, curve: Curve, stroke: Stroke) -> list[go.Scatter]:
    """Return a band, above it the curve over all classes, and above that the mean of the class."""
    label, overall = label_of(statistics, curve), overall_label(statistics)
    band = _band(table, label, stroke.colour) if "standard deviation" in table else []
    return [*band, *(line(table, key, way) for key, way in ((overall, OVERALL), (label, stroke)) if key in table)]


def _band(table: Table, label: str, colour: str) -> list[go.Scatter]:
    """Return the lower and the upper edge of mean and standard deviation, filled between."""
    group = escape(label, quote=False)
    edges = (table[label] - table["standard deviation"], table[label] + table["standard deviation"])
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
