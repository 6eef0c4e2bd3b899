"""A model and labelled images become class statistics, in one pass and constant memory: the only file that joins the two.

What is collected is written to `CollectOptions.out`. By default, sevis collect writes where the app looks for it: `Card.place`.
"""

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tqdm import tqdm

from sevis.analysis.depth import depth_profile
from sevis.analysis.saved_profile import profile_path, save_profile
from sevis.blocks.hooks import capture
from sevis.blocks.record import Record
from sevis.blocks.sites import require_sites
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.histograms import default_sample
from sevis.class_statistics.moments import QUANTITIES
from sevis.data.labels import class_names
from sevis.data.loader import Batch, Broken, LabelledImages, about, make_loader, require_dataset
from sevis.distributed import Shard
from sevis.errors import SevisError, one_line
from sevis.experiments.batches import is_exhaustion
from sevis.experiments.loaders import Labelled, label_key, name_labels, peek, read_batch
from sevis.experiments.ready import float_type, require_images, require_ready
from sevis.experiments.resume import EVERY, PartialFile
from sevis.settings import VERSION
from sevis.weights.loading import ReadyModel

# A collection stops when more images than this cannot be read: a share, which tells large data that lie broken, and a number, for a few
# broken files are found among any photos and are more than a share of few. But never more than half of them.
BROKEN_SHARE, BROKEN_NUMBER = 0.01, 10
NAMED = 100  # broken images


@dataclass(frozen=True, kw_only=True)
class CollectOptions:
    """How a data set is collected.

    Attributes:
        batch_size: images in one forward pass.
        workers: processes that decode images; 0: this one.
        bf16: whether the network computes in bfloat16 where that is safe (autocast).
        channels_last: whether its inputs lie channels last in memory, which is quicker for convolutions on GPUs in half precision.
        sample: whole gate vectors kept of each class; None: 50, less where they would take more than 256 MB.
        seed: of the choice of those.
        out: the file to write; beside it lies what an unfinished run has so far. None: nothing is written.
        compact: whether that file is compact, see `ClassStatistics.compacted`, with the depth profile beside it; what is returned is not.
        untrained: class statistics of the same network with random weights, on the same images, for a compact file's depth profile.
        resume: whether to go on from there.
        save_every: seconds between two savings of what there is so far.
        progress: whether to draw a progress bar on standard error.
    """

    batch_size: int = 64
    workers: int = 0
    bf16: bool = False
    channels_last: bool = False
    sample: int | None = None
    seed: int = 0
    out: Path | None = None
    compact: bool = False
    untrained: Path | None = None
    resume: bool = False
    save_every: float = EVERY
    progress: bool = True


def collect(
    ready: ReadyModel, loader: Iterable[Any], *, classes: Sequence[str] | Mapping[str, int] | None = None, sample: int | None = None
) -> ClassStatistics:
    """Run every batch of a loader through a model and keep, per class, block and channel, what `ClassStatistics` holds.

    Args:
        ready: the network, from `sevis.load` or `sevis.wrap`, in evaluation mode.
        loader: yields inputs (N, 3, S, S), as `ready.preprocess` makes them, labels (N,) as class indices or one-hot, and the images'
            indices in their data set (N,), by default counted on from 0; or dictionaries with inputs and labels. See `make_loader`, whose
            batches also tell of images that cannot be read.
        classes: the names of the labels, from label 0 on. None: as the loader's data set calls them (see `sevis.data.labels.find_names`),
            which must be classes of the network; the statistics then have the network's names for them.
        sample: how many whole gate vectors of each class are kept; None: 50, less where they would take more than 256 MB.

    Raises:
        SevisError: where nothing says what the labels are called, or the data set's classes are not the network's; for a network in
            training mode, batches that are not understood, a label without a class; and when too many of the images cannot be read
            (`most_broken`).
    """
    require_ready(ready)
    first, batches = peek(loader)
    labels = name_labels(ready, loader, classes, key=label_key(first))
    known = provenance(ready) | ({} if labels.wnids is None else {"wnids": list(labels.wnids)})
    statistics = _empty(ready, labels.names, known, sample)
    work = _Pass(ready, statistics, CollectOptions())
    work.run(batches)
    _finish(statistics, work.broken)
    return statistics


