"""The formulas of docs/measures.md, written anew with NumPy from the page alone, give what the profile gives."""

from math import exp, inf, log, nan, sqrt, tanh

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm, rankdata, t

from sevis.analysis.depth import DepthProfile, depth_profile
from sevis.analysis.depth_measures import MEASURES
from sevis.class_statistics.class_statistics import ClassStatistics

Array = NDArray[np.float64]
SITE = "SE_2_1"
SIZES = (13, 14, 22, 11, 30, 17, 12, 25, 19, 16, 13, 28, 11, 15, 21, 18, 12, 33, 14, 20)  # n_k; unequal, and the file keeps fewer
KEPT = 10
Z = norm.ppf(0.975)
RANGES = {measure.name: measure.range for measure in MEASURES}


class Page:
    """The symbols of the page, of a file of unequal classes."""

    def __init__(self) -> None:
        random = np.random.default_rng(5)
        labels = np.repeat(np.arange(len(SIZES)), SIZES)
        level = random.normal(0, 0.6, (len(labels), 1))  # an image opens all gates, or shuts them
        logits = (
            random.normal(0, 1, 12) + level + random.normal(0, 0.4, (len(SIZES), 12))[labels] + random.normal(0, 0.5, (len(labels), 12))
        )
        scales = (1 / (1 + np.exp(-logits))).astype(np.float32)
        self.statistics = ClassStatistics({SITE: 12}, tuple(map(str, range(len(SIZES)))), sample=KEPT)
        self.statistics.update(labels, {SITE: {"squeeze": scales**2, "scale": scales}})
        sample = self.statistics.sample(SITE)
        order = np.argsort(sample.labels, kind="stable")
        self.kept, self.labels = sample.values[order].astype(np.float64), sample.labels[order]
        self.s, self.z, self.all_labels = scales.astype(np.float64), np.square(scales).astype(np.float64), labels
        self.K, self.C = len(SIZES), 12
        self.n, self.m = np.array(SIZES, float), np.bincount(self.labels).astype(float)
        self.w = self.n / self.n.sum()
        self.mean = self.by_class(self.s, labels)
        self.all = self.s.mean(axis=0)
        self.t = np.array([self.s[labels == k].var(axis=0, ddof=1).sum() for k in range(self.K)])
        self.d = self.kept - self.by_class(self.kept)[self.labels]
        self.apart = (self.mean - self.all)[self.labels]  # s̄_k - s̄ of the class of each kept image
        self.u = self.all / np.linalg.norm(self.all)
        self.f = np.square(self.w).sum() / (1 - np.square(self.w).sum())

    def by_class(self, numbers: Array, labels: NDArray[np.intp] | None = None) -> Array:
        chosen = self.labels if labels is None else labels
        return np.stack([numbers[chosen == k].mean(axis=0) for k in range(self.K)])

    def var(self, numbers: Array) -> Array:
        return np.array([numbers[self.labels == k].var(ddof=1) for k in range(self.K)])

    def freed(self, square: Array, noise: Array, n: Array | None = None) -> Array:
        """Return Q_k from |s̄_k - s̄|² and t_k."""
        sizes = self.n if n is None else n
        w = sizes / sizes.sum()
        return square - (1 - 2 * w) * noise / sizes - np.sum(w**2 * noise / sizes)

    def variance(self, x: Array, sizes: Array | None = None) -> float:
        return float(np.sum(self.w**2 * self.var(x) / (self.n if sizes is None else sizes)))

    def variance_of_squares(self, x: Array, d: Array) -> float:
        h = self.w**2 * (1 - self.w) * np.array([self._h(d[self.labels == k]) for k in range(self.K)])
        return max(0.0, self.variance(x) - float(np.sum(4 * h / self.n**2))) + max(0.0, float(np.sum(2 * h / (self.n * (self.n - 1)))))

    @staticmethod
    def _h(d: Array) -> float:
        gram, n = d @ d.T, len(d)
        s, trace, fourth = np.square(gram).sum() / (n - 1) ** 2, np.trace(gram) / (n - 1), np.square(np.diag(gram)).sum() / (n - 1)
        return float((n - 1) * ((n - 1) * (n - 2) * s + trace**2 - n * fourth) / (n * (n - 2) * (n - 3)))

    def over_classes(self, y: Array) -> tuple[float, float]:
        centre, k = float(self.w @ y), self.K
        e = k * (k - 1) / (k - 2) * self.w * (y - centre)
        deviation = e.std(ddof=1)
        a = np.mean(e**3) / (6 * deviation**3 * sqrt(k))
        q = t.ppf(0.975, k - 1)
        low, high = (centre - (np.cbrt(1 + 6 * a * (x - a)) - 1) / (2 * a) * deviation / sqrt(k) for x in (q, -q))
        return float(low), float(high)


