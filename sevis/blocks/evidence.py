"""What one forward pass shows of the SE blocks of a model: is z the mean of u, and are the maps u multiplied by s = gate(W2 W1 z)?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from sevis.blocks.block import SQUEEZES, SqueezeExcitation
from sevis.blocks.following import NORMS, UNSEEN, VIEWS, BlockRun, Follower, Product, Trace, form_of, tensors_in
from sevis.blocks.structure import Candidate, Modules, ancestors, candidate_of, is_projection, parent_of, widths

Pair = tuple[str, str]  # the paths of the two projections

STEPS = ("mean", "sum")  # what a mean may be made by, one dimension after the other
NO_MEANS = ("max", "std", "var", "median", "norm", "matmul", "bmm")  # in the names of functions that give no means
SMALL = 16_384  # numbers of one image, up to which it is remembered where a tensor comes from
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}  # of a mean, relative to the largest


@dataclass(frozen=True)
class Wiring:
    """How one block was seen to scale.

    Attributes:
        form: what becomes of the maps, such as `s * u` or `u + s * u`; v where z is the mean of u, and other maps v are scaled.
        gate: the class of the module, or the name of the function, that s comes out of.
        by_module: whether s comes right out of the gate's module, which runs for nothing else, and the maps become s u: then hooks on
            modules suffice.
        powers: the factor by which the maps come out, as the coefficients of a polynomial of the tensor that multiplies them.
        scope: the path of the module in whose forward pass the product is made.
        takes_input: whether the maps are the input of the block's module, (N, C, ...).
        returned: whether the product is what that module returns.
        multiple: whether what is multiplied is a multiple of the maps, as in (2 u) s.
        places: the extent of the maps, such as (H, W).
        scaled, squeezed: how many numbers the pass multiplied by scales, and of how many it took the means.
    """

    form: str
    gate: str
    by_module: bool
    powers: tuple[float, ...] = (0.0, 1.0)
    scope: str = ""
    takes_input: bool = True
    returned: bool = True
    multiple: bool = False
    places: tuple[int, ...] = ()
    scaled: int = 0
    squeezed: int = 0


@dataclass(frozen=True)
class Evidence:
    """What a forward pass showed.

    Attributes:
        wirings: of the blocks that were seen to be the paper's, by their projections, in the order in which they ran.
        refused: why the others that were seen to run are not: a clause each.
    """

    wirings: Mapping[Pair, Wiring]
    refused: Mapping[Pair, str]


@dataclass(frozen=True)
class _Maps:
    """What a run was seen to multiply.

    Attributes:
        scope: the path of the innermost module whose forward pass was under way.
        numbers: how many the maps have.
        squeezed: whether z is the mean of these maps.
        averaged: of how many numbers z is the mean, of these maps or of others; 0 where it is no mean.
        places, takes_input: as of a `Wiring`.
    """

    scope: str
    numbers: int
    squeezed: bool
    averaged: int
    places: tuple[int, ...]
    takes_input: bool


class Watching(Follower):
    """Follows every pair of projections through one forward pass, and keeps what it sees."""

    def __init__(self, modules: Modules, gates: set[str]) -> None:
        """Take the modules of a model, and the paths of those that may be gates."""
        super().__init__()
        self.modules = modules
        self.gates = gates
        self.runs: list[BlockRun] = []
        self.called: set[str] = set()  # the projections that ran
        self.maps: dict[int, _Maps] = {}
        self.inputs: dict[str, Tensor] = {}
        self.returning: set[str] = set()  # modules that returned a product as it is
        self.taken: dict[str, int] = {}  # how many numbers went into modules
        self.stack: list[str] = []  # the paths of the modules whose forward passes are under way
        self.spread: dict[str, tuple[int, ...]] = {}  # what projections got that is no squeeze
        self.gate_calls: dict[str, list[str]] = {}  # whose scales came through a gate: the paths of second projections
        self.unfolded: set[int] = set()  # products of a multiple of the maps
        self.latest: Trace | None = None
        self.waiting: list[Trace] = []  # what goes into the projections and gates that are under way

    def multiply(self, product: Product, operand: Tensor, call: Callable[[Tensor], Any]) -> Any:
        """Look at the maps before they are multiplied, which may overwrite them."""
        if id(product) not in self.maps:
            self.alive.append(product)
            self._unfold(product, operand)
            self.maps[id(product)] = self._look(product, operand)
        return call(operand)

    def unseen_scale(self, tensor: Tensor) -> Trace | None:
        """Return the trace of the latest second projection for what a gate gives that no mode sees, as a custom autograd function."""
        run = self.runs[-1] if self.runs else None
        if run is None or run.products or id(self.origin(tensor)) in self.sources or tensor.numel() != run.count:
            return None
        return Trace(run, chain=(UNSEEN,))

    def may_combine(self, product: Product) -> bool:
        """Return whether the forward pass is still where the product was made."""
        return bool(self.stack) and self.stack[-1] == self.maps[id(product)].scope

    def notice(self, name: str, given: list[Tensor], result: Any) -> None:
        """Remember of views, multiples and small tensors what they come from."""
        if not isinstance(result, Tensor) or not given or any(result is tensor for tensor in given):
            return
        if name in VIEWS or result.numel() <= SMALL * (len(result) if result.ndim else 1):
            self.sources[id(result)] = (name, given)
            self.alive += (result, *given)

    # what the hooks call

    def enter(self, path: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Begin the forward pass of a module with children."""
        self.stack.append(path)
        if (given := next(tensors_in((args, kwargs)), None)) is not None:
            self.inputs[path] = given
            self.taken[path] = self.taken.get(path, 0) + given.numel()

    def leave(self, path: str, *call: Any) -> None:
        """End it, and that of any inside it that failed."""
        if isinstance(self.known.get(id(call[-1])), Product):
            self.returning.add(path)
        while self.stack and self.stack.pop() != path:
            pass

    def begin_projection(self, path: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Look at what goes into a projection: a squeeze, or the hidden units of a run."""
        self.paused += 1
        self.called.add(path)
        given = next(tensors_in((args, kwargs)))
        inputs, outputs = widths(module)
        if given.numel() != len(given) * inputs or given.ndim < 2:
            self.spread[path] = tuple(given.shape)
            self.waiting.append(Trace(BlockRun(path, given, given, 0, 0), fault="spread"))
            return
        trace = self.known.get(id(given)) or self._pending(given, inputs, outputs)
        if isinstance(trace, Trace) and trace.hidden and (trace.run.hidden, trace.run.channels) == (inputs, outputs):
            run = replace(trace.run, products=[], lost=[]) if trace.run.second else trace.run
            run.second = path
            self.runs.append(run)
            self.waiting.append(replace(trace, run=run, hidden=False, chain=(), affine=(1.0, 0.0)))
        else:
            self.waiting.append(Trace(BlockRun(path, given, given.detach().clone(), inputs, outputs), hidden=True))

    def end_projection(self, path: str, module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
        """Follow what comes out of a projection."""
        self.paused -= 1
        trace = self.waiting.pop()
        if trace.fault != "spread":
            self.label(output, trace)
            self.latest = trace if trace.hidden else None

    def begin_gate(self, path: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Look at what goes into a module that may be a gate."""
        trace = self.known.get(id(next(tensors_in((args, kwargs)), None)))
        if not isinstance(trace, Trace) or trace.hidden:
            trace = Trace(BlockRun("", torch.empty(0), torch.empty(0), 0, 0), fault="spread")
        self.gate_calls.setdefault(path, []).append(trace.run.second)
        self.waiting.append(trace)

    def end_gate(self, path: str, module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
        """Follow what comes out of it."""
        trace = self.waiting.pop()
        if trace.fault != "spread":
            self.label(output, replace(trace, chain=(*trace.chain, type(module).__name__), affine=(1.0, 0.0), by_module=True))

    def _pending(self, given: Tensor, hidden: int, channels: int) -> Trace | None:
        """Return the trace of the latest first projection, where an activation that no mode sees lies between it and this one."""
        trace = self.latest
        if trace is None or trace.run.second or id(self.origin(given)) in self.sources:
            return None
        fits = (trace.run.hidden, trace.run.channels, trace.run.count) == (hidden, channels, len(given) * channels)
        return trace if fits else None

    # what is multiplied

    def _unfold(self, product: Product, operand: Tensor) -> None:
        """Take u for the maps of (2 u) s, where z is the mean of u."""
        run = product.trace.run
        maps, multiple = self.multiples.get(id(product.base), (product.base, 1.0))
        if multiple != 1 and self._is_squeezed(run, maps, axis_of(maps, operand, run.channels)):
            product.base, product.powers = maps, (product.powers[0], multiple * product.powers[1])
            self.unfolded.add(id(product))

    def _look(self, product: Product, operand: Tensor) -> _Maps:
        run, base = product.trace.run, product.base
        path = candidate_of(self.modules, run.first, run.second).path
        scope = self.stack[-1] if self.stack else ""
        while scope and not run.second.startswith(f"{scope}."):
            scope = parent_of(scope)
        axis = axis_of(base, operand, run.channels)
        squeezed = self._is_squeezed(run, base, axis)
        whole = self.origin(base)
        places = [size for number, size in enumerate(base.shape) if number not in (0, axis)]
        if whole is not base and (wider := channel_axis(whole, run.channels)):
            places = [size for number, size in enumerate(whole.shape) if number not in (0, wider)]
        takes_input = path in self.stack and self.inputs.get(path) is whole and channel_axis(whole, run.channels) == 1
        averaged = base.numel() if squeezed else self._other_squeezed(run)
        return _Maps(scope, base.numel(), squeezed, averaged, tuple(places), takes_input)

    def _is_squeezed(self, run: BlockRun, maps: Tensor, axis: int) -> bool:
        """Return whether z is the mean of maps; without numbers, whether it was made of them."""
        made = not maps.is_meta or any(self.origin(source) is self.origin(maps) for source in self.squeeze_of(run)[1])
        return made and is_mean(run.squeeze, maps, axis)

    def _other_squeezed(self, run: BlockRun) -> int:
        """Return how many numbers the maps have that z is the mean of; 0 where it is no mean."""
        pairs = ((maps, axis) for maps in self.squeeze_of(run)[1] for axis in _channel_axes(maps, run.channels))
        return next((maps.numel() for maps, axis in pairs if is_mean(run.squeeze, maps, axis)), 0)

    def squeeze_of(self, run: BlockRun) -> tuple[list[str], list[Tensor]]:
        """Return the functions that made a squeeze, and the maps that it was made of."""
        names: list[str] = []
        maps: list[Tensor] = []
        stack = [run.given]
        while stack:
            tensor = stack.pop()
            source = self.sources.get(id(tensor))
            if tensor.numel() > run.count and tensor.ndim >= 3 and not (source and source[0] in STEPS):
                maps.append(tensor)
            elif source:
                names += [source[0]] * (source[0] not in VIEWS)
                stack += [other for other in source[1] if other is not tensor and not isinstance(other, nn.Parameter)]
        other = run.squeeze.is_meta and any(word in name for name in names for word in NO_MEANS)  # no numbers tell
        return names, [] if other else maps


def examine(modules: Modules, candidates: Sequence[Candidate], run: Callable[[], Any]) -> Evidence:
    """Watch a forward pass of a model.

    Args:
        modules: those of the model, by path.
        candidates: what looks like an SE block in it. Other pairs of projections are followed, too.
        run: runs the forward pass.
    """
    watching = Watching(modules, {gate for candidate in candidates if (gate := candidate.gate)})
    with torch.no_grad(), _watched(watching), watching:
        run()
    pairs = {candidate.projections: None for candidate in candidates}
    wirings: dict[Pair, Wiring] = {}
    refused: dict[Pair, str] = {}
    for pair in dict.fromkeys([*((seen.first, seen.second) for seen in watching.runs), *pairs]):
        verdict = _judge(watching, pair)
        if isinstance(verdict, Wiring):
            wirings[pair] = verdict
        elif verdict:
            refused[pair] = verdict
    return Evidence(wirings, refused)


@contextmanager
def _watched(watching: Watching) -> Iterator[None]:
    """Hook the modules that the watching needs to know of, for as long as the body runs."""
    handles: list[RemovableHandle] = []
    projections = {path for path, module in watching.modules.items() if is_projection(module)}
    holders = {above for path in projections for above in ancestors(path)}
    hooked: set[nn.Module] = set()
    try:
        for path, module in watching.modules.items():
            if module in hooked:  # a gate that several blocks share has several paths
                continue
            begin, end = (
                (watching.begin_projection, watching.end_projection)
                if path in projections
                else (watching.begin_gate, watching.end_gate)
                if path in watching.gates
                else (watching.enter, watching.leave)
            )
            if path in projections or path in watching.gates or path in holders:
                hooked.add(module)
                handles.append(module.register_forward_pre_hook(partial(begin, path), with_kwargs=True))
                handles.append(module.register_forward_hook(partial(end, path), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _judge(watching: Watching, pair: Pair) -> Wiring | str:
    """Return how two projections were seen to scale, or why they are no SE block; an empty string where they did not run."""
    path = candidate_of(watching.modules, *pair).path
    runs = [run for run in watching.runs if (run.first, run.second) == pair]
    holder = watching.modules[path]
    if type(holder) is SqueezeExcitation and holder.squeeze is not SQUEEZES["avg"]:  # the paper's ablations
        if (given := watching.inputs.get(path)) is None:
            return ""
        taken, places = watching.taken[path], tuple(given.shape[2:])
        gate, squeezed = type(holder.gate).__name__, 0 if holder.spatial else taken
        return Wiring("s * u", gate, True, scope=path, places=places, scaled=taken, squeezed=squeezed)
    if not runs:
        shape = watching.spread.get(pair[0])
        if shape:
            return f"its first projection got {shape}, not one number for each image and channel"
        return "what comes out of its first projection does not go into the second" if watching.called.issuperset(pair) else ""
    products = [product for run in runs for product in run.products]
    if not products:
        lost = " and ".join(dict.fromkeys(name for run in runs for name in run.lost))
        return f"nothing is multiplied by what comes out of its projections{lost and f', which goes into {lost}'}"
    return _unfit(watching, runs, products) or _wiring(watching, path, runs, products)


def _unfit(watching: Watching, runs: Sequence[BlockRun], products: Sequence[Product]) -> str:
    """Return why products are not those of an SE block; empty where they are."""
    for product in products:
        trace, maps = product.trace, watching.maps[id(product)]
        bending = [name for name in trace.chain if name not in NORMS]
        if trace.fault:
            return trace.fault
        if not bending or bending[-1] == "prelu":
            return "no gate without weights follows its projections"
        if "softmax" in trace.chain:
            return "its gate is a softmax, in which the channels compete"
        if not maps.averaged:
            names = " and ".join(dict.fromkeys(watching.squeeze_of(trace.run)[0])) or "no function of maps"
            return f"its squeeze is not the mean of any maps: it comes from {names}"
    forms = {(product.trace.affine, product.powers) for product in products}
    if len(forms) > 1 or any(sum(power != 0 for power in powers[1:]) != 1 or (powers[0] and len(powers) > 2) for _, powers in forms):
        return "its scales are used in several ways in one forward pass"
    return ""


def _wiring(watching: Watching, path: str, runs: Sequence[BlockRun], products: Sequence[Product]) -> Wiring:
    first = products[0]
    trace, maps = first.trace, watching.maps[id(first)]
    alone = [calls for calls in watching.gate_calls.values() if runs[0].second in calls]
    module = trace.by_module and len(alone) == 1 and set(alone[0]) == {runs[0].second} and len(alone[0]) == len(runs)
    bending = [name for name in trace.chain if name not in NORMS]
    return Wiring(
        form=form_of(trace.affine, first.powers, "u" if maps.squeezed else "v"),
        gate=", ".join(bending) if not trace.by_module else bending[-1],
        by_module=module and first.powers == (0.0, 1.0),
        powers=first.powers,
        scope=maps.scope,
        multiple=id(first) in watching.unfolded,
        takes_input=maps.takes_input and all(watching.maps[id(product)].takes_input for product in products),
        returned=path in watching.returning,
        places=maps.places,
        scaled=sum(watching.maps[id(product)].numbers for product in products),
        squeezed=sum(watching.maps[id(run.products[0])].averaged for run in runs if run.products),
    )


def is_mean(squeeze: Tensor, maps: Tensor, axis: int) -> bool:
    """Return whether a squeeze is the mean of maps over all dimensions but the first and the channels'; on the meta device, it may be."""
    dims = [number for number in range(1, maps.ndim) if number != axis]
    if len(squeeze) != len(maps) or not dims or squeeze.numel() != len(maps) * maps.shape[axis]:
        return False
    if squeeze.is_meta:
        return True
    mean = maps.detach().to(torch.float32 if maps.dtype != torch.float64 else maps.dtype).mean(dims)
    z = squeeze.reshape(mean.shape).to(mean.dtype)
    if not (mean.isfinite().all() and z.isfinite().all()):
        return True  # such numbers contradict nothing
    room = max(TOLERANCE.get(squeeze.dtype, 1e-4), TOLERANCE.get(maps.dtype, 1e-4))
    return bool((mean - z).abs().max() <= room * max(mean.abs().max().item(), maps.detach().abs().mean().item(), 1e-12))


def channel_axis(maps: Tensor, channels: int) -> int:
    """Return the dimension of the channels: the second where it fits, else the last; 0 for maps without it."""
    return next(iter(_channel_axes(maps, channels)), 0)


def _channel_axes(maps: Tensor, channels: int) -> list[int]:
    return [number for number in dict.fromkeys((1, maps.ndim - 1)) if number < maps.ndim and maps.shape[number] == channels]


def axis_of(maps: Tensor, operand: Tensor, channels: int) -> int:
    """Return the dimension of maps that an operand, which multiplies them, has the channels in."""
    if operand.ndim == maps.ndim:
        wide = [number for number in range(1, maps.ndim) if operand.shape[number] == channels and operand.stride(number)]
        if len(wide) == 1:
            return wide[0]
    return channel_axis(maps, channels)
