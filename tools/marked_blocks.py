"""Blocks of README and of the pages in docs/ that a command writes: what stands between two markers, and nothing else of the page.

<!-- begin NAME: written by COMMAND -->
...
<!-- end NAME -->
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from sevis.errors import SevisError
from sevis.files import replace_file

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


def fill(text: str, blocks: Mapping[str, str]) -> str:
    """Return the text of a page with each block, by its name, in its place. Raises SevisError where a place is missing."""
    for name, block in blocks.items():
        places = [*_place(name).finditer(text)]
        if len(places) != 1:
            raise SevisError(f"expected one pair of the markers <!-- begin {name}: ... --> and <!-- end {name} -->, found {len(places)}")
        start, end = places[0].span(2)
        text = f"{text[:start]}\n{block.strip()}\n{text[end:]}"
    return text


def read_block(text: str, name: str) -> str:
    """Return what stands in a page between the markers of that name. Raises SevisError where they are missing."""
    found = _place(name).search(text)
    if found is None:
        raise SevisError(f"there are no markers <!-- begin {name}: ... --> and <!-- end {name} -->")
    return found[2].strip()


def write(page: str, blocks: Mapping[str, str]) -> None:
    """Write blocks into a page, named by its path in the repository, and say whether that changed anything."""
    path = ROOT / page
    before = path.read_text()
    after = fill(before, blocks)
    replace_file(path, after.encode())
    print(f"{page} {'is as it was' if after == before else 'was changed'}")


def as_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _place(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- begin {re.escape(name)}:[^\n]*-->)\n(.*?)\n(<!-- end {re.escape(name)} -->)", re.DOTALL)
