"""Is the gate dynamic? What a network loses when its scales s may not answer to the image: block by block, in its last stage, and in all.

`sevis.analysis.audit` has its numbers, and reads and writes them without torch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from sevis.analysis.audit import ALL, CHANGES, OWN, STEPS, Audit, AuditProvenance, Outcome, ParameterCounts
from sevis.blocks.changes import addressed
from sevis.blocks.hooks import capture, override
from sevis.blocks.sites import Site, require_sites
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.data.datasets import ImageDataset
from sevis.data.labels import find_names
from sevis.data.labels_file import some
from sevis.data.loader import per_class
from sevis.data.preprocessing import ImagePreprocessing
from sevis.errors import SevisError
from sevis.experiments.batches import run_batches
from sevis.experiments.collection import gates_of, provenance
from sevis.experiments.ready import float_type, require_images
from sevis.networks.costs import count_parameters, count_projections
from sevis.paper import address_of, stage_of
from sevis.weights.loading import ReadyModel
from sevis.weights.matching import has_names, match_classes

Indices = NDArray[np.intp]


T = TypeVar("T")


@dataclass(frozen=True)
class AuditSample:
    """The images that are tested, in a random order in which a batch mixes the classes.

    Attributes:
        dataset: where they come from.
        preprocess: how they become inputs.
        images: their indices in the data set, shape (N,).
        outputs: the network's output for each one's class, shape (N,).
        halves: 0 or 1, shape (N,): the half that each belongs to; the images of a class are divided evenly.
    """

    dataset: ImageDataset
    preprocess: ImagePreprocessing
    images: Indices
    outputs: Indices
    halves: Indices

    def __len__(self) -> int:
        return len(self.images)

    def inputs(self, start: int, stop: int) -> Tensor:
        """Return the inputs of the images from `start` to `stop` in a circle, where the first follows the last: shape (n, 3, S, S)."""
        indices = self.images[np.arange(start, stop) % len(self)].tolist()
        return torch.stack([torch.from_numpy(self.preprocess(self.dataset[index][0])) for index in indices])


def audit(
    ready: ReadyModel, dataset: ImageDataset, *, batch_size: int = 64, seed: int = 0, say: Callable[[str], None] | None = None
) -> Audit:
    """Test a network as it is, and with other scales in each block, in its last stage and in all blocks.

    They are opened (s = 1), levelled (one number a block), frozen (one a channel) and shuffled (those of another image). Images of classes
    that the network does not know are left out; a prediction is the highest of all of its outputs. A frozen scale is its mean over one
    half of the images and is tested on the other half; the level of a block is the mean of its frozen scales over the channels. To be
    shuffled, the images stand in a random circle, and each gets the scales of the next. It takes two passes over the data set, each of
    which decodes an image once.

    Args:
        ready: the network, from `sevis.load` or `sevis.wrap`, in evaluation mode.
        dataset: its classes are found among the network's outputs by their WordNet ids or their names, see `match_classes`.
        batch_size: images in one forward pass; it changes the speed only.
        seed: of the halves and of the circle.
        say: told in a sentence when the memory does not suffice for the batch size.

    Raises:
        SevisError: when the network has no SE block, is in training mode, takes no images, does not know the data set's classes, or fewer
            than two images are left.
    """
    require_images(ready)
    if not isinstance(dataset, ImageDataset):
        raise SevisError(
            f"expected a data set of sevis.data.datasets.open_dataset, got {type(dataset).__name__}: open its folder with that"
        )
    sites = require_sites(ready.model)
    sample = draw_sample(ready, dataset, seed)
    run = _Passes(sample, batch_size, say or tqdm.write)
    with torch.inference_mode():
        means = run.mean_scales(ready, sites)
        right = run.right(ready, _variants(sites), means)
    real, *changed = right.T
    found: dict[str, dict[str, NDArray[np.bool_]]] = {}
    for (address, change), hits in zip(_variants(sites), changed, strict=True):
        found.setdefault(address, {OWN: real})[change] = hits
    outcomes = {address: {change: _compare(real, part[change]) for change in CHANGES} for address, part in found.items()}
    steps = {
        address: {step: _compare(part[before], part[after]) for step, (before, after) in STEPS.items()} for address, part in found.items()
    }
    known = provenance(ready) | _describe(sample) | {"outputs": len(ready.classes), "seed": seed}
    parameters = count_gate_parameters(ready.model, sites)
    return Audit(outcomes=outcomes, steps=steps, parameters=parameters, metadata=msgspec.convert(known, AuditProvenance))


def _compare(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> Outcome:
    """Return the outcome of a change from which images are right before it and after it, each of shape (N,)."""
    return Outcome(len(before), int(before.sum()), int((before & ~after).sum()), int((~before & after).sum()))


def draw_sample(ready: ReadyModel, dataset: ImageDataset, seed: int) -> AuditSample:
    """Return the images whose classes the network knows, in a random order and two halves, the same for the same seed.

    Raises:
        SevisError: when the network knows none of the classes, or fewer than two images are left.
    """
    labels = _outputs(ready, dataset)[list(dataset.labels)]
    generator = np.random.default_rng(seed)
    order = generator.permutation(np.flatnonzero(labels >= 0))
    if len(order) < 2:
        raise SevisError(f"expected at least two images of {dataset.name} in classes of {ready.card.name}, got {len(order)}")
    halves = np.empty(len(order), dtype=np.intp)
    halves[np.argsort(labels[order], kind="stable")] = np.arange(len(order)) % 2  # in turns: so every class is divided evenly
    return AuditSample(dataset, ready.preprocess, order, labels[order], halves)


def _outputs(ready: ReadyModel, dataset: ImageDataset) -> NDArray[np.int64]:
    """Return the network's output for each class of the data set, shape (K,); -1 for one that it does not know."""
    if not has_names(ready.card):
        raise SevisError(
            f"the outputs of {ready.card.name} have no names, so nothing says which of them is right for a class: name them in sevis.wrap "
            "(classes=) or sevis add (--classes)"
        )
    wnids, found = ready.card.wnids, match_classes(find_names(dataset) or (), ready.card)
    if wnids:
        if found.max() < 0:
            raise SevisError(
                f"{ready.card.name} knows none of the {len(dataset.wnids)} classes of {dataset.name} ({some(dataset.wnids)}): "
                f"expected folders named by their class ids or names, such as {wnids[0]}"
            )
        return found
    if len(found) != len(ready.classes) or found.min() < 0:
        raise SevisError(
            f"{ready.card.name} has no WordNet ids, so the classes of {dataset.name} must be its own: expected {len(ready.classes)} "
            f"({some(ready.classes)}), got {len(dataset.classes)} ({some(dataset.classes)})"
        )
    return found


