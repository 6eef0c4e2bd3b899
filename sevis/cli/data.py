"""python -m sevis data, and what --data, --model and --classes stand for."""

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sevis.errors import SevisError
from sevis.settings import named_data

if TYPE_CHECKING:
    from sevis.data.datasets import ImageDataset
    from sevis.weights.card import Card
    from sevis.weights.loading import ReadyModel


Arguments = argparse.Namespace


def data_command(arguments: Arguments) -> None:
    """Say where the data is, or download it."""
    from sevis.data.datasets import SETS, find_data
    from sevis.data.downloads import fetch_cifar, fetch_tiny_imagenet

    if arguments.name:
        print(f"{arguments.name}: {fetch_tiny_imagenet() if arguments.name == 'tiny-imagenet' else fetch_cifar(arguments.name)}")
        return
    for name, file in SETS.items():
        print(f"{name}: {find_data(file) or f'not found: python -m sevis data {name} downloads it'}")


def load_network(arguments: Arguments) -> "ReadyModel":
    """Return the chosen network, with the chosen weights."""
    from sevis.weights.loading import load

    return load(arguments.model, weights=arguments.weights)


def card_of(arguments: Arguments) -> "Card":
    """Return the card of the chosen network and weights: read where they are shipped, for loading takes seconds."""
    from sevis.weights.card import list_pretrained, read_card

    return read_card(arguments.model) if not arguments.weights and arguments.model in list_pretrained() else load_network(arguments).card


def say_hidden(card: "Card", what: str) -> None:
    """Say so where the user's own file, from now on, is shown instead of one that comes with sevis.

    Args:
        what: one of `sevis.weights.card.FILES`.
    """
    own = card.place(what)
    if card.find_shipped(what) not in (None, own):
        print(f"The app now shows this file instead of the shipped {what}. Delete {own} to see the shipped {what} again.")


def read_classes(text: str) -> list[str]:
    """Return class ids: the lines of the file of that name where there is one, else what the commas separate."""
    try:
        is_file = Path(text).is_file()
    except (OSError, ValueError):  # too long, for one, to be a file's name
        is_file = False
    return read_lines(Path(text)) if is_file else [wnid.strip() for wnid in text.split(",") if wnid.strip()]


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file that are not empty."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise SevisError(
            f"{path} is not a text file: expected a file with one class on each line, or class ids separated by commas"
        ) from None


def number_classes(dataset: "ImageDataset", card: "Card") -> "ImageDataset":
    """Return the data set with ImageNet's ids for its classes, where these are the numbers of all outputs of a network for ImageNet.

    ImageNetV2's folders are such numbers. It goes to standard error, for nothing but the numbers says so.
    """
    from dataclasses import replace

    wnids = tuple(card.wnids or ())
    if not all(re.fullmatch(r"n\d{8}", wnid) for wnid in wnids) or dataset.wnids != tuple(map(str, range(len(wnids)))):
        return dataset
    print(f"{dataset.name}: its folders are numbers, which are taken for the outputs of {card.name}, as in ImageNetV2", file=sys.stderr)
    return replace(dataset, wnids=wnids, classes=tuple(card.classes))


def open_data(arguments: Arguments, split: str, wnids: Sequence[str] | None = None, *, labels: Path | None = None) -> "ImageDataset":
    """Return the chosen data set: all of it, or the images of some classes. What a person must know of it goes to standard error."""
    from sevis.data.datasets import SETS, find_data, open_dataset

    path = arguments.data or find_data() or named_data()
    name = str(arguments.data)
    if name in SETS and not arguments.data.exists():
        path = find_data(SETS[name])
        if path is None:
            raise SevisError(f"{name} is not here: name its place with SEVIS_DATA, or run python -m sevis data {name}")
    if not path:
        raise SevisError("no data was found: name it with --data or SEVIS_DATA, or run python -m sevis data tiny-imagenet")
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started, one speaks
    logging.getLogger("sevis.data").addHandler(logging.lastResort if first and logging.lastResort else logging.NullHandler())
    dataset = open_dataset(path, split, labels=labels)
    return dataset if wnids is None else dataset.select(wnids)
