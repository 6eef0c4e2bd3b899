"""The numbers of Figures 6 and 7: a curve for each class, or group of classes, over channels in one of three orders."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevis.analysis.class_groups import Group
from sevis.analysis.formulas import class_share
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError

Array = NDArray[np.floating]
Table = dict[str, NDArray[Any]]
Curve = str | Group  # a class by its name, or several as one
PAPER_CHANNELS = 50
INDEX, MEAN, SHARE = ORDERS = ("index", "mean", "class share")


def sample_channels(width: int, count: int | None = PAPER_CHANNELS) -> NDArray[np.intp]:
    """Return the indices of `count` evenly spaced channels out of `width`, ascending, the first and the last among them; None is all.

    The paper draws "fifty uniformly sampled channels" and does not say which.

    Raises:
        SevisError: for a count below 1.
    """
    if count is not None and count < 1:
        raise SevisError(f"expected at least one channel to draw, got {count}")
    if count is None or count >= width:
        return np.arange(width)
    return np.linspace(0, width - 1, count).round().astype(np.intp)


def order_channels(statistics: ClassStatistics, site: str, order: str = INDEX) -> tuple[NDArray[np.intp], Array]:
    """Return all channels of a block in an order, and the number of each, in that order, that it follows.

    Args:
        order: `index`; `mean`: from the highest mean scale over all images to the lowest; or `class share`: from the channel whose
            variance lies most between the classes (omega squared, `sevis.analysis.formulas.class_share`) to the least, unknown ones last.

    Raises:
        SevisError: for another order, or a block that the statistics do not hold.
    """
    if order == INDEX:
        channels = np.arange(statistics.mean(site).shape[1])
        return channels, channels.astype(np.float64)
    values: Array
    if order == MEAN:
        values = statistics.overall_mean(site)
    elif order == SHARE:
        values = class_share(statistics.mean(site), statistics.m2(site), statistics.count)
    else:
        raise SevisError(f"there is no order of channels with the name {order!r}: choose one of {', '.join(ORDERS)}")
    channels = np.argsort(-values, kind="stable")  # NaN at the end
    return channels, values[channels]


def missing(statistics: ClassStatistics, curves: Sequence[Curve]) -> list[str]:
    """Return the names of those curves that the statistics hold no image of."""
    return [str(curve) for curve in curves if not count_of(statistics, curve)]


def count_of(statistics: ClassStatistics, curve: Curve) -> int:
    """Return the number of images behind a curve. Raises SevisError for a class that the statistics do not hold."""
    return int(statistics.count[_rows(statistics, curve)].sum())


def label_of(statistics: ClassStatistics, curve: Curve) -> str:
    """Return the name of a curve in the legend and in the table."""
    count = f"n = {count_of(statistics, curve):,})"
    return f"{curve} ({count}" if isinstance(curve, str) else f"{str(curve).removesuffix(')')}, {count}"


def deviation_label(statistics: ClassStatistics, curve: Curve) -> str:
    """Return the name of the standard deviation of a curve in the table."""
    return f"standard deviation of {label_of(statistics, curve)}"


def overall_label(statistics: ClassStatistics) -> str:
    """Return the name of the curve over all images."""
    return f"all {np.count_nonzero(statistics.count)} classes (n = {statistics.count.sum():,})"


def means_of(statistics: ClassStatistics, site: str, curves: Sequence[Curve]) -> Array:
    """Return the mean scales over the images of each class or group, shape (curves, C); NaN without images."""
    means, picked = statistics.mean(site), [_rows(statistics, curve) for curve in curves]
    return np.array([_weighted(means[rows], statistics.count[rows]) for rows in picked]).reshape(len(picked), means.shape[1])


def std_of(statistics: ClassStatistics, site: str, curve: Curve) -> Array:
    """Return the standard deviation of the scale over the images of a class, or of a group, with n - 1, shape (C,); NaN for fewer than
    two.
    """
    rows = _rows(statistics, curve)
    if len(rows) == 1:
        return np.asarray(statistics.std(site)[rows[0]])
    rows = [row for row in rows if statistics.count[row]]
    means, count = statistics.mean(site)[rows], statistics.count[rows]
    squares = statistics.m2(site)[rows].sum(axis=0) + count @ np.square(means - _weighted(means, count))
    return np.asarray(np.sqrt(squares / (count.sum() - 1))) if count.sum() > 1 else np.full(means.shape[1], np.nan)


def mean_table(
    statistics: ClassStatistics, site: str, curves: Sequence[Curve], *, channels: int | None = PAPER_CHANNELS, order: str = INDEX
) -> Table:
    """Return what a panel of Figure 6 draws: channels, and their mean scale by curve and over all images, each of shape (channels,).

    A curve without images is left out. In another order than that of the index, the channels' ranks, from 1, come first, and by class
    share also that.

    Args:
        channels: how many, evenly spaced in their order; None: all.
        order: of `order_channels`.

    Raises:
        SevisError: for a class, a block or an order that there is not.
    """
    ordered, values = order_channels(statistics, site, order)
    ranks = sample_channels(len(ordered), channels)
    picked = ordered[ranks]
    table: Table = {"channel": picked} if order == INDEX else {"rank": ranks + 1, "channel": picked}
    if order == SHARE:
        table["class share"] = values[ranks]
    drawn = [curve for curve in curves if count_of(statistics, curve)]
    rows = means_of(statistics, site, drawn)[:, picked]
    table |= {label_of(statistics, curve): row for curve, row in zip(drawn, rows, strict=True)}
    if statistics.count.any():
        table[overall_label(statistics)] = statistics.overall_mean(site)[picked]
    return table


def spread_table(
    statistics: ClassStatistics, site: str, curves: Sequence[Curve], *, channels: int | None = PAPER_CHANNELS, order: str = INDEX
) -> Table:
    """Return what the panels of Figure 7 draw: `mean_table`, and for each class or group the standard deviation (n - 1) over its images.

    Without images there is no mean, with a single one no standard deviation.

    Raises:
        SevisError: for a class, a block or an order that there is not.
    """
    table = mean_table(statistics, site, curves, channels=channels, order=order)
    spreads = {deviation_label(statistics, curve): std_of(statistics, site, curve) for curve in curves if count_of(statistics, curve) > 1}
    return table | {label: spread[table["channel"]] for label, spread in spreads.items()}


def _rows(statistics: ClassStatistics, curve: Curve) -> list[int]:
    return [statistics.index(curve)] if isinstance(curve, str) else list(curve.rows)


def _weighted(means: Array, count: NDArray[np.int64]) -> Array:
    """Return the mean of rows, weighted by their images; NaN without any."""
    if not count.any():
        return np.full(means.shape[1], np.nan)
    return np.asarray(count[count > 0] @ means[count > 0] / count.sum())
