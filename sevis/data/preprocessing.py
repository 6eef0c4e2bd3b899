"""An image becomes a network's input."""

from typing import Any, Protocol, Self

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sevis.errors import SevisError

INTERPOLATIONS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
CROP_MODES = ("center", "squash")


class ImagePreprocessing(Protocol):
    """What turns an RGB image into a network's input: `Preprocessing`, or what `sevis.wrap` was given."""

    def __call__(self, image: Image.Image, /) -> NDArray[np.float32]:
        """Return the network's input, float32, shape (channels, H, W)."""
        ...

    def view(self, image: Image.Image, /) -> NDArray[np.uint8]:
        """Return what the network sees of the picture: RGB, shape (H, W, 3)."""
        ...

    def see(self, image: Image.Image, /) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return both: what the network sees, and its input."""
        ...

    def describe(self) -> Any:
        """Return how it does that, as provenance: JSON's own types."""
        ...


class Preprocessing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a picture becomes a network's input: resize, crop the centre, normalise.

    Equal to torchvision's Resize (antialiased), CenterCrop, ToTensor and Normalize, without importing it.

    Attributes:
        resize: the shorter side after resizing, in pixels; both sides where `crop_mode` is squash.
        crop: the side of the centre square, in pixels; at most `resize`.
        mean, std: of the RGB channels, for values in 0..1.
        interpolation: bilinear or bicubic.
        crop_mode: center keeps the picture's proportions; squash makes it a square.
    """

    resize: int
    crop: int
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"
    crop_mode: str = "center"

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.resize:
            raise SevisError(f"expected 1 <= crop <= resize, got crop={self.crop}, resize={self.resize}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise SevisError(f"expected three means and three positive standard deviations, got {self.mean} and {self.std}")
        if self.interpolation not in INTERPOLATIONS or self.crop_mode not in CROP_MODES:
            raise SevisError(
                f"sevis resizes by {' or '.join(INTERPOLATIONS)} interpolation and crops by {' or '.join(CROP_MODES)}, "
                f"not by {self.interpolation} and {self.crop_mode}"
            )

    @classmethod
    def square(cls, side: int) -> Self:
        """Return that of the networks which sevis trains: the shorter side becomes `side` pixels, and of the longer one the ends go."""
        return cls(resize=side, crop=side)

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Return the size to which a picture of so many pixels is resized before the centre is cut out: width, height."""
        if self.crop_mode == "squash":
            return self.resize, self.resize
        short = min(width, height)
        # Integer division: the longer side is cut, not rounded, as torchvision does it.
        return self.resize * width // short, self.resize * height // short

    def view(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return what the network sees of the picture: RGB, shape (crop, crop, 3)."""
        size = self.resized(*image.size)
        if size != image.size:
            image = image.resize(size, INTERPOLATIONS[self.interpolation])
        left = round((image.width - self.crop) / 2.0)
        top = round((image.height - self.crop) / 2.0)
        return np.asarray(image.crop((left, top, left + self.crop, top + self.crop)))

    def normalise(self, view: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the network's input for what it sees: (crop, crop, 3) bytes in, float32 (3, crop, crop) out."""
        values = view.astype(np.float32) / np.float32(255)
        normalised = (values - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(normalised.transpose(2, 0, 1))

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """Return the network's input: float32, shape (3, crop, crop)."""
        return self.normalise(self.view(image))

    def see(self, image: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return what the network sees of the picture, and its input."""
        view = self.view(image)
        return view, self.normalise(view)

    def describe(self) -> dict[str, Any]:
        """Return its fields by their names, as provenance."""
        return msgspec.structs.asdict(self)
