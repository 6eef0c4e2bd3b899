"""What an experiment asks of a network before it runs it: that all that belongs to it is there, and that it is in evaluation mode."""

from typing import TYPE_CHECKING

from PIL import Image

from sevis.errors import SevisError
from sevis.weights.loading import ReadyModel, find_training

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sevis.data.preprocessing import ImagePreprocessing


def require_whole(ready: object) -> None:
    """Raise SevisError for what is no ReadyModel, such as a bare module."""
    from torch import nn

    if isinstance(ready, nn.Module):
        raise SevisError(
            f"a {type(ready).__name__} alone does not say what its classes are and how an image becomes its input: pass "
            "sevis.wrap(model, classes=..., preprocess=...)"
        )
    if not isinstance(ready, ReadyModel):
        cure = f"pass sevis.load({ready!r})" if isinstance(ready, str) else "pass what sevis.load or sevis.wrap returns"
        raise SevisError(f"expected a network that is ready, got {type(ready).__name__}: {cure}")


def require_ready(ready: ReadyModel) -> None:
    """Raise SevisError for a network in training mode, for weights that changed since they were wrapped, and as `require_whole`."""
    from sevis.weights.wrap import OwnCard, mark_weights

    require_whole(ready)
    refuse_training(ready.model, ready.card.name)
    if isinstance(ready.card, OwnCard) and ready.card.mark != mark_weights(ready.model):
        raise SevisError(f"the weights of {ready.card.name} changed or moved since it was wrapped: wrap it again")


def refuse_training(model: "nn.Module", name: str) -> None:
    """Raise SevisError for a model in training mode.

    It would change the statistics of its batch norms, and its dropout would change the gates. sevis does not put it into evaluation mode
    itself: it may be shared, and its mode is its owner's.
    """
    if training := find_training(model):
        raise SevisError(
            f"{name} is in training mode ({training}), which would change its batch norms and its gates: call model.eval() first"
        )


def require_images(ready: ReadyModel) -> "ImagePreprocessing":
    """Return what turns images into inputs of the network. Raises SevisError where it was wrapped without it, and as `require_ready`."""
    from sevis.weights.wrap import NoPreprocessing

    require_ready(ready)
    if isinstance(ready.preprocess, NoPreprocessing):
        raise ready.preprocess.missing()
    return ready.preprocess


def as_rgb(image: object) -> Image.Image:
    """Return an image of PIL as RGB. Raises SevisError for anything else."""
    if not isinstance(image, Image.Image):
        raise SevisError(f"expected an image of PIL, got {type(image).__name__}: PIL.Image.open reads a file, PIL.Image.fromarray an array")
    return image if image.mode == "RGB" else image.convert("RGB")


def float_type(model: "nn.Module") -> "torch.dtype":
    """Return the kind of floats that a model computes with."""
    import torch

    return next((parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()), torch.float32)
