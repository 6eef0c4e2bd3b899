"""Maps of the classes against scikit-learn and plain loops: distances, rotations, orders and separations."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist, squareform
from sklearn.decomposition import PCA

from sevis.analysis.class_map import furthest, mds_maps, pca_maps, separation, similar_order
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError

WIDTHS = {"SE_2_1": 30, "SE_3_1": 8, "SE_4_1": 64}
CLASSES, EACH = 12, 6


def collected(scales, *, classes=CLASSES, sample=4, labels=None):
    """Statistics of these scales by block, shape (N, C), and of one class without images."""
    statistics = ClassStatistics(
        {site: scale.shape[1] for site, scale in scales.items()}, tuple(f"c{row}" for row in range(classes + 1)), sample=sample
    )
    labels = np.repeat(np.arange(classes), len(next(iter(scales.values()))) // classes) if labels is None else labels
    statistics.update(labels, {site: {"scale": scale, "squeeze": scale} for site, scale in scales.items()})
    return statistics


def gates(random, width, *, between, classes=CLASSES, each=EACH, within=0.02):
    centres = 0.5 + between * random.normal(size=(classes, width))
    return (np.repeat(centres, each, axis=0) + within * random.normal(size=(classes * each, width))).astype(np.float32)


@pytest.fixture(scope="module")
def scales():
    random = np.random.default_rng(0)
    return {site: gates(random, width, between=0.02 * (2 + place)) for place, (site, width) in enumerate(WIDTHS.items())}


@pytest.fixture(scope="module")
def statistics(scales):
    return collected(scales)


def means_of(scale):
    return scale.astype(float).reshape(CLASSES, EACH, -1).mean(axis=1)


def test_a_pca_map_is_scikit_learns_up_to_a_turn(statistics, scales):
    maps = pca_maps(statistics)
    assert maps.rows.tolist() == list(range(CLASSES))  # not the class without images
    for place, (site, width) in enumerate(WIDTHS.items()):
        means = means_of(scales[site])
        expected = PCA(2).fit(means)
        np.testing.assert_allclose(pdist(maps.points[place]), pdist(expected.transform(means)) / np.sqrt(width), atol=1e-10)
        assert maps.quality[place] == pytest.approx(expected.explained_variance_ratio_.sum())
        apart = squareform(cdist(means, means) / np.sqrt(width), checks=False)
        assert (pdist(maps.points[place]) <= apart + 1e-12).all()


def test_photos_lie_where_their_gates_put_them(statistics, scales):
    """Seen from the classes: the axes are orthonormal, so a photo's place follows from those of the means."""
    maps = pca_maps(statistics)
    assert maps.photos.shape == (3, CLASSES * 4, 2)
    assert sorted(set(maps.labels.tolist())) == list(range(CLASSES))
    for place, (site, width) in enumerate(WIDTHS.items()):
        centred = (means_of(scales[site]) - means_of(scales[site]).mean(axis=0)) / np.sqrt(width)
        axes = np.linalg.pinv(centred @ centred.T) @ maps.points[place]  # the axes as sums of class means, shape (K, 2)
        image = (scales[site][maps.ids].astype(np.float16).astype(float) - means_of(scales[site]).mean(axis=0)) / np.sqrt(width)
        np.testing.assert_allclose(maps.photos[place], image @ centred.T @ axes, atol=1e-6)


def test_at_most_so_many_photos_are_placed(statistics):
    few = pca_maps(statistics, photos=10)
    assert few.photos.shape == (3, 10, 2)
    assert len(set(few.labels.tolist())) > 5  # evenly out of the sample
    assert pca_maps(statistics, photos=0).photos.shape == (3, 0, 2)


def test_without_a_sample_there_are_no_photos(scales):
    maps = pca_maps(collected(scales, sample=None))
    assert maps.photos.shape == (3, 0, 2)
    assert len(maps.labels) == len(maps.ids) == 0


@pytest.mark.parametrize("metric", ["cosine", "l1"])
def test_a_scaled_map_has_the_stress_that_it_says(statistics, scales, metric):
    maps = mds_maps(statistics, metric=metric)
    for place, site in enumerate(WIDTHS):
        means = means_of(scales[site])
        wanted = pdist(means, "cosine") if metric == "cosine" else pdist(means, "cityblock") / means.shape[1]
        drawn = pdist(maps.points[place])
        stress = np.sqrt(np.sum((drawn - wanted) ** 2) / np.sum(drawn**2))
        assert maps.quality[place] == pytest.approx(stress, rel=1e-6)
        classical = pdist(PCA(2).fit_transform(means))
        scaled = classical * (classical @ wanted) / (classical @ classical)
        assert stress < np.sqrt(np.sum((scaled - wanted) ** 2) / np.sum(scaled**2))  # nearer to the distances than two axes are


def test_what_fits_on_a_plane_is_mapped_without_stress():
    spots = np.random.default_rng(1).uniform(0.2, 0.8, size=(CLASSES, 1))
    maps = mds_maps(collected({"SE_2_1": spots.astype(np.float32)}, sample=None), metric="l1")  # on a line, even
    assert maps.quality[0] < 1e-3
    np.testing.assert_allclose(pdist(maps.points[0]), pdist(spots), atol=1e-3)


