"""All measures of one block, with intervals and nulls: one block of a depth profile."""

from dataclasses import dataclass, field
from math import nan, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sevis.analysis import measures
from sevis.analysis.dead_gates import dead_cause
from sevis.analysis.intervals import LEVEL, wilson
from sevis.analysis.resampling import bootstrap_weights, choose_images, resampled_moments, shuffled_means
from sevis.class_statistics.class_statistics import ClassStatistics

Array = NDArray[np.floating]
Counts = NDArray[np.integer]
FROM_MOMENTS = {
    "class_share": "omega squared, its median over channels",
    "selectivity": "the class selectivity index, its median over channels",
    "spread": "the standard deviation of s over all images, its mean over channels",
    "within": "the standard deviation of s within classes, its mean over channels",
    "between": "the standard deviation of s between classes, its mean over channels",
    "distance": "|s̄_k - s̄|, its mean over classes and channels",
    "cosine": "the cosine distance of the mean gates of two classes, its mean over pairs",
    "left": "what one factor a class leaves of the differences between classes, `measures.left_by_scale`",
    "factor": "|a - 1| of the classes' factors a, `measures.scale_fit`, its mean over classes",
}
OF_IMAGES = {
    "high": "the share of scales above 0.9",
    "low": "the share of scales below 0.1, unknown where some are negative",
    "identity": "|1 - s|, its mean",
    "zeros": "the share of scales that are exactly 0",
    "ones": "the share of scales that are exactly 1",
    "effective": "the effective number of channels as a share of C, its mean over images",
}
TOGETHER = {
    "agreement": "Kendall's W over images",
    "accuracy": "of the nearest class mean, each image left out in its turn",
}
NAMES = FROM_MOMENTS | OF_IMAGES | TOGETHER
# The null of these is the 95 % quantile over shuffled labels. It falls with the number of images, as 1 / √n or 1 / n, and is given for as
# many as the estimate comes from: by the power of √(M / N). That of the accuracy is naming the largest class, 1 / K for equal ones.
SHUFFLED = {"class_share": 2, "selectivity": 1, "distance": 1, "cosine": 2}
UNBOUNDED = ("spread", "within", "between", "distance", "factor", "identity")  # above; the others end at 1

IMAGES = 10_000  # are resampled at most
FEWEST = 5  # images of a class, at the median: of fewer no interval is given
EFFORT = 2 * 1_000 * 7_552  # images times channels up to which as many replicates and permutations are drawn as were asked for
REPLICATES, PERMUTATIONS = 30, 19  # are drawn at least; the smallest p that 19 permutations can give is 0.05
COST = 50  # a class costs about as much as so many images
_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


class Value(NamedTuple):
    """A measure of one block: the estimate, the ends of its interval, and what chance gives; NaN where unknown."""

    estimate: float
    low: float = nan
    high: float = nan
    null: float = nan


@dataclass(frozen=True)
class Block:
    """All measures of one block, the p-value of its class share, and why its gates are dead, if they are."""

    values: dict[str, Value]
    p_value: float
    dead: str | None


@dataclass(frozen=True)
class Drawn:
    """What is resampled, the same for all blocks.

    Attributes:
        places: of the images in the sample, class after class, shape (M,).
        names: their classes, as rows of the statistics, shape (K,).
        sizes: how many images each class has, shape (K,).
        shares: how much of all images in the statistics each image stands for, shape (M,); they add up to 1.
        weights: how often each image is drawn, shape (R, M).
        permutations: how many.
        seed: of the permutations.
        images: how many the statistics hold.
    """

    places: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    names: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    sizes: Counts = field(default_factory=lambda: np.zeros(0, np.int64))
    shares: Array = field(default_factory=lambda: np.zeros(0))
    weights: Array = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    permutations: int = 0
    seed: int = 0
    images: int = 0

    @property
    def per_class(self) -> int:
        """Return how many images a class has, at the median."""
        return int(np.median(self.sizes)) if len(self.sizes) else 0

    @property
    def widening(self) -> float:
        """By what to multiply deviations within classes that hold m images each: √(m / (m - 1)); NaN where too few were drawn."""
        return sqrt(self.per_class / (self.per_class - 1)) if self.per_class >= FEWEST else nan

    @property
    def narrowing(self) -> float:
        """By what to multiply them for an estimate from all images: √(M / N)."""
        return sqrt(len(self.places) / self.images) if self.images else nan


