"""All measures of one block, with intervals and nulls: one block of a depth profile."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import nan, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sevis.analysis.dead_gates import dead_cause
from sevis.analysis.depth_measures import MEASURES, Measure, Needs
from sevis.analysis.discriminant import draw_folds
from sevis.analysis.formulas import Array, Counts, saturated_share
from sevis.analysis.intervals import LEVEL, read_share
from sevis.analysis.resampling import bootstrap_weights, choose_images, resampled_moments, shuffled_means
from sevis.class_statistics.class_statistics import ClassStatistics

ClassMoments = tuple[Array, Array, Counts]  # mean, m2 and count of the classes that have images
IMAGES = 10_000  # are resampled at most
FEWEST = 5  # images of a class, at the median: of fewer no interval is given
EFFORT = 2 * 1_000 * 7_552  # images times channels up to which as many replicates and permutations are drawn as were asked for
REPLICATES, PERMUTATIONS = 30, 19  # are drawn at least; the smallest p that 19 permutations can give is 0.05
SHARE = "class_share"  # the measure that has a p-value
COST = 50  # a class costs about as much as so many images
_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


class Value(NamedTuple):
    """A measure of one block: the estimate, the ends of its interval, and what chance gives; NaN where unknown."""

    estimate: float
    low: float = nan
    high: float = nan
    null: float = nan


@dataclass(frozen=True)
class BlockMeasures:
    """All measures of one block by name, the p-value of its class share, and why its gates are dead, if they are."""

    values: dict[str, Value]
    p_value: float
    dead: str | None


@dataclass(frozen=True)
class Drawn:
    """What is resampled, the same for all blocks.

    Attributes:
        rows: of the images in the sample, class after class, shape (M,).
        classes: theirs, as rows of the statistics, shape (K,).
        sizes: how many images each class has, shape (K,).
        shares: how much of all images in the statistics each image stands for, shape (M,); they add up to 1.
        weights: how often each image is drawn, shape (R, M).
        folds: of each image, shape (M,).
        permutations: how many.
        seed: of the permutations.
        images: how many the statistics hold.
    """

    rows: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    classes: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    sizes: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    shares: Array = field(default_factory=lambda: np.zeros(0))
    weights: Array = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    folds: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    permutations: int = 0
    seed: int = 0
    images: int = 0

    @property
    def labels(self) -> Counts:
        """Return the class of each image, shape (M,)."""
        return np.repeat(self.classes, self.sizes)

    @property
    def per_class(self) -> int:
        """Return how many images a class has, at the median."""
        return int(np.median(self.sizes)) if len(self.sizes) else 0

    @property
    def widening(self) -> float:
        """The factor for deviations within classes that hold m images each: √(m / (m - 1)); NaN where too few were drawn."""
        return sqrt(self.per_class / (self.per_class - 1)) if self.per_class >= FEWEST else nan

    @property
    def narrowing(self) -> float:
        """The factor for those of an estimate from all images: √(M / N)."""
        return sqrt(len(self.rows) / self.images) if self.images else nan


def draw_images(statistics: ClassStatistics, *, replicates: int, permutations: int, seed: int) -> Drawn:
    """Choose the images to resample, IMAGES of them at most, and draw how often.

    Where images times channels are more than EFFORT, fewer replicates and permutations are drawn, in proportion, but not below 30 and 19; a
    class counts as 50 images at least. For 1,000 classes and 15,104 channels that is 30 and 19, and 41 s for all blocks on one core; the
    discriminant takes up to 6 s a block besides.
    """
    if not statistics.detailed:
        return Drawn(images=int(statistics.count.sum()))
    random = np.random.default_rng(seed)
    labels = statistics.sample(statistics.sites[0]).labels
    rows, classes, sizes = choose_images(labels, limit=IMAGES, random=random)
    effort = max(len(rows), COST * len(classes)) * sum(statistics.channels.values())
    part = min(1.0, EFFORT / max(effort, 1))
    weights = bootstrap_weights(sizes, max(min(replicates, REPLICATES), round(part * replicates)), random)
    shares = np.repeat(statistics.count[classes] / np.maximum(sizes, 1), sizes)
    return Drawn(
        rows,
        classes,
        sizes,
        shares / max(shares.sum(), 1),
        weights,
        draw_folds(sizes, np.random.default_rng(seed)),
        max(min(permutations, PERMUTATIONS), round(part * permutations)),
        int(random.integers(2**32)),
        int(statistics.count.sum()),
    )


def measure_block(statistics: ClassStatistics, site: str, drawn: Drawn, measures: Sequence[Measure] = MEASURES) -> BlockMeasures:
    """Return all measures of a block. Raises SevisError for a block that the statistics do not hold."""
    held = statistics.count > 0
    moments = statistics.mean(site)[held], statistics.m2(site)[held], statistics.count[held]
    estimates = {measure.name: _estimate(measure, statistics, site, moments) for measure in measures}
    values = {name: Value(estimate) for name, estimate in estimates.items()}
    p_value = nan
    if len(drawn.rows):
        sample = np.ascontiguousarray(statistics.sample(site).values[drawn.rows], np.float32)
        by_needs = {needs: [measure for measure in measures if measure.needs is needs] for needs in Needs}
        values |= _with_moments(by_needs[Needs.MOMENTS], estimates, sample, drawn)
        values |= {measure.name: _with_image(measure, estimates[measure.name], sample, drawn) for measure in by_needs[Needs.IMAGE]}
        values |= {measure.name: _with_images(measure, sample, drawn) for measure in by_needs[Needs.IMAGES]}
        if len(drawn.sizes) > 1:
            values |= {measure.name: _with_both(measure, statistics, site, sample, drawn) for measure in by_needs[Needs.BOTH]}
            values |= {measure.name: _with_folds(measure, sample, drawn) for measure in by_needs[Needs.FOLDS]}
        nulls, p_value = _chance([measure for measure in measures if measure.null], sample, drawn)
        values |= {name: values[name]._replace(null=null) for name, null in nulls.items()}
    return BlockMeasures(values, p_value, _dead(statistics, site))


def _estimate(measure: Measure, statistics: ClassStatistics, site: str, moments: ClassMoments) -> float:
    """Return the measure over all images, as far as moments and histogram give it; NaN otherwise."""
    if not statistics.count.any():
        return nan
    if measure.needs is Needs.MOMENTS:
        return float(measure.formula(*moments))
    return measure.exact(statistics, site) if measure.exact else nan


def _with_moments(measures: Sequence[Measure], estimates: dict[str, float], sample: Array, drawn: Drawn) -> dict[str, Value]:
    """Return measures of moments with intervals, from all replicates at once."""
    parts = [
        {measure.name: measure.formula(mean, m2, drawn.sizes) for measure in measures}
        for mean, m2 in resampled_moments(sample, drawn.sizes, drawn.weights)
    ]
    reach = drawn.widening * drawn.narrowing
    return {
        measure.name: _interval(
            measure, estimates[measure.name], reach * float(np.std(np.concatenate([part[measure.name] for part in parts])))
        )
        for measure in measures
    }


def _with_image(measure: Measure, known: float, sample: Array, drawn: Drawn) -> Value:
    """Return the mean of a measure of single images with its interval; from the sample where it is not known of all images."""
    weighed = drawn.shares * measure.formula(sample)
    partly = np.isnan(known)
    reach = drawn.widening * (1 if partly else drawn.narrowing) * float(np.std(drawn.weights @ weighed))
    return _interval(measure, float(weighed.sum()) if partly else known, reach)


def _with_images(measure: Measure, sample: Array, drawn: Drawn) -> Value:
    """Return a measure of whole gates, with its interval."""
    read = measure.formula(sample)
    reach = drawn.widening * float(np.std(read(drawn.weights)))
    return _interval(measure, float(read(np.ones(len(sample), np.float32))), reach)


def _with_both(measure: Measure, statistics: ClassStatistics, site: str, sample: Array, drawn: Drawn) -> Value:
    """Return a share of images, by the class means of all images that the statistics hold, so that the sample's size does not matter."""
    return _share(measure.formula(sample, drawn.labels, statistics.mean(site), statistics.count), drawn)


