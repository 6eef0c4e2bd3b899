"""What arXiv 1709.01507v4 prints of its networks: errors, operations, parameters and times, as plain data with the number of each table;
and how it names blocks: SE_4_6 is the sixth of stage 4.

The paper writes FLOPs for multiply-adds. Its tables 10 to 16 are of ResNet-50 trained for longer, and without biases in the projections
(its section 6), so their errors are no others' than each other's.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Printed:
    """One row of a table, as it is printed.

    Attributes:
        top1, top5: single-crop errors on ImageNet's validation set, in percent.
        multiply_adds: of one forward pass; None where the table has none.
        digit: what the last printed digit of `multiply_adds` stands for.
        parameters: None where the table has none; always printed to 0.1 million.
    """

    top1: float
    top5: float
    multiply_adds: float | None = None
    digit: float = 1e7
    parameters: float | None = None


@dataclass(frozen=True)
class PrintedTwins:
    """A network of Table 2 or 3, in the authors' own implementation, plain and with SE.

    Attributes:
        name: the plain network's in `sevis.build`; that with SE has `se_` before it.
        title: the network's name in the paper.
        table: 2 or 3.
        plain, gated: without and with SE.
        note: why what `sevis.measure_cost` counts is not within 1 % of what is printed; empty where it is.
    """

    name: str
    title: str
    table: int
    plain: Printed
    gated: Printed
    note: str = ""


@dataclass(frozen=True)
class PrintedVariant:
    """A row of one of the ablations, tables 10 to 16.

    Attributes:
        table: its number.
        label: what the paper calls it.
        name, options: how `sevis.build` builds it.
        printed: its errors and costs.
        note: what is to be known of what is printed; empty where nothing is.
    """

    table: int
    label: str
    name: str
    options: Mapping[str, Any]
    printed: Printed
    note: str = ""


@dataclass(frozen=True)
class Timing:
    """A time that the paper reports of ResNet-50 and SE-ResNet-50, in milliseconds (section 4)."""

    what: str
    plain: float
    gated: float


def _giga(top1: float, top5: float, billions: float, millions: float | None = None) -> Printed:
    return Printed(top1, top5, round(billions * 1e9), 1e7, None if millions is None else round(millions * 1e6))


def _mega(top1: float, top5: float, operations: float, millions: float) -> Printed:
    return Printed(top1, top5, round(operations * 1e6), 1e6, round(millions * 1e6))


_OTHER_INCEPTION = (
    "Inception-ResNet-v2: at 299 pixels, Google's released network (10, 20 and 10 residual modules; timm has its weights) takes "
    "13.16 G; the paper does not describe its version of it, and the authors did not release that version"
)
_ROUND_SHUFFLENET = (
    "ShuffleNet: the layers in the table of the ShuffleNet paper (1x, three groups) take 137.5 M, and SE adds 0.6 M; 140 seems to "
    "be that paper's rounded figure for all its 1x networks"
)

TABLES_2_AND_3 = (
    PrintedTwins("resnet50", "ResNet-50", 2, _giga(24.80, 7.48, 3.86), _giga(23.29, 6.62, 3.87)),
    PrintedTwins("resnet101", "ResNet-101", 2, _giga(23.17, 6.52, 7.58), _giga(22.38, 6.07, 7.60)),
    PrintedTwins("resnet152", "ResNet-152", 2, _giga(22.42, 6.34, 11.30), _giga(21.57, 5.73, 11.32)),
    PrintedTwins("resnext50_32x4d", "ResNeXt-50", 2, _giga(22.11, 5.90, 4.24), _giga(21.10, 5.49, 4.25)),
    PrintedTwins("resnext101_32x4d", "ResNeXt-101", 2, _giga(21.18, 5.57, 7.99), _giga(20.70, 5.01, 8.00)),
    PrintedTwins("vgg16_bn", "VGG-16", 2, _giga(27.02, 8.81, 15.47), _giga(25.22, 7.70, 15.48)),
    PrintedTwins("bn_inception", "BN-Inception", 2, _giga(25.38, 7.89, 2.03), _giga(24.23, 7.14, 2.04)),
    PrintedTwins("inception_resnet_v2", "Inception-ResNet-v2", 2, _giga(20.37, 5.21, 11.75), _giga(19.80, 4.79, 11.76), _OTHER_INCEPTION),
    PrintedTwins("mobilenet", "MobileNet", 3, _mega(28.4, 9.4, 569, 4.2), _mega(25.3, 7.7, 572, 4.7)),
    PrintedTwins("shufflenet", "ShuffleNet", 3, _mega(32.6, 12.5, 140, 1.8), _mega(31.0, 11.1, 142, 2.4), _ROUND_SHUFFLENET),
)

_UP = "rounded up by the paper, from exactly {} million"


def _variant(table: int, label: str, printed: Printed, note: str = "", **options: Any) -> PrintedVariant:
    return PrintedVariant(table, label, "se_resnet50", MappingProxyType({"bias": False} | options), printed, note)


def _plain(table: int, printed: Printed) -> PrintedVariant:
    return PrintedVariant(table, "ResNet-50", "resnet50", MappingProxyType({}), printed)


TABLE_10 = (
    _variant(10, "r = 2", Printed(22.29, 6.00, parameters=45.7e6), reduction=2),
    _variant(10, "r = 4", Printed(22.25, 6.09, parameters=35.7e6), _UP.format(35.617), reduction=4),
    _variant(10, "r = 8", Printed(22.26, 5.99, parameters=30.7e6), _UP.format("30.604 (with biases; 30.587 without)"), reduction=8),
    _variant(10, "r = 16", Printed(22.28, 6.03, parameters=28.1e6), reduction=16),
    _variant(10, "r = 32", Printed(22.72, 6.20, parameters=26.9e6), _UP.format(26.815), reduction=32),
    _plain(10, Printed(23.30, 6.55, parameters=25.6e6)),
)
TABLE_11 = (
    _variant(11, "Max", Printed(22.57, 6.09), squeeze="max"),
    _variant(11, "Avg", Printed(22.28, 6.03), squeeze="avg"),
)
TABLE_12 = (
    _variant(12, "ReLU", Printed(23.47, 6.98), gate="relu"),
    _variant(12, "Tanh", Printed(23.00, 6.38), gate="tanh"),
    _variant(12, "Sigmoid", Printed(22.28, 6.03), gate="sigmoid"),
)
TABLE_13 = (
    _plain(13, _giga(23.30, 6.55, 3.86, 25.6)),
    _variant(13, "SE Stage 2", _giga(23.03, 6.48, 3.86, 25.6), stages=(2,)),
    _variant(13, "SE Stage 3", _giga(23.04, 6.32, 3.86, 25.7), stages=(3,)),
    _variant(13, "SE Stage 4", _giga(22.68, 6.22, 3.86, 26.4), _UP.format(26.343), stages=(4,)),
    _variant(13, "SE All", _giga(22.28, 6.03, 3.87, 28.1)),
)
TABLE_14 = (
    _variant(14, "SE", Printed(22.28, 6.03), placement="standard"),
    _variant(14, "SE-PRE", Printed(22.23, 6.00), placement="pre"),
    _variant(14, "SE-POST", Printed(22.78, 6.35), placement="post"),
    _variant(14, "SE-Identity", Printed(22.20, 6.15), placement="identity"),
)
TABLE_15 = (
    _variant(15, "SE", _giga(22.28, 6.03, 3.87, 28.1), placement="standard"),
    _variant(15, "SE_3×3", _giga(22.48, 6.02, 3.86, 25.8), _UP.format(25.714), placement="3x3"),
)
TABLE_16 = (
    _plain(16, _giga(23.30, 6.55, 3.86, 25.6)),
    _variant(16, "NoSqueeze", _giga(22.93, 6.39, 4.27, 28.1), squeeze="none"),
    _variant(16, "SE", _giga(22.28, 6.03, 3.87, 28.1), squeeze="avg"),
)
ABLATIONS = (*TABLE_10, *TABLE_11, *TABLE_12, *TABLE_13, *TABLE_14, *TABLE_15, *TABLE_16)

# Table 8: SENet-154 at 224 pixels.
SENET_154 = Printed(18.68, 4.47)

TIMINGS = (
    Timing("forward and backward of 256 images on 8 Titan X", 190, 209),
    Timing("forward of one image of 224 × 224 on a CPU", 164, 167),
)

_DEFAULTS = {"reduction": 16, "placement": "standard", "stages": None, "squeeze": "avg", "width": 1.0, "stem": "paper", "num_classes": None}


@dataclass(frozen=True)
class PrintedCost:
    """What the paper prints of a network's costs, as in `Printed`; None where no table has it."""

    multiply_adds: float | None
    digit: float
    parameters: float | None


