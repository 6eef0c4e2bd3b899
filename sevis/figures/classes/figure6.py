"""Figure 6 of the paper: the mean excitation of each channel by class, how many classes it may show, and the words below it."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from sevis.analysis.class_curves import (
    INDEX,
    PAPER_CHANNELS,
    Curve,
    Table,
    count_of,
    label_of,
    mean_table,
    means_of,
    overall_label,
)
from sevis.analysis.formulas import HIGH, open_share
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.provenance import describe_source
from sevis.errors import SevisError
from sevis.figures.chart import Chart
from sevis.figures.classes.class_curves import (
    ORDERED,
    OVERALL,
    PAPER_BLOCKS,
    Stroke,
    describe_sampling,
    grid,
    join_tables,
    line,
    panel,
    paper_blocks,
    title_of,
)
from sevis.figures.theme import PALETTE

MAX_CURVES = 12  # in one figure: eight colours, and four of them again with dashes; more cannot be told apart
ABOUT_MEANS = (
    "The mean excitation of each channel, one curve for each class. In the paper the curves separate "
    "with depth: they are alike in SE_2_3, class-specific in SE_4_6 and SE_5_1, mostly close to one in "
    "SE_5_2, and alike again in SE_5_3, up to a modest change in scale."
)
CLAIMS = {  # what the paper says of the blocks in Figure 6
    "SE_2_3": "In the paper, early blocks are alike for all classes",
    "SE_3_4": "In the paper, the classes separate with depth",
    "SE_4_6": "In the paper, deeper blocks are much more class-specific",
    "SE_5_1": "In the paper, deeper blocks are much more class-specific",
    "SE_5_2": "In the paper, most activations of this block are close to one",
    "SE_5_3": "In the paper, the classes are alike in the last block, up to a modest change in scale",
}
STROKES = (*map(Stroke, PALETTE), *(Stroke(colour, "dash") for colour in PALETTE[: MAX_CURVES - len(PALETTE)]))


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


def mean_panel(
    statistics: ClassStatistics, site: str, curves: Sequence[Curve], *, channels: int | None = PAPER_CHANNELS, order: str = INDEX
) -> Chart:
    """Draw one panel of Figure 6: what `mean_table` holds, a curve for each class or group and one over all. The legend is `entries`."""
    table = mean_table(statistics, site, curves, channels=channels, order=order)
    figure = panel(_traces(table, entries(statistics, curves)), title_of(statistics, site, table), "mean excitation", order)
    return Chart(figure, _caption(statistics, site, curves, order), table)


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
    panels = {title_of(statistics, site, table): _traces(table, strokes) for site, table in tables.items()}
    figure = grid(panels, title="Mean excitation per channel, by class", axis="mean excitation", order=order)
    return Chart(
        figure, " ".join(filter(None, (ABOUT_MEANS, describe_sampling(channels), describe_source(statistics)))), join_tables(tables)
    )


def _caption(statistics: ClassStatistics, site: str, curves: Sequence[Curve], order: str) -> str:
    """Return one sentence under a panel of Figure 6: what this network shows, beside what the paper says of the block."""
    drawn = [curve for curve in curves if count_of(statistics, curve)]
    if not drawn:
        return "None of the chosen classes has an image, so no curve is drawn."
    overall = statistics.overall_mean(site)
    distance = np.abs(means_of(statistics, site, drawn) - overall).mean()
    what = "class" if all(isinstance(curve, str) for curve in drawn) else "curve"
    width = f"all {len(overall):,} channels"
    finding = f"on average over {width}, a {what} drawn differs by {distance:.2f} from the mean of all photos{ORDERED[order]}"
    claim = CLAIMS.get(site) if paper_blocks(statistics.sites) == PAPER_BLOCKS else None
    if claim and site == "SE_5_2":
        finding = f"{open_share(overall):.0%} of the channels have a mean above {HIGH}, and {finding}"
    return f"{claim}; here {finding}." if claim else f"{finding[0].upper()}{finding[1:]}."


def _traces(table: Table, strokes: Mapping[str, Stroke]) -> list[go.Scatter]:
    """Return the curve over all classes, and above it one for each class."""
    *curves, overall = strokes.items()
    return [line(table, label, stroke) for label, stroke in (overall, *curves) if label in table]
