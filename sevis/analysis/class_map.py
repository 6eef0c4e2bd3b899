"""How far classes lie apart, as a map of two dimensions for each block, and as an order in which similar classes are neighbours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sevis.analysis.formulas import between_spread, distances, nearest_class, within_spread
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError
from sevis.extras import require

Array = NDArray[np.floating]
Indices = NDArray[np.intp]
STILL = 1e-12  # distances below it are rounding
PHOTOS = 1000  # at most so many are placed on a map
TRIED = 10_000  # so many images at most are told apart by their gates
TOLERANCE = 1e-5  # of SMACOF: it ends when a step lowers the stress by less, relative to the squared distances


@dataclass(frozen=True)
class ClassMaps:
    """A map of the classes for each of L blocks, in one unit, each turned (and mirrored) to lie as well as it can on the one before.

    Attributes:
        sites: the names of the blocks.
        rows: the K classes on the maps, those with images, as rows of the statistics.
        points: where they lie, (L, K, 2).
        quality: by block, how faithful the map is, (L,): for `pca_maps` the share of the variance between the class means that the
            two axes hold, 0 to 1; for `mds_maps` Kruskal's stress-1, 0 for a perfect map.
        photos: where single images lie, (L, M, 2), M = 0 where the statistics hold no sample of them.
        labels, ids: their classes, as rows of the statistics, and their numbers in the data set, (M,).
    """

    sites: tuple[str, ...]
    rows: Indices
    points: Array
    quality: Array
    photos: Array
    labels: NDArray[np.int64]
    ids: NDArray[np.int64]


@dataclass(frozen=True)
class Separation:
    """How far apart classes lie in one block; NaN where that cannot be known.

    Attributes:
        between: the root mean square over channels of the difference between the means of two classes, in units of s, freed of what
            the noise of the means adds (`sevis.analysis.formulas.between_spread`).
        within: the same of the difference between two images of one class.
        hits, tried: how many of the images that were kept lie nearest to the mean of their own class, itself left out; 0 of 0 where
            the statistics hold no sample.
        classes: how many there are to choose from.
    """

    between: float
    within: float
    hits: int
    tried: int
    classes: int


def separation(statistics: ClassStatistics, site: str) -> Separation:
    """Return how far apart the classes of a block lie. Raises SevisError for a block that the statistics do not hold."""
    moments = statistics.mean(site), statistics.m2(site), statistics.count
    hits = tried = 0
    if statistics.detailed:
        sample = statistics.sample(site)
        drawn = _evenly(len(sample.labels), TRIED)
        values, labels = sample.values[drawn].astype(np.float64), sample.labels[drawn]
        found = nearest_class(values, labels, mean=statistics.mean(site), count=statistics.count)
        hits, tried = int((found == labels).sum()), int((found >= 0).sum())
    return Separation(
        _apart(between_spread(*moments)), _apart(within_spread(*moments)), hits, tried, int(np.count_nonzero(statistics.count))
    )


def furthest(statistics: ClassStatistics, metric: str) -> Array:
    """Return the largest distance between two class means of each block, (L,); NaN where none is known. Raises SevisError for another
    metric.
    """
    rows = np.flatnonzero(statistics.count)
    return np.array([distances(statistics.mean(site)[rows], metric).max(initial=0) for site in statistics.sites])


def pca_maps(statistics: ClassStatistics, *, photos: int = PHOTOS) -> ClassMaps:
    """Return the class means in their two principal axes (Pearson 1901, doi:10.1080/14786440109462720), and the images that were kept.

    A distance on the map is at most the root mean square over the block's channels of the difference in s.

    Args:
        photos: how many images at most, evenly out of the sample.

    Raises:
        SevisError: where fewer than three classes have images.
    """
    rows = _classes(statistics)
    drawn: Indices = np.zeros(0, dtype=np.intp)
    labels = ids = np.zeros(0, dtype=np.int64)
    if statistics.detailed and photos:
        sample = statistics.sample(statistics.sites[0])
        drawn = _evenly(len(sample.ids), photos)
        labels, ids = sample.labels[drawn], sample.ids[drawn]
    points: list[Array] = []
    quality, seen = [], []
    for site in statistics.sites:
        means = statistics.mean(site)[rows] / np.sqrt(statistics.channels[site])
        centre = means.mean(axis=0)
        axes, share = _principal_axes(means - centre)
        turn = _turn((means - centre) @ axes, points[-1] if points else None)
        points.append((means - centre) @ axes @ turn)
        quality.append(share)
        if len(drawn):
            values = statistics.sample(site).values[drawn] / np.sqrt(statistics.channels[site])
            seen.append((values - centre) @ axes @ turn)
    flat = np.array(seen) if seen else np.zeros((len(points), 0, 2))
    return ClassMaps(statistics.sites, rows, np.array(points), np.array(quality), flat, labels, ids)


def mds_maps(statistics: ClassStatistics, *, metric: str) -> ClassMaps:
    """Return maps by metric multidimensional scaling of the distances between class means: SMACOF (de Leeuw 1977; scikit-learn).

    It starts from classical scaling (Torgerson 1952, doi:10.1007/BF02288916), so that the same statistics give the same map.

    Args:
        metric: "cosine" or "l1", see `sevis.analysis.formulas.distances`.

    Raises:
        SevisError: for another metric, and where fewer than three classes have images.
    """
    rows = _classes(statistics)
    points: list[Array] = []
    quality = []
    for site in statistics.sites:
        found, stress = _scale(distances(statistics.mean(site)[rows], metric))
        points.append(found @ _turn(found, points[-1] if points else None))
        quality.append(stress)
    none = np.zeros(0, dtype=np.int64)
    return ClassMaps(statistics.sites, rows, np.array(points), np.array(quality), np.zeros((len(points), 0, 2)), none, none)


def similar_order(matrix: Array) -> Indices:
    """Return the order of classes in which neighbours are alike: average linkage (Sokal & Michener 1958) with the leaves ordered optimally.

    The leaf order is that of Bar-Joseph, Gifford & Jaakkola (2001), doi:10.1093/bioinformatics/17.suppl_1.S22.

    Args:
        matrix: distances between K classes, (K, K), symmetric.

    Returns:
        A permutation of 0..K-1.

    Raises:
        SevisError: for distances that are not known.
    """
    require("scipy", "the order of the classes")
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if not np.isfinite(matrix).all():
        raise SevisError("the distances between some classes are unknown, so they cannot be ordered: leave out classes without images")
    if len(matrix) < 3:
        return np.arange(len(matrix))
    return np.asarray(leaves_list(linkage(squareform(matrix, checks=False), "average", optimal_ordering=True)), dtype=np.intp)


def _evenly(size: int, most: int) -> Indices:
    """Return at most `most` indices below `size`, evenly spread."""
    return np.unique(np.linspace(0, size - 1, min(most, size)).round().astype(np.intp))


def _apart(deviation: Array) -> float:
    """Return how far two draws lie apart whose channels have these standard deviations: the root of the mean of twice the variance."""
    return float(np.sqrt(2 * np.square(deviation).mean()))


def _classes(statistics: ClassStatistics) -> Indices:
    rows = np.flatnonzero(statistics.count)
    if len(rows) < 3:
        raise SevisError(f"expected at least three classes with images for a map, got {len(rows)}: collect more classes")
    return rows


def _principal_axes(centred: Array) -> tuple[Array, float]:
    """Return the two principal axes of the rows, (C, 2), and the share of the variance that they hold; NaN where there is no variance."""
    require("scipy", "the class map")
    from scipy.linalg import eigh

    wide = centred.shape[1] > len(centred)
    gram = centred @ centred.T if wide else centred.T @ centred
    values, vectors = eigh(gram, subset_by_index=[max(len(gram) - 2, 0), len(gram) - 1])
    total = np.trace(gram)
    if wide:
        vectors = centred.T @ vectors / np.sqrt(np.maximum(values, np.finfo(float).tiny))
    axes = np.zeros((centred.shape[1], 2))
    axes[:, : vectors.shape[1]] = vectors[:, ::-1]
    return _signed(axes), float(np.maximum(values, 0).sum() / total) if total > 0 else np.nan


def _scale(matrix: Array) -> tuple[Array, float]:
    """Return two coordinates for each class, centred, (K, 2), and Kruskal's stress-1 (1964, doi:10.1007/BF02289565); NaN where all are
    alike.
    """
    require("sklearn", "the class map")
    from scipy.linalg import eigh
    from sklearn.manifold import smacof

    size = len(matrix)
    if not matrix.max() > STILL:
        return np.zeros((size, 2)), np.nan
    centring = np.eye(size) - 1 / size
    values, vectors = eigh(-0.5 * centring @ matrix**2 @ centring, subset_by_index=[size - 2, size - 1])
    start = _signed((vectors * np.sqrt(np.maximum(values, 0)))[:, ::-1])
    found, stress = smacof(matrix, init=start, n_init=1, eps=TOLERANCE, normalized_stress=True)
    return found - found.mean(axis=0), float(stress)


def _signed(axes: Array) -> Array:
    """Return the axes with the largest entry of each above 0, for an axis has no direction of its own."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0)
    return axes * np.where(largest < 0, -1.0, 1.0)


def _turn(points: Array, before: Array | None) -> Array:
    """Return the rotation, perhaps with a mirror, that brings centred points nearest to those before: orthogonal Procrustes, (2, 2).

    Schönemann (1966), doi:10.1007/BF02289451. The scale stays, so that growing apart is seen.
    """
    require("scipy", "the class map")
    from scipy.linalg import orthogonal_procrustes

    return np.eye(2) if before is None else np.asarray(orthogonal_procrustes(points, before)[0])
