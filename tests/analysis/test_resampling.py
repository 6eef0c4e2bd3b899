"""Images drawn anew, against plain loops over the images that were drawn."""

import numpy as np
import pytest

from sevis.analysis import resampling
from sevis.analysis.resampling import bootstrap_weights, choose_images, class_slices, resampled_moments, shuffled_means

SIZES = np.array([4, 7, 5])


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture
def values(random):
    return random.uniform(size=(SIZES.sum(), 6)).astype(np.float32)


def test_images_are_chosen_class_by_class(random):
    labels = np.array([2, 0, 2, 5, 0, 2, 2, 9, 9])
    places, names, sizes = choose_images(labels, limit=100, random=random)
    assert (names.tolist(), sizes.tolist()) == ([0, 2, 9], [2, 4, 2])  # class 5 has one image, which cannot be drawn anew
    assert places.tolist() == [1, 4, 0, 2, 5, 6, 7, 8]


def test_of_too_many_images_as_many_are_drawn_of_each_class(random):
    labels = random.permutation(np.repeat([0, 1, 2], [100, 50, 3]))
    places, names, sizes = choose_images(labels, limit=30, random=random)
    assert sizes.tolist() == [10, 10, 3]
    assert len(set(places.tolist())) == 23
    assert labels[places].tolist() == np.repeat(names, sizes).tolist()
    assert choose_images(labels, limit=1, random=random)[2].tolist() == [2, 2, 2]


def test_without_images_nothing_is_drawn(random):
    places, names, sizes = choose_images(np.zeros(0, np.int64), limit=10, random=random)
    assert (len(places), len(names), len(sizes)) == (0, 0, 0)
    assert bootstrap_weights(sizes, 3, random).shape == (3, 0)


def test_each_class_is_drawn_as_often_as_it_has_images(random):
    weights = bootstrap_weights(SIZES, 500, random)
    assert weights.shape == (500, 16)
    for part, size in zip(class_slices(SIZES), SIZES, strict=True):
        assert (weights[:, part].sum(axis=1) == size).all()
    assert weights.mean(axis=0) == pytest.approx(np.ones(16), abs=0.2)
    assert weights.var(axis=0) == pytest.approx(np.repeat(1 - 1 / SIZES, SIZES), abs=0.3)  # of a multinomial


@pytest.mark.parametrize("elements", [1, 60, 10**6])
def test_resampled_moments_are_those_of_the_images_drawn(values, random, monkeypatch, elements):
    monkeypatch.setattr(resampling, "ELEMENTS", elements)  # so that one replicate, a few, or all are made at a time
    weights = bootstrap_weights(SIZES, 8, random)
    parts = list(resampled_moments(values, SIZES, weights))
    assert len(parts) == {1: 8, 60: 3, 10**6: 1}[elements]
    mean, m2 = (np.concatenate(part) for part in zip(*parts, strict=True))
    for replicate, row in enumerate(weights.astype(int)):
        for label, part in enumerate(class_slices(SIZES)):
            drawn = np.repeat(values[part].astype(np.float64), row[part], axis=0)
            np.testing.assert_allclose(mean[replicate, label], drawn.mean(axis=0), rtol=1e-6)
            np.testing.assert_allclose(m2[replicate, label], np.square(drawn - drawn.mean(axis=0)).sum(axis=0), rtol=1e-5, atol=1e-6)


def test_small_variances_near_one_survive_float32(random):
    values = (0.98 + 1e-4 * random.normal(size=(SIZES.sum(), 6))).astype(np.float32)
    weights = bootstrap_weights(SIZES, 20, random)
    (_, m2), *_ = resampled_moments(values, SIZES, weights)
    part = class_slices(SIZES)[1]
    drawn = np.repeat(values[part].astype(np.float64), weights[3, part].astype(int), axis=0)
    np.testing.assert_allclose(m2[3, 1], np.square(drawn - drawn.mean(axis=0)).sum(axis=0), rtol=1e-2)
    assert (m2 >= 0).all()


def test_no_variance_is_rounded_below_zero():
    values = np.zeros((3, 500), np.float32)
    values[1] = np.random.default_rng(1).uniform(0.1, 0.9, size=500)  # a hard gate that one photo opens
    (_, m2), *_ = resampled_moments(values, np.array([3]), np.array([[0, 3, 0], [1, 2, 0], [3, 0, 0]], np.float32))
    assert (m2 >= 0).all()


@pytest.mark.parametrize("elements", [1, 10**6])
def test_shuffled_means_are_those_of_the_images_in_another_order(values, monkeypatch, elements):
    monkeypatch.setattr(resampling, "ELEMENTS", elements)
    found = np.concatenate(list(shuffled_means(values, SIZES, 5, np.random.default_rng(7))))
    again = np.random.default_rng(7)
    for means in found:
        order = again.permutation(len(values))
        for mean, part in zip(means, class_slices(SIZES), strict=True):
            np.testing.assert_allclose(mean, values[order[part]].mean(axis=0), rtol=1e-5)
