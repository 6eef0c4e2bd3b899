"""The tables behind Figures 6 and 7 against NumPy over the raw excitations: orders of the channels, and groups of classes."""

import re

import numpy as np
import pytest

from sevis.analysis.class_curves import (
    INDEX,
    MEAN,
    ORDERS,
    SHARE,
    count_of,
    label_of,
    mean_table,
    missing,
    order_channels,
    sample_channels,
    spread_table,
    std_of,
)
from sevis.analysis.class_groups import Group
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError
from sevis.figures.classes.figure6 import entries, figure6, mean_panel
from sevis.figures.classes.figure7 import figure7, spread_panels

SITE = "SE_2_1"
COUNTS = {"lion": 6, "tabby": 2, "pizza": 1, "cliff": 0, "espresso": 4}
WIDTH = 80
FELINES = Group("feline", (0, 1))
FOOD = Group("food", (2, 3, 4))


@pytest.fixture(scope="module")
def scales():
    """The scales of each class's images, of shape (n, C); in the first half of the channels classes differ more and more."""
    random = np.random.default_rng(1)
    lean = np.linspace(0, 0.4, WIDTH)
    return {
        name: (0.3 + lean * (place % 2) + random.uniform(0, 0.1, size=(count, WIDTH))).astype(np.float32)
        for place, (name, count) in enumerate(COUNTS.items())
    }


@pytest.fixture(scope="module")
def statistics(scales):
    statistics = ClassStatistics({SITE: WIDTH}, tuple(COUNTS))
    for label, scale in enumerate(scales.values()):
        statistics.update(np.full(len(scale), label), {SITE: {"scale": scale, "squeeze": scale}})
    return statistics


def everything(scales):
    return np.concatenate(list(scales.values())).astype(np.float64)


def omega_squared(scales):
    """Hays' omega squared of each channel by its textbook definition, in a plain loop over classes."""
    groups = [scale.astype(np.float64) for scale in scales.values() if len(scale)]
    images, total = sum(map(len, groups)), everything(scales)
    between = sum(len(group) * np.square(group.mean(axis=0) - total.mean(axis=0)) for group in groups)
    within = sum(np.square(group - group.mean(axis=0)).sum(axis=0) for group in groups) / (images - len(groups))
    return (between - (len(groups) - 1) * within) / (np.square(total - total.mean(axis=0)).sum(axis=0) + within)


@pytest.mark.parametrize("width", [50, 51, 128, 1000, 2048])
def test_sampled_channels_are_evenly_spaced_and_hold_both_ends(width):
    picked = sample_channels(width, 50)
    steps = np.diff(picked)
    assert (len(picked), picked[0], picked[-1]) == (50, 0, width - 1)
    assert steps.min() >= 1
    assert steps.max() - steps.min() <= 1


def test_all_channels_are_drawn_when_asked_for_or_when_there_are_few():
    assert sample_channels(128, None).tolist() == list(range(128))
    assert sample_channels(12, 50).tolist() == list(range(12))
    assert sample_channels(9, 1).tolist() == [0]
    with pytest.raises(SevisError, match="at least one channel to draw, got 0"):
        sample_channels(128, 0)


def test_by_index_the_channels_stand_as_they_are(statistics):
    channels, values = order_channels(statistics, SITE)
    assert channels.tolist() == values.tolist() == list(range(WIDTH))


def test_by_mean_they_fall_from_the_highest_to_the_lowest(statistics, scales):
    channels, values = order_channels(statistics, SITE, MEAN)
    assert sorted(channels) == list(range(WIDTH))
    np.testing.assert_allclose(values, np.sort(everything(scales).mean(axis=0))[::-1])
    np.testing.assert_allclose(everything(scales).mean(axis=0)[channels], values)


def test_by_class_share_they_fall_by_omega_squared(statistics, scales):
    channels, values = order_channels(statistics, SITE, SHARE)
    expected = omega_squared(scales)
    np.testing.assert_allclose(values, np.sort(expected)[::-1])
    np.testing.assert_allclose(expected[channels], values)


def test_a_channel_without_a_class_share_comes_last():
    statistics = ClassStatistics({SITE: 3}, ("a", "b"))
    scale = np.array([[0.1, 0.5, 0.2], [0.1, 0.5, 0.4], [0.1, 0.9, 0.1], [0.1, 0.8, 0.3]], dtype=np.float32)
    statistics.update(np.array([0, 0, 1, 1]), {SITE: {"scale": scale, "squeeze": scale}})
    channels, values = order_channels(statistics, SITE, SHARE)
    assert channels.tolist()[-1] == 0, "it never varies"
    assert np.isnan(values[-1])
    assert channels[0] == 1


def test_an_unknown_order_is_refused_with_the_known_ones(statistics):
    with pytest.raises(SevisError, match=re.escape("with the name 'size': choose one of index, mean, class share")):
        mean_table(statistics, SITE, ["lion"], order="size")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("count", [50, None])
