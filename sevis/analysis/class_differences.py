"""How far the mean gates of the classes lie apart, without what the noise of these means adds.

A mean over few photos lies beside the mean over all photos of its class, so squared differences of such means are too large. They become
unbiased if each class is split into two halves and the difference in one half is multiplied by that in the other: the noise of two halves
has nothing in common. The mean over all such splits is the U-statistic |m_k - m|² less the variance of its noise, which is what is computed
here, from whole gates: the channels of a photo move together (a photo opens many gates at once), so their noise is not independent.

Notation: μ_k is the mean over all photos of class k that there could be, m_k the measured one, of n_k photos; w_k is the class's share of
the photos, μ = Σ w_k μ_k; Σ_k is the covariance within the class.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sevis.analysis.formulas import Array, Counts
from sevis.analysis.resampling import class_slices


@dataclass(frozen=True, eq=False)
class Photos:
    """How the photos of a data set are divided among its classes.

    Attributes:
        count: how many each class has in all, shape (K,).
        sizes: of how many of them whole gates are known, class after class, shape (K,): M in all.
    """

    count: Counts
    sizes: Counts

    @cached_property
    def weights(self) -> Array:
        """Return the share of all photos that each class has, shape (K,)."""
        return np.asarray(self.count / max(self.count.sum(), 1))

    @cached_property
    def parts(self) -> list[slice]:
        """Return where the photos of each class stand among those whose gates are known."""
        return class_slices(self.sizes)

    @cached_property
    def labels(self) -> NDArray[np.intp]:
        """Return the class of each of them, shape (M,)."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def means(self, values: Array) -> Array:
        """Return the mean by class, shape (K, ...), of numbers of the photos, shape (M, ...)."""
        return np.stack([values[part].mean(axis=0, dtype=np.float64) for part in self.parts])

    def variances(self, numbers: Array) -> Array:
        """Return the variance within each class, shape (K,), of a number of each photo, shape (M,)."""
        return np.array([numbers[part].var(ddof=1) for part in self.parts])

    def variance_of_mean(self, numbers: Array, drawn: Counts | None = None) -> float:
        """Return the variance of Σ_k w_k (mean of class k) over other photos of these classes: Σ w_k² s_k² / n_k.

        Args:
            numbers: one of each photo, shape (M,).
            drawn: how many photos of each class the mean is over, shape (K,); None: all that there are.
        """
        return float(np.sum(np.square(self.weights) * self.variances(numbers) / (self.count if drawn is None else drawn)))

    def unbiased(self, square: Array, variance: Array) -> Array:
        """Return |μ_k - μ|² of each class from |m_k - m|² and tr Σ_k, shape (K,) each: the noise of m_k and of m is subtracted."""
        noise = variance / self.count
        return np.asarray(square - (1 - 2 * self.weights) * noise - np.sum(np.square(self.weights) * noise))


@dataclass(frozen=True, eq=False)
class Squares:
    """Σ_k w_k |μ_k - μ|², estimated without bias, and how uncertain that is.

    Its variance over other photos of the same classes has two parts: 4 Σ w_k² d_k' Σ_k d_k / n_k, from the photos' `influence`, and
    2 Σ w_k² (1 - w_k) tr Σ_k² / (n_k (n_k - 1)), which is all that is left where the classes do not differ. The influence is computed from
    measured differences, so its variance is too large by 4 Σ w_k² (1 - w_k) tr Σ_k² / n_k².

    Attributes:
        photos: of the classes.
        parts: |μ_k - μ|² of each class, shape (K,): by chance some are below 0.
        influence: what each photo adds, 2 d_k · (x - m_k), shape (M,).
        grams: the inner products of the deviations x - m_k within a class, K arrays of shape (n, n).
    """

    photos: Photos
    parts: Array
    influence: Array
    grams: Sequence[Array]

    @property
    def value(self) -> float:
        """Return the sum."""
        return float(self.photos.weights @ self.parts)

    @cached_property
    def _scatter(self) -> Array:
        weights = self.photos.weights
        return np.array([squared_scatter(gram) for gram in self.grams]) * np.square(weights) * (1 - weights)

    @property
    def surplus(self) -> float:
        """Return by how much the variance from the influence is too large."""
        return float(np.sum(4 * self._scatter / np.square(self.photos.count)))

    @property
    def least(self) -> float:
        """Return the variance that is left where the classes do not differ."""
        count = self.photos.count
        return max(0.0, float(np.sum(2 * self._scatter / (count * np.maximum(count - 1, 1)))))

    @property
    def variance(self) -> float:
        """Return the variance of the sum."""
        return max(0.0, self.photos.variance_of_mean(self.influence) - self.surplus) + self.least


