"""What class statistics tell, by class, block and channel: of a collection that grows, a file, and a compact file alike."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevis.class_statistics.file import StatisticsFile
from sevis.class_statistics.histograms import Extremes, Histogram, Sketches
from sevis.class_statistics.moments import Array, Ends, Moments, PackedMoments
from sevis.class_statistics.sample import Sample
from sevis.errors import SevisError

QUANTITIES = ("squeeze", "scale")


class ClassAnswers:
    """What the SE blocks of one network do per class, to be read; see `sevis.class_statistics.ClassStatistics`."""

    _moments: Mapping[str, Moments | PackedMoments]
    _wrong: Moments | None = None  # of the scales of the images that were predicted wrong; None: the predictions are unknown
    _sketches: Sketches | None = None
    _file: StatisticsFile | None = None

    def _describe(self, channels: Mapping[str, int], classes: tuple[str, ...], metadata: Mapping[str, Any]) -> None:
        if not channels or not classes:
            raise SevisError(f"expected at least one block and one class, got {len(channels)} and {len(classes)}")
        self.channels = dict(channels)
        self.classes = tuple(classes)
        self.metadata: dict[str, Any] = dict(metadata)
        ends = np.cumsum(list(self.channels.values())).tolist()
        self._columns = {site: slice(end - width, end) for (site, width), end in zip(self.channels.items(), ends, strict=True)}
        self._width = int(ends[-1])

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of the blocks, in order."""
        return tuple(self.channels)

    @property
    def count(self) -> NDArray[np.int64]:
        """The number of images by class, shape (K,)."""
        return self._moments["scale"].count

    @property
    def wrong_count(self) -> NDArray[np.int64] | None:
        """The number of images by class that the network predicted wrong, shape (K,); None where its predictions are unknown."""
        return self._wrong.count if self._wrong else None

    @property
    def detailed(self) -> bool:
        """Return whether there are histograms, extremes and a sample, beside the moments."""
        return self._sketches is not None

    @property
    def compact(self) -> bool:
        """Return whether means, deviations and sample are packed (`sevis.packing`), so that the file is small and no image can be added."""
        return isinstance(self._moments["scale"], PackedMoments)

    def mean(self, site: str, quantity: str = "scale") -> Array:
        """Return the mean over the images of each class, shape (K, C); NaN for a class without images."""
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
        self._of(site, quantity)
        ends = self._moments[quantity].ends()[:, self._columns[site]]
        if self.count.any():
            self._check(site, ends)
        return ends

    def overall_mean(self, site: str, quantity: str = "scale") -> Array:
        """Return the mean over all images of all classes, shape (C,): the paper's curve "all"."""
        weights = self.count / max(self.count.sum(), 1)
        return np.asarray(weights @ self._of(site, quantity, "mean").mean)

    def overall_std(self, site: str, quantity: str = "scale") -> Array:
        """Return the standard deviation over all images of all classes, with n - 1, shape (C,)."""
        moments, centre = self._of(site, quantity, "mean", "m2"), self.overall_mean(site, quantity)
        squares = moments.m2.sum(axis=0) + self.count @ np.square(moments.mean - centre)
        return np.asarray(np.sqrt(squares / max(self.count.sum() - 1, 1)))

    def mean_of(self, site: str, *, right: bool) -> Array:
        """Return the mean scale over the images of each class that were predicted right, or wrong, shape (K, C); NaN where there are
        none.
        """
        return self._predicted(site, right).seen("mean")

    def std_of(self, site: str, *, right: bool) -> Array:
        """Return the standard deviation of the scale over the same images as `mean_of`, with n - 1; NaN where there are fewer than two."""
        return self._predicted(site, right).deviations()

    def histogram(self, site: str) -> Histogram:
        """Return how often the scales of a block take which value, by class; raises SevisError where only moments are kept."""
        return self._detail(site).histograms.of(self.sites.index(site))

    def extremes(self, site: str) -> Extremes:
        """Return the images with the highest and lowest scale of each channel of a block; raises SevisError where only moments are kept."""
        extremes = self._detail(site).tops.of(self._columns[site])
        self._check(site, extremes.highest[extremes.highest_ids >= 0], extremes.lowest[extremes.lowest_ids >= 0])
        return extremes

    def sample(self, site: str) -> Sample:
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

    def _of(self, site: str, quantity: str, *read: str) -> Moments:
        """Return the moments of a block, a view, of which these arrays are to be read."""
        if quantity not in QUANTITIES:
            raise SevisError(f"unknown quantity {quantity!r}: choose one of {', '.join(QUANTITIES)}")
        return self._checked(site, self._moments[quantity].part(self._place(site)), *read)

    def _checked(self, site: str, moments: Moments, *read: str) -> Moments:
        if self.compact and not {"mean", "m2"}.issuperset(read):
            raise self._lacking("is compact and holds no minimum and maximum by class")
        for name in read if self._file else ():
            self._check(site, getattr(moments, name)[moments.count > 0], least=0 if name == "m2" else -np.inf)
        return moments

    def _place(self, site: str) -> slice:
        if site not in self._columns:
            raise SevisError(f"no SE block is called {site!r}: there are {', '.join(self._columns)}")
        return self._columns[site]

    def _predicted(self, site: str, right: bool) -> Moments:
        if self._wrong is None:
            raise self._lacking("does not say which images the network predicted right")
        wrong = self._checked(site, self._wrong.part(self._place(site)), "mean", "m2")
        return self._of(site, "scale", "mean", "m2").without(wrong) if right else wrong

    def _detail(self, site: str) -> Sketches:
        self._place(site)
        if self._sketches is None:
            raise self._lacking("holds only means")
        self._check(site)
        return self._sketches

    def _check(self, site: str, *arrays: NDArray[Any], least: float = -np.inf) -> None:
        """Of values that come from a file: that it is whole, and they are numbers."""
        if self._file:
            self._file.check(site, *arrays, least=least)

    def _lacking(self, what: str) -> SevisError:
        name = self._file.path if self._file else "this collection"
        how = " without --compact" if self.compact else ""
        return SevisError(f"{name} {what}: collect it again with python -m sevis collect{how}")