def printed_costs(name: str, options: Mapping[str, Any]) -> PrintedCost:
    """Return what the paper prints of the costs of `sevis.build(name, **options)`, by whichever of its tables has them.

    Biases and gates do not matter: the ones are lost in the rounding, and the others cost nothing.
    """
    wanted = _changes(options)
    rows = [printed for row in TABLES_2_AND_3 for key, printed in ((row.name, row.plain), (f"se_{row.name}", row.gated)) if key == name]
    found = [] if wanted else rows
    found += [variant.printed for variant in ABLATIONS if variant.name == name and _changes(variant.options) == wanted]
    counted = next((printed for printed in found if printed.multiply_adds), Printed(0, 0))
    parameters = next((printed.parameters for printed in found if printed.parameters), None)
    return PrintedCost(counted.multiply_adds, counted.digit, parameters)


def _changes(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are not the defaults and change what a network costs."""
    changes = {key: value for key, value in options.items() if key in _DEFAULTS and value != _DEFAULTS[key]}
    if changes.get("squeeze") == "max":
        del changes["squeeze"]  # as many comparisons as there were additions
    return changes


def stage_of(site: str) -> int:
    """Return the stage in a block's name: 4 for SE_4_6, and for SE_4_6b; 0 for a name of another form, which a stranger's file may hold."""
    found = re.match(r"SE_(\d+)_", site)
    return int(found[1]) if found else 0


def address_of(stage: int) -> str:
    """Return what all blocks of a stage are called together: SE_4."""
    return f"SE_{stage}"


def short_name(site: str) -> str:
    """Return a block's name as it stands on an axis that says what it is: 4_6 for SE_4_6."""
    return site.removeprefix("SE_")


def by_stage(sites: Iterable[str]) -> dict[int, list[str]]:
    """Return the blocks of each stage, in their order."""
    stages: dict[int, list[str]] = {}
    for site in sites:
        stages.setdefault(stage_of(site), []).append(site)
    return stages
