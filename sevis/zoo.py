"""SE networks of timm and torchvision by name: how to build them, where their weights lie, their classes and preprocessing.

Both libraries take seconds to import, so every function imports what it needs when it runs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sevis.errors import SevisError
from sevis.images import Preprocessing

if TYPE_CHECKING:
    import torch
    from torch import nn

LIBRARIES = ("timm", "torchvision")


@dataclass(frozen=True)
class Origin:
    """Which network of which library.

    Attributes:
        library: timm or torchvision.
        name: the architecture with the tag of its weights, where the library knows some: seresnet50.ra2_in1k.
    """

    library: str
    name: str


def find(name: str) -> Origin | None:
    """The network of that name in timm, else in torchvision; `timm/NAME` and `torchvision/NAME` ask one only. None: neither has it."""
    library, _, rest = name.partition("/")
    if library in LIBRARIES:
        return _FINDERS[library](rest)
    return next((origin for find_in in _FINDERS.values() if (origin := find_in(name))), None)


def names() -> list[str]:
    """All the architectures of timm, and torchvision's classifiers."""
    import timm
    import torchvision

    return [*timm.list_models(), *torchvision.models.list_models(module=torchvision.models)]


def build(origin: Origin, *, num_classes: int | None = None) -> "nn.Module":
    """Builds a network with fresh weights; `num_classes` None takes the library's own number."""
    options = {} if num_classes is None else {"num_classes": num_classes}
    if origin.library == "timm":
        import timm

        return timm.create_model(origin.name, **options)  # type: ignore[no-any-return]
    import torchvision

    return torchvision.models.get_model(origin.name.partition(".")[0], weights=None, **options)  # type: ignore[no-any-return]


def _find_timm(name: str) -> Origin | None:
    import timm
    from timm.models import get_pretrained_cfg

    if not timm.is_model(name):
        return None
    cfg = get_pretrained_cfg(name)
    arch = name.partition(".")[0]
    return Origin("timm", f"{arch}.{cfg.tag}" if cfg is not None and cfg.tag else arch)


def _find_torchvision(name: str) -> Origin | None:
    import torchvision

    arch, _, tag = name.partition(".")
    if arch not in torchvision.models.list_models(module=torchvision.models):
        return None
    weights = torchvision.models.get_model_weights(arch)
    return Origin("torchvision", f"{arch}.{tag or weights.DEFAULT.name}")


_FINDERS = {"timm": _find_timm, "torchvision": _find_torchvision}
