"""Two classes of one network: how far each of its channels tells them apart."""

from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from sevis.analysis.two_classes import RATE, Effects
from sevis.figures.chart import Chart
from sevis.figures.theme import GRID, LESS, MORE, NEUTRAL, PALETTE, finish, name_rows, whiskers
from sevis.paper import short_name

Array = NDArray[np.float64]
Table = dict[str, NDArray[Any]]
LARGEST = 20  # channels in one figure
ROW, SPACE = 26, 152  # pixels: a channel, and all that is not channels


def largest_effects(effects: Effects, *, count: int = LARGEST) -> Chart:
    """Draw the channels that differ most between two classes, a row each: Hedges' g with its 95 % interval; hollow where it may be
    chance. The table holds all channels, the largest effect first.
    """
    picked = effects.largest(count)
    figure = go.Figure()
    for name, colour, side in zip(effects.names, (MORE, LESS), (effects.g > 0, effects.g <= 0), strict=True):
        rows = np.flatnonzero(side[picked])
        figure.add_trace(_dots(effects, picked[rows], rows, colour, f"opened more for {name}"))
    figure.add_vline(x=0, line={"color": NEUTRAL, "width": 2})
    finish(figure, title="The largest effects", height=ROW * max(len(picked), 1) + SPACE)
    name_rows(figure, [_address(effects, index) for index in picked])
    figure.update_layout(hovermode="closest", margin={"t": 96}, legend={"orientation": "h"})
    figure.update_xaxes(title_text="Hedges' g, 95 % interval over photos", gridcolor=GRID, zeroline=False, nticks=7)
    caption = (
        f"The {len(picked)} channels whose scales differ most, in standard deviations; a hollow dot may "
        "be chance (the CSV holds all channels). The bars are 95 % intervals over photos, for exactly "
        "these two classes."
    )
    return Chart(figure, caption, _effect_table(effects, effects.largest(len(effects.g))))


def effects_by_depth(effects: Effects) -> Chart:
    """Draw by block how large the effects are (median, 95th percentile and largest |g|), and below the share of channels that differ."""
    table = depth_table(effects)
    blocks = np.arange(len(table["block"]))
    figure = make_subplots(2, 1, shared_xaxes=True, row_heights=[3, 2], vertical_spacing=0.08)
    styles = {
        "median": (PALETTE[0], "solid", "circle"),
        "95th percentile": (PALETTE[2], "solid", "square"),
        "largest": (PALETTE[1], "dash", "diamond"),
    }
    for name, (colour, dash, symbol) in styles.items():
        figure.add_trace(_line(blocks, table[f"{name} |g|"], f"{name} |g|", colour, dash=dash, symbol=symbol, table=table), row=1, col=1)
    figure.add_trace(
        _line(blocks, np.full(len(blocks), effects.chance), "median if no channel differed", NEUTRAL, dash="dot", symbol=None, table=table),
        row=1,
        col=1,
    )
    figure.add_trace(_share_bars(table), row=2, col=1)
    finish(figure, title="Effects by depth", height=620)
    figure.update_layout(hovermode="closest", legend={"y": -0.2, "yanchor": "top"})
    figure.update_xaxes(
        tickvals=blocks,
        ticktext=[escape(short_name(str(block))) for block in table["block"]],
        showgrid=False,
        zeroline=False,
    )
    figure.update_xaxes(title_text="block, SE_stage_block", row=2, col=1)
    figure.update_yaxes(title_text="|g|", title_standoff=14, rangemode="tozero", gridcolor=GRID, row=1, col=1)
    figure.update_yaxes(title_text="% of channels", range=[0, 100], gridcolor=GRID, row=2, col=1)
    caption = (
        "The upper panel shows the size of the effects in each block and, dotted, the median to expect "
        "if no channel differed; the lower panel shows the share of channels that differ."
    )
    return Chart(figure, caption, table)


def _share_bars(table: Table) -> go.Bar:
    return go.Bar(
        x=np.arange(len(table["block"])),
        y=100 * table["share that differs"],
        marker={"color": PALETTE[3]},
        name=f"channels that differ ({RATE:.0%} false discoveries)",
        customdata=np.stack([table["channels that differ"], table["channels"]], axis=1),
        text=None,
        hovertext=[escape(str(block)) for block in table["block"]],
        hovertemplate="<b>%{hovertext}</b>: %{customdata[0]} of %{customdata[1]} channels (%{y:.1f} %)<extra></extra>",
    )


