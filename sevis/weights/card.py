"""What is known of a network: its card, an entry of index.json or the like for any other network; and where its files lie.

There are two indexes of one kind: what ships lies in `pretrained_folder()` and is only read; what sevis writes lies in `home_folder()`.

No torch here: the app's first page reads the cards without waiting for it.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import msgspec

from sevis.architecture import Architecture
from sevis.data.preprocessing import Preprocessing
from sevis.errors import UNREADABLE, SevisError, one_line
from sevis.files import replace_file
from sevis.recipe import Recipe
from sevis.settings import home_folder, pretrained_folder

DEFAULT = "se_resnet50x0_5.tiny200"
RANDOM = "random"
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar")  # of files of weights: such a name is a path, and no network's

HIGHEST = 10**15  # of any number: JSON's may have any number of digits, and there is nothing to measure beyond

Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=HIGHEST)]
Positive = Annotated[float, msgspec.Meta(ge=0, le=HIGHEST)]
Number = Annotated[int, msgspec.Meta(ge=-HIGHEST, le=HIGHEST)] | Annotated[float, msgspec.Meta(ge=-HIGHEST, le=HIGHEST)]
Curve = tuple[Mapping[str, Number], ...]  # the rows of a training's log, one an epoch
OUTSIDE = ("name", "shipped")  # the fields of a card that its entry does not repeat
INDEX = "index.json"
# What sevis keeps of a network's weights, and the ends of the files' names.
FILES = {
    "weights": "safetensors",
    "statistics": "statistics.safetensors",
    "example": "example.safetensors",
    "audit": "audit.json",
}
ENDINGS = (*FILES, "profile")  # no name ends in one of these: its weights would lie where another network has such a file


class TrainingData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The data that a network was trained on.

    Attributes:
        name: the data set's.
        classes: their ids, in the order of the outputs; empty on a card, which has them as `wnids`.
        train_images, val_images: how many.
    """

    name: str
    classes: tuple[str, ...] = ()
    train_images: Count
    val_images: Count


class BlockAliveness(msgspec.Struct, frozen=True, kw_only=True):
    """How alive the gates of one block are.

    Attributes:
        mean, spread: mean and standard deviation over channels of the mean over images of s.
        std_over_images: the standard deviation over images of s, mean over channels.
        top1_frozen: the fraction of images that are right with this block's s held at its mean over the training images.
    """

    mean: float
    spread: Positive
    std_over_images: Positive
    top1_frozen: Fraction


