"""What a training run is told: every number that decides its result, and the command that repeats it."""

import math
import re
import shlex
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sevis.errors import SevisError

STEP = 8  # pixels by which the images of a run grow
FULL_SIZE = 0.75  # the fraction of the epochs after which they have their full size
MIXES = ("mixup", "cutmix", "randaugment")


def _option(default: Any, text: str, *, low: float = -math.inf, high: float = math.inf, choices: tuple[str, ...] = ()) -> Any:
    """Return a field with what the command line says about it, and the range it must lie in or the words it may be."""
    return field(default=default, metadata={"help": text, "range": (low, high), "choices": choices})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the result of a run, with the data and the software; each field's help says what it is.

    Raises:
        SevisError: for a number outside its range, a word that is none of its choices, and two of MixUp, CutMix and RandAugment at once.
    """

    model: str = _option("se_resnet50", "a name that `models` lists")
    width: float = _option(0.5, "multiplies the channels of every stage", low=1 / 64, high=16)
    stem: str = _option("paper", "paper (7x7 with stride 2, max pool) or small (3x3 with stride 1)")
    reduction: int = _option(16, "the reduction ratio r of the SE blocks", low=1, high=4096)
    placement: str = _option("standard", "of the SE blocks: standard, pre, post, identity, 3x3")
    stages: str = _option("all", "the stages with SE blocks: all, or such as 4 or 2,3,4")
    squeeze: str = _option("avg", "of the SE blocks: avg, max, none", choices=("avg", "max", "none"))
    gate: str = _option("sigmoid", "of the SE blocks: sigmoid, tanh, relu", choices=("sigmoid", "tanh", "relu"))
    bias: bool = _option(True, "the projections of the SE blocks have biases; without, as in the paper's ablations")
    size: int = _option(64, "the side of the input, in pixels", low=16, high=1024)
    start_size: int = _option(0, "its side in the first epochs, from which it grows; 0 is the full size", low=0, high=1024)
    epochs: int = _option(50, "passes over the training images", low=1, high=10_000)
    batch_size: int = _option(128, "images in one step, of all processes together", low=2, high=65_536)
    learning_rate: float = _option(0.15, "its peak, followed by a cosine to zero", low=1e-6, high=100)
    warmup: float = _option(0.1, "the fraction of all steps that lead up to the peak", low=0, high=0.9)
    momentum: float = _option(0.9, "Nesterov's, of SGD", low=0, high=0.999)
    weight_decay: float = _option(5e-4, "of convolutions and classifier; SE projections, norms and biases have none", low=0, high=1)
    label_smoothing: float = _option(0.1, "the share of each target spread over all classes", low=0, high=0.9)
    min_area: float = _option(0.25, "the smallest area of a random crop, as a fraction of the image", low=0.01, high=1)
    colour: float = _option(0.3, "how far brightness, contrast and saturation vary; 0 is not at all", low=0, high=1)
    mixup: float = _option(0.0, "the alpha of MixUp; 0 is none", low=0, high=10)
    cutmix: float = _option(0.0, "the alpha of CutMix; 0 is none", low=0, high=10)
    randaugment: int = _option(0, "the magnitude of RandAugment, of 30; 0 is none", low=0, high=30)
    ema: float = _option(0.0, "the decay of the average of the weights (EMA) that is kept; 0 is none", low=0, high=0.99999)
    bf16: bool = _option(False, "compute in bfloat16 where PyTorch deems it safe (autocast)")
    compile: bool = _option(False, "compile the network (torch.compile), which takes minutes at first")
    sync_bn: bool = _option(False, "batch norm over the images of all processes, not of each alone")
    seed: int = _option(0, "of the weights, the order of the images and the augmentation", low=0, high=2**32 - 1)

    def __post_init__(self) -> None:
        for entry in fields(self):
            low, high = entry.metadata["range"]
            value = getattr(self, entry.name)
            if isinstance(value, int | float) and not low <= value <= high:
                raise SevisError(f"expected {entry.name} between {low} and {high}, got {value}")
            if entry.metadata["choices"] and value not in entry.metadata["choices"]:
                raise SevisError(f"unknown {entry.name} {value!r}: choose one of {', '.join(entry.metadata['choices'])}")
        if self.stages != "all" and not re.fullmatch(r"\d{1,2}(,\d{1,2})*", self.stages):
            raise SevisError(f"expected stages such as 4 or 2,3,4, or all, got {self.stages!r}")
        if self.start_size and not 16 <= self.start_size <= self.size:
            raise SevisError(f"expected a start_size between 16 and the size {self.size}, or 0, got {self.start_size}")
        used = [name for name in MIXES if getattr(self, name)]
        if len(used) > 1:
            raise SevisError(f"{' and '.join(used)} exclude each other: set all but one of them to 0")

    def architecture(self, num_classes: int) -> dict[str, Any]:
        """Return the arguments that `sevis.build` builds the recipe's network with, as plain values."""
        names = ("width", "stem", "reduction", "placement", "squeeze", "gate", "bias")
        stages = None if self.stages == "all" else list(map(int, self.stages.split(",")))
        return {"name": self.model, "num_classes": num_classes, **{name: getattr(self, name) for name in names}, "stages": stages}

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of one step out of `steps`: a linear warm-up, then a cosine to zero."""
        warm = self.warmup * steps
        if step < warm:
            return self.learning_rate * (step + 1) / (warm + 1)
        return self.learning_rate * (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2

    def side(self, epoch: int) -> int:
        """Return the side of the images of one epoch, counted from 0: it grows evenly, in steps of 8 pixels, over three quarters of the
        run.
        """
        grown = min(1.0, epoch / max(1.0, FULL_SIZE * self.epochs))
        if not self.start_size or grown == 1:
            return self.size
        return self.start_size + STEP * math.floor(grown * (self.size - self.start_size) / STEP)


def command(recipe: Recipe, *, publish: str, classes: str | None = None, data: str | None = None, processes: int = 1) -> str:
    """Return the command line that repeats a run, with every option spelled out, so that a later default does not change its meaning."""
    words = ["python"] if processes == 1 else ["torchrun", "--nproc-per-node", str(processes)]
    words += ["-m", "sevis", "train", recipe.model]
    words += ["--data", data] if data else []
    words += ["--classes", classes] if classes else []
    for name, value in asdict(recipe).items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif name != "model":
            words += [f"--{option}", str(value)]
    return shlex.join([*words, "--publish", publish])
