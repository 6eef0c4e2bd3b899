"""The linear discriminant against scikit-learn's, and against populations whose best reader is known; how often its interval is right."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from sevis.analysis.discriminant import FOLDS, discriminant_class, draw_folds
from sevis.analysis.formulas import nearest_class
from sevis.analysis.intervals import SHARED, read_share, wilson

Floats = NDArray[np.floating]


class Within(BaseEstimator):
    """scikit-learn's discriminant asks this for the covariance of each class; it gives that within all of them, shrunk."""

    def __init__(self, covariance: Floats | None = None) -> None:
        self.covariance = covariance

    def fit(self, values: Floats) -> "Within":
        self.covariance_ = self.covariance
        return self


class Pooled(LinearDiscriminantAnalysis):
    """The discriminant of scikit-learn on the covariance within classes that its `ledoit_wolf` shrinks."""

    def fit(self, values: Floats, labels: NDArray[np.integer]) -> "Pooled":
        names, rows = np.unique(labels, return_inverse=True)
        means = np.stack([values[labels == name].mean(axis=0) for name in names])
        covariance, _ = ledoit_wolf(values - means[rows], assume_centered=True)
        self.covariance_estimator = Within(covariance * len(values) / (len(values) - len(names)))
        return super().fit(values, labels)


def population(classes: int, channels: int, *, effect: float, uneven: float, seed: int = 0):
    """Return a function that gives scales for labels: Gaussian classes with one covariance, and some that lie further apart than others."""
    random = np.random.default_rng(seed)
    axes = np.linalg.qr(random.normal(size=(channels, channels)))[0]
    mixture = 0.1 * np.geomspace(1, 0.1, channels)[:, None] * axes
    distances = effect * np.exp(uneven * random.normal(size=(classes, 1)))
    centres = 0.5 + 0.02 * distances * random.normal(size=(classes, channels))

    def draw(labels: NDArray[np.integer], random: np.random.Generator) -> Floats:
        return (centres[labels] + random.normal(size=(len(labels), channels)) @ mixture).astype(np.float32)

    return draw, centres, mixture.T @ mixture


@pytest.mark.parametrize(("sizes", "channels"), [([40, 40, 40], 8), ([30, 7, 12, 2], 20), ([6] * 10, 90)])
def test_it_finds_what_scikit_learn_finds_on_the_same_folds(sizes: list[int], channels: int) -> None:
    labels = np.repeat(np.arange(len(sizes)) + 3, sizes)
    random = np.random.default_rng(1)
    values = population(len(sizes) + 3, channels, effect=0.6, uneven=0.5)[0](labels, random)
    folds = draw_folds(np.array(sizes), random)
    reader = Pooled(solver="lsqr", priors=np.array(sizes) / len(labels))
    expected = cross_val_predict(reader, values.astype(np.float64), labels, cv=PredefinedSplit(folds))
    found = discriminant_class(values, labels, folds)
    assert 0.3 < (found == labels).mean() < 1
    np.testing.assert_array_equal(found, expected)


def test_it_comes_near_the_best_reader_where_the_nearest_mean_does_not() -> None:
    draw, centres, covariance = population(10, 30, effect=0.6, uneven=0)
    labels, random = np.repeat(np.arange(10), 400), np.random.default_rng(2)
    values = draw(labels, random)
    weights = np.linalg.solve(covariance, centres.T)
    best = np.argmax(values @ weights - np.einsum("kc,ck->k", centres, weights) / 2, axis=1)  # Bayes' rule for the true population
    share = (best == labels).mean()
    found = (discriminant_class(values, labels, draw_folds(np.full(10, 400), random)) == labels).mean()
    nearest = (nearest_class(values, labels) == labels).mean()
    assert share - 0.03 < found <= share
    assert nearest < 0.6 * found


def test_an_image_is_read_by_what_others_say() -> None:
    """Labels that mean nothing are read as often as chance gives, however many channels there are to learn them by heart."""
    random = np.random.default_rng(3)
    sizes = np.full(20, 50)
    values, labels = random.uniform(size=(1000, 200)).astype(np.float32), np.repeat(np.arange(20), 50)
    share = (discriminant_class(values, labels, draw_folds(sizes, random)) == labels).mean()
    assert share == pytest.approx(1 / 20, abs=3 * np.sqrt(0.05 * 0.95 / 1000))


