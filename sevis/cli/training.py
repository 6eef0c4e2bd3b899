"""What python -m sevis train, curve and twins do."""

import os
from collections.abc import Collection
from pathlib import Path

import msgspec

from sevis.cli.data import Arguments, open_data, read_classes
from sevis.errors import SevisError
from sevis.recipe import OPTIONS, Recipe, command
from sevis.weights.card import check_free, check_name


def train_command(arguments: Arguments) -> None:
    """Train, or with --evaluate scores, a network."""
    if arguments.evaluate:
        given = [f"--{option}" for option in ("publish", "classes", "folder", "resume") if getattr(arguments, option)]
        if given:
            raise SevisError(f"--evaluate trains nothing: leave {' and '.join(given)} out")
        _evaluate(arguments)
        return
    if arguments.publish is not None:
        check_name(arguments.publish)  # now, not after hours of training
        check_free(arguments.publish)
    from sevis.distributed import joined
    from sevis.training.training import TrainOptions, train

    recipe = read_recipe(arguments)
    wnids = None if arguments.classes is None else read_classes(arguments.classes)
    data = open_data(arguments, "train", wnids), open_data(arguments, "val", wnids)
    folder = arguments.folder or Path("runs") / recipe.model
    with joined(gradients=True) as shard:
        options = TrainOptions(resume=arguments.resume, save_every=arguments.save_every, shard=shard)
        trained = train(recipe, data, folder, options=options)
        if shard.rank:
            return
    last = trained.rows[-1]
    print(f"top-1 {last['top1']:.4f}, top-5 {last['top5']:.4f} on {len(data[1])} images; checkpoint and log in {folder}")
    if arguments.publish:
        from sevis.training.publishing import publish

        data_name = None if arguments.data is None else arguments.data.name  # where it lies here is nobody else's business
        words = command(recipe, publish=arguments.publish, classes=arguments.classes, data=data_name, processes=shard.world)
        card = publish(arguments.publish, trained, recipe, data, command=words)
        print(f"published {card.name}: top-1 {card.top1:.4f}, top-5 {card.top5:.4f}")


def read_recipe(arguments: Arguments, *, without: Collection[str] = ()) -> Recipe:
    """Return the recipe that the options of the command line say, but for those in `without`; bfloat16 is used on a GPU unless they say
    otherwise.
    """
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for equal results, and read when CUDA starts
    values = {name: getattr(arguments, name) for name in OPTIONS if name not in without}
    return Recipe(**values | {"bf16": torch.cuda.is_available() if arguments.bf16 is None else arguments.bf16})


def curve_command(arguments: Arguments) -> None:
    """Draw the logs of training runs into one figure."""
    from sevis.figures.networks.training_curves import training_curves
    from sevis.reports.html import write
    from sevis.training.run_folder import read_log

    runs = {str(folder): read_log(folder) for folder in arguments.folders}
    write([training_curves(runs)], arguments.out, title="Training curves")
    print(arguments.out)


def twins_command(arguments: Arguments) -> None:
    """Compare two trained networks on the validation images, and write the comparison into the entry of the one with SE."""
    from sevis.experiments.twins import compare_twins
    from sevis.weights.card import add_to_index
    from sevis.weights.loading import load

    gated, plain = load(arguments.gated), load(arguments.plain)
    twin = compare_twins(gated, plain, open_data(arguments, "val", gated.card.wnids))
    add_to_index(msgspec.structs.replace(gated.card, twin=twin))
    low, high = (f"{100 * end:+.1f}" for end in twin.interval)
    print(
        f"{gated.card.name}: top-1 {twin.own.top1:.4f}, {plain.card.name}: {twin.top1:.4f}; "
        f"{100 * twin.top1_difference:+.1f} points (95 % interval over these {twin.images} images: {low} to {high})"
    )


def _evaluate(arguments: Arguments) -> None:
    from sevis.training.publishing import score
    from sevis.weights.loading import load

    ready = load(arguments.evaluate)
    if ready.card.wnids is None:
        raise SevisError(f"{ready.card.name} cannot be scored, because it is unknown which folders of images belong to its outputs")
    dataset = open_data(arguments, "val", ready.card.wnids)
    result = score(ready, dataset)
    print(f"{ready.card.name}: top1 {result.top1:.4f}, top5 {result.top5:.4f} on {len(dataset)} images of {dataset.name}, {dataset.split}")