@pytest.mark.parametrize("make", [pca_maps, lambda statistics: mds_maps(statistics, metric="cosine")])
def test_each_map_is_turned_as_near_as_can_be_to_the_one_before(statistics, make):
    places = make(statistics).points
    for before, after in pairwise(places):
        least = np.sum((after - before) ** 2)
        for angle in np.linspace(0, 2 * np.pi, 360, endpoint=False):
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            for mirror in (np.eye(2), np.diag([1, -1])):
                assert least <= np.sum((after @ turn @ mirror - before) ** 2) + 1e-12


@pytest.mark.parametrize("make", [pca_maps, lambda statistics: mds_maps(statistics, metric="l1")])
def test_classes_twice_as_far_apart_are_drawn_twice_as_far_apart(make):
    random = np.random.default_rng(2)
    far = gates(random, 40, between=0.08, within=0)
    near = (0.5 + (far - 0.5) / 2).astype(np.float32)
    places = make(collected({"SE_2_1": near, "SE_3_1": far}, sample=None)).points
    np.testing.assert_allclose(places[1], 2 * places[0], atol=2e-4)  # which also says that the turn is found


@pytest.mark.parametrize("make", [pca_maps, lambda statistics: mds_maps(statistics, metric="cosine")])
def test_the_same_statistics_give_the_same_map(statistics, scales, make):
    np.testing.assert_array_equal(make(statistics).points, make(collected(scales)).points)


def test_dead_gates_lie_on_one_spot_and_have_no_quality():
    still = {"SE_2_1": np.full((CLASSES * EACH, 9), 0.5, np.float32)}
    for maps in (pca_maps(collected(still)), mds_maps(collected(still), metric="cosine"), mds_maps(collected(still), metric="l1")):
        np.testing.assert_allclose(maps.points, 0, atol=1e-7)
        assert np.isnan(maps.quality).all()


def test_a_map_takes_three_classes():
    random = np.random.default_rng(0)
    with pytest.raises(SevisError, match="at least three classes with images for a map, got 2"):
        pca_maps(collected({"SE_2_1": gates(random, 5, between=0.1, classes=2)}, classes=2))
    assert mds_maps(collected({"SE_2_1": gates(random, 5, between=0.1, classes=3)}, classes=3), metric="l1").points.shape == (1, 3, 2)
    with pytest.raises(SevisError, match="unknown distance 'furlong'"):
        mds_maps(collected({"SE_2_1": gates(random, 5, between=0.1, classes=3)}, classes=3), metric="furlong")


def test_the_furthest_classes_are_found(statistics, scales):
    expected = [pdist(means_of(scale), "cityblock").max() / scale.shape[1] for scale in scales.values()]
    np.testing.assert_allclose(furthest(statistics, "l1"), expected)


def test_like_classes_become_neighbours():
    random = np.random.default_rng(5)
    groups = random.permutation(np.repeat([0, 1, 2], 5))
    spots = groups[:, None] * np.array([3.0, 1.0]) + 0.3 * random.normal(size=(15, 2))
    order = similar_order(squareform(pdist(spots)))
    assert sorted(order.tolist()) == list(range(15))
    assert np.count_nonzero(np.diff(groups[order])) == 2


def test_the_order_of_classes_on_a_line_is_the_shortest_of_all():
    matrix = squareform(pdist(np.array([[0.1], [5.0], [1.0], [7.0], [3.0], [0.4]])))
    order = similar_order(matrix).tolist()
    shortest = min(sum(matrix[one, other] for one, other in pairwise(way)) for way in permutations(range(6)))
    assert sum(matrix[one, other] for one, other in pairwise(order)) == pytest.approx(shortest)


def test_unknown_distances_have_no_order():
    with pytest.raises(SevisError, match="unknown, so they cannot be ordered"):
        similar_order(np.array([[0, np.nan, 1], [np.nan, 0, 1], [1, 1, 0]]))
    assert similar_order(np.zeros((2, 2))).tolist() == [0, 1]


def test_separation_finds_what_was_put_in():
    random = np.random.default_rng(6)
    apart = separation(collected({"SE_2_1": gates(random, 600, between=0.05, classes=40, each=10, within=0.1)}, classes=40), "SE_2_1")
    assert apart.between == pytest.approx(np.sqrt(2) * 0.05, rel=0.03)  # two draws differ by the root of twice the variance
    assert apart.within == pytest.approx(np.sqrt(2) * 0.1, rel=0.03)
    assert apart.classes == 40


def test_images_are_told_apart_by_the_means_of_all_others():
    scale = gates(np.random.default_rng(8), 8, between=0.1, within=0.1)
    labels = np.repeat(np.arange(CLASSES), EACH)
    hits = 0
    for place, image in enumerate(scale.astype(float)):
        others = np.arange(len(labels)) != place
        means = [scale[others & (labels == row)].astype(float).mean(axis=0) for row in range(CLASSES)]
        hits += int(np.argmin([np.sum((image - mean) ** 2) for mean in means]) == labels[place])
    apart = separation(collected({"SE_3_1": scale}, sample=EACH), "SE_3_1")
    assert (apart.hits, apart.tried) == (hits, len(labels))
    assert 0 < hits < len(labels)


def test_what_cannot_be_known_is_not_said():
    alone = collected({"SE_2_1": np.full((3, 4), 0.5, np.float32)}, classes=3, sample=None)
    apart = separation(alone, "SE_2_1")
    assert np.isnan(apart.between)
    assert np.isnan(apart.within)
    assert (apart.hits, apart.tried) == (0, 0)