PAGE = Page()
T = t.ppf(0.975, np.sum(PAGE.m - 1))
Told = tuple[float, float, float, float, float]  # estimate, the ends over photos, the ends over classes


def plain(value: float, x: Array, y: Array, *, sizes: Array | None = None) -> Told:
    reach = T * sqrt(PAGE.variance(x, sizes))
    return (value, value - reach, value + reach, *PAGE.over_classes(y))


def of_squares(parts: Array, x: Array, d: Array, unit: float) -> Told:
    whole = float(PAGE.w @ parts)
    reach = T * sqrt(PAGE.variance_of_squares(x, d))
    ends = (whole, whole - reach, whole + reach, *PAGE.over_classes((1 + PAGE.f) * parts))
    return tuple(sqrt(max(0.0, end) / unit) for end in ends)  # type: ignore[return-value]


def sums() -> tuple[Array, Array, Array, Array]:
    """Return Q_k, Q∥_k, and x_i of either: images turn u, too."""
    p = PAGE
    whole = p.freed(np.square(p.mean - p.all).sum(axis=1), p.t)
    along = p.freed(np.square((p.mean - p.all) @ p.u), p.var(p.kept @ p.u))
    around = p.mean - p.all
    covariance = p.by_class(p.d * (p.d @ p.u)[:, None]) * (p.m / (p.m - 1))[:, None]
    b = (p.w * (around @ p.u)) @ around - (p.w * (1 - p.w) / p.n) @ covariance
    v = 2 * (b - (b @ p.u) * p.u) / np.linalg.norm(p.all)
    return whole, along, 2 * np.sum(p.d * p.apart, axis=1), 2 * (p.d @ p.u) * (p.apart @ p.u) + p.d @ v


def relative(parts: Array, x: Array, d: Array) -> Told:
    """Return what the page says of Q∥ or Q⊥ as a part of ⟨s̄, s̄⟩."""
    unit = float(PAGE.all @ PAGE.all)
    return of_squares(parts / unit, (x - 2 * (PAGE.w @ parts) * (PAGE.d @ PAGE.all) / unit) / unit, d / sqrt(unit), 1)


def class_share() -> Told:
    p = PAGE
    share = _omega(p.s)
    sigma, value = p.s.std(axis=0, ddof=1), share.mean()
    own = p.d**2 * share / (p.m[p.labels] - 1)[:, None]
    around = (p.kept - p.all) ** 2 * share
    x = np.sum((2 * p.d * p.apart - around - own) / (p.C * sigma**2), axis=1)
    reach = T * sqrt(p.variance(x))
    return value, value - reach, value + reach, nan, nan


def _omega(values: Array) -> Array:
    mean = PAGE.by_class(values, PAGE.all_labels)
    between = np.sum(PAGE.n[:, None] * (mean - values.mean(axis=0)) ** 2, axis=0)
    within = np.square(values - mean[PAGE.all_labels]).sum(axis=0)
    msw = within / (len(values) - PAGE.K)
    return np.asarray((between - (PAGE.K - 1) * msw) / (between + within + msw))


def left() -> Told:
    p = PAGE
    whole, along, x, x_along = sums()
    d_along = np.outer(p.d @ p.u, p.u)
    v, v_across, v_along = (p.variance_of_squares(*pair) for pair in ((x, p.d), (x - x_along, p.d - d_along), (x_along, d_along)))
    q, across = p.w @ whole, p.w @ (whole - along)
    a, b, e = q**2 - Z**2 * v, across * q - Z**2 * (v + v_across - v_along) / 2, across**2 - Z**2 * v_across
    reach, ratio = sqrt(max(0, b**2 - a * e)), across / q
    ends = (ratio, (b - reach) / a, (b + reach) / a)
    return (*(sqrt(min(1, max(0, end))) for end in ends), nan, nan)  # type: ignore[return-value]


def of_logarithms(value: float, x: Array, over_classes: tuple[float, float] = (nan, nan)) -> Told:
    reach = exp(T * sqrt(PAGE.variance(x)) / value)
    return (value, value / reach, value * reach, *over_classes)


def spread() -> Told:
    sigma = PAGE.s.std(axis=0, ddof=1)
    x = np.sum((PAGE.kept - PAGE.all) ** 2 / (2 * PAGE.C * sigma), axis=1)
    return of_logarithms(float(sigma.mean()), x)


