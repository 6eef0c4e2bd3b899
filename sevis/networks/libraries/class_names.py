"""What the outputs of a classifier are called: ImageNet's lists, as timm has them, with no two names alike."""

import re
from collections import Counter
from collections.abc import Sequence

from sevis.extras import is_installed


def name_classes(num_classes: int) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Return short names of a classifier's outputs, no two alike, and their WordNet ids.

    ImageNet's lists are known by their length (1k, 12k, 21k and 22k, as timm does it); for another, and without timm, the names are
    `output 0`, ... and the ids None.
    """
    unnamed = number_outputs(num_classes), None
    if not is_installed("timm"):
        return unnamed
    from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": num_classes})
    if subset is None:
        return unnamed
    wnids = tuple(ImageNetInfo(subset).label_names())  # type: ignore[no-untyped-call]
    return name_wnids(wnids), wnids


def number_outputs(num_classes: int) -> tuple[str, ...]:
    """Return names for outputs of which nothing is known: output 0, output 1, ..."""
    return tuple(f"output {number}" for number in range(num_classes))


def name_wnids(wnids: Sequence[str]) -> tuple[str, ...]:
    """Return short names for WordNet ids, no two alike; the ids themselves where one is not ImageNet's, and without timm."""
    if not is_installed("timm") or not all(re.fullmatch(r"n\d{8}", wnid) for wnid in wnids):
        return tuple(wnids)
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo()
    try:
        details = [info.label_name_to_description(wnid, detailed=True).partition(": ") for wnid in wnids]
    except KeyError:
        return tuple(wnids)
    return short_names([(wnid, lemmas, definition) for wnid, (lemmas, _, definition) in zip(wnids, details, strict=True)])


def short_names(entries: Sequence[tuple[str, str, str]]) -> tuple[str, ...]:
    """Return the first word for each class; where others share it, with the second, else with what it is, else with its id.

    Args:
        entries: id, words separated by commas, and definition of every class.
    """
    words = [lemmas.split(", ") for _, lemmas, _ in entries]
    choices = [
        (some[0], ", ".join(some[:2]), f"{some[0]} ({_brief(definition)})", f"{some[0]} ({wnid})")
        for some, (wnid, _, definition) in zip(words, entries, strict=True)
    ]
    shares = [Counter(column) for column in zip(*choices, strict=True)]
    return tuple(next((choice for choice, share in zip(row, shares, strict=True) if share[choice] == 1), row[-1]) for row in choices)


def _brief(definition: str) -> str:
    """Return the first words of a definition, at most about 40 characters."""
    clause = re.split(r"[;,:()]| of | with | that | which | from | in ", definition.strip())[0].strip()
    return clause if len(clause) <= 40 else clause[:40].rpartition(" ")[0]
