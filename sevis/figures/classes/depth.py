"""Measures over the depth of a network, block by block, each with its interval and with what chance gives."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from sevis.analysis.dead_gates import CAUSES
from sevis.analysis.depth import Curve, DepthProfile
from sevis.analysis.depth_measures import Measure
from sevis.analysis.statements import Statement
from sevis.figures.chart import Chart
from sevis.figures.theme import NEUTRAL, PALETTE, finish, translucent, whiskers
from sevis.paper import short_name, stage_of

MANY = 24  # blocks: of more only the last of each stage is named
INTERVALS = (
    "Bars are 95 % intervals: the thin ones over photos, for exactly these classes, and the wide pale ones, on some charts, over "
    "classes drawn like these. Grey lines separate the stages."
)
JUDGED = "Diamonds mark the blocks that the statement is about."


def measure_chart(profile: DepthProfile, name: str) -> Chart:
    """Draw a measure, with those beside it, over the blocks; a block whose measure is unknown has no point. The data are all measures."""
    measure = _named(profile, name)
    figure = _draw(profile, measure, limits=measure.limits)
    return Chart(figure, f"{measure.about} {INTERVALS}", profile_table(profile))


def statement_chart(profile: DepthProfile, statement: Statement) -> Chart:
    """Draw the measure that a statement of the paper is judged by; the blocks that are judged stand out. The data are this measure's."""
    measure = _named(profile, statement.measure)
    figure = _draw(profile, measure, limits=statement.limits, judged=statement.blocks)
    return Chart(figure, f"{measure.about} {JUDGED} {INTERVALS}", profile_table(profile, _beside(profile, measure)))


def offered(profile: DepthProfile) -> dict[str, Measure]:
    """Return the measures that no statement shows, by what their charts are called."""
    return {measure.choice: measure for measure in profile.measures if measure.choice}


def profile_table(profile: DepthProfile, measures: Sequence[Measure] | None = None) -> dict[str, ArrayLike]:
    """Return a row for each block: its name, each measure with the ends of its interval and what chance gives, and why its gates are
    dead.

    Args:
        measures: of the profile; None: all.
    """
    names = [measure.name for measure in (profile.measures if measures is None else measures)]
    table: dict[str, ArrayLike] = {"block": list(profile.sites)}
    for name in names:
        curve = profile.curves[name]
        table |= {name: curve.estimate, f"{name}_low": curve.low, f"{name}_high": curve.high}
        if curve.low_over_classes is not None and curve.high_over_classes is not None:
            table |= {f"{name}_low_over_classes": curve.low_over_classes, f"{name}_high_over_classes": curve.high_over_classes}
        if curve.null is not None:
            table[f"{name}_chance"] = curve.null
    if "class_share" in names:
        table["class_share_p"] = profile.p_values
        if profile.untrained is not None:
            table["class_share_untrained"] = profile.untrained
    if "spread" in names:
        table["dead"] = [CAUSES[profile.dead[site]] if site in profile.dead else "" for site in profile.sites]
    return table


def _named(profile: DepthProfile, name: str) -> Measure:
    return next(measure for measure in profile.measures if measure.name == name)


def _beside(profile: DepthProfile, first: Measure) -> list[Measure]:
    """Return what is drawn in the chart of a measure: itself, and those beside it."""
    return [first, *(measure for measure in profile.measures if measure.beside == first.name)]


def _draw(profile: DepthProfile, first: Measure, *, limits: Mapping[str, float], judged: Collection[str] = ()) -> go.Figure:
    measures = _beside(profile, first)
    figure = go.Figure()
    for measure, colour in zip(measures, PALETTE, strict=False):
        figure.add_traces(_over_classes(profile.curves[measure.name], colour=colour))
        figure.add_trace(_points(profile, measure, colour=colour, judged=judged))
    if first.name == "class_share" and profile.untrained is not None:
        figure.add_trace(_level(profile.untrained, "of s before any training", dash="dash"))
    first_with = next((measure for measure in measures if profile.curves[measure.name].null is not None), None)
    if first_with and (null := profile.curves[first_with.name].null) is not None:  # measures in one chart have the same chance
        figure.add_trace(_level(null, "chance" if first_with.guessed else "shuffled labels", dash="dot"))
    for label, value in limits.items():
        figure.add_hline(
            value, line={"color": NEUTRAL, "width": 1, "dash": "dash"}, annotation_text=label, annotation_position="top left",
            annotation_font_size=12,
        )  # fmt: skip
    for change in _changes(profile.sites):
        figure.add_vline(change, line={"color": translucent(NEUTRAL, 0.45), "width": 1}, layer="below")
    finish(figure, title=first.title, height=340)
    figure.update_layout(margin={"t": 78, "b": 8, "l": 8}, hovermode="closest", showlegend=True)
    figure.update_yaxes(
        range=_reach(profile, measures, limits.values()),
        title_text=first.axis,
        tickformat=".0%" if first.unit == "%" else None,
        zeroline=False,
    )
    return _name_blocks(figure, profile.sites)


