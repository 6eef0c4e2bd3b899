"""The figures of one channel against NumPy over the raw scales, and the grid of photos pixel by pixel."""

import json

import numpy as np
import pytest
from PIL import Image

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.histograms import Histogram
from sevis.figures.classes.channel import (
    PHOTO_SIDE,
    ExtremePhoto,
    class_bars,
    describe_channel,
    extreme_classes,
    photo_corner,
    photo_grid,
    scale_histogram,
)
from sevis.figures.gates.mosaic import overlay
from sevis.figures.theme import LESS, MORE

SITE, WIDTH, CHANNEL = "SE_4_6", 12, 5


def made(counts, *, sample=50, seed=0):
    """Statistics with so many images of each class, and their scales by class, of shape (n, C)."""
    random = np.random.default_rng(seed)
    scales = [random.beta(1 + label % 5, 2, size=(count, WIDTH)).astype(np.float32) for label, count in enumerate(counts)]
    statistics = ClassStatistics({SITE: WIDTH}, tuple(f"class {label}" for label in range(len(counts))), sample=sample)
    for label, scale in enumerate(scales):
        statistics.update(np.full(len(scale), label), {SITE: {"scale": scale, "squeeze": scale}})
    return statistics, [scale.astype(np.float64) for scale in scales]


@pytest.fixture(scope="module")
def many():
    return made([3 + label % 4 for label in range(30)] + [0])


def test_the_classes_at_the_ends_are_those_with_the_extreme_means(many):
    statistics, scales = many
    means = [scale[:, CHANNEL].mean() for scale in scales[:-1]]
    most, least = extreme_classes(statistics, SITE, CHANNEL)
    assert most == list(np.argsort(means)[::-1][:10])
    assert least == list(np.argsort(means)[:10][::-1])


@pytest.mark.parametrize("classes", [1, 2, 3, 7, 20, 21])
def test_few_classes_are_all_shown_and_none_twice(classes):
    statistics, _ = made([2] * classes)
    most, least = extreme_classes(statistics, SITE, 0)
    assert len({*most, *least}) == len(most) + len(least) == min(classes, 20)
    assert 0 <= len(most) - len(least) <= 1


def test_the_bars_are_means_with_a_whisker_of_one_standard_deviation(many):
    statistics, scales = many
    chart = class_bars(statistics, SITE, CHANNEL)
    figure = chart.figure
    most, least = extreme_classes(statistics, SITE, CHANNEL)
    for bars, rows, colour in zip(figure.data, (most, least), (MORE, LESS), strict=True):
        np.testing.assert_allclose(bars.x, [scales[row][:, CHANNEL].mean() for row in rows], rtol=1e-6)
        np.testing.assert_allclose(bars.error_x.array, [scales[row][:, CHANNEL].std(ddof=1) for row in rows], rtol=1e-5)
        assert bars.marker.color == colour
        assert [data[0] for data in bars.customdata] == [f"class {row}" for row in rows]
    assert list(figure.layout.yaxis.ticktext) == [f"class {row}" for row in (*most, *least)]
    assert figure.layout.shapes[0].x0 == pytest.approx(np.concatenate(scales)[:, CHANNEL].mean(), rel=1e-6)
    assert "of 30 classes, sorted" in chart.caption
    table = chart.table
    np.testing.assert_allclose(table["mean"], np.concatenate([bars.x for bars in figure.data]), rtol=1e-6)
    assert table["images"].tolist() == [len(scales[row]) for row in (*most, *least)]


def test_a_class_of_one_photo_has_no_whisker_and_says_so():
    statistics, _ = made([1, 4])
    chart = class_bars(statistics, SITE, 0)
    figure = chart.figure
    (single,) = [bars for bars in figure.data if bars.customdata[0][2] == 1]
    assert list(single.error_x.array) == [0]
    assert single.customdata[0][1] == "unknown"
    assert np.isnan(chart.table["standard deviation"]).sum() == 1


def test_names_are_text_and_no_markup():
    statistics = ClassStatistics({SITE: 1}, ("<b>bold</b>", "b"), sample=5)
    scale = np.array([[0.2], [0.7]], dtype=np.float32)
    statistics.update(np.array([0, 1]), {SITE: {"scale": scale, "squeeze": scale}})
    drawn = json.dumps(json.loads(class_bars(statistics, SITE, 0).figure.to_json()), ensure_ascii=False)
    assert "<b>" not in drawn
    assert "&lt;b&gt;bold" in drawn


def test_the_histogram_counts_the_channel_and_the_block(many):
    statistics, scales = many
    values = statistics.sample(SITE).values[:, CHANNEL]
    everything = np.concatenate(scales)
    np.testing.assert_allclose(np.sort(values), np.sort(everything[:, CHANNEL]), atol=2.5e-4)  # float16
    chart = scale_histogram(values, statistics.histogram(SITE), site=SITE, channel=CHANNEL)
    table = chart.table
    edges = np.linspace(0, 1, 51)
    np.testing.assert_allclose(table["from"], edges[:-1])
    np.testing.assert_allclose(table["share of the channel's photos"] * len(everything), np.histogram(values.astype(float), edges)[0])
    np.testing.assert_allclose(table["share of the block's scales"] * everything.size, np.histogram(everything, edges)[0])
    bars, line = chart.figure.data
    np.testing.assert_allclose(bars.y, table["share of the channel's photos"])
    np.testing.assert_allclose(line.y, table["share of the block's scales"])
    np.testing.assert_allclose(bars.x, edges[:-1] + 0.01)


