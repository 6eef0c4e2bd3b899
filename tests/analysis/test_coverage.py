"""Intervals of 95 % hold the truth of simulated populations in 93 to 97 % of the draws; more often where it is at the end of a range.

Each population is as gates are (`tests.helpers.populations`): the photos of a class share a level and patterns of channels. Draws of one
size are shared by all measures. What a binomial count of so many draws may stray, with a probability of 0.005 at each end, is allowed for.
"""

from functools import cache

import numpy as np
import pytest
from scipy import stats

from sevis.analysis.block_gates import draw_images
from sevis.analysis.block_profile import Value, measure_block
from sevis.analysis.depth_measures import MEASURES
from tests.helpers.populations import SITE, collected, population, truths

pytestmark = pytest.mark.slow
LOWEST, HIGHEST, STRAY = 0.93, 0.97, 0.005
READERS = ("accuracy", "nearest")  # whose intervals `test_discriminant` covers
BARE = ("squeeze_share", "furthest", "selectivity", "ones", "zeros")  # which have none
MEASURED = [measure for measure in MEASURES if measure.name not in (*READERS, *BARE)]
NAMES = [measure.name for measure in MEASURED]
BELOW_ZERO = ("low", "effective")  # unknown where some photo has a scale below 0, as linear populations have
AT_AN_END = {"factor", "left", "distance", "residual", "class_share", "cosine"}  # near 0, or near 1, the interval is cut off or wide
OVER_PHOTOS = [
    ("sigmoid", 20, 10, 400),
    ("scaled", 20, 10, 400),
    ("levelled", 20, 10, 400),
    ("alike", 20, 10, 400),
    ("sigmoid", 20, 50, 400),
    ("levelled", 20, 50, 400),
    ("sparse", 20, 50, 300),
    ("sigmoid", 200, 50, 60),
]
OVER_CLASSES = [("sigmoid", 20, 10, 400), ("alike", 20, 10, 400), ("sparse", 20, 50, 300), ("sigmoid", 200, 50, 60)]
MANY = 2000  # classes, from which some are drawn anew each time


def measured(one, each, seed) -> dict[str, Value]:
    statistics = collected(one.draw(each, np.random.default_rng([seed, each])))
    return measure_block(statistics, SITE, draw_images(statistics, seed=seed), MEASURED).values


@cache
def over_photos(kind, classes, each, draws):
    """The truth, and what so many draws of photos of the same classes give."""
    one = population(kind, classes=classes)
    truth = truths(one, photos=400_000 // classes, random=np.random.default_rng(99))
    return truth, [measured(one, each, seed) for seed in range(draws)]


@cache
def over_classes(kind, classes, each, draws):
    """The truth for very many classes, and what so many draws of classes and photos give."""
    many = population(kind, classes=MANY)
    chosen = [np.random.default_rng([7, seed]).integers(0, MANY, classes) for seed in range(draws)]
    return truths(many, photos=200, random=np.random.default_rng(99)), [
        measured(many.of(rows), each, seed) for seed, rows in enumerate(chosen)
    ]


def held(truth, ends):
    """How many intervals hold the truth, of how many that are known."""
    known = ~np.isnan(ends).any(axis=1)
    return int(np.sum((ends[known, 0] <= truth) & (truth <= ends[known, 1]))), int(known.sum())


def assert_covers(truth, ends, *, at_an_end, mostly):
    hits, known = held(truth, np.array(ends))
    assert known > 0.4 * len(ends) or not mostly  # of few photos, mean gates may be too short to have a direction
    least, most = stats.binom.ppf(STRAY, known, LOWEST), stats.binom.ppf(1 - STRAY, known, HIGHEST)
    assert least <= hits <= (known if at_an_end else most), f"{hits} of {known} hold {truth:.4f}, expected {least:.0f} to {most:.0f}"


def unknowable(kind, name):
    return name in BELOW_ZERO and kind in ("levelled", "small", "scaled")


@pytest.mark.parametrize("case", OVER_PHOTOS, ids=lambda case: "{} {} x {}".format(*case))
@pytest.mark.parametrize("name", NAMES)
def test_intervals_over_photos_cover(case, name):
    if unknowable(case[0], name):
        pytest.skip("photos with scales below 0 have no such number")
    truth, values = over_photos(*case)
    assert_covers(
        truth[name], [(value[name].low, value[name].high) for value in values], at_an_end=name in AT_AN_END, mostly=name != "cosine"
    )


@pytest.mark.parametrize("case", OVER_CLASSES, ids=lambda case: "{} {} x {}".format(*case))
@pytest.mark.parametrize("name", NAMES)
def test_intervals_over_classes_cover(case, name):
    truth, values = over_classes(*case)
    ends = [(value[name].low_over_classes, value[name].high_over_classes) for value in values]
    if np.isnan(ends).all():
        assert name in ("class_share", "left", "spread", "agreement")  # which would not cover
        return
    assert_covers(truth[name], ends, at_an_end=True, mostly=name != "cosine")


@pytest.mark.parametrize("case", OVER_PHOTOS, ids=lambda case: "{} {} x {}".format(*case))
@pytest.mark.parametrize("name", ["class_share", "spread", "within", "agreement", "identity", "high", "cosine"])
def test_estimates_are_unbiased(case, name):
    truth, values = over_photos(*case)
    found = np.array([value[name].estimate for value in values])
    bias, error = found.mean() - truth[name], found.std() / np.sqrt(len(found))
    assert abs(bias) < 4 * error + 0.2 * found.std(), (bias, found.std())  # of a fifth of the scatter at most


@pytest.mark.parametrize("kind", ["sigmoid", "scaled", "levelled", "alike"])
def test_of_five_photos_a_class_no_interval_is_shown(kind):
    """Some would cover less than 93 %: of squares about 86 % in blocks whose photos have two modes."""
    values = measured(population(kind, classes=20), 5, 0)
    assert all(np.isnan(value[1:3]).all() and np.isnan(value[4:]).all() for value in values.values())
