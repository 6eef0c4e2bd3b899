"""A figure, the sentence below it and its data: one value that page, command line and report share."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Chart:
    """A plotly figure with its caption and its data.

    Attributes:
        figure: with its title, axes and legend.
        caption: one sentence, or two, as plain text: whoever shows it escapes it for Markdown or HTML.
        table: the data by column name, columns of one length; what is saved as CSV.
    """

    figure: go.Figure
    caption: str
    table: Mapping[str, ArrayLike]


@dataclass(frozen=True)
class Panels:
    """Plotly figures side by side, with one caption and one table.

    Attributes:
        figures: from left to right; where there is no room, from top to bottom.
        caption, table: as of a `Chart`.
    """

    figures: tuple[go.Figure, ...]
    caption: str
    table: Mapping[str, ArrayLike]


@dataclass(frozen=True)
class Picture:
    """A picture made of pixels, with its caption and its data.

    Attributes:
        pixels: RGB or RGBA, shape (height, width, 3 or 4).
        caption, table: as of a `Chart`.
    """

    pixels: NDArray[np.uint8]
    caption: str
    table: Mapping[str, ArrayLike]
