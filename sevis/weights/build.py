"""A description and weights become a network: one of sevis's, timm's or torchvision's; with fresh weights, the library's, or a file's."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec
import torch
from torch import nn

from sevis import networks
from sevis.architecture import Architecture
from sevis.errors import SevisError, one_line
from sevis.networks import libraries
from sevis.weights.card import Card
from sevis.weights.checkpoint import Checkpoint, check_fits, count_classes, fits

# Fresh weights come from PyTorch's one generator, and are the same at every call only if no other thread draws from it.
_BUILDING = threading.RLock()


@contextmanager
def building() -> Iterator[None]:
    """One network is built at a time, and PyTorch's generator is afterwards as it was."""
    with _BUILDING, torch.random.fork_rng(devices=[]):
        yield


def build_architecture(architecture: Architecture) -> nn.Module:
    """Return a network with fresh weights, as an entry of index.json describes it: sevis's own, or that of the `library` it names."""
    origin = origin_of(architecture)
    return networks.build(**architecture.arguments()) if origin is None else libraries.build(origin, num_classes=architecture.num_classes)


def on_meta(architecture: Architecture) -> nn.Module:
    """Return the network without any memory for its weights, where its library can do that: for its blocks and shapes."""
    with building():
        try:
            with torch.device("meta"):
                return build_architecture(architecture)
        except NotImplementedError:  # torchvision's RegNets compute their widths with tensors
            return build_architecture(architecture)


def origin_of(architecture: Architecture) -> libraries.Origin | None:
    """Return which network of a library an architecture is, or None for one of sevis's own."""
    if architecture.library is None:
        return None
    origin = libraries.find(f"{architecture.library}/{architecture.name}")
    if origin is None:
        raise SevisError(
            f"index.json names a network {architecture.name!r} of {architecture.library}, which does not have it: repair the entry"
        )
    return origin


def fresh(architecture: Architecture) -> nn.Module:
    """Return the same weights at every call."""
    with building():
        torch.default_generator.manual_seed(0)  # torch.manual_seed would set those of the accelerators too
        model = build_architecture(architecture)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.weight is not None and not module.weight.any():
            nn.init.ones_(module.weight)  # timm starts the last norm of a branch at 0, and its SE block would see nothing but 0
    return model


def convert(origin: libraries.Origin, checkpoint: Checkpoint) -> nn.Module:
    """Return the library's own way from its published files to its network."""
    with building():
        try:
            return libraries.build(origin, state=checkpoint.state)
        except Exception as error:  # timm's conversions stumble in their own ways over what they do not know
            check_fits(libraries.build(origin), checkpoint, origin.name)
            raise SevisError(
                f"{checkpoint.path} does not hold the weights of {origin.name} ({one_line(error)}): delete it and fetch it again"
            ) from None


def fit(card: Card, checkpoint: Checkpoint) -> tuple[nn.Module, int]:
    """Return a network with the weights of a file, and as many outputs as they have."""
    num_classes = count_classes(on_meta(card.architecture), checkpoint.state, len(card.classes))
    architecture = msgspec.structs.replace(card.architecture, num_classes=num_classes)
    outline, origin = on_meta(architecture), origin_of(architecture)
    if origin is not None and origin.library == "timm" and not fits(outline, checkpoint.state):
        with suppress(Exception), building():  # perhaps it has the names of an older timm, or of the project that the network comes from
            return libraries.build(origin, num_classes=num_classes, state=dict(checkpoint.state)), num_classes
    check_fits(outline, checkpoint, card.name)  # before any memory is taken
    with building():
        model = build_architecture(architecture)
    try:
        model.load_state_dict(checkpoint.state, strict=False)  # only counters that nothing reads may be missing
    except RuntimeError as error:
        raise SevisError(f"{checkpoint.path} does not hold the weights of {card.name} ({one_line(error)})") from None
    return model, num_classes
