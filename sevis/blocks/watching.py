"""Watching a forward pass of a model: where squeezes come from, and which maps are multiplied by which scales."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from sevis.blocks.following import UNSEEN, VIEWS, BlockRun, Follower, Product, Trace, tensors_in
from sevis.blocks.structure import Modules, candidate_of, parent_of, widths

STEPS = ("mean", "sum")  # what a mean may be made by, one dimension after the other
NO_MEANS = ("max", "std", "var", "median", "norm", "matmul", "bmm")  # in the names of functions that give no means
SMALL = 16_384  # numbers of one image, up to which it is remembered where a tensor comes from
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}  # of a mean, relative to the largest


@dataclass(frozen=True)
class SeenMaps:
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
        self.values: list[tuple[tuple[str, str], Tensor, Tensor]] = []  # what went into and came out of the parts, with copies
        self.by_keyword: set[str] = set()  # the modules that were called with their arguments by name
        self.called: set[str] = set()  # the projections that ran
        self.maps: dict[int, SeenMaps] = {}
        self.multiplied: list[tuple[Product, Tensor, Tensor]] = []  # products with their maps, (N, C, ...), and scales, as they were
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
        if id(product) in self.maps:
            return call(operand)
        self.alive.append(product)
        base, channels = product.base, product.trace.run.channels
        axis = axis_of(base, operand, channels)
        before = base.detach().movedim(axis, 1).clone()
        self._unfold(product, operand)
        self.maps[id(product)] = self._look(product, operand)
        result = call(operand)
        if product.powers[0] == 0 and not product.trace.fault and not scales_maps(operand, before, result, axis):
            product.trace = replace(product.trace, fault="what multiplies the maps is not one number for each image and channel")
        elif not operand.is_meta and id(product) not in self.unfolded:
            self.multiplied.append((product, before, flat_scales(operand.detach(), base, axis, channels)))
        return result

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

    def lasting(self) -> frozenset[tuple[str, str]]:
        """Return what went into the parts, or came out, and was not overwritten since."""
        changed = {key for key, value, before in self.values if value.is_meta or not torch.equal(value, before)}
        return frozenset(key for key, _, _ in self.values) - changed

    def _note(self, path: str, side: str, value: Tensor) -> None:
        if value.numel() <= SMALL * max(1, len(value)):
            self.values.append(((path, side), value, value.detach().clone()))

    # what the hooks call

    def enter(self, path: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Begin the forward pass of a module with children."""
        self.by_keyword.update([path] if not args else [])
        self.stack.append(path)
        if (given := next(tensors_in((args, kwargs)), None)) is not None:
            self.inputs[path] = given
            self.taken[path] = self.taken.get(path, 0) + given.numel()

    def leave(self, path: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """End it, and that of any inside it that failed."""
        if isinstance(self.known.get(id(output)), Product):
            self.returning.add(path)
        while self.stack and self.stack.pop() != path:
            pass
        for product, before, operand in self.multiplied:
            if self.maps[id(product)].scope == path and isinstance(output, Tensor) and output.shape == before.shape:
                product.powers = fitted(output.detach(), before, operand) or product.powers

    def begin_projection(self, path: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Look at what goes into a projection: a squeeze, or the hidden units of a run."""
        self.paused += 1
        self.called.add(path)
        self.by_keyword.update([path] if not args else [])
        given = next(tensors_in((args, kwargs)))
        self._note(path, "in", given)
        inputs, outputs = widths(module)
        if given.numel() != len(given) * inputs or given.ndim < 2:
            self.spread[path] = tuple(given.shape)
            self.waiting.append(Trace(BlockRun(path, given, given, 0, 0), fault="spread"))
            return
        trace = self.known.get(id(given)) or self._pending(given, inputs, outputs)
        if isinstance(trace, Trace) and trace.hidden and (trace.run.hidden, trace.run.channels) == (inputs, outputs):
            run = replace(trace.run, products=[], lost=[]) if trace.run.second else trace.run
            run.second = path
            run.number = len(self.runs)
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
        self.by_keyword.update([path] if not args else [])
        given = next(tensors_in((args, kwargs)))
        self._note(path, "in", given)
        trace = self.known.get(id(given))
        if not isinstance(trace, Trace) or trace.hidden:
            trace = Trace(BlockRun("", torch.empty(0), torch.empty(0), 0, 0), fault="spread")
        self.gate_calls.setdefault(path, []).append(trace.run.second)
        self.waiting.append(trace)

    def end_gate(self, path: str, module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
        """Follow what comes out of it."""
        self._note(path, "out", output)
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

    def _look(self, product: Product, operand: Tensor) -> SeenMaps:
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
        return SeenMaps(scope, base.numel(), squeezed, averaged, tuple(places), takes_input)

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
        stack, seen = [run.given], set[int]()
        while stack:
            tensor = stack.pop()
            if id(tensor) in seen:  # of many ways, and of circles by functions that overwrite, each tensor is looked at once
                continue
            seen.add(id(tensor))
            source = self.sources.get(id(tensor))
            if tensor.numel() > run.count and tensor.ndim >= 3 and not (source and source[0] in STEPS):
                maps.append(tensor)
            elif source:
                names += [source[0]] * (source[0] not in VIEWS)
                stack += [other for other in source[1] if not isinstance(other, nn.Parameter)]
        other = run.squeeze.is_meta and any(word in name for name in names for word in NO_MEANS)  # no numbers tell
        return names, [] if other else maps


def is_mean(squeeze: Tensor, maps: Tensor, axis: int) -> bool:
    """Return whether a squeeze is the mean of maps over all dimensions but the first and the channels'; on the meta device, it may be."""
    dims = [number for number in range(1, maps.ndim) if number != axis]
    if len(squeeze) != len(maps) or not dims or squeeze.numel() != len(maps) * maps.shape[axis]:
        return False
    if squeeze.is_meta:
        return True
    wide = maps.detach().to(torch.float32 if maps.dtype != torch.float64 else maps.dtype)
    mean = wide.mean(dims)
    z = squeeze.reshape(mean.shape).to(mean.dtype)
    if not (mean.isfinite().all() and z.isfinite().all()):
        return True  # such numbers contradict nothing
    room = max(TOLERANCE.get(squeeze.dtype, 1e-4), TOLERANCE.get(maps.dtype, 1e-4))
    return bool((mean - z).abs().max() <= room * max(mean.abs().max().item(), wide.abs().mean().item(), 1e-12))


def scales_maps(operand: Tensor, maps: Tensor, result: Any, axis: int) -> bool:
    """Return whether a result is maps (N, C, ...) times an operand of one number for each image and channel; its channels are in `axis`."""
    channels = maps.shape[1]
    if not isinstance(result, Tensor) or result.ndim != maps.ndim or operand.numel() < len(operand) * channels:
        return False
    turned = result.detach().movedim(axis, 1)
    if result.is_meta or turned.shape != maps.shape:
        return turned.shape == maps.shape
    flat = flat_scales(operand.detach(), result, axis, channels)
    expected = maps * flat.reshape(*flat.shape, *[1] * (maps.ndim - 2)).to(maps.dtype)
    room = max(TOLERANCE.get(result.dtype, 1e-4), TOLERANCE.get(operand.dtype, 1e-4))
    return torch.allclose(turned.float(), expected.float(), rtol=room, atol=room, equal_nan=True)


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


def flat_scales(operand: Tensor, base: Tensor, axis: int, channels: int) -> Tensor:
    """Return an operand of any shape that broadcasts to the maps as (N, C)."""
    if operand.numel() == len(operand) * channels:
        return operand.reshape(len(operand), channels)
    return operand.movedim(axis - base.ndim + operand.ndim, 1).flatten(2)[:, :, 0]


def fitted(output: Tensor, maps: Tensor, operand: Tensor) -> tuple[float, float] | None:
    """Return a and b where a module gives (a + b s) u for its maps u and the tensor s that multiplies them; None where it gives else.

    It is found by numbers, so that it does not matter how the module computes it.
    """
    u, y, s = maps.flatten(2).double(), output.flatten(2).double(), operand.double()
    factor = (u * y).sum(2) / (u * u).sum(2)
    room = max(TOLERANCE.get(output.dtype, 1e-4), 1e-6)
    if (
        not factor.isfinite().all()
        or s.std() < 1e-3
        or not torch.allclose(factor[..., None] * u, y, rtol=room, atol=room * float(u.abs().max()))
    ):
        return None
    b = float(((s - s.mean()) * (factor - factor.mean())).sum() / ((s - s.mean()) ** 2).sum())
    a = float(factor.mean() - b * s.mean())
    if abs(b) < room or not torch.allclose(a + b * s, factor, rtol=room, atol=room):
        return None
    return _plain(a), _plain(b)


def _plain(value: float) -> float:
    """Return a number as it was meant, where it is a short one."""
    return round(value, 2) if abs(value - round(value, 2)) < 1e-4 else value
