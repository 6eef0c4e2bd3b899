"""How the gates change with depth: each measure for each block, with its interval, and with what chance gives."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from sevis.analysis.block_gates import draw_images
from sevis.analysis.block_profile import Value, count_permutations, measure_block
from sevis.analysis.depth_measures import MEASURES, Measure
from sevis.analysis.formulas import Array, mean_share
from sevis.analysis.intervals import LEVEL
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError


@dataclass(frozen=True)
class Curve:
    """One measure over the L blocks, shape (L,) each; NaN where it cannot be known, or is not measured yet.

    Attributes:
        estimate: the measure.
        low, high: the ends of its interval over photos, for exactly these classes.
        null: what chance gives; None where chance has no say.
        low_over_classes, high_over_classes: the ends of its interval over classes, drawn like these, and their photos; None: all unknown.
    """

    estimate: Array
    low: Array
    high: Array
    null: Array | None = None
    low_over_classes: Array | None = None
    high_over_classes: Array | None = None


@dataclass(frozen=True, kw_only=True)
class DepthProfile:
    """What the gates of a network do, block by block.

    Attributes:
        sites: the names of the L blocks, in order of depth.
        curves: by the names of the measures.
        images, classes: how many the statistics hold.
        per_class: of how many of each class whole gates are known, at the median; 0 where the file keeps none.
        p_values: the share of shuffled labels that give as large a class share, shape (L,): 1 / (1 + permutations) at least.
        dead: why the gates of a block are dead, a key of `sevis.analysis.dead_gates.CAUSES`, by site; the others are not in it.
        untrained: the class share of the same network before any training, shape (L,); None: not measured.
        level: of the intervals.
        permutations: how often the labels were shuffled.
        seed: of what is drawn.
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
    permutations: int
    seed: int
    measured: int
    measures: Sequence[Measure] = MEASURES
    untrained: Array | None = None
    saved: bool = False
    compacted: bool = False

    @property
    def done(self) -> float:
        """Return how much is measured, in 0..1."""
        return self.measured / len(self.sites)

    def at(self, name: str, site: str) -> Value:
        """Return a measure of one block."""
        index, curve = self.sites.index(site), self.curves[name]
        parts = (curve.estimate, curve.low, curve.high, curve.null, curve.low_over_classes, curve.high_over_classes)
        return Value(*(nan if part is None else float(part[index]) for part in parts))


def depth_profile(
    statistics: ClassStatistics,
    *,
    permutations: int = 100,
    seed: int = 0,
    measures: Sequence[Measure] = MEASURES,
    untrained: ClassStatistics | None = None,
    progress: Callable[[float], None] | None = None,
) -> DepthProfile:
    """Measure all blocks: about 10 s on one core for 16 blocks with 7,552 channels in all and 20 classes of 50 images, and a minute for
    200 such classes.

    Estimates come from all images, as far as the file holds what they need, the rest from the images whose gates it keeps whole. What the
    noise of class means adds is subtracted, see `class_differences`. There are two intervals of 95 %: over photos, for exactly these
    classes; and over classes drawn like these. They follow from what each photo, and each class, adds to the measure, see `readings`; where
    such an interval does not cover what it claims, there is none (`tests/analysis/test_coverage.py` holds that). Without whole gates in the
    file, or with fewer than ten of a class, all intervals are NaN.

    Of many images or classes the labels are shuffled fewer times, see `count_permutations`.

    Args:
        statistics: of any network; best with whole gates of each class.
        permutations: how often to shuffle the labels, at most.
        seed: of what is drawn.
        measures: what to measure; each is a row of `sevis.analysis.depth_measures`.
        untrained: statistics of the same network with random weights, on the same images, as sevis collect --weights random makes them: the
            class share of its gates is what no training gives.
        progress: told the share of the blocks that are measured, after each.

    Raises:
        SevisError: for untrained statistics of other blocks, classes or numbers of images.
    """
    for profile in scan_depth(statistics, permutations=permutations, seed=seed, measures=measures, untrained=untrained):
        if progress:
            progress(profile.done)
    return profile


def scan_depth(
    statistics: ClassStatistics,
    *,
    permutations: int = 100,
    seed: int = 0,
    measures: Sequence[Measure] = MEASURES,
    untrained: ClassStatistics | None = None,
) -> Iterator[DepthProfile]:
    """Yield what is known after each block; the last one is what `depth_profile` returns."""
    floor = None if untrained is None else _untrained_share(statistics, untrained)
    drawn = draw_images(statistics, seed=seed)
    permutations = count_permutations(statistics, drawn, permutations) if len(drawn.rows) else 0
    sites, dead = statistics.sites, dict[str, str]()
    table = {measure.name: np.full((len(Value._fields), len(sites)), nan) for measure in measures}
    p_values = np.full(len(sites), nan)
    for index, site in enumerate(sites):
        block = measure_block(statistics, site, drawn, measures, permutations=permutations)
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
            permutations=permutations,
            seed=seed,
            measured=index + 1,
            measures=measures,
            untrained=floor,
        )


def _untrained_share(statistics: ClassStatistics, untrained: ClassStatistics) -> Array:
    """Return the class share of an untrained network, shape (L,)."""
    same = untrained.channels == statistics.channels and untrained.classes == statistics.classes
    if not same or not np.array_equal(untrained.count, statistics.count):
        raise SevisError(
            "expected class statistics of the same network with random weights, on the same images, got others: make them with "
            "python -m sevis collect --weights random"
        )
    held = untrained.count > 0
    moments = [(untrained.mean(site)[held], untrained.m2(site)[held], untrained.count[held]) for site in untrained.sites]
    return np.array([float(mean_share(*of_site)) for of_site in moments])


def describe_measuring(profile: DepthProfile) -> str:
    """Return over how many photos a profile is measured, and how many of them its intervals rest on, in a few sentences."""
    about = f"Measured over {profile.images:,} photos of {profile.classes} classes."
    if not profile.per_class:
        return f"{about} The file holds no single gates, so intervals and nulls are unknown: collect it again with python -m sevis collect."
    before = ", before these were made compact" if profile.compacted else ""
    when = f" sevis measured them once, when it collected the statistics{before}." if profile.saved else ""
    return (
        f"{about} Intervals are {100 * profile.level:.0f} %, from the gates of {profile.per_class} photos of each class: over photos, for "
        f"exactly these classes. The wider, paler ones are over classes drawn like these.{when}"
    )


def _curve(rows: Array) -> Curve:
    estimate, low, high, *others = rows
    return Curve(estimate, low, high, *(None if np.isnan(part).all() else part for part in others))
