"""A network of one's own class becomes a ReadyModel, as `load` makes one of a name."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from sevis.architecture import Architecture
from sevis.blocks.sites import require_sites
from sevis.data.labels import read_names
from sevis.data.preprocessing import ImagePreprocessing, Preprocessing
from sevis.errors import SevisError, one_line
from sevis.networks.libraries.class_names import name_wnids, number_outputs
from sevis.weights.card import Card
from sevis.weights.checkpoint import fingerprint
from sevis.weights.loading import ReadyModel, find_training

SIZE = 320, 256  # width and height of the picture that preprocessing and network are tried on
EXPECTED = "expected it to turn an RGB image of PIL into one input of floats, shape (channels, H, W)"
SURE = 1e-3  # from a sum of 1, within which numbers that are not negative are probabilities
NEXT = 0.02  # beyond 0..1, values that normalisation was taken off are still a picture's: it was rounded, or resized with overshoot


class OwnCard(Card, frozen=True, kw_only=True):
    """The card of a network of one's own class: no library builds it, and its preprocessing is not known but to the ReadyModel.

    Attributes:
        mark: of the weights whose hash it holds, see `mark_weights`: a model that is at hand may be trained on.
    """

    preprocessing: Preprocessing | None = None  # type: ignore[assignment]
    mark: str


def wrap(
    model: nn.Module,
    *,
    classes: Sequence[str] | Mapping[str, int] | Mapping[int, str] | None = None,
    preprocess: Preprocessing | Callable[[Image.Image], Any] | None = None,
    name: str | None = None,
) -> ReadyModel:
    """Return a network of one's own with all that belongs to it, as `sevis.load` does for a name.

    The model itself is kept, no copy: neither its mode, its weights, its device nor `requires_grad` change. Its card holds the hash of the
    weights as they are now: after further training, experiments refuse it until it is wrapped again. With `preprocess`, one made-up image
    goes through the network, to see that it works and how many outputs there are.

    Args:
        model: any network with SE blocks, in evaluation mode, with its weights on one device.
        classes: the names of its outputs, or their WordNet ids, in their order; or a mapping such as `class_to_idx` or `id2label`. None:
            those in the model's `config.id2label`, else `output 0`, ... as many as it has; without `preprocess` they are not known.
        preprocess: how an RGB image becomes its input: a `Preprocessing`, or any function of a PIL image, such as a Compose of torchvision
            or an image processor of Hugging Face. None: it takes no images; `collect` needs none, for its loader makes the inputs.
        name: of the network, in results; None: that of its class.

    Raises:
        SevisError: for a model that is in training mode, has no SE block or cannot be hooked; for classes that are not as many as its
            outputs; and where preprocessing or network fail on the made-up image.
    """
    if isinstance(model, ReadyModel):
        raise SevisError(f"{model.card.name} is ready already: pass it as it is")
    if not isinstance(model, nn.Module):
        raise SevisError(f"expected a torch.nn.Module to wrap, got {type(model).__name__}: sevis.load takes names and files")
    require_sites(model)
    name = name or type(model).__name__
    if training := find_training(model):
        raise SevisError(f"{name} is in training mode ({training}), in which no gate is measured: call model.eval(), then wrap it")
    names = _names(model) if classes is None else read_names(classes)
    device, weights = _state(model, name)
    seeing = _preprocessing(preprocess, name)
    card = OwnCard(
        name=name,
        shipped=False,
        architecture=Architecture(name=f"{type(model).__module__}.{type(model).__qualname__}"),
        classes=name_wnids(names),
        wnids=names or None,
        preprocessing=preprocess if isinstance(preprocess, Preprocessing) else None,
        sha256=weights,
        mark=mark_weights(model),
    )
    ready = ReadyModel(model, card, card.classes, seeing, device)
    return ready if preprocess is None else _tried(ready)


def _names(model: nn.Module) -> tuple[str, ...]:
    """Return the names of the outputs that a network of Hugging Face has in its configuration; none where they are only numbers."""
    told = getattr(getattr(model, "config", None), "id2label", None)
    if not isinstance(told, Mapping) or not told or all(re.fullmatch(r"LABEL_\d+", str(label)) for label in told.values()):
        return ()
    return read_names(told)


def _state(model: nn.Module, name: str) -> tuple[torch.device, str]:
    """Return where the weights of a model are, and their hash."""
    if any(isinstance(value, UninitializedParameter | UninitializedBuffer) for value in (*model.parameters(), *model.buffers())):
        raise SevisError(f"{name} has layers that are not made yet (such as LazyLinear): run it once on an input, then wrap it")
    state = {key: value for key, value in model.state_dict().items() if isinstance(value, Tensor)}
    if any(value.is_meta for value in state.values()):
        raise SevisError(f"{name} is on the meta device, where weights have no numbers: load its weights, then wrap it")
    return next(model.parameters()).device, fingerprint(state)


def mark_weights(model: nn.Module) -> str:
    """Return what changes with the weights of a model: how often they were written to, their first numbers, precision and place.

    PyTorch does not count what is written through `.data`, as many averages (EMA) are, so a number of each tensor is read, too.
    """
    weights = [value for value in model.state_dict(keep_vars=True).values() if isinstance(value, Tensor)]
    versions = sum(0 if weight.is_inference() else weight._version for weight in weights)
    firsts = math.fsum(weight.detach()[(0,) * weight.ndim].item() for weight in weights if weight.numel())
    return f"{versions} {firsts!r} {sorted({f'{weight.dtype} {weight.device}' for weight in weights})}"


def _tried(ready: ReadyModel) -> ReadyModel:
    """Return the network with names for all of its outputs, after one made-up image went through it."""
    name = ready.card.name
    shades = np.linspace(0, 255, SIZE[0] * SIZE[1] * 3).reshape(SIZE[1], SIZE[0], 3)
    _, values = ready.preprocess.see(Image.fromarray(shades.astype(np.uint8)))
    dtype = next(parameter.dtype for parameter in ready.model.parameters() if parameter.is_floating_point())
    try:
        with torch.no_grad():  # no inference mode: what a model keeps of its first pass must serve a training, too
            logits = ready.logits(torch.from_numpy(values)[None].to(ready.device, dtype))[0].float()
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise SevisError(
            f"{name} cannot take what preprocess makes of an image, an input of shape {values.shape} ({one_line(error)}): pass the "
            "preprocessing that it was trained with"
        ) from error
    if logits.min() >= 0 and abs(float(logits.sum()) - 1) < SURE:
        raise SevisError(f"the outputs of {name} are probabilities already (they sum to 1), expected logits: leave its softmax out")
    if ready.classes:
        return ready
    names = number_outputs(len(logits))
    return replace(ready, card=msgspec.structs.replace(ready.card, classes=names), classes=names)


def _preprocessing(preprocess: object, name: str) -> ImagePreprocessing:
    if isinstance(preprocess, Preprocessing):
        return preprocess
    if preprocess is None:
        return NoPreprocessing(name)
    if not callable(preprocess):
        raise SevisError(
            f"expected preprocess to be a sevis.data.preprocessing.Preprocessing or a function of a PIL image, got "
            f"{type(preprocess).__name__}: pass what turned images into inputs when the network was trained"
        )
    return OwnPreprocessing(preprocess, *_normalisation(preprocess))


@dataclass(frozen=True)
class NoPreprocessing:
    """In place of the preprocessing of a network that was wrapped without one: says so."""

    name: str

    def missing(self) -> SevisError:
        return SevisError(
            f"{self.name} was wrapped without a preprocessing, so it takes no images: sevis.wrap(model, preprocess=...) with what turns an "
            "image into its input"
        )

    def __call__(self, _: Image.Image) -> NDArray[np.float32]:
        raise self.missing()

    def view(self, _: Image.Image) -> NDArray[np.uint8]:
        raise self.missing()

    def see(self, _: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        raise self.missing()

    def describe(self) -> None:
        """Return None: there is none."""


@dataclass(frozen=True)
class OwnPreprocessing:
    """Somebody's own function as preprocessing.

    Attributes:
        function: of an RGB image of PIL; returns an array or tensor of shape (C, H, W) or (1, C, H, W), or a dictionary with it under
            `pixel_values`, as image processors of Hugging Face do.
        mean, std: by which it normalises, where that could be found in it; else empty.
    """

    function: Callable[[Image.Image], Any]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """Return the network's input, float32, shape (C, H, W). Raises SevisError where the function gives anything else."""
        try:
            found = self.function(image)
        except Exception as error:  # whatever strange code leads to
            raise SevisError(f"preprocess fails on an image ({one_line(error)}): {EXPECTED}") from error
        found = found["pixel_values"] if isinstance(found, Mapping) and "pixel_values" in found else found
        found = found[0] if isinstance(found, list | tuple) and len(found) == 1 else found
        values = found.detach().cpu() if isinstance(found, Tensor) else found
        values = values.float().numpy() if isinstance(values, Tensor) and values.is_floating_point() else values
        if isinstance(values, np.ndarray) and values.ndim == 4 and len(values) == 1:
            values = values[0]
        if not isinstance(values, np.ndarray) or values.ndim != 3 or values.dtype.kind != "f":
            raise SevisError(f"preprocess gives {describe_value(found)}: {EXPECTED}")
        return np.ascontiguousarray(values, np.float32)

    def view(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return the input as a picture, shape (H, W, 3)."""
        return self.see(image)[0]

    def see(self, image: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return the input as a picture, and the input.

        The normalisation is taken off where it is known; where it is not, the picture is stretched from its lowest value to its highest.
        """
        values = self(image)
        if len(values) not in (1, 3):
            if values.shape[2] in (1, 3):
                raise SevisError(f"preprocess gives the channels last, in shape {values.shape}: let it end in transpose(2, 0, 1)")
            raise SevisError(f"preprocess gives {len(values)} channels, but a picture has 1 or 3: leave preprocess out, and use collect")
        picture = values.transpose(1, 2, 0)
        if self.mean:
            picture = picture * np.array(self.std, np.float32) + np.array(self.mean, np.float32)
        low, high = float(picture.min()), float(picture.max())
        if low < -NEXT or high > 1 + NEXT:
            picture = (picture - low) / max(high - low, 1e-6)
        grey = np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)
        return np.broadcast_to(grey, (*grey.shape[:2], 3)).copy(), values

    def describe(self) -> str:
        """Return it as text, the same in every run."""
        text = getattr(self.function, "__qualname__", None) or repr(self.function)
        return " ".join(re.sub(r" at 0x[0-9a-f]+", "", text).split())[:1000]


