"""Gates of classes as networks have them, with known means and covariances: what estimates and intervals are held against."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sevis.class_statistics.class_statistics import ClassStatistics

SITE = "SE_2_1"


@dataclass(frozen=True, eq=False)
class Population:
    """Classes whose photos share a level, and some patterns of channels.

    Linear: s = (base + effect_k) (1 + change_k + level) + patterns + noise. Else s is the sigmoid of
    base + effect_k + change_k + level + patterns + noise.

    Attributes:
        base: shape (C,).
        effect: of each class, shape (K, C).
        change: of each class's scale, shape (K,).
        load: the patterns, shape (R, C).
        level, noise: standard deviations.
        linear: which of the two.
    """

    base: np.ndarray
    effect: np.ndarray
    change: np.ndarray
    load: np.ndarray
    level: float
    noise: float
    linear: bool

    def of(self, classes):
        """The population of some of its classes."""
        return replace(self, effect=self.effect[classes], change=self.change[classes])

    def draw(self, each, random):
        """Gates of so many photos of each class, shape (K, each, C)."""
        classes = len(self.effect)
        level = self.level * random.normal(size=(classes, each, 1)) + self.change[:, None, None]
        rest = random.normal(size=(classes, each, len(self.load))) @ self.load
        rest += self.noise * random.normal(size=rest.shape)
        centre = self.base + self.effect[:, None]
        return centre * (1 + level) + rest if self.linear else 1 / (1 + np.exp(-centre - level - rest))

    @cached_property
    def moments(self):
        """The mean and the variance of each class's gates, shape (K, C) each: exact where it is linear."""
        centre = self.base + self.effect
        if self.linear:
            variance = np.square(self.level * centre) + np.square(self.load).sum(axis=0) + self.noise**2
            return centre * (1 + self.change[:, None]), variance
        # The argument of the sigmoid is normal: its expectation by Gauss-Hermite quadrature.
        deviation = np.sqrt(self.level**2 + np.square(self.load).sum(axis=0) + self.noise**2)
        nodes, weights = np.polynomial.hermite_e.hermegauss(40)
        values = 1 / (1 + np.exp(-(centre + self.change[:, None])[..., None] - deviation[:, None] * nodes))
        mean = values @ weights / weights.sum()
        return mean, np.square(values) @ weights / weights.sum() - np.square(mean)


KINDS = {
    "levelled": {"effect": 0.05, "level": 0.3, "load": 0.02, "noise": 0.05, "linear": True},
    "small": {"effect": 0.01, "level": 0.3, "load": 0.02, "noise": 0.03, "linear": True},
    "scaled": {"effect": 0.01, "level": 0.1, "load": 0.02, "noise": 0.03, "linear": True, "change": 0.15},
    "sigmoid": {"effect": 0.5, "level": 0.6, "load": 0.3, "noise": 0.5, "linear": False},
    "alike": {"effect": 0.15, "level": 0.6, "load": 0.3, "noise": 0.5, "linear": False},
    "sparse": {"effect": 0.3, "level": 0.4, "load": 0.2, "noise": 0.3, "linear": False, "share": 0.1},
}


def population(kind, *, classes, channels=32, seed=0):
    """A population of one of KINDS."""
    return made(classes=classes, channels=channels, seed=seed, **KINDS[kind])


def made(*, classes, channels=32, seed=0, effect, level, load, noise, linear, change=0.0, share=1.0):
    """A population by its standard deviations; where `share` is below 1, classes differ in so many of their channels, thrice as far."""
    random = np.random.default_rng(seed)
    base = random.uniform(0.3, 0.7, channels) if linear else random.normal(-0.3, 1.2, channels)
    effects = effect * random.normal(size=(classes, channels))
    if share < 1:
        effects *= 3 * (random.random((classes, channels)) < share)
    changes = change * random.normal(size=classes)
    return Population(base, effects, changes, load * random.normal(size=(4, channels)), level, noise, linear)


def truths(population, *, photos=None, random=None):
    """Every measure that has an interval over photos, by plain formulas: from the moments, and from very many photos, shape (K, n, C)."""
    mean, variance = population.moments
    overall = mean.mean(axis=0)
    apart = mean - overall
    factors = mean @ overall / (overall @ overall)
    rest = mean - factors[:, None] * overall
    between, within = np.square(apart).mean(axis=0), variance.mean(axis=0)
    unit = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    classes = len(mean)
    found = {
        "class_share": (between / (between + within)).mean(),
        "spread": np.sqrt(between + within).mean(),
        "within": np.sqrt(within.mean()),
        "distance": np.sqrt(between.mean()),
        "factor": np.sqrt(np.square(factors - 1).mean()),
        "residual": np.sqrt(np.square(rest).sum(axis=1).mean() / (overall @ overall)),
        "left": np.sqrt(np.square(rest).sum() / np.square(apart).sum()),
        "cosine": 1 - (np.square(unit.sum(axis=0)).sum() - classes) / (classes * (classes - 1)),
        "identity": (1 - mean).mean(),
    }
    return found if photos is None else found | of_photos(population, photos, random)


def of_photos(population, photos, random, *, step=200_000):
    """The measures that single photos have, from so many of each class."""
    channels, classes = len(population.base), len(population.effect)
    sums, ranks, each = np.zeros(4), np.zeros(channels), max(1, step // classes)
    rounds = -(-photos // each)
    for _ in range(rounds):
        values = population.draw(each, random).reshape(-1, channels)
        ranks += (values.argsort(axis=1).argsort(axis=1) - (channels - 1) / 2).mean(axis=0) / rounds
        share = np.maximum(values, 1e-12) / np.maximum(values, 1e-12).sum(axis=1, keepdims=True)
        entropy = -(share * np.log(share)).sum(axis=1)
        parts = [(values > 0.9).mean(), (values < 0.1).mean(), np.exp(entropy).mean() / channels, np.abs(1 - values).mean()]
        sums += np.array(parts) / rounds
    spearman = 12 * np.square(ranks).sum() / (channels**3 - channels)
    return dict(zip(("high", "low", "effective", "identity"), sums.tolist(), strict=True)) | {"agreement": spearman}


def collected(values, *, site=SITE):
    """Class statistics of gates, shape (K, n, C), each kept whole; the squeezes are the same numbers."""
    classes, each, channels = values.shape
    statistics = ClassStatistics({site: channels}, tuple(f"class {number}" for number in range(classes)), sample=each)
    rows = values.reshape(-1, channels).astype(np.float32)
    statistics.update(np.repeat(np.arange(classes), each), {site: {"scale": rows, "squeeze": rows}})
    return statistics
