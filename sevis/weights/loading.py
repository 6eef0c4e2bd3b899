"""A name or a file becomes a ready model: describe it, find its weights, build it.

Torch is imported only when a model is built, so that the app's first page can read the cards without waiting for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sevis.data.preprocessing import ImagePreprocessing
from sevis.errors import SevisError
from sevis.weights.card import DEFAULT, RANDOM, Card

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class ReadyModel:
    """A model in evaluation mode with all that belongs to it.

    Attributes:
        model: the network, frozen, on `device`.
        card: where it comes from.
        classes: the names of its outputs.
        preprocess: turns an RGB image into its input, float32 (3, S, S); of a wrapped network, what it was given.
        device: where it runs.
    """

    model: "nn.Module"
    card: Card
    classes: tuple[str, ...]
    preprocess: ImagePreprocessing
    device: "torch.device"

    def logits(self, inputs: "torch.Tensor") -> "torch.Tensor":
        """Run the network and return its logits, shape (N, K); it may give them alone, or as `logits` of what it gives.

        Raises:
            SevisError: where it gives anything else, or not as many as there are classes.
        """
        from torch import Tensor

        found = output = self.model(inputs)
        if not isinstance(found, Tensor):
            found = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
        if not isinstance(found, Tensor) or found.ndim != 2:
            given = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(output).__name__
            raise SevisError(
                f"{self.card.name} gives {given}, expected logits of shape (images, classes): use a module whose forward returns them"
            )
        if found.shape[1] == 1:
            raise SevisError(
                f"{self.card.name} has a single output, but a prediction is among at least two: use a module whose forward returns a logit "
                "for each class, such as torch.cat([torch.zeros_like(x), x], dim=1)"
            )
        if self.classes and found.shape[1] != len(self.classes):
            raise SevisError(
                f"{self.card.name} has {found.shape[1]} outputs, but {len(self.classes)} classes are named ({', '.join(self.classes[:3])}"
                f"{', ...' if len(self.classes) > 3 else ''}): name every output once, in their order"
            )
        return found


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
            torchvision's, else one of `list_models()`; `timm/NAME`, `torchvision/NAME` and `sevis/NAME` say which. Or the path of a
            checkpoint that `python -m sevis train` wrote.
        weights: None takes the network's own trained weights; "random" fresh ones, always the same; else the path of a file.
        download: whether trained weights that are not here may be downloaded.
        device: where to run; None chooses the GPU where there is one.

    Raises:
        WeightsMissing: where the trained weights are not here, and may not or cannot be downloaded.
        SevisError: for an unknown name (with the nearest), a network without SE blocks, a file that is missing, damaged, of another
            network, or not the one that index.json describes.
    """
    from sevis.networks import libraries
    from sevis.weights.build import build_fresh, build_from_file, build_published, build_shipped
    from sevis.weights.checkpoint import names_a_file
    from sevis.weights.describe import describe
    from sevis.weights.published import find_weights

    card = describe(name)
    if weights == RANDOM:
        card, model = build_fresh(card)
    elif weights is not None:
        card, model = build_from_file(card, Path(weights))
    elif card.shipped:
        card, model = build_shipped(card)
    elif names_a_file(name):
        card, model = build_from_file(card, Path(name))
    else:
        path = find_weights(libraries.read(card.architecture).published(), download=download)
        card, model = build_published(card, path)
    return make_ready(card, model, device=device)


def make_ready(card: Card, model: "nn.Module", *, device: "str | torch.device | None" = None) -> ReadyModel:
    """Return a model just built, put into evaluation mode, frozen, and moved to the device (None: the GPU where there is one)."""
    import torch

    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return ReadyModel(model.eval().requires_grad_(False).to(device), card, card.classes, card.preprocessing, device)


def find_training(model: "nn.Module") -> str:
    """Return which part of a model is in training mode, the first of them in words; empty where none is."""
    path = next((path for path, module in model.named_modules() if module.training), None)
    return "" if path is None else f"its {path}" if path else "the model itself"
