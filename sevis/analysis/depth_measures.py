"""Every measure of a depth profile: one row each, from which profile, tables, the choice on the page, charts and report follow.

To add one, write how it is read (here, or in `sevis.analysis.readings`), and a row into MEASURES.
Whoever changes what a formula, an interval or a null gives raises VERSION, so that saved profiles are measured anew. A test compares
SOURCE with a hash of the code that measures, so that nobody forgets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import inf, nan

import numpy as np

from sevis.analysis import formulas, readings
from sevis.analysis.block_gates import BlockGates
from sevis.analysis.dead_gates import DEAD
from sevis.analysis.formulas import Array, Counts
from sevis.analysis.uncertainty import Reading
from sevis.class_statistics.class_statistics import ClassStatistics

VERSION = 2
SOURCE = "24cce1843905af8d"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One measure of the gates of a block.

    Attributes:
        name: of its curve in a profile, and of its columns in a table.
        meaning: what it is, in a line.
        read: reads it off the gates of a block.
        chance: gives it from mean, m2 and count, as in `sevis.analysis.formulas`, for shuffled labels; None: they are not shuffled for it.
        null: with shuffled labels, it falls with the number of images n as n ** (-null / 2).
        guessed: whether what chance gives is the share of the largest class.
        range: the least and the most that it can be.
        unit: `%` for a share, which is printed in per cent; `s` for what is in units of s; empty for other numbers.
        label: what the legend of its chart says.
        beside: the measure in whose chart it is drawn; empty: in its own, which the following describe.
        title, axis: of the chart, and of its y-axis.
        about: what one sees there, in a sentence or two.
        limits: for what one sees, by what is written beside them.
        choice: what the chart is called in the choice on the page; empty: it is not offered there, for a statement of the paper shows it.
        warning: what is to be known before one reads the chart.
    """

    name: str
    meaning: str
    read: Callable[[BlockGates], Reading]
    chance: Callable[[Array, Array, Counts], Array] | None = None
    null: int = 0
    guessed: bool = False
    range: tuple[float, float] = (0, 1)
    unit: str = "%"
    label: str
    beside: str = ""
    title: str = ""
    axis: str = ""
    about: str = ""
    limits: Mapping[str, float] = field(default_factory=dict)
    choice: str = ""
    warning: str = ""


# What reads has a name, for a page keeps a profile with its measures, and what has no name cannot be kept (pickled).


def _selectivity(mean: Array, m2: Array, count: Counts) -> Array:
    return formulas.middle(formulas.selectivity(mean))


def _effective(scales: Array) -> Array:
    return np.asarray(formulas.effective_channels(scales) / scales.shape[-1])


def _identity(scales: Array) -> Array:
    return np.asarray(np.abs(1 - scales).mean(axis=-1))


def _exact_identity(statistics: ClassStatistics, site: str) -> float:
    """Return the mean of 1 - s, which is that of |1 - s| where no scale is above 1; NaN elsewhere."""
    return float(1 - statistics.overall_mean(site).mean()) if statistics.bounds(site)[1].max() <= 1 else nan


