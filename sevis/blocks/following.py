"""Following the scales of SE blocks through a forward pass, from the second projection to the maps that they scale.

What a module does between its layers, such as a gate that is a function, or the product itself, no hook sees. A `TorchFunctionMode`, which
PyTorch asks before each of its functions, does.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# The names of PyTorch's functions and methods, without the underscores around them.
VIEWS = frozenset(
    (
        *("view", "view_as", "reshape", "reshape_as", "flatten", "unflatten", "squeeze", "unsqueeze", "getitem", "get", "as_subclass"),
        *("permute", "transpose", "movedim", "moveaxis", "swapaxes", "expand", "expand_as", "broadcast_to", "atleast_3d", "detach"),
        *("contiguous", "clone", "to", "type", "type_as", "float", "double", "half", "bfloat16"),  # copies, of the same numbers
        *("repeat", "tile", "interpolate", "upsample"),  # of one place, to many
        *("dropout", "dropout1d", "dropout2d", "dropout3d", "feature_dropout", "alpha_dropout"),  # which do nothing in evaluation
    )
)
SUMS = frozenset(("add", "radd", "iadd", "sub", "rsub", "isub", "subtract"))
PRODUCTS = frozenset(("mul", "rmul", "imul", "multiply", "einsum", "addcmul"))
NORMS = frozenset(("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm"))
CUT = frozenset(("relu6", "hardtanh", "clamp", "clip"))  # a hard sigmoid ends in one of these, and perhaps a division

UNSEEN = "a function of its own"  # a gate that PyTorch does not ask a mode about, such as a custom autograd function


class Call(NamedTuple):
    """A function of PyTorch's with what it is called with; its name has no underscores around it."""

    func: Callable[..., Any]
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    given: list[Tensor]

    def __call__(self) -> Any:
        """Call it."""
        return self.func(*self.args, **self.kwargs)

    def with_other(self, old: Tensor, new: Tensor) -> Any:
        """Call it with another tensor in the place of one."""
        return self.func(*_exchanged(self.args, old, new), **_exchanged(self.kwargs, old, new))

    @property
    def numbers(self) -> list[float]:
        """The numbers among its arguments, tensors without dimensions included."""
        values = (*self.args, *(value for name, value in self.kwargs.items() if name == "other"))
        plain = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        return plain + [float(value) for value in values if _is_number(value)]

    @property
    def weight(self) -> float:
        """By how much its last tensor counts: `alpha` of a sum, `value` of a sum of products."""
        value = self.kwargs.get("alpha", self.kwargs.get("value", 1.0))
        return float(value)