def draw_images(statistics: ClassStatistics, *, replicates: int, permutations: int, seed: int) -> Drawn:
    """Choose the images to resample, IMAGES of them at most, and draw how often.

    Where images times channels are more than EFFORT, fewer replicates and permutations are drawn, in proportion, but not below 30 and 19; a
    class counts as 50 images at least. For 1,000 classes and 15,104 channels that is 30 and 19, and 41 s for all blocks on one core.
    """
    if not statistics.detailed:
        return Drawn(images=int(statistics.count.sum()))
    random = np.random.default_rng(seed)
    labels = statistics.sample(statistics.sites[0]).labels
    places, names, sizes = choose_images(labels, limit=IMAGES, random=random)
    effort = max(len(places), COST * len(names)) * sum(statistics.channels.values())
    part = min(1.0, EFFORT / max(effort, 1))
    weights = bootstrap_weights(sizes, max(min(replicates, REPLICATES), round(part * replicates)), random)
    shares = np.repeat(statistics.count[names] / np.maximum(sizes, 1), sizes)
    return Drawn(
        places,
        names,
        sizes,
        shares / max(shares.sum(), 1),
        weights,
        max(min(permutations, PERMUTATIONS), round(part * permutations)),
        int(random.integers(2**32)),
        int(statistics.count.sum()),
    )


def measure_block(statistics: ClassStatistics, site: str, drawn: Drawn) -> Block:
    """Return all measures of a block. Raises SevisError for a block that the statistics do not hold."""
    held = statistics.count > 0
    mean, m2, count = statistics.mean(site)[held], statistics.m2(site)[held], statistics.count[held]
    values = {name: Value(nan) for name in NAMES}
    values |= {name: Value(float(value)) for name, value in of_moments(mean, m2, count).items()}
    values |= {name: Value(value) for name, value in _of_all_images(statistics, site).items()}
    p_value = nan
    if len(drawn.places):
        sample = np.ascontiguousarray(statistics.sample(site).values[drawn.places], np.float32)
        values |= _with_images(values, sample, drawn)
        values |= _agreement(sample, drawn)
        values |= _told_apart(statistics, site, sample, drawn)
        values |= _with_moments(values, sample, drawn)
        nulls, p_value = _chance(sample, drawn)
        values |= {name: values[name]._replace(null=null) for name, null in nulls.items()}
    squeeze = measures.overall_spread(statistics.mean(site, "squeeze"), statistics.m2(site, "squeeze"), statistics.count)
    still = measures.saturation(statistics.overall_mean(site))  # of dead gates, what every image has
    saturated = float(np.nansum([still["high"], still["low"]]))
    return Block(values, p_value, dead_cause(values["spread"].estimate, float(squeeze.mean()), saturated))


def of_moments(mean: Array, m2: Array, count: Counts) -> dict[str, Array]:
    """Return the measures FROM_MOMENTS, shape (...) each, for `mean` and `m2` of shape (..., K, C); every class has images."""
    if not len(count):
        return {}
    within, between = measures.spreads(mean, m2, count)
    overall = np.einsum("k,...kc->...c", (count / count.sum()).astype(mean.dtype), mean)
    return {
        "class_share": middle(measures.class_share(mean, m2, count)),
        "selectivity": middle(measures.selectivity(mean)),
        "spread": measures.overall_spread(mean, m2, count).mean(axis=-1),
        "within": within.mean(axis=-1),
        "between": between.mean(axis=-1),
        "distance": _distance(mean, overall),
        "cosine": _cosine(mean),
        "left": measures.left_by_scale(mean, m2, count),
        "factor": np.abs(measures.scale_fit(mean, overall)[0] - 1).mean(axis=-1) if len(count) > 1 else np.full(mean.shape[:-2], nan),
    }


