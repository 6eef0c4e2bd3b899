"""Which tensors of a file are the weights of a network: found by the network's own names and shapes, and never half of them."""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from torch import Tensor, nn

from sevis.errors import SevisError
from sevis.weights.checkpoint import Checkpoint, TensorGroup, check_sound, kind_of, shown

COUNTER = "num_batches_tracked"
OF_ANOTHER_KIND = "of another kind"
NAMES_AND_SHAPES = ("missing", "unexpected", "of another shape")
# Parts of names of what training keeps beside a network, in a module that holds both: never the network's own.
BESIDE = ("loss", "losses", "criterion", "metric", "metrics", "acc", "accuracy", "ema")
DEPTH = 8  # parts of a prefix, at most
PREFIXES_TRIED = 20  # those below which most names of the network lie
NEARLY_ALL = 0.9  # of the names in a file
HEAD = 12  # tensors of a head, at most
SHOWN = 3  # names of each kind in a message

Outline = Callable[[int], nn.Module]
Differences = Mapping[str, list[str]]


@dataclass(frozen=True)
class Fit:
    """How the tensors of a file fit a network.

    Attributes:
        group: the dictionary of the file that they lie in.
        prefix: what stands before the names that the network has.
        state: the tensors by the network's names.
        outputs: how many outputs the network has with them.
        head: what the file calls the classifier, where another name than the network's; empty else.
        left_out: the names of what lies beside the weights.
        differences: from the network, by kind; all empty where the tensors fit.
    """

    group: TensorGroup
    prefix: str
    state: dict[str, Tensor]
    outputs: int
    head: str
    left_out: list[str]
    differences: Differences

    @property
    def fits(self) -> bool:
        """Whether every tensor of the network is here, and no other."""
        return not any(self.differences.values())

    @property
    def is_average(self) -> bool:
        """Whether the file calls them an average over the steps of a training (EMA)."""
        return "ema" in f"{'.'.join(self.group.place)}.{self.prefix}".replace("_", ".").split(".")

    def describe(self) -> str:
        """Return a sentence about what was done to find the weights; empty where they lay where they usually do."""
        place = ".".join(self.group.place) if not self.group.is_usual or self.is_average else ""
        told = [f"the {'averaged weights (EMA)' if self.is_average else 'weights'} lie in {shown(place)!r}"] if place else []
        if self.prefix:
            told.append(f"the names of the weights begin with {shown(self.prefix)!r}, which was taken off")
        if self.head:
            told.append(f"{shown(self.head)!r} is the classifier")
        if self.left_out:
            told.append(f"left out was what lies beside the weights: {_some(self.left_out)}")
        return "; ".join(told)


def find_fit(outline: Outline, checkpoint: Checkpoint, name: str, num_classes: int) -> Fit | None:
    """Return the tensors of a file that are all of a network's; None where there are none.

    The file may have other tensors beside them, but none among them: those of a larger network do not fit a smaller one.

    Args:
        outline: returns the network with so many outputs, without memory for its weights.
        checkpoint: the file.
        name: of the network, for messages.
        num_classes: how many outputs the network usually has; the file's classifier may have another number.

    Raises:
        SevisError: where two networks in the file fit, and for tensors that are not sound, or whole numbers in the place of fractions.
    """
    outline, unusual = cache(outline), list[Fit]()
    for group in checkpoint.groups:
        tried = _try_group(outline, checkpoint, group, num_classes)
        found = [fit for fit in tried if fit.fits]
        if any(fit.differences[OF_ANOTHER_KIND] and not any(fit.differences[kind] for kind in NAMES_AND_SHAPES) for fit in tried):
            raise explain_misfit(outline, checkpoint, name, num_classes)
        if found and group.is_usual:
            return _choose(found, checkpoint, name)
        unusual += found
    return _choose(unusual, checkpoint, name) if unusual else None


def explain_misfit(outline: Outline, checkpoint: Checkpoint, name: str, num_classes: int) -> SevisError:
    """Return the error for a file that is not of this network, with the first names and shapes that differ."""
    outline = cache(outline)
    own = set(outline(num_classes).state_dict())
    tried = [fit for group in checkpoint.groups for fit in _try_group(outline, checkpoint, group, num_classes)]
    nearest = min(tried, key=lambda fit: sum(map(len, fit.differences.values())), default=None)
    if nearest is None:
        first = checkpoint.groups[0]
        prefix, count = next(iter(_count_prefixes(own, first.tensors)), ("", 0))
        nearest = _compare(outline, checkpoint, first, prefix if 2 * count > len(own) else "", num_classes)
    told = [f"{kind}: {_some(names)}" for kind, names in nearest.differences.items() if names]
    if nearest.prefix:
        told = [f"below {shown(nearest.prefix)!r}", *told, *([f"left over: {_some(nearest.left_out)}"] if nearest.left_out else [])]
    missing, heads = nearest.differences["missing"], _list_heads(outline(num_classes), num_classes)
    cure = "name the network that it was saved from"
    if missing and any(head.issuperset(missing) for head in heads.values()):
        cure = "it lacks the classifier, and nothing else in it can be it: save the whole network, or name the one that it was saved from"
    if re.search(r"-\d{5}-of-\d{5}\.", checkpoint.path.name):
        cure = "it is one of several files that hold them together: save them in one"
    return SevisError(f"{checkpoint.path} does not hold the weights of {name} ({'; '.join(told)}): {cure}")


