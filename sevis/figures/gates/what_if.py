"""What an intervention does: the classes before and after, the scales that moved, and how sensitive the prediction is to each block."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from sevis.figures.gates.gate_map import LOW, MANY, ROW, gate_map, shorten
from sevis.figures.theme import FROZEN, LESS, MORE, NEUTRAL, OPENED, PALETTE, SIGNED_COLOURS, finish, name_rows

Array = NDArray[np.float32]
BEFORE, AFTER = NEUTRAL, PALETTE[0]
SMALL, SMALLEST = 0.1, 0.001  # per cent of probability, points of change: less is said to be less
NARROWEST = 0.01  # percentage points: the reach of an axis on which nothing moves
PLACES = 41  # points of a row that answer to the mouse


def union_of_top(before: Array, after: Array, *, count: int = 5) -> NDArray[np.intp]:
    """Return the classes that are among the most probable ones before or after, by their probability before, highest first."""
    chosen = np.union1d(np.argsort(-before, kind="stable")[:count], np.argsort(-after, kind="stable")[:count])
    return np.asarray(chosen[np.argsort(-before[chosen], kind="stable")])


def compare_bars(names: Sequence[str], before: Array, after: Array) -> go.Figure:
    """Draw the probabilities of some classes before and after, as pairs of bars, the first class on top.

    Args:
        names: of the classes.
        before, after: their probabilities, in 0..1.
    """
    figure = go.Figure()
    places = np.arange(len(names))
    for values, name, colour, offset in ((before, "before", BEFORE, -0.4), (after, "after", AFTER, 0.0)):
        figure.add_bar(
            y=places,
            x=values,
            orientation="h",
            offset=offset,
            width=0.38,
            name=name,
            marker_color=colour,
            text=[_probability(value) for value in values] if name == "before" else [*map(_moved, before, after)],
            textposition="outside",
            textfont={"size": 15},
            cliponaxis=False,
            customdata=list(names),
            hovertemplate=f"%{{customdata}}, {name}: %{{x:.2%}}<extra></extra>",
        )
    finish(figure, title="The most probable classes, before and after", height=58 * len(names) + 92)
    figure.update_layout(barmode="overlay", margin={"b": 12, "t": 74}, hovermode="closest")
    figure.update_xaxes(visible=False, range=[0, 1.5], fixedrange=True)
    name_rows(figure, [shorten(name) for name in names])
    figure.update_yaxes(tickfont={"size": 15})
    return figure


def compare_table(names: Sequence[str], before: Array, after: Array) -> dict[str, Sequence[str] | Array]:
    """Return the data of `compare_bars`."""
    return {"class": names, "before": before, "after": after, "change": after - before}


def change_map(before: Mapping[str, Array], after: Mapping[str, Array]) -> go.Figure:
    """By how much the scale of every channel moved, as rows of colour: red where it rose, blue where it fell.

    Args:
        before, after: s by block, shape (C,); the colours span -1..1, and what moved further gets the colour of the nearer end.
    """
    moved = {name: after[name] - before[name] for name in before}
    width = max(map(len, moved.values()))
    figure = gate_map(moved)
    percent = [np.clip(100 * row, -100, 100)[np.arange(width) * len(row) // width] for row in moved.values()]
    figure.update_traces(
        z=np.round(np.stack(percent)).astype(np.int8),
        zmin=-100,
        zmax=100,
        colorscale=list(SIGNED_COLOURS),
        colorbar={
            "tickvals": [-100, -50, 0, 50, 100],
            "ticktext": ["-1", "-0.5", "0", "+0.5", "+1"],
            "title": {"text": "change of the scale s: white is none"},
        },
        selector={"type": "heatmap"},
    )
    for trace in figure.data[1:]:
        trace.hovertemplate = trace.hovertemplate.replace(": s = ", ": s changed by ").replace("click to open", "click to choose")
    return figure.update_layout(title_text="How far the scale of every channel moved")


def sensitivity_strip(sites: Sequence[str], opened: Array, frozen: Array | None) -> go.Figure:
    """By how much the probability of a class changes when one block is opened, and when it is frozen: a row for each block.

    Invisible points over the whole row answer to the mouse: their y is the number of the row.

    Args:
        sites: the blocks, the first on top.
        opened, frozen: the change of the probability, shape (B,), in -1..1; NaN where it is not measured.
    """
    ways = [("opened (s = 1)", opened, OPENED, "diamond", -0.16)]
    ways += [("frozen at its mean", frozen, FROZEN, "circle", 0.16)] if frozen is not None else []
    reach = max(NARROWEST, *(1.12 * float(100 * np.nanmax(np.abs(values), initial=0)) for _, values, *_ in ways))
    figure = go.Figure([_row_places(sites, [values for _, values, *_ in ways], [label for label, *_ in ways], reach)])
    for label, values, colour, symbol, offset in ways:
        points, y = (100 * values).astype(np.float32), np.arange(len(sites)) + (offset if len(ways) > 1 else 0)
        gap = np.full_like(points, np.nan)
        figure.add_scatter(
            x=np.stack([np.zeros_like(points), points, gap], axis=1).ravel(),
            y=np.repeat(y, 3),
            mode="lines",
            line={"color": colour, "width": 4},
            hoverinfo="skip",
            showlegend=False,
        )
        marker = {"color": colour, "size": 10, "symbol": symbol}
        whole = {"marker": {"opacity": 1}}  # after a click elsewhere, Plotly would fade what is not selected
        figure.add_scatter(x=points, y=y, mode="markers", marker=marker, name=label, hoverinfo="skip", unselected=whole)
    finish(figure, title="One block changed at a time", height=(ROW if len(sites) <= MANY else LOW) * len(sites) + 140)
    figure.update_layout(hovermode="closest", margin={"t": 74, "b": 60})
    _change_axis(figure, reach, title="change of the probability, in percentage points")
    name_rows(figure, sites)
    return figure


def channel_bars(channels: NDArray[np.intp], change: Array, *, site: str) -> go.Figure:
    """By how much the probability of a class changes without one channel: a bar for each, the first on top.

    Args:
        channels: their numbers.
        change: of the probability when the channel is off, in -1..1.
        site: the block.
    """
    points = 100 * change
    reach = max(NARROWEST, 1.45 * float(np.abs(points).max(initial=0)))
    figure = go.Figure(
        go.Bar(
            y=np.arange(len(channels)),
            x=points.astype(np.float32),
            orientation="h",
            text=[_signed(value) for value in points],
            textposition="outside",
            cliponaxis=False,
            marker_color=np.where(points < 0, LESS, MORE).tolist(),
            customdata=channels,
            hovertemplate="without channel %{customdata}: %{x:+.3f} percentage points<extra></extra>",
        )
    )
    finish(figure, title=f"The channels of {site} that matter most", height=30 * len(channels) + 110)
    figure.update_layout(bargap=0.3, margin={"b": 60})
    _change_axis(figure, reach, title="change without the channel, in percentage points")
    name_rows(figure, [f"channel {channel}" for channel in channels])
    return figure


def _row_places(sites: Sequence[str], ways: Sequence[Array], labels: Sequence[str], reach: float) -> go.Scatter:
    """Return the invisible points over the rows."""
    across = np.linspace(-reach, reach, PLACES, dtype=np.float32)
    data = np.stack([100 * values for values in ways], axis=1)
    texts = "<br>".join(f"{label}: %{{customdata[{place}]:+.2f}} percentage points" for place, label in enumerate(labels))
    return go.Scatter(
        x=np.tile(across, len(sites)),
        y=np.repeat(np.arange(len(sites), dtype=np.uint8), PLACES),
        customdata=np.repeat(data, PLACES, axis=0).astype(np.float32),
        text=np.repeat(sites, PLACES).tolist(),
        mode="markers",
        marker={"size": 12, "color": NEUTRAL},
        opacity=0,
        showlegend=False,
        hovertemplate=f"<b>%{{text}}</b><br>{texts}<extra>click to choose</extra>",
    )


def _change_axis(figure: go.Figure, reach: float, *, title: str) -> None:
    """Add an axis from -reach to reach with three ticks, which stand side by side on a phone, too."""
    power = 10.0 ** np.floor(np.log10(0.8 * reach))
    tick = max(power * step for step in (1, 2, 4, 5) if power * step <= 0.8 * reach)
    figure.update_xaxes(
        title_text=title,
        range=[-reach, reach],
        tickvals=[-tick, 0, tick],
        ticktext=[f"−{tick:g}", "0", f"+{tick:g}"],
        tickangle=0,
        zeroline=True,
        zerolinecolor=NEUTRAL,
        fixedrange=True,
    )


def _probability(value: float) -> str:
    return f"{100 * value:.1f} %" if value >= SMALL / 100 else f"< {SMALL:g} %"


def _moved(before: float, after: float) -> str:
    points = f"{100 * (after - before):+.1f}".replace("-", "−")
    return f"{_probability(after)} ({points if points.strip('+−0.') else '±0.0'})"


def _signed(points: float) -> str:
    """Return two digits after the point, or one that counts where these would be nothing; the bar shows the sign of what is smaller
    still.
    """
    if 0 < abs(points) < SMALLEST:
        return f"< {SMALLEST:g}"
    return f"{points:{'+.2f' if abs(points) >= 0.01 or points == 0 else '+.1g'}}".replace("-", "−")
