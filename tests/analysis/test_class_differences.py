"""Squared differences of class means: against all pairs and all halvings of the photos, and against known truths."""

from itertools import combinations, product

import numpy as np
import pytest

from sevis.analysis.class_differences import Photos, Squares, relative, split, squared_scatter, squares, turned

SIZES = np.array([4, 7, 5])


def photos_of(sizes, count=None):
    return Photos(np.asarray(sizes if count is None else count), np.asarray(sizes))


def measured(values, sizes):
    """`squares` of raw photos, shape (M, C), class after class, and what it was given."""
    photos = photos_of(sizes)
    means = photos.means(values)
    deviations = values - means[photos.labels]
    variance = np.stack([values[part].var(axis=0, ddof=1) for part in photos.parts]).sum(axis=1)
    differences = means - photos.weights @ means
    return squares(photos, differences, deviations, variance), differences, deviations


def levelled(means, sizes, random, *, level=0.3, noise=0.05):
    """Photos whose channels move together."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return means[labels] * (1 + level * random.normal(size=(len(labels), 1))) + noise * random.normal(size=(len(labels), means.shape[1]))


@pytest.fixture
def values():
    random = np.random.default_rng(0)
    return levelled(random.uniform(0.3, 0.7, size=(3, 6)), SIZES, random)


def test_a_squared_difference_is_the_mean_over_all_pairs_of_photos(values):
    photos = photos_of(SIZES)
    inner = np.empty((3, 3))  # the mean of x · y over all pairs of photos, no photo with itself
    for one, other in product(range(3), range(3)):
        pairs = [
            values[i] @ values[j] for i in range(*photos.parts[one].indices(16)) for j in range(*photos.parts[other].indices(16)) if i != j
        ]
        inner[one, other] = np.mean(pairs)
    found = measured(values, SIZES)[0].parts
    for label in range(3):
        sides = np.eye(3)[label] - SIZES / 16
        assert found[label] == pytest.approx(sides @ inner @ sides, rel=1e-10, abs=1e-12)


def test_a_squared_difference_is_the_mean_over_all_halvings_of_the_photos():
    random = np.random.default_rng(1)
    values = levelled(random.uniform(0.3, 0.7, size=(2, 5)), [4, 4], random).reshape(2, 4, 5)
    products = []
    for chosen in product(combinations(range(4), 2), repeat=2):
        first = np.stack([values[label, list(half)].mean(axis=0) for label, half in enumerate(chosen)])
        second = np.stack([np.delete(values[label], half, axis=0).mean(axis=0) for label, half in enumerate(chosen)])
        products.append(np.sum((first - first.mean(axis=0)) * (second - second.mean(axis=0)), axis=1))
    assert len(products) == 36
    np.testing.assert_allclose(measured(values.reshape(8, 5), [4, 4])[0].parts, np.mean(products, axis=0))


def test_photos_that_share_a_level_do_not_widen_the_differences():
    random = np.random.default_rng(2)
    means = 0.5 + 0.01 * random.normal(size=(8, 20))
    truth = np.square(means - means.mean(axis=0)).sum(axis=1).mean()
    centre = means.mean(axis=0)
    found, naive = [], []
    for _ in range(1500):
        whole, differences, deviations = measured(levelled(means, [5] * 8, random), [5] * 8)
        along, across = split(whole, centre, differences, deviations)
        found.append([whole.value, along.value, across.value])
        naive.append(np.square(differences).sum(axis=1).mean())
    exact = [truth, np.square((means - centre) @ centre).mean() / (centre @ centre)]
    exact.append(exact[0] - exact[1])
    error = np.std(found, axis=0) / np.sqrt(len(found))
    np.testing.assert_array_less(np.abs(np.mean(found, axis=0) - exact), 3 * error)
    assert np.mean(naive) > 50 * truth  # what the noise of the means adds


@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("size", [4, 6, 20])
def test_the_squared_scatter_is_unbiased(size, skewed):
    random = np.random.default_rng(3)
    mixture = random.normal(size=(5, 3))
    sources = random.exponential(size=(6000, size, 5)) - 1 if skewed else random.normal(size=(6000, size, 5))
    values = sources @ mixture
    deviations = values - values.mean(axis=1, keepdims=True)
    found = [squared_scatter(part @ part.T) for part in deviations]
    covariance = mixture.T @ mixture
    assert np.mean(found) == pytest.approx(np.trace(covariance @ covariance), abs=3.5 * np.std(found) / np.sqrt(6000))


def test_of_three_photos_the_squared_scatter_is_that_of_their_covariance(values):
    three = values[:3] - values[:3].mean(axis=0)
    covariance = np.cov(three.T)
    assert squared_scatter(three @ three.T) == pytest.approx(np.trace(covariance @ covariance))


def test_the_parts_along_and_across_the_mean_add_up(values):
    whole, differences, deviations = measured(values, SIZES)
    centre = values.mean(axis=0)
    direction = centre / np.linalg.norm(centre)
    along, across = split(whole, centre, differences, deviations)
    rest = np.eye(6) - np.outer(direction, direction)
    for part, turn in ((along, np.outer(direction, direction)), (across, rest)):
        alone = measured(values @ turn, SIZES)[0]
        np.testing.assert_allclose(part.parts, alone.parts, atol=1e-12)
        for one, other in zip(part.grams, alone.grams, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-12)
    np.testing.assert_allclose(along.parts + across.parts, whole.parts)
    np.testing.assert_allclose(along.influence + across.influence, whole.influence)


@pytest.mark.parametrize("index", [0, 1], ids=["along", "across"])
def test_what_a_photo_adds_to_a_part_is_its_derivative(index):
    """Relative to the mean of all classes, which the photo moves as well; of so many photos that the noise of the means is little."""
    random = np.random.default_rng(8)
    sizes = [400] * 3
    values = levelled(random.uniform(0.3, 0.7, size=(3, 6)), sizes, random)
    whole, differences, deviations = measured(values, sizes)
    centre = values.mean(axis=0)
    found = relative(split(whole, centre, differences, deviations)[index], centre, deviations)

    def part(means):
        centre = means.mean(axis=0)
        apart, along = means - centre, (means - centre) @ centre / np.linalg.norm(centre)
        squared = np.square(along) if index == 0 else np.square(apart).sum(axis=1) - np.square(along)
        return squared.mean() / (centre @ centre)

    means = np.stack([values[part].mean(axis=0) for part in whole.photos.parts])
    expected = np.empty(1200)
    for row in range(1200):
        moved = [means.copy(), means.copy()]
        for sign, one in zip((1, -1), moved, strict=True):
            one[row // 400] += sign * 1e-4 * deviations[row]
        expected[row] = 3 * (part(moved[0]) - part(moved[1])) / 2e-4
    assert found.value == pytest.approx(part(means), rel=0.02)
    np.testing.assert_allclose(found.influence, expected, atol=0.02 * np.abs(expected).max())


def test_noise_along_the_mean_of_a_class_does_not_turn_it():
    random = np.random.default_rng(4)
    means, photos = random.uniform(0.2, 0.8, size=(3, 6)), photos_of(SIZES)
    values = means[photos.labels] * random.uniform(0.2, 1.8, size=(16, 1))
    variance = np.stack([values[part].var(axis=0, ddof=1) for part in photos.parts]).sum(axis=1)
    found = turned(photos, photos.means(values), values - photos.means(values)[photos.labels], variance)
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(found.parts, np.square(unit - photos.weights @ unit).sum(axis=1))
    assert found.variance == pytest.approx(0, abs=1e-20)


def test_directions_lie_as_far_apart_as_those_of_the_population():
    random = np.random.default_rng(5)
    means, photos = 0.5 + 0.05 * random.normal(size=(6, 12)), photos_of([8] * 6)
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    truth = np.square(unit - unit.mean(axis=0)).sum(axis=1).mean()
    found = []
    for _ in range(1500):
        values = levelled(means, [8] * 6, random)
        variance = np.stack([values[part].var(axis=0, ddof=1) for part in photos.parts]).sum(axis=1)
        found.append(turned(photos, photos.means(values), values - photos.means(values)[photos.labels], variance).value)
    assert np.mean(found) == pytest.approx(truth, rel=0.02)


@pytest.mark.parametrize("kept", [1, 3], ids=["all", "a third"])
@pytest.mark.parametrize("apart", [0, 0.02, 0.1])
def test_the_variance_is_that_of_many_draws(apart, kept):
    """Whole gates are known of all photos, or of a third of them. It is too large where classes hardly differ, never too small."""
    random = np.random.default_rng(6)
    means = 0.5 + apart * random.normal(size=(8, 12))
    sizes = np.full(8, 6)
    photos = photos_of(sizes, sizes * kept)
    found: list[Squares] = []
    for _ in range(1200):
        values = levelled(means, sizes * kept, random, level=0.1).reshape(8, 6 * kept, 12)
        whole, some = values.mean(axis=1), values[:, :6]
        deviations = (some - some.mean(axis=1, keepdims=True)).reshape(48, 12)
        found.append(squares(photos, whole - whole.mean(axis=0), deviations, values.var(axis=1, ddof=1).sum(axis=1)))
    deviation = np.std([one.value for one in found])
    unbiased = [one.photos.variance_of_mean(one.influence) - one.surplus + one.least for one in found]
    assert np.sqrt(np.mean(unbiased)) == pytest.approx(deviation, rel=0.1)
    assert 0.95 * deviation < np.sqrt(np.mean([one.variance for one in found])) < (1.3 if apart < 0.1 else 1.1) * deviation


def test_the_surplus_of_the_influence_is_what_its_variance_is_too_large_by():
    random = np.random.default_rng(7)
    means = 0.5 + 0.05 * random.normal(size=(6, 10))
    found = [measured(levelled(means, [8] * 6, random, level=0.1), [8] * 6)[0] for _ in range(1500)]
    centred = means - means.mean(axis=0)
    exact = 0.0
    for row, mean in zip(centred, means, strict=True):
        covariance = 0.1**2 * np.outer(mean, mean) + 0.05**2 * np.eye(10)
        exact += 4 * row @ covariance @ row / 8 / 6**2
    linear = [one.photos.variance_of_mean(one.influence) - one.surplus for one in found]
    assert np.mean(linear) == pytest.approx(exact, rel=0.05)


def test_photos_of_a_class_stand_together():
    photos = photos_of([2, 3], [20, 60])
    np.testing.assert_allclose(photos.weights, [0.25, 0.75])
    assert photos.labels.tolist() == [0, 0, 1, 1, 1]
    numbers = np.array([1.0, 3, 2, 4, 9])
    np.testing.assert_allclose(photos.means(numbers), [2, 5])
    np.testing.assert_allclose(photos.variances(numbers), [2, 13])
    assert photos.variance_of_mean(numbers) == pytest.approx(0.25**2 * 2 / 20 + 0.75**2 * 13 / 60)
    assert photos.variance_of_mean(numbers, photos.sizes) == pytest.approx(0.25**2 * 2 / 2 + 0.75**2 * 13 / 3)
