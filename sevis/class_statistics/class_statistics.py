"""What the SE blocks of a network do per class: moments of z and s, and of s also histograms, extremes and a sample; streaming, mergeable.

Any order and any split of the images gives the same numbers: `sevis.class_statistics.moments` and `histograms` say how. A collection that
grows, a file, and a compact file answer the same questions.
"""

import copy
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sevis.class_statistics.file import COMPACT, FORMAT, OLD_COMPACT, Header, StatisticsFile, read_statistics, write_statistics
from sevis.class_statistics.histograms import Extremes, Histogram, Sketches, check_ids
from sevis.class_statistics.moments import (
    PACKING,
    QUANTITIES,
    Array,
    Ends,
    Moments,
    PackedMoments,
    Packing,
    compact_sample,
    side_by_side,
)
from sevis.class_statistics.sample import SampledScales
from sevis.errors import SevisError


class ClassStatistics:
    """What the SE blocks of one network do per class, over any number of images, in constant memory.

    Args:
        channels: the number of channels C by site name, in the order of the blocks.
        classes: the names of the K classes, for people.
        metadata: provenance, as JSON: model, hash of the weights, data, preprocessing, versions, date; and "seed" (by default 0), which
            decides what images are sampled.
        sample: how many whole gate vectors of each class are kept, see `sevis.class_statistics.histograms.default_sample`; None keeps
            moments only.
    """

    _moments: Mapping[str, Moments | PackedMoments]
    _sketches: Sketches | None = None
    _file: StatisticsFile | None = None  # that the arrays are read from; None: they were collected here
    packing: Packing | None = None  # of compact ones: how precise they are

    def __init__(
        self, channels: Mapping[str, int], classes: tuple[str, ...], metadata: Mapping[str, Any] | None = None, *, sample: int | None = None
    ) -> None:
        self._describe(channels, classes, metadata or {})
        self._moments = {quantity: Moments.empty(len(self.classes), self._width) for quantity in QUANTITIES}
        if sample is not None:
            seed = self.metadata.setdefault("seed", 0)
            self._sketches = Sketches.empty(len(self.classes), tuple(self.channels.values()), sample=sample, seed=seed)

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of the blocks, in order."""
        return tuple(self.channels)

    @property
    def count(self) -> NDArray[np.int64]:
        """The number of images by class, shape (K,)."""
        return self._moments["scale"].count

    @property
    def detailed(self) -> bool:
        """Return whether there are histograms, extremes and a sample, beside the moments."""
        return self._sketches is not None

    @property
    def compact(self) -> bool:
        """Return whether means, deviations and sample are packed, so that the file is small and no image can be added."""
        return self.packing is not None

    @property
    def path(self) -> Path | None:
        """Return the file that they are read from; None where they were collected here."""
        return self._file.path if self._file else None

    @property
    def by_class(self) -> tuple[str, ...]:
        """Return the quantities of which mean and standard deviation are known class by class: compact ones may hold s alone."""
        return tuple(name for name, moments in self._moments.items() if len(moments.count) == len(self.classes))

    @property
    def identity(self) -> str:
        """Return a hash that says which collection this is, and does not change when it is made compact: of provenance, classes, blocks,
        counts, and the lowest and highest scale of every channel.
        """
        told = [self.metadata, self.classes, self.channels, self.count.tolist()]
        digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
        digest.update(np.ascontiguousarray(self._moments["scale"].ends(), np.float32).tobytes())
        return digest.hexdigest()

    # Adding images

    def update(
        self,
        labels: NDArray[np.int64],
        values: Mapping[str, Mapping[str, NDArray[np.float32]]],
        *,
        ids: NDArray[np.int64] | None = None,
    ) -> None:
        """Add a batch.

        Args:
            labels: the class of each image, shape (N,).
            values: `values[site]["squeeze" or "scale"]` has shape (N, C).
            ids: the index of each image in the data set, from 0, no two the same, shape (N,); None: counted on from the images so far.

        Raises:
            SevisError: for a label outside 0..K-1, shapes that do not fit, ids that cannot be, values that are no numbers, and compact
                statistics.
        """
        labels = np.asarray(labels)
        if not len(labels):
            return
        if labels.min() < 0 or labels.max() >= len(self.classes):
            raise SevisError(
                f"expected labels from 0 to {len(self.classes) - 1}, got {labels.min()} to {labels.max()}: count them from 0, and name "
                "all classes"
            )
        ids = np.arange(len(labels)) + self.count.sum() if ids is None else np.asarray(ids)
        check_ids(ids, images=len(labels))
        self._check("all")
        growing = self._growing()
        batches = {name: side_by_side(values, name, channels=self.channels, images=len(labels)) for name in QUANTITIES}
        for name, batch in batches.items():
            growing[name].add(labels, batch)
        if self._sketches:
            self._sketches.add(labels, ids, batches["scale"])

    def merge(self, other: "ClassStatistics") -> None:
        """Add the images of another pass over the same network and classes.

        Raises:
            SevisError: where they or what is kept differ, and for compact statistics.
        """
        growing, more = self._growing(), other._growing()
        if self.channels != other.channels or self.classes != other.classes:
            raise SevisError("only statistics of the same blocks and classes can be merged")
        if not (self._sketches.fits(other._sketches) if self._sketches else other._sketches is None):
            raise SevisError("only statistics with samples of the same size and seed can be merged")
        if not other.count.any():
            return
        other._check_all()
        for name, moments in growing.items():
            moments.absorb(more[name])
        if self._sketches and other._sketches:
            self._sketches.absorb(other._sketches)

    # Reading

    def mean(self, site: str, quantity: str = "scale") -> Array:
        """Return the mean over the images of each class, shape (K, C); NaN for a class without images. See `by_class` for compact ones."""
        return self._of(site, quantity, "mean").seen("mean")

    def m2(self, site: str, quantity: str = "scale") -> Array:
        """Return the sum of the squared deviations of each class's images from its mean, shape (K, C)."""
        return self._of(site, quantity, "m2").m2.copy()

    def std(self, site: str, quantity: str = "scale") -> Array:
        """Return the standard deviation over the images of each class, with n - 1, shape (K, C); NaN for a class with fewer than two."""
        return self._of(site, quantity, "m2").deviations()

    def min(self, site: str, quantity: str = "scale") -> Array:
        """Return the minimum over the images of each class, shape (K, C); NaN for a class without images. See `bounds` for compact ones."""
        return self._of(site, quantity, "low").seen("low")

    def max(self, site: str, quantity: str = "scale") -> Array:
        """Return the maximum over the images of each class, shape (K, C); NaN for a class without images. See `bounds` for compact ones."""
        return self._of(site, quantity, "high").seen("high")

    def bounds(self, site: str, quantity: str = "scale") -> Ends:
        """Return the lowest and the highest value of any image of any class, shape (2, C); NaN without an image."""
        self._of(site, quantity, by_class=False)
        ends = self._moments[quantity].ends()[:, self._columns[site]]
        if self.count.any():
            self._check(site, ends)
        return ends

    def overall_mean(self, site: str, quantity: str = "scale") -> Array:
        """Return the mean over all images of all classes, shape (C,): the paper's curve "all"."""
        moments = self._of(site, quantity, "mean", by_class=False)
        return np.asarray(moments.count / max(moments.count.sum(), 1) @ moments.mean)

    def overall_std(self, site: str, quantity: str = "scale") -> Array:
        """Return the standard deviation over all images of all classes, with n - 1, shape (C,)."""
        moments, centre = self._of(site, quantity, "mean", "m2", by_class=False), self.overall_mean(site, quantity)
        squares = moments.m2.sum(axis=0) + moments.count @ np.square(moments.mean - centre)
        return np.asarray(np.sqrt(squares / max(self.count.sum() - 1, 1)))

    def histogram(self, site: str) -> Histogram:
        """Return how often the scales of a block take which value, by class; raises SevisError where only moments are kept."""
        return self._detail(site).histograms.of(self.sites.index(site))

    def extremes(self, site: str) -> Extremes:
        """Return the images with the highest and lowest scale of each channel of a block; raises SevisError where only moments are kept."""
        extremes = self._detail(site).tops.of(self._columns[site])
        self._check(site, extremes.highest[extremes.highest_ids >= 0], extremes.lowest[extremes.lowest_ids >= 0])
        return extremes

    def sample(self, site: str) -> SampledScales:
        """Return the scales of a block for the sampled images; raises SevisError where only moments are kept."""
        sample = self._detail(site).reservoir.of(self._columns[site])
        self._check(site, sample.values)
        return sample

    def gates(self, name: str | None = None, *, weights: str | None = None) -> dict[str, Array]:
        """Return the mean scales of every block, shape (C,) each, as `sevis.override` takes them: those of a class, or over all images
        (None).

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
        """Raise SevisError when the statistics were made with other weights than those of this SHA-256."""
        own = self.metadata.get("weights")
        if own != sha256:
            known = f"weights {own[:12]} of {self.metadata.get('model')}" if isinstance(own, str) else "unnamed weights"
            raise SevisError(f"the statistics belong to {known}, not to {sha256[:12]}: make them again with python -m sevis collect")

    def index(self, name: str) -> int:
        """Return the row of a class; raises SevisError with the names there are."""
        if name not in self.classes:
            raise SevisError(f"there is no class {name!r} in these statistics; they hold {', '.join(self.classes[:30])}")
        return self.classes.index(name)

    # Files

    def compacted(self, *, sample: int | None = None, packing: Packing = PACKING) -> "ClassStatistics":
        """Return the same in about a twentieth of the space, to be looked at; `sevis.class_statistics.moments` says how exactly.

        Left out are the minimum and maximum by class, and z by class. No image can be added to it.

        Args:
            sample: whole gate vectors of each class that are kept; None: as many as fit into 4 MB, but 5 to 10.
            packing: how precise it is.

        Raises:
            SevisError: for statistics without an image, and values that are too large.
        """
        if self.compact:
            return self
        self._check_all()
        small = copy.copy(self)
        growing = self._growing()
        scale = PackedMoments.of(growing["scale"], mean=packing.mean, std=packing.std)
        squeeze = growing["squeeze"] if packing.squeeze else growing["squeeze"].pooled()
        small._moments = {"squeeze": PackedMoments.of(squeeze, mean=8, std=8), "scale": scale}
        small.packing = packing
        if self._sketches:
            size = compact_sample(len(self.classes), self._width, packing.sample) if sample is None else sample
            small._sketches = self._sketches.packed(packing, sample=size, bounds=scale.bounds)
        return small

    def save(self, path: str | Path, *, compact: bool = False) -> None:
        """Write a safetensors file with the provenance as JSON, as a whole or not at all.

        Args:
            path: of the file.
            compact: whether to write what `compacted` gives.

        Raises:
            SevisError: when the disk is full, and where `compacted` raises it.
        """
        if compact and not self.compact:
            self.compacted().save(path)
            return
        self._check("all")
        arrays = {f"{part}.{name}": array for part, held in self._moments.items() for name, array in held.arrays().items()}
        arrays |= self._sketches.arrays() if self._sketches else {}
        size = self._sketches.reservoir.ids.shape[1] if self._sketches else None
        read = self._file.header.format if self._file else FORMAT
        form = (OLD_COMPACT if read == OLD_COMPACT else COMPACT) if self.compact else FORMAT
        header = Header(form, self.channels, self.classes, self.metadata, size, self.packing)
        write_statistics(Path(path), header, arrays)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Open a file that `save` wrote; of its values only those that are asked for are read. Raises SevisError for a damaged one."""
        file = read_statistics(Path(path))
        statistics = cls.__new__(cls)
        statistics._describe(file.header.channels, file.header.classes, file.header.metadata)
        kind = PackedMoments if file.compact else Moments
        statistics._moments = {name: kind(**file.part(name)) for name in QUANTITIES}
        if file.detailed:
            widths = tuple(statistics.channels.values())
            bits = file.header.packing.sample if file.header.packing else 16
            statistics._sketches = Sketches.of_arrays(file.arrays, widths, seed=statistics.metadata.get("seed", 0), bits=bits)
        statistics._file, statistics.packing = file, file.header.packing
        return statistics

    # What the others rest on

    def _describe(self, channels: Mapping[str, int], classes: tuple[str, ...], metadata: Mapping[str, Any]) -> None:
        if not channels or not classes:
            raise SevisError(f"expected at least one block and one class, got {len(channels)} and {len(classes)}")
        self.channels = dict(channels)
        self.classes = tuple(classes)
        self.metadata: dict[str, Any] = dict(metadata)
        ends = np.cumsum(list(self.channels.values())).tolist()
        self._columns = {site: slice(end - width, end) for (site, width), end in zip(self.channels.items(), ends, strict=True)}
        self._width = int(ends[-1])

    def _growing(self) -> dict[str, Moments]:
        """Return the moments, to add images to. Raises SevisError for compact ones."""
        growing = {name: moments for name, moments in self._moments.items() if isinstance(moments, Moments)}
        if len(growing) < len(self._moments):
            raise self._lacking("is compact, so no image can be added to it")
        return growing

    def _of(self, site: str, quantity: str, *read: str, by_class: bool = True) -> Moments:
        """Return the moments of a block, a view, of which these arrays are to be read. Raises SevisError for those that cannot be."""
        if quantity not in QUANTITIES:
            raise SevisError(f"unknown quantity {quantity!r}: choose one of {', '.join(QUANTITIES)}")
        moments = self._moments[quantity].part(self._columns_of(site))
        if self.compact and not {"mean", "m2"}.issuperset(read):
            raise self._lacking("is compact and holds no minimum and maximum by class")
        if by_class and quantity not in self.by_class:
            raise self._lacking(f"is compact and holds no {quantity} by class")
        for name in read if self._file else ():
            self._check(site, getattr(moments, name)[moments.count > 0], least=0 if name == "m2" else -np.inf)
        return moments

    def _columns_of(self, site: str) -> slice:
        if site not in self._columns:
            raise SevisError(f"no SE block is called {site!r}: there are {', '.join(self._columns)}")
        return self._columns[site]

    def _detail(self, site: str) -> Sketches:
        self._columns_of(site)
        if self._sketches is None:
            raise self._lacking("holds only means")
        self._check(site)
        return self._sketches

    def _check(self, site: str, *arrays: NDArray[Any], least: float = -np.inf) -> None:
        """Raise SevisError where the file that values come from is not whole, or they are no numbers."""
        if self._file:
            self._file.check(site, *arrays, least=least)

    def _lacking(self, what: str) -> SevisError:
        name = self._file.path if self._file else "this collection"
        how = " without --compact" if self.compact else ""
        return SevisError(f"{name} {what}: collect it again with python -m sevis collect{how}")

    def _check_all(self) -> None:
        """Raise SevisError where anything that comes from a file is no number."""
        for site in self.sites if self._file else ():
            for quantity in QUANTITIES:
                self._of(site, quantity, "mean", "m2", "low", "high")
            if self._sketches:
                self.extremes(site)
                self.sample(site)
