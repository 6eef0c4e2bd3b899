"""An image as a network's input, against torchvision."""

import numpy as np
import pytest
from PIL import Image
from torchvision import transforms

from sevis import SevisError
from sevis.data.preprocessing import Preprocessing
from tests.helpers.pictures import a_picture

SIZES = [
    (64, 64),
    (49, 49),
    (50, 51),
    (51, 50),
    (63, 64),
    (640, 480),
    (480, 641),
    (101, 333),
    (7, 5),
    (1, 1),
    (3, 100),
    (1023, 67),
    (66, 64),
]


@pytest.mark.parametrize(("resize", "crop"), [(64, 64), (73, 64), (32, 31), (16, 16), (256, 224)])
def test_preprocessing_equals_torchvision(resize: int, crop: int) -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    geometry = transforms.Compose([transforms.Resize(resize), transforms.CenterCrop(crop)])
    values = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    mine = Preprocessing(resize=resize, crop=crop, mean=mean, std=std)
    for width, height in SIZES:
        image = a_picture(width, height, seed=width)
        expected = geometry(image)
        np.testing.assert_array_equal(mine.view(image), np.asarray(expected), err_msg=f"{width} x {height}")
        result = mine(image)
        assert (result.dtype, result.shape, result.flags.c_contiguous) == (np.float32, (3, crop, crop), True)
        np.testing.assert_allclose(result, values(expected).numpy(), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("crop_mode", ["center", "squash"])
def test_every_way_to_resize_equals_torchvision(interpolation: str, crop_mode: str) -> None:
    size = 61 if crop_mode == "center" else (61, 61)
    geometry = transforms.Compose(
        [transforms.Resize(size, transforms.InterpolationMode(interpolation), antialias=True), transforms.CenterCrop(48)]
    )
    mine = Preprocessing(resize=61, crop=48, interpolation=interpolation, crop_mode=crop_mode)
    for width, height in SIZES:
        image = a_picture(width, height, seed=width)
        np.testing.assert_array_equal(mine.view(image), np.asarray(geometry(image)), err_msg=f"{width} x {height}")


def test_squashing_and_bicubic_are_other_pictures() -> None:
    image = a_picture(101, 73)
    options = [{}, {"interpolation": "bicubic"}, {"crop_mode": "squash"}, {"interpolation": "bicubic", "crop_mode": "squash"}]
    views = {Preprocessing(resize=61, crop=48, **option).view(image).tobytes() for option in options}
    assert len(views) == 4


def test_square_pictures_keep_their_square() -> None:
    for side in range(1, 200):
        assert Preprocessing(resize=16, crop=16).view(Image.new("RGB", (side, side), "white")).min() == 255


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resize": 32, "crop": 33}, "1 <= crop <= resize, got crop=33, resize=32"),
        ({"resize": 32, "crop": 0}, "got crop=0"),
        ({"resize": 32, "crop": 32, "std": (0.2, 0.0, 0.2)}, "three positive standard deviations"),
        ({"resize": 32, "crop": 32, "mean": (0.5,)}, "expected three means"),
        ({"resize": 32, "crop": 32, "interpolation": "lanczos"}, "by bilinear or bicubic interpolation .*, not by lanczos and center"),
        ({"resize": 32, "crop": 32, "crop_mode": "border"}, "crops by center or squash, not by bilinear and border"),
    ],
)
def test_impossible_preprocessing_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(SevisError, match=message):
        Preprocessing(**options)