def _with_folds(measure: Measure, sample: Array, drawn: Drawn) -> Value:
    """Return a share of images that is read fold by fold."""
    return _share(measure.formula(sample, drawn.labels, drawn.folds), drawn)


def _share(holds: NDArray[np.bool_], drawn: Drawn) -> Value:
    """Return the share of the images for which something holds, with its interval, and what naming the largest class would give."""
    ends = read_share(holds, drawn.sizes) if drawn.per_class >= FEWEST else (nan, nan)
    return Value(float(holds.mean()), *ends, null=float(drawn.sizes.max() / len(holds)))


def _chance(measures: Sequence[Measure], sample: Array, drawn: Drawn) -> tuple[dict[str, float], float]:
    """Return what shuffled labels give for N images, at the 95 % quantile, and the p-value of the sample's class share (Phipson & Smyth,
    2010); it falls with the number of images, so it is given for as many as the estimate comes from, by a power of √(M / N).
    """
    sizes = drawn.sizes
    centre = sample.mean(axis=0, dtype=np.float64)
    total = np.square(sample - centre.astype(np.float32)).sum(axis=0, dtype=np.float64)
    weights = sizes.astype(np.float32)

    def read(mean: Array) -> dict[str, Array]:
        between = np.einsum("k,...kc->...c", weights, np.square(mean - centre.astype(np.float32)))
        m2 = (total - between)[..., None, :]  # of all classes together: formulas need no more
        return {measure.name: measure.formula(mean, m2, sizes) for measure in measures}

    parts = [read(mean) for mean in shuffled_means(sample, sizes, drawn.permutations, np.random.default_rng(drawn.seed))]
    shuffled = {measure.name: np.concatenate([part[measure.name] for part in parts]) for measure in measures}
    null = {measure.name: float(np.quantile(shuffled[measure.name], LEVEL)) * drawn.narrowing**measure.null for measure in measures}
    if SHARE not in shuffled:
        return null, nan
    own = read(np.stack([part.mean(axis=0, dtype=np.float64) for part in np.split(sample, np.cumsum(sizes)[:-1])]))[SHARE]
    p_value = (1 + np.sum(shuffled[SHARE] >= own)) / (1 + drawn.permutations) if np.isfinite(own) else nan
    return null, float(p_value)


def _interval(measure: Measure, estimate: float, reach: float) -> Value:
    """Return the estimate and 1.96 standard deviations on either side, within what the measure can be."""
    low, high = np.clip([estimate - _Z * reach, estimate + _Z * reach], *measure.range)  # which keeps NaN
    return Value(estimate, float(low), float(high))


def _dead(statistics: ClassStatistics, site: str) -> str | None:
    """Return why the gates of a block are dead, if they are; of fewer than two images that is not known."""
    if statistics.count.sum() < 2:
        return None
    spread, squeeze = (float(statistics.overall_std(site, quantity).mean()) for quantity in ("scale", "squeeze"))
    return dead_cause(spread, squeeze, float(saturated_share(statistics.overall_mean(site))))  # of dead gates, every image has the mean