def describe_value(value: object) -> str:
    """Return what something is, for a message: its class, with the kind and the shape of an array or tensor."""
    shape, dtype = getattr(value, "shape", None), str(getattr(value, "dtype", "")).removeprefix("torch.")
    return type(value).__name__ if shape is None else f"a {dtype} {type(value).__name__} of shape {tuple(shape)}"


def _normalisation(function: object) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and the standard deviation that a preprocessing says it normalises by; empty where it says none, or several.

    They are attributes `mean` and `std` of it or of one of its `transforms`, as in torchvision, or `image_mean` and `image_std`.
    """
    steps, found = [function], []
    for step in steps:
        inner = getattr(step, "transforms", None)
        steps += list(inner) if isinstance(inner, list | tuple | nn.Sequential | nn.ModuleList) else []
        steps += list(step) if isinstance(step, nn.Sequential) else []
        for names in (("mean", "std"), ("image_mean", "image_std")):
            mean, std = (_numbers(getattr(step, name, None)) for name in names)
            found += [(mean, std)] if mean and len(mean) == len(std) else []
    return found[0] if len(found) == 1 else ((), ())


def _numbers(values: object) -> tuple[float, ...]:
    """Return 1 or 3 numbers; none where it is anything else."""
    try:
        numbers = tuple(map(float, values))  # type: ignore[call-overload]
    except (TypeError, ValueError):
        return ()
    return numbers if len(numbers) in (1, 3) else ()
