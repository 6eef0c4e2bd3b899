"""The labels of anybody's data set: what they are called, and where an item or a batch has them. A name is found, never guessed."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import ChainDataset, ConcatDataset, Dataset, Subset

from sevis.data.datasets import ImageDataset, unique
from sevis.errors import SevisError

Names = tuple[str, ...]  # what one class is called, the name for people first; empty where it has no name

IMAGES = ("pixel_values", "image", "images", "img", "imgs", "input", "inputs", "x", "data")
LABELS = ("label", "labels", "target", "targets", "y", "class", "fine_label", "coarse_label")
MOST = 10**6  # classes: a larger number is no label
NAMED = 4  # names in one sentence


def find_names(data: object, *, key: str = "") -> tuple[Names, ...] | None:
    """Return what the labels 0, 1, ... of a data set are called, as it says itself; None where it does not.

    It is looked for in a loader's data set; through Subset, ConcatDataset and ChainDataset; in `class_to_idx`, `classes`, `categories` and
    `wnids` (torchvision and its kind), in `reader` (timm), and in the `features` of a data set of Hugging Face. A data set whose labels a
    `target_transform` changes does not say what they are called, and nor does one that is wrapped by an unknown class.

    Args:
        data: a loader or a data set.
        key: under which its items have the label, where they are dictionaries.

    Raises:
        SevisError: for a ConcatDataset whose parts call the same label by different names.
    """
    is_loader = not isinstance(data, Dataset) and not hasattr(data, "__getitem__") and hasattr(data, "dataset")
    if isinstance(data, Subset) or is_loader:
        return _names_told(data) or find_names(data.dataset, key=key)  # type: ignore[attr-defined]
    if isinstance(data, ConcatDataset | ChainDataset):
        return _names_told(data) or _common_names([find_names(part, key=key) for part in data.datasets])
    if hasattr(data, "iterable"):  # of tqdm
        return find_names(data.iterable, key=key)
    if getattr(data, "target_transform", None) is not None:
        return None
    if getattr(data, "_target_types", ["category"]) != ["category"]:
        return None  # of torchvision's pets, whose labels are then cat or dog, and whose classes are still the breeds
    return _names_told(data) or _names_of_features(getattr(data, "features", None), key) or _names_told(getattr(data, "reader", None))


def _common_names(parts: Sequence[tuple[Names, ...] | None]) -> tuple[Names, ...] | None:
    """Return the names of parts of one data set, which must be alike."""
    first = parts[0]
    for other in parts[1:]:
        if first is not None and other is not None and first != other:
            shorter = min(len(first), len(other))
            label = next((label for label in range(shorter) if first[label] != other[label]), shorter)
            names = [repr(part[label][0]) if label < len(part) and part[label] else "none" for part in (first, other)]
            raise SevisError(
                f"the parts of the data set name their labels differently (label {label} is {names[0]} in one and {names[1]} in another): "
                "collect each part alone"
            )
    return None if any(part is None for part in parts) else first


def _names_told(data: object) -> tuple[Names, ...] | None:
    """Return the names in a data set's own attributes."""
    told: tuple[Names, ...] | None = getattr(data, "label_names", None)  # of our own batches
    if told is not None:
        return told
    numbers, wnids = getattr(data, "class_to_idx", None), getattr(data, "wnids", None)
    classes = getattr(data, "classes", getattr(data, "categories", None))
    if isinstance(classes, Mapping):
        numbers, classes = numbers or classes, None
    listed = _listed(classes)
    mapped = _by_number(numbers) if isinstance(numbers, Mapping) and not isinstance(data, ImageDataset) else []
    if mapped and not all(set(one) & set(other) for one, other in zip(mapped, listed, strict=False)):
        listed = []  # the mapping is what makes the labels; the list may be in another order
    parts = [part for part in (listed, mapped, _listed(wnids)) if part]
    if not parts:
        return None
    length = max(map(len, parts))
    return tuple(
        tuple(dict.fromkeys(name for part in parts for name in (part[label] if label < len(part) else ()))) for label in range(length)
    )


def _listed(names: object) -> list[Names]:
    return [_spellings(name) for name in names] if isinstance(names, list | tuple | np.ndarray) else []


def _spellings(name: object) -> Names:
    return tuple(map(str, name)) if isinstance(name, tuple | list) else (str(name),)  # torchvision's ImageNet has several names for one


def _by_number(numbers: Mapping[Any, Any]) -> list[Names]:
    """Return the names of a mapping from names to labels, or from labels to names, by label; nothing where it is none of them."""
    pairs = list(numbers.items())
    if not all(isinstance(label, Integral) for label in numbers):
        pairs = [(label, name) for name, label in pairs]
    if not pairs or not all(isinstance(label, Integral) and 0 <= int(label) < MOST for label, _ in pairs):
        return []
    found: list[Names] = [()] * (1 + max(int(label) for label, _ in pairs))
    for label, name in pairs:
        found[label] += _spellings(name)
    return found


def _names_of_features(features: object, key: str) -> tuple[Names, ...] | None:
    """Return the names of the one ClassLabel among the features of a data set of Hugging Face, or of that which `key` names."""
    if not isinstance(features, Mapping):
        return None
    known = {name: feature.names for name, feature in features.items() if isinstance(getattr(feature, "names", None), list)}
    names = known.get(key) or (next(iter(known.values())) if len(known) == 1 else None)
    return None if names is None else tuple((str(name),) for name in names)