MEASURES = (
    Measure(
        name="class_share",
        meaning="omega squared, its mean over channels",
        read=readings.class_share,
        chance=formulas.mean_share,
        null=2,
        range=(-1, 1),
        label="of s",
        title="Class share ω² by depth",
        axis="share of the variance",
        about="The share of a scale's variance over all photos that lies between the classes (omega squared, the mean channel), "
        "beside that of the squeezes z, which the gates are computed from, and what shuffled labels give. The rest lies within classes.",
        choice="Class share",
    ),
    Measure(
        name="squeeze_share",
        meaning="omega squared of the squeezes z of the same block, its mean over channels",
        read=readings.squeeze_share,
        range=(-1, 1),
        label="of z",
        beside="class_share",
    ),
    Measure(
        name="accuracy",
        meaning="of a linear discriminant, each fifth of the images read by one that was fitted to the others",
        read=readings.accuracy,
        guessed=True,
        label="linear discriminant",
        title="Classes told by gates alone",
        axis="share of the photos",
        about="The share of the photos whose class two readers tell by their gates: a linear discriminant, which knows how the gates vary "
        "within a class (each fifth of the photos is read by one that was fitted to the other four), and the nearest class mean "
        "(computed without the photo itself). Chance is the share of the largest class.",
    ),
    Measure(
        name="nearest",
        meaning="of the nearest class mean, each image left out in its turn",
        read=readings.nearest,
        guessed=True,
        label="nearest class mean",
        beside="accuracy",
    ),
    Measure(
        name="high",
        meaning=f"the share of scales above {formulas.HIGH}",
        read=partial(readings.share_of_scales, "high", formulas.open_share),
        label=f"above {formulas.HIGH}",
        title="Scales near 1 and near 0",
        axis="share of the scales",
        about="The share of the scales, over channels and photos, that let nearly all of a channel pass, and the share that let "
        "nearly nothing pass.",
    ),
    Measure(
        name="low",
        meaning=f"the share of scales below {formulas.LOW}, unknown where some are negative",
        read=partial(readings.share_of_scales, "low", formulas.shut_share),
        label=f"below {formulas.LOW}",
        beside="high",
    ),
    Measure(
        name="residual",
        meaning="what one factor for each class leaves, relative to the mean gates, its root mean square over classes",
        read=readings.residual,
        range=(0, inf),
        label="what the factors leave",
        title="One factor for each class: what it changes, what it leaves",
        axis="part of the mean gates",
        about="One factor for each class is fitted to the mean gates of all classes. How far the factors are from 1, and how far the mean "
        "gates of a class lie from what its factor gives, relative to the mean gates (root mean squares over classes).",
    ),
    Measure(
        name="factor",
        meaning="|a - 1| of the classes' factors a, its root mean square over classes",
        read=readings.factor,
        range=(0, inf),
        label="the factors' distance from 1",
        beside="residual",
    ),
    Measure(
        name="left",
        meaning="the part of the differences between classes that remains after one factor for each class",
        read=readings.left,
        label="left after scaling",
        title="What remains after one factor for each class",
        axis="share of the difference",
        about="How much of the differences between the classes' mean gates remains when one factor for each class is fitted to the "
        "mean of all classes: 0 % if the classes differ only in scale, 100 % if scaling explains nothing.",
        choice="Left after scaling",
    ),
    Measure(
        name="spread",
        meaning="the standard deviation of s over all images, its mean over channels",
        read=readings.spread,
        range=(0, inf),
        unit="s",
        label="over all photos",
        title="Spread of a scale over all photos",
        axis="standard deviation of s",
        about="How far a scale varies from photo to photo (the mean channel). Below the line the gates are dead: the same for every photo.",
        limits={"dead below": DEAD},
        choice="Spread over photos",
    ),
    Measure(
        name="distance",
        meaning="|s̄_k - s̄|, its root mean square over classes and channels: the standard deviation of s between classes",
        read=readings.distance,
        range=(0, inf),
        unit="s",
        label="mean class",
        title="How far the mean gates of the classes lie apart",
        axis="difference, in units of s",
        about="How far the mean gates of a class lie from those of all photos, as one sees it in Figure 6: the mean class (the standard "
        "deviation between classes), and the class that lies furthest. Root mean squares over channels, without the noise of the means.",
    ),
    Measure(
        name="furthest",
        meaning="the same of the class that lies furthest: found in one half of the photos, measured in the other",
        read=readings.furthest,
        range=(0, inf),
        unit="s",
        label="furthest class",
        beside="distance",
    ),
    Measure(
        name="within",
        meaning="the standard deviation of s within classes, its root mean square over channels",
        read=readings.within,
        range=(0, inf),
        unit="s",
        label="within classes",
        title="Spread of a scale within classes",
        axis="standard deviation of s",
        about="How far a scale varies from photo to photo of one class (root mean square over channels).",
        choice="Spread within classes",
    ),
    Measure(
        name="selectivity",
        meaning="the class selectivity index, its median over channels",
        read=readings.selectivity,
        chance=_selectivity,
        null=1,
        unit="",
        label="median channel",
        title="Class selectivity index",
        axis="index, 0 to 1",
        about="The highest class mean against the mean of the other classes, in the median channel: (highest - rest) / (highest + rest).",
        choice="Selectivity (CSI)",
        warning="Do not compare this index across data sets. Noise alone increases it, more so with more classes and fewer photos, "
        "and gates far from 0 compress it. Compare it with the dotted line, and read it beside the class share.",
    ),
    Measure(
        name="agreement",
        meaning="Spearman's rank correlation of the gates of two photos, its mean over pairs",
        read=readings.agreement,
        range=(-1, 1),
        unit="",
        label="mean pair of photos",
        title="Do photos agree on the order of channels?",
        axis="rank correlation",
        about="The rank correlation of the gates of two photos (Spearman, the mean pair): 1 if every photo opens the channels in the same "
        "order, 0 if the orders have nothing in common. It is Kendall's W without what W owes to the number of photos.",
        choice="Rank agreement",
    ),
    Measure(
        name="effective",
        meaning="the effective number of channels as a share of C, its mean over images",
        read=partial(readings.of_images, _effective),
        label="mean photo",
        title="Channels that the scales are spread over",
        axis="share of the channels",
        about="The exponential of the entropy of a photo's scales, as a share of all channels: 100 % if all scales are equal.",
        choice="Effective channels",
    ),
    Measure(
        name="cosine",
        meaning="the cosine distance of the mean gates of two classes, its mean over pairs",
        read=readings.cosine,
        unit="",
        label="mean pair",
        title="Cosine distance of two classes",
        axis="1 - cosine",
        about="The angle between the mean gates of two classes, whatever their common scale.",
        choice="Angle of classes",
    ),
    Measure(
        name="identity",
        meaning="|1 - s|, its mean",
        read=partial(readings.of_images, _identity, exact=_exact_identity),
        range=(0, inf),
        unit="s",
        label="mean scale",
        title="Distance from the identity",
        axis="mean |1 - s|",
        about="How far the scales are from 1, where a block would change nothing.",
        choice="Distance from the identity",
    ),
    Measure(
        name="ones",
        meaning="the share of scales that are exactly 1",
        read=partial(readings.counted, "ones"),
        label="exactly 1",
        title="Scales of exactly 0 and 1",
        axis="share of the scales",
        about="How many scales are exactly 0 or 1: a hard gate has such scales, a sigmoid only if float32 rounds to them. "
        "All scales are counted; there is no interval.",
        choice="Exactly 0 and 1",
    ),
    Measure(
        name="zeros",
        meaning="the share of scales that are exactly 0",
        read=partial(readings.counted, "zeros"),
        label="exactly 0",
        beside="ones",
    ),
)