def middle(values: Array) -> Array:
    """Return the median over the last axis, without NaN; NaN where there is nothing else."""
    ordered = np.sort(values, axis=-1)  # NaN last
    known = np.isfinite(values).sum(axis=-1, keepdims=True)
    low, high = (np.take_along_axis(ordered, place, axis=-1)[..., 0] for place in ((known - 1) // 2, known // 2))
    return np.where(known[..., 0] > 0, (low + high) / 2, nan)


def _distance(mean: Array, overall: Array) -> Array:
    return np.abs(mean - overall[..., None, :]).mean(axis=(-2, -1)) if mean.shape[-2] > 1 else np.full(mean.shape[:-2], nan)


def _cosine(mean: Array) -> Array:
    """Return the mean over pairs of classes of `measures.distances`, without a table of pairs: Σ_jk u_j · u_k = |Σ_k u_k|²."""
    classes = mean.shape[-2]
    length = np.sqrt(np.einsum("...kc,...kc->...k", mean, mean))
    inverse = np.divide(1, length, out=np.full_like(length, nan), where=length > 0)
    total = np.einsum("...k,...kc->...c", inverse, mean)
    pairs = classes * (classes - 1)
    return 1 - (np.einsum("...c,...c->...", total, total) - classes) / pairs if pairs else np.full(mean.shape[:-2], nan)


def _of_all_images(statistics: ClassStatistics, site: str) -> dict[str, float]:
    """Return the measures OF_IMAGES that the moments and the histogram of a file give."""
    found: dict[str, float] = {}
    if not statistics.count.any():
        return found
    if statistics.bounds(site)[1].max() <= 1:
        found["identity"] = float(1 - statistics.overall_mean(site).mean())
    if statistics.detailed:
        histogram = statistics.histogram(site)
        bins = histogram.counts.sum(axis=0)
        below, above = histogram.below.sum(), histogram.above.sum()
        total = bins.sum() + below + above
        middles = (histogram.edges[1:] + histogram.edges[:-1]) / 2
        found["high"] = float((bins[middles > measures.HIGH].sum() + above) / total)
        if not below:
            found["low"] = float(bins[middles < measures.LOW].sum() / total)
        found["zeros"], found["ones"] = float(histogram.zeros.sum() / total), float(histogram.ones.sum() / total)
    return found


def _with_images(values: dict[str, Value], sample: Array, drawn: Drawn) -> dict[str, Value]:
    """Return the measures OF_IMAGES with intervals; estimated from the sample where the file does not give them for all images."""
    each = measures.saturation(sample) | {"effective": measures.effective_channels(sample) / sample.shape[1]}
    found = {}
    for name, one in each.items():
        weighed = drawn.shares * one
        known = values[name].estimate
        partly = np.isnan(known)
        reach = drawn.widening * (1 if partly else drawn.narrowing) * float(np.std(drawn.weights @ weighed))
        found[name] = _interval(name, float(weighed.sum()) if partly else known, reach)
    return found


def _agreement(sample: Array, drawn: Drawn) -> dict[str, Value]:
    """Kendall's W of whole gates, with an interval."""
    ranks, ties = measures.mean_ranks(sample)
    once = np.ones(len(sample), np.float32)
    reach = drawn.widening * float(np.std(measures.agreement(ranks, ties, drawn.weights)))
    return {"agreement": _interval("agreement", float(measures.agreement(ranks, ties, once)), reach)}


def _told_apart(statistics: ClassStatistics, site: str, sample: Array, drawn: Drawn) -> dict[str, Value]:
    """Return the accuracy, by the class means of all images that the statistics hold, so that it does not depend on the size of the
    sample.
    """
    if len(drawn.sizes) < 2:
        return {}
    labels = np.repeat(drawn.names, drawn.sizes)
    found = measures.nearest_class(sample, labels, mean=statistics.mean(site), count=statistics.count)
    hits, chance = int(np.sum(found == labels)), float(drawn.sizes.max() / len(labels))
    return {"accuracy": Value(hits / len(labels), *wilson(hits, len(labels)), chance)}


def _with_moments(values: dict[str, Value], sample: Array, drawn: Drawn) -> dict[str, Value]:
    """Return the measures FROM_MOMENTS with intervals."""
    parts = [of_moments(mean, m2, drawn.sizes) for mean, m2 in resampled_moments(sample, drawn.sizes, drawn.weights)]
    reach = drawn.widening * drawn.narrowing
    return {
        name: _interval(name, values[name].estimate, reach * float(np.std(np.concatenate([part[name] for part in parts]))))
        for name in FROM_MOMENTS
    }


def _chance(sample: Array, drawn: Drawn) -> tuple[dict[str, float], float]:
    """Return what chance gives for N images, at the 95 % quantile, and the p-value of the sample's class share (Phipson & Smyth, 2010)."""
    sizes, classes = drawn.sizes, len(drawn.sizes)
    centre = sample.mean(axis=0, dtype=np.float64)
    total = np.square(sample - centre.astype(np.float32)).sum(axis=0, dtype=np.float64)
    weights = sizes.astype(np.float32)

    def read(mean: Array) -> dict[str, Array]:
        between = np.einsum("k,...kc->...c", weights, np.square(mean - centre.astype(np.float32)))
        share = measures.omega_squared(between, np.broadcast_to(total, between.shape), classes=classes, images=len(sample))
        return {
            "class_share": middle(share),
            "selectivity": middle(measures.selectivity(mean)),
            "distance": _distance(mean, centre.astype(np.float32)),
            "cosine": _cosine(mean),
        }

    parts = [read(mean) for mean in shuffled_means(sample, sizes, drawn.permutations, np.random.default_rng(drawn.seed))]
    shuffled = {name: np.concatenate([part[name] for part in parts]) for name in SHUFFLED}
    own = read(np.stack([part.mean(axis=0, dtype=np.float64) for part in np.split(sample, np.cumsum(sizes)[:-1])]))["class_share"]
    p_value = (1 + np.sum(shuffled["class_share"] >= own)) / (1 + drawn.permutations) if np.isfinite(own) else nan
    null = {name: float(np.quantile(part, LEVEL)) * drawn.narrowing ** SHUFFLED[name] for name, part in shuffled.items()}
    return null, float(p_value)


def _interval(name: str, estimate: float, reach: float) -> Value:
    """Return the estimate and 1.96 standard deviations on either side, within what the measure can be."""
    lowest, highest = -1.0 if name == "class_share" else 0.0, np.inf if name in UNBOUNDED else 1.0
    low, high = np.clip([estimate - _Z * reach, estimate + _Z * reach], lowest, highest)  # which keeps NaN
    return Value(estimate, float(low), float(high))
