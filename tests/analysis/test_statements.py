"""The paper's statements on profiles that are made to show or not to show them."""

from dataclasses import replace
from math import nan

import numpy as np
import pytest

from sevis.analysis.block_profile import Value
from sevis.analysis.dead_gates import CAUSES
from sevis.analysis.depth import Curve, DepthProfile
from sevis.analysis.depth_measures import MEASURES
from sevis.analysis.statements import describe_regions, judge, percent, split_stages

RESNET50 = tuple(f"SE_{stage}_{block}" for stage, blocks in zip((2, 3, 4, 5), (3, 4, 6, 3), strict=True) for block in range(1, blocks + 1))
WIDTH = 0.02  # of an interval, each side


def made(sites=RESNET50, *, per_class=50, dead=None, unknown=(), **estimates):
    """A profile whose measures are 0.5 but for `estimates`: a number for all blocks, or numbers by block."""
    curves = {}
    for name in (measure.name for measure in MEASURES):
        given = estimates.get(name, 0.5)
        estimate = np.array([given.get(site, 0.5) if isinstance(given, dict) else given for site in sites], float)
        reach = np.where([site in unknown or not per_class for site in sites], nan, WIDTH)
        estimate = np.where([site in unknown for site in sites], nan, estimate)
        curves[name] = Curve(estimate, estimate - reach, estimate + reach, np.full(len(sites), 0.05) if name == "accuracy" else None)
    return DepthProfile(
        sites=tuple(sites),
        curves=curves,
        images=1000,
        classes=20,
        per_class=per_class,
        p_values=np.full(len(sites), 0.01),
        dead=dead or {},
        level=0.95,
        permutations=100,
        seed=0,
        measured=len(sites),
    )


def as_in_the_paper(**changed):
    """A profile of SE-ResNet-50 that shows all four statements."""
    depth = np.linspace(0, 1, 14)
    rising = dict(zip(RESNET50, depth, strict=False)) | {"SE_5_2": 0.1, "SE_5_3": 0.1}
    measures = {
        "class_share": {site: 0.01 + 0.4 * value if value > 0.2 else 0.01 for site, value in rising.items()},
        "accuracy": {site: 0.1 + 0.5 * value for site, value in rising.items()},
        "high": {"SE_5_2": 0.9} | dict.fromkeys(set(RESNET50) - {"SE_5_2"}, 0.1),
        "low": 0.03,
        "distance": dict(zip(RESNET50, 0.02 + 0.1 * depth, strict=False)) | dict.fromkeys(RESNET50[:3], 0.02),
        "furthest": dict(zip(RESNET50, 0.05 + 0.2 * depth, strict=False)) | dict.fromkeys(RESNET50[:3], 0.06),
        "squeeze_share": 0.3,
        "residual": 0.05,
        "left": 0.3,
        "factor": 0.1,
    }
    return made(**(measures | changed))


def by_name(profile):
    return {statement.name: statement for statement in judge(profile)}


