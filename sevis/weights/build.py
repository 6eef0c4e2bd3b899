"""A card and weights become a network: the shipped weights, fresh ones, those that a library publishes, or a file's."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from sevis.errors import SevisError, one_line
from sevis.files import sha256
from sevis.networks import libraries
from sevis.networks.initialisation import building
from sevis.networks.libraries.library import LibraryNetwork
from sevis.settings import home_folder, pretrained_folder
from sevis.weights.card import RANDOM, Card
from sevis.weights.checkpoint import Checkpoint, check_fits, count_classes, fingerprint, fits, read_checkpoint
from sevis.weights.describe import class_fields

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
    with building():
        try:
            model = network.convert(checkpoint.state)
        except Exception as error:  # timm's conversions stumble in their own ways over what they do not know
            check_fits(network.on_meta(), checkpoint, network.name)
            raise SevisError(
                f"{path} does not hold the weights of {network.name} ({one_line(error)}): delete it and fetch it again"
            ) from None
    return _with(card, sha256=sha256(path), weights=path.name), model


def build_from_file(card: Card, path: Path) -> Built:
    """Return the network with the weights of a user's file, and as many outputs as they have; and its card.

    Raises:
        SevisError: for a file that is missing, damaged or of another network.
    """
    network, checkpoint = libraries.read(card.architecture), read_checkpoint(path)
    num_classes = count_classes(network.on_meta(), checkpoint.state, len(card.classes))
    network = network.with_outputs(num_classes)
    classes = {} if num_classes == len(card.classes) else class_fields(num_classes, checkpoint)
    card = _with(card, architecture=network.architecture, **classes, sha256=sha256(path), weights=path.name)
    return card, _fill(network, checkpoint, card.name)


def _fill(network: LibraryNetwork, checkpoint: Checkpoint, name: str) -> nn.Module:
    """Return the network with the weights of a file. Raises SevisError for one of another network than that called `name`."""
    outline = network.on_meta()
    if network.converts and not fits(outline, checkpoint.state):
        with suppress(Exception), building():
            return network.convert(dict(checkpoint.state))
    check_fits(outline, checkpoint, name)  # before any memory is taken
    with building():
        model = network.build()
    try:
        model.load_state_dict(checkpoint.state, strict=False)  # only counters that nothing reads may be missing
    except RuntimeError as error:
        raise SevisError(f"{checkpoint.path} does not hold the weights of {name} ({one_line(error)})") from None
    return model


def _with(card: Card, **changed: Any) -> Card:
    """Return a card for other weights, with what is true of any: not the score, nor the licence."""
    kept = {name: getattr(card, name) for name in ("name", "architecture", "classes", "wnids", "preprocessing")}
    return Card(**kept | changed, shipped=False)
