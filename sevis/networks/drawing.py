"""A unit of a network as a graph of its operations, by torch.fx on the meta device."""

import operator
import re
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from sevis.blocks.block import SqueezeExcitation, average
from sevis.blocks.evidence import examine
from sevis.blocks.following import VIEWS
from sevis.blocks.sites import Site, know
from sevis.blocks.structure import outline, parent_of
from sevis.errors import SevisError, one_line
from sevis.networks.grafting import Gated, find_units
from sevis.networks.meta import CONVOLUTIONS, Size, default_size, meta_copy, run_meta

SUMS = (operator.add, operator.iadd, torch.add)
PRODUCTS = ("mul", "imul", "multiply")
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.GELU, nn.Mish, nn.PReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Hardsigmoid)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
ADAPTIVE_POOLS = (
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)

Kind = Literal["input", "convolution", "activation", "pool", "sum", "concat", "product", "squeeze", "projection", "gate", "other"]


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        label: what it does, such as `3 × 3 conv, 64`.
        notes: what is done right after it, or how: `BN · ReLU`, `stride 2`; empty for nothing.
        shape: of its output, as the paper writes it: C × H × W; C × L in a network of sequences, C × D × H × W in one of volumes.
        kind: what it is drawn as.
        gated: whether it belongs to an SE block.
    """

    label: str
    notes: str
    shape: str
    kind: Kind
    gated: bool = False

    @property
    def detail(self) -> str:
        """The notes and the shape, for a second line."""
        return " · ".join(filter(None, [self.notes, self.shape]))


@dataclass(frozen=True)
class Drawing:
    """The operations of a unit in an order in which they can run.

    Attributes:
        title: the unit's name, or its path.
        steps: the first is the input.
        arrows: from which step to which, by their indices; each points forward.
    """

    title: str
    steps: tuple[Operation, ...]
    arrows: tuple[tuple[int, int], ...]


def draw_unit(model: nn.Module, unit: str, *, size: Size | None = None) -> Drawing:
    """Read a unit off a network, without computing anything.

    Args:
        model: the network; it stays as it is.
        unit: the name of one of `find_units`, such as SE_4_6, or the path of any module.
        size: channels, height and width of an image that the network takes, or the size of a sequence or a volume; None: as for
            `sevis.graft`.

    Raises:
        SevisError: for a unit that the network does not have, that does not run, or whose way depends on what it computes.
    """
    skeleton = meta_copy(model)
    size = size or default_size(model)
    path = _path_of(model, unit, size)
    whole = _whole(skeleton, path)
    shape = _input_shape(skeleton, whole, size)
    module = nn.Sequential(*whole)  # so that an SE block that is all of the unit has a path, too
    example = torch.empty(1, *shape, device="meta", dtype=next(model.parameters()).dtype)
    try:
        columns = _columns(module, example)
        graph = _Tracer(set(columns)).trace(module)
        shapes = _Shapes(fx.GraphModule(module, graph))
        shapes.run(example)
    except Exception as error:  # torch.fx has many reasons
        raise SevisError(
            f"{unit} cannot be drawn, because the order of operations in {type(whole[0]).__name__} depends on values ({one_line(error)})"
        ) from None
    sketch = _Sketch(module, columns, shapes.seen)
    for node in graph.nodes:
        sketch.add(node)
    return Drawing(unit, tuple(sketch.steps), tuple(sketch.arrows))


def _path_of(model: nn.Module, unit: str, size: Size) -> str:
    modules = dict(model.named_modules())
    if unit in modules and unit:
        return unit
    named = {known.name: known.path for known in find_units(model, size=size)}
    if unit not in named:
        raise SevisError(f"{type(model).__name__} has no unit {unit!r}: choose among {', '.join(named)}")
    return named[unit]


def _whole(skeleton: nn.Module, path: str) -> list[nn.Module]:
    """Return the unit with the SE block grafted beside it; for a non-linearity in a sequence, its convolution and all that follows, too."""
    parent, _, key = path.rpartition(".")
    while isinstance(skeleton.get_submodule(parent), Gated):
        path = parent
        parent, _, key = path.rpartition(".")
    holder, unit = skeleton.get_submodule(parent), skeleton.get_submodule(path)
    body = unit.body if isinstance(unit, Gated) else unit
    if not isinstance(body, nn.ReLU) or type(holder) is not nn.Sequential:
        return [unit]
    keys = list(holder._modules)
    end = keys.index(key)
    start = max((index for index in range(end) if isinstance(holder[index], CONVOLUTIONS)), default=end)
    return [holder[index] for index in range(start, end + 1)]


def _input_shape(skeleton: nn.Module, whole: list[nn.Module], size: Size) -> tuple[int, ...]:
    shapes: list[tuple[int, ...]] = []

    def note(_: nn.Module, args: tuple[Any, ...]) -> None:
        shapes.append(tuple(args[0].shape[1:]) if len(args) == 1 and isinstance(args[0], Tensor) else ())

    handle = whole[0].register_forward_pre_hook(note)
    run_meta(skeleton, size)
    handle.remove()
    if not shapes:
        raise SevisError(f"{type(whole[0]).__name__} cannot be drawn: the network does not run it")
    if len(shapes[0]) < 2:
        raise SevisError(f"{type(whole[0]).__name__} cannot be drawn: it does not take one batch of maps as its input")
    return shapes[0]


@dataclass(frozen=True)
class _Column:
    """An SE block that is a module of its own, which takes u and returns s * u, and what lies between its projections."""

    site: Site
    between: str


def _columns(module: nn.Module, example: Tensor) -> dict[str, _Column]:
    """Return the SE blocks that the paper's Figure 3 is true of, by their paths; others are drawn as their operations."""
    known = know(module)
    known.learn(module, examine(outline(module), known.candidates, lambda: module(example)))
    columns = {}
    for site in known.sites:
        wiring = known.wiring(site)
        if wiring and wiring.takes_input and wiring.returned and (wiring.form, wiring.scope) == ("s * u", site.path):
            columns[site.path] = _Column(site, _middle(module.get_submodule(site.path), site))
    return columns


