"""Two networks on the same classes: what their gates do by depth, and how far their blocks agree on which classes are alike."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from sevis.analysis.formulas import HIGH
from sevis.analysis.two_models import ModelComparison, ModelProfile
from sevis.figures.chart import Chart
from sevis.figures.theme import GRID, LESS, MORE, NEUTRAL, PALETTE, SCALE_COLOURS, finish
from sevis.paper import short_name

Array = NDArray[np.floating]
Table = dict[str, NDArray[Any]]
MEASURES = {  # the title of its panel, its axis, and what it is
    "share": (
        "Class share of the variance",
        "mean ω² of the channels",
        "The share of a channel's variance over photos that lies between the classes (omega squared; 0 is chance)",
    ),
    "spread": (
        "Spread over images",
        "mean standard deviation of s",
        "How far s varies from photo to photo (near 0 the gates are dead)",
    ),
    "saturated": (f"Scales above {HIGH}", "share of all scales", "The share of scales that let nearly all of their channel pass"),
}
STYLES = ((MORE, "circle", "solid"), (LESS, "square", "dash"))


def profile_panel(comparison: ModelComparison, measure: str) -> Chart:
    """Draw one measure of both networks by depth, a line each.

    Args:
        measure: a key of MEASURES.
    """
    title, axis, meaning = MEASURES[measure]
    first, second = comparison.profiles
    values = [getattr(profile, measure) for profile in comparison.profiles]
    figure = go.Figure()
    for name, profile, y, (colour, symbol, dash) in zip(comparison.names, comparison.profiles, values, STYLES, strict=True):
        figure.add_trace(_line(profile, y, name, colour, symbol=symbol, dash=dash))
    table = {
        "network": np.repeat(np.array(comparison.names), [len(first.sites), len(second.sites)]),
        "block": np.array([*first.sites, *second.sites]),
        "depth": np.concatenate([first.depth, second.depth]),
        axis: np.concatenate(values),
    }
    return Chart(_dress(figure, title, axis), _profile_caption(meaning, values), table)


def _profile_caption(meaning: str, values: Sequence[Array]) -> str:
    """Return one sentence on what a measure is, and how the networks differ in it."""
    if any(np.isnan(one).all() for one in values):
        return f"{meaning}; unknown here, because one file holds only means and deviations: collect its statistics again."
    means = " and ".join(f"{np.nanmean(one):.2f}" for one in values)
    return f"{meaning}: the means over the blocks of the first and of the second network are {means}."


def agreement_panel(comparison: ModelComparison) -> Chart:
    """Draw how far each block of the first agrees with its partner in the second on the distances between classes, beside chance."""
    profile, table = comparison.profiles[0], _partner_table(comparison)
    figure = go.Figure()
    figure.add_trace(_line(profile, table["agreement"], "agreement", PALETTE[2], symbol="diamond", dash="solid", partner=table["partner"]))
    figure.add_trace(_line(profile, comparison.chance, "chance: 95 % lie below", NEUTRAL, symbol=None, dash="dot"))
    _dress(figure, "Agreement on class distances", "Spearman's rank correlation")
    low = np.nanmin([0.0, *table["agreement"], *comparison.chance])
    figure.update_yaxes(range=[min(0.0, float(low) - 0.05), 1.02])
    return Chart(figure, _agreement_caption(comparison, table["agreement"]), table)


def _partner_table(comparison: ModelComparison) -> Table:
    """Return a row for each block of the first network, beside its partner in the second."""
    first, second = comparison.profiles
    return {
        "block": np.array(first.sites),
        "partner": np.array(second.sites)[comparison.partner],
        "agreement": comparison.agreement[np.arange(len(first.sites)), comparison.partner],
        "chance (95th percentile)": comparison.chance,
        "mean |difference| of class means": comparison.difference,
    }


def _agreement_caption(comparison: ModelComparison, own: Array) -> str:
    """Return one sentence on how far the networks agree on which classes are alike."""
    what = "How far two blocks agree on which classes are alike (Spearman over all pairs of classes; Kriegeskorte et al. 2008)"
    known = np.isfinite(own)
    if not known.any():
        return f"{what}: unknown, because it needs at least four classes with different gates."
    sites, best = comparison.profiles[0].sites, int(np.nanargmax(own))
    above = int((own[known] > comparison.chance[known]).sum())
    return f"{what}: the highest value is {own[best]:.2f} in {sites[best]}, and {above} of {len(own)} blocks lie above chance."


def difference_panel(comparison: ModelComparison) -> Chart:
    """Draw how far the class means of the two lie apart, channel by channel, for blocks of the same name and width."""
    figure = go.Figure(_line(comparison.profiles[0], comparison.difference, "difference", PALETTE[7], symbol="circle", dash="solid"))
    figure.update_traces(showlegend=False)
    _dress(figure, "Difference of class means", "mean |difference| of s")
    caption = (
        "How far the class means differ, channel by channel: this tells something only about two "
        "networks that started from the same weights, because separately trained networks have no common "
        "order of channels."
    )
    return Chart(figure, caption, _partner_table(comparison))


def agreement_map(comparison: ModelComparison) -> Chart:
    """Draw the agreement on the distances between classes of every block of the first network with every one of the second."""
    first, second = comparison.profiles
    figure = go.Figure(
        go.Heatmap(
            z=comparison.agreement.astype(np.float32),
            zmin=0,
            zmax=1,
            colorscale=list(SCALE_COLOURS),
            colorbar={
                "title": {"text": "rank correlation", "side": "top"},
                "orientation": "h",
                "y": -0.28,
                "yanchor": "top",
                "thickness": 14,
            },
            hovertemplate="%{y} and %{x}: <b>%{z:.2f}</b><extra></extra>",
        )
    )
    finish(figure, title="Which blocks agree", height=520)
    for axis, profile, name in (("xaxis", second, comparison.names[1]), ("yaxis", first, comparison.names[0])):
        figure.layout[axis].update(
            tickvals=list(range(len(profile.sites))),
            ticktext=[escape(short_name(site)) for site in profile.sites],
            title={"text": escape(name), "standoff": 14},
            showgrid=False,
            zeroline=False,
        )
    figure.update_yaxes(autorange="reversed")
    table = {
        "block of the first": np.repeat(np.array(first.sites), len(second.sites)),
        "block of the second": np.tile(np.array(second.sites), len(first.sites)),
        "rank correlation": comparison.agreement.ravel(),
    }
    caption = "The rank correlation of every block with every block: a bright diagonal means that blocks at the same depth agree."
    return Chart(figure, caption, table)


def _line(
    profile: ModelProfile, y: Array, label: str, colour: str, *, symbol: str | None, dash: str, partner: NDArray[Any] | None = None
) -> go.Scatter:
    blocks = [escape(site) for site in profile.sites]
    if partner is not None:
        blocks = [block if block == other else f"{block} with {escape(str(other))}" for block, other in zip(blocks, partner, strict=True)]
    return go.Scatter(
        x=profile.depth,
        y=y,
        text=blocks,
        mode="lines+markers" if symbol else "lines",
        line={"color": colour, "width": 2, "dash": dash},
        marker={"color": colour, "size": 7, "symbol": symbol},
        name=escape(label),
        hovertemplate="<b>%{text}</b>: %{y:.3f}" + f"<extra>{escape(label)}</extra>",
    )


def _dress(figure: go.Figure, title: str, axis: str) -> go.Figure:
    finish(figure, title=title, height=400)
    figure.update_layout(hovermode="closest", legend={"y": -0.24, "yanchor": "top", "orientation": "v"})
    figure.update_xaxes(title_text="depth (first to last block)", range=[-0.03, 1.03], tickvals=[0, 0.5, 1], showgrid=False, zeroline=False)
    return figure.update_yaxes(title_text=axis, rangemode="tozero", gridcolor=GRID)
