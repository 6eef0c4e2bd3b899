"""All colours of the figures, in the light and in the dark theme, and the one finish. No torch, no streamlit.

A figure has the same colours in both themes, so each of them has to stand out on white and on the dark page. What changes with the theme
is no figure's own: page and text have their colours in `.streamlit/config.toml`, Streamlit draws the lines of the axes, and
`sevis.pages.shared.show` writes a figure in the text colour of the visitor's theme. Files (`sevis.reports.html`) are always light.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike


def translucent(colour: str, opacity: float) -> str:
    """Return a colour, such as #0072B2, as one through which the page is seen; `opacity` is in 0..1."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


# Okabe and Ito's hues (jfly.uni-koeln.de/color), the light ones darkened: each has a contrast of 3 or more on white and on the dark theme.
# In this order: blue, vermilion, green, purple, ochre, sky blue, brown, violet.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#C2669B", "#A67C00", "#3A96C8", "#9A4E1F", "#7B6FD0")
NEUTRAL = "#7F7F7F"  # what others are compared with, and what is not chosen
GRID = translucent(NEUTRAL, 0.25)  # lines behind the data: light on white and on black alike
ON_COLOUR = "white"  # in both themes: text on a filled box, the rim of a dot

# Of a difference: above zero, or the first of two; below zero, or the second.
MORE, LESS = PALETTE[1], PALETTE[0]
# Of networks: with SE and without; measured here, and what the paper prints; the limit below which gates count as dead.
WITH_SE, WITHOUT_SE = PALETTE[1], NEUTRAL
MEASURED, PRINTED = PALETTE[1], PALETTE[0]
DEAD_LIMIT = PALETTE[6]
# Of gates that are held: all open, one level a block, frozen at their means, exchanged between images. Of those that answer to the image.
OPENED, LEVELLED, FROZEN, SHUFFLED, ANSWERING = PALETTE[1], PALETTE[4], PALETTE[0], PALETTE[2], PALETTE[3]
# Of the numbers of one block, channel by channel.
CHANNELS = PALETTE[2]

# The gate map, from s = 0 to s = 1: Viridis, whose lightness rises in even steps, from violet to yellow.
SCALE_COLOURS = ("#440154", "#482878", "#3E4A89", "#31688E", "#26828E", "#1F9E89", "#35B779", "#6DCD59", "#B4DE2C", "#FDE725")
# Maps and differences, which have both signs: blue below zero, white at zero, red above.
SIGNED_COLOURS = ("#053061", "#2166AC", "#67A9CF", "#D1E5F0", "#F7F7F7", "#FDDBC7", "#EF8A62", "#B2182B", "#67001F")

TITLE_SIZE, TEXT_SIZE = 18, 14


def finish(figure: go.Figure, *, title: str, height: int) -> go.Figure:
    """Give a figure its title and the common look, and return it.

    No axis can be zoomed into. The template is empty: Streamlit fills in the colours of its light or dark theme, and a file gets Plotly's
    black on white.

    Args:
        figure: it is changed.
        title: at the top left.
        height: in pixels; the width is that of the page.
    """
    text = {"size": TEXT_SIZE}
    figure.update_layout(
        overwrite=True,  # four times as quick as merging
        template=go.layout.Template(),
        title={"text": title, "font": {"size": TITLE_SIZE}, "x": 0, "xanchor": "left", "y": 1, "yanchor": "top", "pad": {"t": 8}},
        height=height,
        margin={"l": 56, "r": 12, "t": 48, "b": 48},
        font=text,
        hoverlabel={"font": text},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "font": text},
        dragmode=False,
    )
    axis = {"tickfont": text, "title_font": text, "automargin": True, "title_standoff": 8, "fixedrange": True}
    figure.update_xaxes(axis)
    figure.update_yaxes(axis)
    return figure


def name_rows(figure: go.Figure, names: Sequence[str]) -> None:
    """Give a figure one row for each name, the first on top, without lines between them."""
    figure.update_yaxes(
        range=[len(names) - 0.5, -0.5],
        tickvals=list(range(len(names))),
        ticktext=list(names),
        showgrid=False,
        zeroline=False,
    )


def whiskers(values: ArrayLike, intervals: ArrayLike, *, thin: bool = False) -> dict[str, Any]:
    """Return intervals, one around each of the n values, shape (n, 2), as Plotly's `error_x` and `error_y` take them."""
    low, high = np.reshape(intervals, (-1, 2)).T
    lines = {"thickness": 1.5, "width": 3} if thin else {"thickness": 2.5, "width": 6}
    return {"type": "data", "symmetric": False, "array": high - values, "arrayminus": values - low, **lines}


def arrow(start: tuple[float, float], end: tuple[float, float], *, colour: str) -> dict[str, Any]:
    """Return an arrow between two points of the axes as one of Plotly's annotations."""
    (ax, ay), (x, y) = start, end
    points = {"x": x, "y": y, "ax": ax, "ay": ay, "xref": "x", "yref": "y", "axref": "x", "ayref": "y"}
    return {**points, "text": "", "showarrow": True, "arrowhead": 2, "arrowwidth": 2, "arrowcolor": colour}
