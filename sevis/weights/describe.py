"""A name or a checkpoint becomes a Card."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec
from torch import nn

from sevis.blocks.sites import require_sites
from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.extras import install_command
from sevis.networks import libraries
from sevis.networks.libraries.class_names import name_classes, name_wnids
from sevis.recipe import Recipe
from sevis.weights.card import Card, list_pretrained, read_card
from sevis.weights.checkpoint import names_a_file, read_checkpoint


class _AboutData(msgspec.Struct):
    """The classes of the data that a network was trained on: WordNet ids or names of folders, which others may have saved as numbers."""

    classes: tuple[str | int, ...]


class _About(msgspec.Struct):
    """What a file that `python -m sevis train` wrote says of its network."""

    recipe: Recipe
    data: _AboutData


def describe(name: str | Path) -> Card:
    """Return the card of a network of index.json, timm, torchvision or sevis, or of a checkpoint that describes itself.

    But for those of index.json, it lacks the hash of the weights, which are still to be found.

    Raises:
        SevisError: for an unknown name, a network without SE blocks, and a file that is missing or does not say which network it is of.
    """
    shipped = list_pretrained()
    if str(name) in shipped:
        return read_card(str(name))
    if names_a_file(name):
        return _describe_checkpoint(Path(name))
    name = str(name)
    network = libraries.find(name)
    if network is None:
        near = get_close_matches(name, [*shipped, *libraries.list_names()], n=3, cutoff=0.4) or shipped
        gone = libraries.missing()
        nowhere = (
            f", and {' and '.join(gone)}, which know more, are not installed ({install_command('zoo')})"
            if gone
            else ", and no network of timm or torchvision"
        )
        raise SevisError(f"there are no weights called {name!r}{nowhere}; the nearest are {', '.join(near) or '(none)'}")
    model = network.on_meta()
    require_sites(model)
    return Card(
        name=name,
        shipped=False,
        architecture=network.architecture,
        preprocessing=network.preprocessing(),
        sha256="",
        **class_fields(network.outputs(model)),
    )


def skeleton(name: str) -> nn.Module:
    """Return the network of that name without its weights, for its blocks and shapes. Raises SevisError as `describe`."""
    return libraries.read(describe(name).architecture).on_meta()


def _describe_checkpoint(path: Path) -> Card:
    """Return the card of a checkpoint that `python -m sevis train` wrote."""
    checkpoint = read_checkpoint(path)
    try:
        about = msgspec.convert(checkpoint.about, _About)
    except (ValueError, RecursionError):
        raise SevisError(
            f"{path} does not name its network: use load(NAME, weights={str(path)!r}), or --model NAME --weights {path} (in `sevis "
            "add`, --network NAME)"
        ) from None
    recipe, wnids = about.recipe, tuple(map(str, about.data.classes))
    return Card(
        name=str(path),
        shipped=False,
        architecture=recipe.architecture(len(wnids)),
        preprocessing=Preprocessing.square(recipe.size),
        sha256="",
        classes=name_wnids(wnids),
        wnids=wnids,
    )


def class_fields(num_classes: int) -> dict[str, Any]:
    """Return what a card says of the classes of a network with published weights, or none: ImageNet's, else their number."""
    classes, wnids = name_classes(num_classes)
    return {"classes": classes, "wnids": wnids}