class Aliveness(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How alive the gates of a network are, measured on the validation images.

    Attributes:
        blocks: by the name of the block.
        std_over_images: the mean over the blocks.
        top1, top1_frozen, top1_open: with the network's own s, with every s held at its mean over the training images, and with s = 1.
        frozen_over: how many training images those means are of; None where it is not known.
    """

    blocks: Mapping[str, BlockAliveness]
    std_over_images: Positive
    top1: Fraction
    top1_frozen: Fraction
    top1_open: Fraction
    frozen_over: Count | None = None


class TwinFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Top-1 on the compared images, parameters, and multiply-adds of one image."""

    top1: Fraction
    parameters: Count
    multiply_adds: Count


class TwinComparison(msgspec.Struct, frozen=True, kw_only=True):
    """A network with SE compared with its plain twin, image by image.

    Attributes:
        name, weights, top1, parameters, multiply_adds: of the plain one; `weights` is their SHA-256.
        own: the same of the network with SE.
        top1_difference: a fraction, with SE minus plain; `interval` holds the ends of its 95 % interval.
        images: how many were compared.
        seeds: how many runs of each.
        how: the interval was made, in words.
    """

    name: str
    weights: str
    top1: Fraction
    parameters: Count
    multiply_adds: Count
    own: TwinFacts
    top1_difference: float
    interval: tuple[float, float]
    images: Count
    seeds: Count
    how: str


class Card(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known about a network and its weights.

    What an entry of index.json says beyond these fields is passed over, and stays in the file, as `add_to_index` keeps it. Within
    `architecture` and `recipe` a field that is not known is refused: it may have decided what the network is.

    Attributes:
        name: the entry's, such as se_resnet50x0_5.tiny20, or the one that `load` was given.
        shipped: whether these weights are those of index.json.
        architecture: what the network is built with.
        classes: the names of the outputs, for people.
        wnids: the WordNet ids of the outputs, or the names of their folders; None where they are not known.
        preprocessing: how a picture becomes the network's input.
        sha256: of the file of weights, or of the tensors of fresh ones; empty where the weights are still to be found.
        weights: the file that `load` was given, or "random"; None of a shipped network.
        data, recipe, epochs, curve, seconds, device, torch, date, command: of the training: on what, told what, for how long, how it went,
            where, with what and when (an ISO date), and the command that repeats it.
        licence: of the weights.
        top1, top5: the fractions of validation images that are right.
        gates: how alive they are; None of a plain network, and of one that `sevis train` did not publish.
        twin: the comparison with the plain twin, once `sevis twins` has made it.
    """

    name: str
    shipped: bool = True
    architecture: Architecture
    classes: tuple[str, ...]
    wnids: tuple[str, ...] | None = None
    preprocessing: Preprocessing
    data: TrainingData | None = None
    recipe: Recipe | None = None
    epochs: Count | None = None
    curve: Curve = ()
    torch: str | None = None
    licence: str | None = None
    seconds: Positive | None = None
    device: str | None = None
    date: str | None = None
    top1: Fraction | None = None
    top5: Fraction | None = None
    gates: Aliveness | None = None
    command: str | None = None
    sha256: str
    twin: TwinComparison | None = None
    weights: str | None = None

    @property
    def gated(self) -> bool:
        """Return whether the network has gates to show: of those that `sevis train` published, the plain ones have no record of any."""
        return self.recipe is None or self.gates is not None

    @property
    def path(self) -> Path:
        """Return where the weights of a network of index.json lie."""
        return self.find_shipped("weights") or self.place("weights")

    @property
    def statistics_path(self) -> Path:
        """Return where the class statistics of these weights lie, once they are collected."""
        return self._find("statistics")

    @property
    def example_path(self) -> Path:
        """Return where the explanation of a sample photo lies, which the app shows while torch loads."""
        return self._find("example")

    @property
    def audit_path(self) -> Path:
        """Return where the audit of these weights lies, once it is made."""
        return self._find("audit")

    def place(self, what: str) -> Path:
        """Return where sevis writes a file of these weights, in the user's folder.

        What was measured of weights has their SHA-256 in its name, so that it is never shown of others. The files that ship are made with
        SEVIS_HOME at their own folder, and have plain names.

        Args:
            what: one of FILES.
        """
        if self.shipped and (what == "weights" or _makes_what_ships()):
            return home_folder() / f"{self.name}.{FILES[what]}"
        label = re.sub("[^A-Za-z0-9_.-]", "_", self.name)[:100].lstrip(".")
        return home_folder() / what / f"{label}.{self.sha256[:12]}.{FILES[what].rpartition('.')[2]}"

    def find_shipped(self, what: str) -> Path | None:
        """Return the file of these weights that comes with sevis; None where none does.

        Args:
            what: one of FILES.
        """
        path = pretrained_folder() / f"{self.name}.{FILES[what]}"
        ships = self.shipped and _read(pretrained_folder()).get(self.name, {}).get("sha256") == self.sha256
        return path if ships and path.is_file() else None

    def _find(self, what: str) -> Path:
        """Return where a file of these weights is read: the user's own, unless only the one that ships is there."""
        place = self.place(what)
        return place if place.is_file() else self.find_shipped(what) or place


def list_pretrained() -> tuple[str, ...]:
    """Return the names in index.json: those that ship, then the user's."""
    return tuple(read_index())


def read_card(name: str) -> Card:
    """Return the card of a pretrained network, without loading it. Raises SevisError for an unknown name, and a damaged entry."""
    index = read_index()
    if name not in index:
        near = get_close_matches(str(name), index, n=3, cutoff=0.4) or list(index)
        raise SevisError(f"there are no weights called {name!r}; the nearest are {', '.join(near) or '(none: index.json is empty)'}")
    return _card(name, index[name])


def sound_cards() -> list[Card]:
    """Return the cards of all pretrained networks whose entries are sound: one damaged entry does not take the others away.

    Raises SevisError as `read_index`.
    """
    found = []
    for name, entry in read_index().items():
        with suppress(SevisError):
            found.append(_card(name, entry))
    return found


def _card(name: str, entry: Mapping[str, Any]) -> Card:
    try:
        return msgspec.convert({**entry, "name": name, "shipped": True}, Card)
    except UNREADABLE as error:
        raise SevisError(f"the entry of {name} in index.json is damaged ({one_line(error)}): repair it or restore the file") from None


def check_name(name: str) -> None:
    """Raise SevisError for a name that no network can be published under: it becomes part of the names of its files."""
    if not _is_name(name):
        raise SevisError(
            f"a network cannot be called {name!r}: expected letters, digits, '_', '-' and '.', no '.' at the beginning, and none of these "
            f"at the end: {', '.join((*ENDINGS, *SUFFIXES))}"
        )


def _is_name(name: str) -> bool:
    folded = name.casefold()
    ends = folded.rpartition(".")[2] in ENDINGS or folded.endswith(SUFFIXES)
    return re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name) is not None and not ends


def check_free(name: str) -> None:
    """Raise SevisError for a name that a network has whose weights come with sevis, or that differs from another only in case.

    Whoever makes what ships may write it anew. Raises it, too, where the user's index.json is damaged, for it could not be written.
    """
    shipped = _read(pretrained_folder())
    for known in (*shipped, *_read(home_folder())):
        if known != name and known.casefold() == name.casefold():  # on Windows and macOS their files would be the same
            raise SevisError(f"there is a network called {known} already: choose another name")
    if name in shipped and (pretrained_folder() / f"{name}.{FILES['weights']}").is_file() and not _makes_what_ships():
        raise SevisError(f"there is a network called {name} already, which comes with sevis: choose another name")


def _makes_what_ships() -> bool:
    return home_folder().resolve() == pretrained_folder().resolve()


def add_to_index(card: Card) -> None:
    """Write a card into the user's index.json, as a whole or not at all; other entries, and what else is said of these weights, stay."""
    index = _read(home_folder())
    known = index.get(card.name) or _read(pretrained_folder()).get(card.name, {})
    entry = {name: value for name, value in msgspec.to_builtins(card).items() if name not in OUTSIDE}
    index[card.name] = {**(known if known.get("sha256") == card.sha256 else {}), **entry}
    try:
        text = json.dumps(index, indent=1, allow_nan=False)
    except ValueError:  # JSON knows no NaN: the file could not be read again, for any network
        raise SevisError(f"what is known of {card.name} holds a number that is none: train or measure it again") from None
    replace_file(home_folder() / INDEX, f"{text}\n".encode())


def read_index() -> dict[str, dict[str, Any]]:
    """Return what both indexes say, by the name of the network; of a name in both, the user's entry, which may know more of it.

    Of the user's index, what cannot be read is passed over: `find_index_fault` says it.

    Raises:
        SevisError: where the index that ships is missing or damaged.
    """
    if not (pretrained_folder() / INDEX).is_file():
        raise SevisError(f"there is no {pretrained_folder() / INDEX}: restore it from the repository, or install sevis again")
    shipped, own = _read(pretrained_folder()), {}
    with suppress(SevisError):
        own = {name: entry for name, entry in _read(home_folder()).items() if _is_name(name)}
    return shipped | {name: entry for name, entry in own.items() if name not in shipped or _replaces(name, entry, shipped[name])}


def _replaces(name: str, entry: Mapping[str, Any], shipped: Mapping[str, Any]) -> bool:
    """Return whether the user's entry of a name is read instead of the one that ships: it is sound, and of weights that are there."""
    try:
        card = _card(name, entry)
    except SevisError:
        return False
    return card.sha256 == shipped.get("sha256") or card.place("weights").is_file()  # else of weights that sevis has replaced since


def find_index_fault() -> str | None:
    """Return why the user's index.json cannot be read, and the cure; None where it can, or is not there."""
    try:
        _read(home_folder())
    except SevisError as error:
        return str(error)
    return None


def _read(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what the index in a folder says; empty where there is none. Raises SevisError where it is damaged."""
    path = folder / INDEX
    cure = "restore it" if folder == pretrained_folder() else "repair it, or delete it (the files of weights stay)"
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, Any]])
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except msgspec.ValidationError:
        raise SevisError(f"{path} should hold one entry per network: {cure}") from None
    except (ValueError, RecursionError, OSError) as error:
        raise SevisError(f"{path} cannot be read as JSON ({one_line(error)}): {cure}") from None