@dataclass(eq=False)
class BlockRun:
    """One run of a block.

    Attributes:
        first, second: the paths of its projections; the second is empty until it runs.
        given: the input of the first.
        squeeze: z, a copy of it as it was.
        channels, hidden: C, and the units of the hidden layer.
        number: of the second projection's call, counted over all runs of the pass.
        products: what its scales were multiplied with.
        lost: what became of its scales, where that is no product.
    """

    first: str
    given: Tensor
    squeeze: Tensor
    channels: int
    hidden: int
    second: str = ""
    number: int = 0
    products: list["Product"] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many numbers z has: one for each image and channel."""
        return self.squeeze.numel()


@dataclass(frozen=True, eq=False)
class Trace:
    """What is known of a tensor on the way from the first projection of a run to the product.

    Attributes:
        run: whose it is.
        chain: what was done since the second projection: names of functions, or a module's; views apart.
        affine: a and b, where the tensor is a s + b for the output s of the last function that bends.
        by_module: whether it comes right out of the module that is the gate.
        hidden: whether it lies before the second projection.
        fault: why it is no scale: a clause.
    """

    run: BlockRun
    hidden: bool = False
    chain: tuple[str, ...] = ()
    affine: tuple[float, float] = (1.0, 0.0)
    by_module: bool = False
    fault: str = ""


@dataclass(eq=False)
class Product:
    """Maps that were multiplied by the scales of a run.

    Attributes:
        trace: of the factor.
        base: the maps.
        powers: the factor by which the maps come out, as the coefficients of a polynomial of the operand.
    """

    trace: Trace
    base: Tensor
    powers: tuple[float, ...]


class Follower(TorchFunctionMode):
    """Follows the scales of runs that `begin` told it of."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[int, Trace | Product] = {}
        self.sources: dict[int, tuple[str, list[Tensor]]] = {}
        self.multiples: dict[int, tuple[Tensor, float]] = {}
        self.paused = 0  # above 0 inside the projections, whose own functions say nothing
        self.alive: list[Any] = []  # what has a number in the dictionaries must not be freed, or its number is given to another

    def label(self, tensor: Tensor, what: Trace | Product) -> None:
        """Remember what a tensor is."""
        self.known[id(tensor)] = what
        self.alive.append(tensor)

    def multiply(self, product: Product, operand: Tensor, call: Callable[[Tensor], Any]) -> Any:
        """Return the product with the operand, or with another in its place."""
        return call(operand)

    def notice(self, name: str, given: list[Tensor], result: Any) -> None:
        """Look at a function that none of the followed tensors go into."""
        if isinstance(result, Tensor) and given and name in VIEWS and result is not given[0]:
            self.sources[id(result)] = (name, given[:1])
            self.alive += (result, given[0])

    def origin(self, tensor: Tensor) -> Tensor:
        """Return the tensor that another is a view of, in whatever shape."""
        seen: set[int] = set()
        while (source := self.sources.get(id(tensor))) and source[0] in VIEWS and id(tensor) not in seen:
            seen.add(id(tensor))
            tensor = source[1][0]
        return tensor

    def unseen_scale(self, tensor: Tensor) -> Trace | None:
        """Return the trace of what multiplies maps, where it comes from a function that no mode sees."""
        return None

    def may_combine(self, product: Product) -> bool:
        """Return whether what follows a product may still belong to the gating."""
        return False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        call = Call(func, getattr(func, "__name__", "").strip("_"), args, kwargs or {}, [])
        if self.paused:
            return call()
        call.given.extend(tensor for tensor in tensors_in((args, call.kwargs)) if not _is_number(tensor))
        if call.name in PRODUCTS and len(call.given) == 2 and not any(id(tensor) in self.known for tensor in call.given):
            for tensor in call.given:
                if not isinstance(tensor, nn.Parameter) and (trace := self.unseen_scale(tensor)):
                    self.label(tensor, trace)
        if any(id(tensor) in self.known for tensor in call.given):
            return self._step(call)
        result = call()
        if isinstance(result, Tensor):
            self.known.pop(id(result), None)
            if call.name in ("mul", "rmul", "div", "truediv") and len(call.given) == len(call.numbers) == 1 and result.ndim >= 3:
                (number,) = call.numbers
                self.multiples[id(result)] = (call.given[0], number if "mul" in call.name else 1 / number)
                self.alive += (result, call.given[0])
            if call.name in SUMS and call.numbers == [0] and len(call.given) == 1:  # as Python's sum begins
                self.sources[id(result)] = ("clone", call.given)
                self.alive += (result, call.given[0])
        self.notice(call.name, call.given, result)
        return result

    def _step(self, call: Call) -> Any:
        traced = [(tensor, label) for tensor in call.given if isinstance(label := self.known.get(id(tensor)), Trace)]
        scales = [(tensor, trace) for tensor, trace in traced if not trace.hidden]
        if call.name in PRODUCTS and scales:
            operand, trace = max(scales, key=lambda scale: scale[1].run.number)  # maps of one place may seem scales themselves
            if (base := _base_of(call.given, operand, trace.run)) is not None:
                return self._product(call, operand, trace, base)
        before = [self.known.get(id(tensor)) for tensor in call.given]
        result = call()
        if not isinstance(result, Tensor):
            if traced and isinstance(result, list | tuple) and not isinstance(result, torch.Size):
                traced[0][1].run.lost.append(call.name)
            return result
        self.known.pop(id(result), None)
        after: Trace | Product | None = self._follow(call, traced) if traced else self._combine(call, before)
        if after:
            self.label(result, after)
        return result

    def _follow(self, call: Call, traced: list[tuple[Tensor, Trace]]) -> Trace | None:
        """Return what comes out of a function that a traced tensor goes into."""
        trace = traced[0][1]
        if call.name in VIEWS:
            return trace if traced[0][0] is call.given[0] else None
        if len({id(other.run) for _, other in traced}) > 1:
            return replace(trace, fault="two squeezes go through the same projections, as the mean and the maximum of CBAM do")
        known = [id(tensor) for tensor, _ in traced]
        strangers = [t for t in call.given if id(t) not in known and t.numel() > 1 and not isinstance(t, nn.Parameter)]
        if strangers and call.name not in NORMS:
            trace.run.lost.append(call.name)
            return replace(trace, fault=f"its scales are mixed with other numbers ({call.name})")
        return bent(trace, call)

    def _combine(self, call: Call, before: Sequence[Trace | Product | None]) -> Product | None:
        """Return what comes out of a function that scaled maps go into, where that is still part of the gating: u + s u, or 2 s u."""
        index = next(number for number, label in enumerate(before) if isinstance(label, Product))
        product = before[index]
        if not isinstance(product, Product) or call.name in ("contiguous", "clone", "to"):
            return product  # type: ignore[return-value]
        if not self.may_combine(product):
            return None
        if call.name in ("neg", "negative"):
            product.powers = tuple(-power for power in product.powers)
            return product
        if call.name in SUMS and len(call.given) == 2 and not call.numbers:
            return self._sum(call, index, product, both=before[1 - index] is product)
        if call.name in ("mul", "rmul", "imul", "div", "truediv") and len(call.given) == len(call.numbers) == 1:
            factor = call.numbers[0] if "mul" in call.name else 1 / call.numbers[0]
            product.powers = tuple(power * factor for power in product.powers)
            return product
        return None

    def _sum(self, call: Call, index: int, product: Product, *, both: bool) -> Product | None:
        """Return the sum of scaled maps and the same maps, unscaled or scaled; None for that with anything else."""
        weights = [1.0, call.weight * (-1.0 if "sub" in call.name else 1.0)]
        if call.name == "rsub":
            weights.reverse()
        other = call.given[1 - index]
        if both:
            product.powers = tuple(power * sum(weights) for power in product.powers)
            return product
        if self.origin(other) is not self.origin(product.base):
            return None
        constant, *rest = (weights[index] * power for power in product.powers)
        product.powers = (constant + weights[1 - index], *rest)
        return product

    def _product(self, call: Call, operand: Tensor, trace: Trace, base: Tensor) -> Any:
        before = self.known.get(id(base))
        if isinstance(before, Product) and before.trace.run is trace.run:
            product = before
            product.powers = (0.0, *product.powers)
        else:
            product = Product(trace, base, (1.0, call.weight) if call.name == "addcmul" and call.args[0] is base else (0.0, 1.0))
            trace.run.products.append(product)
        result = self.multiply(product, operand, partial(call.with_other, operand))
        self.label(result, product)
        return result


