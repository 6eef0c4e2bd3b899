"""A trained network becomes files in the user's folder: weights, compact class statistics, depth profile, example, entry in index.json."""

import copy
import hashlib
import json
from dataclasses import replace

import msgspec
import torch
from safetensors.torch import save

from sevis.analysis.dead_gates import DEAD
from sevis.blocks.sites import find_sites
from sevis.data.datasets import TINY_IMAGENET, ImageDataset, sample_photos
from sevis.data.image_formats import read_image
from sevis.data.pixels import EVALUATED, evaluation_batches, open_images
from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.experiments.collection import collect_dataset, save_statistics
from sevis.experiments.evaluation import Score, evaluate
from sevis.experiments.explanation import explain
from sevis.files import replace_file
from sevis.recipe import Recipe
from sevis.training.run_record import Run
from sevis.training.training import Trained, measure_run
from sevis.weights.card import Aliveness, Card, add_to_index, check_free, check_name
from sevis.weights.loading import ReadyModel, make_ready

LICENCES = {TINY_IMAGENET: "MIT (weights); trained on Tiny ImageNet-200, whose images are for non-commercial research and education"}


def publish(name: str, trained: Trained, recipe: Recipe, data: tuple[ImageDataset, ImageDataset], *, command: str) -> Card:
    """Write a trained network into the user's folder, with its scores measured on the stored, rounded weights.

    Args:
        name: of the entry, such as se_resnet50x0_5.tiny200.
        trained: the network at the end of its run, and the log.
        recipe: what it was trained with.
        data: the training and the validation images.
        command: the command line that repeats the run.

    Raises:
        SevisError: for a name that no file can have, or that a network has that comes with sevis, or when the gates are dead.
    """
    check_name(name)
    check_free(name)
    device = next(trained.model.parameters()).device
    state = {key: _rounded(value.cpu()) for key, value in trained.model.state_dict().items()}
    stored = copy.deepcopy(trained.model).float()
    stored.load_state_dict(state)
    run = measure_run(replace(trained, model=stored), recipe, data)
    if run.gates is not None:
        _check_alive(run.gates)
    about = {name: msgspec.to_builtins(getattr(run, name)) for name in ("recipe", "data")}
    weights = save(state, metadata={"sevis": json.dumps({"command": command, **about})})
    card = _card(name, run, data, command=command, sha256=hashlib.sha256(weights).hexdigest())
    ready = make_ready(card, stored.to(device))
    # All is measured before anything is written, and the index comes last: what it names is there.
    statistics = collect_dataset(ready, data[1]) if run.gates is not None else None
    replace_file(ready.card.place("weights"), weights)
    if statistics is not None:
        save_statistics(statistics, ready.card.place("statistics"), compact=True)
        _write_example(ready)
    add_to_index(ready.card)
    return ready.card


def score(ready: ReadyModel, dataset: ImageDataset) -> Score:
    """Return the score of a published network on a data set with its classes."""
    images = open_images(dataset, ready.card.preprocessing, ready.device)
    return evaluate(ready.model, evaluation_batches(images, ready.card.preprocessing, EVALUATED))


def _rounded(value: torch.Tensor) -> torch.Tensor:
    """Return weights in half precision; norms, biases and running statistics are few and stay as they are."""
    return value.half().contiguous() if value.is_floating_point() and value.ndim > 1 else value.contiguous()


def _card(name: str, run: Run, data: tuple[ImageDataset, ImageDataset], *, command: str, sha256: str) -> Card:
    measured = {name: getattr(run, name) for name in ("recipe", "torch", "seconds", "device", "date", "top1", "top5", "gates")}
    return Card(
        name=name,
        architecture=run.recipe.architecture(len(data[0].wnids)),
        classes=data[0].classes,
        wnids=data[0].wnids,
        preprocessing=Preprocessing.square(run.recipe.size),
        data=msgspec.structs.replace(run.data, classes=()),
        epochs=run.recipe.epochs,
        curve=tuple({name: round(value, 5) for name, value in row.items()} for row in run.rows),
        licence=LICENCES.get(data[0].name, f"trained on {data[0].name}: its licence is yours to name"),
        command=command,
        sha256=sha256,
        **measured,
    )


def _check_alive(gates: Aliveness) -> None:
    if not gates.std_over_images >= DEAD:  # nor is NaN
        raise SevisError(
            f"the gates are dead: s varies by only {gates.std_over_images:.3f} over images, expected at least {DEAD}; "
            "train with sevis's own recipe (no weight decay on the SE projections, no zero-initialised last BN)"
        )


def _write_example(ready: ReadyModel) -> None:
    photos = sample_photos()
    if photos:
        image = read_image(next(iter(photos.values())).read_bytes())
        explain(ready, image, maps=[site.name for site in find_sites(ready.model)]).save(ready.card.place("example"))