def test_a_network_like_the_papers_shows_all_four():
    statements = by_name(as_in_the_paper())
    assert [statement.verdict for statement in statements.values()] == ["seen here"] * 4
    assert {name: statement.blocks for name, statement in statements.items()} == {
        "agnostic": ("SE_2_1", "SE_2_2", "SE_2_3"),
        "specific": ("SE_4_6", "SE_5_1"),
        "saturated": ("SE_5_2",),
        "scaled": ("SE_5_3",),
    }


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("agnostic", {"distance": 0.2}),
        ("agnostic", {"distance": dict.fromkeys(RESNET50, 0.01) | {"SE_2_2": 0.04}}),  # its interval reaches 0.06
        ("agnostic", {"furthest": dict.fromkeys(RESNET50, 0.01) | {"SE_2_2": 0.11}}),
        ("specific", {"class_share": 0.01}),
        ("specific", {"class_share": 0.2}),  # specific, but no more so than SE_2_3
        ("specific", {"accuracy": 0.3}),  # which does not rise
        ("specific", {"accuracy": {"SE_2_3": 0.1, "SE_3_4": 0.5, "SE_4_6": 0.3, "SE_5_1": 0.5}}),  # which falls between
        ("saturated", {"high": 0.51}),  # its interval reaches 0.49
        ("saturated", {"high": 0.1, "low": 0.9}),  # not close to one
        ("scaled", {"residual": 0.09}),  # its interval reaches 0.11
        ("scaled", {"residual": 1.0}),
        ("scaled", {"factor": 0.24}),  # no modest change: its interval reaches 0.26
    ],
)
def test_each_statement_can_fail_alone(name, change):
    statements = by_name(as_in_the_paper(**change))
    assert statements[name].verdict == "not seen here"
    assert all(statement.known for statement in statements.values())
    if "class_share" not in change:
        assert all(statement.seen for other, statement in statements.items() if other != name)


def test_findings_hold_the_numbers_and_their_intervals():
    statements = by_name(as_in_the_paper(high={"SE_5_2": 0.03}, low=0.5))
    plain = {name: statement.finding.replace("\xa0", " ") for name, statement in statements.items()}
    assert plain["saturated"] == ("In SE_5_2, 3.0 % (1.0 % to 5.0 %) of the scales are above 0.9, and 50 % (48 % to 52 %) are below 0.1.")
    assert plain["scaled"] == (
        "In SE_5_3, one factor for each class leaves 5.0 % (3.0 % to 7.0 %) of the mean gates, and the factors differ from 1 by "
        "10 % (8 % to 12 %). Of the differences between the classes, 30 % (28 % to 32 %) remain."
    )
    assert plain["agnostic"] == (
        "The mean class lies 0.020 (0.000 to 0.040) from all in SE_2_1, 0.020 (0.000 to 0.040) from all in SE_2_2 and "
        "0.020 (0.000 to 0.040) from all in SE_2_3; the furthest class 0.06, 0.06 and 0.06. Of the variance of a scale, "
        "1.0 % (−1.0 % to 3.0 %) in SE_2_1, 1.0 % (−1.0 % to 3.0 %) in SE_2_2 and 1.0 % (−1.0 % to 3.0 %) in SE_2_3 lies between the "
        "classes; of a squeeze z in these blocks, 30 %, 30 % and 30 %."
    )
    assert "By the gates alone, the linear discriminant tells the class of 18 % (16 % to 20 %) in SE_2_3, " in plain["specific"]
    assert "; chance gives 5 %. In the later blocks it tells that of " in plain["specific"]
    assert " The nearest class mean, a simpler reader, tells that of 50 % (48 % to 52 %) in SE_2_3, " in plain["specific"]
    assert plain["specific"].endswith(") in SE_5_3.")


def test_what_no_training_gives_stands_beside_the_share():
    profile = replace(as_in_the_paper(), untrained=np.linspace(0.1, 0.25, 16))
    assert by_name(profile)["agnostic"].finding.replace("\xa0", " ").endswith("; of a scale before any training, 10 %, 11 % and 12 %.")


@pytest.mark.parametrize("per_class", [0, 3])
def test_without_intervals_nothing_is_seen_and_the_reason_is_given(per_class):
    profile = as_in_the_paper(per_class=per_class)
    if per_class:
        profile = as_in_the_paper(per_class=per_class, unknown=RESNET50)
    for statement in judge(profile):
        assert not statement.seen
        assert statement.verdict == "unknown here"
        assert "nan" not in statement.finding.replace("discriminant", "")
        reason = "3 photos of a class (the median) are too few" if per_class else "collect it again with python -m sevis collect"
        assert reason in statement.finding
    assert "(interval unknown)" in judge(as_in_the_paper(per_class=0))[0].finding
    assert "Saturated: unknown" in " ".join(describe_regions(profile))