def _middle(block: nn.Module, site: Site) -> str:
    between = read_between(block, site) or ()
    return " · ".join("BN" if kind.startswith("BatchNorm") else kind for kind in between)


def read_between(block: nn.Module, site: Site) -> tuple[str, ...] | None:
    """Return what stands between the projections of an SE block, such as ("BatchNorm2d", "ReLU"): classes, and names of functions.

    It is what torch.fx sees; where it sees nothing, the norms and activations that lie beside the projections, and None without any.
    """
    try:
        nodes = list(_Tracer(set()).trace(block).nodes)
    except Exception:  # torch.fx has many reasons
        beside = [part for part in block.get_submodule(_holder(site)).modules() if not part._modules]
        gate = block.get_submodule(site.parts[2]) if site.parts[2] else None
        return tuple(kind for part in beside if part is not gate and (kind := _kind_of(part))) or None
    places = [index for index, node in enumerate(nodes) if node.op == "call_module" and node.target in site.parts[:2]]
    if len(places) != 2:
        return None
    return tuple(kind for node in nodes[places[0] + 1 : places[1]] for kind in _kinds(block, node))


def _holder(site: Site) -> str:
    """Return the path, below the block's, of the lowest module that holds both projections."""
    first, second, _ = site.parts
    while (first := parent_of(first)) and not second.startswith(f"{first}."):
        pass
    return first


def _kinds(block: nn.Module, node: fx.Node) -> list[str]:
    """Return what an operation between projections is called; nothing for one that changes no number."""
    if node.op == "call_module":
        module = block.get_submodule(str(node.target))
        kind = "" if isinstance(module, nn.Identity | nn.Dropout) else type(module).__name__
        return [kind, *_activation(getattr(module, "act", None))] if kind else []
    name = _name(node).strip("_")
    if node.op not in ("call_function", "call_method") or name in VIEWS or name in ("size", "getattr"):
        return []
    return [{kind.__name__.lower(): kind.__name__ for kind in ACTIVATIONS}.get(name, name)]


