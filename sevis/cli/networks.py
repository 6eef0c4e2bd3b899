"""The commands models, sites and add: which networks there are, what is in them, and how one's own is added.

Every command imports what it needs when it runs, so that --help does not wait for torch.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sevis.cli.columns import align
from sevis.cli.data import Arguments, read_lines
from sevis.errors import SevisError
from sevis.extras import install_command
from sevis.weights.card import check_name, find_index_fault, list_pretrained, read_card

if TYPE_CHECKING:
    from torch import nn

LARGE = 200_000_000  # parameters of a network that is not built to look at its blocks
SMALL = 96  # pixels: the side of the images that show them; the last maps of most networks are then 3 x 3
WHOLE = "(the model)"  # for the path of the model itself, which is empty


def models(_: Arguments) -> None:
    """Print the trained networks and the names that can be built."""
    from sevis.networks.libraries import missing
    from sevis.networks.libraries.sevis_library import list_models

    here, described = list[str](), list[str]()
    for name in list_pretrained():
        line, complete = _about(name)
        (here if complete else described).append(f"  {line}")
    print("trained, here:", *here, sep="\n")
    if described:
        print("described, their weights are not here:", *described, sep="\n")
    if fault := find_index_fault():
        print(f"not listed, your own networks: {fault}")
    if missing():
        print(f"{' and '.join(missing())}: not installed, so none of their networks is known: {install_command('zoo')}")
    else:
        print("also, downloaded on first use: any network of timm or torchvision with SE blocks, by its name there, such as")
        print("  legacy_seresnet50 (the paper's authors' weights), efficientnet_b0, regnety_004.tv2_in1k, torchvision/mobilenet_v3_small")
    print("to build with sevis.build, or to train:")
    print("  " + ", ".join(list_models()))


def _about(name: str) -> tuple[str, bool]:
    """Return a line about a trained network, its classes and its score, or that its entry is damaged; and whether its weights are here."""
    try:
        card = read_card(name)
    except SevisError as error:
        return str(error), True
    score = "" if card.top1 is None or card.top5 is None else f", top-1 {card.top1:.1%}, top-5 {card.top5:.1%}"
    return f"{name}: {len(card.classes)} classes{score}", card.path.is_file()


def sites_command(arguments: Arguments) -> None:
    """Print the SE blocks of a network, and what looks like some and is none; this needs none of its weights."""
    from sevis.blocks.sites import know, sites_or_refuse
    from sevis.networks.costs import count_parameters
    from sevis.weights.describe import skeleton
    from sevis.weights.loading import load

    model, unseen = skeleton(arguments.model), ""
    if arguments.weights in (None, "random") and count_parameters(model) > LARGE:
        unseen = f"it has more than {LARGE // 10**6} million parameters"
    else:
        ready = load(arguments.model, weights=arguments.weights or "random", device="cpu")
        model, unseen = ready.model, _look(ready.model, ready.card.preprocessing.crop)
    sites = sites_or_refuse(model, know(model))
    rows = [("name", "module", "channels", "hidden", "r", "gate", "bias", "form")]
    for site in sites:
        bias, reduction = "yes" if site.bias else "no", f"{site.reduction:.4g}"
        rows.append((site.name, site.path or WHOLE, str(site.channels), str(site.hidden), reduction, site.gate, bias, site.form))
    print(*align(rows, right=(2, 3, 4)), sep="\n")
    if lookalikes := know(model).lookalikes(model):
        told = [(like.path or WHOLE, like.kind, like.reason) for like in lookalikes]
        print("\nwhat looks like an SE block, and is none:", *align([("module", "class", "why"), *told]), sep="\n")
    if unseen:
        print(f"\nThe list is by the layers alone, because no forward pass was possible: {unseen}.")


def _look(model: "nn.Module", side: int) -> str:
    """Let one forward pass on two small images show what the blocks of a network do, or on images of its own size where it takes no other.

    Returns:
        Why that was not possible; empty where it was.
    """
    import torch

    from sevis.blocks.sites import find_sites

    reason = ""
    for size in dict.fromkeys((min(side, SMALL), side)):
        try:
            find_sites(model, torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)))
        except SevisError as error:
            reason = str(error)
        else:
            return ""
    return reason


def add_command(arguments: Arguments) -> None:
    """Take a user's own weights among the trained networks."""
    check_name(arguments.name)
    from sevis.weights.adopt import adopt
    from sevis.weights.loading import load

    network, weights = arguments.network, arguments.weights
    ready = load(network, weights=weights, device="cpu") if network else load(weights, device="cpu")
    card = adopt(arguments.name, ready, classes=_read_names(arguments.classes, len(ready.classes)) if arguments.classes else None)
    print(f"{card.name}: {len(card.classes)} classes, {card.path}")


def _read_names(path: Path, outputs: int) -> Sequence[str]:
    """Return the lines of a file; for `imagenet`, which is none, the WordNet ids of so many outputs of ImageNet."""
    from sevis.networks.libraries.class_names import name_classes

    if path != Path("imagenet") or path.is_file():
        return read_lines(path)
    wnids = name_classes(outputs)[1]
    if wnids is None:
        raise SevisError(f"no list of ImageNet's has {outputs} classes, as the network has outputs: name a file with one name a line")
    return wnids
