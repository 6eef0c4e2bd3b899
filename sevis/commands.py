"""What each command of python -m sevis does: one call, and a line or a table about its result.

Every command imports what it needs when it runs, so that --help does not wait for torch.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sevis.columns import align
from sevis.errors import SevisError
from sevis.weights import check_name

if TYPE_CHECKING:
    from sevis.datasets import ImageDataset
    from sevis.weights import Card, ReadyModel

Arguments = argparse.Namespace


def models(_: Arguments) -> None:
    """Prints the trained networks and the names that can be built."""
    from sevis.networks import list_models
    from sevis.weights import list_pretrained, read_card

    print("trained, here:")
    for name in list_pretrained():
        card = read_card(name)
        score = f", top-1 {card['top1']:.1%}, top-5 {card['top5']:.1%}" if {"top1", "top5"} <= set(card.entry) else ""
        print(f"  {name}: {len(card.classes)} classes{score}")
    print("also, downloaded on first use: any network of timm or torchvision with SE blocks, by its name there, such as")
    print("  legacy_seresnet50 (the paper's authors' weights), efficientnet_b0, regnety_004.tv2_in1k, torchvision/mobilenet_v3_small")
    print("to build with sevis.build, or to train:")
    print("  " + ", ".join(list_models()))


def sites_command(arguments: Arguments) -> None:
    """Prints the SE blocks of a network, which needs none of its weights."""
    from sevis.assembly import skeleton
    from sevis.sites import require_sites

    model = load_network(arguments).model if arguments.weights not in (None, "random") else skeleton(arguments.model)
    sites = require_sites(model)
    rows = [("name", "module", "channels", "hidden", "r", "gate", "bias")]
    for site in sites:
        bias = "yes" if site.bias else "no"
        rows.append((site.name, site.path, str(site.channels), str(site.hidden), f"{site.reduction:.4g}", site.gate, bias))
    print(*align(rows, right=(2, 3, 4)), sep="\n")


def add_command(arguments: Arguments) -> None:
    """Takes a user's own weights among the trained networks."""
    check_name(arguments.name)
    from sevis.publishing import adopt
    from sevis.weights import load

    network, weights = arguments.network, arguments.weights
    ready = load(network, weights=weights, device="cpu") if network else load(weights, device="cpu")
    card = adopt(arguments.name, ready, classes=_read_lines(arguments.classes) if arguments.classes else None)
    print(f"{card.name}: {len(card.classes)} classes, {card.path}")


def data_command(arguments: Arguments) -> None:
    """Says where the data is, or downloads it."""
    from sevis.datasets import SETS, find_data
    from sevis.downloads import fetch_cifar, fetch_tiny_imagenet

    if arguments.name:
        print(f"{arguments.name}: {fetch_tiny_imagenet() if arguments.name == 'tiny-imagenet' else fetch_cifar(arguments.name)}")
        return
    for name, file in SETS.items():
        print(f"{name}: {find_data(file) or f'not found: python -m sevis data {name} downloads it'}")


def explain_command(arguments: Arguments) -> None:
    """Explains one image, as text, JSON or HTML."""
    from sevis.explanation import explain
    from sevis.images import MAX_BYTES, read_image

    image = read_image(_read_bytes(arguments.image, MAX_BYTES + 1))
    explanation = explain(load_network(arguments), image)
    if arguments.html:
        from sevis.report import explanation_html

        explanation_html(explanation, arguments.html)
    if arguments.json:
        print(json.dumps(explanation.as_json()))
        return
    for name, probability in explanation.top():
        print(f"{probability:6.1%}  {name}")
    print("block    channels  mean s   min s   max s")
    for site, scale in explanation.scale.items():
        print(f"{site:8} {len(scale):8} {scale.mean():7.3f} {scale.min():7.3f} {scale.max():7.3f}")


def audit_command(arguments: Arguments) -> None:
    """Prints what top-1 loses when gates are opened, frozen or shuffled, and writes it into a file."""
    from sevis.auditing import audit
    from sevis.figures.audit import describe_audit, last_stage_answer, reading

    ready = load_network(arguments)
    out = arguments.out or ready.card.audit_path
    if out.is_dir():  # now, not after minutes of forward passes
        raise SevisError(f"{out} is a directory: name the file to write, such as {out / 'audit.json'}")
    dataset = open_data(arguments, arguments.split)
    if arguments.per_class is not None:
        dataset = dataset.first(arguments.per_class)
    result = audit(ready, dataset, batch_size=arguments.batch_size, seed=arguments.seed)
    result.save(out)
    print(describe_audit(result))
    print("change of top-1 in points, with 95 % intervals")
    print(f"{'blocks':8}" + "".join(f"{change:>24}" for change in next(iter(result.outcomes.values()))))
    for address, outcomes in result.outcomes.items():
        cells = [(100 * part.change, *(100 * end for end in part.change_interval)) for part in outcomes.values()]
        print(f"{address:8}" + "".join(f"{'{:+.1f} ({:+.1f} to {:+.1f})'.format(*cell):>24}" for cell in cells))
    print(reading(result))
    print(last_stage_answer(result).replace("**", ""))
    print(out)


def load_network(arguments: Arguments) -> "ReadyModel":
    """The chosen network, with the chosen weights."""
    from sevis.weights import load

    return load(arguments.model, weights=arguments.weights)


def card_of(arguments: Arguments) -> "Card":
    """The card of the chosen network and weights: read where they are shipped, for loading takes seconds."""
    from sevis.weights import list_pretrained, read_card

    return read_card(arguments.model) if not arguments.weights and arguments.model in list_pretrained() else load_network(arguments).card


def _read_bytes(path: Path, limit: int) -> bytes:
    """The first `limit` bytes of a file; a device or a pipe may never end."""
    if path.exists() and not path.is_file():
        raise SevisError(f"{path} is a directory or a device: name the file of a picture")
    with path.open("rb") as file:
        return file.read(limit)


def read_classes(text: str) -> list[str]:
    """Class ids: the lines of the file of that name where there is one, else what the commas separate."""
    try:
        is_file = Path(text).is_file()
    except (OSError, ValueError):  # too long, for one, to be a file's name
        is_file = False
    return _read_lines(Path(text)) if is_file else [wnid.strip() for wnid in text.split(",") if wnid.strip()]


def _read_lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty."""
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise SevisError(f"{path} is no text: expected a file with one class a line, or class ids separated by commas") from None


def open_data(arguments: Arguments, split: str, wnids: Sequence[str] | None = None, *, labels: Path | None = None) -> "ImageDataset":
    """The chosen data set: all of it, or the images of some classes."""
    from sevis.datasets import SETS, find_data, open_dataset

    place = arguments.data or find_data() or os.environ.get("SEVIS_DATA")
    name = str(arguments.data)
    if name in SETS and not arguments.data.exists():
        place = find_data(SETS[name])
        if place is None:
            raise SevisError(f"{name} is not here: name its place with SEVIS_DATA, or run python -m sevis data {name}")
    if not place:
        raise SevisError("no data was found: name it with --data or SEVIS_DATA, or run python -m sevis data tiny-imagenet")
    dataset = open_dataset(place, split, labels=labels)
    return dataset if wnids is None else dataset.select(wnids)
