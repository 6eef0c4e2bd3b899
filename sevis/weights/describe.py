"""A name or a checkpoint becomes a Card: sevis's own, timm's, torchvision's."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec
from torch import nn

from sevis import networks
from sevis.architecture import Architecture
from sevis.blocks.sites import require_sites
from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.networks import libraries
from sevis.recipe import Recipe
from sevis.weights.build import on_meta
from sevis.weights.card import Card, list_pretrained, read_card
from sevis.weights.checkpoint import SUFFIXES, Checkpoint, read_checkpoint


class _AboutData(msgspec.Struct):
    classes: tuple[str, ...]


class _About(msgspec.Struct):
    """What a file that `python -m sevis train` wrote says of its network."""

    recipe: Recipe
    data: _AboutData


def describe(name: str | Path) -> Card:
    """Return the card of a network of timm, torchvision or sevis, or of a checkpoint that describes itself; it lacks the hash of the
    weights.

    Raises:
        SevisError: for an unknown name, a network without SE blocks, and a file that is missing or does not say which network it is of.
    """
    if isinstance(name, Path) or Path(name).suffix.lower() in SUFFIXES:
        return _describe_checkpoint(Path(name))
    origin = libraries.find(name)
    if origin is None and name in networks.list_models():
        return _describe_own(name)
    if origin is None:
        known = dict.fromkeys([*list_pretrained(), *networks.list_models(), *libraries.list_names()])
        near = get_close_matches(name, known, n=3, cutoff=0.4) or list_pretrained()
        raise SevisError(
            f"there are no weights called {name!r}, and no network of timm or torchvision; the nearest are {', '.join(near) or '(none)'}"
        )
    architecture = Architecture(library=origin.library, name=origin.name)
    skeleton = on_meta(architecture)
    require_sites(skeleton)
    return _card(name, architecture, libraries.preprocessing(origin), **class_fields(libraries.outputs(origin, skeleton)))


def skeleton(name: str) -> nn.Module:
    """Return the network of that name without its weights, for its blocks and shapes. Raises SevisError as `describe`."""
    return on_meta((read_card(name) if name in list_pretrained() else describe(name)).architecture)


def _describe_own(name: str) -> Card:
    """Return the card of a network that sevis builds by name; pictures are prepared as in the paper (section 5.1)."""
    architecture = Architecture(name=name)
    skeleton = on_meta(architecture)
    require_sites(skeleton)
    side = networks.input_size(name)
    preprocess = Preprocessing(resize={224: 256, 299: 352}.get(side, side), crop=side)
    outputs = [module.out_features for module in skeleton.modules() if isinstance(module, nn.Linear)][-1]
    return _card(name, architecture, preprocess, **class_fields(outputs))


def _describe_checkpoint(path: Path) -> Card:
    """Return the card of a checkpoint that `python -m sevis train` wrote."""
    checkpoint = read_checkpoint(path)
    try:
        about = msgspec.convert(checkpoint.about, _About)
    except (ValueError, RecursionError):
        raise SevisError(
            f"{path} does not say which network it is of: load(NAME, weights={str(path)!r}), or --model NAME --weights {path} "
            "(in `sevis add`, --network NAME)"
        ) from None
    recipe, wnids = about.recipe, about.data.classes
    classes = {"classes": libraries.name_wnids(wnids), "wnids": wnids}
    return _card(str(path), recipe.architecture(len(wnids)), Preprocessing.square(recipe.size), **classes)


def _card(name: str, architecture: Architecture, preprocessing: Preprocessing, **classes: Any) -> Card:
    return Card(name=name, shipped=False, architecture=architecture, preprocessing=preprocessing, sha256="", **classes)


def class_fields(num_classes: int, checkpoint: Checkpoint | None = None) -> dict[str, Any]:
    """Return what a card says of its classes: those that the file names, if it names so many, else by their number."""
    data = checkpoint.about.get("data") if checkpoint else None
    listed = data.get("classes") if isinstance(data, Mapping) else None
    if isinstance(listed, list) and len(listed) == num_classes:
        wnids = tuple(map(str, listed))
        return {"classes": libraries.name_wnids(wnids), "wnids": wnids}
    classes, known = libraries.name_classes(num_classes)
    return {"classes": classes, "wnids": known}