def squares(photos: Photos, differences: Array, deviations: Array, variance: Array) -> Squares:
    """Return Σ_k w_k |μ_k - μ|² for vectors of C numbers.

    Args:
        photos: of the classes.
        differences: m_k - m, shape (K, C).
        deviations: x - m_k of each photo whose gates are known, shape (M, C).
        variance: tr Σ_k of each class, shape (K,).
    """
    return Squares(
        photos,
        photos.unbiased(np.square(differences).sum(axis=1), variance),
        2 * np.einsum("mc,mc->m", deviations, differences[photos.labels]),
        [deviations[part] @ deviations[part].T for part in photos.parts],
    )


def split(whole: Squares, centre: Array, differences: Array, deviations: Array) -> tuple[Squares, Squares]:
    """Return the parts of a sum along the direction of the mean of all classes, and across it: photos turn that direction, too."""
    photos, length = whole.photos, float(np.linalg.norm(centre))
    direction = centre / length
    along = deviations @ direction
    first = squares(photos, (differences @ direction)[:, None], along[:, None], photos.variances(along))
    noise = (photos.weights * (1 - photos.weights) / (photos.count * np.maximum(photos.sizes - 1, 1)))[photos.labels]
    slope = (photos.weights * (differences @ direction)) @ differences - (noise * along) @ deviations  # without that of the class means
    turn = deviations @ (2 * (slope - (slope @ direction) * direction) / length)
    grams = [gram - away for gram, away in zip(whole.grams, first.grams, strict=True)]
    across = Squares(photos, whole.parts - first.parts, whole.influence - first.influence - turn, grams)
    return replace(first, influence=first.influence + turn), across


def relative(part: Squares, centre: Array, deviations: Array) -> Squares:
    """Return a sum of squares as a part of |μ|², which the photos change, too."""
    unit = float(centre @ centre)
    influence = (part.influence - 2 * part.value / unit * (deviations @ centre)) / unit
    return Squares(part.photos, part.parts / unit, influence, [gram / unit for gram in part.grams])


def turned(photos: Photos, means: Array, deviations: Array, variance: Array) -> Squares:
    """Return Σ_k w_k |v_k - v|² of the directions v_k = μ_k / |μ_k|: noise along a class's own mean does not turn it."""
    length = np.linalg.norm(means, axis=1)
    direction = means / length[:, None]
    along = np.einsum("mc,mc->m", deviations, direction[photos.labels])
    across = (deviations - along[:, None] * direction[photos.labels]) / length[photos.labels, None]
    return squares(photos, direction - photos.weights @ direction, across, (variance - photos.variances(along)) / np.square(length))


def squared_scatter(gram: Array) -> float:
    """Return tr Σ², without bias for any distribution, from the inner products of the deviations of n photos: Himeno & Yamada (2014),
    doi:10.1016/j.jmva.2014.04.020. Of fewer than four photos it is tr S², which is too large.
    """
    n, freedom = len(gram), len(gram) - 1
    square = float(np.square(gram).sum()) / freedom**2
    if n < 4:
        return square
    trace, fourth = float(np.trace(gram)) / freedom, float(np.square(np.diag(gram)).sum()) / freedom
    return freedom / (n * (n - 2) * (n - 3)) * (freedom * (n - 2) * square + trace**2 - n * fourth)
