"""Maps as thumbnails: many of them in one RGB picture, which a browser draws five times faster than as many pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from sevis.figures.chart import Picture
from sevis.figures.theme import SIGNED_COLOURS

Array = NDArray[np.float32]
Pixels = NDArray[np.uint8]
SIDE, GAP, GUTTER, LABEL, LEGEND = 144, 16, 48, 48, 52  # pixels: thumbnail, space around it, row names, channel names, colour bar
BANNER = 40  # pixels
GROUND, INK, FAINT = (27, 34, 45), (242, 245, 248), (166, 176, 190)  # its own dark ground, readable in both themes


@dataclass(frozen=True)
class GatedMaps:
    """What goes into a gate, and the gate.

    Attributes:
        maps: u, shape (C, H, W); values that are not finite are drawn as zero.
        scale: s, shape (C,).
        photo: uint8, shape (S, S, 3): where given, the maps are laid over it, the more opaque the farther from zero.
    """

    maps: Array
    scale: Array
    photo: Pixels | None = None

    @property
    def size(self) -> str:
        """Return the height and width of the maps, in words."""
        return f"{self.maps.shape[1]} × {self.maps.shape[2]}"


def mosaic(gated: GatedMaps, channels: Sequence[int], *, columns: int = 4) -> Picture:
    """Draw some channels' maps u with s * u below each, in the same colours: blue below zero, white at zero, red above.

    Args:
        gated: the maps and their scales.
        channels: which of the C to draw, in this order; the thumbnail of the n-th lies where `corner` says.
        columns: channels per line of the mosaic.
    """
    caption = (
        f"The upper picture of each channel is its map u ({gated.size}; red above zero, blue below; its "
        "range stands under its scale), the lower one is s·u in the same colours: the paler it is, the "
        "more the channel is shut."
    )
    return Picture(_thumbnails(gated, channels, largest(gated.maps), columns), caption, _maps_table(channels, {"": gated}))


def _thumbnails(gated: GatedMaps, channels: Sequence[int], limits: Array, columns: int) -> Pixels:
    """Return the pixels of a mosaic; a channel's limit, above zero, is the absolute value with the strongest colour."""
    maps, scale = gated.maps, gated.scale
    lines = -(-len(channels) // columns)
    width = GUTTER + columns * (SIDE + GAP)
    canvas = Image.new("RGB", (width, lines * _line_height() + LEGEND), GROUND)
    draw = ImageDraw.Draw(canvas)
    for index, channel in enumerate(channels):
        limit = float(limits[channel]) or 1.0
        top, left = corner(index, scaled=False, columns=columns)
        draw.text((left, top - LABEL + 2), f"ch {channel}", font=font(19), fill=INK)
        draw.text((left + SIDE, top - LABEL + 2), f"s {scale[channel]:.2f}", font=font(19), fill=INK, anchor="ra")
        draw.text((left + SIDE, top - LABEL + 24), f"±{limit:.2g}", font=font(15), fill=FAINT, anchor="ra")
        for scaled, factor in ((False, 1.0), (True, float(scale[channel]))):
            top, left = corner(index, scaled=scaled, columns=columns)
            canvas.paste(Image.fromarray(_thumbnail(factor * maps[channel], limit, gated.photo)), (left, top))
            if index % columns == 0:
                draw.text((8, top + SIDE // 2), "s·u" if scaled else "u", font=font(19), fill=INK, anchor="lm")
    draw_legend(canvas, draw, left=GUTTER)
    return np.asarray(canvas)


def mosaic_pair(first: GatedMaps, second: GatedMaps, channels: Sequence[int], *, columns: int = 4) -> Picture:
    """Draw the mosaics of the same channels for two photos, A above B; a channel has the same colours in both.

    Args:
        first, second: of A and of B.
        channels, columns: as for `mosaic`.
    """
    limits = np.maximum(largest(first.maps), largest(second.maps))
    parts = []
    for name, gated in (("A", first), ("B", second)):
        picture = _thumbnails(gated, channels, limits, columns)
        banner = Image.new("RGB", (picture.shape[1], BANNER), GROUND)
        ImageDraw.Draw(banner).text((8, BANNER // 2), f"Photo {name}", font=font(22), fill=INK, anchor="lm")
        parts += [np.asarray(banner), picture[: len(picture) - LEGEND * (name == "A")]]  # one legend, at the end, is enough
    caption = (
        f"The map u of each channel ({first.size}) for photo A and for photo B, with s·u below it in the "
        "same colours (red above zero, blue below; the range of a channel stands under its scale and is "
        "the same for both photos)."
    )
    return Picture(np.concatenate(parts), caption, _maps_table(channels, {"_A": first, "_B": second}))


def _maps_table(channels: Sequence[int], gated: Mapping[str, GatedMaps]) -> dict[str, ArrayLike]:
    """Return the data of a mosaic, one row per pixel of each channel's map; the keys of `gated` end the names of its columns."""
    _, height, width = next(iter(gated.values())).maps.shape
    channel, row, column = (grid.ravel() for grid in np.meshgrid(channels, np.arange(height), np.arange(width), indexing="ij"))
    table: dict[str, ArrayLike] = {"channel": channel, "row": row, "column": column}
    for end, one in gated.items():
        u = one.maps[channel, row, column]
        table |= {f"u{end}": u, f"s_u{end}": one.scale[channel] * u}
    return table


def largest(maps: Array) -> Array:
    """Return the largest finite absolute value of each map: (C, *places) in, (C,) out."""
    finite: Array = np.where(np.isfinite(maps), np.abs(maps), np.float32(0)).max(axis=tuple(range(1, maps.ndim)), initial=0)
    return finite


def corner(index: int, *, scaled: bool, columns: int = 4) -> tuple[int, int]:
    """Return the row and column of the top left pixel of a thumbnail: that of u, or of s * u, of the channel with that index."""
    line, column = divmod(index, columns)
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
    """Return Pillow's own font."""
    return ImageFont.load_default(size=size)
