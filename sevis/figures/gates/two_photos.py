"""Two photos through the same gates: the difference of their scales, block by block and channel by channel."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from sevis.figures.chart import Chart
from sevis.figures.gates.gate_map import ROW, channel_table, colour_bar, gate_map, mouse_points, stretched, top_bars
from sevis.figures.theme import LESS, MORE, NEUTRAL, SIGNED_COLOURS, finish

Array = NDArray[np.float32]
Scales = Mapping[str, Array]
FIRST, SECOND = "A", "B"
COLOURS = {FIRST: MORE, SECOND: LESS}
STEPS = 100  # of the colours, on either side of zero
ONE = "A %{customdata[2]:.2f}, B %{customdata[3]:.2f}"
SEVERAL = "A − B from %{customdata[2]:+.2f} to %{customdata[3]:+.2f}"
MAP, GAP = 0.8, 0.02  # shares of the width: the map, and the space before its rows' means


def one_photos_top(top: Sequence[tuple[str, float]], *, classes: int) -> Chart:
    """Draw what the network recognises in one of the two photos, as `top_bars` does."""
    return replace(top_bars(top, classes=classes), caption=f"The network knows {classes} classes.")


def one_photos_map(name: str, scale: Scales) -> Chart:
    """Draw the scales of one of the two photos, A or B, as `gate_map` does."""
    chart = gate_map(scale)
    chart.figure.update_layout(title_text=f"Scale s of every channel for photo {name}")
    return replace(chart, caption="Each row is one block and each column one of its channels; every row is stretched to the same width.")


def difference_map(first: Scales, second: Scales) -> Chart:
    """Draw s of A minus s of B for all blocks, as rows of colour like those of `gate_map`, beside each row its mean absolute difference.

    Over the map lie invisible points, for a click on a heatmap's cell does not reach Streamlit: their y is the number of the row.

    Args:
        first, second: s by block, shape (C,), each with its own C; the same blocks in the same order.
    """
    differences = {name: first[name] - second[name] for name in first}
    limit = colour_limit(max(float(np.abs(row).max()) for row in differences.values()))
    width = max(len(row) for row in differences.values())
    figure = make_subplots(1, 2, shared_yaxes=True, column_widths=[MAP, 1 - GAP - MAP], horizontal_spacing=GAP)
    figure.add_trace(_rows(differences, limit), row=1, col=1)
    for y, name in enumerate(first):
        pair = first[name], second[name]
        figure.add_trace(mouse_points(name, differences[name], pair, y=y, width=width, one=ONE, several=SEVERAL), row=1, col=1)
    figure.add_trace(_means(differences), row=1, col=2)
    finish(figure, title="Scale s of A minus scale s of B", height=ROW * len(first) + 136)
    figure.update_layout(showlegend=False, hovermode="closest", margin={"t": 64, "b": 72}, bargap=0.25)
    figure.update_xaxes(visible=False)
    figure.update_xaxes(range=[-0.5, width - 0.5], col=1)
    figure.update_xaxes(range=[0, 1.45 * max(float(np.abs(row).mean()) for row in differences.values()) or 1], col=2)
    figure.update_yaxes(range=[len(first) - 0.5, -0.5], showgrid=False, zeroline=False)
    figure.update_yaxes(tickvals=list(range(len(first))), ticktext=list(first), col=1)
    figure.add_annotation(
        text="mean |difference|", xref="paper", yref="paper", x=1, y=1, xanchor="right", yanchor="bottom", showarrow=False
    )
    caption = (
        "Each row is one block and each column one of its channels; the bar on the right is the mean difference between A and B in the row."
    )
    return Chart(figure, caption, channel_table(s_A=first, s_B=second, difference=differences))


def sorted_differences(first: Array, second: Array, *, site: str, count: int) -> Chart:
    """Draw the channels of one block, from the one that is opened more for A to the one that is opened more for B, with both scales.

    Args:
        first, second: s of A and of B, shape (C,).
        site: the block.
        count: how many channels at either end are marked.
    """
    order = by_difference(first, second)
    rank = np.arange(1, len(order) + 1, dtype=np.uint16)
    difference = (first - second)[order].astype(np.float32)
    both = np.stack([order, first[order], second[order]], axis=1).astype(np.float32)
    label = "channel %{customdata[0]}: A %{customdata[1]:.3f}, B %{customdata[2]:.3f}, difference %{y:+.3f}<extra></extra>"
    figure = go.Figure(
        go.Scatter(
            x=rank,
            y=difference,
            customdata=both,
            mode="lines",
            line={"shape": "hvh", "width": 1.2, "color": NEUTRAL},
            fill="tozeroy",
            showlegend=False,
            hovertemplate=label,
        )
    )
    more, less = most_different(first, second, count=count)
    for name, picked in ((FIRST, more), (SECOND, less)):
        marked = np.flatnonzero(np.isin(order, picked))
        figure.add_scatter(
            x=rank[marked],
            y=difference[marked],
            customdata=both[marked],
            mode="markers",
            marker={"color": COLOURS[name], "size": 9},
            name=f"{len(marked)} most for {name}",
            hovertemplate=label,
        )
    finish(figure, title="Channels sorted by the difference", height=324)
    figure.update_layout(hovermode="closest", margin={"l": 40, "t": 76})
    figure.update_xaxes(title_text="rank of the channel", range=[-0.5, len(order) + 0.5], showgrid=False, zeroline=False, nticks=6)
    figure.update_yaxes(title_text="s of A − s of B", nticks=5, zeroline=True)
    caption = f"The {len(first)} channels of {site}: those on the left are more open for A, those on the right are more open for B."
    return Chart(figure, caption, {"rank": rank, "channel": order, "s_A": first[order], "s_B": second[order], "difference": difference})


def pairs(first: Array, second: Array, channels: NDArray[np.intp]) -> Chart:
    """Draw some channels of one block, one row each: s of A and s of B as two dots, and the way between them.

    Args:
        first, second: s of A and of B, shape (C,).
        channels: which of the C, from the top.
    """
    rows = np.arange(len(channels))
    gaps = np.stack([first[channels], second[channels], np.full(len(channels), np.nan)], axis=1).ravel()
    figure = go.Figure(
        go.Scatter(x=gaps, y=np.repeat(rows, 3), mode="lines", line={"color": NEUTRAL, "width": 2}, hoverinfo="skip", showlegend=False)
    )
    for name, scale in ((FIRST, first), (SECOND, second)):
        figure.add_scatter(
            x=scale[channels],
            y=rows,
            customdata=channels,
            mode="markers",
            marker={"color": COLOURS[name], "size": 12, "symbol": "circle" if name == FIRST else "diamond"},
            name=f"photo {name}",
            hovertemplate=f"channel %{{customdata}}: s = %{{x:.3f}} for {name}<extra></extra>",
        )
    finish(figure, title="The channels that differ most", height=24 * len(channels) + 132)
    low, high = float(min(0, np.nanmin(gaps))), float(max(1, np.nanmax(gaps)))
    figure.update_layout(hovermode="closest", margin={"t": 76})
    figure.update_xaxes(title_text="scale s", range=[low - 0.03, high + 0.03], zeroline=False, nticks=6)
    figure.update_yaxes(
        range=[len(rows) - 0.5, -0.5],
        tickvals=rows.tolist(),
        ticktext=[f"ch {channel}" for channel in channels],
        zeroline=False,
    )
    caption = "The scales for A and for B of the channels that differ most."
    return Chart(figure, caption, {"channel": channels, "s_A": first[channels], "s_B": second[channels]})


def by_difference(first: Array, second: Array) -> NDArray[np.intp]:
    """Return the channels in the order of s of A minus s of B, the highest first."""
    return np.argsort(second - first, kind="stable")


def most_different(first: Array, second: Array, *, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the channels with the highest s of A minus s of B, highest first, and with the lowest, lowest first; none without a
    difference.
    """
    order = by_difference(first, second)
    difference = (first - second)[order]
    return order[difference > 0][:count], order[difference < 0][::-1][:count]