def test_the_channels_of_a_table_are_spread_evenly_over_their_order(statistics, scales, order, count):
    channels, values = order_channels(statistics, SITE, order)
    places = sample_channels(WIDTH, count)
    table = mean_table(statistics, SITE, ["lion", FOOD], channels=count, order=order)
    np.testing.assert_array_equal(table["channel"], channels[places])
    np.testing.assert_allclose(table["lion (n = 6)"], scales["lion"].astype(np.float64).mean(axis=0)[channels[places]])
    assert ("rank" in table) == (order != INDEX)
    if order == SHARE:
        np.testing.assert_array_equal(table["class share"], values[places])
    if order != INDEX:
        assert table["rank"].tolist() == (places + 1).tolist()
        assert next(iter(table)) == "rank"


@pytest.mark.parametrize("order", [MEAN, SHARE])
def test_ranked_panels_tell_their_channels(statistics, order):
    spreads = spread_panels(statistics, SITE, [FOOD, "lion"], order=order).figures
    for figure in (mean_panel(statistics, SITE, ["lion", FOOD], order=order).figure, *spreads):
        assert figure.layout.xaxis.title.text == f"rank by {order}"
        assert "rank" in figure.layout.xaxis.unifiedhovertitle.text
        overall = next(trace for trace in figure.data if trace.line.dash == "dot")
        np.testing.assert_array_equal(overall.customdata, order_channels(statistics, SITE, order)[0][sample_channels(WIDTH)])
        assert "channel %{customdata}" in overall.hovertemplate
        assert all(trace.x[0] == 1 and trace.x[-1] == WIDTH for trace in figure.data)
    for grid in (figure6(statistics, [SITE], ["lion"], order=order), figure7(statistics, [SITE], ["lion"], order=order)):
        assert grid.figure.layout.xaxis.title.text == f"rank by {order}"


def test_captions_say_the_order(statistics):
    for panel in (mean_panel(statistics, SITE, ["lion"], order=MEAN), spread_panels(statistics, SITE, ["lion"], order=MEAN)):
        assert panel.caption.endswith("; the channels are sorted by their mean over all images, highest first.")
    assert "class share" in mean_panel(statistics, SITE, ["lion"], order=SHARE).caption
    assert "first" not in mean_panel(statistics, SITE, ["lion"]).caption


def test_a_group_is_the_mean_over_its_images_not_over_its_classes(statistics, scales):
    table = mean_table(statistics, SITE, [FELINES, FOOD], channels=None)
    for group, names in ((FELINES, ("lion", "tabby")), (FOOD, ("pizza", "cliff", "espresso"))):
        images = np.concatenate([scales[name] for name in names]).astype(np.float64)
        label = f"{group.name} (group of {len(names)}, n = {len(images)})"
        assert label_of(statistics, group) == label
        np.testing.assert_allclose(table[label], images.mean(axis=0))
        np.testing.assert_allclose(std_of(statistics, SITE, group), images.std(axis=0, ddof=1))
        spread = spread_table(statistics, SITE, [group, "lion"], channels=None)
        np.testing.assert_allclose(spread[f"standard deviation of {label}"], images.std(axis=0, ddof=1))
        np.testing.assert_allclose(spread["standard deviation of lion (n = 6)"], scales["lion"].astype(np.float64).std(axis=0, ddof=1))
        assert f"within {group} ({len(images)} photos)" in spread_panels(statistics, SITE, [group]).caption


def test_groups_and_classes_share_one_legend(statistics):
    legend = list(entries(statistics, ["lion", FELINES, "lion"]))
    assert legend == ["lion (n = 6)", "feline (group of 2, n = 8)", "all 4 classes (n = 13)"]
    drawn = {trace.name for trace in mean_panel(statistics, SITE, ["lion", FELINES]).figure.data}
    assert drawn == set(legend)


def test_a_group_of_one_image_or_none_has_no_spread():
    statistics = ClassStatistics({SITE: 2}, ("a", "b", "c"))
    scale = np.array([[0.25, 0.5]], dtype=np.float32)
    statistics.update(np.array([0]), {SITE: {"scale": scale, "squeeze": scale}})
    one, none = Group("one", (0, 1)), Group("none", (1, 2))
    assert [count_of(statistics, group) for group in (one, none)] == [1, 0]
    assert missing(statistics, [one, none]) == ["none (group of 2)"]
    assert np.isnan(std_of(statistics, SITE, one)).all()
    assert np.isnan(std_of(statistics, SITE, none)).all()
    np.testing.assert_array_equal(mean_table(statistics, SITE, [one, none])["one (group of 2, n = 1)"], [0.25, 0.5])
    assert list(spread_table(statistics, SITE, [none])) == ["channel", "all 1 classes (n = 1)"]
    assert "no photo of none (group of 2)" in spread_panels(statistics, SITE, [none]).caption
    assert "only one photo of one (group of 2)" in spread_panels(statistics, SITE, [one]).caption