def _name_blocks(figure: go.Figure, sites: Sequence[str]) -> go.Figure:
    """Name the blocks on the x-axis: all, or of many the last of each stage."""
    lasts = [round(change - 0.5) for change in (*_changes(sites), len(sites) - 0.5)]
    indices = list(range(len(sites))) if len(sites) <= MANY else lasts
    return figure.update_xaxes(
        range=[-0.6, len(sites) - 0.4],
        tickvals=indices,
        ticktext=[short_name(sites[index]) for index in indices],
        title_text="block, SE_stage_block",
        showgrid=False,
        zeroline=False,
    )


def _points(profile: DepthProfile, measure: Measure, *, colour: str, judged: Collection[str]) -> go.Scatter:
    curve = profile.curves[measure.name]
    form = ".1%" if measure.unit == "%" else ".3f"
    return go.Scatter(
        x=np.arange(len(profile.sites)),
        y=curve.estimate,
        error_y=whiskers(curve.estimate, np.stack([curve.low, curve.high], axis=1), thin=True) | {"color": colour},
        customdata=[[site, low, high] for site, low, high in zip(profile.sites, curve.low, curve.high, strict=True)],
        mode="lines+markers",
        line={"color": colour, "width": 1.5},
        marker={
            "color": colour,
            "size": [12 if site in judged else 6 for site in profile.sites],
            "symbol": ["diamond" if site in judged else "circle" for site in profile.sites],
            "opacity": 1,
            "line": {"width": 0},
        },
        name=measure.label,
        hovertemplate=f"<b>%{{customdata[0]}}</b>: %{{y:{form}}} (%{{customdata[1]:{form}}} to %{{customdata[2]:{form}}})"
        f"<extra>{measure.label}</extra>",
    )


def _over_classes(curve: Curve, *, colour: str) -> list[go.Scatter]:
    """Return the intervals over classes, which stand behind the points; none where they are unknown."""
    low, high = curve.low_over_classes, curve.high_over_classes
    if low is None or high is None:
        return []
    middle = (low + high) / 2
    bars = whiskers(middle, np.stack([low, high], axis=1)) | {"color": translucent(colour, 0.3), "thickness": 5, "width": 0}
    hidden = {"mode": "markers", "marker": {"opacity": 0}, "showlegend": False, "hoverinfo": "skip"}
    return [go.Scatter(x=np.arange(len(middle)), y=middle, error_y=bars, **hidden)]


def _level(heights: ArrayLike, label: str, *, dash: str) -> go.Scatter:
    """Draw what the measure is compared with, at the height of each block."""
    values = np.asarray(heights)
    return go.Scatter(
        x=np.arange(len(values)),
        y=values,
        mode="lines",
        line={"color": NEUTRAL, "width": 2, "dash": dash},
        name=label,
        hoverinfo="skip",
    )


def _reach(profile: DepthProfile, measures: Sequence[Measure], limits: Iterable[float]) -> tuple[float, float]:
    """Return the ends of the y-axis: 0, or a negative interval's end, and a little above the highest of what is drawn."""
    curves = [profile.curves[measure.name] for measure in measures]
    drawn = [part for curve in curves for part in vars(curve).values() if part is not None]
    if profile.untrained is not None and "class_share" in {measure.name for measure in measures}:
        drawn.append(profile.untrained)
    values = np.concatenate([[0.0, *limits], *drawn])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return low, (high or 1.0) + 0.08 * ((high or 1.0) - low)


def _changes(sites: Sequence[str]) -> list[float]:
    """Return between which blocks the stage changes: 2.5 is between the third and the fourth."""
    stages = [stage_of(site) for site in sites]
    return [index - 0.5 for index in range(1, len(stages)) if stages[index] != stages[index - 1]]
