"""The gates of one block as the measures of a depth profile read them: moments of all images, and whole gates of some."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from sevis.analysis.class_differences import Photos, Squares, split, squares, turned
from sevis.analysis.formulas import Array, Counts
from sevis.analysis.resampling import choose_images
from sevis.class_statistics.class_statistics import ClassStatistics

IMAGES = 10_000  # whose whole gates are looked at, at most
FEWEST = 10  # images of a class, at the median: of fewer no interval is given, for in simulations some would cover less than 93 %

FEWEST_HALVED = 20  # the same for the class that lies furthest: halves of fewer would name a wrong one


@dataclass(frozen=True)
class Drawn:
    """The images whose whole gates are looked at, the same for all blocks.

    Attributes:
        rows: of the images in the sample, class after class, shape (M,).
        classes: theirs, as rows of the statistics, shape (K,).
        sizes: how many images each class has among them, shape (K,): two at least.
        seed: of what is drawn.
    """

    rows: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    classes: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    sizes: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    seed: int = 0

    @property
    def per_class(self) -> int:
        """Return how many images a class has, at the median."""
        return int(np.median(self.sizes)) if len(self.sizes) else 0


@dataclass(frozen=True, eq=False)
class BlockGates:
    """What is known of the gates of one block.

    Where the file keeps whole gates, the classes are those with two of them at least; else those with images.

    Attributes:
        statistics: the file.
        site: the block.
        classes: as rows of the statistics, shape (K,).
        photos: how many there are of each class.
        values: whole gates of some of them, class after class, shape (M, C); empty where the file keeps none.
        seed: for what is drawn at random.
    """

    statistics: ClassStatistics
    site: str
    classes: Counts
    photos: Photos
    values: Array
    seed: int = 0

    @cached_property
    def mean(self) -> Array:
        """Return the mean scales of each class over all images, shape (K, C)."""
        return np.asarray(self.statistics.mean(self.site)[self.classes])

    @cached_property
    def m2(self) -> Array:
        """Return the sums of squared deviations within each class, shape (K, C)."""
        return np.asarray(self.statistics.m2(self.site)[self.classes])

    @cached_property
    def overall(self) -> Array:
        """Return the mean scales over all images, shape (C,)."""
        return np.asarray(self.photos.weights @ self.mean)

    @cached_property
    def variance(self) -> Array:
        """Return the variance of each scale within each class, shape (K, C): of a class of one image, that of all classes together."""
        freedom = self.photos.count - 1
        pooled = self.m2.sum(axis=0) / max(freedom.sum(), 1)
        return np.where(freedom[:, None] > 0, self.m2 / np.maximum(freedom, 1)[:, None], pooled)

    @property
    def compared(self) -> bool:
        """Return whether the classes can be told from their noise: two classes, and more images than classes."""
        return len(self.classes) > 1 and int(self.photos.count.sum()) > len(self.classes)

    @property
    def sampled(self) -> bool:
        """Return whether there are whole gates."""
        return len(self.values) > 0

    @cached_property
    def deviations(self) -> Array:
        """Return the whole gates less the mean of their class among them, shape (M, C), in float64."""
        return np.asarray(self.values - self.photos.means(self.values)[self.photos.labels])

    @property
    def resolved(self) -> bool:
        """Return whether whole gates, which are kept in half precision, move as the gates do; those of dead blocks may not."""
        moved = float(self.photos.weights @ self.photos.means(np.square(self.deviations).mean(axis=1))) if self.sampled else 0.0
        return moved >= float(self.photos.weights @ self.variance.mean(axis=1)) / 2

    @property
    def widening(self) -> Array:
        """Return n / (n - 1) for each photo, shape (M,): by so much its squared deviation from the mean of n photos is too small."""
        sizes = self.photos.sizes
        return np.asarray((sizes / np.maximum(sizes - 1, 1))[self.photos.labels])

    @cached_property
    def apart(self) -> Squares:
        """Return how far the mean gates of the classes lie apart."""
        return squares(self.photos, self.mean - self.overall, self.deviations, self.variance.sum(axis=1))

    @cached_property
    def split(self) -> tuple[Squares, Squares]:
        """Return the parts of `apart` along the mean gates of all classes, where a factor changes a class, and across them."""
        return split(self.apart, self.overall, self.mean - self.overall, self.deviations)

    @property
    def turned(self) -> Squares:
        """Return how far the directions of the classes' mean gates lie apart."""
        return turned(self.photos, self.mean, self.deviations, self.variance.sum(axis=1))


def draw_images(statistics: ClassStatistics, *, seed: int) -> Drawn:
    """Choose the images whose whole gates are looked at, IMAGES of them at most: as many of each class."""
    if not statistics.detailed:
        return Drawn(seed=seed)
    labels = statistics.sample(statistics.sites[0]).labels
    rows, classes, sizes = choose_images(labels, limit=IMAGES, random=np.random.default_rng(seed))
    return Drawn(rows, classes, sizes, seed)


def gates_of_block(statistics: ClassStatistics, site: str, drawn: Drawn) -> BlockGates:
    """Return what is known of a block. Raises SevisError for a block that the statistics do not hold."""
    sampled = len(drawn.rows) > 0
    classes = drawn.classes if sampled else np.flatnonzero(statistics.count)
    values = statistics.sample(site).values[drawn.rows] if sampled else np.zeros((0, statistics.channels[site]))
    photos = Photos(statistics.count[classes], drawn.sizes)
    return BlockGates(statistics, site, classes, photos, np.ascontiguousarray(values, np.float32), drawn.seed)