def within() -> Told:
    value = sqrt(PAGE.w @ PAGE.t / PAGE.C)
    m, b = PAGE.m[PAGE.labels], PAGE.t / (2 * PAGE.C * value)
    x = np.square(PAGE.d).sum(axis=1) * (m / (m - 1)) ** 1.5 / (2 * PAGE.C * value)
    low, high = PAGE.over_classes(log(value) + (b - PAGE.w @ b) / value)
    return of_logarithms(value, x, (exp(low), exp(high)))


def agreement() -> Told:
    p, channels = PAGE, PAGE.C
    ranks = rankdata(p.kept, axis=1) - (channels + 1) / 2
    counts = [np.unique(row, return_counts=True)[1] for row in p.kept]
    ties = np.array([np.sum(count**3 - count) for count in counts])
    u = (p.w / p.m)[p.labels]
    o, r, most = np.square(u).sum(), u @ ranks, channels**3 - channels - u @ ties
    w = 12 * np.square(r).sum() / most
    x = (24 * ranks @ r + w * ties) / (most * (1 - o))
    value = (w - o) / (1 - o)
    reach = T * sqrt(p.variance(x, p.m)) / (1 - value**2)
    return value, tanh(np.arctanh(value) - reach), tanh(np.arctanh(value) + reach), nan, nan


def cosine() -> Told:
    p = PAGE
    length = np.linalg.norm(p.mean, axis=1)
    g = p.mean / length[:, None]
    centre, own = p.w @ g, g[p.labels]
    tau = (p.t - p.var(np.sum(p.kept * own, axis=1))) / length**2
    parts = p.freed(np.square(g - centre).sum(axis=1), tau)
    e = (p.d - np.sum(p.d * own, axis=1)[:, None] * own) / length[p.labels][:, None]
    pairs = 1 - np.square(p.w).sum()
    value = max(0.0, float(p.w @ parts)) / pairs
    reach = T * sqrt(p.variance_of_squares(2 * np.sum(e * (own - centre), axis=1), e)) / pairs
    return (value, value - reach, value + reach, *p.over_classes(parts / pairs))


def of_images(all_images: Array, x: Array) -> Told:
    value, means = float(all_images.mean()), PAGE.by_class(x)
    return plain(value, x, value + means - PAGE.w @ means)


def of_logits(all_images: Array, x: Array) -> Told:
    share = float(all_images.mean())
    logit, weight, means = log(share / (1 - share)), share * (1 - share), PAGE.by_class(x)
    reach = T * sqrt(PAGE.variance(x)) / weight
    y = logit + (means - PAGE.w @ means) / weight
    ends = (logit, logit - reach, logit + reach, *PAGE.over_classes(y))
    return tuple(1 / (1 + exp(-end)) for end in ends)  # type: ignore[return-value]


def effective() -> Told:
    p = PAGE.kept / PAGE.kept.sum(axis=1, keepdims=True)
    x = np.exp(-np.sum(p * np.log(p), axis=1)) / PAGE.C
    return plain(float(PAGE.w @ PAGE.by_class(x)), x, PAGE.by_class(x), sizes=PAGE.m)


def told() -> dict[str, Told]:
    """Return every measure that is neither a reader's, nor drawn at random, nor counted."""
    p = PAGE
    whole, along, x, x_along = sums()
    d_along = np.outer(p.d @ p.u, p.u)
    return {
        "class_share": class_share(),
        "squeeze_share": (float(_omega(p.z).mean()), nan, nan, nan, nan),
        "residual": relative(whole - along, x - x_along, p.d - d_along),
        "factor": relative(along, x_along, d_along),
        "left": left(),
        "spread": spread(),
        "distance": of_squares(whole, x, p.d, p.C),
        "within": within(),
        "agreement": agreement(),
        "effective": effective(),
        "cosine": cosine(),
        "identity": of_images(np.abs(1 - p.s), np.abs(1 - p.kept).mean(axis=1)),
        "high": of_logits(p.s > 0.9, (p.kept > 0.9).mean(axis=1)),
        "low": of_logits(p.s < 0.1, (p.kept < 0.1).mean(axis=1)),
    }


TOLD = told()


@pytest.fixture(scope="module")
def profile() -> DepthProfile:
    return depth_profile(PAGE.statistics, permutations=19)


@pytest.mark.parametrize("name", TOLD)
def test_the_formulas_of_the_page_give_the_measure_and_both_its_intervals(profile: DepthProfile, name: str) -> None:
    value = profile.at(name, SITE)
    low, high = RANGES[name]
    estimate, *ends = TOLD[name]
    found = (value.estimate, value.low, value.high, value.low_over_classes, value.high_over_classes)
    expected = (estimate, *np.clip(ends, low, high))
    assert (PAGE.m < PAGE.n).all() and high in (1, inf)
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6, nan_ok=True)


