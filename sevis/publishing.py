"""A trained network becomes files in pretrained/: weights, compact class statistics, an example, and an entry in index.json."""

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import torch
from safetensors.torch import save

from sevis.collection import collect_dataset
from sevis.datasets import TINY_IMAGENET, ImageDataset, sample_photos
from sevis.errors import SevisError
from sevis.evaluation import Score, evaluate
from sevis.experiments import record
from sevis.explanation import explain
from sevis.files import replace_file
from sevis.images import Preprocessing, read_image
from sevis.pixels import evaluation_batches, open_images
from sevis.recipe import Recipe
from sevis.run_record import Run
from sevis.sites import find_sites
from sevis.training import EVALUATED, Trained
from sevis.weights import Card, ReadyModel, add_to_index, check_name, list_pretrained, make_ready, pretrained_folder
from sevis.zoo import name_wnids

MIN_STD = 0.05
LICENCES = {TINY_IMAGENET: "MIT (weights); trained on Tiny ImageNet-200, whose images are for non-commercial research and education"}


def publish(name: str, trained: Trained, recipe: Recipe, data: tuple[ImageDataset, ImageDataset], *, command: str) -> Card:
    """Writes a trained network into pretrained/, with its scores measured on the stored, rounded weights.

    Args:
        name: of the entry, such as se_resnet50x0_5.tiny200.
        trained: the network at the end of its run, and the log.
        recipe: what it was trained with.
        data: the training and the validation images.
        command: the command line that repeats the run.

    Raises:
        SevisError: for a name that no file can have, or when the gates are dead.
    """
    check_name(name)
    device = next(trained.model.parameters()).device
    state = {key: _rounded(value.cpu()) for key, value in trained.model.state_dict().items()}
    stored = copy.deepcopy(trained.model).float()
    stored.load_state_dict(state)
    run = record(replace(trained, model=stored), recipe, data)
    if run.gates is not None:
        _check_alive(run.gates)
    weights = save(state, metadata={"sevis": json.dumps({"command": command, "recipe": run.recipe, "data": run.data})})
    entry = _entry(run, data) | {"command": command, "sha256": hashlib.sha256(weights).hexdigest()}
    ready = make_ready(Card(name, entry), stored.to(device))
    # All is measured before anything is written, and the index comes last: what it names is there.
    statistics = collect_dataset(ready, data[1]) if run.gates is not None else None
    replace_file(ready.card.path, weights)
    if statistics is not None:
        statistics.save(ready.card.statistics_path, compact=True)
        _write_example(ready)
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
    images = open_images(dataset, ready.preprocess, ready.device)
    return evaluate(ready.model, evaluation_batches(images, ready.preprocess, EVALUATED))


def _rounded(value: torch.Tensor) -> torch.Tensor:
    """Half precision for the weights; norms, biases and running statistics are few and stay as they are."""
    return value.half().contiguous() if value.is_floating_point() and value.ndim > 1 else value.contiguous()


def _entry(run: Run, data: tuple[ImageDataset, ImageDataset]) -> dict[str, Any]:
    recipe = Recipe(**run.recipe)
    return {
        "architecture": recipe.architecture(len(data[0].wnids)),
        "classes": list(data[0].classes),
        "wnids": list(data[0].wnids),
        "preprocessing": asdict(Preprocessing(resize=recipe.size, crop=recipe.size)),
        "data": {name: value for name, value in run.data.items() if name != "classes"},
        "recipe": dict(run.recipe),
        "epochs": recipe.epochs,
        "curve": [{name: round(value, 5) for name, value in row.items()} for row in run.rows],
        "torch": run.torch,
        "licence": LICENCES.get(data[0].name, f"trained on {data[0].name}: its licence is yours to name"),
        "seconds": run.seconds,
        "device": run.device,
        "date": run.date,
        "top1": run.top1,
        "top5": run.top5,
        **({} if run.gates is None else {"gates": dict(run.gates)}),
    }


def _check_alive(gates: Mapping[str, Any]) -> None:
    if not gates["std_over_images"] >= MIN_STD:  # nor is NaN
        raise SevisError(
            f"the gates are dead: s varies by only {gates['std_over_images']:.3f} over images, expected at least {MIN_STD}; "
            "train with sevis's own recipe (no weight decay on the SE projections, no zero-initialised last BN)"
        )


def _write_example(ready: ReadyModel) -> None:
    photos = sample_photos()
    if photos:
        image = read_image(next(iter(photos.values())).read_bytes())
        explain(ready, image, maps=[site.name for site in find_sites(ready.model)]).save(ready.card.example_path)
