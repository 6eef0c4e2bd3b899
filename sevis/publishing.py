"""A trained network becomes files in pretrained/: weights, class statistics, an example, and an entry in index.json."""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from sevis.collection import collect_dataset
from sevis.datasets import ImageDataset, sample_photos
from sevis.errors import SevisError
from sevis.evaluation import Score, evaluate, measure_gates
from sevis.explanation import explain
from sevis.files import replace_file
from sevis.images import Preprocessing, read_image
from sevis.recipe import Recipe
from sevis.sites import find_sites
from sevis.training import Pixels
from sevis.weights import Card, ReadyModel, add_to_index, check_name, list_pretrained, make_ready, pretrained_folder
from sevis.zoo import name_wnids

MIN_STD = 0.05
LICENCE = "MIT (weights); trained on Tiny ImageNet-200, whose images are for non-commercial research and education"


def publish(name: str, model: nn.Module, recipe: Recipe, data: tuple[ImageDataset, ImageDataset], *, run: dict[str, Any]) -> Card:
    """Writes a trained network into pretrained/, with its scores measured on the stored, rounded weights.

    Args:
        name: of the entry, such as se_resnet50x0_5.tiny20.
        model: the trained network.
        recipe: what it was trained with.
        data: the training and the validation images.
        run: further fields of the entry: the exact command, the seconds, the device.

    Raises:
        SevisError: for a name that no file can have, or when the gates are dead.
    """
    check_name(name)
    state = {key: _rounded(value) for key, value in model.state_dict().items()}
    weights = save(state)
    preprocess = Preprocessing(resize=recipe.size, crop=recipe.size)
    entry = _entry(recipe, data, preprocess) | run
    entry |= {"sha256": hashlib.sha256(weights).hexdigest(), "date": datetime.now(UTC).date().isoformat()}
    stored = copy.deepcopy(model).cpu().float()
    stored.load_state_dict(state)
    ready = make_ready(Card(name, entry), stored)
    result = score(ready, data[1])
    entry |= {"top1": result.top1, "top5": result.top5}
    gated = bool(find_sites(model))
    if gated:
        entry["gates"] = _gates(ready, data)
    # All is measured before anything is written, and the index comes last: what it names is there.
    replace_file(ready.card.path, weights)
    if gated:
        _write_examples(ready, data[1])
    add_to_index(ready.card)
    return ready.card


def adopt(name: str, ready: ReadyModel, *, classes: Sequence[str] | None = None) -> Card:
    """Writes a network that is loaded already into pretrained/, so that `sevis.load(name)` and the app know it.

    Args:
        name: of the entry; a new one.
        ready: any network, from `sevis.load`.
        classes: the names of its outputs, or their WordNet ids; None keeps those that it has.

    Raises:
        SevisError: for a name that is taken or that no file can have, and for classes that are too many, too few, or alike.
    """
    check_name(name)
    if (pretrained_folder() / "index.json").is_file() and name in list_pretrained():
        raise SevisError(f"there is a network called {name} already: choose another name")
    names = tuple(classes) if classes is not None else ready.classes
    if len(names) != len(ready.classes) or len(set(names)) != len(names):
        raise SevisError(
            f"expected the names of {len(ready.classes)} outputs, no two alike, got {len(names)} ({len(set(names))} different)"
        )
    wnids = ready.card.wnids if classes is None else names
    weights = save({key: value.cpu().clone().contiguous() for key, value in ready.model.state_dict().items()})
    entry = {
        "architecture": {**ready.card["architecture"], "num_classes": len(names)},
        "classes": list(names if classes is None else name_wnids(names)),
        "wnids": None if wnids is None else list(wnids),
        "preprocessing": asdict(ready.preprocess),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    card = Card(name, entry)
    replace_file(card.path, weights)
    add_to_index(card)
    return card


def score(ready: ReadyModel, dataset: ImageDataset) -> Score:
    """The score of a published network on a data set with its classes."""
    pixels = Pixels.decode(dataset, ready.preprocess, ready.device)
    return evaluate(ready.model, pixels.batches(ready.preprocess, 256))


def _rounded(value: torch.Tensor) -> torch.Tensor:
    """Half precision for the weights; norms, biases and running statistics are few and stay as they are."""
    return value.half().contiguous() if value.is_floating_point() and value.ndim > 1 else value.contiguous()


def _entry(recipe: Recipe, data: tuple[ImageDataset, ImageDataset], preprocess: Preprocessing) -> dict[str, Any]:
    return {
        "architecture": {
            "name": recipe.model,
            "num_classes": len(data[0].wnids),
            "reduction": recipe.reduction,
            "width": recipe.width,
            "stem": recipe.stem,
        },
        "classes": list(data[0].classes),
        "wnids": list(data[0].wnids),
        "preprocessing": asdict(preprocess),
        "data": {"name": data[0].name, "train_images": len(data[0]), "val_images": len(data[1])},
        "recipe": asdict(recipe),
        "epochs": recipe.epochs,
        "torch": torch.__version__.split("+")[0],
        "licence": LICENCE,
    }


def _gates(ready: ReadyModel, data: tuple[ImageDataset, ImageDataset]) -> dict[str, Any]:
    train, val = (Pixels.decode(part, ready.preprocess, ready.device) for part in data)
    gates = measure_gates(ready.model, lambda: train.batches(ready.preprocess, 256), lambda: val.batches(ready.preprocess, 256))
    if gates["std_over_images"] < MIN_STD:
        raise SevisError(
            f"the gates are dead: s varies by only {gates['std_over_images']:.3f} over images, expected at least {MIN_STD}; "
            "train with sevis's own recipe (no weight decay on the SE projections, no zero-initialised last BN)"
        )
    return gates


def _write_examples(ready: ReadyModel, dataset: ImageDataset) -> None:
    collect_dataset(ready, dataset).save(ready.card.statistics_path)
    photos = sample_photos()
    if photos:
        image = read_image(next(iter(photos.values())).read_bytes())
        explain(ready, image, maps=[site.name for site in find_sites(ready.model)]).save(ready.card.example_path)
