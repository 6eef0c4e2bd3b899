"""The maps of one block before and behind its gate: sequences as lines, maps and middle slices of volumes as thumbnails."""

import base64
import io
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from sevis.errors import SevisError
from sevis.figures.chart import Chart
from sevis.figures.gates.gate_map import extremes
from sevis.figures.gates.mosaic import GatedMaps, largest, mosaic
from sevis.figures.theme import CHANNELS, GRID, NEUTRAL, finish, name_rows

Array = NDArray[np.float32]
COUNT = 4  # channels that are most open, and as many that are most shut, where nobody names any
COLUMNS = 2 * COUNT  # of thumbnails
STRETCHES = 600  # of a long sequence: each is drawn by its lowest and its highest value
ROW = 92  # pixels: the height of a line's row
REACH = 0.45  # of a row: how far a line goes from its zero


def draw_maps(maps: ArrayLike, scale: ArrayLike, *, site: str = "the block", channels: Sequence[int] | None = None) -> Chart:
    """Draw what goes into the gate of one block, u, and what comes out of it, s * u, for one input.

    A sequence is drawn as a line, maps as thumbnails, and of a volume the middle slice along its first dimension of places. In all of them,
    a channel's largest |u| fills the range.

    Args:
        maps: u of one input, shape (C, L), (C, H, W) or (C, D, H, W), such as `record["SE_5_2"].maps[0]` or `explanation.maps["SE_5_2"]`;
            values that are not finite are drawn as zero.
        scale: s of the same block and input, shape (C,).
        site: the name of the block, for the title.
        channels: which of the C to draw, in this order; None: the four most open and the four most shut.

    Raises:
        SevisError: for arrays of other shapes, and for a channel that there is not.
    """
    u, s = np.asarray(maps, dtype=np.float32), np.asarray(scale, dtype=np.float32)
    if u.ndim not in {2, 3, 4} or s.shape != u.shape[:1]:
        raise SevisError(
            "expected maps of one input, shape (C, L), (C, H, W) or (C, D, H, W), and a scale for each channel, shape (C,), got "
            f"{u.shape} and {s.shape}: of a record, take one input, as in maps[0] and scale[0]"
        )
    chosen = np.concatenate(extremes(s, count=COUNT)).tolist() if channels is None else list(channels)
    strange = [channel for channel in chosen if not 0 <= channel < len(s)]
    if strange or not chosen:
        raise SevisError(f"expected channels from 0 to {len(s) - 1}, got {strange[0] if strange else 'none'}")
    u = np.nan_to_num(u, nan=0, posinf=0, neginf=0)
    title = f"Maps of {site} before the gate (u) and behind it (s·u)"
    return _lines(u, s, chosen, title=title) if u.ndim == 2 else _thumbnails(u, s, chosen, title=title)


def _lines(maps: Array, scale: Array, channels: Sequence[int], *, title: str) -> Chart:
    """Draw sequences, shape (C, L): a row for each channel, u as a broad grey line and s * u as a thin one over it."""
    limits = largest(maps)
    places = _drawn_places(maps[channels])
    figure = go.Figure()
    for row, channel in enumerate(channels):
        x = places[row]
        for name, factor, line in (
            ("u", 1.0, {"color": NEUTRAL, "width": 5}),
            ("s·u", float(scale[channel]), {"color": CHANNELS, "width": 2.5}),
        ):
            values = factor * maps[channel, x]
            figure.add_scatter(
                x=x,
                y=row - REACH * values / (limits[channel] or 1),  # the axis points down, for the first row is on top
                customdata=values,
                mode="lines",
                line=line,
                name=f"{name}, {'before' if name == 'u' else 'behind'} the gate",
                legendgroup=name,
                showlegend=row == 0,
                hovertemplate=f"channel {channel}, place %{{x}}: {name} = %{{customdata:.3g}}<extra></extra>",
            )
    length = maps.shape[1]
    finish(figure, title=title, height=ROW * len(channels) + 130)
    figure.update_layout(hovermode="closest", margin={"t": 84, "b": 56})
    name_rows(figure, [f"ch {channel}, s {scale[channel]:.2f}<br>±{limits[channel]:.3g}" for channel in channels])
    figure.update_yaxes(showgrid=True, gridcolor=GRID, tickfont={"size": 16})  # a line at each row's zero
    figure.update_xaxes(title_text=f"place, of {length}", range=[0, length - 1], showgrid=False, zeroline=False)
    caption = (
        "Each row is one channel: the grey line is its sequence u, the green one is s·u, on the same axis. The flatter the green line, the "
        "more the channel is shut. The range of a row stands under its scale."
    )
    if length > 2 * STRETCHES:
        caption += f" Of each of {STRETCHES} stretches of the sequence, the lowest and the highest value are drawn."
    which, place = (grid.ravel() for grid in np.meshgrid(channels, np.arange(length), indexing="ij"))
    u = maps[which, place]
    return Chart(figure, caption, {"channel": which, "place": place, "u": u, "s_u": scale[which] * u})


def _drawn_places(maps: Array) -> NDArray[np.intp]:
    """Return which places of each sequence are drawn, in order, (C, L) in, (C, n) out: all, or the extremes of each of STRETCHES."""
    length = maps.shape[1]
    if length <= 2 * STRETCHES:
        return np.broadcast_to(np.arange(length), maps.shape)
    stretches = np.array_split(np.arange(length), STRETCHES)
    extreme = [part[0] + find(maps[:, part], axis=1) for part in stretches for find in (np.argmin, np.argmax)]
    return np.sort(np.stack(extreme, axis=1), axis=1)


def _thumbnails(maps: Array, scale: Array, channels: Sequence[int], *, title: str) -> Chart:
    """Draw maps (C, H, W), or the middle slice of volumes (C, D, H, W), as a mosaic."""
    middle = maps.shape[1] // 2
    volume = maps.ndim == 4
    picture = mosaic(GatedMaps(maps[:, middle] if volume else maps, scale), channels, columns=min(COLUMNS, len(channels)))
    height, width, _ = picture.pixels.shape
    figure = go.Figure(go.Image(source=_as_uri(picture.pixels), hoverinfo="skip"))
    finish(figure, title=title, height=height + 60)
    figure.update_layout(margin={"l": 0, "r": 0, "b": 0})
    figure.update_xaxes(visible=False, range=[-0.5, width - 0.5], constrain="domain", constraintoward="left")
    figure.update_yaxes(visible=False, range=[height - 0.5, -0.5], constrain="domain", scaleanchor="x")
    if not volume:
        return Chart(figure, picture.caption, picture.table)
    caption = f"{picture.caption} Shown is slice {middle} along the depth, the middle one of 0 to {maps.shape[1] - 1}."
    rows = len(np.asarray(picture.table["channel"]))
    return Chart(figure, caption, {"channel": picture.table["channel"], "slice": np.full(rows, middle), **picture.table})


def _as_uri(pixels: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