def _kind_of(module: nn.Module) -> str:
    return type(module).__name__ if isinstance(module, ACTIVATIONS) or "Norm" in type(module).__name__ else ""


def _name(node: fx.Node) -> str:
    return getattr(node.target, "__name__", str(node.target))


class _Tracer(fx.Tracer):
    """Goes into whatever has children, but not into SE blocks, which are drawn from what is known of them."""

    def __init__(self, gates: set[str]) -> None:
        super().__init__(autowrap_functions=(average,))
        self.gates = gates

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name in self.gates or isinstance(m, NORMS) or not m._modules


class _Shapes(fx.Interpreter):
    """Keeps the shape of every node."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.seen: dict[str, str] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.seen[n.name] = " × ".join(map(str, result.shape[1:]))
        return result


class _Sketch:
    """The steps found so far; each node of the graph ends in one of them."""

    def __init__(self, module: nn.Module, columns: dict[str, _Column], shapes: dict[str, str]) -> None:
        self.module, self.columns, self.shapes = module, columns, shapes
        self.steps: list[Operation] = []
        self.arrows: list[tuple[int, int]] = []
        self.ends: dict[fx.Node, int] = {}

    def add(self, node: fx.Node) -> None:
        """Add the node's steps, or what it does to the step before it."""
        before = [self.ends[given] for given in node.all_input_nodes if given in self.ends]
        if node.op in ("output", "get_attr") or (node.op != "placeholder" and not before):
            return
        shape = self.shapes.get(node.name, "")
        if node.op == "placeholder":
            self.ends[node] = self._step(Operation("Input", "", shape, "input"), [])
        elif node.op == "call_module":
            self.ends[node] = self._module(node, str(node.target), before, shape)
        else:
            self.ends[node] = self._function(node, before, shape)

    def _step(self, step: Operation, before: list[int]) -> int:
        self.steps.append(step)
        here = len(self.steps) - 1
        self.arrows += [(start, here) for start in dict.fromkeys(before)]
        return here

    def _module(self, node: fx.Node, path: str, before: list[int], shape: str) -> int:
        module = self.module.get_submodule(path)
        if path in self.columns:
            return self._gate(module, self.columns[path], before[0], shape)
        if isinstance(module, NORMS):
            return self._follow(node, before[0], " · ".join(["BN", *_activation(getattr(module, "act", None))]), shape)
        if isinstance(module, ACTIVATIONS):
            return self._follow(node, before[0], type(module).__name__, shape)
        if isinstance(module, nn.Identity | nn.Dropout) or type(module).__name__ == "DropPath":
            return before[0]
        return self._step(_step_of(module, shape), before)

    def _function(self, node: fx.Node, before: list[int], shape: str) -> int:
        name = _name(node)
        if name == "relu":
            return self._follow(node, before[0], "ReLU", shape)
        if name in ("getitem", "getattr", "size", "contiguous") or not shape:  # of numbers, such as how many places there are
            return before[0]
        pool = re.fullmatch(r"(.+)_pool[123]d", name)
        label = (f"{pool[1]} pool" if pool else name).replace("avg", "average").replace("_", " ")
        kind: Kind = "pool" if pool else "other"
        if node.target in SUMS and len(node.all_input_nodes) > 1:
            label, kind = "+", "sum"
        elif name in ("cat", "concat"):
            label, kind = "Concatenation", "concat"
        elif name.strip("_") in PRODUCTS and len(node.all_input_nodes) > 1:
            label = "×"
        elif name in ("mul", "imul") and len(before) == 1:
            label = " × ".join(["", *(f"{given}" for given in node.args if isinstance(given, int | float))]).strip()
        return self._step(Operation(label, "", shape, kind), before)

    def _follow(self, node: fx.Node, before: int, what: str, shape: str) -> int:
        """Note a norm or an activation on the step that it follows, where nothing else takes that; else add a step of its own."""
        step = self.steps[before]
        alone = len(node.all_input_nodes[0].users) == 1
        if alone and step.kind in ("convolution", "sum", "activation") and not step.gated:
            notes = " · ".join(filter(None, [step.notes, what]))
            self.steps[before] = Operation(step.label, notes, shape, step.kind)
            return before
        return self._step(Operation(what, "", shape, "activation"), [before])

    def _gate(self, block: nn.Module, found: _Column, before: int, shape: str) -> int:
        """Add the column of the paper's Figure 3, from the map to its product with the scales, and return the product's index."""
        site = found.site
        places = shape.split(" × ")[1:]
        size = " × ".join(places if site.spatial else ["1"] * len(places))
        column = before

        def put_below(label: str, channels: int, kind: Kind) -> None:
            nonlocal column
            column = self._step(Operation(label, "", f"{channels} × {size}", kind, gated=True), [column])

        if not site.spatial:
            put_below("Global max pooling" if _squeezes_by_maximum(block) else "Global pooling", site.channels, "squeeze")
        project = "1 × 1 conv" if site.spatial else "FC"
        put_below(project, site.hidden, "projection")
        if found.between:
            put_below(found.between, site.hidden, "activation")
        put_below(project, site.channels, "projection")
        put_below(site.gate.replace("DoubledSigmoid", "2 × Sigmoid"), site.channels, "gate")
        return self._step(Operation("Scale", "", shape, "product", gated=True), [before, column])


