"""What looks like an SE block by its layers: two projections that narrow and widen again, a gate, and a product in the forward pass.

Nothing is run here, so nothing is certain: `evidence.py` follows a forward pass and decides.
"""

import dis
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import CodeType, FunctionType, MethodType
from weakref import WeakKeyDictionary

from torch import jit, nn

from sevis.errors import SevisError

Modules = Mapping[str, nn.Module]

PLAIN = (nn.Sequential, nn.ModuleList, nn.ModuleDict)  # what holds layers, and has no forward pass of its own making
BETWEEN = ("Norm", "PReLU")  # layers with weights that may stand between the projections, by a part of their class's name
RELATIVE = 32  # modules that a relative of the block holds at most
NEAR = 2  # how many modules deep a projection lies at most below the one that holds both
GATES = ("sigmoid", "gate", "gating", "tanh", "scale_activation")  # in the names of modules that are gates, or of their classes
GATING = ("sigmoid", "gate", "tanh", "relu6", "clamp", "clip", "expit")  # in the names that a forward pass uses for a gate
UNSEEN_GATE = "no gate is seen behind its projections"
MULTIPLYING = ("mul", "multiply", "einsum", "addcmul")
DOUBTS = {  # names in a forward pass that the paper's block has no use for, and what they tell
    "softmax": "its forward pass takes a softmax, in which channels, places or branches compete",
    "adaptive_max_pool2d": "it squeezes by the maximum, too",
    "amax": "it squeezes by the maximum, too",
}


@dataclass(frozen=True)
class Candidate:
    """What looks like an SE block.

    Attributes:
        path: of the module that holds it: the lowest with a forward pass of its own.
        parts: the paths, below it, of the two projections and of the gate; the last is empty where no module is the gate.
        channels, hidden: C, and the units of the hidden layer.
        doubt: why it is not listed as an SE block unless a forward pass shows it: a clause; empty where it is listed.
        named: whether the user declared it.
    """

    path: str
    parts: tuple[str, str, str]
    channels: int
    hidden: int
    doubt: str = ""
    named: bool = False

    @property
    def projections(self) -> tuple[str, str]:
        """The paths of the two projections in the model."""
        return join(self.path, self.parts[0]), join(self.path, self.parts[1])

    @property
    def gate(self) -> str:
        """The path of the gate in the model; empty where no module is the gate."""
        return self.parts[2] and join(self.path, self.parts[2])

    @property
    def may_be(self) -> bool:
        """Whether a forward pass may show that it is an SE block."""
        return not self.doubt or bool(self.parts[2]) or self.doubt in DOUBTS.values() or self.doubt == UNSEEN_GATE

    @property
    def seems(self) -> bool:
        """Whether people may take it for an SE block."""
        return bool(self.parts[2]) or self.doubt in DOUBTS.values()


def join(path: str, below: str) -> str:
    """Return the path of a module below another."""
    return f"{path}.{below}" if path and below else path or below


def parent_of(path: str) -> str:
    """Return the path of the module that holds another; that of the model is empty."""
    return path.rpartition(".")[0]


def outline(model: nn.Module) -> dict[str, nn.Module]:
    """Return all modules by path in their order: each once, as `named_modules`, but those without weights under all their paths."""
    found: dict[str, nn.Module] = {}
    seen: set[int] = set()
    stack = [("", model)]
    while stack:
        path, module = stack.pop()
        if id(module) not in seen:
            seen.add(id(module))
            found[path] = module
            if children := module._modules:
                below = f"{path}." if path else ""
                stack += [(below + key, child) for key, child in reversed(children.items()) if child is not None]
        elif not module._modules and not module._parameters:  # a gate that several blocks share
            found[path] = module
    return found


def find_candidates(modules: Modules, declared: Mapping[str, Sequence[str]]) -> list[Candidate]:
    """Return what looks like an SE block, in the order of the modules.

    Args:
        modules: those of `outline`.
        declared: the parts of blocks that the user named, by the paths of their modules.

    Raises:
        SevisError: for a declaration that does not fit the model.
    """
    found = [_declared(modules, path, parts) for path, parts in declared.items()]
    taken = {part for candidate in found for part in candidate.projections}
    for first, second, turned in _pairs(modules):
        if first not in taken and second not in taken and (candidate := _candidate(modules, first, second, turned)):
            found.append(candidate)
    return _own_gates(in_order(found, modules) if declared else found)


