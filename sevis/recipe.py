"""What a training run is told: every number that decides its result, and the command that repeats it."""

import math
import shlex
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sevis.errors import SevisError


def _option(default: Any, text: str, *, low: float = -math.inf, high: float = math.inf) -> Any:
    """A field with what the command line says about it and the range it must lie in."""
    return field(default=default, metadata={"help": text, "range": (low, high)})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the result of a run, with the data and the software; each field's help says what it is.

    Raises:
        SevisError: for a number outside its range.
    """

    model: str = _option("se_resnet50", "a name that `models` lists")
    width: float = _option(0.5, "multiplies the channels of every stage", low=1 / 64, high=16)
    stem: str = _option("paper", "paper (7x7 with stride 2, max pool) or small (3x3 with stride 1)")
    reduction: int = _option(16, "the reduction ratio r of the SE blocks", low=1, high=4096)
    size: int = _option(64, "the side of the input, in pixels", low=16, high=1024)
    epochs: int = _option(50, "passes over the training images", low=1, high=10_000)
    batch_size: int = _option(128, "images in one step", low=2, high=65_536)
    learning_rate: float = _option(0.15, "its peak, followed by a cosine to zero", low=1e-6, high=100)
    warmup: float = _option(0.1, "the fraction of all steps that lead up to the peak", low=0, high=0.9)
    momentum: float = _option(0.9, "Nesterov's, of SGD", low=0, high=0.999)
    weight_decay: float = _option(5e-4, "of convolutions and classifier; SE projections, norms and biases have none", low=0, high=1)
    label_smoothing: float = _option(0.1, "the share of each target spread over all classes", low=0, high=0.9)
    min_area: float = _option(0.25, "the smallest area of a random crop, as a fraction of the image", low=0.01, high=1)
    colour: float = _option(0.3, "how far brightness, contrast and saturation vary; 0 is not at all", low=0, high=1)
    mixup: float = _option(0.0, "the alpha of MixUp; 0 is none", low=0, high=10)
    bf16: bool = _option(False, "compute in bfloat16 where PyTorch deems it safe (autocast)")
    seed: int = _option(0, "of the weights, the order of the images and the augmentation", low=0, high=2**32 - 1)

    def __post_init__(self) -> None:
        for entry in fields(self):
            low, high = entry.metadata["range"]
            value = getattr(self, entry.name)
            if isinstance(value, int | float) and not low <= value <= high:
                raise SevisError(f"expected {entry.name} between {low} and {high}, got {value}")

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of one step out of `steps`: a linear warm-up, then a cosine to zero."""
        warm = self.warmup * steps
        if step < warm:
            return self.learning_rate * (step + 1) / (warm + 1)
        return self.learning_rate * (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2


def command(recipe: Recipe, classes: str | None, publish: str) -> str:
    """The command line that repeats a run, with every option spelled out, so that a later default does not change its meaning."""
    words = ["python", "-m", "sevis", "train", recipe.model]
    words += ["--classes", classes] if classes else []
    for name, value in asdict(recipe).items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif name != "model":
            words += [f"--{option}", str(value)]
    return shlex.join([*words, "--publish", publish])
