"""Batches of labelled images for a network, decoded by worker processes; what cannot be read is named and left out."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset

from sevis.data.datasets import ImageDataset
from sevis.data.labels import Names, class_names, find_names, image_and_label, read_labels
from sevis.data.preprocessing import ImagePreprocessing
from sevis.data.sources import printable
from sevis.errors import SevisError, one_line


class LabelledImages(Protocol):
    """Any map-style data set of (PIL image, class index), such as `ImageDataset`, or one of torchvision's made without a transform."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> tuple[Image.Image, int]: ...


class Broken(NamedTuple):
    """An image that could not be read: its index in the data set, its name, and what is wrong with it."""

    id: int
    name: str
    reason: str


class Batch(NamedTuple):
    """Images of a data set, as a network takes them.

    Attributes:
        inputs: float32, shape (N, 3, S, S).
        labels: int64, shape (N,).
        ids: the images' indices in the data set, int64, shape (N,).
        broken: those that would be among them, had they been readable.
    """

    inputs: Tensor
    labels: Tensor
    ids: Tensor
    broken: tuple[Broken, ...] = ()


def make_loader(
    dataset: LabelledImages,
    preprocess: ImagePreprocessing,
    *,
    batch_size: int = 64,
    workers: int = 0,
    numbers: Iterable[int] | None = None,
) -> DataLoader[Batch]:
    """Return the batches of a data set, in order.

    Args:
        dataset: of (PIL image, class index).
        preprocess: how an image becomes an input.
        batch_size: images in a batch.
        workers: processes that decode; 0: this one.
        numbers: which of the batches, counted from 0; None: all. What is in a batch never depends on it.
    """
    batches = _Batches(dataset, preprocess, batch_size)
    return DataLoader(
        batches,
        batch_size=None,
        sampler=range(len(batches)) if numbers is None else numbers,
        num_workers=workers,
        collate_fn=_as_it_is,  # type: ignore[arg-type]
        pin_memory=torch.cuda.is_available(),
    )


class _Batches(Dataset[Batch]):
    """Whole batches by their numbers, so that a worker decodes a batch and nothing is put together in the process that computes."""

    def __init__(self, dataset: LabelledImages, preprocess: ImagePreprocessing, size: int) -> None:
        self.dataset, self.preprocess, self.size = dataset, preprocess, size

    @property
    def label_names(self) -> tuple[Names, ...] | None:
        """Return what the labels are called, as the data set says it."""
        return find_names(self.dataset)

    def __len__(self) -> int:
        return math.ceil(len(self.dataset) / self.size)

    def __getitem__(self, number: int) -> Batch:
        start = number * self.size
        read = [self._read(index) for index in range(start, min(start + self.size, len(self.dataset)))]
        good = [image for image in read if not isinstance(image, Broken)]
        shapes = {image[0].shape for image in good}
        if len(shapes) > 1:
            raise SevisError(
                f"the images become inputs of different shapes ({', '.join(map(str, sorted(shapes)))}): let preprocess end in a crop"
            )
        inputs = torch.from_numpy(np.stack([image[0] for image in good])) if good else torch.empty(0)
        labels, ids = (torch.tensor([image[column] for image in good], dtype=torch.int64) for column in (1, 2))
        return Batch(inputs, labels, ids, tuple(image for image in read if isinstance(image, Broken)))

    def _read(self, index: int) -> tuple[np.ndarray[Any, np.dtype[np.float32]], int, int] | Broken:
        item = self._attempt(index, lambda: self.dataset[index])
        if isinstance(item, Broken):
            return item
        item = [item[key] for key in image_and_label(item)] if isinstance(item, Mapping) else item
        if not isinstance(item, tuple | list) or len(item) < 2:
            raise SevisError(f"expected a data set of (PIL image, class index), got items of {type(item).__name__}: let it give both")
        image, label, *_ = item
        if not isinstance(image, Image.Image):
            raise SevisError(f"expected a data set of (PIL image, class index), got {type(image).__name__}: make it without a transform")
        values = self._attempt(index, lambda: self.preprocess(image if image.mode == "RGB" else image.convert("RGB")))
        return values if isinstance(values, Broken) else (values, int(read_labels([label], images=1)[0]), index)

    def _attempt(self, index: int, work: Callable[[], Any]) -> Any:
        """Return what the work gives, or that the image is broken: decoders report damage by whatever the damaged bytes lead to."""
        try:
            return work()
        except MemoryError:
            raise
        except Exception as error:
            name = name_of(self.dataset, index)
            reason = one_line(error).removeprefix(f"{name} of {getattr(self.dataset, 'name', '')}: ")
            return Broken(index, printable(name), printable(reason))


def _as_it_is(batch: Batch) -> Batch:  # picklable, for spawned workers
    return batch


def require_dataset(dataset: object) -> None:
    """Raise SevisError for what has no items by number, such as a loader, a path or an iterable data set."""
    if isinstance(dataset, str | Mapping) or not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise SevisError(
            f"expected a data set with a length, of (PIL image, class index), got {type(dataset).__name__}: sevis.collect takes loaders, "
            "and sevis.data.datasets.open_dataset opens a folder"
        )


def name_of(dataset: LabelledImages, index: int) -> str:
    """Return what an image of a data set is called: its file, where that is known."""
    if isinstance(dataset, ImageDataset):
        return dataset.files[index]
    if isinstance(dataset, Subset):
        return name_of(dataset.dataset, dataset.indices[index])  # type: ignore[arg-type]
    samples = getattr(dataset, "samples", None)  # of torchvision's ImageFolder and its kind
    return str(samples[index][0]) if samples else f"image {index}"


def about(dataset: LabelledImages) -> dict[str, Any]:
    """Return what statistics tell of their data: name, split, class ids or None, fingerprint, and how many of each class were kept."""
    if isinstance(dataset, ImageDataset):
        name, split, fingerprint = dataset.name, dataset.split, dataset.fingerprint()
    else:
        name, split = type(dataset).__name__, str(getattr(dataset, "split", None) or "")
        fingerprint = hashlib.sha256(f"{class_names(dataset)} {_describe(dataset)}".encode()).hexdigest()
    wnids = getattr(dataset, "wnids", None)
    told = {"data": name, "split": split, "wnids": None if wnids is None else list(wnids), "fingerprint": fingerprint}
    return told | per_class(dataset)


def _describe(dataset: object) -> str:
    """Return what tells a data set from others, as far as it can be told without reading its images: its labels, and those of its parts."""
    if isinstance(dataset, ImageDataset):
        return dataset.fingerprint()
    if isinstance(dataset, Subset):
        return f"{_describe(dataset.dataset)} {list(map(int, dataset.indices))}"
    if isinstance(dataset, ConcatDataset):
        return " ".join(map(_describe, dataset.datasets))
    told = getattr(dataset, "_fingerprint", None) or list(map(int, getattr(dataset, "targets", ())))  # Hugging Face keeps one of its own
    return f"{type(dataset).__name__} {len(dataset)} {told}"  # type: ignore[arg-type]


def per_class(dataset: LabelledImages) -> dict[str, int]:
    """Return how many images of each class were kept at most, as provenance; empty for all."""
    kept = getattr(dataset, "per_class", None)
    return {} if kept is None else {"per_class": kept}