def _own_gates(candidates: list[Candidate]) -> list[Candidate]:
    """Return candidates of which only the innermost has a gate that several lay claim to."""
    deepest = {gate: candidate for candidate in sorted(candidates, key=lambda one: len(one.path)) if (gate := candidate.gate)}
    return [
        candidate
        if not candidate.gate or deepest[candidate.gate] is candidate
        else replace(candidate, parts=(*candidate.parts[:2], ""), doubt="the gate behind its projections is that of another block")
        for candidate in candidates
    ]


def in_order(candidates: Sequence[Candidate], modules: Modules) -> list[Candidate]:
    """Return candidates in the order of the modules."""
    order = {path: index for index, path in enumerate(modules)}
    return sorted(candidates, key=lambda candidate: min(order[path] for path in candidate.projections))


def candidate_of(modules: Modules, first: str, second: str) -> Candidate:
    """Return the candidate of two projections, wherever they lie."""
    common = path = _common(first, second)
    while path and type(modules[path]) in PLAIN:
        path = parent_of(path)
    channels, hidden = widths(modules[first])
    below = len(path) + 1 if path else 0
    gate = _gate(modules, common, first, second) or (_gate(modules, path, first, second) if path != common else "")
    return Candidate(path, (first[below:], second[below:], gate[below:]), channels, hidden)


def is_projection(module: nn.Module) -> bool:
    """Return whether a module is a linear layer, or a convolution of one place, with weights of its own."""
    own = module.__dict__
    if "in_features" not in own and "in_channels" not in own:
        return isinstance(module, jit.ScriptModule) and widths(module) != (0, 0)
    if not module._parameters and "parametrizations" not in module._modules:
        return False
    kernel = own.get("kernel_size", 1)
    return (kernel == 1 or set(kernel) == {1}) and own.get("groups", 1) == 1 and widths(module) != (0, 0)


def widths(projection: nn.Module) -> tuple[int, int]:
    """Return the inputs and outputs of a linear layer or a convolution; zeros for anything else."""
    if isinstance(projection, jit.ScriptModule):  # a traced layer has forgotten all but its weight
        weight = getattr(projection, "weight", None)
        return (weight.shape[1], weight.shape[0]) if weight is not None and weight.ndim >= 2 else (0, 0)
    own = projection.__dict__  # asking the module itself for an attribute that it lacks is slow
    inputs, outputs = own.get("in_features") or own.get("in_channels"), own.get("out_features") or own.get("out_channels")
    return (inputs, outputs) if isinstance(inputs, int) and isinstance(outputs, int) else (0, 0)


def _declared(modules: Modules, path: str, parts: Sequence[str]) -> Candidate:
    """Return a block that the user named. Raises SevisError for layers that are not there, or that are no two projections."""
    missing = [part for part in parts if join(path, part) not in modules]
    if path not in modules or missing or len(parts) not in (2, 3):
        raise SevisError(
            "expected blocks={'path': ('first projection', 'second projection', 'gate')}, without a gate where no module is the gate; "
            f"got {path!r}: {parts!r}, and the model has no {', '.join(map(repr, missing)) or repr(path)}"
        )
    first, second = (modules[join(path, part)] for part in parts[:2])
    channels, hidden = widths(first)
    if not (is_projection(first) and is_projection(second)) or widths(second) != (hidden, channels):
        raise SevisError(
            f"expected two linear layers or 1x1 convolutions at {path!r}, from C channels to h units and back, got "
            f"{type(first).__name__} {widths(first)} and "
            f"{type(second).__name__} {widths(second)}: name the layers that hold the weights"
        )
    return Candidate(path, (parts[0], parts[1], parts[2] if len(parts) > 2 else ""), channels, hidden, named=True)


