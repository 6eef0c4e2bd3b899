"""The batches of anybody's loader: their inputs and labels, understood, or refused in one sentence; and what the labels are called."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sevis.data.labels import NAMED, find_names, image_and_label, names_for_people, read_labels, read_names
from sevis.data.loader import Batch, Broken
from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.weights.card import Card
from sevis.weights.loading import ReadyModel
from sevis.weights.matching import has_names, match_classes
from sevis.weights.wrap import describe_value

FAR = 10  # times the largest value that preprocessing can give: no image is so far from its mean
CURE = "make them as ready.preprocess does, or as the network was trained"


class Labelled(NamedTuple):
    """A batch: inputs (N, ...), labels (N,), the images' indices in the data set (N,) or None, and images that could not be read."""

    inputs: Tensor
    labels: NDArray[np.int64]
    ids: NDArray[np.int64] | None = None
    broken: tuple[Broken, ...] = ()


@dataclass(frozen=True)
class Labels:
    """What the labels 0, 1, ... of a loader are called.

    Attributes:
        names: for people, no two alike.
        wnids: their WordNet ids, or the names of their folders, where the network knows them.
    """

    names: tuple[str, ...]
    wnids: tuple[str, ...] | None = None


def name_labels(ready: ReadyModel, loader: object, classes: object, *, key: str = "") -> Labels:
    """Return what the labels of a loader are called: as `classes` says, or as its data set says, in the network's own names.

    Args:
        ready: the network.
        loader: its data set is asked for the names.
        classes: the names of the labels; None: those that the data set says, which must be classes of the network, if these have names.
        key: under which a batch has the labels, where it is a dictionary.

    Raises:
        SevisError: where nobody says what the labels are called, where they are no classes of the network, and where `classes` says that
            a label is one of its classes and the data set says that it is another.
    """
    card, names = ready.card, find_names(loader, key=key)
    if classes is not None:
        given = read_names(classes)
        _check_contradiction(card, names, given)
        return Labels(given)
    if names is None:
        raise SevisError(
            f"nothing says what the labels of this {type(loader).__name__} are called: pass classes= with their names, from label 0 on, or "
            "classes=ready.classes where they are the outputs of the network, in their order"
        )
    if not has_names(card):
        return Labels(names_for_people(names))
    outputs = match_classes(names, card)
    if (outputs < 0).any():
        unknown = [repr(name) for name, output in zip(names_for_people(names), outputs, strict=True) if output < 0]
        raise SevisError(
            f"{len(unknown)} of the {len(names)} classes of the data set are not among those of {card.name}: {_some(unknown)} (the network "
            f"has {_some([repr(name) for name in card.classes])}): pass classes= with the names of the labels, from label 0 on, to collect "
            "them under these names"
        )
    wnids = None if card.wnids is None else tuple(card.wnids[output] for output in outputs)
    return Labels(tuple(card.classes[output] for output in outputs), wnids)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def _check_contradiction(card: Card, names: Sequence[Sequence[str]] | None, given: Sequence[str]) -> None:
    """Refuse names of labels that are other classes of the network than the data set says, or stand in another order than its numbers."""
    numbers = [name[0] for name in names or () if name and name[0].isdecimal()]
    if names and len(numbers) == len(names) and tuple(given) == card.classes:
        for label, number in enumerate(numbers):
            if int(number) != label:
                raise SevisError(
                    f"label {label} is called {number} by the data set, so its labels are not the outputs of the network in their order: "
                    "pass classes=[ready.classes[int(name)] for name in dataset.classes]"
                )
    told, said = match_classes(names or (), card), match_classes([(name,) for name in given], card)
    for label, (true, claimed) in enumerate(zip(told, said, strict=False)):
        if true >= 0 and claimed >= 0 and true != claimed:
            raise SevisError(
                f"label {label} is called {names[label][0]!r} by the data set ({card.classes[true]}), but {given[label]!r} by classes: "  # type: ignore[index]
                "leave classes out, or give the names in the order of the labels"
            )


def peek(loader: Any) -> tuple[object, Iterator[Any]]:
    """Return the first batch of a loader, and all of them. Raises SevisError where there is none."""
    try:
        batches = iter(loader)
    except TypeError:
        raise SevisError(
            f"expected a loader of (inputs, labels), got {type(loader).__name__}: pass a DataLoader, or a list of batches"
        ) from None
    for first in batches:
        return first, chain([first], batches)
    raise SevisError(
        "the loader gave no batch: make it anew, for an iterator is used up by its first use, and see that its data set has images"
    )


