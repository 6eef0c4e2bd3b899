"""The classes of a network on a map of two dimensions, and the distances between them as a matrix: do they part with depth?"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from sevis.analysis.class_map import TOLERANCE, ClassMaps
from sevis.figures.chart import Chart
from sevis.figures.theme import GRID, NEUTRAL, ON_COLOUR, PALETTE, SCALE_COLOURS, finish

Array = NDArray[np.floating]
Table = dict[str, NDArray[Any]]
MATRIX = 320  # rows at most: 320 x 320 numbers of float32 are about half a megabyte on the wire
MARKED = len(PALETTE)  # classes at most
NAMED = 24  # rows of a matrix that have room for their names
HEIGHT = 580
METRICS = {"cosine": "cosine", "L1": "l1"}  # what a reader reads, and what `sevis.analysis.formulas.distances` takes
UNITS = {None: "units of s", "cosine": "cosine distance", "l1": "mean |difference| of s"}
MARGIN = 1.12  # a map reaches so much further than its furthest class
LETTER, LINE = 1 / 42, 1 / 20  # of the map's width on a phone: a letter of a name is so wide, a line so high


def reach(maps: ClassMaps, *, block: int | None = None, photos: bool = False) -> float:
    """Return how far a map reaches from its middle to each side: its classes, and 99 of 100 photos where they are drawn.

    Args:
        block: the index of the block whose map it is; None takes what all blocks need, so that they share one scale.
    """
    chosen = slice(None) if block is None else slice(block, block + 1)
    far = np.abs(maps.points[chosen]).max(initial=0)
    if photos and maps.photos.size:
        far = max(far, *np.quantile(np.abs(maps.photos[chosen]).max(axis=2), 0.99, axis=1))
    return float(far * MARGIN) or 1.0


def class_map(
    maps: ClassMaps,
    block: int,
    names: Sequence[str],
    *,
    metric: str | None = None,
    marked: Sequence[str] = (),
    common: bool = True,
    photos: bool = False,
) -> Chart:
    """Draw the classes of one block on their map; those that are marked in colour and by name, the others by name where there is room.

    Args:
        maps: of `pca_maps` or `mds_maps`.
        block: the index of the block.
        names: of all classes, by row of the statistics.
        metric: of the distances that `mds_maps` kept, a value of METRICS; None: the maps are those of `pca_maps`.
        marked: names of at most MARKED classes.
        common: whether the axes reach as far as those of all other blocks, or only as far as this block needs.
        photos: whether single images are drawn, too.
    """
    colours = dict(zip(dict.fromkeys(marked), PALETTE, strict=False))
    shown, points = [names[row] for row in maps.rows], maps.points[block]
    span = reach(maps, block=None if common else block, photos=photos)
    figure = go.Figure()
    if photos and len(maps.labels):
        _add_photos(figure, maps, block, names, colours)
    others = np.array([row for row, name in enumerate(shown) if name not in colours], dtype=np.intp)
    _add_classes(figure, points[others], [shown[row] for row in others], NEUTRAL, "class mean", size=7)
    for name, colour in colours.items():
        mine = np.array([row for row, other in enumerate(shown) if other == name], dtype=np.intp)
        _add_classes(figure, points[mine], [name] * len(mine), colour, name, size=12)
    named = readable(points, shown, span=span, first=list(colours))
    _add_names(figure, points[named], [shown[row] for row in named], colours)
    finish(figure, title=f"{escape(maps.sites[block])} · map of {len(shown)} classes", height=HEIGHT)
    figure.update_layout(hovermode="closest", legend={"y": -0.12, "yanchor": "top", "itemsizing": "constant"})
    axis = {"range": [-span, span], "showgrid": True, "gridcolor": GRID, "zeroline": False, "nticks": 7}
    figure.update_xaxes(title_text=f"first axis ({UNITS[metric]})", **axis)
    figure.update_yaxes(title_text=f"second axis ({UNITS[metric]})", scaleanchor="x", **axis)
    return Chart(figure, _map_caption(maps, block, metric, common, photos), _map_table(maps, block, names))


def _map_table(maps: ClassMaps, block: int, names: Sequence[str]) -> Table:
    """Return a row for each class, and one for each photo, whose number in the data set is `photo` (-1 for a mean)."""
    rows = np.concatenate([maps.rows, maps.labels])
    points = np.concatenate([maps.points[block], maps.photos[block]])
    return {
        "class": np.array([names[row] for row in rows]),
        "photo": np.concatenate([np.full(len(maps.rows), -1), maps.ids]),
        "first axis": points[:, 0],
        "second axis": points[:, 1],
    }


def _map_caption(maps: ClassMaps, block: int, metric: str | None, common: bool, photos: bool) -> str:
    quality = maps.quality[block]
    if np.isnan(quality):
        return "All classes have the same mean gates here, so all points coincide."
    if metric is None:
        text = f"The class means on their first two principal axes, which hold {quality:.0%} of the variance between the classes"
    else:
        text = (
            f"Metric multidimensional scaling of the {_called(metric)} distances between class means (SMACOF from classical scaling, "
            f"tolerance {TOLERANCE:g}; stress-1 is {quality:.2f}, and 0 would be a perfect map)"
        )
    scale = "all blocks share one scale" if common else "the scale is this block's own"
    faint = f"; the faint dots are {len(maps.ids):,} photos, and some may lie outside the axes" if photos else ""
    return f"{text}; each block's map is rotated to match the map before it, and {scale}{faint}."


def _called(metric: str) -> str:
    return next(name for name, taken in METRICS.items() if taken == metric)


def readable(points: Array, names: Sequence[str], *, span: float, first: Sequence[str] = ()) -> list[int]:
    """Return which of the points can have their names above them on a phone: those of `first` before others.

    No name covers another, and none but those of `first` covers a point.
    """
    taken: list[tuple[float, float, float]] = []
    found = []
    order = sorted(range(len(names)), key=lambda point: names[point] not in first)
    on_map = points / (2 * span)
    for point in order[:400]:
        x, y = on_map[point]
        wide = len(names[point]) * LETTER
        gap = np.abs(on_map - (x, y + LINE))
        covers = np.count_nonzero((gap[:, 0] < wide / 2) & (gap[:, 1] < LINE / 2)) > 0 and names[point] not in first
        inside = abs(x) + wide / 2 < 0.56 and abs(y) < 0.5
        if inside and not covers and all(abs(x - other) > (wide + width) / 2 or abs(y - height) > LINE for other, height, width in taken):
            taken.append((x, y, wide))
            found.append(point)
    return found


def distance_matrix(matrix: Array, names: Sequence[str], *, site: str, metric: str, furthest: float) -> Chart:
    """Draw the distances between all classes, in the order given: more than MATRIX of them as means over neighbours.

    Args:
        matrix: (K, K), K > 1, ordered so that similar classes are neighbours.
        names: in the same order.
        metric: of the distances, a value of METRICS.
        furthest: where the colours end.
    """
    shown, groups = pooled(matrix, names)
    title = f"{escape(site)} · distances between {len(matrix)} classes"
    figure = go.Figure(
        go.Heatmap(
            z=shown.astype(np.float32),
            zmin=0,
            zmax=furthest,
            colorscale=list(SCALE_COLOURS),
            colorbar={"title": {"text": UNITS[metric], "side": "top"}, "orientation": "h", "y": -0.04, "yanchor": "top", "thickness": 14},
            hovertemplate="%{y}<br>%{x}<br><b>%{z:.3g}</b><extra></extra>",
        )
    )
    finish(figure, title=title, height=HEIGHT)
    ticks = {"tickvals": list(range(len(groups))), "ticktext": [escape(name) for name in groups], "showgrid": False, "zeroline": False}
    figure.update_xaxes(**ticks, showticklabels=False, ticks="")
    figure.update_yaxes(**ticks, showticklabels=len(groups) <= NAMED, ticks="", autorange="reversed")
    return Chart(figure, _distance_caption(matrix, metric), _distance_table(matrix, names))


def _distance_caption(matrix: Array, metric: str) -> str:
    off = matrix[~np.eye(len(matrix), dtype=bool)]
    means = f" With more than {MATRIX} classes, each cell is the mean over neighbouring classes." if len(matrix) > MATRIX else ""
    return (
        f"The {_called(metric)} distance between the mean gates of every two classes (mean "
        f"{off.mean():.3g}, largest {off.max():.3g}), in an order that puts similar classes side by side "
        "(average linkage, optimal leaf order): dark squares on the diagonal are groups that the block "
        f"treats alike.{means}"
    )


def _distance_table(matrix: Array, names: Sequence[str]) -> Table:
    """Return all distances: a row and a column for each class; a name that comes again gets its number."""
    table: Table = {"class": np.array(names)}
    for column, name in enumerate(names):
        table[name if name not in table else f"{name} ({column + 1})"] = matrix[:, column]
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
                text=[f"photo {maps.ids[photo]} of {escape(called[photo])}" for photo in mine],
                mode="markers",
                marker={"color": colour, "size": 4, "opacity": 0.35},
                name="photo",
                showlegend=not name,
                hovertemplate="%{text}<extra></extra>",
            )


def _add_classes(figure: go.Figure, points: Array, names: Sequence[str], colour: str, label: str, *, size: int) -> None:
    if not len(points):
        return
    figure.add_scatter(
        x=points[:, 0].astype(np.float32),
        y=points[:, 1].astype(np.float32),
        text=[escape(name) for name in names],
        mode="markers",
        marker={"color": colour, "size": size, "line": {"color": ON_COLOUR, "width": 1}},
        name=escape(label),
        hovertemplate="<b>%{text}</b><br>(%{x:.3f}, %{y:.3f})<extra></extra>",
    )


def _add_names(figure: go.Figure, points: Array, names: Sequence[str], colours: Mapping[str, str]) -> None:
    figure.add_scatter(
        x=points[:, 0],
        y=points[:, 1],
        text=[f"<b>{escape(name)}</b>" if name in colours else escape(name) for name in names],
        mode="markers+text",
        marker={"size": 14, "opacity": 0},  # which holds the name off the point
        textposition="top center",
        hoverinfo="skip",
        showlegend=False,
        cliponaxis=False,
    )
