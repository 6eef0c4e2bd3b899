"""docs/training.md: its table has every option of a recipe, with the default and the range that it has."""

import re

from sevis.recipe import DEFAULTS, OPTIONS
from tests.helpers.paths import ROOT

PAGE = (ROOT / "docs" / "training.md").read_text()
ROWS = {name: (default, span) for name, default, span in re.findall(r"^\| `--([a-z0-9-]+)` \| ([^|]*) \| ([^|]*)\|", PAGE, re.MULTILINE)}


def number(text: str) -> float:
    top, _, bottom = text.partition("/")
    return float(top) / float(bottom or 1)


def test_the_table_has_every_option_and_its_default() -> None:
    assert [name.replace("-", "_") for name in ROWS] == [name for name in DEFAULTS if name != "model"]
    for name, (default, _) in ROWS.items():
        expected = DEFAULTS[name.replace("-", "_")]
        if name == "bf16":  # on the command line it follows the device
            assert default == "on a GPU"
        elif isinstance(expected, bool):
            assert default == ("on" if expected else "off")
        elif isinstance(expected, str):
            assert default == expected
        else:
            assert number(default) == expected


def test_the_ranges_are_those_that_are_checked() -> None:
    for name, (_, span) in ROWS.items():
        option = OPTIONS[name.replace("-", "_")]
        if found := re.fullmatch(r"([\d./]+) to ([\d.]+)\s*", span):
            assert (number(found[1]), number(found[2])) == (option.low, option.high), name
        elif option.choices:
            assert tuple(span.strip().split(", ")) == option.choices
