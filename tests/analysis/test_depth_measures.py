"""The table of measures is whole, and a new row is all that a new measure takes."""

import ast
import hashlib
import inspect
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest

from sevis.analysis import (
    block_gates,
    block_profile,
    class_differences,
    dead_gates,
    depth_measures,
    discriminant,
    formulas,
    intervals,
    readings,
    resampling,
    uncertainty,
)
from sevis.analysis.depth import depth_profile
from sevis.analysis.depth_measures import MEASURES, Measure
from sevis.analysis.readings import Reading
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.figures.classes.depth import measure_chart, offered, profile_table

BY_NAME = {measure.name: measure for measure in MEASURES}


def spans(mean, m2, count):
    return np.ptp(mean, axis=-2).mean(axis=-1)


GINI = Measure(
    name="gini",
    meaning="the Gini coefficient of a photo's scales, its mean",
    read=partial(
        readings.of_images, lambda scales: np.abs(scales[:, :, None] - scales[:, None]).mean(axis=(1, 2)) / (2 * scales.mean(axis=1))
    ),
    label="mean photo",
    title="Inequality of a photo's scales",
    axis="Gini coefficient",
    about="0 where all scales are equal.",
    choice="Gini",
)
RANGE = Measure(
    name="range",
    meaning="the highest class mean less the lowest, its mean over channels",
    read=lambda block: Reading(value=float(spans(block.mean, block.m2, block.photos.count))),
    chance=spans,
    null=1,
    unit="s",
    label="highest less lowest",
    beside="gini",
)


@pytest.fixture(scope="module")
def scales():
    return np.random.default_rng(0).uniform(0.1, 0.9, size=(60, 12)).astype(np.float16).astype(np.float32)


@pytest.fixture(scope="module")
def profile(scales):
    statistics = ClassStatistics({"SE_2_1": 12, "SE_3_1": 12}, ("a", "b", "c"), sample=20)
    values = {"SE_2_1": scales, "SE_3_1": scales**2}
    statistics.update(np.arange(60) % 3, {site: {"scale": part, "squeeze": part} for site, part in values.items()})
    return depth_profile(statistics, permutations=19, measures=(*MEASURES, GINI, RANGE))


def test_a_new_row_is_measured_with_interval_and_null(profile, scales):
    ordered = np.sort(scales.astype(np.float64), axis=1)
    ranks = np.arange(1, 13)
    expected = ((2 * ranks - 13) * ordered).sum(axis=1) / (12 * ordered.sum(axis=1))  # the other form of Gini's coefficient
    value = profile.at("gini", "SE_2_1")
    assert value.estimate == pytest.approx(expected.mean(), rel=1e-5)
    assert value.low < value.estimate < value.high
    assert np.isnan(value.low_over_classes)  # three classes are too few
    means = np.stack([scales[np.arange(60) % 3 == label].mean(axis=0) for label in range(3)])
    value = profile.at("range", "SE_2_1")
    assert value.estimate == pytest.approx(np.ptp(means, axis=0).mean(), rel=1e-5)
    assert np.isnan(value.low)
    assert value.null == pytest.approx(value.estimate, rel=0.5)  # the labels mean nothing here


def test_a_new_row_is_in_the_table_and_the_choice(profile):
    table = profile_table(profile)
    assert {"gini", "gini_low", "gini_high", "range", "range_low", "range_high", "range_chance"} <= set(table)
    assert "range_low_over_classes" not in table
    np.testing.assert_array_equal(table["gini"], profile.curves["gini"].estimate)
    assert list(offered(profile))[-1] == "Gini"
    assert offered(profile)["Gini"] is GINI


def test_a_new_row_is_drawn(profile):
    chart = measure_chart(profile, "gini")
    assert (chart.figure.layout.title.text, chart.figure.layout.yaxis.title.text) == (GINI.title, GINI.axis)
    named = [trace for trace in chart.figure.data if trace.name]
    assert [trace.name for trace in named] == [GINI.label, RANGE.label, "shuffled labels"]
    np.testing.assert_array_equal(named[0].y, profile.curves["gini"].estimate)
    assert chart.caption.startswith(GINI.about)
    assert "gini" in chart.table


def test_every_row_is_whole():
    assert len(BY_NAME) == len(MEASURES) == 20
    for measure in MEASURES:
        described = (measure.title, measure.axis, measure.about)
        assert all(described) if not measure.beside else not any((*described, measure.choice, measure.warning, measure.limits))
        assert measure.beside == "" or BY_NAME[measure.beside].beside == ""
        assert measure.range[0] < measure.range[1]
        assert measure.unit in ("%", "s", "")
        assert measure.label
        assert measure.meaning
    choices = [measure.choice for measure in MEASURES if measure.choice]
    assert len(set(choices)) == len(choices)


def test_rows_that_are_not_offered_are_those_of_the_statements():
    assert {measure.name for measure in MEASURES if not measure.choice and not measure.beside} == {
        "accuracy",
        "high",
        "distance",
        "residual",
    }


MEASURING = (
    formulas,
    depth_measures,
    discriminant,
    block_profile,
    resampling,
    intervals,
    dead_gates,
    class_differences,
    block_gates,
    readings,
    uncertainty,
)
WORDS = ("meaning", "unit", "label", "beside", "title", "axis", "about", "limits", "choice", "warning")  # of a Measure, for people


def told(node: object) -> Iterator[object]:
    """What a syntax tree says, the same in every version of Python: without docstrings, words for people, and fields that are empty."""
    if isinstance(node, ast.AST):
        yield type(node).__name__
        for name, value in ast.iter_fields(node):
            if value not in (None, [], ""):
                yield name
                yield from told(value)
    elif isinstance(node, list):
        for part in node:
            docstring = isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
            words = isinstance(part, ast.keyword) and part.arg in WORDS
            counted = isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Name) and part.targets[0].id in ("VERSION", "SOURCE")
            if not (docstring or words or counted):
                yield from told(part)
    else:
        yield repr(node)


def test_what_a_measure_gives_does_not_change_without_a_new_version() -> None:
    source = repr([list(told(ast.parse(inspect.getsource(module)))) for module in MEASURING])
    found = hashlib.sha256(source.encode()).hexdigest()[:16]
    assert found == depth_measures.SOURCE, (
        "the code that measures has changed since VERSION was last looked at. In sevis/analysis/depth_measures.py, raise VERSION if any "
        "estimate, interval, null or p-value may differ now (then collect again what ships, with --compact); leave VERSION if none can. "
        f"Then write SOURCE = {found!r}"
    )