def test_the_nearest_class_mean_and_its_interval_over_classes(profile: DepthProfile) -> None:
    p, right = PAGE, []
    for gates, label in zip(p.kept, p.labels, strict=True):
        means = p.mean.copy()
        means[label] = (p.n[label] * p.mean[label] - gates) / (p.n[label] - 1)
        right.append(np.linalg.norm(gates - means, axis=1).argmin() == label)
    ends = p.over_classes(p.m / p.m.sum() * p.by_class(np.array(right, float)) / p.w)
    value = profile.at("nearest", SITE)
    assert (value.estimate, value.null) == pytest.approx((np.mean(right), p.m.max() / p.m.sum()))
    assert (value.low_over_classes, value.high_over_classes) == pytest.approx(np.clip(ends, 0, 1))


def test_the_furthest_class_lies_where_the_data_put_it() -> None:
    """One class of ten lies apart by 0.2 in each channel, and the photos of a class differ much more."""
    random = np.random.default_rng(2)
    labels = np.repeat(np.arange(10), 40)
    scales = (
        random.normal(0.5, 0.1, (400, 32)) + random.normal(0, 0.05, (400, 1)) + 0.2 * (labels == 3)[:, None] * random.choice([-1, 1], 32)
    )
    statistics = ClassStatistics({SITE: 32}, tuple("abcdefghij"), sample=40)
    statistics.update(labels, {SITE: {"squeeze": scales.astype(np.float32), "scale": scales.astype(np.float32)}})
    value = depth_profile(statistics, permutations=0).at("furthest", SITE)
    assert value.estimate == pytest.approx(0.9 * 0.2, abs=0.01)  # a tenth of the mean of all is its own
    assert np.isnan([value.low, value.high, value.low_over_classes]).all()


@pytest.mark.parametrize(("height", "known", "certain"), [(0.5, True, True), (0.012, True, False), (-0.012, False, False)])
def test_the_cosine_distance_is_unknown_where_the_page_says(height: float, known: bool, certain: bool) -> None:
    """Twenty classes of 20 images, whose mean gates are long, short beside their noise, and negative."""
    random, labels = np.random.default_rng(3), np.repeat(np.arange(20), 20)
    noise = random.normal(0, 0.02, (400, 16))
    noise -= np.stack([noise[labels == k].mean(axis=0) for k in range(20)])[labels]
    scales = (height * (1 + 0.2 * random.random((20, 16)))[labels] + noise).astype(np.float32)
    statistics = ClassStatistics({SITE: 16}, tuple(map(str, range(20))), sample=20)
    statistics.update(labels, {SITE: {"squeeze": scales, "scale": scales}})
    mean = np.stack([scales[labels == k].mean(axis=0) for k in range(20)])
    variance = np.array([scales[labels == k].var(axis=0, ddof=1).sum() for k in range(20)])
    value = depth_profile(statistics, permutations=0).at("cosine", SITE)
    short = (variance / 20 > 0.02 * np.square(mean).sum(axis=1)).any()
    assert (mean.min() >= 0, mean.min() >= 0 and not short) == (known, certain)
    assert np.isfinite(value.estimate) == known
    assert (np.isfinite([value.low, value.high, value.low_over_classes, value.high_over_classes]) == certain).all()


@pytest.mark.parametrize(
    ("classes", "step", "photos", "over_classes"), [(20, 0.1, True, True), (19, 0.1, True, False), (20, 1e-5, False, False)]
)
def test_intervals_are_unknown_with_few_classes_and_where_half_precision_stills_the_gates(
    classes: int, step: float, photos: bool, over_classes: bool
) -> None:
    labels = np.repeat(np.arange(classes), 12)
    scales = (0.7 + step * np.random.default_rng(4).normal(0, 0.5, (len(labels), 8))).astype(np.float32)
    statistics = ClassStatistics({SITE: 8}, tuple(map(str, range(classes))), sample=12)
    statistics.update(labels, {SITE: {"squeeze": scales, "scale": scales}})
    kept = statistics.sample(SITE)
    d2 = [np.square(part - part.mean(axis=0)).sum() / 12 for k in range(classes) for part in [kept.values[kept.labels == k].astype(float)]]
    t_k = [scales[labels == k].astype(float).var(axis=0, ddof=1).sum() for k in range(classes)]
    value = depth_profile(statistics, permutations=0).at("within", SITE)
    assert (np.mean(d2) >= np.mean(t_k) / 2) == photos
    assert (np.isfinite(value.low), np.isfinite(value.low_over_classes)) == (photos, over_classes)
