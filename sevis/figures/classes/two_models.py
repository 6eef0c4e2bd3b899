"""Two networks on the same classes: what their gates do by depth, and how far their blocks agree on which classes are alike."""

from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from sevis.analysis.measures import HIGH
from sevis.analysis.two_models import BlockProfile, ModelComparison
from sevis.figures.theme import GRID, LESS, MORE, NEUTRAL, PALETTE, SCALE_COLOURS, finish
from sevis.paper import short_name

Array = NDArray[np.floating]
Table = dict[str, NDArray[Any]]
MEASURES = {
    "share": ("Class share of the variance", "median ω² of the channels"),
    "spread": ("Spread over images", "mean standard deviation of s"),
    "saturated": (f"Scales above {HIGH}", "share of all scales"),
}
STYLES = ((MORE, "circle", "solid"), (LESS, "square", "dash"))


def profile_panel(comparison: ModelComparison, measure: str) -> go.Figure:
    """Draw one measure of both networks by depth, a line each.

    Args:
        measure: a key of MEASURES.
    """
    title, axis = MEASURES[measure]
    figure = go.Figure()
    for name, profile, (colour, symbol, dash) in zip(comparison.names, comparison.profiles, STYLES, strict=True):
        figure.add_trace(_line(profile, getattr(profile, measure), name, colour, symbol=symbol, dash=dash))
    return _dress(figure, title, axis)


def profile_table(comparison: ModelComparison, measure: str) -> Table:
    """Return the data of `profile_panel`: a row for each block of each network."""
    first, second = comparison.profiles
    return {
        "network": np.repeat(np.array(comparison.names), [len(first.sites), len(second.sites)]),
        "block": np.array([*first.sites, *second.sites]),
        "depth": np.concatenate([first.depth, second.depth]),
        MEASURES[measure][1]: np.concatenate([getattr(first, measure), getattr(second, measure)]),
    }


def agreement_panel(comparison: ModelComparison) -> go.Figure:
    """Draw how far each block of the first agrees with its partner in the second on the distances between classes, beside chance."""
    profile = comparison.profiles[0]
    table = agreement_table(comparison)
    figure = go.Figure()
    figure.add_trace(_line(profile, table["agreement"], "agreement", PALETTE[2], symbol="diamond", dash="solid", partner=table["partner"]))
    figure.add_trace(_line(profile, comparison.chance, "chance: 95 % lie below", NEUTRAL, symbol=None, dash="dot"))
    _dress(figure, "Agreement on class distances", "Spearman's rank correlation")
    low = np.nanmin([0.0, *table["agreement"], *comparison.chance])
    return figure.update_yaxes(range=[min(0.0, float(low) - 0.05), 1.02])


def agreement_table(comparison: ModelComparison) -> Table:
    """Return the data of `agreement_panel`: a row for each block of the first network."""
    first, second = comparison.profiles
    return {
        "block": np.array(first.sites),
        "partner": np.array(second.sites)[comparison.partner],
        "agreement": comparison.agreement[np.arange(len(first.sites)), comparison.partner],
        "chance (95th percentile)": comparison.chance,
        "mean |difference| of class means": comparison.difference,
    }


def difference_panel(comparison: ModelComparison) -> go.Figure:
    """Draw how far the class means of the two lie apart, channel by channel, for blocks of the same name and width."""
    figure = go.Figure(_line(comparison.profiles[0], comparison.difference, "difference", PALETTE[7], symbol="circle", dash="solid"))
    figure.update_traces(showlegend=False)
    return _dress(figure, "Difference of class means", "mean |difference| of s")


def agreement_map(comparison: ModelComparison) -> go.Figure:
    """Draw the agreement on the distances between classes of every block of the first network with every one of the second."""
    first, second = comparison.profiles
    figure = go.Figure(
        go.Heatmap(
            z=comparison.agreement.astype(np.float32),
            zmin=0,
            zmax=1,
            colorscale=[[step / (len(SCALE_COLOURS) - 1), colour] for step, colour in enumerate(SCALE_COLOURS)],
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
            fixedrange=True,
        )
    return figure.update_yaxes(autorange="reversed")


def agreement_map_table(comparison: ModelComparison) -> Table:
    """Return the data of `agreement_map`: a row for each pair of blocks."""
    first, second = (np.array(profile.sites) for profile in comparison.profiles)
    return {
        "block of the first": np.repeat(first, len(second)),
        "block of the second": np.tile(second, len(first)),
        "rank correlation": comparison.agreement.ravel(),
    }


def _line(
    profile: BlockProfile, y: Array, label: str, colour: str, *, symbol: str | None, dash: str, partner: NDArray[Any] | None = None
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
    figure.update_xaxes(
        title_text="depth (first to last block)", range=[-0.03, 1.03], tickvals=[0, 0.5, 1], showgrid=False, zeroline=False, fixedrange=True
    )
    return figure.update_yaxes(title_text=axis, rangemode="tozero", gridcolor=GRID, fixedrange=True)
