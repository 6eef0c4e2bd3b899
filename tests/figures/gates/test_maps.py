"""Maps before and behind a gate, of sequences, photos and volumes, against the arrays that went in."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from sevis import SevisError, SqueezeExcitation, capture
from sevis.figures.gates.maps import STRETCHES, draw_maps
from sevis.figures.gates.mosaic import GatedMaps, mosaic
from tests.helpers.processes import loaded_by

SCALE = np.float32([0.5, 0.9, 0.1, 0.7, 0.2, 0.6, 0.3, 0.8, 0.4, 0.0])
ENDS = [1, 7, 3, 5, 9, 2, 4, 6]  # the four most open, the most open first; the four most shut, the most shut first


@pytest.fixture
def random():
    return np.random.default_rng(3)


def pixels(chart):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(chart.figure.data[0].source.partition(",")[2]))))


def test_a_sequence_is_drawn_as_a_line_behind_the_gate_over_one_before_it(random):
    maps = random.normal(size=(10, 30)).astype(np.float32)
    maps[3] = 0
    chart = draw_maps(maps, SCALE, site="SE_3_1")
    before, behind = chart.figure.data[::2], chart.figure.data[1::2]
    assert [label.split(",")[0] for label in chart.figure.layout.yaxis.ticktext] == [f"ch {channel}" for channel in ENDS]
    for row, (channel, u, gated) in enumerate(zip(ENDS, before, behind, strict=True)):
        assert u.line.width > 1.5 * gated.line.width
        assert u.line.color != gated.line.color
        np.testing.assert_array_equal(u.x, np.arange(30))
        np.testing.assert_allclose(u.customdata, maps[channel])
        np.testing.assert_allclose(gated.customdata, SCALE[channel] * maps[channel])
        np.testing.assert_allclose(row - gated.y, SCALE[channel] * (row - u.y), atol=1e-6)
        assert np.abs(row - u.y).max() == pytest.approx(0 if channel == 3 else 0.45, abs=1e-6)
    assert "SE_3_1" in chart.figure.layout.title.text
    rows = np.flatnonzero(np.equal(chart.table["channel"], 7))
    np.testing.assert_allclose(np.asarray(chart.table["s_u"])[rows], 0.8 * maps[7], rtol=1e-6)


def test_a_long_sequence_keeps_its_lowest_and_highest_values(random):
    maps = random.normal(size=(2, 12_345)).astype(np.float32)
    chart = draw_maps(maps, SCALE[:2], channels=[1])
    drawn = chart.figure.data[0]
    assert len(drawn.x) == 2 * STRETCHES
    assert np.all(np.diff(drawn.x) >= 0)
    np.testing.assert_array_equal(drawn.customdata, maps[1, drawn.x])
    for edge in range(0, 12_345, 100):  # each of them holds a whole stretch
        inside = drawn.customdata[(drawn.x >= edge) & (drawn.x < edge + 100)]
        assert inside.max() >= maps[1, edge + 25 : edge + 75].max()
    assert f"{STRETCHES} stretches" in chart.caption
    assert len(chart.table["u"]) == 12_345


def test_maps_are_thumbnails_and_volumes_are_shown_by_their_middle_slice(random):
    volume = random.normal(size=(10, 5, 4, 6)).astype(np.float32)
    photo, scan = draw_maps(volume[:, 2], SCALE), draw_maps(volume, SCALE)
    expected = mosaic(GatedMaps(volume[:, 2], SCALE), ENDS, columns=8).pixels
    np.testing.assert_array_equal(pixels(photo), expected)
    np.testing.assert_array_equal(pixels(scan), expected)
    assert scan.caption == f"{photo.caption} Shown is slice 2 along the depth, the middle one of 0 to 4."
    assert set(scan.table["slice"]) == {2}
    rows = [np.asarray(scan.table[name])[-1] for name in ("channel", "row", "column", "u")]
    assert rows == [6, 3, 5, volume[6, 2, 3, 5]]


def test_what_is_not_finite_is_drawn_as_zero():
    maps = np.float32([[1, np.nan, -2, np.inf]])
    np.testing.assert_array_equal(draw_maps(maps, [1], channels=[0]).figure.data[0].customdata, [1, 0, -2, 0])


@pytest.mark.parametrize("places", [(9,), (5, 7), (3, 4, 5)])
def test_what_capture_keeps_can_be_drawn(places):
    model = torch.nn.Sequential(SqueezeExcitation(16)).eval()
    with capture(model, maps=["SE_2_1"]) as record, torch.inference_mode():
        model(torch.randn(2, 16, *places))
    block = record["SE_2_1"]
    assert draw_maps(block.maps[1], block.scale[1]).table["u"].size


@pytest.mark.parametrize(
    ("maps", "scale", "channels", "message"),
    [
        (np.zeros((2, 10, 4, 4)), np.zeros((2, 10)), None, r"got \(2, 10, 4, 4\) and \(2, 10\): of a record, take one input"),
        (np.zeros((2, 10, 4, 4, 4)), np.zeros(2), None, r"expected maps of one input, shape \(C, L\), \(C, H, W\) or"),
        (np.zeros(10), np.zeros(10), None, r"got \(10,\) and \(10,\)"),
        (np.zeros((10, 4)), np.zeros(9), None, r"got \(10, 4\) and \(9,\)"),
        (np.zeros((10, 4)), np.zeros(10), [3, 10], "channels from 0 to 9, got 10"),
        (np.zeros((10, 4)), np.zeros(10), [-1], "channels from 0 to 9, got -1"),
        (np.zeros((10, 4)), np.zeros(10), [], "channels from 0 to 9, got none"),
    ],
)
def test_what_cannot_be_drawn_is_refused(maps, scale, channels, message):
    with pytest.raises(SevisError, match=message):
        draw_maps(maps, scale, channels=channels)


def test_the_figure_loads_no_torch():
    assert not loaded_by("import sevis.figures.gates.maps") & {"torch", "streamlit"}
