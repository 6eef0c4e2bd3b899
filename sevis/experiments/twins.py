"""A network with SE beside its plain twin, trained with the same recipe on the same images: how much better is it?"""

import msgspec
import torch
from torch import Tensor

from sevis.analysis.intervals import paired_change
from sevis.data.datasets import ImageDataset
from sevis.data.pixels import EVALUATED, evaluation_batches, open_images
from sevis.errors import SevisError
from sevis.networks.costs import measure_cost
from sevis.recipe import Recipe
from sevis.weights.card import TwinComparison, TwinFacts
from sevis.weights.loading import ReadyModel

HOW = (
    "one run of each; the 95 % interval is over the validation images, paired (Agresti and Min 2005), and does not include the "
    "effect of other seeds"
)
FREE = ("model", "reduction", "placement", "stages", "squeeze", "gate", "bias")  # what the recipes of twins may differ in


def compare_twins(gated: ReadyModel, plain: ReadyModel, dataset: ImageDataset) -> TwinComparison:
    """Score both networks on the same images.

    Args:
        gated, plain: with and without SE, both from `sevis train --publish`.
        dataset: the validation images, with the classes of both.

    Raises:
        SevisError: where their recipes or classes differ in more than SE.
    """
    own, other = (_recipe(ready) for ready in (gated, plain))
    differing = [name for name in Recipe.__struct_fields__ if name not in FREE and getattr(own, name) != getattr(other, name)]
    differing += ["data"] if gated.card.data != plain.card.data else []
    if differing or gated.card.wnids != plain.card.wnids or own.model.removeprefix("se_") != other.model:
        raise SevisError(
            f"{gated.card.name} and {plain.card.name} are not twins: they differ in "
            f"{', '.join(differing) or 'their networks or classes'}; train both with the same options"
        )
    right = [_right(ready, dataset) for ready in (gated, plain)]
    lost, won = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
    return TwinComparison(
        name=plain.card.name,
        weights=plain.card.sha256,
        **msgspec.structs.asdict(_facts(plain, right[1])),
        own=_facts(gated, right[0]),
        top1_difference=(won - lost) / len(dataset),
        interval=paired_change(lost, won, len(dataset)),
        images=len(dataset),
        seeds=1,
        how=HOW,
    )


def _recipe(ready: ReadyModel) -> Recipe:
    if ready.card.recipe is None:
        raise SevisError(f"the training of {ready.card.name} is unknown: compare networks that sevis train has published")
    return ready.card.recipe


def _facts(ready: ReadyModel, right: Tensor) -> TwinFacts:
    side = ready.card.preprocessing.crop
    cost = measure_cost(ready.model, (3, side, side))
    return TwinFacts(top1=float(right.double().mean()), parameters=cost.parameters, multiply_adds=cost.multiply_adds)


def _right(ready: ReadyModel, dataset: ImageDataset) -> Tensor:
    """Return which images are recognised: bool, shape (N,)."""
    images = open_images(dataset, ready.card.preprocessing, ready.device)
    with torch.inference_mode():
        hits = [ready.model(batch).argmax(1) == labels for batch, labels in evaluation_batches(images, ready.card.preprocessing, EVALUATED)]
    return torch.cat(hits).cpu()
