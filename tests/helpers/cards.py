"""Cards of networks that nobody trained."""

from typing import Any

from sevis.architecture import Architecture
from sevis.data.preprocessing import Preprocessing
from sevis.weights.card import Card

ENTRY = {
    "architecture": {"name": "se_resnet18"},
    "classes": ["a", "b", "c"],
    "preprocessing": {"resize": 32, "crop": 32},
    "sha256": "0" * 64,
}


def make_card(name: str = "small", **fields: Any) -> Card:
    """A card that says as little as a card can, but for what is given."""
    known = {"architecture": Architecture(name="se_resnet18"), "classes": ("a", "b", "c"), "preprocessing": Preprocessing.square(32)}
    return Card(**{"name": name, "sha256": "0" * 64, **known, **fields})
