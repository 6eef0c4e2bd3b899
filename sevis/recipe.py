"""What a training run is told: every number that decides its result, and the command that repeats it."""

import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from sevis.architecture import Architecture
from sevis.errors import SevisError

STEP = 8  # pixels by which the images of a run grow
FULL_SIZE = 0.75  # the fraction of the epochs after which they have their full size
MIXES = ("mixup", "cutmix", "randaugment")


@dataclass(frozen=True)
class Option:
    """What a field of a recipe may be: what the command line says about it, and the range it lies in or the words that there are."""

    help: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides the result of a run, with the data and the software; each field's help says what it is.

    Options, JSON and checkpoints become a recipe by `msgspec.convert` and check their types by that. A field that is not known is
    refused, as it may have decided a result; one that an older version did not have has its default, which changes nothing.

    Raises:
        SevisError: for a number outside its range, a word that is none of its choices, and two of MixUp, CutMix and RandAugment at once.
    """

    model: Annotated[str, Option("the network: a name that `sevis models` lists")] = "se_resnet50"
    width: Annotated[float, Option("a factor for the channels of every stage", low=1 / 64, high=16)] = 0.5
    stem: Annotated[str, Option("the first layers: paper (7x7 with stride 2, max pool) or small (3x3 with stride 1)")] = "paper"
    reduction: Annotated[int, Option("the reduction ratio r of the SE blocks", low=1, high=4096)] = 16
    placement: Annotated[str, Option("where SE stands in a block: standard, pre, post, identity or 3x3")] = "standard"
    stages: Annotated[str, Option("the stages that have SE: all, or numbers such as 4 or 2,3,4")] = "all"
    squeeze: Annotated[str, Option("how SE squeezes: avg, max, none", choices=("avg", "max", "none"))] = "avg"
    gate: Annotated[str, Option("the gate of SE: sigmoid, tanh, relu", choices=("sigmoid", "tanh", "relu"))] = "sigmoid"
    bias: Annotated[bool, Option("whether the projections of SE have biases; the paper's ablations have none")] = True
    size: Annotated[int, Option("the side of the input, in pixels", low=16, high=1024)] = 64
    start_size: Annotated[
        int, Option("the side of the input in the first epochs, in pixels; it grows to --size; 0: the full size at once", low=0, high=1024)
    ] = 0
    epochs: Annotated[int, Option("the number of passes over the training images", low=1, high=10_000)] = 50
    batch_size: Annotated[int, Option("the number of images in one step, over all processes", low=2, high=65_536)] = 128
    learning_rate: Annotated[float, Option("the peak learning rate; it then falls to zero along a cosine", low=1e-6, high=100)] = 0.15
    warmup: Annotated[float, Option("the fraction of all steps in which the learning rate rises to its peak", low=0, high=0.9)] = 0.1
    momentum: Annotated[float, Option("the Nesterov momentum of SGD", low=0, high=0.999)] = 0.9
    weight_decay: Annotated[
        float, Option("the weight decay of convolutions and classifier; SE projections, norms and biases have none", low=0, high=1)
    ] = 5e-4
    label_smoothing: Annotated[float, Option("the share of each target that is spread over all classes", low=0, high=0.9)] = 0.1
    min_area: Annotated[float, Option("the smallest area of a random crop, as a fraction of the image", low=0.01, high=1)] = 0.25
    colour: Annotated[float, Option("how far brightness, contrast and saturation vary; 0: not at all", low=0, high=1)] = 0.3
    mixup: Annotated[float, Option("the alpha of MixUp; 0: no MixUp", low=0, high=10)] = 0.0
    cutmix: Annotated[float, Option("the alpha of CutMix; 0: no CutMix", low=0, high=10)] = 0.0
    randaugment: Annotated[int, Option("the magnitude of RandAugment, from 1 to 30; 0: no RandAugment", low=0, high=30)] = 0
    ema: Annotated[float, Option("the decay of the running average of the weights (EMA); 0: no average", low=0, high=0.99999)] = 0.0
    bf16: Annotated[bool, Option("whether to compute in bfloat16 where PyTorch allows it (autocast)")] = False
    compile: Annotated[bool, Option("whether to compile the network (torch.compile); the first steps then take minutes")] = False
    sync_bn: Annotated[bool, Option("whether batch norm uses the images of all processes together")] = False
    seed: Annotated[int, Option("the random seed of the weights, the order of the images and the augmentation", low=0, high=2**32 - 1)] = 0

    def __post_init__(self) -> None:
        for name, option in OPTIONS.items():
            value = getattr(self, name)
            if isinstance(value, int | float) and not option.low <= value <= option.high:
                raise SevisError(f"expected {name} between {option.low} and {option.high}, got {value}")
            if option.choices and value not in option.choices:
                raise SevisError(f"unknown {name} {value!r}: choose one of {', '.join(option.choices)}")
        if self.stages != "all" and not re.fullmatch(r"\d{1,2}(,\d{1,2})*", self.stages):
            raise SevisError(f"expected stages such as 4 or 2,3,4, or all, got {self.stages!r}")
        if self.start_size and not 16 <= self.start_size <= self.size:
            raise SevisError(f"expected a start_size between 16 and the size {self.size}, or 0, got {self.start_size}")
        used = [name for name in MIXES if getattr(self, name)]
        if len(used) > 1:
            raise SevisError(f"{' and '.join(used)} exclude each other: set all but one of them to 0")

    def architecture(self, num_classes: int) -> Architecture:
        """Return what the recipe's network is built with."""
        names = ("width", "stem", "reduction", "placement", "squeeze", "gate", "bias")
        stages = None if self.stages == "all" else tuple(map(int, self.stages.split(",")))
        return Architecture(name=self.model, num_classes=num_classes, stages=stages, **{name: getattr(self, name) for name in names})

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


OPTIONS: Mapping[str, Option] = {field.name: field.type.__metadata__[0] for field in msgspec.structs.fields(Recipe)}
DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in msgspec.structs.fields(Recipe)}


def command(recipe: Recipe, *, publish: str, classes: str | None = None, data: str | None = None, processes: int = 1) -> str:
    """Return the command line that repeats a run, with every option spelled out, so that a later default does not change its meaning."""
    words = ["python"] if processes == 1 else ["torchrun", "--nproc-per-node", str(processes)]
    words += ["-m", "sevis", "train", recipe.model]
    words += ["--data", data] if data else []
    words += ["--classes", classes] if classes else []
    for name, value in msgspec.structs.asdict(recipe).items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif name != "model":
            words += [f"--{option}", str(value)]
    return shlex.join([*words, "--publish", publish])
