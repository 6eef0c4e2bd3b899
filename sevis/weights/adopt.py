"""`sevis add`: a user's own network joins the index."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from safetensors.torch import save

from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.files import replace_file
from sevis.networks.libraries.class_names import name_wnids
from sevis.weights.card import Card, add_to_index, check_free, check_name, list_pretrained
from sevis.weights.loading import ReadyModel
from sevis.weights.wrap import OwnCard


def adopt(name: str, ready: ReadyModel, *, classes: Sequence[str] | None = None) -> Card:
    """Write a network that is loaded already into the user's folder, so that `sevis.load(name)` and the app know it.

    Args:
        name: of the entry; a new one.
        ready: any network, from `sevis.load`.
        classes: the names of its outputs, or their WordNet ids; None keeps those that it has.

    Raises:
        SevisError: for a name that is taken or that no file can have, for classes that are too many, too few, or alike; and for a network
            of one's own class (`sevis.wrap`).
    """
    check_name(name)
    check_free(name)
    if name in list_pretrained():
        raise SevisError(f"there is a network called {name} already: choose another name")
    if not isinstance(ready.preprocess, Preprocessing) or isinstance(ready.card, OwnCard):
        raise SevisError(
            f"{ready.card.name} is a network of your own class, which lives in your program: only networks that sevis builds by name can "
            "be added, its own and those of timm and torchvision"
        )
    names = tuple(classes) if classes is not None else ready.classes
    if len(names) != len(ready.classes) or len(set(names)) != len(names):
        raise SevisError(
            f"expected the names of {len(ready.classes)} outputs, no two alike, got {len(names)} ({len(set(names))} different)"
        )
    weights = save({key: value.cpu().clone().contiguous() for key, value in ready.model.state_dict().items()})
    card = Card(
        name=name,
        architecture=msgspec.structs.replace(ready.card.architecture, num_classes=len(names)),
        classes=names if classes is None else name_wnids(names),
        wnids=ready.card.wnids if classes is None else names,
        preprocessing=ready.preprocess,
        sha256=hashlib.sha256(weights).hexdigest(),
        date=datetime.now(UTC).date().isoformat(),
    )
    replace_file(card.place("weights"), weights)
    add_to_index(card)
    return card
