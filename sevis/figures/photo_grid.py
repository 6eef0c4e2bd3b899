"""Photos in one picture, each with its class and its scale, and with the map of one channel laid over it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sevis.figures.gates import shorten
from sevis.figures.mosaic import FAINT, GAP, GROUND, INK, LEGEND, Array, Pixels, draw_legend, font, overlay

SIDE, LABEL = 192, 30  # pixels: a photo, and the line above it


@dataclass(frozen=True)
class Example:
    """A photo that raises or lowers a channel.

    Attributes:
        name: of its class.
        scale: s of the channel.
        photo: what the network sees, uint8, shape (S, S, 3).
        map: u of the channel, shape (H, W); None where it is not known yet.
    """

    name: str
    scale: float
    photo: Pixels
    map: Array | None = None


def photo_grid(examples: Sequence[Example], *, limit: float, columns: int = 3) -> Pixels:
    """The photos in reading order; over each its map, red above zero, blue below, the more opaque the farther from zero.

    Args:
        examples: the photos; one without a map is shown as it is.
        limit: the absolute value with the strongest colour, above zero, the same for all.
        columns: photos per line.

    Returns:
        uint8, shape (height, width, 3); the n-th photo lies where `photo_corner` says.
    """
    lines = -(-len(examples) // columns)
    canvas = Image.new("RGB", (GAP + columns * (SIDE + GAP), lines * (SIDE + LABEL + GAP) + LEGEND), GROUND)
    draw = ImageDraw.Draw(canvas)
    for place, example in enumerate(examples):
        top, left = photo_corner(place, columns=columns)
        draw.text((left, top - 7), _fit(example.name), font=font(17), fill=INK, anchor="ls")
        draw.text((left + SIDE, top - 7), f"{example.scale:.2f}", font=font(17), fill=FAINT, anchor="rs")
        canvas.paste(Image.fromarray(_picture(example, limit)), (left, top))
    draw_legend(canvas, draw, left=GAP, most=f"{limit:.2g}")
    return np.asarray(canvas)


def photo_corner(place: int, *, columns: int = 3) -> tuple[int, int]:
    """The row and column of the top left pixel of the `place`-th photo."""
    line, column = divmod(place, columns)
    return LABEL + line * (SIDE + LABEL + GAP), GAP + column * (SIDE + GAP)


def _picture(example: Example, limit: float) -> NDArray[np.uint8]:
    photo = np.asarray(Image.fromarray(example.photo).resize((SIDE, SIDE), Image.Resampling.BOX))
    return photo if example.map is None else overlay(example.map, limit, photo)


def _fit(name: str) -> str:
    """As much of a name as stands beside the number."""
    name = shorten(name)
    while name and font(17).getlength(name) > SIDE - 44:
        name = f"{name.rstrip('…')[:-1].rstrip(' ,')}…"
    return name
