"""The paper's tables as data: whole, consistent with each other, and loaded without torch."""

import pytest

import sevis
from sevis.paper import (
    ABLATIONS,
    SENET_154,
    TABLES_2_AND_3,
    TIMINGS,
    PrintedVariant,
    address_of,
    by_stage,
    printed_costs,
    short_name,
    stage_of,
)
from tests.helpers.processes import loaded_by


def test_every_row_of_tables_2_and_3_is_there() -> None:
    assert [row.table for row in TABLES_2_AND_3] == [2] * 8 + [3] * 2
    names = [row.name for row in TABLES_2_AND_3]
    assert {*names, *(f"se_{name}" for name in names)} <= set(sevis.list_models())


@pytest.mark.parametrize(
    ("name", "top1", "top5"),
    [  # the gains that Table 2 and 3 print in parentheses
        ("resnet50", 1.51, 0.86),
        ("resnet101", 0.79, 0.45),
        ("resnet152", 0.85, 0.61),
        ("resnext50_32x4d", 1.01, 0.41),
        ("vgg16_bn", 1.80, 1.11),
        ("bn_inception", 1.15, 0.75),
        ("inception_resnet_v2", 0.57, 0.42),
        ("mobilenet", 3.1, 1.7),
        ("shufflenet", 1.6, 1.4),
    ],
)
def test_errors_differ_by_the_gains_that_the_paper_prints(name: str, top1: float, top5: float) -> None:
    row = next(row for row in TABLES_2_AND_3 if row.name == name)
    assert row.plain.top1 - row.gated.top1 == pytest.approx(top1)
    assert row.plain.top5 - row.gated.top5 == pytest.approx(top5)


def test_se_adds_operations_and_takes_errors_in_every_row() -> None:
    for row in TABLES_2_AND_3:
        assert row.plain.multiply_adds is not None
        assert row.gated.multiply_adds is not None
        assert 0 < row.gated.multiply_adds / row.plain.multiply_adds - 1 < 0.02
        assert row.gated.top1 < row.plain.top1
        assert row.gated.top5 < row.plain.top5
        for printed in (row.plain, row.gated):
            assert printed.multiply_adds % printed.digit == 0  # type: ignore[operator]
            assert (printed.parameters is not None) == (row.table == 3)


def is_the_standard(variant: PrintedVariant) -> bool:
    return variant.name == "se_resnet50" and all(
        variant.options.get(option, value) == value
        for option, value in {"reduction": 16, "squeeze": "avg", "gate": "sigmoid", "placement": "standard", "stages": None}.items()
    )


def test_the_ablations_share_their_baseline_and_their_standard() -> None:
    assert {variant.table for variant in ABLATIONS} == set(range(10, 17))
    plain = [variant for variant in ABLATIONS if variant.name == "resnet50"]
    assert [variant.table for variant in plain] == [10, 13, 16]
    assert {(variant.printed.top1, variant.printed.top5, variant.printed.parameters) for variant in plain} == {(23.30, 6.55, 25.6e6)}
    standard = [variant for variant in ABLATIONS if is_the_standard(variant)]
    assert [variant.table for variant in standard] == list(range(10, 17))
    assert {(variant.printed.top1, variant.printed.top5) for variant in standard} == {(22.28, 6.03)}


def test_the_times_and_senet_154() -> None:
    assert [(timing.plain, timing.gated) for timing in TIMINGS] == [(190, 209), (164, 167)]
    assert (SENET_154.top1, SENET_154.top5) == (18.68, 4.47)


@pytest.mark.parametrize(
    ("name", "options", "multiply_adds", "parameters"),
    [
        ("resnet50", {}, 3.86e9, 25.6e6),
        ("se_resnet50", {}, 3.87e9, 28.1e6),
        ("se_resnet50", {"bias": False}, 3.87e9, 28.1e6),
        ("se_resnet50", {"reduction": 8}, None, 30.7e6),
        ("se_resnet50", {"stages": (4,), "bias": False}, 3.86e9, 26.4e6),
        ("se_resnet50", {"squeeze": "none"}, 4.27e9, 28.1e6),
        ("se_resnet50", {"squeeze": "max"}, 3.87e9, 28.1e6),
        ("se_resnet50", {"placement": "3x3"}, 3.86e9, 25.8e6),
        ("se_resnet50", {"width": 0.5}, None, None),
        ("se_resnet50", {"stem": "small"}, None, None),
        ("se_resnet50", {"num_classes": 10}, None, None),
        ("se_resnet50", {"stages": (4,), "reduction": 8}, None, None),
        ("se_mobilenet", {}, 572e6, 4.7e6),
        ("vgg16_bn", {}, 15.47e9, None),
        ("se_resnet34", {}, None, None),
        ("efficientnet_b0", {}, None, None),
    ],
)
def test_printed_costs_are_found_by_name_and_options(
    name: str, options: dict[str, object], multiply_adds: float | None, parameters: float | None
) -> None:
    printed = printed_costs(name, options)
    assert (printed.multiply_adds, printed.parameters) == (multiply_adds, parameters)


def test_paper_loads_without_torch() -> None:
    assert "torch" not in loaded_by("import sevis.paper")


@pytest.mark.parametrize(
    ("site", "stage", "short"),
    [("SE_2_1", 2, "2_1"), ("SE_4_36", 4, "4_36"), ("SE_12_3b", 12, "12_3b"), ("SE_3a", 0, "3a"), ("gate", 0, "gate"), ("", 0, "")],
)
def test_a_blocks_name_tells_its_stage(site: str, stage: int, short: str) -> None:
    assert (stage_of(site), short_name(site)) == (stage, short)


def test_blocks_are_grouped_by_stage() -> None:
    assert by_stage(["SE_2_1", "SE_2_2", "SE_3_1", "SE_10_1b"]) == {2: ["SE_2_1", "SE_2_2"], 3: ["SE_3_1"], 10: ["SE_10_1b"]}
    assert by_stage(["SE_3a", "SE_4b"]) == {0: ["SE_3a", "SE_4b"]}
    assert address_of(5) == "SE_5"