def _pairs(modules: Modules) -> list[tuple[str, str, bool]]:
    """Return neighbours among the layers with weights that project C channels to h units and back; norms do not part them.

    They are in the order of the forward pass: the narrow side is in the middle. With each pair comes whether its layers lie the other way
    round in the model, as they may in a dictionary.
    """
    found: list[tuple[str, str, bool]] = []
    rows: list[list[tuple[str, int, int]]] = [[]]  # of neighbours
    for path, module in modules.items():
        if not module._parameters and "parametrizations" not in module._modules:
            continue
        if is_projection(module):
            rows[-1].append((path, *widths(module)))
        elif rows[-1] and not any(word in type(module).__name__ for word in BETWEEN) and "parametrizations." not in path:
            rows.append([])
    for row in rows:
        if len(row) > 1:
            found += _pairs_in(row)
    return found


def _pairs_in(row: Sequence[tuple[str, int, int]]) -> list[tuple[str, str, bool]]:
    """Return the pairs in a row of neighbours; those that narrow and widen have precedence over those that widen and narrow."""
    found: list[tuple[str, str, bool]] = []
    free = [True] * len(row)
    for narrowing in (True, False):
        for index in range(len(row) - 1):
            (one, inputs, outputs), (other, *widths_of_other) = row[index], row[index + 1]
            if free[index] and free[index + 1] and widths_of_other == [outputs, inputs] and (outputs <= inputs) == narrowing:
                free[index] = free[index + 1] = False
                found.append((one, other, False) if narrowing else (other, one, True))
    return found


def _candidate(modules: Modules, first: str, second: str, turned: bool) -> Candidate | None:
    """Return the block that two projections may belong to; None where they lie far apart, or among others in one sequence."""
    common = _common(first, second)
    start = len(common) + 1 if common else 0
    if max(first.count(".", start), second.count(".", start)) >= NEAR:
        return None
    if turned and type(modules[common]) is nn.Sequential:  # whose order is that of the forward pass
        return None
    if type(modules[common]) in PLAIN and len(list(_weighted(modules[common]))) > 2:
        return None
    found = candidate_of(modules, first, second)
    doubt = "its layers widen first" if turned and not found.parts[2] else _doubt(modules, found)
    return replace(found, doubt=doubt) if doubt else found


