"""Maps and photos as pictures: each pixel against the arrays that went in."""

import numpy as np
import pytest

from sevis.figures.gates.mosaic import (
    BANNER,
    LEGEND,
    SIDE,
    GatedMaps,
    colours,
    corner,
    enlarge,
    framed,
    mosaic,
    mosaic_pair,
    overlay,
)


@pytest.fixture
def random():
    return np.random.default_rng(3)


def test_colours_are_white_at_zero_blue_below_red_above():
    low, zero, high = colours(np.float32([-2, 0, 2]), 2.0)
    assert zero.min() > 240
    assert low[2] > low[0] + 50
    assert high[0] > high[2] + 50
    assert np.array_equal(colours(np.float32([-9, np.nan, np.inf]), 2.0), np.stack([low, zero, high]))


def test_enlarging_repeats_pixels(random):
    picture = random.integers(0, 256, size=(4, 4, 3), dtype=np.uint8)
    assert np.array_equal(enlarge(picture, 12, 20), np.kron(picture, np.ones((3, 5, 1), dtype=np.uint8)))


def test_the_mosaic_holds_u_and_s_u_of_each_channel_in_the_same_colours(random):
    maps, scale = random.normal(size=(9, 6, 6)).astype(np.float32), random.uniform(size=9).astype(np.float32)
    channels = [4, 0, 8, 2, 7]
    picture = mosaic(GatedMaps(maps, scale), channels, columns=3).pixels
    assert picture.dtype == np.uint8
    for index, channel in enumerate(channels):
        limit = np.abs(maps[channel]).max()
        for scaled, expected in ((False, maps[channel]), (True, scale[channel] * maps[channel])):
            top, left = corner(index, scaled=scaled, columns=3)
            step = SIDE // 6
            centres = picture[top + step // 2 : top + SIDE : step, left + step // 2 : left + SIDE : step]
            assert np.array_equal(centres, colours(expected, limit))


def test_thumbnails_of_the_mosaic_do_not_overlap_and_lie_inside(random):
    maps = random.normal(size=(8, 3, 3)).astype(np.float32)
    height, width, _ = mosaic(GatedMaps(maps, np.ones(8, dtype=np.float32)), range(8)).pixels.shape
    covered = np.zeros((height, width), dtype=int)
    for index in range(8):
        for scaled in (False, True):
            top, left = corner(index, scaled=scaled)
            assert top + SIDE <= height
            assert left + SIDE <= width
            covered[top : top + SIDE, left : left + SIDE] += 1
    assert covered.max() == 1


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_map_without_values_is_white(value):
    picture = mosaic(GatedMaps(np.full((1, 2, 2), value, dtype=np.float32), np.ones(1, dtype=np.float32)), [0]).pixels
    top, left = corner(0, scaled=False)
    assert picture[top : top + SIDE, left : left + SIDE].min() > 240


def test_an_overlay_leaves_the_grey_photo_where_the_map_is_zero(random):
    photo = random.integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
    values = np.float32([[0, 3], [-3, 0]])
    laid = overlay(values, 3.0, photo).astype(float)
    grey = np.repeat(photo.astype(float).mean(axis=-1, keepdims=True), 3, axis=-1)
    for corner_of, value in (((0, 0), 0), ((0, 4), 3), ((4, 0), -3), ((4, 4), 0)):
        rows, columns = slice(corner_of[0], corner_of[0] + 4), slice(corner_of[1], corner_of[1] + 4)
        colour = colours(np.float32(value), 3.0)
        expected = grey[rows, columns] if value == 0 else 0.1 * grey[rows, columns] + 0.9 * colour
        assert np.abs(laid[rows, columns] - expected).max() <= 0.51


def test_the_frame_dims_only_what_is_outside(random):
    photo = random.integers(30, 256, size=(10, 20, 3), dtype=np.uint8)
    picture = framed(photo, (5, 0, 15, 10))
    assert np.array_equal(picture[:, 5:15], photo[:, 5:15])
    assert np.all(picture[:, :5] < photo[:, :5])
    assert np.all(picture[:, 15:] < photo[:, 15:])


def test_a_pair_of_mosaics_has_one_colour_scale_per_channel():
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(5, 3, 3)).astype(np.float32) * factor for factor in (1, 4)]
    scale = [rng.uniform(size=5).astype(np.float32) for _ in "AB"]
    shown = mosaic_pair(GatedMaps(maps[0], scale[0]), GatedMaps(maps[1], scale[1]), [3, 1])
    picture = shown.pixels
    height = (len(picture) - 2 * BANNER - LEGEND) // 2
    for photo in (0, 1):
        for index, channel in enumerate((3, 1)):
            limit = max(np.abs(maps[0][channel]).max(), np.abs(maps[1][channel]).max())
            for scaled, factor in ((False, 1), (True, scale[photo][channel])):
                top, left = corner(index, scaled=scaled)
                top += BANNER + photo * (height + BANNER)
                expected = enlarge(colours(factor * maps[photo][channel], float(limit)), SIDE, SIDE)
                np.testing.assert_array_equal(picture[top : top + SIDE, left : left + SIDE], expected)
    for photo, name in enumerate("AB"):
        u = np.concatenate([maps[photo][channel].ravel() for channel in (3, 1)])
        np.testing.assert_array_equal(shown.table[f"u_{name}"], u)
        np.testing.assert_allclose(shown.table[f"s_u_{name}"], u * np.repeat(scale[photo][[3, 1]], 9), rtol=1e-6)


def test_the_data_of_a_mosaic_say_which_pixel_of_which_channel_they_are(random):
    maps, scale = random.normal(size=(4, 2, 3)).astype(np.float32), random.uniform(size=4).astype(np.float32)
    picture = mosaic(GatedMaps(maps, scale), [3, 0])
    rows = list(zip(*(picture.table[name] for name in ("channel", "row", "column", "u", "s_u")), strict=True))
    assert [row[:3] for row in rows] == [(channel, y, x) for channel in (3, 0) for y in range(2) for x in range(3)]
    assert all((u, su) == (maps[channel, y, x], scale[channel] * maps[channel, y, x]) for channel, y, x, u, su in rows)
    assert picture.caption.startswith("The upper picture of each channel is its map u (2 × 3;")
