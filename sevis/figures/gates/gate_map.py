"""What the gates did with one image: the map of all blocks, the inside of one block, and the prediction."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from sevis.figures.chart import Chart
from sevis.figures.theme import CHANNELS, LESS, MORE, NEUTRAL, PALETTE, SCALE_COLOURS, TEXT_SIZE, finish, name_rows, translucent
from sevis.paper import by_stage

Array = NDArray[np.float32]
ROW = 27  # pixels: the height of a block's row in the gate map
BARS = 64  # values: above, a bar is thinner than the gap beside it on a third of the page
MANY = 24  # blocks: more of them get thinner rows, LOW pixels each
LOW = 20
LABEL = 24  # characters
POINTS = 64  # of a row, which answer to the mouse; a row is seldom drawn wider than twenty times as many pixels


def gate_map(scale: Mapping[str, Array]) -> Chart:
    """Draw the scales of all blocks as rows of colour, the first block on top, each row stretched over the whole width.

    Over the map lie invisible points, for a click on a heatmap's cell does not reach Streamlit: their y is the number of the row.

    Args:
        scale: s by block, shape (C,), each with its own C; values outside 0..1 get the colour of the nearer end.
    """
    width = max(len(row) for row in scale.values())
    figure = go.Figure(
        go.Heatmap(
            z=np.round(100 * np.clip(stretched(scale), 0, 1)).astype(np.uint8),  # an eighth of floats on their way to the browser
            zmin=0,
            zmax=100,
            colorscale=list(SCALE_COLOURS),
            ygap=3 if len(scale) <= MANY else 2,
            hoverinfo="skip",
            colorbar=colour_bar({0: "0", 25: "0.25", 50: "0.5", 75: "0.75", 100: "1"}, "scale s: 0 shuts a channel, 1 passes it whole"),
        )
    )
    one, several = "s = %{customdata[2]:.2f}", "s = %{customdata[2]:.2f} to %{customdata[3]:.2f}"
    points = partial(mouse_points, width=width, one=one, several=several)
    figure.add_traces([points(name, row, (row, row), y=y) for y, (name, row) in enumerate(scale.items())])
    finish(figure, title="Scale s of every channel, block by block", height=(ROW if len(scale) <= MANY else LOW) * len(scale) + 116)
    figure.update_layout(showlegend=False, hovermode="closest", margin={"t": 44, "b": 72})
    figure.update_xaxes(visible=False, range=[-0.5, width - 0.5])
    name_rows(figure, list(scale))
    caption = (
        "Each row is one SE block and each column one of its channels: bright channels pass nearly "
        "whole, dark ones are nearly shut; every row is stretched to the same width "
        f"({describe_channels(scale)})."
    )
    return Chart(figure, caption, channel_table(s=scale))


def channel_table(**values: Mapping[str, Array]) -> dict[str, NDArray[np.generic]]:
    """Return the values of all blocks, each an array (C,) by block, as columns of their names: one row per channel of each block."""
    widths = {name: len(row) for name, row in next(iter(values.values())).items()}
    return {
        "block": np.repeat(list(widths), list(widths.values())),
        "channel": np.concatenate([np.arange(width) for width in widths.values()]),
        **{column: np.concatenate([rows[name] for name in widths]) for column, rows in values.items()},
    }


def describe_channels(scale: Mapping[str, Array]) -> str:
    """Return the number of channels by stage, in words: `128 channels in stage 2, 256 in 3`."""
    counts = [f"{_range_of([len(scale[site]) for site in sites])} in {stage}" for stage, sites in by_stage(scale).items()]
    return ", ".join(counts).replace(" in ", " channels in stage ", 1)


def _range_of(widths: Sequence[int]) -> str:
    return str(widths[0]) if len(set(widths)) == 1 else f"{min(widths)} to {max(widths)}"


def top_bars(top: Sequence[tuple[str, float]], *, classes: int) -> Chart:
    """Draw the most probable classes as bars, the first on top.

    Args:
        top: names and probabilities in 0..1, highest first, as `Explanation.top` gives them.
        classes: how many the network knows.
    """
    names, values = [name for name, _ in top], [value for _, value in top]
    figure = go.Figure(
        go.Bar(
            y=list(range(len(top))),
            x=values,
            orientation="h",
            text=[f"{100 * value:.1f} %" for value in values],
            textposition="outside",
            textfont={"size": 16},
            cliponaxis=False,
            marker_color=[PALETTE[0]] + [NEUTRAL] * (len(top) - 1),
            hovertext=names,
            hovertemplate="%{hovertext}: %{x:.1%}<extra></extra>",
        )
    )
    finish(figure, title=f"The {len(top)} most probable classes", height=46 * len(top) + 60)
    figure.update_layout(bargap=0.35, margin={"b": 12})
    figure.update_xaxes(visible=False, range=[0, 1.15])
    name_rows(figure, [shorten(name) for name in names])
    figure.update_yaxes(tickfont={"size": 16})
    caption = f"The network knows {classes} classes and divides 100 % among them, whatever the photo shows."
    return Chart(figure, caption, {"class": names, "probability": values})


def shorten(name: str) -> str:
    """Return the name of a class as it fits beside a bar on a phone: at most LABEL characters, the rest as dots."""
    return name if len(name) <= LABEL else f"{name[: LABEL - 1].rstrip(' ,')}…"


def squeeze_profile(squeeze: Array) -> Chart:
    """Draw the squeeze z of one block, shape (C,), channel by channel."""
    caption = f"The squeeze z is the mean of each of the {len(squeeze)} maps u over all places: one number per channel."
    return Chart(_profile(squeeze, title="Squeeze z", name="z"), caption, {"channel": np.arange(len(squeeze)), "z": squeeze})


def hidden_profile(hidden: Array, *, caption: str) -> Chart:
    """Draw the hidden layer of one block, shape (C/r,), unit by unit; what it is differs from block to block, so the caption is given."""
    figure = _profile(hidden, title="Hidden layer h", name="h", unit="unit")
    return Chart(figure, caption, {"unit": np.arange(len(hidden)), "h": hidden})


def scale_profile(scale: Array, logits: Array, *, gate: str, bounded: bool) -> Chart:
    """Draw the scale s of one block, channel by channel.

    Args:
        scale, logits: s and the gate's input, shape (C,).
        gate: what the gate is, in words, such as "σ is the sigmoid".
        bounded: whether it holds s in 0..1; the axis then shows all of that range.
    """
    caption = f"Each channel is multiplied by its scale s, which is {scale.mean():.2f} on average; {gate}."
    figure = _profile(scale, title="Scale s", name="s", upper=1 if bounded else None)
    return Chart(figure, caption, {"channel": np.arange(len(scale)), "logit": logits, "s": scale})


def _profile(values: Array, *, title: str, name: str, unit: str = "channel", upper: float | None = None) -> go.Figure:
    """Draw one value per channel, in the order of the channels: as bars, or as a skyline where bars would be too thin to see.

    Args:
        values: shape (C,).
        title: of the figure.
        name: of the value, for the label under the mouse.
        unit: what is counted along the other axis.
        upper: the end of the value's axis, which then begins at 0; None fits the values.
    """
    draw = _bars if len(values) <= BARS else _skyline
    figure = go.Figure(draw(np.arange(len(values), dtype=np.uint16), values, unit=unit, name=name))
    finish(figure, title=title, height=260)
    _axes(figure, x=unit, count=len(values), upper=upper)
    return figure


def sorted_scales(scale: Array, *, site: str, order: str, count: int = 8) -> Chart:
    """Draw the scales of one block from the highest to the lowest, with the `count` channels at either end marked.

    Args:
        scale: s, shape (C,).
        site: the block.
        order: what it means to have the highest scale, in words.
        count: how many are marked; at most half the channels.
    """
    raised, lowered = extremes(scale, count=count)
    falling = np.argsort(-scale, kind="stable")
    rank = np.arange(1, len(scale) + 1, dtype=np.uint16)
    figure = go.Figure(_skyline(rank, scale[falling], unit="channel", name="s", labels=falling))
    for channels, ranks, name, colour in (
        (raised, rank[: len(raised)], "most open", MORE),
        (lowered[::-1], rank[len(rank) - len(lowered) :], "most shut", LESS),
    ):
        figure.add_scatter(
            x=ranks,
            y=scale[channels],
            customdata=channels,
            mode="markers",
            marker={"color": colour, "size": 9},
            name=f"{len(channels)} {name}",
            hovertemplate="channel %{customdata}: s = %{y:.3f}<extra></extra>",
        )
    finish(figure, title="Channels sorted by scale s", height=300)
    _axes(figure, x="rank of the channel", count=len(scale) + 1, upper=1 if scale.min() >= 0 and scale.max() <= 1 else None)
    figure.update_layout(hovermode="closest", legend={"x": 1, "xanchor": "right"})
    caption = f"The {len(scale)} channels of {site} from the highest scale to the lowest, for this photo; {order}."
    return Chart(figure, caption, {"rank": rank, "channel": falling, "s": scale[falling]})


def extremes(scale: Array, *, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the channels with the highest scales, highest first, and those with the lowest, lowest first; no channel is in both."""
    order = np.argsort(-scale, kind="stable")
    count = min(count, len(scale) // 2)
    return order[:count], order[::-1][:count]


def stretched(rows: Mapping[str, Array]) -> Array:
    """Return the rows of all blocks, each (C,) with its own C, as wide as the widest of them, shape (blocks, width)."""
    width = max(map(len, rows.values()))
    return np.stack([row[np.arange(width) * len(row) // width] for row in rows.values()])


def colour_bar(ticks: Mapping[int, str], title: str) -> dict[str, Any]:
    """Return what the colours of a map mean, for Plotly: a bar below it, over the whole width, with its ticks."""
    font = {"size": TEXT_SIZE}
    return {
        "orientation": "h",
        **{"y": 0, "yanchor": "top", "xpad": 0, "ypad": 6, "thickness": 14, "len": 1, "outlinewidth": 0},
        **{"tickvals": list(ticks), "ticktext": list(ticks.values()), "ticklabeloverflow": "allow", "tickfont": font},
        "title": {"text": title, "side": "bottom", "font": font},
    }


def mouse_points(name: str, row: Array, pair: tuple[Array, Array], *, y: int, width: int, one: str, several: str) -> go.Scatter:
    """Return the invisible points of one row, each over one channel, or over a few where a block has more than POINTS.

    Args:
        name: of the block.
        row: the values of its channels, shape (C,).
        pair: two values of each channel, shape (C,) each.
        y, width: the number of the row, and how wide it is drawn.
        one: says `pair` of a channel, as `customdata[2]` and `customdata[3]`.
        several: says the lowest and the highest value of some channels, as the same.
    """
    count = min(len(row), POINTS)
    edges = np.arange(count + 1) * len(row) // count
    first, last = edges[:-1], edges[1:] - 1
    what, ends = f"channel %{{customdata[0]}}: {one}", pair
    if count < len(row):
        what = f"channels %{{customdata[0]}} to %{{customdata[1]}}: {several}"
        ends = np.minimum.reduceat(row, first), np.maximum.reduceat(row, first)
    return go.Scatter(
        x=((first + last + 1) / 2 * width / len(row) - 0.5).astype(np.float32),
        y=np.full(count, y, dtype=np.uint8),
        customdata=np.stack([first, last, *ends], axis=1).astype(np.float32),
        mode="markers",
        marker={"size": 8, "color": NEUTRAL},
        opacity=0,
        name=name,
        hovertemplate=f"<b>{name}</b>, {what}<extra>click to open</extra>",
    )


def _bars(x: NDArray[np.uint16], y: Array, *, unit: str, name: str) -> go.Bar:
    label = f"{unit} %{{x}}: {name} = %{{y:.3f}}<extra></extra>"
    return go.Bar(x=x, y=y.astype(np.float32), marker_color=CHANNELS, hovertemplate=label)


def _skyline(x: NDArray[np.uint16], y: Array, *, unit: str, name: str, labels: NDArray[np.intp] | None = None) -> go.Scatter:
    return go.Scatter(
        x=x,
        y=y.astype(np.float32),
        customdata=x if labels is None else labels.astype(np.uint16),
        mode="lines",
        line={"shape": "hvh", "width": 1.2, "color": CHANNELS},
        fill="tozeroy",
        fillcolor=translucent(CHANNELS, 0.45),
        showlegend=False,
        hovertemplate=f"{unit} %{{customdata}}: {name} = %{{y:.3f}}<extra></extra>",
    )


def _axes(figure: go.Figure, *, x: str, count: int, upper: float | None) -> None:
    figure.update_layout(hovermode="x", margin={"l": 40})
    figure.update_xaxes(title_text=x, range=[-0.5, count - 0.5], showgrid=False, zeroline=False, nticks=6)
    figure.update_yaxes(nticks=5, zeroline=True, rangemode="tozero", exponentformat="power")
    if upper is not None:
        figure.update_yaxes(range=[0, upper * 1.02])
