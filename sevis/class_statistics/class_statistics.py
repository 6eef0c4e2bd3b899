"""What the SE blocks of a network do per class: moments of z and s, and of s also histograms, extremes and a sample; streaming, mergeable.

Any order and any split of the images gives the same numbers: `sevis.moments` and `sevis.sketches` say how.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevis.class_statistics.answers import QUANTITIES, ClassAnswers
from sevis.class_statistics.file import COMPACT, FORMAT, read_statistics, write_statistics
from sevis.class_statistics.histograms import Sketches, check_ids
from sevis.class_statistics.moments import CODES, Moments, PackedMoments, compact_sample, side_by_side
from sevis.errors import SevisError

__all__ = ["QUANTITIES", "ClassStatistics"]


class ClassStatistics(ClassAnswers):
    """What the SE blocks of one network do per class, over any number of images, in constant memory.

    Args:
        channels: the number of channels C by site name, in the order of the blocks.
        classes: the names of the K classes, for people.
        metadata: provenance, as JSON: model, hash of the weights, data, preprocessing, versions, date; and "seed" (by default 0), which
            decides what images are sampled.
        sample: how many whole gate vectors of each class are kept, see `sevis.sketches.default_sample`; None keeps moments only.
    """

    def __init__(
        self, channels: Mapping[str, int], classes: tuple[str, ...], metadata: Mapping[str, Any] | None = None, *, sample: int | None = None
    ) -> None:
        self._describe(channels, classes, metadata or {})
        self._moments = {quantity: Moments.empty(len(self.classes), self._width) for quantity in QUANTITIES}
        if sample is not None:
            seed = self.metadata.setdefault("seed", 0)
            self._sketches = Sketches.empty(len(self.classes), tuple(self.channels.values()), sample=sample, seed=seed)

    def update(
        self,
        labels: NDArray[np.int64],
        values: Mapping[str, Mapping[str, NDArray[np.float32]]],
        *,
        ids: NDArray[np.int64] | None = None,
        right: NDArray[np.bool_] | None = None,
    ) -> None:
        """Add a batch.

        Args:
            labels: the class of each image, shape (N,).
            values: `values[site]["squeeze" or "scale"]` has shape (N, C).
            ids: the place of each image in the data set, from 0, no two the same, shape (N,); None: counted on from the images so far.
            right: whether the network predicted each image right, shape (N,). It counts only if it is known of every image.

        Raises:
            SevisError: for a label outside 0..K-1, shapes that do not fit, ids that cannot be, values that are no numbers, and compact
                statistics.
        """
        labels = np.asarray(labels)
        if not len(labels):
            return
        if labels.min() < 0 or labels.max() >= len(self.classes):
            raise SevisError(f"expected labels from 0 to {len(self.classes) - 1}, got {labels.min()} to {labels.max()}")
        ids = np.arange(len(labels)) + self.count.sum() if ids is None else np.asarray(ids)
        check_ids(ids, images=len(labels))
        right = None if right is None else np.asarray(right, dtype=bool)
        if right is not None and right.shape != labels.shape:
            raise SevisError(f"expected {len(labels)} predictions, right or wrong, got shape {right.shape}")
        self._check("all")
        growing = self._growing()
        batches = {name: side_by_side(values, name, channels=self.channels, images=len(labels)) for name in QUANTITIES}
        self._keep_wrong(known=right is not None)
        for name, batch in batches.items():
            growing[name].add(labels, batch)
        if self._wrong and right is not None:
            self._wrong.add(labels[~right], batches["scale"][~right])
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
        self._keep_wrong(known=other._wrong is not None)
        for name, moments in growing.items():
            moments.absorb(more[name])
        if self._wrong and other._wrong:
            self._wrong.absorb(other._wrong)
        if self._sketches and other._sketches:
            self._sketches.absorb(other._sketches)

    def _keep_wrong(self, *, known: bool) -> None:
        """Begin to keep wrong predictions apart, or end it where they are not known of every image."""
        if not known:
            self._wrong = None
        elif not self.count.any():
            self._wrong = Moments.empty(len(self.classes), self._width, bounds=False)

    def _growing(self) -> dict[str, Moments]:
        """Return the moments, to add images to. Raises SevisError for compact ones."""
        growing = {name: moments for name, moments in self._moments.items() if isinstance(moments, Moments)}
        if len(growing) < len(self._moments):
            raise self._lacking("is compact, so no image can be added to it")
        return growing

    def compacted(self, *, sample: int | None = None) -> "ClassStatistics":
        """Return the same in an eighth of the space or less, to be shipped and looked at: `sevis.packing` says how, and how exactly.

        Left out are the minimum and maximum by class and the predictions (right or wrong). No image can be added to it.

        Args:
            sample: whole gate vectors of each class that are kept; None: as many as fit into 11 MiB, but 5 to 50.

        Raises:
            SevisError: for statistics without an image, and values that are too large.
        """
        if self.compact:
            return self
        self._check_all()
        small = copy.copy(self)
        small._moments = {name: PackedMoments.of(moments, CODES[name]) for name, moments in self._growing().items()}
        small._wrong = None
        if self._sketches:
            size = compact_sample(len(self.classes), self._width) if sample is None else sample
            small._sketches = self._sketches.packed(size)
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
        moments = {**self._moments, "wrong": self._wrong}
        arrays = {f"{part}.{name}": array for part, held in moments.items() if held for name, array in held.arrays().items()}
        arrays |= self._sketches.arrays() if self._sketches else {}
        size = self._sketches.reservoir.ids.shape[1] if self._sketches else None
        form = COMPACT if self.compact else FORMAT
        header = {"format": form, "channels": self.channels, "classes": self.classes, "sample": size, "metadata": self.metadata}
        write_statistics(Path(path), header, arrays)

    @classmethod
    def load(cls, path: str | Path) -> "ClassStatistics":
        """Open a file that `save` wrote; of its values only those that are asked for are read. Raises SevisError for a damaged one."""
        file = read_statistics(Path(path))
        statistics = cls.__new__(cls)
        statistics._describe(file.header["channels"], tuple(file.header["classes"]), file.header["metadata"])
        kind = PackedMoments if file.compact else Moments
        statistics._moments = {name: kind(**file.part(name)) for name in QUANTITIES}
        if wrong := file.part("wrong"):
            statistics._wrong = Moments(**wrong)
        if file.detailed:
            widths = tuple(statistics.channels.values())
            statistics._sketches = Sketches.of_arrays(file.arrays, widths, seed=statistics.metadata.get("seed", 0))
        statistics._file = file
        return statistics

    def _check_all(self) -> None:
        """Of all that comes from a file: that it is numbers."""
        for site in self.sites if self._file else ():
            for quantity in QUANTITIES:
                self._of(site, quantity, "mean", "m2", "low", "high")
            if self._wrong:
                self._predicted(site, False)
            if self._sketches:
                self.extremes(site)
                self.sample(site)