def block_means(first: Scales, second: Scales) -> dict[str, float]:
    """Return the mean over channels of |s of A minus s of B|, by block."""
    return {name: float(np.abs(first[name] - second[name]).mean()) for name in first}


def colour_limit(largest: float) -> float:
    """Return the number of one digit (1, 2 or 5) that is not below the largest difference: the end of the colours on either side."""
    exponent = np.floor(np.log10(max(largest, 1e-3)))
    steps = (step * 10.0**power for power in (exponent, exponent + 1) for step in (1, 2, 5))
    return float(next(step for step in steps if step >= max(largest, 1e-3) * (1 - 1e-6)))


def _rows(differences: Scales, limit: float) -> go.Heatmap:
    """Return differences as whole steps of the colours: a heatmap of bytes is an eighth of one of floats on its way to the browser."""
    marks = {int(STEPS * part): f"{part * limit:+g}".replace("-", "−") if part else "0" for part in (-1, -0.5, 0, 0.5, 1)}
    return go.Heatmap(
        z=np.round(STEPS * np.clip(stretched(differences) / limit, -1, 1)).astype(np.int8),
        zmin=-STEPS,
        zmax=STEPS,
        colorscale=list(SIGNED_COLOURS),
        ygap=3,
        hoverinfo="skip",
        colorbar=colour_bar(marks, "blue: opened more for B · red: opened more for A") | {"x": 0, "xanchor": "left", "len": MAP},
    )


def _means(differences: Scales) -> go.Bar:
    means = [float(np.abs(row).mean()) for row in differences.values()]
    digits = 2 - int(np.floor(np.log10(max(*means, 1e-3) * 10.01)))  # two significant ones of the longest bar
    return go.Bar(
        x=means,
        y=list(range(len(means))),
        orientation="h",
        marker_color=NEUTRAL,
        text=[f"{mean:.{digits}f}" for mean in means],
        textposition="outside",
        cliponaxis=False,
        customdata=list(differences),
        hovertemplate="<b>%{customdata}</b>: %{x:.3f} on average<extra>click to open</extra>",
    )
