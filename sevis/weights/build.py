"""A card and weights become a network: the shipped weights, fresh ones, those that a library publishes, or a file's."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from tqdm import tqdm

from sevis.errors import SevisError, one_line
from sevis.files import sha256
from sevis.networks import libraries
from sevis.networks.initialisation import building
from sevis.networks.libraries.class_names import name_wnids, number_outputs
from sevis.networks.libraries.library import LibraryNetwork
from sevis.settings import home_folder, pretrained_folder
from sevis.weights.card import RANDOM, Card
from sevis.weights.checkpoint import Checkpoint, check_sound, fingerprint, read_checkpoint
from sevis.weights.file_classes import find_classes
from sevis.weights.fit import Fit, Outline, count_classes, explain_misfit, find_fit, leading_parts
from sevis.weights.published import is_published

Built = tuple[Card, nn.Module]


def build_shipped(card: Card) -> Built:
    """Return the network of an entry of index.json, after checking that its file is the one described. Raises SevisError otherwise."""
    if not card.path.is_file():
        if not card.gated and card.command:
            raise SevisError(f"the weights of {card.name}, a network without SE, do not come with sevis: train it with {card.command}")
        folders = f"{home_folder()} or {pretrained_folder()}"
        raise SevisError(f"the weights of {card.name} are missing: expected {card.path.name} in {folders}; restore the file")
    if sha256(card.path) != card.sha256:
        raise SevisError(f"{card.path} is not the file that index.json describes (its SHA-256 differs): restore the file")
    try:
        with building():
            model = libraries.read(card.architecture).build()
        model.load_state_dict(load_file(card.path))  # copies, so that weights stored in half precision become float32
    except (SafetensorError, OSError, RuntimeError, TypeError) as error:
        raise SevisError(f"{card.path} does not hold the network that index.json describes ({one_line(error)})") from None
    if len(card.classes) != card.architecture.num_classes:
        raise SevisError(f"the entry of {card.name} in index.json names {len(card.classes)} classes, not the network's: restore the file")
    return card, model


def build_fresh(card: Card) -> Built:
    """Return the network with fresh weights, the same at every call, and its card with their hash."""
    with building():
        torch.default_generator.manual_seed(0)  # torch.manual_seed would set those of the accelerators too
        model = libraries.read(card.architecture).build()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.weight is not None and not module.weight.any():
            nn.init.ones_(module.weight)  # timm starts the last norm of a branch at 0, and its SE block would see nothing but 0
    return _with(card, sha256=fingerprint(model.state_dict()), weights=RANDOM), model


def build_published(card: Card, path: Path) -> Built:
    """Return the network with weights as its library publishes them, by the library's own way from file to network, and its card.

    Raises:
        SevisError: for a file that is damaged or of another network.
    """
    network, checkpoint = libraries.read(card.architecture), read_checkpoint(path)
    check_sound(path, checkpoint.state)
    with building():
        try:
            model = network.convert(checkpoint.state)
        except Exception as error:  # timm's conversions stumble in their own ways over what they do not know
            if find_fit(_outline(network), checkpoint, network.name, len(card.classes)) is None:
                raise explain_misfit(_outline(network), checkpoint, network.name, len(card.classes)) from None
            raise SevisError(
                f"{path} does not hold the weights of {network.name} ({one_line(error)}): delete it and fetch it again"
            ) from None
    return _with(card, sha256=sha256(path), weights=path.name), model


def build_from_file(card: Card, path: Path) -> Built:
    """Return the network with the weights of a user's file, and as many outputs as they have; and its card.

    What was done to find the weights, and what the outputs are called where the file does not say it, is told on standard error.

    Raises:
        SevisError: for a file that is missing, damaged or of another network.
    """
    network, checkpoint = libraries.read(card.architecture), read_checkpoint(path)
    fit = find_fit(_outline(network), checkpoint, card.name, len(card.classes))
    if fit is None:
        converted = _convert(network, checkpoint, len(card.classes))
        if converted is None:
            raise explain_misfit(_outline(network), checkpoint, card.name, len(card.classes))
        fit, model = converted
        network = network.with_outputs(fit.outputs)
    else:
        network = network.with_outputs(fit.outputs)
        model = _fill(network, fit, path, card.name)
    _say(path, fit.describe())
    digest = sha256(path)
    classes = _name_outputs(card, checkpoint, fit.outputs, digest)
    return _with(card, architecture=network.architecture, **classes, sha256=digest, weights=path.name), model


def _outline(network: LibraryNetwork) -> Outline:
    return lambda outputs: network.with_outputs(outputs).on_meta()


def _convert(network: LibraryNetwork, checkpoint: Checkpoint, num_classes: int) -> tuple[Fit, nn.Module] | None:
    """Return the network with weights that bear the names of another project, as its library renames them; None where it cannot."""
    group = checkpoint.groups[0]
    for prefix in ("", *leading_parts(tuple(group.tensors))) if network.converts else ():
        below = {name.removeprefix(prefix): tensor for name, tensor in group.tensors.items() if name.startswith(prefix)}
        with suppress(Exception), building():
            check_sound(checkpoint.path, below)  # before any memory is taken
            outputs = count_classes(network.on_meta(), below, num_classes)
            model = network.with_outputs(outputs).convert(dict(below))
            left_out = [name for name in group.tensors if not name.startswith(prefix)]
            return Fit(group, prefix, below, outputs, head="", left_out=left_out, differences={}), model
    return None


def _fill(network: LibraryNetwork, fit: Fit, path: Path, name: str) -> nn.Module:
    """Return the network, called `name`, with the weights of a file that fit it. Raises SevisError where PyTorch does not take them."""
    with building():
        model = network.build()
    try:
        model.load_state_dict(fit.state, strict=False)  # only counters that nothing reads may be missing
    except RuntimeError as error:
        raise SevisError(f"{path} does not hold the weights of {name} ({one_line(error)})") from None
    return model


def _name_outputs(card: Card, checkpoint: Checkpoint, outputs: int, digest: str) -> dict[str, Any]:
    """Return what a card says of the classes of a user's file: what the file says, else what is known of the network or these weights.

    ImageNet's names are those of an entry of index.json or of published weights: 1,000 outputs may be any.
    """
    found = find_classes(checkpoint.about, outputs)
    if found.names is not None:
        return {"classes": name_wnids(found.names), "wnids": found.names}
    known = outputs == len(card.classes)
    if known and (card.shipped or not card.wnids or is_published(libraries.read(card.architecture), checkpoint.path, digest)):
        _say(checkpoint.path, found.doubt)
        return {}
    doubt = found.doubt or ("it does not say what its outputs are" if known else "")
    cure = "name them by sevis add --classes FILE (or --classes imagenet, if they are ImageNet's)"
    _say(checkpoint.path, doubt and f"{doubt}, so they are called output 0, output 1, ...: {cure}")
    return {"classes": number_outputs(outputs), "wnids": None}


def _say(path: Path, what: str) -> None:
    """Tell on standard error what was found out about a file; nothing where there is nothing to tell."""
    if what:
        tqdm.write(f"{path}: {what}.", file=sys.stderr)


def _with(card: Card, **changed: Any) -> Card:
    """Return a card for other weights, with what is true of any: not the score, nor the licence."""
    kept = {name: getattr(card, name) for name in ("name", "architecture", "classes", "wnids", "preprocessing")}
    return Card(**kept | changed, shipped=False)
