"""A name or a file becomes a ready model: describe it, find its weights, build it.

Torch is imported only when a model is built, so that the app's first page can read the cards without waiting for it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError, one_line
from sevis.files import sha256
from sevis.weights.card import DEFAULT, RANDOM, Card, read_card, read_index

if TYPE_CHECKING:
    import torch
    from torch import nn


def assemble(card: Card, weights: str | Path | None, *, download: bool = True) -> tuple[Card, "nn.Module"]:
    """Return a network with fresh weights (RANDOM), those of a file, or (None) those of its library; and its card with their hash.

    Raises:
        WeightsMissing: where the library's weights are not here, and may not or cannot be downloaded.
        SevisError: for a file that is missing, damaged or of another network.
    """
    from sevis import networks
    from sevis.weights.build import convert, fit, fresh, origin_of
    from sevis.weights.checkpoint import fingerprint, read_checkpoint
    from sevis.weights.describe import class_fields
    from sevis.weights.published import find_weights

    if weights == RANDOM:
        model = fresh(card.architecture)
        return _with(card, sha256=fingerprint(model.state_dict()), weights=RANDOM), model
    origin = origin_of(card.architecture)
    if weights is None and origin is None and card.name in networks.list_models():
        raise SevisError(
            f"sevis has no trained weights of {card.name}: take fresh ones with weights='random' (--weights random), or a file"
        )
    if weights is None and origin is not None:
        checkpoint = read_checkpoint(find_weights(origin, download=download))
        model = convert(origin, checkpoint)
        changed: dict[str, Any] = {}
    else:
        checkpoint = read_checkpoint(Path(weights or card.name))
        model, num_classes = fit(card, checkpoint)
        changed = {} if num_classes == len(card.classes) else class_fields(num_classes, checkpoint)
        changed["architecture"] = msgspec.structs.replace(card.architecture, num_classes=num_classes)
    return _with(card, **changed, sha256=sha256(checkpoint.path), weights=checkpoint.path.name), model


def _with(card: Card, **changed: Any) -> Card:
    """Return a card for other weights, with what is true of any: not the score, nor the licence."""
    kept = {name: getattr(card, name) for name in ("name", "architecture", "classes", "wnids", "preprocessing")}
    return Card(**kept | changed, shipped=False)


@dataclass(frozen=True)
class ReadyModel:
    """A model in evaluation mode with all that belongs to it.

    Attributes:
        model: the network, frozen, on `device`.
        card: where it comes from.
        classes: the names of its outputs.
        preprocess: turns an RGB image into its input, float32 (3, S, S).
        device: where it runs.
    """

    model: "nn.Module"
    card: Card
    classes: tuple[str, ...]
    preprocess: Preprocessing
    device: "torch.device"


def load(
    name: str | Path = DEFAULT,
    *,
    weights: str | Path | None = None,
    download: bool = True,
    device: "str | torch.device | None" = None,
) -> ReadyModel:
    """Load a network, in evaluation mode, on the GPU where there is one.

    Args:
        name: one of `list_pretrained()`; else one of timm's (seresnet50, legacy_seresnet50, efficientnet_b0.ra_in1k), else one of
            torchvision's; `timm/NAME` and `torchvision/NAME` say which. Or the path of a checkpoint that `python -m sevis train` wrote.
        weights: None takes the network's own trained weights; "random" fresh ones, always the same; else the path of a file.
        download: whether trained weights that are not here may be downloaded.
        device: where to run; None chooses the GPU where there is one.

    Raises:
        WeightsMissing: where the trained weights are not here, and may not or cannot be downloaded.
        SevisError: for an unknown name (with the nearest), a network without SE blocks, a file that is missing, damaged, of another
            network, or not the one that index.json describes.
    """
    shipped = read_card(str(name)) if str(name) in read_index() else None
    if shipped and weights is None:
        return make_ready(shipped, _read_shipped(shipped), device=device)
    from sevis.weights.describe import describe

    card, model = assemble(shipped or describe(name), weights, download=download)
    return make_ready(card, model, device=device)


def _read_shipped(card: Card) -> "nn.Module":
    """Return the network of an entry of index.json, after checking that its file is the one described."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from sevis.weights.build import build_architecture, building

    if not card.path.is_file():
        raise SevisError(f"the weights of {card.name} are missing: expected {card.path}; restore it from the repository")
    if sha256(card.path) != card.sha256:
        raise SevisError(f"{card.path} is not the file that index.json describes (its SHA-256 differs): restore it from the repository")
    try:
        with building():
            model = build_architecture(card.architecture)
        model.load_state_dict(load_file(card.path))  # copies, so that weights stored in half precision become float32
    except (SafetensorError, OSError, RuntimeError, TypeError) as error:
        raise SevisError(f"{card.path} does not hold the network that index.json describes ({one_line(error)})") from None
    if len(card.classes) != card.architecture.num_classes:
        raise SevisError(f"the entry of {card.name} in index.json names {len(card.classes)} classes, not the network's: restore the file")
    return model


def make_ready(card: Card, model: "nn.Module", *, device: "str | torch.device | None" = None) -> ReadyModel:
    """Return a model just built, put into evaluation mode, frozen, and moved to the device (None: the GPU where there is one)."""
    import torch

    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return ReadyModel(model.eval().requires_grad_(False).to(place), card, card.classes, card.preprocessing, place)
