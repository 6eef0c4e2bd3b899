"""How the gates change with depth: each measure for each block, with its interval, and with what chance gives."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from sevis.analysis.block_profile import Value, draw_images, measure_block
from sevis.analysis.depth_measures import MEASURES, Measure
from sevis.analysis.formulas import Array
from sevis.analysis.intervals import LEVEL
from sevis.class_statistics.class_statistics import ClassStatistics


@dataclass(frozen=True)
class Curve:
    """One measure over the L blocks, shape (L,) each; NaN where it cannot be known, or is not measured yet.

    Attributes:
        estimate: the measure.
        low, high: the ends of its interval.
        null: what chance gives; None where chance has no say.
    """

    estimate: Array
    low: Array
    high: Array
    null: Array | None = None


@dataclass(frozen=True, kw_only=True)
class DepthProfile:
    """What the gates of a network do, block by block.

    Attributes:
        sites: the names of the L blocks, in order of depth.
        curves: by the names of the measures.
        images, classes: how many the statistics hold.
        per_class: how many of each class are resampled, at the median; 0 where the file keeps none.
        p_values: the share of shuffled labels that give as large a class share, shape (L,): 1 / (1 + permutations) at least.
        dead: why the gates of a block are dead, a key of `sevis.analysis.dead_gates.CAUSES`, by site; the others are not in it.
        level: of the intervals.
        replicates, permutations, seed: how many were drawn, and from which seed.
        measured: how many blocks are, from the first on.
        measures: what is measured, in the order of tables and of choices.
        saved: whether it was read from a file, see `sevis.analysis.saved_profile`.
        compacted: whether its statistics were made compact since it was measured.
    """

    sites: tuple[str, ...]
    curves: Mapping[str, Curve]
    images: int
    classes: int
    per_class: int
    p_values: Array
    dead: Mapping[str, str]
    level: float
    replicates: int
    permutations: int
    seed: int
    measured: int
    measures: Sequence[Measure] = MEASURES
    saved: bool = False
    compacted: bool = False

    @property
    def done(self) -> float:
        """Return how much is measured, in 0..1."""
        return self.measured / len(self.sites)

    def at(self, name: str, site: str) -> Value:
        """Return a measure of one block."""
        index, curve = self.sites.index(site), self.curves[name]
        parts = (curve.estimate, curve.low, curve.high, curve.null)
        return Value(*(nan if part is None else float(part[index]) for part in parts))


def depth_profile(
    statistics: ClassStatistics,
    *,
    replicates: int = 200,
    permutations: int = 100,
    seed: int = 0,
    measures: Sequence[Measure] = MEASURES,
    progress: Callable[[float], None] | None = None,
) -> DepthProfile:
    """Measure all blocks: 5 s on one core for 16 blocks with 7,552 channels in all and 20 classes of 50 images, 25 s for 200 such classes.

    Estimates come from all images, as far as the file holds what they need; intervals and nulls from the images whose gates it keeps
    whole. An interval is the estimate and 1.96 standard deviations of the bootstrap's replicates on either side: the replicates themselves
    lie beside the estimate, for they add noise to the class means, and 200 do for a standard deviation but not for quantiles (Efron &
    Tibshirani, 1993, An Introduction to the Bootstrap, sec. 6.4). Images are drawn within their class. How often a reader is right has
    the interval of `sevis.analysis.intervals.read_share`. Without whole gates in the file, or with fewer than
    five of a class, all intervals are NaN.

    Of many images or classes fewer replicates and permutations are drawn, see `sevis.analysis.block_profile.draw_images`.

    Args:
        statistics: of any network; best with whole gates of each class.
        replicates, permutations: how many to draw at most.
        seed: of what is drawn.
        measures: what to measure; each is a row of `sevis.analysis.depth_measures`.
        progress: told the share of the blocks that are measured, after each.
    """
    for profile in scan_depth(statistics, replicates=replicates, permutations=permutations, seed=seed, measures=measures):
        if progress:
            progress(profile.done)
    return profile


def scan_depth(
    statistics: ClassStatistics,
    *,
    replicates: int = 200,
    permutations: int = 100,
    seed: int = 0,
    measures: Sequence[Measure] = MEASURES,
) -> Iterator[DepthProfile]:
    """Yield what is known after each block; the last one is what `depth_profile` returns."""
    drawn = draw_images(statistics, replicates=replicates, permutations=permutations, seed=seed)
    sites, dead = statistics.sites, dict[str, str]()
    table = {measure.name: np.full((4, len(sites)), nan) for measure in measures}
    p_values = np.full(len(sites), nan)
    for index, site in enumerate(sites):
        block = measure_block(statistics, site, drawn, measures)
        for name, value in block.values.items():
            table[name][:, index] = value
        p_values[index] = block.p_value
        if block.dead:
            dead[site] = block.dead
        yield DepthProfile(
            sites=sites,
            curves={name: _curve(rows.copy()) for name, rows in table.items()},
            images=int(statistics.count.sum()),
            classes=int(np.count_nonzero(statistics.count)),
            per_class=drawn.per_class,
            p_values=p_values.copy(),
            dead=dict(dead),
            level=LEVEL,
            replicates=len(drawn.weights),
            permutations=drawn.permutations,
            seed=seed,
            measured=index + 1,
            measures=measures,
        )


def describe_measuring(profile: DepthProfile) -> str:
    """Return over how many photos a profile is measured, and how many of them its intervals rest on, in a few sentences."""
    about = f"Measured over {profile.images:,} photos of {profile.classes} classes."
    if not profile.per_class:
        return f"{about} The file holds no single gates, so intervals and nulls are unknown: collect it again with python -m sevis collect."
    before = ", before these were made compact" if profile.compacted else ""
    when = f" sevis measured them once, when it collected the statistics{before}." if profile.saved else ""
    return (
        f"{about} Intervals are {100 * profile.level:.0f} %, from {profile.replicates} bootstrap samples of {profile.per_class} photos of "
        f"each class; those of the two readers of classes are Wilson's, made wider.{when}"
    )


def _curve(rows: Array) -> Curve:
    estimate, low, high, null = rows
    return Curve(estimate, low, high, None if np.isnan(null).all() else null)
