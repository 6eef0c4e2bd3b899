"""Which output of a network a class of a data set is: by its WordNet id, its name, or a harmless spelling of the two."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sevis.weights.card import Card


def match_classes(wanted: Sequence[Sequence[str]], card: Card) -> NDArray[np.int64]:
    """Return which output of a network each class of a data set is, shape (K,); -1 where none is, or it is not clear which.

    An id or name that is the network's own counts first. Then capitals, underscores, hyphens and spaces make no difference, of several
    words with commas the first will do, and so will a WordNet id at the beginning, as in `n02085620-Chihuahua`. Nothing is found by a name
    that two outputs have, nor where two classes would be the same output.

    Args:
        wanted: for each class what it is called: its id, its name and other names, in any order.
        card: of the network.
    """
    tables = [_table(card.wnids or ()), _table(card.classes)]
    harmless = _table(map(harmless_spelling, card.classes)), _table(map(harmless_spelling, card.wnids or ()))
    found = [_find(names, tables, harmless) for names in wanted]
    counts = Counter(found)
    return np.array([output if counts[output] == 1 else -1 for output in found], dtype=np.int64)


def _table(names: Iterable[str]) -> dict[str, int]:
    """Return the outputs by their names, without those names that several have."""
    listed = list(names)
    counts = Counter(listed)
    return {name: output for output, name in enumerate(listed) if counts[name] == 1}


def _find(names: Sequence[str], tables: Sequence[Mapping[str, int]], harmless: Sequence[Mapping[str, int]]) -> int:
    ids = [start[0] for name in names if (start := re.match(r"n\d{8}(?![0-9A-Za-z])", name))]
    spelled = [spelling for name in names for spelling in (harmless_spelling(name), harmless_spelling(name.partition(",")[0]))]
    asked = [*((table, names) for table in tables), (tables[0], ids), *((table, spelled) for table in harmless)]
    return next((table[name] for table, some in asked for name in some if name in table), -1)


def harmless_spelling(name: str) -> str:
    """Return a name without what people spell differently: capitals, underscores, hyphens and the spaces between words."""
    return " ".join(re.sub(r"[_-]", " ", unicodedata.normalize("NFKC", name)).casefold().split())


def has_names(card: Card) -> bool:
    """Return whether the outputs of a network have names, or only numbers."""
    from sevis.networks.libraries.class_names import number_outputs  # it brings torch, which a page that matches names need not wait for

    return bool(card.classes) and (card.wnids is not None or card.classes != number_outputs(len(card.classes)))


def names_by_id(card: Card) -> dict[str, str]:
    """Return what a network calls its classes, by their WordNet ids or the names of their folders; empty where it has none."""
    return dict(zip(card.wnids or (), card.classes, strict=False))