@pytest.mark.parametrize("sizes", [[50, 50], [5] * 30, [2] * 7, [3, 2, 11]])
def test_folds_are_equally_large_and_have_their_part_of_every_class(sizes: list[int]) -> None:
    folds = draw_folds(np.array(sizes), np.random.default_rng(4))
    assert np.ptp(np.bincount(folds, minlength=FOLDS)) <= 1
    for start, end in pairwise([0, *np.cumsum(sizes)]):
        assert np.ptp(np.bincount(folds[start:end], minlength=FOLDS)) <= 1
    again, other = (draw_folds(np.array(sizes), np.random.default_rng(seed)) for seed in (4, 5))
    np.testing.assert_array_equal(folds, again)
    assert not np.array_equal(folds, other)


@pytest.mark.parametrize("sizes", [[20, 25, 15, 20], [2, 2], [4] * 30])
def test_gates_that_never_change_give_chance(sizes: list[int]) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    folds = draw_folds(np.array(sizes), np.random.default_rng(5))
    found = discriminant_class(np.full((len(labels), 12), 0.3, np.float32), labels, folds)
    assert (found == labels).mean() == max(sizes) / sum(sizes)


def test_a_channel_that_never_changes_changes_nothing() -> None:
    labels, random = np.repeat(np.arange(4), 20), np.random.default_rng(6)
    values = population(4, 10, effect=1, uneven=0)[0](labels, random)
    dead = values.copy()
    dead[:, 3] = 0.5
    folds = draw_folds(np.full(4, 20), random)
    share = (discriminant_class(dead, labels, folds) == labels).mean()
    assert share == pytest.approx((discriminant_class(values, labels, folds) == labels).mean(), abs=0.15)
    apart = np.repeat(labels[:, None] / 10, 10, axis=1).astype(np.float32)  # no channel varies within a class
    np.testing.assert_array_equal(discriminant_class(apart, labels, folds), labels)


def test_the_interval_is_that_of_images_drawn_within_their_classes() -> None:
    sizes, right = np.array([10, 20, 20]), [1, 10, 17]
    holds = np.concatenate([np.arange(size) < hits for size, hits in zip(sizes, right, strict=True)])
    shares = np.array(right) / sizes
    variance = SHARED * np.sum((sizes / 50) ** 2 * shares * (1 - shares) / (sizes - 1))
    share = 28 / 50
    low, high = read_share(holds, sizes)
    for end in (low, high):  # Wilson's interval: the shares p with |p - share| = z √(p (1 - p) / n), with n from the variance
        assert abs(end - share) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) * variance / (share * (1 - share))))
    assert low < share < high
    assert read_share(np.ones(50, bool), sizes) == pytest.approx((50 / SHARED / (50 / SHARED + 1.959964**2), 1))
    apart = read_share(np.arange(50) < 10, sizes)  # one class is always read, the others never
    assert apart[0] < 0.2 < apart[1]
    assert apart[1] - apart[0] < 0.6 * np.subtract(*wilson(10, 50)[::-1])


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0.15, 0.3, 1])
@pytest.mark.parametrize(("classes", "images", "tries"), [(20, 5, 200), (20, 50, 200), (200, 50, 50)])
def test_intervals_hold_what_a_reader_of_so_many_images_is_expected_to_read(classes: int, images: int, tries: int, effect: float) -> None:
    """The truth is that of readers fitted by scikit-learn to four fifths of so many new images, over new images."""
    draw = population(classes, 48, effect=effect, uneven=0.5, seed=classes)[0]
    labels, sizes = np.repeat(np.arange(classes), images), np.full(classes, images)
    fitted, asked = np.repeat(np.arange(classes), images * (FOLDS - 1) // FOLDS), np.repeat(np.arange(classes), 100)
    truth = np.mean(
        [
            Pooled(solver="lsqr").fit(draw(fitted, random), fitted).score(draw(asked, random), asked)
            for random in map(np.random.default_rng, range(1_000, 1_000 + 2_000 // images))
        ]
    )
    held = []
    for seed in range(tries):
        random = np.random.default_rng(seed)
        low, high = read_share(discriminant_class(draw(labels, random), labels, draw_folds(sizes, random)) == labels, sizes)
        held.append(low <= truth <= high)
    assert np.mean(held) >= 0.93 - 2 * np.sqrt(0.93 * 0.07 / tries)
