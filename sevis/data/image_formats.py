"""Bytes from a stranger become a safe RGB image, or an error that says what is wrong with them."""

import io
import re
import warnings
from contextlib import suppress

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sevis.errors import SevisError, one_line

# The only list of what is read: the name of a format, which in capitals is Pillow's, and the suffixes of its files. Uploads, data sets,
# messages and the command line follow it. No TIFF: its decoder has the longest record of memory errors, its tiles escape the limits
# below, and browsers do not show it.
FORMATS = {
    "PNG": (".png",),
    "JPEG": (".jpeg", ".jpg"),
    "WebP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
}
SUFFIXES = tuple(suffix for suffixes in FORMATS.values() for suffix in suffixes)
FORMAT_NAMES = " or ".join([", ".join(list(FORMATS)[:-1]), list(FORMATS)[-1]])  # for a sentence

# What people also take for a photo, and is not read: its first bytes -> its name.
OTHER_FORMATS = {
    rb"II\*\0|MM\0\*": "a TIFF or raw camera file",
    rb"....ftyp(heic|heix|hevc|mif1|msf1)": "an HEIC photo",
    rb"....ftypavi[fs]": "an AVIF picture",
    rb"\s*(<\?xml|<svg|<!DOCTYPE svg)": "an SVG drawing",
    rb"%PDF": "a PDF document",
}

MAX_BYTES = 20 * 1000 * 1000
MAX_PIXELS = 50 * 1000 * 1000
MAX_RATIO = 50  # of the longer side to the shorter: resizing the shorter side of a thread to 224 pixels would make a giant
MAX_SCANS = 100  # of a progressive JPEG: a photo has about ten, each goes over all pixels, and a small file can hold thousands


def is_image(name: str) -> bool:
    """Return whether a file's name is that of an image that is read."""
    return name.lower().endswith(SUFFIXES)


def read_image(data: bytes) -> Image.Image:
    """Decode the bytes of a picture into an RGB image as a person would see it.

    EXIF rotation is applied, transparency is laid on white, 16-bit greys are scaled to 8 bits, an animation gives its first frame.

    Raises:
        SevisError: when the bytes are no picture of FORMATS, are truncated, or exceed MAX_BYTES, MAX_PIXELS, MAX_RATIO or MAX_SCANS
            (read before anything is decoded).
    """
    if not data:
        raise SevisError(f"The file is empty: choose a picture ({FORMAT_NAMES}).")
    if len(data) > MAX_BYTES:
        raise SevisError(f"The file has {len(data) / 1e6:.1f} MB; at most {MAX_BYTES / 1e6:.0f} MB are read: make it smaller.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a malformed tag or a large size is no reason to print: the sizes are checked here
            with Image.open(io.BytesIO(data), formats=[name.upper() for name in FORMATS]) as image:
                _check_size(*image.size)
                if image.format in ("JPEG", "MPO") and _count_scans(data) > MAX_SCANS:
                    raise SevisError(f"The JPEG has more than {MAX_SCANS} scans, which no camera writes: save it again.")
                image.load()
                return _as_seen(image)
    except SevisError:
        raise
    except UnidentifiedImageError:
        raise SevisError(_not_a_picture(data)) from None
    except Image.DecompressionBombError:
        raise SevisError(f"The picture has too many pixels; at most {MAX_PIXELS / 1e6:.0f} megapixels are read: make it smaller.") from None
    except Exception as error:
        # Pillow's decoders report damage by whatever the damaged bytes lead to: OSError, SyntaxError, struct.error, zlib.error, ...
        raise SevisError(f"The picture is damaged or cut off ({one_line(error)}): save or download it again.") from None


def _check_size(width: int, height: int) -> None:
    if min(width, height) < 1:
        raise SevisError(f"The picture is damaged: it claims a size of {width} x {height} pixels.")
    if width * height > MAX_PIXELS:
        raise SevisError(
            f"The picture has {width} x {height} = {width * height / 1e6:.0f} megapixels; at most {MAX_PIXELS / 1e6:.0f} are read: "
            "make it smaller."
        )
    if max(width, height) > MAX_RATIO * min(width, height):
        raise SevisError(
            f"The picture has {width} x {height} pixels; its longer side may be at most {MAX_RATIO} times the shorter: crop it."
        )


def _not_a_picture(data: bytes) -> str:
    for beginning, what in OTHER_FORMATS.items():
        if re.match(beginning, data, re.DOTALL):
            return f"This file is {what}, which sevis does not read: save it as JPEG or PNG."
    return f"This file is not a picture that sevis reads, or it is damaged at its beginning: choose a {FORMAT_NAMES}."


def _count_scans(data: bytes) -> int:
    """Return the scans of a JPEG's first image, counted up to MAX_SCANS + 1 along its markers (ITU T.81, Annex B)."""
    scans, position = 0, 2
    marker = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
    while scans <= MAX_SCANS and (found := marker.search(data, position)):
        if found[0] == b"\xff\xd9":  # the end of the image; what a phone appends, such as a film, is not decoded
            break
        scans += found[0] == b"\xff\xda"
        position = found.end() + max(int.from_bytes(data[found.end() : found.end() + 2]), 2)
    return scans


def _as_seen(image: Image.Image) -> Image.Image:
    with suppress(Exception):  # a photo whose EXIF is malformed is shown as it lies
        ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "I;16":
        image = _to_eight_bits(image)
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")  # a copy of 50 megapixels takes 200 MB
        seen = Image.new("RGB", image.size, "white")
        seen.paste(image, mask=image.getchannel("A"))
        return seen
    return image.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit greys (0 to 65,535) to 8 bits; the one grey that a PNG may declare transparent becomes white."""
    values = np.asarray(image)
    grey = values // 257  # 65,535 / 255
    grey += values - grey * 257 > 128  # rounded
    if isinstance(transparent := image.info.get("transparency"), int):
        grey[values == transparent] = 255
    return Image.fromarray(grey.astype(np.uint8))