@dataclass(frozen=True)
class _Passes:
    """The passes of an audit over its sample."""

    sample: AuditSample
    batch_size: int
    say: Callable[[str], None]

    def mean_scales(self, ready: ReadyModel, sites: Sequence[Site]) -> dict[str, Tensor]:
        """Return the scales of each block, averaged over either half of the images: shape (2, C)."""

        def look(ready: ReadyModel, part: slice) -> tuple[slice, dict[str, dict[str, NDArray[np.float32]]]]:
            with capture(ready.model) as record:
                ready.logits(self.sample.inputs(part.start, part.stop).to(ready.device, float_type(ready.model)))
            return part, gates_of(record)

        statistics = ClassStatistics({site.name: site.channels for site in sites}, ("one half", "the other"))
        for part, gates in self._batches(ready, look, "averaging the gates"):
            statistics.update(self.sample.halves[part], gates)
        return {site: torch.from_numpy(statistics.mean(site)).float() for site in statistics.sites}

    def right(self, ready: ReadyModel, variants: Sequence[tuple[str, str]], means: Mapping[str, Tensor]) -> NDArray[np.bool_]:
        """Return whether each image is recognised, with the network's own scales and in each variant: shape (N, 1 + variants)."""

        def test(ready: ReadyModel, part: slice) -> NDArray[np.bool_]:
            inputs = self.sample.inputs(part.start, part.stop + 1).to(ready.device, float_type(ready.model))  # and one more, for its scales
            with capture(ready.model) as record:
                logits = [ready.logits(inputs)[:-1]]
            others = 1 - self.sample.halves[part]
            scales = {
                "open": dict.fromkeys(record, torch.ones(())),
                "level": {site: mean.mean(dim=1, keepdim=True).expand_as(mean)[others] for site, mean in means.items()},
                "frozen": {site: mean[others] for site, mean in means.items()},
                "shuffled": {site: block.scale[1:] for site, block in record.items()},
            }
            for address, change in variants:
                chosen = {site.name: scales[change][site.name] for site in addressed(address, record.sites)}
                with override(ready.model, chosen):
                    logits.append(ready.logits(inputs[:-1]))
            first = torch.stack([part.argmax(dim=1) for part in logits], dim=1)
            return np.asarray(first.cpu().numpy() == self.sample.outputs[part, None])

        return np.concatenate(list(self._batches(ready, test, f"auditing {ready.card.name}")))

    def _batches(self, ready: ReadyModel, work: Callable[[ReadyModel, slice], T], what: str) -> Iterator[T]:
        """Yield the results of all batches, with a progress bar."""
        with tqdm(total=len(self.sample), desc=what, unit="image") as bar:

            def counted(ready: ReadyModel, part: slice) -> tuple[int, T]:
                return part.stop - part.start, work(ready, part)

            for count, result in run_batches(ready, len(self.sample), counted, batch_size=self.batch_size, say=self.say):
                bar.update(count)
                yield result


def _variants(sites: Sequence[Site]) -> list[tuple[str, str]]:
    """Return what is tested: addresses (every block, the last stage, all blocks) and what becomes of their scales."""
    stage = address_of(stage_of(sites[-1].name))
    return [(address, change) for address in (*(site.name for site in sites), stage, ALL) for change in CHANGES]


def count_gate_parameters(model: nn.Module, sites: Sequence[Site]) -> ParameterCounts:
    """Return the parameters of a network, of its SE blocks, and of those of its last stage."""
    stage = address_of(stage_of(sites[-1].name))
    return ParameterCounts(
        network=count_parameters(model),
        se=count_projections(model, sites),
        se_last_stage=count_projections(model, addressed(stage, sites)),
    )


def _describe(sample: AuditSample) -> dict[str, str | int]:
    dataset, classes = sample.dataset, len(np.unique(sample.outputs))
    told: dict[str, str | int] = {"data": dataset.name, "split": dataset.split, "classes": classes}
    return told | {"images": len(sample), "images_left_out": len(dataset) - len(sample)} | per_class(dataset)