def test_gates_that_are_the_same_for_all_photos_are_no_lack_of_photos():
    profile = as_in_the_paper(unknown=RESNET50)
    assert judge(profile)[0].finding.endswith("The gates of the unknown blocks are the same for every photo, or for nearly every photo.")
    assert "photos of each class, and there is one" in judge(replace(profile, images=20, per_class=0))[0].finding


def test_one_block_that_is_not_agnostic_decides_though_another_is_unknown():
    for name in ("distance", "furthest"):
        apart = dict.fromkeys(RESNET50, 0.01) | {"SE_2_1": 0.3}
        assert by_name(as_in_the_paper(unknown=("SE_2_2",), **{name: apart}))["agnostic"].verdict == "not seen here"
    assert by_name(as_in_the_paper(unknown=("SE_2_2",)))["agnostic"].verdict == "unknown here"


def test_either_half_of_statement_four_decides_though_the_other_is_unknown():
    for change in ({"residual": 0.5}, {"factor": 0.5}):
        profile = as_in_the_paper(**change)
        (other,) = {"residual", "factor"} - {*change}
        nothing = np.full(16, nan)
        unknown = replace(profile, curves={**profile.curves, other: Curve(nothing, nothing, nothing)})
        assert by_name(unknown)["scaled"].verdict == "not seen here"


def test_where_all_is_unknown_no_block_is_called_agnostic_or_not():
    regions = describe_regions(as_in_the_paper(unknown=RESNET50))
    assert regions[0].startswith("**Unknown: all 16 blocks.**")


def test_chance_of_a_thousand_classes_is_not_nothing():
    profile = as_in_the_paper()
    accuracy = replace(profile.curves["accuracy"], null=np.full(len(RESNET50), 0.001))
    finding = by_name(replace(profile, curves={**profile.curves, "accuracy": accuracy}))["specific"].finding
    assert "chance gives 0.1\xa0%." in finding


def test_one_class_cannot_be_judged():
    profile = replace(as_in_the_paper(unknown=RESNET50), classes=1)
    assert "needs at least two classes, and there is 1." in judge(profile)[0].finding


def test_an_unknown_block_is_not_seen():
    statements = by_name(as_in_the_paper(unknown=("SE_2_2", "SE_5_3")))
    assert {name: statement.seen for name, statement in statements.items()} == {
        "agnostic": False,
        "specific": True,
        "saturated": True,
        "scaled": False,
    }
    assert "unknown from all in SE_2_2" in statements["agnostic"].finding
    assert "0.06, unknown and 0.06." in statements["agnostic"].finding


def test_classes_that_do_not_differ_have_nothing_to_scale():
    statement = by_name(as_in_the_paper(left=nan))["scaled"]
    assert statement.seen  # the same pattern, without any change in scale
    assert "Of the differences" not in statement.finding


@pytest.mark.parametrize(
    ("sites", "stages", "deeper", "last_but_one"),
    [
        (("SE_2_1", "SE_2_2", "SE_3_1", "SE_3_2"), [2, 2], ("SE_3_1",), "SE_3_1"),
        (("SE_2_1", "SE_3_1", "SE_4_1"), [1, 1, 1], ("SE_3_1", "SE_4_1"), "SE_3_1"),
        (("SE_3a", "SE_3b", "SE_3c", "SE_4a", "SE_4b", "SE_5a"), [2, 2, 2], ("SE_4a", "SE_4b"), "SE_4b"),  # as one stage
        (("SE_2_1", "SE_2_2"), [1, 1], ("SE_2_2",), "SE_2_1"),
        (("SE_2_9", "SE_2_10", "SE_3_1"), [2, 1], ("SE_3_1",), "SE_2_10"),
    ],
)
def test_blocks_are_chosen_by_their_place(sites, stages, deeper, last_but_one):
    assert [len(stage) for stage in split_stages(sites)] == stages
    statements = by_name(made(sites))
    assert statements["agnostic"].blocks == sites[: stages[0]]
    assert statements["specific"].blocks == deeper
    assert statements["saturated"].blocks == (last_but_one,)
    assert statements["scaled"].blocks == sites[-1:]