def collect_dataset(
    ready: ReadyModel, dataset: LabelledImages, *, options: CollectOptions | None = None, shard: Shard | None = None
) -> ClassStatistics:
    """Collect from a data set, with a progress bar and the data's provenance; it can be resumed, and shared by several processes.

    What is in a batch depends neither on the processes nor on how often a run was cut off; so the numbers do not, either.

    Args:
        ready: the network, from `sevis.load` or `sevis.wrap`, in evaluation mode.
        dataset: of (PIL image, class index), with the names of its `classes`: an `ImageDataset`, one of torchvision's or Hugging Face's,
            or a Subset of one. The statistics have these names; they need not be the network's.
        options: see there.
        shard: this process's part, from `sevis.distributed.joined`; None: all of it.

    Returns:
        The statistics; in every process but the first, those of its own part.

    Raises:
        SevisError: for what is no such data set; when too many of the images cannot be read (`most_broken`), and when what there is to
            resume is of another run, or other processes do not do the same.
    """
    preprocess, options, shard = require_images(ready), options or CollectOptions(), shard or Shard()
    require_dataset(dataset)
    names, told = class_names(dataset), about(dataset)
    metadata = provenance(ready, bf16=options.bf16) | told | {"seed": options.seed}
    statistics, done = _empty(ready, names, metadata, options.sample), 0
    work = _Pass(ready, statistics, options)
    facts = _facts(statistics, options)
    partial = None if options.out is None else PartialFile(options.out, facts, shard, options.save_every, _say)
    if partial and (left := partial.open(resume=options.resume)):
        begun, state = left
        statistics.merge(begun)
        statistics.metadata["date"] = begun.metadata["date"]  # the day when it began
        work.broken.add(state["broken"], count=state["broken_count"])
        done = state["batches"]
    shard.agree(facts)  # before any of them saves what others might take for a left-over
    numbers = shard.numbers(math.ceil(len(dataset) / options.batch_size))
    loader = make_loader(dataset, preprocess, batch_size=options.batch_size, workers=options.workers, numbers=numbers[done:])
    images = [min(options.batch_size, len(dataset) - number * options.batch_size) for number in numbers]

    def watched() -> Iterator[Batch]:
        text = f"collecting {ready.card.name}" + (f", process 1 of {shard.world}" if shard.world > 1 else "")
        hidden = not options.progress or shard.rank > 0  # the first process draws that of its own images
        with tqdm(total=sum(images), initial=sum(images[:done]), desc=text, unit=" images", disable=hidden) as bar:
            for number, batch in enumerate(loader, start=done + 1):
                yield batch
                bar.update(len(batch.ids) + len(batch.broken))
                work.broken.check(len(dataset))
                if partial and partial.due:
                    work.beside.submit(partial.keep, statistics, batches=number, **work.broken.told()).result()

    work.run(watched())
    _join(statistics, work.broken, shard, options)
    if partial:
        partial.remove()
    return statistics


