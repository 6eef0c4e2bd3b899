"""The commands models, sites and add: which networks there are, what is in them, and how one's own is added.

Every command imports what it needs when it runs, so that --help does not wait for torch.
"""

from collections.abc import Sequence
from pathlib import Path

from sevis.cli.columns import align
from sevis.cli.data import Arguments, load_network, read_lines
from sevis.errors import SevisError
from sevis.extras import install_command
from sevis.weights.card import check_name, find_index_fault, list_pretrained, read_card


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
    """Print the SE blocks of a network, which needs none of its weights."""
    from sevis.blocks.sites import require_sites
    from sevis.weights.describe import skeleton

    model = load_network(arguments).model if arguments.weights not in (None, "random") else skeleton(arguments.model)
    sites = require_sites(model)
    rows = [("name", "module", "channels", "hidden", "r", "gate", "bias")]
    for site in sites:
        bias = "yes" if site.bias else "no"
        rows.append((site.name, site.path, str(site.channels), str(site.hidden), f"{site.reduction:.4g}", site.gate, bias))
    print(*align(rows, right=(2, 3, 4)), sep="\n")


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