def label_key(batch: object) -> str:
    """Return under which key a batch has its labels; empty where it is no dictionary."""
    return image_and_label(batch)[1] if isinstance(batch, Mapping) else ""


def read_batch(ready: ReadyModel, batch: Any, *, classes: int) -> Labelled:
    """Return the inputs and labels of a batch, as a network takes them.

    Args:
        ready: the network.
        batch: (inputs, labels), (inputs, labels, indices in the data set), or a dictionary; or one of `sevis.data.loader.make_loader`.
        classes: how many there are.

    Raises:
        SevisError: for what is none of these, or cannot be inputs or labels.
    """
    if isinstance(batch, Batch):
        return Labelled(batch.inputs, batch.labels.numpy(), batch.ids.numpy(), batch.broken)
    if isinstance(batch, Mapping):
        inputs, labels, *more = [batch[key] for key in image_and_label(batch)]
    elif isinstance(batch, tuple | list) and len(batch) in (2, 3):
        inputs, labels, *more = batch
    else:
        raise SevisError(f"expected batches of (inputs, labels), got {describe_value(batch)}: let the loader give both")
    inputs = _read_inputs(ready, inputs)
    ids = _read_ids(more[0], len(inputs)) if more and more[0] is not None else None
    return Labelled(inputs, read_labels(labels, images=len(inputs), classes=classes), ids)


def _read_ids(ids: Any, images: int) -> NDArray[np.int64]:
    try:
        return read_labels(ids, images=images)
    except SevisError:
        raise SevisError(
            f"expected the third part of a batch to be the images' indices in their data set, got {describe_value(ids)}: leave it out"
        ) from None


def _read_inputs(ready: ReadyModel, inputs: Any) -> Tensor:
    """Return the inputs of a batch as a tensor of floats. Raises SevisError for what cannot be inputs of the network."""
    if isinstance(inputs, list | tuple) and inputs and all(isinstance(value, Tensor | np.ndarray) for value in inputs):
        if len({tuple(value.shape) for value in inputs}) > 1:
            raise SevisError(f"the inputs of a batch have different shapes, such as {_shapes(inputs)}: {CURE}")
        inputs = torch.stack([torch.as_tensor(value) for value in inputs])
    inputs = torch.as_tensor(inputs) if isinstance(inputs, np.ndarray) else inputs
    if isinstance(inputs, list | tuple) and any(isinstance(value, Tensor | np.ndarray) for value in inputs):
        raise SevisError(
            "the loader gives images with their labels one by one, expected (inputs, labels) of a whole batch: let it put them together, "
            "as the collate_fn of a DataLoader does by default"
        )
    if not isinstance(inputs, Tensor):
        raise SevisError(f"expected inputs as a tensor (N, 3, H, W), got {describe_value(inputs)}: {CURE}")
    if not inputs.is_floating_point():
        raise SevisError(f"the inputs are {describe_value(inputs)}, but the network takes floats: {CURE}")
    if isinstance(ready.preprocess, Preprocessing):
        _check_images(inputs, ready.preprocess)
    return inputs


def _shapes(inputs: Sequence[Any]) -> str:
    return " and ".join(map(str, sorted({tuple(value.shape) for value in inputs})[:2]))


def _check_images(inputs: Tensor, preprocess: Preprocessing) -> None:
    """Refuse what is no batch of normalised RGB images."""
    shape = tuple(inputs.shape)
    if inputs.ndim != 4 or shape[1] != 3:
        last = " (its channels come last: permute(0, 3, 1, 2))" if inputs.ndim == 4 and shape[3] == 3 else ""
        alone = " (a single image: add the dimension of the batch, [None])" if inputs.ndim == 3 and shape[0] == 3 else ""
        raise SevisError(f"expected inputs of shape (N, 3, H, W), got {shape}{last}{alone}: {CURE}")
    limit = FAR * max(max(abs(0 - mean), abs(1 - mean)) / std for mean, std in zip(preprocess.mean, preprocess.std, strict=True))
    largest = float(inputs.abs().amax()) if inputs.numel() else 0.0
    if not math.isfinite(largest):
        raise SevisError(f"the inputs hold values that are not finite (NaN or infinite): {CURE}")
    if largest > limit:
        raise SevisError(f"the inputs hold values as large as {largest:g}, which no normalised image has, but one of 0 to 255 has: {CURE}")