def bent(trace: Trace, call: Call) -> Trace:
    """Return what comes out of a function of one traced tensor and of numbers."""
    a, b = trace.affine
    line = _line_of(call)
    if line is None:
        return replace(trace, chain=(*trace.chain, call.name), affine=(1.0, 0.0), by_module=False)
    factor, offset = line
    if not trace.chain:  # before the gate, what is only multiplied or moved is no part of it
        return trace
    if trace.chain[-1] in CUT and factor > 0 and not (b or offset):
        return trace
    return replace(trace, affine=(a * factor, b * factor + offset), by_module=False)


def _line_of(call: Call) -> tuple[float, float] | None:
    """Return a and b where a function gives a x + b for its tensor x; None for any other function."""
    if call.name in ("neg", "negative"):
        return -1.0, 0.0
    if len(call.numbers) != 1:
        return None
    (number,) = call.numbers
    first = call.args[0]
    number_first = call.name.startswith("r") or not isinstance(first, Tensor) or _is_number(first)  # 1 - x, 1 / x
    name = call.name.removeprefix("r").removeprefix("i")
    number *= call.weight
    lines = {"mul": (number, 0.0), "add": (1.0, number), "sub": (-1.0, number) if number_first else (1.0, -number)}
    if number and not number_first:
        lines["div"] = lines["truediv"] = 1 / number, 0.0
    return lines.get({"multiply": "mul", "divide": "div", "subtract": "sub"}.get(name, name)) if number or name != "mul" else None


def form_of(affine: tuple[float, float], powers: Sequence[float], maps: str) -> str:
    """Return what becomes of maps in words, such as `u + s * u`."""
    a, b = affine
    scale = "s" if a == 1 else "-s" if a == -1 else f"{a:g} * s"
    operand = scale if not b else "(1 - s)" if affine == (-1, 1) else f"({b:g} + {scale})".replace("+ -", "- ")
    exponent = len(powers) - 1
    factor = powers[-1]
    term = " * ".join([*([f"{abs(factor):g}"] if abs(factor) != 1 else []), *[operand] * exponent, maps])
    if not powers[0]:
        return term if factor > 0 else f"-{term}"
    rest = maps if abs(powers[0]) == 1 else f"{abs(powers[0]):g} * {maps}"
    return f"{'-' if powers[0] < 0 else ''}{rest} {'+' if factor > 0 else '-'} {term}"


def _is_number(value: Any) -> bool:
    """Return whether it is a tensor that holds a plain number: without dimensions, and not learnt."""
    return isinstance(value, Tensor) and value.ndim == 0 and not (value.is_meta or isinstance(value, nn.Parameter))


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in what a function is called with, in their order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors_in(part)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))


def _base_of(given: list[Tensor], operand: Tensor, run: BlockRun) -> Tensor | None:
    """Return the maps that a product multiplies by the operand; None where it multiplies no maps."""
    others = [tensor for tensor in given if tensor is not operand]
    maps = [tensor for tensor in others if tensor.ndim >= 3 and tensor.numel() >= run.count and run.channels in tensor.shape[1:]]
    return maps[-1] if maps and len(maps) == len(others) else None


def _exchanged(value: Any, old: Tensor, new: Tensor) -> Any:
    """Return what a function is called with, with another tensor in the place of one."""
    if value is old:
        return new
    if isinstance(value, list | tuple):
        return type(value)([_exchanged(part, old, new) for part in value])
    if isinstance(value, dict):
        return {key: _exchanged(part, old, new) for key, part in value.items()}
    return value