def _step_of(module: nn.Module, shape: str) -> Operation:
    """Return the step that a layer is."""
    if isinstance(module, CONVOLUTIONS):
        kind = "depthwise conv" if 1 < module.groups == module.in_channels else "conv"
        groups = f"{module.groups} groups" if 1 < module.groups < module.in_channels else ""
        notes = " · ".join(filter(None, [groups, _stride(module.stride)]))
        return Operation(f"{_extent(module.kernel_size, _dimensions(shape))} {kind}, {module.out_channels}", notes, shape, "convolution")
    if isinstance(module, (*POOLS, *ADAPTIVE_POOLS)):
        kind = "max" if "Max" in type(module).__name__ else "average"
        if isinstance(module, ADAPTIVE_POOLS):
            return Operation(f"Adaptive {kind} pool", "", shape, "pool")
        return Operation(f"{_extent(module.kernel_size, _dimensions(shape))} {kind} pool", _stride(module.stride), shape, "pool")
    return Operation("Channel shuffle" if isinstance(module, nn.ChannelShuffle) else type(module).__name__, "", shape, "other")


def _squeezes_by_maximum(block: nn.Module) -> bool:
    """Return whether a block of ours takes the largest of two values for the squeeze."""
    if not isinstance(block, SqueezeExcitation):
        return False
    return bool(block.squeeze(torch.tensor([[[[0.0, 1.0]]]], device="cpu")).max() == 1)


def _activation(module: nn.Module | None) -> list[str]:
    return [] if module is None or isinstance(module, nn.Identity) else [type(module).__name__]


def _dimensions(shape: str) -> int:
    return shape.count("×")


def _extent(size: Any, dimensions: int) -> str:
    """Return how far a convolution or a pool reaches: `3 × 3`, `1 × 3 × 3`, or `length-3` in a sequence."""
    sides = size if isinstance(size, tuple) else (size,) * dimensions
    return " × ".join(map(str, sides)) if len(sides) > 1 else f"length-{sides[0]}"


def _stride(stride: Any) -> str:
    """Return the stride in words, one number where it is the same along all dimensions; empty where it is 1."""
    sides = dict.fromkeys(stride if isinstance(stride, tuple) else (stride,))
    if set(sides) <= {1, None}:
        return ""
    return f"stride {' × '.join(map(str, sides if len(sides) == 1 else stride))}"
