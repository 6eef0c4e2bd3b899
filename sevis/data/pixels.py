"""The images of a data set as batches of uint8, for training: decoded once into memory where they fit, else anew in every epoch."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from sevis.data.datasets import ImageDataset
from sevis.data.preprocessing import Preprocessing
from sevis.distributed import processes_here
from sevis.errors import SevisError

MEMORY_SHARE = 0.4  # of what is free, at most, for decoded images

WORKERS = 16  # processes that decode images, at most
UNKNOWN_MEMORY = 8 * 2**30  # what a system that does not say is taken to have free
EVALUATED = 256  # images in a batch of the evaluation


@dataclass(frozen=True)
class Pixels:
    """Images decoded into memory: uint8 of shape (N, 3, S, S), and their labels (N,), out of `num_classes`."""

    images: Tensor
    labels: Tensor
    num_classes: int

    @classmethod
    def decode(cls, dataset: ImageDataset, preprocess: Preprocessing, device: torch.device, *, bar: bool = True) -> "Pixels":
        """Read every image of a data set, as the network will see it before normalisation, with a bar in the terminal or without."""
        side = preprocess.crop
        images = np.empty((len(dataset), side, side, 3), dtype=np.uint8)
        for index in tqdm(range(len(dataset)), desc=f"reading {dataset.split or dataset.name}", leave=False, disable=not bar):
            images[index] = preprocess.view(dataset[index][0])
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        return cls(pixels.to(device), torch.tensor(dataset.labels, device=device), len(dataset.wnids))

    def pick(self, chunks: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the images of chunks of indices, each (n,) on the CPU: uint8 of shape (n, 3, S, S), and their labels (n,), on the
        device.
        """
        for chunk in chunks:
            chosen = chunk.to(self.labels.device)
            yield self.images[chosen], self.labels[chosen]


@dataclass(frozen=True)
class Streamed:
    """Images that are decoded by processes of their own whenever they are needed, for data sets that no memory holds."""

    dataset: ImageDataset
    preprocess: Preprocessing
    device: torch.device
    labels: Tensor
    num_classes: int

    def pick(self, chunks: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what `Pixels.pick` yields."""
        on_gpu = self.device.type == "cuda"
        workers = min(WORKERS, max(1, (os.cpu_count() or 1) // processes_here()))
        views = _Views(self.dataset, self.preprocess)
        loader = DataLoader(views, batch_sampler=[chunk.tolist() for chunk in chunks], num_workers=workers, pin_memory=on_gpu)
        try:
            for images, labels in loader:
                yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)
        except SevisError as error:  # of a worker, with its traceback before the sentence
            raise SevisError(str(error).strip().rpartition("sevis.errors.SevisError: ")[2]) from None


class _Views(Dataset[tuple[Tensor, int]]):
    """What the network sees of each image, uint8 of shape (3, S, S), and its label."""

    def __init__(self, dataset: ImageDataset, preprocess: Preprocessing) -> None:
        self.dataset, self.preprocess = dataset, preprocess

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image, label = self.dataset[index]
        return torch.from_numpy(np.array(self.preprocess.view(image))).permute(2, 0, 1), label


Images = Pixels | Streamed


def open_images(dataset: ImageDataset, preprocess: Preprocessing, device: torch.device, *, bar: bool = True) -> Images:
    """Return the images of a data set: in the memory of the device where they fit, which `bar` shows in the terminal, else streamed."""
    needed = len(dataset) * 3 * preprocess.crop**2
    if needed <= MEMORY_SHARE * _free_memory(device):
        return Pixels.decode(dataset, preprocess, device, bar=bar)
    return Streamed(dataset, preprocess, device, torch.tensor(dataset.labels, device=device), len(dataset.wnids))


def _free_memory(device: torch.device) -> int:
    """Return the free bytes of a device; of the CPU's memory, through which all images go, the part of one process of torchrun's."""
    own = int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else None
    try:
        rows = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free = int(rows["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, LookupError):  # not Linux
        free = UNKNOWN_MEMORY
    share = free // processes_here()
    return share if own is None else min(own, share)


def evaluation_batches(
    images: Images, preprocess: Preprocessing, size: int, *, per_class: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield normalised float batches in order; of all images, or of the first `per_class` of each class."""
    chosen = torch.arange(len(images.labels))
    if per_class is not None:
        labels = images.labels.cpu()
        chosen = torch.cat([torch.nonzero(labels == label)[:per_class, 0] for label in range(images.num_classes)]).sort().values
    for pixels, labels in images.pick(torch.split(chosen, size)):
        yield normalise(pixels.float() / 255, preprocess), labels


def normalise(images: Tensor, preprocess: Preprocessing) -> Tensor:
    """Subtract the mean and divide by the standard deviation: values in 0..1, shape (N, 3, H, W)."""
    mean = torch.tensor(preprocess.mean, device=images.device)[:, None, None]
    std = torch.tensor(preprocess.std, device=images.device)[:, None, None]
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


def split_batches(order: Tensor, size: int, *, least: int = 2) -> list[Tensor]:
    """Split (N,) into consecutive batches of `size`; a last one of fewer than `least` joins the one before it.

    In training, batch norm needs more than one value a channel, and the last maps of a small image hold one each; of several processes,
    each needs two images.
    """
    batches = list(torch.split(order, size))
    if len(batches) > 1 and len(batches[-1]) < least:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches
