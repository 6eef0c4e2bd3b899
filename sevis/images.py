"""Bytes from a stranger become a safe RGB image, or an error that says what is wrong with them; and an image becomes a network's input."""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from sevis.errors import SevisError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
MAX_BYTES = 20 * 1000 * 1000
MAX_PIXELS = 50 * 1000 * 1000


def read_image(data: bytes) -> Image.Image:
    """Decodes the bytes of a picture into an RGB image as a person would see it.

    EXIF rotation is applied, transparency is laid on white, 16-bit greys are scaled to 8 bits, an animation gives its first frame.

    Raises:
        SevisError: when the bytes are no picture of FORMATS, are truncated, or exceed MAX_BYTES or MAX_PIXELS (read from the header,
            before anything is decoded).
    """
    if not data:
        raise SevisError("The file is empty: choose a picture (PNG, JPEG, WebP, GIF, BMP or TIFF).")
    if len(data) > MAX_BYTES:
        raise SevisError(f"The file has {len(data) / 1e6:.1f} MB; at most {MAX_BYTES / 1e6:.0f} MB are read: save it smaller.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a malformed tag or a large size is no reason to print: the sizes are checked here
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    limit = MAX_PIXELS / 1e6
                    raise SevisError(
                        f"The picture has {width} x {height} = {width * height / 1e6:.0f} megapixels; "
                        f"at most {limit:.0f} are decoded: save it smaller."
                    )
                image.load()
                return _as_seen(image)
    except SevisError:
        raise
    except UnidentifiedImageError:
        raise SevisError("This file is not a picture that sevis reads: choose a PNG, JPEG, WebP, GIF, BMP or TIFF.") from None
    except Image.DecompressionBombError:
        raise SevisError(f"The picture has too many pixels; at most {MAX_PIXELS / 1e6:.0f} megapixels are decoded.") from None
    except (OSError, SyntaxError, ValueError, EOFError, OverflowError, MemoryError, IndexError, KeyError, TypeError) as error:
        # Pillow's decoders report damage by any of these.
        raise SevisError(f"The picture is damaged or cut off ({error}): save or download it again.") from None


def _as_seen(image: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        image = _to_eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scales 16-bit greys (0 to 65,535) to 8 bits; wider or floating-point greys by their own range."""
    values = np.asarray(image).astype(np.float64)
    finite = np.isfinite(values)
    low, high = 0.0, 65535.0
    if finite.any() and not (image.mode.startswith("I") and 0 <= values.min() and values.max() <= high):
        low, high = values[finite].min(), values[finite].max()
    scaled = (np.where(finite, values, low) - low) / max(high - low, 1e-12)
    return Image.fromarray(np.round(np.clip(scaled, 0, 1) * 255).astype(np.uint8))


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a picture becomes a network's input: resize the shorter side, crop the centre, normalise.

    Equal to torchvision's Resize (bilinear, antialiased), CenterCrop, ToTensor and Normalize, without importing it.

    Attributes:
        resize: the shorter side after resizing, in pixels.
        crop: the side of the centre square, in pixels; at most `resize`.
        mean, std: of the RGB channels, for values in 0..1.
    """

    resize: int
    crop: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.resize:
            raise SevisError(f"expected 1 <= crop <= resize, got crop={self.crop}, resize={self.resize}")

    def view(self, image: Image.Image) -> NDArray[np.uint8]:
        """What the network sees of the picture: RGB, shape (crop, crop, 3)."""
        width, height = image.size
        scale = self.resize / min(width, height)
        # The longer side is cut, not rounded, as torchvision does it.
        size = (self.resize, int(height * scale)) if width <= height else (int(width * scale), self.resize)
        if size != image.size:
            image = image.resize(size, Image.Resampling.BILINEAR)
        left = round((image.width - self.crop) / 2.0)
        top = round((image.height - self.crop) / 2.0)
        return np.asarray(image.crop((left, top, left + self.crop, top + self.crop)))

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """The network's input: float32, shape (3, crop, crop)."""
        values = self.view(image).astype(np.float32) / np.float32(255)
        normalised = (values - np.float32(self.mean)) / np.float32(self.std)
        return np.ascontiguousarray(normalised.transpose(2, 0, 1))
