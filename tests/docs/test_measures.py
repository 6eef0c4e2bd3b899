"""The page of the measures names every measure and every statement, as the code has them."""

import re
from math import inf

import numpy as np
import pytest

import sevis
from sevis.analysis import dead_gates, statements
from sevis.analysis.block_gates import FEWEST, FEWEST_HALVED, IMAGES
from sevis.analysis.block_profile import PERMUTATIONS
from sevis.analysis.depth import depth_profile
from sevis.analysis.depth_measures import MEASURES, Measure
from sevis.analysis.formulas import HIGH, LOW, RESOLUTION
from sevis.analysis.readings import HALVINGS, SHORT
from sevis.analysis.two_classes import MIN_IMAGES, RATE
from sevis.analysis.two_models import MIN_CLASSES
from sevis.analysis.uncertainty import FEWEST_CLASSES
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.figures.classes.two_models import MEASURES as COMPARED
from tests.helpers.markdown import DOCS, headings, section

PAGE = (DOCS / "measures.md").read_text(encoding="utf-8")
FLAT = " ".join(PAGE.split())
RESNET_50 = [f"SE_{stage}_{block}" for stage, count in ((2, 3), (3, 4), (4, 6), (5, 3)) for block in range(1, count + 1)]


def entry(measure: Measure) -> tuple[str, dict[str, str]]:
    """Return the heading of a measure, and what its list says."""
    (heading,) = (heading for heading in headings(PAGE) if f"(`{measure.name}`)" in heading)
    parts = " ".join(section(PAGE, heading).split()).split("- **")[1:]
    return heading, {name: text.strip() for name, _, text in (part.partition(":** ") for part in parts)}


def words(measure: Measure) -> str:
    """Return a range and its unit, as the page says them."""
    low, high = measure.range
    ends = f"{low:g} or more" if high == inf else f"{low:g} to {high:g}".replace("-", "−")
    return f"{ends}, {({'%': 'printed in %', 's': 'in units of s', '': 'without a unit'})[measure.unit]}."


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_every_measure_is_on_the_page(measure: Measure) -> None:
    heading, told = entry(measure)
    shown = measure if measure.title else next(other for other in MEASURES if other.name == measure.beside)
    assert heading.startswith(shown.title)
    assert list(told) == ["Formula", "Source", "Range", "Chance", "Unknown", "Interval over photos", "Interval over classes"]
    assert told["Range"] == words(measure)
    assert told["Chance"].startswith("shuffled labels") == bool(measure.null)


def test_a_measure_has_the_intervals_that_the_page_says() -> None:
    random = np.random.default_rng(0)
    labels, scales = np.arange(400) % 20, random.random((400, 8), np.float32)
    statistics = ClassStatistics({"SE_2_1": 8}, tuple(map(str, range(20))), sample=20)
    statistics.update(labels, {"SE_2_1": {"squeeze": scales, "scale": np.clip(scales + labels[:, None] / 30, 0, 1)}})
    profile = depth_profile(statistics, permutations=0)
    listed: list[set[str]] = [set(), set()]
    for measure in MEASURES:
        value, told = profile.at(measure.name, "SE_2_1"), entry(measure)[1]
        assert told["Interval over photos"].startswith("none.") == np.isnan(value.low), measure.name
        assert told["Interval over classes"].startswith("none.") == np.isnan(value.low_over_classes), measure.name
        for kind, end in enumerate((value.low, value.low_over_classes)):
            listed[kind] |= {measure.name} if np.isnan(end) else set()
    neither, _, photos = section(PAGE, "Measures without an interval").rpartition("\n\n`")
    names = [set(re.findall(r"`(\w\w+)`", part)) for part in (neither, f"`{photos}")]
    assert names == [listed[0], listed[1] - listed[0]]
    compact = depth_profile(statistics.compacted(), permutations=0)
    assert {name for name in compact.curves if np.isnan(compact.at(name, "SE_2_1").estimate)} == {"squeeze_share", "furthest"}


def test_the_page_names_no_other_measure() -> None:
    depth = section(PAGE, "The depth profile")
    assert len(headings(depth)) == len(MEASURES)
    assert [heading.partition("(`")[2].removesuffix("`)") for heading in headings(depth)] == [measure.name for measure in MEASURES]


def test_the_statements_have_their_criteria() -> None:
    """Of a network whose blocks are those of a ResNet-50."""
    statistics = ClassStatistics(dict.fromkeys(RESNET_50, 2), ("a", "b"), sample=4)
    scales = np.random.default_rng(0).random((8, 2), np.float32)
    statistics.update(np.arange(8) % 2, {site: {"squeeze": scales, "scale": scales} for site in RESNET_50})
    judged = sevis.judge(depth_profile(statistics))
    assert len(headings(section(PAGE, "The four statements of the paper"))) == len(judged) == 4
    for statement in judged:
        assert f"> {statement.sentence} - **Blocks:**" in FLAT
        assert f"- **Criterion:** {statement.criterion}" in FLAT
        assert statement.verdict in ("seen here", "not seen here", "unknown here")
    assert all(f"**{verdict}**" in FLAT for verdict in ("seen here", "not seen here", "unknown here"))


def test_the_thresholds_are_those_of_the_code() -> None:
    regions = " ".join(section(PAGE, "Regions").split())
    assert f"`distance` lies below {statements.COINCIDE}" in regions
    assert f"class share lies above {100 * statements.SPECIFIC:.0f} %" in regions
    assert f"`low` lies above {100 * statements.MOST:.0f} %" in regions
    dead = " ".join(section(PAGE, "Dead gates").split())
    assert f"dead when `spread` is below {dead_gates.DEAD}" in dead
    assert f"more than {100 * dead_gates.FLAT:.0f} % of the channels is above {HIGH} or below {LOW}" in dead
    assert f"is below {dead_gates.STILL} too" in dead
    assert all(f"| `{cause}` |" in dead for cause in dead_gates.CAUSES)
    assert f"fewer than {FEWEST} images of a class at the median" in FLAT
    assert f"unknown with fewer than {FEWEST_CLASSES} classes" in FLAT
    assert f"fewer than {FEWEST_HALVED} kept images of a class at the median" in FLAT
    assert f"at most {IMAGES:,} kept images" in FLAT
    assert f"both halves and {HALVINGS} halvings" in FLAT
    assert f"`σ_c` is rounding: at most {RESOLUTION:g}".replace("e-07", "e-7") in FLAT
    assert f"`within` is at most {RESOLUTION:g}".replace("e-07", "e-7") in FLAT
    assert f"`t_k / n_k` is more than {SHORT} of `|s̄_k|²`" in FLAT
    assert f"(at least {PERMUTATIONS} times for large files)" in FLAT


def test_how_the_chance_value_falls_with_the_images_is_that_of_the_code() -> None:
    falls = {power: " and ".join(f"`{measure.name}`" for measure in MEASURES if measure.null == power) for power in (1, 2)}
    told = " ".join(section(PAGE, "What chance gives").split())
    assert f"by √(M / N) for {falls[1]}, and by M / N for {falls[2]}." in told


def test_two_classes_and_two_models_are_on_the_page() -> None:
    classes = " ".join(section(PAGE, "Two classes").split())
    assert f"fewer than {MIN_IMAGES} images of a class" in classes
    assert f"at most {RATE}" in classes
    models = section(PAGE, "Two models")
    assert f"fewer than {MIN_CLASSES} classes" in models
    assert all(f"| {title} |" in models for title, *_ in COMPARED.values())
