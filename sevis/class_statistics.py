"""Count, mean, standard deviation and extremes of z and s, per class, block and channel: streaming, mergeable, saved without pickle.

The moments follow Chan, Golub & LeVeque (1979), doi:10.2307/2683386, in float64: any order and any split of the images gives the same
numbers, and scales near 0 or 1 keep their small variances.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sevis.errors import SevisError
from sevis.files import replace_file

Array = NDArray[np.float64]
QUANTITIES = ("squeeze", "scale")
FORMAT = "sevis-class-statistics-1"


@dataclass
class Moments:
    """Per class (rows) and channel (columns): mean, M2 (the sum of squared deviations), minimum and maximum, each of shape (K, C)."""

    mean: Array
    m2: Array
    low: NDArray[np.float32]  # the values are float32, so their extremes are exact in it
    high: NDArray[np.float32]

    @classmethod
    def empty(cls, classes: int, channels: int) -> "Moments":
        shape = (classes, channels)
        return cls(np.zeros(shape), np.zeros(shape), np.full(shape, np.inf, np.float32), np.full(shape, -np.inf, np.float32))

    @classmethod
    def of_images(cls, values: NDArray[np.float32]) -> "Moments":
        """The moments of the rows of `values`, shape (N, C), as those of one class."""
        mean = np.asarray(np.mean(values, axis=0, dtype=np.float64, keepdims=True))
        deviation = values - mean
        m2 = np.einsum("nc,nc->c", deviation, deviation)[None]
        return cls(mean, m2, values.min(axis=0, keepdims=True), values.max(axis=0, keepdims=True))

    def row(self, index: int) -> "Moments":
        """A view of the moments of one class."""
        return Moments(*(array[index : index + 1] for array in vars(self).values()))

    def absorb(self, other: "Moments", *, count: int, more: int) -> None:
        """Merges the moments of `more` further images of one class into these, which stand for `count` images of it so far."""
        delta = other.mean - self.mean
        self.mean += delta * (more / (count + more))
        self.m2 += other.m2 + np.square(delta) * (count * more / (count + more))
        np.minimum(self.low, other.low, out=self.low)
        np.maximum(self.high, other.high, out=self.high)


class ClassStatistics:
    """What the SE blocks of one network do per class, over any number of images, in constant memory.

    Args:
        channels: the number of channels C by site name, in the order of the blocks.
        classes: the names of the K classes, for people.
        metadata: provenance, as JSON: model, hash of the weights, data, preprocessing, versions, date.

    Attributes:
        count: the number of images by class, shape (K,).
    """

    def __init__(self, channels: Mapping[str, int], classes: tuple[str, ...], metadata: Mapping[str, Any] | None = None) -> None:
        if not channels or not classes:
            raise SevisError(f"expected at least one block and one class, got {len(channels)} and {len(classes)}")
        self.channels = dict(channels)
        self.classes = tuple(classes)
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.count: NDArray[np.int64] = np.zeros(len(self.classes), dtype=np.int64)
        ends = np.cumsum(list(self.channels.values())).tolist()
        self._columns = {site: slice(end - width, end) for (site, width), end in zip(self.channels.items(), ends, strict=True)}
        self._moments = {quantity: Moments.empty(len(self.classes), ends[-1]) for quantity in QUANTITIES}

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of the blocks, in order."""
        return tuple(self.channels)

    def update(self, labels: NDArray[np.int64], values: Mapping[str, Mapping[str, NDArray[np.float32]]]) -> None:
        """Adds a batch: `values[site]["squeeze" or "scale"]` has shape (N, C), `labels` shape (N,).

        Raises:
            SevisError: for a label outside 0..K-1, or shapes that do not fit.
        """
        labels = np.asarray(labels)
        if not len(labels):
            return
        if labels.min() < 0 or labels.max() >= len(self.classes):
            raise SevisError(f"expected labels from 0 to {len(self.classes) - 1}, got {labels.min()} to {labels.max()}")
        batches = {quantity: np.concatenate([values[site][quantity] for site in self.channels], axis=1) for quantity in QUANTITIES}
        for quantity, batch in batches.items():
            expected = (len(labels), self._moments[quantity].mean.shape[1])
            if batch.shape != expected:
                raise SevisError(f"expected {quantity} of shape {expected} in all, got {batch.shape}")
        # Class by class: its few rows stay in the processor's cache, which is ten times quicker than all of them at once.
        for row in np.unique(labels).tolist():
            chosen = np.flatnonzero(labels == row)
            self._absorb(row, {quantity: Moments.of_images(batch[chosen]) for quantity, batch in batches.items()}, more=len(chosen))

    def merge(self, other: "ClassStatistics") -> None:
        """Adds the images of another pass over the same network and classes; raises SevisError where they differ."""
        if self.channels != other.channels or self.classes != other.classes:
            raise SevisError("only statistics of the same blocks and classes can be merged")
        for row in np.flatnonzero(other.count).tolist():
            self._absorb(row, {name: moments.row(row) for name, moments in other._moments.items()}, more=int(other.count[row]))

    def _absorb(self, row: int, groups: Mapping[str, Moments], *, more: int) -> None:
        for quantity, group in groups.items():
            self._moments[quantity].row(row).absorb(group, count=int(self.count[row]), more=more)
        self.count[row] += more

    def mean(self, site: str, quantity: str = "scale") -> Array:
        """The mean over the images of each class, shape (K, C); NaN for a class without images."""
        return np.where(self.count[:, None] > 0, self._of(site, quantity).mean, np.nan)

    def std(self, site: str, quantity: str = "scale") -> Array:
        """The standard deviation over the images of each class, with n - 1, shape (K, C); NaN for a class with fewer than two."""
        freedom = np.where(self.count > 1, self.count - 1, np.nan)[:, None]
        return np.sqrt(self._of(site, quantity).m2 / freedom)

    def min(self, site: str, quantity: str = "scale") -> Array:
        """The minimum over the images of each class, shape (K, C); NaN for a class without images."""
        return np.where(self.count[:, None] > 0, self._of(site, quantity).low, np.nan)

    def max(self, site: str, quantity: str = "scale") -> Array:
        """The maximum over the images of each class, shape (K, C); NaN for a class without images."""
        return np.where(self.count[:, None] > 0, self._of(site, quantity).high, np.nan)

    def overall_mean(self, site: str, quantity: str = "scale") -> Array:
        """The mean over all images of all classes, shape (C,): the paper's curve "all"."""
        weights = self.count / max(self.count.sum(), 1)
        return np.asarray(weights @ self._of(site, quantity).mean)

    def overall_std(self, site: str, quantity: str = "scale") -> Array:
        """The standard deviation over all images of all classes, with n - 1, shape (C,)."""
        moments, centre = self._of(site, quantity), self.overall_mean(site, quantity)
        squares = moments.m2.sum(axis=0) + self.count @ np.square(moments.mean - centre)
        return np.asarray(np.sqrt(squares / max(self.count.sum() - 1, 1)))

    def gates(self, name: str | None = None, *, weights: str | None = None) -> dict[str, Array]:
        """The mean scales of every block, shape (C,) each, as `sevis.override` takes them: those of a class, or over all images (None).

        Args:
            name: of the class.
            weights: the SHA-256 of the weights that they are for, `ready.card.sha256`; None checks nothing.

        Raises:
            SevisError: for a class that is unknown or has no images, and statistics of other weights.
        """
        if weights is not None:
            self.check_weights(weights)
        if name is None:
            if not self.count.any():
                raise SevisError("the statistics hold no image, so there is no mean gate: collect them first")
            return {site: self.overall_mean(site) for site in self.sites}
        row = self.index(name)
        if not self.count[row]:
            raise SevisError(f"the statistics hold no image of {name!r}, so its mean gate is unknown: choose another class")
        return {site: self.mean(site)[row] for site in self.sites}

    def check_weights(self, sha256: str) -> None:
        """Raises SevisError when the statistics were made with other weights than those of this SHA-256."""
        own = self.metadata.get("weights")
        if own != sha256:
            known = f"weights {own[:12]} of {self.metadata.get('model')}" if isinstance(own, str) else "unnamed weights"
            raise SevisError(f"the statistics belong to {known}, not to {sha256[:12]}: make them again with python -m sevis collect")

    def index(self, name: str) -> int:
        """The row of a class; raises SevisError with the names there are."""
        if name not in self.classes:
            raise SevisError(f"there is no class {name!r} in these statistics; they hold {', '.join(self.classes[:30])}")
        return self.classes.index(name)

    def save(self, path: str | Path) -> None:
        """Writes a safetensors file with the provenance as JSON, as a whole or not at all."""
        arrays = {"count": self.count}
        for quantity, moments in self._moments.items():
            arrays |= {f"{quantity}.{name}": array for name, array in vars(moments).items()}
        header = {"format": FORMAT, "channels": self.channels, "classes": self.classes, "metadata": self.metadata}
        replace_file(Path(path), save(arrays, metadata={"sevis": json.dumps(header)}))

    @classmethod
    def load(cls, path: str | Path) -> "ClassStatistics":
        """Reads what `save` wrote. Raises SevisError for a file that is missing, damaged, or of another format."""
        try:
            with safe_open(path, framework="numpy") as file:
                header = json.loads((file.metadata() or {}).get("sevis", "{}"))
                if header.get("format") != FORMAT:
                    raise SevisError(f"{path} holds {header.get('format', 'no class statistics')!r}, expected {FORMAT!r}")
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
            return cls._restore(header, arrays)
        except FileNotFoundError:
            raise SevisError(f"there are no class statistics at {path}: make them with python -m sevis collect") from None
        except (SafetensorError, OSError, KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise SevisError(f"{path} is damaged ({type(error).__name__}): make it again with python -m sevis collect") from None

    @classmethod
    def _restore(cls, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "ClassStatistics":
        widths = header["channels"].values()
        if not all(type(width) is int and width > 0 for width in widths) or not isinstance(header["metadata"], dict):
            raise TypeError("the header is damaged")
        shape = (len(header["classes"]), sum(widths))
        names = [f"{quantity}.{field.name}" for quantity in QUANTITIES for field in fields(Moments)]
        shapes = {arrays[name].shape for name in names}
        if shapes != {shape} or arrays["count"].shape != shape[:1]:  # before anything is allocated by what the header says
            raise SevisError(f"the statistics hold arrays of shapes {sorted(shapes)}, expected {shape}: make them again")
        if arrays["count"].dtype.kind not in "iu" or (arrays["count"] < 0).any():
            raise TypeError("the counts are damaged")
        statistics = cls(header["channels"], tuple(header["classes"]), header["metadata"])
        statistics.count += arrays["count"]
        for name in names:
            quantity, field = name.split(".")
            np.copyto(getattr(statistics._moments[quantity], field), arrays[name], casting="same_kind")
        return statistics

    def _of(self, site: str, quantity: str) -> Moments:
        if site not in self._columns:
            raise SevisError(f"no SE block is called {site!r}: there are {', '.join(self._columns)}")
        if quantity not in self._moments:
            raise SevisError(f"unknown quantity {quantity!r}: choose one of {', '.join(QUANTITIES)}")
        columns = self._columns[site]
        return Moments(*(array[:, columns] for array in vars(self._moments[quantity]).values()))