def _choose(found: list[Fit], checkpoint: Checkpoint, name: str) -> Fit:
    """Return the averaged network (EMA) among several that fit, or the only one. Raises SevisError where it is not clear."""
    averaged = [fit for fit in found if fit.is_average]
    (first, *others) = averaged or found
    if others:
        places = [".".join((*fit.group.place, fit.prefix)) or "the top of the file" for fit in (first, *others)]
        raise SevisError(f"{checkpoint.path} holds several networks that fit {name} ({_some(places)}): save the weights of one of them")
    return first


def _try_group(outline: Outline, checkpoint: Checkpoint, group: TensorGroup, num_classes: int) -> list[Fit]:
    """Return how a group of tensors fits below each prefix under which nearly all names of the network lie."""
    own = {key for key in outline(num_classes).state_dict() if not key.endswith(COUNTER)}
    wanted = len(own) - max(map(len, _list_heads(outline(num_classes), num_classes).values()), default=0)
    if len(group.tensors) < wanted:
        return []
    prefixes = [prefix for prefix, count in _count_prefixes(own, group.tensors) if count >= wanted]
    return [_compare(outline, checkpoint, group, prefix, num_classes, others=prefixes) for prefix in prefixes]


def _count_prefixes(own: Container[str], names: Iterable[str]) -> list[tuple[str, int]]:
    """Return what stands before names of the network in those of a file, and before how many, the most frequent first."""
    under = Counter[str]()
    for name in names:
        parts = name.split(".", DEPTH)
        for cut in range(len(parts)):
            if ".".join(parts[cut:]) in own:
                under[".".join((*parts[:cut], ""))] += 1
    return under.most_common(PREFIXES_TRIED)


def _compare(
    outline: Outline, checkpoint: Checkpoint, group: TensorGroup, prefix: str, num_classes: int, *, others: Sequence[str] = ()
) -> Fit:
    """Return how the tensors below a prefix fit a network; what lies below the longer of the `others` is another one."""
    model, tensors = outline(num_classes), group.tensors
    own, heads = model.state_dict(), _list_heads(model, num_classes)
    longer = tuple(other for other in others if len(other) > len(prefix) and other.startswith(prefix))
    names = {key.removeprefix(prefix): key for key in tensors if key.startswith(prefix) and not (longer and key.startswith(longer))}
    lacking, head = {key for key in own if key not in names and not key.endswith(COUNTER)}, ""
    for path in (path for path, keys in heads.items() if keys == lacking):
        elsewhere = tensors.keys() - {names[key] for key in own if key in names}
        ends = {key.removeprefix(path): own[key] for key in lacking}
        head = _find_head({key: tensors[key] for key in tensors if key in elsewhere}, ends, prefix)
        moved = {key: f"{head}{key.removeprefix(path)}" for key in lacking} if head else {}
        names = {short: long for short, long in names.items() if long not in moved.values()} | moved
    state = {key: tensors[name] for key, name in names.items() if key in own or not _is_beside(key, own)}
    check_sound(checkpoint.path, {names[key]: tensor for key, tensor in state.items() if key in own})
    outputs = count_classes(model, state, num_classes)
    used = {names[key] for key in state}
    left_out = [key for key in tensors if key not in used]
    return Fit(group, prefix, state, outputs, head, left_out, compare_states(outline(outputs).state_dict(), state))


def leading_parts(names: Sequence[str]) -> Iterator[str]:
    """Yield what nearly all names of a file begin with, part by part, for a network whose own names are not in it."""
    prefix = ""
    for _ in range(DEPTH):
        below = Counter(name.removeprefix(prefix).partition(".")[0] for name in names if name.startswith(prefix) and name != prefix)
        part, count = next(iter(below.most_common(1)), ("", 0))
        prefix = f"{prefix}{part}."
        if count < NEARLY_ALL * len(names) or not any(name.startswith(prefix) for name in names):
            return
        yield prefix