def test_a_single_block_has_no_depth():
    profile = made(("SE_2_1",), class_share=0.01, distance=0.02, furthest=0.05, high=0.9, residual=0.05, factor=0.1)
    statements = by_name(profile)
    assert {name for name, statement in statements.items() if statement.seen} == {"agnostic", "scaled"}
    assert "no deeper block" in statements["specific"].finding
    assert "only one block" in statements["saturated"].finding
    assert describe_regions(profile)[0].startswith("**Class-agnostic: SE_2_1**")


def test_regions_say_where_gates_are_what():
    share = {"SE_2_1": 0.01, "SE_2_2": 0.02, "SE_3_1": 0.1, "SE_3_2": 0.3, "SE_3_3": 0.4}
    profile = made(
        (*share, "SE_3_4"),
        class_share=share,
        distance={"SE_2_1": 0.01, "SE_2_2": 0.02},
        high={"SE_3_2": 0.8} | dict.fromkeys({*share} - {"SE_3_2"}, 0.1),
        low=0.05,
        spread={"SE_3_1": 0.01},
        dead={"SE_3_1": "flat"},
        unknown=("SE_3_4",),
    )
    agnostic, specific, between, unknown, saturated, dead = (sentence.replace("\xa0", " ") for sentence in describe_regions(profile))
    assert agnostic.startswith("**Class-agnostic: SE_2_1 and SE_2_2**")
    assert agnostic.endswith("from 0.010 (-0.010 to 0.030) in SE_2_1 to 0.020 (0.000 to 0.040) in SE_2_2.")
    assert specific.startswith("**Class-specific: SE_3_2 and SE_3_3**")
    assert between.startswith("**Neither with certainty: SE_3_1**")
    assert unknown.startswith("**Unknown: SE_3_4.**")
    assert saturated.startswith("**Saturated: SE_3_2**")
    assert "80 % (78 % to 82 %) in SE_3_2" in saturated
    assert dead.startswith("**Dead: SE_3_1**")
    assert CAUSES["flat"] in dead


def test_regions_say_that_there_are_none():
    sentences = [
        sentence.replace("\xa0", " ")
        for sentence in describe_regions(
            made(
                high=dict.fromkeys(RESNET50, 0.1) | {"SE_3_1": 0.3},
                low=dict.fromkeys(RESNET50, 0.1) | {"SE_4_1": 0.2},
                spread={"SE_4_2": 0.1},
            )
        )
    ]
    assert sentences[0].startswith("**Class-agnostic: no block**")
    assert sentences[1].startswith("**Class-specific: all 16 blocks**")
    assert sentences[2].startswith("**Saturated: no block**")
    assert sentences[2].endswith(
        "at most 30 % (28 % to 32 %) are above 0.9 (in SE_3_1) and at most 20 % (18 % to 22 %) are below 0.1 (in SE_4_1)."
    )
    assert "below 0.1," not in describe_regions(made(high=0.3, low=nan))[2]  # of gates below zero
    assert "SE_4_2 varies least, with a standard deviation of 0.100" in sentences[3]
    assert "**Dead: unknown**" in describe_regions(made(spread=nan))[-1]


def test_percentages_have_a_digit_more_near_their_ends():
    assert [percent(Value(value, value - 0.01, value + 0.01)).replace("\xa0", " ") for value in (0.034, 0.5, 0.985, -0.004)] == [
        "3.4 % (2.4 % to 4.4 %)",
        "50 % (49 % to 51 %)",
        "98.5 % (97.5 % to 99.5 %)",
        "−0.4 % (−1.4 % to 0.6 %)",
    ]
    assert percent(Value(nan)) == "unknown"