def test_scales_outside_0_to_1_are_counted_and_said():
    counts = np.zeros((1, 100), np.int64)
    counts[0, 10] = 6
    block = Histogram(np.arange(101) / 100, counts, np.array([1]), np.array([3]), np.array([0]), np.array([0]))
    values = np.array([-0.5, 0.105, 0.105, 2.0], dtype=np.float32)
    chart = scale_histogram(values, block, site=SITE, channel=0)
    table = chart.table
    assert table["share of the channel's photos"].sum() == 0.5
    assert table["share of the block's scales"].sum() == 0.6
    assert "50% of the photos have a scale outside 0 to 1" in chart.caption
    assert "outside" not in scale_histogram(values[1:3], block, site=SITE, channel=0).caption


def test_the_words_hold_the_numbers(many):
    statistics, scales = many
    values = np.concatenate(scales)[:, CHANNEL]
    text = describe_channel(statistics, SITE, CHANNEL)
    assert f"a mean of **{values.mean():.3f}** and a standard deviation of **{values.std(ddof=1):.3f}**" in text
    groups = [scale[:, CHANNEL] for scale in scales if len(scale)]
    between = sum(len(group) * (group.mean() - values.mean()) ** 2 for group in groups)
    within = sum(((group - group.mean()) ** 2).sum() for group in groups) / (len(values) - len(groups))
    share = (between - (len(groups) - 1) * within) / (((values - values.mean()) ** 2).sum() + within)
    assert f"(omega squared {share:.3f}, rank " in text
    assert f"above 0.9 in **{np.mean(values > 0.9):.0%}** of {len(values)} photos and below 0.1 in **{np.mean(values < 0.1):.0%}**" in text


def test_only_what_reaches_an_end_is_said_to():
    scale = np.array([[0.99999, 0.5, -0.5], [0.5, 1, 0.5], [0, 0.2, 0.7]], dtype=np.float32)  # 0.99999 is 1 in float16
    statistics = ClassStatistics({SITE: 3}, ("a", "b"), sample=5)
    statistics.update(np.array([0, 0, 0]), {SITE: {"scale": scale, "squeeze": scale}})
    first, second, third = (describe_channel(statistics, SITE, channel) for channel in range(3))
    assert first.endswith("and below 0.1 in **33%**, and reaches exactly 0.")
    assert second.endswith("and below 0.1 in **0%**, and reaches exactly 1.")
    assert third.endswith("above 0.9 in **0%** of 3 photos.")  # of a scale below zero, none is called closed


def test_a_gate_that_never_moves_is_called_so():
    statistics = ClassStatistics({SITE: 1}, ("a", "b"), sample=5)
    scale = np.full((6, 1), 0.4, dtype=np.float32)
    statistics.update(np.array([0, 0, 0, 1, 1, 1]), {SITE: {"scale": scale, "squeeze": scale}})
    text = describe_channel(statistics, SITE, 0)
    assert "the same for every photo" in text
    assert "variance" not in text


def test_what_is_not_known_is_not_invented():
    statistics, _ = made([1, 1])
    assert "is unknown: that needs" in describe_channel(statistics, SITE, 0)
    one, scales = made([1, 0])
    assert f"its scale s is **{scales[0][0, 0]:.3f}** in the only photo" in describe_channel(one, SITE, 0)
    empty, _ = made([0, 0])
    assert "the statistics hold no photo" in describe_channel(empty, SITE, 0)


def test_the_grid_holds_each_photo_with_its_map_over_it():
    random = np.random.default_rng(0)
    photos = [random.integers(0, 256, size=(64, 64, 3), dtype=np.uint8) for _ in range(5)]
    maps = [random.normal(size=(4, 4)).astype(np.float32) for _ in range(4)]
    examples = [
        ExtremePhoto("tabby, tabby cat", 0.5, photo, number, f"{number}.jpg", map)
        for number, (photo, map) in enumerate(zip(photos, [*maps, None], strict=True))
    ]
    shown = photo_grid(examples, of="lowest scale of channel 7 of SE_4_1", limit=2.0)
    assert shown.caption.startswith("The 5 photos with the lowest scale of channel 7 of SE_4_1, each with")
    assert shown.table == {
        "photo": [0, 1, 2, 3, 4],
        "file": ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg"],
        "class": ["tabby, tabby cat"] * 5,
        "s": [0.5] * 5,
    }
    picture = shown.pixels
    for place, (photo, values) in enumerate(zip(photos, [*maps, None], strict=True)):
        top, left = photo_corner(place)
        large = np.asarray(Image.fromarray(photo).resize((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.BOX))
        expected = large if values is None else overlay(values, 2.0, large)
        np.testing.assert_array_equal(picture[top : top + PHOTO_SIDE, left : left + PHOTO_SIDE], expected)
    assert photo_corner(3)[0] > photo_corner(2)[0] + PHOTO_SIDE
    assert photo_grid(examples[:1], of="", limit=1.0).pixels.shape[1] == picture.shape[1]


def test_a_long_name_does_not_reach_into_the_number():
    photo = np.zeros((64, 64, 3), dtype=np.uint8)
    top, left = photo_corner(0)
    for number in (0.25, 0.5):
        long, none = (
            photo_grid([ExtremePhoto(name, number, photo, 0, "")], of="", limit=1.0).pixels
            for name in ("wwwwwwwwwwwwwwwwwwwwwwwwwwwwwww", "")
        )
        end = (slice(0, top), slice(left + PHOTO_SIDE - 40, left + PHOTO_SIDE))
        np.testing.assert_array_equal(long[end], none[end])
        assert (long != none).any()