def _is_beside(name: str, own: Iterable[str]) -> bool:
    """Return whether a name is that of a loss, a metric or an average, which lies in no module of the network."""
    first = name.partition(".")[0]
    return any(part in BESIDE for part in first.lower().split("_")) and not any(key.startswith(f"{first}.") for key in own)


def _find_head(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], prefix: str) -> str:
    """Return the path of the only other module that can be a network's classifier; empty where there is none, or one among others.

    It has the classifier's layers and shapes but for the number of outputs, and nothing beside it in its own part of the file: a head of
    more layers computes something else.

    Args:
        tensors: those of the file that lie elsewhere than in the network.
        wanted: the classifier's own, by the ends of their names.
        prefix: below which the rest of the network lies.
    """
    end = next(iter(wanted))
    paths = [name.removesuffix(end) for name in tensors if name.endswith(end)]
    found = [path for path in paths if path and _are_like({end: tensors.get(f"{path}{end}") for end in wanted}, wanted)]
    if len(found) != 1:
        return ""
    root, whole = _root(found[0], prefix), {f"{found[0]}{end}" for end in wanted}
    siblings = [name for name in tensors if _root(name, prefix) == root and name not in whole and not name.endswith(COUNTER)]
    return found[0] if all(_is_beside(name.removeprefix(root).lstrip("."), ()) for name in siblings) else ""


def _are_like(tensors: Mapping[str, Tensor | None], wanted: Mapping[str, Tensor]) -> bool:
    """Return whether tensors have the shapes of a network's own, but for one number of outputs."""
    pairs = [(tensors[end], own) for end, own in wanted.items()]
    first = {(own.shape[:1], tensor.shape[:1]) for tensor, own in pairs if tensor is not None}
    alike = all(tensor is not None and tensor.ndim == own.ndim and tensor.shape[1:] == own.shape[1:] for tensor, own in pairs)
    return alike and len(first) == len({own for own, _ in first})


def _root(name: str, prefix: str) -> str:
    """Return the first parts of a name up to the one in which it leaves the prefix: `model.head` of model.head.fc, beside model.net."""
    parts, along = name.split("."), prefix.split(".")
    apart = next((at for at, part in enumerate(parts) if at >= len(along) or part != along[at]), len(parts))
    return ".".join(parts[: apart + 1])


def _list_heads(model: nn.Module, num_classes: int) -> dict[str, set[str]]:
    """Return the names of the tensors of a network's classifier, and of the modules around it, by their paths: what a head may be."""
    path, found = classifier_path(model, num_classes), dict[str, set[str]]()
    while path:
        keys = {key for key in model.state_dict() if key.startswith(f"{path}.") and not key.endswith(COUNTER)}
        if len(keys) <= HEAD and keys not in found.values():
            found[path] = keys
        path = path.rpartition(".")[0]
    return found


def classifier_path(model: nn.Module, num_classes: int) -> str:
    """Return the path of a network's last linear layer or 1x1 convolution with so many outputs; empty where it has none."""
    for path, module in reversed(list(model.named_modules())):
        is_linear = isinstance(module, nn.Linear) and module.out_features == num_classes
        if is_linear or (isinstance(module, nn.Conv2d) and module.out_channels == num_classes and module.kernel_size == (1, 1)):
            return str(path)
    return ""


def count_classes(model: nn.Module, state: Mapping[str, Tensor], num_classes: int) -> int:
    """Return the outputs of the classifier in a file; `num_classes`, those of the network, where the file has none."""
    key = f"{classifier_path(model, num_classes)}.weight"
    own, weight = model.state_dict().get(key), state.get(key)
    alike = own is not None and weight is not None and weight.ndim == own.ndim and weight.shape[1:] == own.shape[1:]
    return len(weight) or num_classes if alike and weight is not None else num_classes


def compare_states(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> Differences:
    """Return the names that only the network has, those that only the file has, and the shapes and kinds of numbers that differ."""
    both = [(key, state[key], tensor) for key, tensor in own.items() if key in state]
    # The counters of batch norm are read by nothing: files from before PyTorch 0.4.1 lack them, others have them in half precision.
    return {
        "missing": [key for key in own if key not in state and not key.endswith(COUNTER)],
        "unexpected": [key for key in state if key not in own],
        "of another shape": [
            f"{key} {tuple(found.shape)}, expected {tuple(tensor.shape)}" for key, found, tensor in both if found.shape != tensor.shape
        ],
        OF_ANOTHER_KIND: [
            f"{key} {kind_of(found)}, expected {kind_of(tensor)}"
            for key, found, tensor in both
            if found.is_floating_point() != tensor.is_floating_point() and not key.endswith(COUNTER)
        ],
    }


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(map(shown, names[:SHOWN]))}{more}"
