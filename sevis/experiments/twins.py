"""A network with SE beside its plain twin, trained with the same recipe on the same images: how much better is it?"""

from typing import Any

import torch
from torch import Tensor

from sevis.analysis.intervals import paired_change
from sevis.data.datasets import ImageDataset
from sevis.data.pixels import EVALUATED, evaluation_batches, open_images
from sevis.errors import SevisError
from sevis.networks.costs import measure_cost
from sevis.weights.loading import ReadyModel

HOW = "one run of each; the 95 % interval is over the validation images, paired (Agresti and Min 2005), and knows nothing of other seeds"
FREE = ("model", "reduction", "placement", "stages", "squeeze", "gate", "bias")  # what the recipes of twins may differ in


def compare_twins(gated: ReadyModel, plain: ReadyModel, dataset: ImageDataset) -> dict[str, Any]:
    """Score both networks on the same images.

    Args:
        gated, plain: with and without SE, both from `sevis train --publish`.
        dataset: the validation images, with the classes of both.

    Returns:
        `name` and `weights` (their hash) of the plain one, its `top1`, `parameters` and `multiply_adds`, the same of the other as `own`,
        `top1_difference` (a fraction: gated less plain) and its `interval`, `images`, `seeds` and `how`.

    Raises:
        SevisError: where their recipes or classes differ in more than SE.
    """
    recipes = [ready.card["recipe"] for ready in (gated, plain)]
    differing = [name for name in recipes[0] if name not in FREE and recipes[0][name] != recipes[1].get(name)]
    differing += ["data"] if gated.card["data"] != plain.card["data"] else []
    if differing or gated.card.wnids != plain.card.wnids or recipes[0]["model"].removeprefix("se_") != recipes[1]["model"]:
        raise SevisError(
            f"{gated.card.name} and {plain.card.name} are no twins: they differ in {', '.join(differing) or 'their networks or classes'}; "
            "train both with the same options"
        )
    right = [_right(ready, dataset) for ready in (gated, plain)]
    lost, won = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
    return {
        "name": plain.card.name,
        "weights": plain.card.sha256,
        **_facts(plain, right[1]),
        "own": _facts(gated, right[0]),
        "top1_difference": (won - lost) / len(dataset),
        "interval": list(paired_change(lost, won, len(dataset))),
        "images": len(dataset),
        "seeds": 1,
        "how": HOW,
    }


def _facts(ready: ReadyModel, right: Tensor) -> dict[str, float]:
    side = ready.preprocess.crop
    cost = measure_cost(ready.model, (3, side, side))
    return {"top1": float(right.double().mean()), "parameters": cost.parameters, "multiply_adds": cost.multiply_adds}


def _right(ready: ReadyModel, dataset: ImageDataset) -> Tensor:
    """Return which images are recognised: bool, shape (N,)."""
    images = open_images(dataset, ready.preprocess, ready.device)
    with torch.inference_mode():
        hits = [ready.model(batch).argmax(1) == labels for batch, labels in evaluation_batches(images, ready.preprocess, EVALUATED)]
    return torch.cat(hits).cpu()