def _weighted(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers with weights below a module, norms apart."""
    for child in module.modules():
        if child._parameters and not any(word in type(child).__name__ for word in BETWEEN):
            yield child


def _common(first: str, second: str) -> str:
    """Return the path of the lowest module that holds two others."""
    common = parent_of(first)
    while common and not second.startswith(f"{common}."):
        common = parent_of(common)
    return common


def _gate(modules: Modules, holder: str, first: str, second: str) -> str:
    """Return the path of the module that may be the gate of two projections: the next behind the second one, else one before them."""
    before, behind = "", False
    inside = f"{holder}." if holder else ""
    stack = [(inside + key, child) for key, child in reversed(modules[holder]._modules.items()) if child is not None]
    while stack:
        path, module = stack.pop()
        behind = behind or path == second
        if _is_gate(path, module):
            if behind:
                return path
            before = path
        elif path not in (first, second):
            stack += [(f"{path}.{key}", child) for key, child in reversed(module._modules.items()) if child is not None]
    return before


def _is_gate(path: str, module: nn.Module) -> bool:
    """Return whether a module is called a gate, by its own name or by its class's, and has no weights."""
    key, kind = path.rpartition(".")[2].lower(), type(module).__name__.lower()
    return (
        "gelu" not in kind and any(word in key or word in kind for word in GATES) and not any(part._parameters for part in module.modules())
    )


def _doubt(modules: Modules, found: Candidate) -> str:
    """Return why two projections are not listed as an SE block, by what the forward passes around them say; empty where they are."""
    holder = modules[found.path]
    words = _words(type(holder))
    above = [type(modules[path]) for path in ancestors(found.path)]
    small = len(list(holder.modules())) <= RELATIVE  # what a whole network says elsewhere is no doubt about its blocks
    if small and any("maxpool" in type(child).__name__.lower() for child in holder.children()):
        return "it squeezes by the maximum, too"
    for word, reason in DOUBTS.items():
        if (small and word in words) or (word == "softmax" and above and word in _words(above[0])):
            switched_off = any("max" in key and value is False for key, value in holder.__dict__.items())
            if not (switched_off and "max" in word):
                return reason
    if not any("*" in _words(kind) for kind in (type(holder), *above)) and "*" not in _own_functions(holder):
        return "no forward pass around it multiplies anything"
    if any("gate" in key.lower() and child is not None and child._parameters for key, child in holder._modules.items()):
        return "its gate has weights"
    if not found.parts[2] and not any(word in said for said in words | _own_functions(holder) for word in GATING):
        return UNSEEN_GATE
    return ""


def ancestors(path: str) -> list[str]:
    """Return the paths of the modules above one, the nearest first."""
    found = []
    while path:
        path = parent_of(path)
        found.append(path)
    return found


def product_path(modules: Modules, path: str) -> str:
    """Return the path of the lowest module, from one upwards, whose forward pass multiplies; of the one itself where none does."""
    return next((above for above in (path, *ancestors(path)) if "*" in _words(type(modules[above]))), path)


def find_relatives(modules: Modules, known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the paths of modules that multiply maps by a gate of another making, and what they have instead of two projections.

    Args:
        modules: those of `outline`.
        known: paths of layers that are told of already.
    """
    told = {above for path in known for above in (path, *ancestors(path))}
    for path, module in modules.items():
        words = _words(type(module))
        if path in told or "*" not in words or not module._modules or len(list(module.modules())) > RELATIVE:
            continue
        said = [*words, *(word for child in module.modules() for word in (*_words(type(child)), type(child).__name__.lower()))]
        gated = any(word in name for name in said for word in ("sigmoid", "softmax"))
        if (gated and any("mean" in name or "pool" in name for name in said)) or "gating" in type(module).__name__.lower():
            told |= {below for below in modules if below.startswith(f"{path}.")}
            yield path, _instead(module, any("softmax" in name for name in said))


def _instead(module: nn.Module, softmax: bool) -> str:
    """Return what a module has instead of the two projections of an SE block."""
    layers = list(_weighted(module))
    if softmax:
        return DOUBTS["softmax"]
    if any(isinstance(layer, nn.Conv1d) and layer.in_channels == 1 for layer in layers):
        return "it convolves the means of the channels, as ECA does, and has no bottleneck"
    if len(layers) == 1:
        return "it has one layer with weights, and no bottleneck"
    if not layers:
        return "it has no projections"
    leads = " and ".join(f"from {a} to {b}" for a, b in map(widths, layers) if a)
    return f"its layers lead {leads}, and are not seen to be two projections" if leads else "it has no two projections"


def _words(kind: type[nn.Module]) -> frozenset[str]:
    """Return the names that the methods of a class use, and `*` where they multiply; nothing of torch.nn's own."""
    words = _known_words.get(kind)
    if words is None:
        found: set[str] = set()
        for owner in kind.__mro__:
            if issubclass(owner, nn.Module) and not owner.__module__.startswith("torch.nn."):
                for name, method in vars(owner).items():
                    if isinstance(method, FunctionType) and name != "__init__":
                        found |= _said(method.__code__)
                        for helper in map(method.__globals__.get, method.__code__.co_names):
                            found |= _said(helper.__code__) if isinstance(helper, FunctionType) else frozenset()
        words = _known_words[kind] = frozenset(found)
    return words


_known_words: WeakKeyDictionary[type[nn.Module], frozenset[str]] = WeakKeyDictionary()


def _own_functions(module: nn.Module) -> set[str]:
    """Return the names of the functions that a module keeps in its attributes, and those that they use."""
    found: set[str] = set()
    for key, value in module.__dict__.items():
        if callable(value) and not isinstance(value, nn.Module):
            function = value.__func__ if isinstance(value, MethodType) else getattr(value, "func", value)  # a partial's
            found |= {key, getattr(function, "__name__", "")}
            if isinstance(function, FunctionType):
                found |= _said(function.__code__)
    return found


@cache
def _said(code: CodeType) -> frozenset[str]:
    """Return the names that a function uses, and `*` where it multiplies."""
    found = set(code.co_names)
    if any(word.strip("_") in MULTIPLYING for word in found) or any(
        step.opname == "BINARY_OP" and step.argrepr in ("*", "*=") for step in dis.get_instructions(code)
    ):
        found.add("*")
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _said(constant)
    return frozenset(found)
