"""Groups of classes, such as dog, vehicle or food: what lies above the classes of ImageNet in WordNet 3.0.

class_groups.json is made by tools/class_groups.py from WordNet (wordnet.princeton.edu), whose synset offsets ImageNet names its classes by.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sevis.errors import SevisError

SMALLEST = 2  # classes: a group of one is that class


@dataclass(frozen=True)
class Group:
    """Several classes that count as one.

    Attributes:
        name: for people.
        rows: the numbers of its classes among those of a network or of its statistics, ascending.
    """

    name: str
    rows: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} (group of {len(self.rows)})"


def groups_of(wnids: Sequence[str]) -> tuple[Group, ...]:
    """Return the groups that hold at least two of the classes and not all of them, by name; of groups with the same classes only the
    narrowest.

    Args:
        wnids: the WordNet ids of the classes; others, such as names of folders, belong to no group.

    Raises:
        SevisError: when the file with the groups is damaged or missing.
    """
    found: dict[tuple[int, ...], tuple[int, str]] = {}
    for name, members in _members().items():
        rows = tuple(row for row, wnid in enumerate(wnids) if wnid in members)
        if SMALLEST <= len(rows) < len(wnids):
            found[rows] = min(found.get(rows, (len(members), name)), (len(members), name))
    return tuple(sorted((Group(name, rows) for rows, (_, name) in found.items()), key=lambda group: group.name))


@lru_cache(maxsize=1)
def _members() -> dict[str, frozenset[str]]:
    path = Path(__file__).with_name("class_groups.json")
    try:
        return {name: frozenset(wnids.split()) for name, wnids in json.loads(path.read_text(encoding="ascii")).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise SevisError(f"{path} cannot be read ({type(error).__name__}): install sevis again") from None
