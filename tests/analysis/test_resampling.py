"""Which images are looked at, and shuffled labels, against plain loops."""

import numpy as np
import pytest

from sevis.analysis import resampling
from sevis.analysis.resampling import choose_images, class_slices, shuffled_means

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


@pytest.mark.parametrize("elements", [1, 10**6])
def test_shuffled_means_are_those_of_the_images_in_another_order(values, monkeypatch, elements):
    monkeypatch.setattr(resampling, "ELEMENTS", elements)
    found = np.concatenate(list(shuffled_means(values, SIZES, 5, np.random.default_rng(7))))
    again = np.random.default_rng(7)
    for means in found:
        order = again.permutation(len(values))
        for mean, part in zip(means, class_slices(SIZES), strict=True):
            np.testing.assert_allclose(mean, values[order[part]].mean(axis=0), rtol=1e-5)