def names_for_people(names: Sequence[Names]) -> tuple[str, ...]:
    """Return one name a class, no two alike: where several have the same, each with its other name, else with its number."""
    firsts = [(name or (f"label {label}",))[0] for label, name in enumerate(names)]
    keys = [next((other for other in name[1:]), str(label)) for label, name in enumerate(names)]
    keys = keys if len(set(keys)) == len(keys) else list(map(str, range(len(keys))))
    return unique(dict(zip(keys, firsts, strict=True)))


def read_names(classes: object, what: str = "classes") -> tuple[str, ...]:
    """Return the names of classes as somebody gives them: a list, a mapping between names and numbers, or a ClassLabel of Hugging Face.

    No two of them are alike: where two were, each has its number.

    Raises:
        SevisError: for anything else, such as one string, no name, or a set, which has no order.
    """
    classes = getattr(classes, "names", classes)
    if isinstance(classes, set | frozenset):
        raise SevisError(f"expected {what} in the order of their indices, got a set, which has no order: pass a list")
    if isinstance(classes, Mapping):
        if all(isinstance(key, str) and key.isdecimal() for key in classes) and all(isinstance(name, str) for name in classes.values()):
            classes = {int(key): name for key, name in classes.items()}  # as JSON writes numbers
        names = _by_number(classes)
        if not names or not all(names):
            raise SevisError(f"expected {what} as names by number, or numbers from 0 by name, without a gap, got {_some(classes)}")
        return names_for_people(names)
    listed = None if isinstance(classes, str | bytes) or not hasattr(classes, "__iter__") else list(classes)
    if not listed or not all(isinstance(name, str) for name in listed):
        got = repr(classes) if listed is None else _some(listed)
        raise SevisError(f"expected {what} as a list of names, one for each, got {got}: such as ['cat', 'dog']")
    return names_for_people([(str(name),) for name in listed])


def _some(names: Any) -> str:
    return f"{', '.join(repr(name) for name in list(names)[:NAMED])}{', ...' if len(names) > NAMED else ''}" or "nothing"


def class_names(dataset: object) -> tuple[str, ...]:
    """Return the names of a data set's classes, in the order of their indices. Raises SevisError where it does not tell them."""
    if isinstance(dataset, ImageDataset):
        return dataset.classes
    names = find_names(dataset)
    if not names and getattr(dataset, "target_transform", None) is not None:
        raise SevisError(
            f"{type(dataset).__name__} changes its labels by a target_transform, and does not say what they are called then: take it off"
        )
    if not names:
        raise SevisError(f"{type(dataset).__name__} does not name its classes: give it an attribute `classes`, one name for each index")
    return names_for_people(names)


def image_and_label(item: Mapping[Any, Any]) -> tuple[str, str]:
    """Return under which keys a dictionary has its images and its labels. Raises SevisError where that is not clear."""
    found = []
    for what, known in (("images", IMAGES), ("labels", LABELS)):
        keys = [key for key in known if key in item]
        if len(keys) != 1:
            there = ", ".join(map(repr, item)) or "nothing"
            raise SevisError(
                f"expected a dictionary with its {what} under one of the keys {', '.join(known)}, got {there}: rename the key, or yield "
                "(inputs, labels)"
            )
        found += keys
    return found[0], found[1]


def read_labels(labels: Any, *, images: int, classes: int | None = None) -> NDArray[np.int64]:
    """Return the labels of a batch, shape (N,): from class indices as a tensor, an array or a list, also as (N, 1), or one-hot.

    Args:
        labels: as a loader gives them.
        images: N.
        classes: how many there are; None: not known.

    Raises:
        SevisError: for anything else, such as soft labels, several labels an image, masks or texts.
    """
    try:
        listed = [_array(label) for label in labels] if isinstance(labels, list | tuple) else labels
        found = np.atleast_1d(np.stack(listed) if isinstance(listed, list) and listed else _array(listed))
    except (TypeError, ValueError, RuntimeError):
        raise SevisError(f"expected one class index for each image as labels, got {type(labels).__name__}: {_CURE}") from None
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim == 2 and found.dtype.kind in "biuf":
        found = _from_one_hot(found, classes)
    if found.ndim != 1 or found.dtype.kind not in "biuf":
        raise SevisError(f"expected one class index for each image as labels, got {found.dtype} of shape {found.shape}: {_CURE}")
    if found.dtype.kind == "f" and not (found == np.round(found)).all():
        raise SevisError(f"expected class indices as labels, got numbers such as {found[found != np.round(found)][0]:g}: {_CURE}")
    if len(found) != images:
        raise SevisError(f"expected {images} labels for {images} images, got {len(found)}: give every image one label")
    return found.astype(np.int64)


_CURE = "let the loader give the indices of the classes, from 0"


def _array(values: Any) -> NDArray[Any]:
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = values.float().numpy() if values.dtype == torch.bfloat16 else values.numpy()
    return np.asarray(values)


def _from_one_hot(labels: NDArray[Any], classes: int | None) -> NDArray[np.int64]:
    """Return class indices for rows of zeros with a single one. Raises SevisError for other rows, or another width."""
    if not (np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all()):
        soft = np.allclose(labels.astype(np.float64).sum(axis=1), 1, atol=1e-3) and (labels >= 0).all()
        kind = "soft labels, as MixUp, CutMix and label smoothing make them" if soft else "several numbers for each image"
        raise SevisError(f"expected one class index for each image as labels, got {kind} (shape {labels.shape}): {_CURE}")
    if classes is not None and labels.shape[1] != classes:
        raise SevisError(f"the one-hot labels have {labels.shape[1]} classes, but {classes} are named: name all of them, in their order")
    return np.asarray(labels.argmax(axis=1), np.int64)
