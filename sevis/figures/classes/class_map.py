"""The classes of a network on a map of two dimensions, and the distances between them as a matrix: do they part with depth?"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from sevis.analysis.class_map import ClassMaps
from sevis.figures.theme import GRID, NEUTRAL, ON_COLOUR, PALETTE, SCALE_COLOURS, finish

Array = NDArray[np.floating]
Table = dict[str, NDArray[Any]]
MATRIX = 320  # rows at most: 320 x 320 numbers of float32 are about half a megabyte on the wire
MARKED = len(PALETTE)  # classes at most
NAMED = 24  # rows of a matrix that have room for their names
HEIGHT = 580
UNITS = {"pca": "units of s", "cosine": "cosine distance", "l1": "mean |difference| of s"}
MARGIN = 1.12  # a map reaches so much further than its furthest class
LETTER, LINE = 1 / 42, 1 / 20  # of the map's width on a phone: a letter of a name is so wide, a line so high


def reach(maps: ClassMaps, *, block: int | None = None, photos: bool = False) -> float:
    """Return how far a map reaches from its middle to each side: its classes, and 99 of 100 photos where they are drawn.

    Args:
        block: the place of the block whose map it is; None takes what all blocks need, so that they share one scale.
    """
    chosen = slice(None) if block is None else slice(block, block + 1)
    far = np.abs(maps.places[chosen]).max(initial=0)
    if photos and maps.photos.size:
        far = max(far, *np.quantile(np.abs(maps.photos[chosen]).max(axis=2), 0.99, axis=1))
    return float(far * MARGIN) or 1.0


def class_map(
    maps: ClassMaps, block: int, names: Sequence[str], *, units: str, marked: Sequence[str] = (), span: float, photos: bool = False
) -> go.Figure:
    """Draw the classes of one block on their map; those that are marked in colour and by name, the others by name where there is room.

    Args:
        block: the place of the block.
        names: of all classes, by row of the statistics.
        units: of the axes, a key of UNITS.
        marked: names of at most MARKED classes.
        span: what the axes reach to on either side, see `reach`.
        photos: whether single images are drawn, too.
    """
    colours = dict(zip(dict.fromkeys(marked), PALETTE, strict=False))
    shown = [names[row] for row in maps.rows]
    places = maps.places[block]
    figure = go.Figure()
    if photos and len(maps.labels):
        _add_photos(figure, maps, block, names, colours)
    others = np.array([place for place, name in enumerate(shown) if name not in colours], dtype=np.intp)
    _add_classes(figure, places[others], [shown[place] for place in others], NEUTRAL, "class mean", size=7)
    for name, colour in colours.items():
        mine = np.array([place for place, other in enumerate(shown) if other == name], dtype=np.intp)
        _add_classes(figure, places[mine], [name] * len(mine), colour, name, size=12)
    named = readable(places, shown, span=span, first=list(colours))
    _add_names(figure, places[named], [shown[place] for place in named], colours)
    finish(figure, title=f"{escape(maps.sites[block])} · map of {len(shown)} classes", height=HEIGHT)
    figure.update_layout(hovermode="closest", legend={"y": -0.12, "yanchor": "top", "itemsizing": "constant"})
    axis = {"range": [-span, span], "showgrid": True, "gridcolor": GRID, "zeroline": False, "fixedrange": True, "nticks": 7}
    figure.update_xaxes(title_text=f"first axis ({UNITS[units]})", **axis)
    figure.update_yaxes(title_text=f"second axis ({UNITS[units]})", scaleanchor="x", **axis)
    return figure


def class_map_table(maps: ClassMaps, block: int, names: Sequence[str]) -> Table:
    """Return the data of `class_map`: a row for each class, and one for each photo, whose number in the data set is `photo` (-1 for a
    mean).
    """
    rows = np.concatenate([maps.rows, maps.labels])
    places = np.concatenate([maps.places[block], maps.photos[block]])
    return {
        "class": np.array([names[row] for row in rows]),
        "photo": np.concatenate([np.full(len(maps.rows), -1), maps.ids]),
        "first axis": places[:, 0],
        "second axis": places[:, 1],
    }


def readable(places: Array, names: Sequence[str], *, span: float, first: Sequence[str] = ()) -> list[int]:
    """Return which of the points can have their names above them on a phone: those of `first` before others.

    No name covers another, and none but those of `first` covers a point.
    """
    taken: list[tuple[float, float, float]] = []
    found = []
    order = sorted(range(len(names)), key=lambda place: names[place] not in first)
    on_map = places / (2 * span)
    for place in order[:400]:
        x, y = on_map[place]
        wide = len(names[place]) * LETTER
        gap = np.abs(on_map - (x, y + LINE))
        covers = np.count_nonzero((gap[:, 0] < wide / 2) & (gap[:, 1] < LINE / 2)) > 0 and names[place] not in first
        inside = abs(x) + wide / 2 < 0.56 and abs(y) < 0.5
        if inside and not covers and all(abs(x - other) > (wide + width) / 2 or abs(y - height) > LINE for other, height, width in taken):
            taken.append((x, y, wide))
            found.append(place)
    return found


def distance_matrix(matrix: Array, names: Sequence[str], *, site: str, metric: str, furthest: float) -> go.Figure:
    """Draw the distances between all classes, in the order given: more than MATRIX of them as means over neighbours.

    Args:
        matrix: (K, K), ordered so that similar classes are neighbours.
        names: in the same order.
        metric: a key of UNITS.
        furthest: where the colours end.
    """
    shown, groups = pooled(matrix, names)
    title = f"{escape(site)} · distances between {len(matrix)} classes"
    figure = go.Figure(
        go.Heatmap(
            z=shown.astype(np.float32),
            zmin=0,
            zmax=furthest,
            colorscale=[[step / (len(SCALE_COLOURS) - 1), colour] for step, colour in enumerate(SCALE_COLOURS)],
            colorbar={"title": {"text": UNITS[metric], "side": "top"}, "orientation": "h", "y": -0.04, "yanchor": "top", "thickness": 14},
            hovertemplate="%{y}<br>%{x}<br><b>%{z:.3g}</b><extra></extra>",
        )
    )
    finish(figure, title=title, height=HEIGHT)
    ticks = {"tickvals": list(range(len(groups))), "ticktext": [escape(name) for name in groups], "showgrid": False, "zeroline": False}
    figure.update_xaxes(**ticks, showticklabels=False, ticks="", fixedrange=True)
    return figure.update_yaxes(**ticks, showticklabels=len(groups) <= NAMED, ticks="", fixedrange=True, autorange="reversed")


def distance_table(matrix: Array, names: Sequence[str]) -> Table:
    """Return the data of `distance_matrix`, unpooled: a row and a column for each class; a name that comes again gets its number."""
    table: Table = {"class": np.array(names)}
    for place, name in enumerate(names):
        table[name if name not in table else f"{name} ({place + 1})"] = matrix[:, place]
    return table


def pooled(matrix: Array, names: Sequence[str], *, most: int = MATRIX) -> tuple[Array, list[str]]:
    """Return a matrix of at most `most` rows: means over equal groups of neighbours, leaving out the distance of a class to itself."""
    size = -(-len(matrix) // most)
    if size == 1:
        return matrix, list(names)
    starts = np.arange(0, len(matrix), size)
    others = 1.0 - np.eye(len(matrix))
    total, count = (np.add.reduceat(np.add.reduceat(one, starts, axis=0), starts, axis=1) for one in (matrix * others, others))
    groups = [f"{names[start]} … {names[min(start + size, len(names)) - 1]}" for start in range(0, len(matrix), size)]
    return np.divide(total, count, out=np.zeros_like(total), where=count > 0), groups


def _add_photos(figure: go.Figure, maps: ClassMaps, block: int, names: Sequence[str], colours: Mapping[str, str]) -> None:
    """Add the single images: grey, and in the colours of the marked classes."""
    called = np.array([names[label] for label in maps.labels])
    for name, colour in {"": NEUTRAL, **colours}.items():
        mine = np.flatnonzero(called == name if name else ~np.isin(called, list(colours)))
        if len(mine):
            figure.add_scatter(
                x=maps.photos[block, mine, 0].astype(np.float32),
                y=maps.photos[block, mine, 1].astype(np.float32),
                text=[f"photo {maps.ids[place]} of {escape(called[place])}" for place in mine],
                mode="markers",
                marker={"color": colour, "size": 4, "opacity": 0.35},
                name="photo",
                showlegend=not name,
                hovertemplate="%{text}<extra></extra>",
            )


def _add_classes(figure: go.Figure, places: Array, names: Sequence[str], colour: str, label: str, *, size: int) -> None:
    if not len(places):
        return
    figure.add_scatter(
        x=places[:, 0].astype(np.float32),
        y=places[:, 1].astype(np.float32),
        text=[escape(name) for name in names],
        mode="markers",
        marker={"color": colour, "size": size, "line": {"color": ON_COLOUR, "width": 1}},
        name=escape(label),
        hovertemplate="<b>%{text}</b><br>(%{x:.3f}, %{y:.3f})<extra></extra>",
    )


def _add_names(figure: go.Figure, places: Array, names: Sequence[str], colours: Mapping[str, str]) -> None:
    figure.add_scatter(
        x=places[:, 0],
        y=places[:, 1],
        text=[f"<b>{escape(name)}</b>" if name in colours else escape(name) for name in names],
        mode="markers+text",
        marker={"size": 14, "opacity": 0},  # which holds the name off the point
        textposition="top center",
        hoverinfo="skip",
        showlegend=False,
        cliponaxis=False,
    )
