"""Two networks on the same classes, compared block by block by what their statistics hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sevis.analysis.formulas import distances, mean_share, overall_spread, shares_of
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError
from sevis.extras import require

Array = NDArray[np.floating]
Rows = tuple[NDArray[np.intp], NDArray[np.intp]]
MIN_CLASSES = 4  # three classes have three distances: no order to agree on
PERMUTATIONS = 100
WORK = 40_000_000  # distances that are looked up for the permutations of one block


@dataclass(frozen=True)
class ModelProfile:
    """What the gates of one network do, block by block; NaN where its statistics cannot say it.

    Attributes:
        sites: the names of the L blocks.
        share: the mean over channels of the class share omega squared, (L,).
        spread: the mean over channels of the standard deviation of s over all images, (L,).
        saturated: the share of all s above 0.9 (`sevis.analysis.formulas.HIGH`), 0 to 1, (L,).
    """

    sites: tuple[str, ...]
    share: Array
    spread: Array
    saturated: Array

    @property
    def depth(self) -> Array:
        """Return how deep each block lies, from 0 for the first to 1 for the last, (L,)."""
        return np.linspace(0, 1, len(self.sites)) if len(self.sites) > 1 else np.zeros(1)


@dataclass(frozen=True)
class ModelComparison:
    """Two networks on the same classes.

    The agreement of two blocks is Spearman's rank correlation of their distances between classes, each pair of classes once: the
    representational similarity of Kriegeskorte, Mur & Bandettini (2008), doi:10.3389/neuro.06.004.2008.

    Attributes:
        names: of the two networks, which differ.
        classes: the names of the K classes that both hold.
        images: how many images of these classes each saw.
        profiles: of the two networks.
        partner: the index of the second's block that stands for each of the first's: of the same name where all names are the same,
            otherwise the nearest in relative depth, (L1,).
        named: whether the partners are those of the same name.
        agreement: of each block of the first with each of the second, -1 to 1, (L1, L2).
        chance: what the agreement with the partner exceeds in 5 % of cases when the classes of the second are shuffled, (L1,).
        difference: the mean over classes and channels of |s of the first - s of the second|, of class means; NaN where the
            partners are not of the same name and number of channels, (L1,).
        same_images: whether both saw the same images; None where the files do not say it.
    """

    names: tuple[str, str]
    classes: tuple[str, ...]
    images: tuple[int, int]
    profiles: tuple[ModelProfile, ModelProfile]
    partner: NDArray[np.intp]
    named: bool
    agreement: Array
    chance: Array
    difference: Array
    same_images: bool | None


def match_classes(first: ClassStatistics, second: ClassStatistics) -> Rows:
    """Return the rows of the classes that both hold images of, in the first's order: by WordNet id where both know them, otherwise by
    name.
    """
    by_id: list[Any] = [statistics.metadata.get("wnids") for statistics in (first, second)]
    known = all(isinstance(ids, list) and len(ids) == len(one.classes) for ids, one in zip(by_id, (first, second), strict=True))
    keys: list[Sequence[Any]] = by_id if known else [first.classes, second.classes]
    found = [{str(key): row for row, key in reversed(list(enumerate(one)))} for one in keys]  # the first of those of one name
    rows = [(found[0][name], found[1][name]) for name in map(str, dict.fromkeys(keys[0])) if name in found[1]]
    seen = [(left, right) for left, right in rows if first.count[left] and second.count[right]]
    left, right = np.array(seen, dtype=np.intp).reshape(-1, 2).T
    return left, right


def compare_models(
    first: ClassStatistics, second: ClassStatistics, *, only_common: bool = False, metric: str = "cosine"
) -> ModelComparison:
    """Return two networks on the same classes, block by block.

    Args:
        only_common: whether classes that only one of them holds are left out.
        metric: of the distances between classes, "cosine" or "l1".

    Raises:
        SevisError: where their classes differ and `only_common` is not set, and where fewer than two are the same.
    """
    rows = match_classes(first, second)
    if not all_common(first, second, rows) and not only_common:
        raise SevisError(
            f"the two networks saw different classes ({describe_sizes(first, second, rows)}): compare them with only_common=True"
        )
    sides = list(zip((first, second), rows, strict=True))
    vectors = [[_ranks(distances(one.mean(site)[row], metric)) for site in one.sites] for one, row in sides]
    named = set(first.sites) == set(second.sites)
    partner = _partners(first.sites, second.sites, named=named)
    return ModelComparison(
        names=_names(first, second),
        classes=tuple(first.classes[row] for row in rows[0]),
        images=(int(first.count[rows[0]].sum()), int(second.count[rows[1]].sum())),
        profiles=(_profile(first, rows[0]), _profile(second, rows[1])),
        partner=partner,
        named=named,
        agreement=np.array([[_correlation(one, other) for other in vectors[1]] for one in vectors[0]]),
        chance=np.array([_chance(one, vectors[1][index]) for one, index in zip(vectors[0], partner, strict=True)]),
        difference=_differences(first, second, rows) if named else np.full(len(first.sites), np.nan),
        same_images=_same(first.metadata.get("fingerprint"), second.metadata.get("fingerprint")),
    )


def all_common(first: ClassStatistics, second: ClassStatistics, rows: Rows) -> bool:
    """Return whether both hold images of the classes of `match_classes` and of no others. Raises SevisError where those are fewer than
    two.
    """
    if len(rows[0]) < 2:
        sizes = describe_sizes(first, second, rows)
        raise SevisError(f"the two networks saw {sizes}, so there is nothing to compare: choose statistics of the same classes")
    return bool(len(rows[0]) == np.count_nonzero(first.count) == np.count_nonzero(second.count))


def describe_sizes(first: ClassStatistics, second: ClassStatistics, rows: Rows) -> str:
    """Return how many classes each holds images of, and how many of them are the same, in words."""
    common = len(rows[0])
    same = "none is the same" if not common else f"{common} {'is' if common == 1 else 'are'} the same"
    return f"{np.count_nonzero(first.count)} and {np.count_nonzero(second.count)} classes, of which {same}"


def _profile(statistics: ClassStatistics, rows: NDArray[np.intp]) -> ModelProfile:
    count = statistics.count[rows]
    share, spread, saturated = [], [], []
    for site in statistics.sites:
        mean, m2 = statistics.mean(site)[rows], statistics.m2(site)[rows]
        share.append(float(mean_share(mean, m2, count)))
        spread.append(float(overall_spread(mean, m2, count).mean()))
        saturated.append(shares_of(statistics.histogram(site), rows)["high"] if statistics.detailed else np.nan)
    return ModelProfile(statistics.sites, np.array(share), np.array(spread), np.array(saturated))


def _partners(first: Sequence[str], second: Sequence[str], *, named: bool) -> NDArray[np.intp]:
    if named:
        return np.array([second.index(site) for site in first], dtype=np.intp)
    depth = np.arange(len(first)) / max(len(first) - 1, 1)
    return np.round(depth * (len(second) - 1)).astype(np.intp)


def _differences(first: ClassStatistics, second: ClassStatistics, rows: Rows) -> Array:
    """Return the mean differences of the class means by block; NaN where the numbers of channels differ."""
    return np.array(
        [
            np.abs(first.mean(site)[rows[0]] - second.mean(site)[rows[1]]).mean() if second.channels[site] == width else np.nan
            for site, width in first.channels.items()
        ]
    )


def _ranks(matrix: Array) -> Array:
    """Return the ranks of the distances between classes, centred and of length 1, as a symmetric matrix with an empty diagonal.

    All of them NaN where the distances are unknown or all alike.
    """
    require("scipy", "the comparison of two networks")
    from scipy.stats import rankdata

    upper = np.triu_indices(len(matrix), 1)
    ranks = rankdata(matrix[upper]) - (len(upper[0]) + 1) / 2
    length = np.linalg.norm(ranks)
    full = np.zeros_like(matrix)
    full[upper] = ranks / length if len(matrix) >= MIN_CLASSES and length else np.nan
    return full + full.T


def _correlation(one: Array, other: Array) -> float:
    """Return the correlation of the distances above the diagonal, which count twice in the sum."""
    return float(np.vdot(one, other) / 2)


def _chance(one: Array, other: Array) -> float:
    """Return the 95th percentile of the agreement over shuffled classes, as in Mantel (1967), Cancer Research 27, 209-220."""
    random = np.random.default_rng(0)
    count = min(PERMUTATIONS, max(20, WORK // other.size))
    shuffles = (random.permutation(len(other)) for _ in range(count))
    return float(np.quantile([_correlation(one, other[np.ix_(order, order)]) for order in shuffles], 0.95))


def _names(first: ClassStatistics, second: ClassStatistics) -> tuple[str, str]:
    """Return what to call the two: the networks' names, with their weights where those are the same, with a number where both are."""
    models = [str(one.metadata.get("model", "unnamed network"))[:60] for one in (first, second)]
    if models[0] == models[1]:
        models = [f"{model} ({str(one.metadata.get('weights'))[:8]})" for model, one in zip(models, (first, second), strict=True)]
    if models[0] == models[1]:
        models = [f"{model}, {which}" for model, which in zip(models, ("first file", "second file"), strict=True)]
    return models[0], models[1]


def _same(first: Any, second: Any) -> bool | None:
    return first == second if isinstance(first, str) and isinstance(second, str) else None
