"""SE networks of timm and torchvision by name: how they are built, what they are fed, and how their classes are called.

Both libraries take seconds to import, so every function imports what it needs when it runs.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError

if TYPE_CHECKING:
    from torch import Tensor, nn

IMAGENET = 1000  # classes of the challenge


@dataclass(frozen=True)
class Origin:
    """A network of a library.

    Attributes:
        library: timm or torchvision.
        name: the architecture, and after a dot the tag of its weights, where the library knows some: seresnet50.ra2_in1k.
    """

    library: str
    name: str

    @property
    def architecture(self) -> str:
        """The name without the tag."""
        return self.name.partition(".")[0]

    @property
    def tag(self) -> str:
        """Return which of the weights; empty where the library has none."""
        return self.name.partition(".")[2]


def find(name: str) -> Origin | None:
    """Return the network of that name in timm, else in torchvision, or None; `timm/NAME` and `torchvision/NAME` ask one only.

    Raises:
        SevisError: for a tag that the library does not have, with those that it has.
    """
    library, _, rest = name.partition("/")
    if library in _FINDERS:
        return _FINDERS[library](rest)
    return next((origin for find_in in _FINDERS.values() if (origin := find_in(name))), None)


def list_names() -> list[str]:
    """Return the architectures of timm, and torchvision's classifiers."""
    import timm
    import torchvision

    return [*timm.list_models(), *torchvision.models.list_models(module=torchvision.models)]


def build(origin: Origin, *, num_classes: int | None = None, state: "dict[str, Tensor] | None" = None) -> "nn.Module":
    """Build a network.

    Args:
        origin: which.
        num_classes: how many outputs; None takes as many as the library's trained weights have.
        state: weights as the library publishes them, which may name them as older versions did and hold other outputs: it converts
            them itself. None leaves fresh weights.

    Raises:
        SevisError: for a network whose library says that it has no classifier.
    """
    options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    if origin.library == "timm":
        import timm

        if state is not None:
            options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": state, **options}}
        model: nn.Module = timm.create_model(origin.name, **options)
        if not model.num_classes:
            raise SevisError(f"{origin.name} of timm has no classifier, only features: choose other weights of {origin.architecture}")
        return model
    import torchvision

    model = torchvision.models.get_model(origin.architecture, weights=None, **options)
    if state is not None:
        model.load_state_dict(state)
    return model


def outputs(origin: Origin, model: "nn.Module") -> int:
    """Return how many outputs a network has that `build` made without `num_classes`."""
    return int(model.num_classes) if origin.library == "timm" else IMAGENET  # type: ignore[arg-type]


def preprocessing(origin: Origin) -> Preprocessing:
    """Return how the library prepares a picture for these weights when it evaluates them: timm at its test size, where it has one.

    Raises:
        SevisError: for an input that is no square RGB picture, and for a way to resize or crop that sevis lacks.
    """
    if origin.library == "torchvision":
        return _torchvision_preprocessing(origin)
    from timm.data.config import resolve_data_config
    from timm.models import get_pretrained_cfg

    cfg = get_pretrained_cfg(origin.name)
    known = cfg.to_dict() if cfg else {}  # type: ignore[no-untyped-call]
    config = resolve_data_config(pretrained_cfg=known, use_test_size=True)  # type: ignore[no-untyped-call]
    channels, height, width = config["input_size"]
    if channels != 3 or height != width:
        raise SevisError(f"{origin.name} takes inputs of shape {config['input_size']}; sevis prepares square RGB pictures only")
    return Preprocessing(
        resize=int(height / config["crop_pct"]),
        crop=height,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=config["interpolation"],
        crop_mode=config["crop_mode"],
    )


def name_classes(num_classes: int) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
    """Return short names of a classifier's outputs, no two alike, and their WordNet ids.

    ImageNet's lists are known by their length (1k, 12k, 21k and 22k, as timm does it); for another, the names are `output 0`, ... and
    the ids None.
    """
    from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": num_classes})
    if subset is None:
        return tuple(f"output {number}" for number in range(num_classes)), None
    wnids = tuple(ImageNetInfo(subset).label_names())  # type: ignore[no-untyped-call]
    return name_wnids(wnids), wnids


def name_wnids(wnids: Sequence[str]) -> tuple[str, ...]:
    """Return short names for WordNet ids, no two alike; the ids themselves where one is not ImageNet's."""
    if not all(re.fullmatch(r"n\d{8}", wnid) for wnid in wnids):
        return tuple(wnids)
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo()
    try:
        details = [info.label_name_to_description(wnid, detailed=True).partition(": ") for wnid in wnids]
    except KeyError:
        return tuple(wnids)
    return short_names([(wnid, lemmas, definition) for wnid, (lemmas, _, definition) in zip(wnids, details, strict=True)])


def short_names(entries: "Sequence[tuple[str, str, str]]") -> tuple[str, ...]:
    """Return the first word for each class; where others share it, with the second, else with what it is, else with its id.

    Args:
        entries: id, words separated by commas, and definition of every class.
    """
    words = [lemmas.split(", ") for _, lemmas, _ in entries]
    choices = [
        (some[0], ", ".join(some[:2]), f"{some[0]} ({_brief(definition)})", f"{some[0]} ({wnid})")
        for some, (wnid, _, definition) in zip(words, entries, strict=True)
    ]
    shares = [Counter(column) for column in zip(*choices, strict=True)]
    return tuple(next((choice for choice, share in zip(row, shares, strict=True) if share[choice] == 1), row[-1]) for row in choices)


def _brief(definition: str) -> str:
    """Return the first words of a definition, at most about 40 characters."""
    clause = re.split(r"[;,:()]| of | with | that | which | from | in ", definition.strip())[0].strip()
    return clause if len(clause) <= 40 else clause[:40].rpartition(" ")[0]


def _torchvision_preprocessing(origin: Origin) -> Preprocessing:
    preset = torchvision_weights(origin).transforms()
    return Preprocessing(
        resize=preset.resize_size[0],
        crop=preset.crop_size[0],
        mean=tuple(preset.mean),
        std=tuple(preset.std),
        interpolation=preset.interpolation.value,
    )


def torchvision_weights(origin: Origin) -> Any:
    """Return what torchvision says of its weights: an entry of its enumeration, with `url`, `meta` and `transforms`."""
    import torchvision

    return torchvision.models.get_model_weights(origin.architecture)[origin.tag]


def _find_timm(name: str) -> Origin | None:
    import timm
    from timm.models import get_pretrained_cfg

    if not timm.is_model(name):
        return None
    architecture, _, tag = name.partition(".")
    try:
        cfg = get_pretrained_cfg(name)
    except RuntimeError:  # a tag that it does not have
        tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
        raise SevisError(f"timm has no weights {tag!r} of {architecture}; it has {', '.join(tags) or 'none'}") from None
    return Origin("timm", f"{architecture}.{cfg.tag}" if cfg is not None and cfg.has_weights else architecture)


def _find_torchvision(name: str) -> Origin | None:
    import torchvision

    architecture, _, tag = name.partition(".")
    if architecture not in torchvision.models.list_models(module=torchvision.models):
        return None
    weights = torchvision.models.get_model_weights(architecture)
    if tag and tag not in weights.__members__:
        raise SevisError(f"torchvision has no weights {tag!r} of {architecture}; it has {', '.join(weights.__members__)}")
    return Origin("torchvision", f"{architecture}.{tag or weights.DEFAULT.name}")


_FINDERS = {"timm": _find_timm, "torchvision": _find_torchvision}
