"""All measures of one block, with intervals and nulls: one block of a depth profile."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import NamedTuple

import numpy as np

from sevis.analysis.block_gates import FEWEST, BlockGates, Drawn, gates_of_block
from sevis.analysis.dead_gates import dead_cause
from sevis.analysis.depth_measures import MEASURES, Measure
from sevis.analysis.formulas import Array, saturated_share
from sevis.analysis.intervals import LEVEL
from sevis.analysis.resampling import shuffled_means
from sevis.class_statistics.class_statistics import ClassStatistics

EFFORT = 2 * 1_000 * 7_552  # images times channels up to which the labels are shuffled as often as was asked for
PERMUTATIONS = 19  # at least: the smallest p that these can give is 0.05
SHARE = "class_share"  # the measure that has a p-value
COST = 50  # a class costs about as much as so many images


class Value(NamedTuple):
    """A measure of one block: the estimate, the ends of its interval over photos, what chance gives, and the ends of its interval over
    classes; NaN where unknown.
    """

    estimate: float
    low: float = nan
    high: float = nan
    null: float = nan
    low_over_classes: float = nan
    high_over_classes: float = nan


@dataclass(frozen=True)
class BlockMeasures:
    """All measures of one block by name, the p-value of its class share, and why its gates are dead, if they are."""

    values: dict[str, Value]
    p_value: float
    dead: str | None


def count_permutations(statistics: ClassStatistics, drawn: Drawn, permutations: int) -> int:
    """Return how often the labels are shuffled: where images times channels are more than EFFORT, fewer times, in proportion, but 19."""
    effort = max(len(drawn.rows), COST * len(drawn.classes)) * sum(statistics.channels.values())
    return max(min(permutations, PERMUTATIONS), round(min(1.0, EFFORT / max(effort, 1)) * permutations))


def measure_block(
    statistics: ClassStatistics, site: str, drawn: Drawn, measures: Sequence[Measure] = MEASURES, *, permutations: int = 0
) -> BlockMeasures:
    """Return all measures of a block. Raises SevisError for a block that the statistics do not hold."""
    block = gates_of_block(statistics, site, drawn)
    values = {measure.name: _value(measure, block, drawn) for measure in measures}
    p_value = nan
    if block.sampled and permutations:
        nulls, p_value = _chance(measures, block, drawn, permutations)
        values |= {name: values[name]._replace(null=null) for name, null in nulls.items()}
    return BlockMeasures(values, p_value, _dead(statistics, site))


def _value(measure: Measure, block: BlockGates, drawn: Drawn) -> Value:
    """Return a measure with its intervals, within what it can be; without, where the classes have too few photos."""
    if not block.photos.count.any():
        return Value(nan)
    reading = measure.read(block)
    few = drawn.per_class < FEWEST or not block.resolved
    photos = (nan, nan) if few else reading.over_photos(int(np.sum(drawn.sizes - 1)))
    classes = (nan, nan) if few else reading.over_classes(block.photos.weights)
    ends = np.clip((reading.estimate, *photos, *classes), *measure.range).tolist()  # which keeps NaN
    return Value._make((*ends[:3], reading.null, *ends[3:]))


def _chance(measures: Sequence[Measure], block: BlockGates, drawn: Drawn, permutations: int) -> tuple[dict[str, float], float]:
    """Return what shuffled labels give for N images, at the 95 % quantile, and the p-value of the sample's class share (Phipson & Smyth,
    2010); it falls with the number of images, so it is given for as many as the estimate comes from, by a power of √(M / N).
    """
    sample, sizes = block.values, drawn.sizes
    centre = sample.mean(axis=0, dtype=np.float64)
    total = np.square(sample - centre.astype(np.float32)).sum(axis=0, dtype=np.float64)
    weights = sizes.astype(np.float32)
    told = [measure for measure in measures if measure.chance]

    def read(mean: Array) -> dict[str, Array]:
        between = np.einsum("k,...kc->...c", weights, np.square(mean - centre.astype(np.float32)))
        m2 = (total - between)[..., None, :]  # of all classes together: formulas need no more
        return {measure.name: measure.chance(mean, m2, sizes) for measure in told if measure.chance}

    parts = [read(mean) for mean in shuffled_means(sample, sizes, permutations, np.random.default_rng(drawn.seed))]
    shuffled = {measure.name: np.concatenate([part[measure.name] for part in parts]) for measure in told}
    narrowing = np.sqrt(len(sample) / block.photos.count.sum())
    null = {measure.name: float(np.quantile(shuffled[measure.name], LEVEL)) * narrowing**measure.null for measure in told}
    if SHARE not in shuffled:
        return null, nan
    own = read(block.photos.means(sample))[SHARE]
    p_value = (1 + np.sum(shuffled[SHARE] >= own)) / (1 + permutations) if np.isfinite(own) else nan
    return null, float(p_value)


def _dead(statistics: ClassStatistics, site: str) -> str | None:
    """Return why the gates of a block are dead, if they are; of fewer than two images that is not known."""
    if statistics.count.sum() < 2:
        return None
    spread, squeeze = (float(statistics.overall_std(site, quantity).mean()) for quantity in ("scale", "squeeze"))
    return dead_cause(spread, squeeze, float(saturated_share(statistics.overall_mean(site))))  # of dead gates, every image has the mean
