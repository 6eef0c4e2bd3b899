"""A description and weights become a network: one of sevis's, timm's or torchvision's; with fresh weights, the library's, or a file's."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sevis import networks, zoo
from sevis.checkpoints import SUFFIXES, Checkpoint, check_fits, count_classes, fingerprint, fits, read_checkpoint
from sevis.errors import SevisError, one_line
from sevis.files import sha256
from sevis.images import Preprocessing
from sevis.recipe import Recipe
from sevis.sites import require_sites
from sevis.sources import find_weights
from sevis.weights import RANDOM, Card, list_pretrained, read_card

Architecture = Mapping[str, Any]
KEPT = ("architecture", "classes", "wnids", "preprocessing")  # what of a card is true with any weights: not the score, nor the licence
# Fresh weights come from PyTorch's one generator, and are the same at every call only if no other thread draws from it.
_BUILDING = threading.RLock()


@contextmanager
def building() -> Iterator[None]:
    """One network is built at a time, and PyTorch's generator is afterwards as it was."""
    with _BUILDING, torch.random.fork_rng(devices=[]):
        yield


def describe(name: str | Path) -> Card:
    """The card of a network of timm, torchvision or sevis, or of a checkpoint that describes itself; it lacks the hash of the weights.

    Raises:
        SevisError: for an unknown name, a network without SE blocks, and a file that is missing or does not say which network it is of.
    """
    if isinstance(name, Path) or Path(name).suffix.lower() in SUFFIXES:
        return _describe_checkpoint(Path(name))
    origin = zoo.find(name)
    if origin is None and name in networks.list_models():
        return _describe_own(name)
    if origin is None:
        known = dict.fromkeys([*list_pretrained(), *networks.list_models(), *zoo.list_names()])
        near = get_close_matches(name, known, n=3, cutoff=0.4) or list_pretrained()
        raise SevisError(
            f"there are no weights called {name!r}, and no network of timm or torchvision; the nearest are {', '.join(near) or '(none)'}"
        )
    architecture = {"library": origin.library, "name": origin.name}
    skeleton = on_meta(architecture)
    require_sites(skeleton)
    entry = {"architecture": architecture, "preprocessing": asdict(zoo.preprocessing(origin))}
    return Card(name, entry | _class_fields(zoo.outputs(origin, skeleton)), shipped=False)


def assemble(card: Card, weights: str | Path | None, *, download: bool = True) -> tuple[Card, nn.Module]:
    """A network with fresh weights (RANDOM), those of a file, or (None) those of its library; and its card with their hash.

    Raises:
        WeightsMissing: where the library's weights are not here, and may not or cannot be downloaded.
        SevisError: for a file that is missing, damaged or of another network.
    """
    if weights == RANDOM:
        model = _fresh(card["architecture"])
        return _with(card, sha256=fingerprint(model.state_dict()), weights=RANDOM), model
    origin = _origin(card["architecture"])
    if weights is None and origin is None and card.name in networks.list_models():
        raise SevisError(
            f"sevis has no trained weights of {card.name}: take fresh ones with weights='random' (--weights random), or a file"
        )
    if weights is None and origin is not None:
        checkpoint = read_checkpoint(find_weights(origin, download=download))
        model = _convert(origin, checkpoint)
        changed: dict[str, Any] = {}
    else:
        checkpoint = read_checkpoint(Path(weights or card.name))
        model, num_classes = _fit(card, checkpoint)
        changed = {} if num_classes == len(card.classes) else _class_fields(num_classes, checkpoint)
        changed["architecture"] = {**card["architecture"], "num_classes": num_classes}
    return _with(card, **changed, sha256=sha256(checkpoint.path), weights=checkpoint.path.name), model


def build_architecture(architecture: Architecture) -> nn.Module:
    """A network with fresh weights, as an entry of index.json describes it: sevis's own, or that of the `library` it names."""
    origin = _origin(architecture)
    return networks.build(**architecture) if origin is None else zoo.build(origin, num_classes=architecture.get("num_classes"))


def skeleton(name: str) -> nn.Module:
    """The network of that name without its weights, for its blocks and shapes. Raises SevisError as `describe`."""
    return on_meta((read_card(name) if name in list_pretrained() else describe(name))["architecture"])


def on_meta(architecture: Architecture) -> nn.Module:
    """The network without any memory for its weights, where its library can do that: for its blocks and shapes."""
    with building():
        try:
            with torch.device("meta"):
                return build_architecture(architecture)
        except NotImplementedError:  # torchvision's RegNets compute their widths with tensors
            return build_architecture(architecture)


def _origin(architecture: Architecture) -> zoo.Origin | None:
    library = architecture.get("library")
    if library is None:
        return None
    origin = zoo.find(f"{library}/{architecture.get('name')}")
    if origin is None:
        raise SevisError(f"index.json names a network {architecture.get('name')!r} of {library}, which does not have it: repair the entry")
    return origin