def most_broken(images: int) -> int:
    """Return how many of so many images may be broken: 1 % of them; where that is less than ten, ten, or half of them."""
    return max(int(BROKEN_SHARE * images), min(BROKEN_NUMBER, images // 2))


@dataclass
class _BrokenImages:
    """How many images could not be read, and the first of them."""

    count: int = 0
    first: list[Broken] = field(default_factory=list)

    def add(self, found: Iterable[Sequence[Any]], *, count: int) -> None:
        self.count += count
        self.first = sorted({*self.first, *(Broken(*image) for image in found)})[:NAMED]

    def check(self, images: int) -> None:
        """Raise SevisError when they are more than may be broken among so many images."""
        if self.count > most_broken(images):
            _, name, reason = self.first[0]
            raise SevisError(
                f"{self.count} of {images} images cannot be read, but at most {most_broken(images)} may be unreadable: repair or "
                f"remove them; the first is {name}: {reason}"
            )

    def told(self) -> dict[str, Any]:
        """Return what `add` takes again, as JSON holds it."""
        return {"broken": self.first, "broken_count": self.count}


@dataclass(frozen=True)
class _Pass:
    """One pass of a network over labelled images.

    Attributes:
        beside: the one thread that touches the statistics, in the order of the batches, while the network computes the next one.
        taken: the shapes of the inputs that the network took.
    """

    ready: ReadyModel
    statistics: ClassStatistics
    options: CollectOptions
    broken: _BrokenImages = field(default_factory=_BrokenImages)
    beside: Executor = field(default_factory=lambda: ThreadPoolExecutor(max_workers=1))
    taken: set[torch.Size] = field(default_factory=set)

    def run(self, loader: Iterable[Any]) -> None:
        """Take every batch of a loader into the statistics."""
        model = self.ready.model
        precision = torch.autocast(self.ready.device.type, torch.bfloat16, enabled=self.options.bf16)
        layout = torch.channels_last if self.options.channels_last else torch.contiguous_format
        update: Future[None] | None = None
        with self.beside, capture(model) as record, torch.inference_mode(), precision:
            for found in loader:
                batch = read_batch(self.ready, found, classes=len(self.statistics.classes))
                self.broken.add(batch.broken, count=len(batch.broken))
                if len(batch.labels):
                    self._forward(batch, layout)
                    gates = gates_of(record)
                    if update:
                        update.result()
                    update = self.beside.submit(self.statistics.update, batch.labels, gates, ids=batch.ids)
            if update:
                update.result()

    def _forward(self, batch: Labelled, layout: torch.memory_format) -> None:
        """Run the network. Raises SevisError where it fails on inputs of a shape that it was not given before."""
        inputs = batch.inputs.to(self.ready.device, float_type(self.ready.model), non_blocking=True)
        try:
            self.ready.model(inputs.contiguous(memory_format=layout) if inputs.ndim == 4 else inputs)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            if inputs.shape[1:] in self.taken or (isinstance(error, RuntimeError) and is_exhaustion(error)):
                raise
            raise SevisError(
                f"{self.ready.card.name} cannot take inputs of shape {tuple(inputs.shape)} ({one_line(error)}): let the loader give what "
                "the network was made for"
            ) from error
        self.taken.add(inputs.shape[1:])


def _join(statistics: ClassStatistics, broken: _BrokenImages, shard: Shard, options: CollectOptions) -> None:
    """Bring together what all processes found, in the first of them, which writes it; the others wait for that."""
    out = options.out
    statistics.metadata |= broken.told()
    for other in _gather(statistics, shard, folder=out and out.parent):
        broken.add(other["broken"], count=other["broken_count"])
    if shard.rank == 0:
        _finish(statistics, broken)
        if out:
            save_statistics(statistics, out, compact=options.compact, untrained=options.untrained)
    shard.meet()


def save_statistics(statistics: ClassStatistics, path: Path, *, compact: bool, untrained: Path | None = None) -> None:
    """Write class statistics; beside a compact file, the depth profile of what it was made from, which has more whole gates."""
    statistics.save(path, compact=compact)
    if compact:
        floor = None if untrained is None else ClassStatistics.load(untrained)
        save_profile(depth_profile(statistics, untrained=floor), statistics, profile_path(path))


def _gather(statistics: ClassStatistics, shard: Shard, *, folder: Path | None = None) -> list[dict[str, Any]]:
    """Merge what all processes found into the statistics of the first; they travel as files do, array by array.

    Args:
        statistics: what this process found.
        shard: which process it is.
        folder: where such a file lies for the time being; None: in the system's folder for temporary files.

    Returns:
        In the first process, the metadata of the others.
    """
    if shard.world == 1:
        return []
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    found = []
    with TemporaryDirectory(prefix="sevis-gathering-", dir=folder) as temporary:
        file = Path(temporary) / "part"
        if shard.rank:
            statistics.save(file)
            shard.send(file)
        for rank in range(1, shard.world if shard.rank == 0 else 1):
            shard.receive(file, rank)
            other = ClassStatistics.load(file)
            statistics.merge(other)
            found.append(other.metadata)
    return found


def _empty(ready: ReadyModel, classes: tuple[str, ...], metadata: dict[str, Any], sample: int | None) -> ClassStatistics:
    channels = {site.name: site.channels for site in require_sites(ready.model)}
    size = default_sample(len(classes), sum(channels.values())) if sample is None else sample
    return ClassStatistics(channels, classes, metadata, sample=size)


def _finish(statistics: ClassStatistics, broken: _BrokenImages) -> None:
    """Check how many images were broken, and tell it."""
    images = int(statistics.count.sum())
    broken.check(images + broken.count)
    statistics.metadata |= {"images": images, "broken": [image.name for image in broken.first], "broken_count": broken.count}


def _facts(statistics: ClassStatistics, options: CollectOptions) -> dict[str, Any]:
    """Return what a resumed run must have in common with the one that was cut off, and processes with each other."""
    told = {name: value for name, value in statistics.metadata.items() if name not in ("date", "wnids", "fingerprint")}
    mine = {"batch size": options.batch_size, "channels last": options.channels_last, "sample": options.sample}
    return told | mine | {"classes": list(statistics.classes), "images or their sizes": statistics.metadata["fingerprint"]}


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)


def gates_of(record: Record) -> dict[str, dict[str, Any]]:
    """Return the arrays of a record that `ClassStatistics.update` takes."""
    return {site: {quantity: getattr(block, quantity).numpy() for quantity in QUANTITIES} for site, block in record.items()}


def provenance(ready: ReadyModel, *, bf16: bool = False) -> dict[str, Any]:
    """Return what made a result: the model, its weights and preprocessing, the software and the day."""
    return {
        "model": ready.card.name,
        "weights": ready.card.sha256,
        "preprocessing": ready.preprocess.describe(),
        "precision": "bfloat16 autocast" if bf16 else str(next(ready.model.parameters()).dtype).removeprefix("torch."),
        "device": ready.device.type,
        "torch": torch.__version__.split("+")[0],
        "sevis": VERSION,
        "date": datetime.now(UTC).date().isoformat(),
    }
