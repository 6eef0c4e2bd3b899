"""Every measure of a depth profile: one row each, from which profile, tables, the choice on the page, charts and report follow.

To add one, write its formula (here, or in `sevis.analysis.formulas`), and a row into MEASURES; `Needs` says what formulas take and return.
Whoever changes what a formula, an interval or a null gives raises VERSION, so that saved profiles are measured anew. A test compares
SOURCE with a hash of the code that measures, so that nobody forgets.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from math import inf, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevis.analysis import formulas
from sevis.analysis.dead_gates import DEAD
from sevis.analysis.discriminant import discriminant_class
from sevis.analysis.formulas import Array, Counts, middle
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError

VERSION = 2
SOURCE = "fb5ff902f33dddbe"


class Needs(Enum):
    """What a measure is read off, and what its formula takes and returns.

    Attributes:
        MOMENTS: (mean, m2, count) of the classes, as in `sevis.analysis.formulas`, give the measure, shape (...).
        IMAGE: the scales of M images, shape (M, C), give a value of each, shape (M,); the measure is their mean.
        IMAGES: the same scales give a function, from how often each image counts, shape (..., M), to the measure, shape (...).
        BOTH: the scales, the images' classes, shape (M,), and mean (K, C) and count (K,) of all classes say for which images something
            holds, shape (M,); the measure is their share.
        FOLDS: so do the scales, the images' classes, and the fold of each, shape (M,).
    """

    MOMENTS = "moments"
    IMAGE = "images, one by one"
    IMAGES = "images"
    BOTH = "moments and images"
    FOLDS = "images in folds"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One measure of the gates of a block.

    Attributes:
        name: of its curve in a profile, and of its columns in a table.
        meaning: what it is, in a line.
        needs, formula: what it is read off, and how.
        exact: reads it off a file of statistics for all images, where the formula sees only those that the file keeps whole; it returns NaN
            for what the file does not say. None: there is no such way.
        null: falls with the number of images n as n ** (-null / 2) where the labels are shuffled; 0: they are not shuffled for it.
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
    needs: Needs = Needs.MOMENTS
    formula: Callable[..., Any]
    exact: Callable[[ClassStatistics, str], float] | None = None
    null: int = 0
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

    def __post_init__(self) -> None:
        if self.null and self.needs is not Needs.MOMENTS:
            raise SevisError(f"labels are shuffled only for measures of moments, but {self.name} needs {self.needs.value}: leave null at 0")


# Formulas have names, for a page keeps a profile with its measures, and what has no name cannot be kept (pickled).


def _class_share(mean: Array, m2: Array, count: Counts) -> Array:
    return middle(formulas.class_share(mean, m2, count))


def _selectivity(mean: Array, m2: Array, count: Counts) -> Array:
    return middle(formulas.selectivity(mean))


def _spread(mean: Array, m2: Array, count: Counts) -> Array:
    return np.asarray(formulas.overall_spread(mean, m2, count).mean(axis=-1))


def _within(mean: Array, m2: Array, count: Counts) -> Array:
    return np.asarray(formulas.within_spread(mean, m2, count).mean(axis=-1))


def _between(mean: Array, m2: Array, count: Counts) -> Array:
    return np.asarray(formulas.between_spread(mean, m2, count).mean(axis=-1))


def _distance(mean: Array, m2: Array, count: Counts) -> Array:
    return formulas.class_distance(mean, count)


def _angle(mean: Array, m2: Array, count: Counts) -> Array:
    return formulas.class_angle(mean)


def _factor(mean: Array, m2: Array, count: Counts) -> Array:
    return formulas.scale_change(mean, count)


def _effective(scales: Array) -> Array:
    return np.asarray(formulas.effective_channels(scales) / scales.shape[-1])


def _identity(scales: Array) -> Array:
    return np.asarray(np.abs(1 - scales).mean(axis=-1))


def _share_of(value: float, scales: Array) -> Array:
    return np.asarray((scales == value).mean(axis=-1))


def _agreement(scales: Array) -> Callable[[Array], Array]:
    return partial(formulas.kendall_w, *formulas.mean_ranks(scales))


def _told(scales: Array, labels: Counts, folds: Counts) -> NDArray[np.bool_]:
    return np.asarray(discriminant_class(scales, labels, folds) == labels)


def _nearest(scales: Array, labels: Counts, mean: Array, count: Counts) -> NDArray[np.bool_]:
    return np.asarray(formulas.nearest_class(scales, labels, mean=mean, count=count) == labels)


def _exact_identity(statistics: ClassStatistics, site: str) -> float:
    """Return the mean of 1 - s, which is that of |1 - s| where no scale is above 1; NaN elsewhere."""
    return float(1 - statistics.overall_mean(site).mean()) if statistics.bounds(site)[1].max() <= 1 else nan


def _exact_share(name: str, statistics: ClassStatistics, site: str) -> float:
    """Return a share of `formulas.shares_of`; NaN where the file has no histogram."""
    return formulas.shares_of(statistics.histogram(site))[name] if statistics.detailed else nan


MEASURES = (
    Measure(
        name="class_share",
        meaning="omega squared, its median over channels",
        formula=_class_share,
        null=2,
        range=(-1, 1),
        label="between the classes",
        title="Class share ω² by depth",
        axis="share of the variance",
        about="The share of a scale's variance over all photos that lies between the classes (omega squared, the median channel), "
        "and the same share with shuffled labels. The rest of the variance lies within the classes.",
    ),
    Measure(
        name="accuracy",
        meaning="of a linear discriminant, each fifth of the images read by one that was fitted to the others",
        needs=Needs.FOLDS,
        formula=_told,
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
        needs=Needs.BOTH,
        formula=_nearest,
        label="nearest class mean",
        beside="accuracy",
    ),
    Measure(
        name="high",
        meaning=f"the share of scales above {formulas.HIGH}",
        needs=Needs.IMAGE,
        formula=formulas.open_share,
        exact=partial(_exact_share, "high"),
        label=f"above {formulas.HIGH}",
        title="Scales near 1 and near 0",
        axis="share of the scales",
        about="The share of the scales, over channels and photos, that let nearly all of a channel pass, and the share that let "
        "nearly nothing pass.",
    ),
    Measure(
        name="low",
        meaning=f"the share of scales below {formulas.LOW}, unknown where some are negative",
        needs=Needs.IMAGE,
        formula=formulas.shut_share,
        exact=partial(_exact_share, "low"),
        label=f"below {formulas.LOW}",
        beside="high",
    ),
    Measure(
        name="left",
        meaning="the part of the differences between classes that remains after one factor for each class",
        formula=formulas.left_by_scale,
        label="left after scaling",
        title="What remains after one factor for each class",
        axis="share of the difference",
        about="How much of the differences between the classes' mean gates remains when one factor for each class is fitted to the "
        "mean of all classes: 0 % if the classes differ only in scale, 100 % if scaling explains nothing. The noise of the "
        "class means is subtracted.",
    ),
    Measure(
        name="spread",
        meaning="the standard deviation of s over all images, its mean over channels",
        formula=_spread,
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
        name="within",
        meaning="the standard deviation of s within classes, its mean over channels",
        formula=_within,
        range=(0, inf),
        unit="s",
        label="within classes",
        title="Spread within and between classes",
        axis="standard deviation of s",
        about="The spread of a scale in two parts, from the analysis of variance: within the classes, and between the classes "
        "(without the noise of the class means).",
        choice="Within and between classes",
    ),
    Measure(
        name="between",
        meaning="the standard deviation of s between classes, its mean over channels",
        formula=_between,
        range=(0, inf),
        unit="s",
        label="between classes",
        beside="within",
    ),
    Measure(
        name="selectivity",
        meaning="the class selectivity index, its median over channels",
        formula=_selectivity,
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
        meaning="Kendall's W over images",
        needs=Needs.IMAGES,
        formula=_agreement,
        unit="",
        label="over photos",
        title="Do photos agree on the order of channels?",
        axis="Kendall's W, 0 to 1",
        about="Kendall's W of the channels' ranks over photos: 1 if every photo opens the channels in the same order, 0 if the "
        "orders have nothing in common.",
        choice="Rank agreement (W)",
    ),
    Measure(
        name="effective",
        meaning="the effective number of channels as a share of C, its mean over images",
        needs=Needs.IMAGE,
        formula=_effective,
        label="mean photo",
        title="Channels that the scales are spread over",
        axis="share of the channels",
        about="The exponential of the entropy of a photo's scales, as a share of all channels: 100 % if all scales are equal.",
        choice="Effective channels",
    ),
    Measure(
        name="distance",
        meaning="|s̄_k - s̄|, its mean over classes and channels",
        formula=_distance,
        null=1,
        range=(0, inf),
        unit="s",
        label="mean class and channel",
        title="How far a class lies from the mean of all",
        axis="mean |difference| of s",
        about="How far the mean gates of a class lie from those of all photos, as one sees it in Figure 6. It includes the noise "
        "of the class means.",
        choice="Distance of classes",
    ),
    Measure(
        name="cosine",
        meaning="the cosine distance of the mean gates of two classes, its mean over pairs",
        formula=_angle,
        null=2,
        unit="",
        label="mean pair",
        title="Cosine distance of two classes",
        axis="1 - cosine",
        about="The angle between the mean gates of two classes, whatever their common scale. It includes the noise of the class means.",
        choice="Angle of classes",
    ),
    Measure(
        name="identity",
        meaning="|1 - s|, its mean",
        needs=Needs.IMAGE,
        formula=_identity,
        exact=_exact_identity,
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
        needs=Needs.IMAGE,
        formula=partial(_share_of, 1),
        exact=partial(_exact_share, "ones"),
        label="exactly 1",
        title="Scales of exactly 0 and 1",
        axis="share of the scales",
        about="How many scales are exactly 0 or 1: a hard gate has such scales, a sigmoid only if float32 rounds to them.",
        choice="Exactly 0 and 1",
    ),
    Measure(
        name="zeros",
        meaning="the share of scales that are exactly 0",
        needs=Needs.IMAGE,
        formula=partial(_share_of, 0),
        exact=partial(_exact_share, "zeros"),
        label="exactly 0",
        beside="ones",
    ),
    Measure(
        name="factor",
        meaning="|a - 1| of the classes' factors a, its mean over classes",
        formula=_factor,
        range=(0, inf),
        label="mean class",
        title="How far the factors of the classes are from 1",
        axis="mean |a - 1|",
        about="How far the factors a that fit the classes best to the mean of all are from 1: the paper's change in scale.",
        choice="Change in scale",
    ),
)
