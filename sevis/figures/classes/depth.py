"""Measures over the depth of a network, block by block, each with its interval and with what chance gives."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from sevis.analysis.block_measures import NAMES, SHUFFLED
from sevis.analysis.dead_gates import CAUSES, DEAD
from sevis.analysis.depth import DepthProfile
from sevis.analysis.statements import AGNOSTIC, LEFT, MOST, SPECIFIC
from sevis.figures.theme import NEUTRAL, PALETTE, finish, translucent
from sevis.paper import short_name, stage_of

MANY = 24  # blocks: of more only the last of each stage is named
MARK = translucent(NEUTRAL, 0.45)
INTERVALS = "Bars are 95 % intervals over photos; grey lines part the stages."


@dataclass(frozen=True)
class Chart:
    """One chart over depth.

    Attributes:
        title, axis: of the chart and of its y-axis, with the unit.
        curves: what it draws, by the name of the measure, and what the legend says.
        about: what one sees, in a sentence or two.
        lines: thresholds by what is written beside them.
        share: whether the y-axis is in per cent.
    """

    title: str
    axis: str
    curves: Mapping[str, str]
    about: str
    lines: Mapping[str, float] = field(default_factory=dict)
    share: bool = True


# By the name of the statement that each belongs to.
STATEMENTS = {
    "agnostic": Chart(
        "Class share ω² by depth",
        "share of the variance",
        {"class_share": "between the classes"},
        "How much of a scale's variance over all photos lies between the classes (omega squared, the median channel), and how much where "
        "the labels are shuffled. The rest lies within the classes.",
        {"class-specific above": SPECIFIC, "class-agnostic below": AGNOSTIC},
    ),
    "specific": Chart(
        "Classes told by gates alone",
        "share of the photos",
        {"accuracy": "nearest class mean"},
        "How many photos lie nearest to the mean gates of their own class, the photo itself left out of it, and how many would by chance.",
    ),
    "saturated": Chart(
        "Scales near 1 and near 0",
        "share of the scales",
        {"high": "above 0.9", "low": "below 0.1"},
        "How many of the scales, over channels and photos, let nearly everything of a channel pass, and how many nearly nothing.",
        {"most above": MOST},
    ),
    "scaled": Chart(
        "What one factor a class leaves",
        "share of the difference",
        {"left": "left after scaling"},
        "How much of the differences between the classes' mean gates is left when each class is fitted to the mean of all by one factor: "
        "0 % where classes differ only in scale, 100 % where scaling explains nothing. The noise of the class means is taken off.",
        {"mainly a change in scale below": LEFT},
    ),
}
CSI = "Selectivity (CSI)"
CSI_WARNING = (
    "The index does not compare across data sets: noise alone raises it, the more so the more classes and the fewer photos there are, and "
    "gates far from 0 compress it. Read it against the dotted line, and beside the class share."
)
OTHERS = {
    "Spread over photos": Chart(
        "Spread of a scale over all photos",
        "standard deviation of s",
        {"spread": "over all photos"},
        "How far a scale varies from photo to photo (the mean channel). Below the line gates are dead: the same for every photo.",
        {"dead below": DEAD},
        share=False,
    ),
    "Within and between classes": Chart(
        "Spread within and between classes",
        "standard deviation of s",
        {"within": "within classes", "between": "between classes"},
        "The two parts of that spread, from the analysis of variance: between the classes, the noise of the class means taken off.",
        share=False,
    ),
    CSI: Chart(
        "Class selectivity index",
        "index, 0 to 1",
        {"selectivity": "median channel"},
        "The highest class mean against the mean of the other classes: (highest - rest) / (highest + rest), in the median channel.",
        share=False,
    ),
    "Rank agreement (W)": Chart(
        "Do photos agree on the order of channels?",
        "Kendall's W, 0 to 1",
        {"agreement": "over photos"},
        "Kendall's W of the channels' ranks over photos: 1 where every photo opens the channels in the same order, 0 where none do.",
        share=False,
    ),
    "Effective channels": Chart(
        "Channels that the scales are spread over",
        "share of the channels",
        {"effective": "mean photo"},
        "The exponential of the entropy of a photo's scales, as a share of all channels: 100 % where all scales are equal.",
    ),
    "Distance of classes": Chart(
        "How far a class lies from the mean of all",
        "mean |difference| of s",
        {"distance": "mean class and channel"},
        "How far the mean gates of a class lie from those of all photos, as one sees it in Figure 6. Noise of the class means is in it.",
        share=False,
    ),
    "Angle of classes": Chart(
        "Cosine distance of two classes",
        "1 - cosine",
        {"cosine": "mean pair"},
        "How far the mean gates of two classes point apart, whatever their common scale. The noise of the class means is in it.",
        share=False,
    ),
    "Distance from the identity": Chart(
        "Distance from the identity",
        "mean |1 - s|",
        {"identity": "mean scale"},
        "How far the scales are from 1, where a block would change nothing.",
        share=False,
    ),
    "Exactly 0 and 1": Chart(
        "Scales of exactly 0 and 1",
        "share of the scales",
        {"ones": "exactly 1", "zeros": "exactly 0"},
        "A hard gate has such scales; a sigmoid only where float32 rounds them.",
    ),
    "Change in scale": Chart(
        "How far the factors of the classes are from 1",
        "mean |a - 1|",
        {"factor": "mean class"},
        "The factors a that fit each class best to the mean of all: what the paper calls a change in scale.",
    ),
}


def depth_chart(profile: DepthProfile, chart: Chart, *, judged: Iterable[str] = ()) -> go.Figure:
    """Draw a measure, or two, over the blocks; those that are `judged` stand out. A block whose measure is unknown has no point."""
    figure = go.Figure()
    judged = set(judged)
    for place, (name, label) in enumerate(chart.curves.items()):
        figure.add_trace(_points(profile, name, label, colour=PALETTE[place], judged=judged, share=chart.share))
    for name in chart.curves:
        if (null := profile.curves[name].null) is not None:
            chance = "shuffled labels" if name in SHUFFLED else "chance"
            figure.add_trace(_chance(null, chance))
    lowest, highest = _reach(profile, chart)
    for label, value in chart.lines.items():
        figure.add_hline(
            value, line={"color": NEUTRAL, "width": 1, "dash": "dash"}, annotation_text=label, annotation_position="top left",
            annotation_font_size=12,
        )  # fmt: skip
    for change in _changes(profile.sites):
        figure.add_vline(change, line={"color": MARK, "width": 1}, layer="below")
    finish(figure, title=chart.title, height=340)
    figure.update_layout(margin={"t": 78, "b": 8, "l": 8}, hovermode="closest", showlegend=True)
    figure.update_yaxes(
        range=[lowest, highest], title_text=chart.axis, tickformat=".0%" if chart.share else None, fixedrange=True, zeroline=False
    )
    places = _named(profile.sites)
    figure.update_xaxes(
        range=[-0.6, len(profile.sites) - 0.4],
        tickvals=places,
        ticktext=[short_name(profile.sites[place]) for place in places],
        title_text="block, SE_stage_block",
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )
    return figure


def profile_table(profile: DepthProfile, names: Iterable[str] = NAMES) -> dict[str, ArrayLike]:
    """Return a row for each block: its name, each measure with the ends of its interval and what chance gives, and why its gates are
    dead.
    """
    names = list(names)
    table: dict[str, ArrayLike] = {"block": list(profile.sites)}
    for name in names:
        curve = profile.curves[name]
        table |= {name: curve.estimate, f"{name}_low": curve.low, f"{name}_high": curve.high}
        if curve.null is not None:
            table[f"{name}_chance"] = curve.null
    if "class_share" in names:
        table["class_share_p"] = profile.p_values
    if "spread" in names:
        table["dead"] = [CAUSES[profile.dead[site]] if site in profile.dead else "" for site in profile.sites]
    return table


def _points(profile: DepthProfile, name: str, label: str, *, colour: str, judged: set[str], share: bool) -> go.Scatter:
    curve = profile.curves[name]
    form = ".1%" if share else ".3f"
    named = [[site, low, high] for site, low, high in zip(profile.sites, curve.low, curve.high, strict=True)]
    return go.Scatter(
        x=np.arange(len(profile.sites)),
        y=curve.estimate,
        error_y={
            "type": "data",
            "symmetric": False,
            "array": curve.high - curve.estimate,
            "arrayminus": curve.estimate - curve.low,
            "thickness": 1.5,
            "width": 3,
            "color": colour,
        },
        customdata=named,
        mode="lines+markers",
        line={"color": colour, "width": 1.5},
        marker={
            "color": colour,
            "size": [12 if site in judged else 6 for site in profile.sites],
            "symbol": ["diamond" if site in judged else "circle" for site in profile.sites],
            "opacity": 1,
            "line": {"width": 0},
        },
        name=label,
        hovertemplate=f"<b>%{{customdata[0]}}</b>: %{{y:{form}}} (%{{customdata[1]:{form}}} to %{{customdata[2]:{form}}})"
        f"<extra>{label}</extra>",
    )


def _chance(null: ArrayLike, label: str) -> go.Scatter:
    values = np.asarray(null)
    return go.Scatter(
        x=np.arange(len(values)),
        y=values,
        mode="lines",
        line={"color": NEUTRAL, "width": 2, "dash": "dot"},
        name=label,
        hoverinfo="skip",
    )


def _reach(profile: DepthProfile, chart: Chart) -> tuple[float, float]:
    """From 0, or a negative interval's end, to a little above the highest of what is drawn."""
    curves = [profile.curves[name] for name in chart.curves]
    drawn = [part for curve in curves for part in (curve.estimate, curve.low, curve.high, curve.null) if part is not None]
    values = np.concatenate([[0.0, *chart.lines.values()], *drawn])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return low, (high or 1.0) + 0.08 * ((high or 1.0) - low)


def _changes(sites: Sequence[str]) -> list[float]:
    """Between which blocks the stage changes."""
    stages = [stage_of(site) for site in sites]
    return [place - 0.5 for place in range(1, len(stages)) if stages[place] != stages[place - 1]]


def _named(sites: Sequence[str]) -> list[int]:
    """Return the places that are named on the axis: all, or of many blocks the last of each stage."""
    stages = [stage_of(site) for site in sites]
    return [place for place in range(len(sites)) if len(sites) <= MANY or stages[place + 1 : place + 2] != stages[place : place + 1]]