def sorted_effects(effects: Effects) -> Chart:
    """Draw all channels, of one block, from the one that is opened most for the first class to the one opened most for the second."""
    order = np.argsort(-np.nan_to_num(effects.g, nan=0.0), kind="stable")
    order = order[~np.isnan(effects.g[order])]
    rank = np.arange(1, len(order) + 1, dtype=np.uint16)
    figure = go.Figure()
    for edge, fill in ((effects.low, None), (effects.high, "tonexty")):
        figure.add_scatter(
            x=rank,
            y=edge[order].astype(np.float32),
            mode="lines",
            line={"width": 0, "color": NEUTRAL},
            fill=fill,
            fillcolor=GRID,
            hoverinfo="skip",
            name="95 % interval over photos",
            showlegend=fill is not None,
        )
    for label, colour, mine in (
        (f"differs ({RATE:.0%} false discoveries)", PALETTE[0], effects.discovered[order]),
        ("may be chance", NEUTRAL, ~effects.discovered[order]),
    ):
        figure.add_scatter(
            x=rank[mine],
            y=effects.g[order[mine]].astype(np.float32),
            customdata=_details(effects, order[mine]),
            mode="markers",
            marker={"color": colour, "size": 5},
            name=label,
            hovertemplate=_HOVER,
        )
    finish(figure, title="All channels by effect", height=480)
    figure.update_layout(hovermode="closest", legend={"y": -0.18, "yanchor": "top"})
    figure.update_xaxes(title_text="rank of the channel", showgrid=False, zeroline=False, nticks=6)
    figure.update_yaxes(title_text="Hedges' g (standard deviations)", gridcolor=GRID, zeroline=True, zerolinecolor=NEUTRAL)
    caption = (
        f"All channels of {effects.block[0]} by their effect, in the band of their 95 % intervals over photos, "
        "for exactly these two classes."
    )
    return Chart(figure, caption, _effect_table(effects, np.arange(len(effects.g))))


def _effect_table(effects: Effects, picked: NDArray[np.intp]) -> Table:
    """Return a row for each of the effects that are picked by their indices."""
    return {
        "block": effects.block[picked],
        "channel": effects.channel[picked],
        **{f"mean s of {name}": means[picked] for name, means in zip(effects.names, effects.means, strict=True)},
        "Hedges' g": effects.g[picked],
        "low": effects.low[picked],
        "high": effects.high[picked],
        "p (Welch)": effects.p[picked],
        "q (Benjamini-Hochberg)": effects.q[picked],
    }


def depth_table(effects: Effects) -> Table:
    """Return the data of `effects_by_depth`: a row for each block; NaN for one of whose channels no effect is known."""
    blocks = list(dict.fromkeys(effects.block.tolist()))
    size, found = np.abs(effects.g), effects.discovered
    rows = []
    for block in blocks:
        mine = effects.block == block
        known = size[mine & ~np.isnan(size)]
        marks = np.quantile(known, [0.5, 0.95, 1]) if len(known) else np.full(3, np.nan)
        rows.append([*marks, found[mine].sum(), mine.sum()])
    median, high, largest, differ, channels = np.array(rows).T
    return {
        "block": np.array(blocks),
        "median |g|": median,
        "95th percentile |g|": high,
        "largest |g|": largest,
        "channels that differ": differ.astype(np.int64),
        "channels": channels.astype(np.int64),
        "share that differs": differ / channels,
    }


_HOVER = (
    "<b>%{customdata[0]}</b><br>g = %{customdata[1]:+.2f} (%{customdata[2]:+.2f} to %{customdata[3]:+.2f})<br>"
    "mean s %{customdata[4]:.3f} against %{customdata[5]:.3f}<br>p = %{customdata[6]:.2g}, q = %{customdata[7]:.2g}<extra></extra>"
)


def _details(effects: Effects, picked: NDArray[np.intp]) -> list[list[Any]]:
    columns = (effects.g, effects.low, effects.high, effects.means[0], effects.means[1], effects.p, effects.q)
    return [[_address(effects, index), *(float(f"{column[index]:.4g}") for column in columns)] for index in picked]


def _address(effects: Effects, index: int) -> str:
    """Return which channel an effect is of: its block, where there are several, and its number."""
    several = effects.block[0] != effects.block[-1]
    return f"{escape(str(effects.block[index]))} · {effects.channel[index]}" if several else f"channel {effects.channel[index]}"


def _dots(effects: Effects, picked: NDArray[np.intp], rows: NDArray[np.intp], colour: str, label: str) -> go.Scatter:
    found = effects.discovered[picked]
    return go.Scatter(
        x=effects.g[picked],
        y=rows,
        error_x=whiskers(effects.g[picked], np.stack([effects.low, effects.high], axis=1)[picked], thin=True),
        customdata=_details(effects, picked),
        mode="markers",
        marker={"color": colour, "size": 10, "symbol": ["circle" if one else "circle-open" for one in found]},
        name=escape(label),
        hovertemplate=_HOVER,
    )


def _line(x: NDArray[Any], y: Array, label: str, colour: str, *, dash: str, symbol: str | None, table: Table) -> go.Scatter:
    return go.Scatter(
        x=x,
        y=y,
        text=[escape(str(block)) for block in table["block"]],
        mode="lines+markers" if symbol else "lines",
        line={"color": colour, "width": 2, "dash": dash},
        marker={"color": colour, "size": 8, "symbol": symbol},
        name=label,
        hovertemplate=f"<b>%{{text}}</b>: {label} %{{y:.2f}}<extra></extra>",
    )
