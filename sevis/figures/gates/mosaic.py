"""Maps as thumbnails: many of them in one RGB picture, which a browser draws five times faster than as many pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sevis.figures.gates.gate_map import shorten
from sevis.figures.theme import SIGNED_COLOURS

Array = NDArray[np.float32]


Pixels = NDArray[np.uint8]


Gated = tuple[Array, Array, Pixels | None]


SIDE, GAP, GUTTER, LABEL, LEGEND = 144, 16, 48, 48, 52  # pixels: thumbnail, space around it, row names, channel names, colour bar


BANNER = 40  # pixels


GROUND, INK, FAINT = (27, 34, 45), (242, 245, 248), (166, 176, 190)  # its own dark ground, readable in both themes


def mosaic(
    maps: Array, scale: Array, channels: Sequence[int], *, photo: Pixels | None = None, columns: int = 4, limits: Array | None = None
) -> Pixels:
    """Return some channels' maps u with s * u below each, in the same colours: blue below zero, white at zero, red above.

    Args:
        maps: u, shape (C, H, W); values that are not finite are drawn as zero.
        scale: s, shape (C,).
        channels: which of the C to draw, in this order.
        photo: uint8, shape (S, S, 3): where given, the maps are laid over it, the more opaque the farther from zero.
        columns: channels per line of the mosaic.
        limits: the absolute value with the strongest colour, above zero, shape (C,); by default the largest of each channel's map.

    Returns:
        uint8, shape (height, width, 3); the thumbnail of the n-th channel lies where `corner` says.
    """
    lines = -(-len(channels) // columns)
    width = GUTTER + columns * (SIDE + GAP)
    canvas = Image.new("RGB", (width, lines * _line_height() + LEGEND), GROUND)
    draw = ImageDraw.Draw(canvas)
    limits = largest(maps) if limits is None else limits
    for place, channel in enumerate(channels):
        limit = float(limits[channel]) or 1.0
        top, left = corner(place, scaled=False, columns=columns)
        draw.text((left, top - LABEL + 2), f"ch {channel}", font=font(19), fill=INK)
        draw.text((left + SIDE, top - LABEL + 2), f"s {scale[channel]:.2f}", font=font(19), fill=INK, anchor="ra")
        draw.text((left + SIDE, top - LABEL + 24), f"±{limit:.2g}", font=font(15), fill=FAINT, anchor="ra")
        for scaled, factor in ((False, 1.0), (True, float(scale[channel]))):
            top, left = corner(place, scaled=scaled, columns=columns)
            canvas.paste(Image.fromarray(_thumbnail(factor * maps[channel], limit, photo)), (left, top))
            if place % columns == 0:
                draw.text((8, top + SIDE // 2), "s·u" if scaled else "u", font=font(19), fill=INK, anchor="lm")
    draw_legend(canvas, draw, left=GUTTER)
    return np.asarray(canvas)


def mosaic_pair(first: Gated, second: Gated, channels: Sequence[int], *, columns: int = 4) -> Pixels:
    """Return the mosaics of the same channels for two photos, A above B; a channel has the same colours in both.

    Args:
        first, second: of A and of B: the maps u, shape (C, H, W), the scales s, shape (C,), and the photo to lay the maps over, or None.
        channels, columns: as for `mosaic`.
    """
    limits = np.maximum(largest(first[0]), largest(second[0]))
    parts = []
    for name, (maps, scale, photo) in (("A", first), ("B", second)):
        picture = mosaic(maps, scale, channels, photo=photo, columns=columns, limits=limits)
        banner = Image.new("RGB", (picture.shape[1], BANNER), GROUND)
        ImageDraw.Draw(banner).text((8, BANNER // 2), f"Photo {name}", font=font(22), fill=INK, anchor="lm")
        parts += [np.asarray(banner), picture[: len(picture) - LEGEND * (name == "A")]]  # one legend, at the end, is enough
    return np.concatenate(parts)


def largest(maps: Array) -> Array:
    """Return the largest finite absolute value of each map: (C, H, W) in, (C,) out."""
    finite: Array = np.where(np.isfinite(maps), np.abs(maps), np.float32(0)).max(axis=(1, 2), initial=0)
    return finite


def corner(place: int, *, scaled: bool, columns: int = 4) -> tuple[int, int]:
    """Return the row and column of the top left pixel of a thumbnail: that of u, or of s * u, of the `place`-th channel."""
    line, column = divmod(place, columns)
    top = line * _line_height() + LABEL + (SIDE + GAP if scaled else 0)
    return top, GUTTER + column * (SIDE + GAP)


def colours(values: Array, limit: float) -> Pixels:
    """Return values from -limit to limit as colours from blue over white to red; beyond, and where not finite, the nearest of these.

    Returns:
        uint8, the shape of `values` and a last axis of 3.
    """
    position = np.clip(np.nan_to_num(values) / limit, -1, 1)
    stops = np.linspace(-1, 1, len(SIGNED_COLOURS))
    anchors = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in SIGNED_COLOURS])
    return np.round(np.stack([np.interp(position, stops, anchors[:, c]) for c in range(3)], axis=-1)).astype(np.uint8)


def overlay(values: Array, limit: float, photo: Pixels) -> Pixels:
    """Return values laid over a grey photo: clear at zero, nine tenths opaque at the limit.

    Args:
        values: shape (H, W); enlarged to the photo without smoothing.
        limit: the absolute value that is the most opaque.
        photo: uint8, shape (S, T, 3).
    """
    grey = photo.mean(axis=-1, keepdims=True, dtype=np.float32)
    amount = np.float32(0.9) * np.clip(np.abs(np.nan_to_num(values)) / np.float32(limit), 0, 1)
    opacity, colour = (enlarge(array, photo.shape[0], photo.shape[1]) for array in (amount[..., None], colours(values, limit)))
    blend: Pixels = np.round(grey * (1 - opacity) + colour * opacity).astype(np.uint8)
    return blend


def enlarge(picture: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Return a picture of shape (H, W, ...) as (height, width, ...), each pixel the nearest of the original: no smoothing."""
    rows = np.arange(height) * picture.shape[0] // height
    columns = np.arange(width) * picture.shape[1] // width
    enlarged: NDArray[Any] = picture[rows[:, None], columns]
    return enlarged


