"""From a name in pretrained/index.json to a ready model with its classes and preprocessing.

This module imports torch only when a model is built, so that the app's first page can read the cards without waiting for it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.files import replace_file
from sevis.settings import pretrained_folder, results_folder

if TYPE_CHECKING:
    pass


DEFAULT = "se_resnet50x0_5.tiny200"


RANDOM = "random"


@dataclass(frozen=True)
class Card:
    """What is known about a network and its weights: an entry of pretrained/index.json, or the like for any other network.

    Attributes:
        name: the entry's name, such as se_resnet50x0_5.tiny20, or the one that `load` was given.
        entry: the whole entry; `sevis.publishing` writes it. Of any network it has `architecture`, `classes`, `preprocessing` and
            `sha256`, and `wnids`, the WordNet ids of the classes, which is None where they are not known.
        shipped: whether these weights are those of index.json.
    """

    name: str
    entry: Mapping[str, Any]
    shipped: bool = True

    def __getitem__(self, field: str) -> Any:
        if field not in self.entry and not self.shipped:
            raise SevisError(f"nothing is known of the {field} of {self.name}")
        if field not in self.entry:
            raise SevisError(f"the entry of {self.name} in index.json has no {field!r}: repair it or restore the file")
        return self.entry[field]

    def get(self, field: str, default: Any = None) -> Any:
        """Return a field of the entry, or the default where the entry has none."""
        return self.entry.get(field, default)

    @property
    def sha256(self) -> str:
        """The hash of the weights: of their file, or of the tensors of fresh ones."""
        return str(self["sha256"])

    @property
    def gated(self) -> bool:
        """Return whether the network has gates to show: of those that `sevis train` published, the plain ones have no record of any."""
        return "recipe" not in self.entry or "gates" in self.entry

    @property
    def path(self) -> Path:
        """Where the weights of a shipped network lie."""
        return pretrained_folder() / f"{self.name}.safetensors"

    @property
    def statistics_path(self) -> Path:
        """Where the class statistics of these weights lie, once they are collected."""
        return self._beside("statistics")

    @property
    def example_path(self) -> Path:
        """Where the explanation of a sample photo lies, which the app shows while torch loads; only shipped networks have one."""
        return self._beside("example")

    @property
    def audit_path(self) -> Path:
        """Where the audit of these weights lies, once it is made."""
        return self._beside("audit", "json")

    def _beside(self, what: str, suffix: str = "safetensors") -> Path:
        if self.shipped:
            return pretrained_folder() / f"{self.name}.{what}.{suffix}"
        return results_folder(what) / f"{re.sub('[^A-Za-z0-9_.-]', '_', self.name)[:100].lstrip('.')}.{self.sha256[:12]}.{suffix}"

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the outputs, for people."""
        return tuple(self["classes"])

    @property
    def wnids(self) -> tuple[str, ...] | None:
        """The WordNet ids of the outputs, or the names of their folders; None where they are not known."""
        known = self.get("wnids")
        return None if known is None else tuple(known)

    @property
    def preprocess(self) -> Preprocessing:
        """Return how a picture becomes this network's input."""
        try:
            stored = self["preprocessing"].items()
            fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in stored}
            return Preprocessing(**fields)
        except (TypeError, AttributeError) as error:
            raise SevisError(f"the preprocessing of {self.name} in index.json is damaged ({error}): restore the file") from None


def list_pretrained() -> tuple[str, ...]:
    """Return the names that `load` knows."""
    return tuple(read_index())


def read_card(name: str) -> Card:
    """Return the card of a pretrained network, without loading it. Raises SevisError for an unknown name."""
    index = read_index()
    if name not in index:
        near = get_close_matches(str(name), index, n=3, cutoff=0.4) or list(index)
        raise SevisError(f"there are no weights called {name!r}; the nearest are {', '.join(near) or '(none: index.json is empty)'}")
    return Card(name, index[name])


def check_name(name: str) -> None:
    """Raise SevisError for a name that no network can be published under: it becomes part of the names of its files."""
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name):
        raise SevisError(f"a network cannot be called {name!r}: expected letters, digits, '_', '-' and '.', and no '.' at the beginning")


def add_to_index(card: Card) -> None:
    """Write a card into index.json, as a whole or not at all."""
    index = {**(read_index() if (pretrained_folder() / "index.json").is_file() else {}), card.name: dict(card.entry)}
    replace_file(pretrained_folder() / "index.json", (json.dumps(index, indent=1) + "\n").encode())


def read_index() -> dict[str, Any]:
    """Return what index.json says, by the name of the network. Raises SevisError where it is missing or damaged."""
    path = pretrained_folder() / "index.json"
    try:
        index = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise SevisError(f"there is no {path}: restore it from the repository") from None
    except (ValueError, OSError) as error:
        raise SevisError(f"{path} cannot be read as JSON ({error}): restore it from the repository") from None
    if not isinstance(index, dict) or not all(isinstance(entry, dict) for entry in index.values()):
        raise SevisError(f"{path} should hold one entry per network: restore it from the repository")
    return index