def _fresh(architecture: Architecture) -> nn.Module:
    """The same weights at every call."""
    with building():
        torch.default_generator.manual_seed(0)  # torch.manual_seed would set those of the accelerators too
        model = build_architecture(architecture)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.weight is not None and not module.weight.any():
            nn.init.ones_(module.weight)  # timm starts the last norm of a branch at 0, and its SE block would see nothing but 0
    return model


def _convert(origin: zoo.Origin, checkpoint: Checkpoint) -> nn.Module:
    """The library's own way from its published files to its network."""
    with building():
        try:
            return zoo.build(origin, state=checkpoint.state)
        except Exception as error:  # timm's conversions stumble in their own ways over what they do not know
            check_fits(zoo.build(origin), checkpoint, origin.name)
            raise SevisError(
                f"{checkpoint.path} does not hold the weights of {origin.name} ({one_line(error)}): delete it and fetch it again"
            ) from None


def _fit(card: Card, checkpoint: Checkpoint) -> tuple[nn.Module, int]:
    """A network with the weights of a file, and as many outputs as they have."""
    num_classes = count_classes(on_meta(card["architecture"]), checkpoint.state, len(card.classes))
    architecture = {**card["architecture"], "num_classes": num_classes}
    outline, origin = on_meta(architecture), _origin(architecture)
    if origin is not None and origin.library == "timm" and not fits(outline, checkpoint.state):
        with suppress(Exception), building():  # perhaps it has the names of an older timm, or of the project that the network comes from
            return zoo.build(origin, num_classes=num_classes, state=dict(checkpoint.state)), num_classes
    check_fits(outline, checkpoint, card.name)  # before any memory is taken
    with building():
        model = build_architecture(architecture)
    try:
        model.load_state_dict(checkpoint.state, strict=False)  # only counters that nothing reads may be missing
    except RuntimeError as error:
        raise SevisError(f"{checkpoint.path} does not hold the weights of {card.name} ({one_line(error)})") from None
    return model, num_classes


def _describe_own(name: str) -> Card:
    """The card of a network that sevis builds by name; pictures are prepared as in the paper (section 5.1)."""
    architecture = {"name": name}
    skeleton = on_meta(architecture)
    require_sites(skeleton)
    side = networks.input_size(name)
    preprocess = Preprocessing(resize={224: 256, 299: 352}.get(side, side), crop=side)
    outputs = [module.out_features for module in skeleton.modules() if isinstance(module, nn.Linear)][-1]
    entry = {"architecture": architecture, "preprocessing": asdict(preprocess)}
    return Card(name, entry | _class_fields(outputs), shipped=False)


def _describe_checkpoint(path: Path) -> Card:
    """The card of a checkpoint that `python -m sevis train` wrote."""
    about = read_checkpoint(path).about
    try:
        recipe, wnids = _read_recipe(about["recipe"]), tuple(str(wnid) for wnid in about["data"]["classes"])
    except (KeyError, TypeError):
        raise SevisError(
            f"{path} does not say which network it is of: load(NAME, weights={str(path)!r}), or --model NAME --weights {path} "
            "(in `sevis add`, --network NAME)"
        ) from None
    preprocess = Preprocessing(resize=recipe.size, crop=recipe.size)
    entry = {
        "architecture": recipe.architecture(len(wnids)),
        "preprocessing": asdict(preprocess),
        "classes": zoo.name_wnids(wnids),
        "wnids": wnids,
    }
    return Card(str(path), entry, shipped=False)


def _read_recipe(values: Mapping[str, Any]) -> Recipe:
    """The recipe in a file that may come from anyone. Raises TypeError where a value is of another type than the recipe's."""
    if not isinstance(values, Mapping):
        raise TypeError("recipe")
    for option in fields(Recipe):
        expected = int | float if isinstance(option.default, float) else type(option.default)
        if not isinstance(values.get(option.name, option.default), expected):
            raise TypeError(option.name)
    return Recipe(**values)


def _class_fields(num_classes: int, checkpoint: Checkpoint | None = None) -> dict[str, Any]:
    """What a card says of its classes: those that the file names, if it names so many, else by their number."""
    data = checkpoint.about.get("data") if checkpoint else None
    listed = data.get("classes") if isinstance(data, Mapping) else None
    if isinstance(listed, list) and len(listed) == num_classes:
        wnids = tuple(map(str, listed))
        return {"classes": zoo.name_wnids(wnids), "wnids": wnids}
    classes, known = zoo.name_classes(num_classes)
    return {"classes": classes, "wnids": known}


def _with(card: Card, **changed: Any) -> Card:
    """A card for other weights."""
    return replace(card, entry={name: card.entry[name] for name in KEPT if name in card.entry} | changed, shipped=False)
