"""A name or a checkpoint becomes a Card: sevis's own, timm's, torchvision's."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

from sevis import networks
from sevis.blocks.sites import require_sites
from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.networks import libraries
from sevis.recipe import Recipe
from sevis.weights.build import on_meta
from sevis.weights.card import Card, list_pretrained, read_card
from sevis.weights.checkpoint import SUFFIXES, Checkpoint, read_checkpoint


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
    architecture = {"library": origin.library, "name": origin.name}
    skeleton = on_meta(architecture)
    require_sites(skeleton)
    entry = {"architecture": architecture, "preprocessing": asdict(libraries.preprocessing(origin))}
    return Card(name, entry | class_fields(libraries.outputs(origin, skeleton)), shipped=False)


def skeleton(name: str) -> nn.Module:
    """Return the network of that name without its weights, for its blocks and shapes. Raises SevisError as `describe`."""
    return on_meta((read_card(name) if name in list_pretrained() else describe(name))["architecture"])


def _describe_own(name: str) -> Card:
    """Return the card of a network that sevis builds by name; pictures are prepared as in the paper (section 5.1)."""
    architecture = {"name": name}
    skeleton = on_meta(architecture)
    require_sites(skeleton)
    side = networks.input_size(name)
    preprocess = Preprocessing(resize={224: 256, 299: 352}.get(side, side), crop=side)
    outputs = [module.out_features for module in skeleton.modules() if isinstance(module, nn.Linear)][-1]
    entry = {"architecture": architecture, "preprocessing": asdict(preprocess)}
    return Card(name, entry | class_fields(outputs), shipped=False)


def _describe_checkpoint(path: Path) -> Card:
    """Return the card of a checkpoint that `python -m sevis train` wrote."""
    about = read_checkpoint(path).about
    try:
        recipe, wnids = _read_recipe(about["recipe"]), tuple(str(wnid) for wnid in about["data"]["classes"])
    except (KeyError, TypeError):
        raise SevisError(
            f"{path} does not say which network it is of: load(NAME, weights={str(path)!r}), or --model NAME --weights {path} "
            "(in `sevis add`, --network NAME)"
        ) from None
    preprocess = Preprocessing(resize=recipe.size, crop=recipe.size)
    entry = {
        "architecture": recipe.architecture(len(wnids)),
        "preprocessing": asdict(preprocess),
        "classes": libraries.name_wnids(wnids),
        "wnids": wnids,
    }
    return Card(str(path), entry, shipped=False)


def _read_recipe(values: Mapping[str, Any]) -> Recipe:
    """Return the recipe in a file that may come from anyone. Raises TypeError where a value is of another type than the recipe's."""
    if not isinstance(values, Mapping):
        raise TypeError("recipe")
    for option in fields(Recipe):
        expected = int | float if isinstance(option.default, float) else type(option.default)
        if not isinstance(values.get(option.name, option.default), expected):
            raise TypeError(option.name)
    return Recipe(**values)


def class_fields(num_classes: int, checkpoint: Checkpoint | None = None) -> dict[str, Any]:
    """Return what a card says of its classes: those that the file names, if it names so many, else by their number."""
    data = checkpoint.about.get("data") if checkpoint else None
    listed = data.get("classes") if isinstance(data, Mapping) else None
    if isinstance(listed, list) and len(listed) == num_classes:
        wnids = tuple(map(str, listed))
        return {"classes": libraries.name_wnids(wnids), "wnids": wnids}
    classes, known = libraries.name_classes(num_classes)
    return {"classes": classes, "wnids": known}