def framed(photo: Pixels, box: tuple[int, int, int, int]) -> Pixels:
    """Return a photo with all that lies outside the box (left, top, right, bottom) dimmed to a third."""
    left, top, right, bottom = box
    dimmed = (photo // 3).astype(np.uint8)
    dimmed[top:bottom, left:right] = photo[top:bottom, left:right]
    return dimmed


def _thumbnail(values: Array, limit: float, photo: Pixels | None) -> Pixels:
    picture = colours(values, limit) if photo is None else overlay(values, limit, enlarge(photo, SIDE, SIDE))
    return enlarge(picture, SIDE, SIDE)


def draw_legend(canvas: Image.Image, draw: ImageDraw.ImageDraw, *, left: int, most: str = "max|u|") -> None:
    """Add the colour bar along the bottom, from `left` on.

    Its ends are `most`: by default each channel's own max|u|, which stands above its thumbnails.
    """
    top, length = canvas.height - LEGEND + 6, canvas.width - left - GAP
    ramp = np.tile(np.linspace(-1, 1, length, dtype=np.float32), (14, 1))
    canvas.paste(Image.fromarray(colours(ramp, 1.0)), (left, top))
    for x, text, anchor in ((0, f"- {most}", "la"), (length // 2, "0", "ma"), (length, f"+ {most}", "ra")):
        draw.text((left + x, top + 18), text, font=font(16), fill=INK, anchor=anchor)


def _line_height() -> int:
    return LABEL + 2 * (SIDE + GAP) + GAP


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font."""
    return ImageFont.load_default(size=size)


PHOTO_SIDE, PHOTO_LABEL = 192, 30  # pixels: a photo, and the line above it


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
    """Return the photos in reading order; over each its map, red above zero, blue below, the more opaque the farther from zero.

    Args:
        examples: the photos; one without a map is shown as it is.
        limit: the absolute value with the strongest colour, above zero, the same for all.
        columns: photos per line.

    Returns:
        uint8, shape (height, width, 3); the n-th photo lies where `photo_corner` says.
    """
    lines = -(-len(examples) // columns)
    canvas = Image.new("RGB", (GAP + columns * (PHOTO_SIDE + GAP), lines * (PHOTO_SIDE + PHOTO_LABEL + GAP) + LEGEND), GROUND)
    draw = ImageDraw.Draw(canvas)
    for place, example in enumerate(examples):
        top, left = photo_corner(place, columns=columns)
        draw.text((left, top - 7), _fit(example.name), font=font(17), fill=INK, anchor="ls")
        draw.text((left + PHOTO_SIDE, top - 7), f"{example.scale:.2f}", font=font(17), fill=FAINT, anchor="rs")
        canvas.paste(Image.fromarray(_picture(example, limit)), (left, top))
    draw_legend(canvas, draw, left=GAP, most=f"{limit:.2g}")
    return np.asarray(canvas)


def photo_corner(place: int, *, columns: int = 3) -> tuple[int, int]:
    """Return the row and column of the top left pixel of the `place`-th photo."""
    line, column = divmod(place, columns)
    return PHOTO_LABEL + line * (PHOTO_SIDE + PHOTO_LABEL + GAP), GAP + column * (PHOTO_SIDE + GAP)


def _picture(example: Example, limit: float) -> NDArray[np.uint8]:
    photo = np.asarray(Image.fromarray(example.photo).resize((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.BOX))
    return photo if example.map is None else overlay(example.map, limit, photo)


def _fit(name: str) -> str:
    """As much of a name as stands beside the number."""
    name = shorten(name)
    while name and font(17).getlength(name) > PHOTO_SIDE - 44:
        name = f"{name.rstrip('…')[:-1].rstrip(' ,')}…"
    return name
