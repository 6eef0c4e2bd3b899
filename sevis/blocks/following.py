"""Following the scales of SE blocks through a forward pass, from the second projection to the maps that they scale.

What a module does between its layers, such as a gate that is a function, or the product itself, no hook sees. A `TorchFunctionMode`, which
PyTorch asks before each of its functions, does.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

# The names of PyTorch's functions and methods, without the underscores around them.
VIEWS = frozenset(
    "view reshape flatten unflatten view_as reshape_as unsqueeze squeeze expand expand_as permute transpose movedim moveaxis swapaxes "
    "contiguous clone to type_as type float half double bfloat16 detach getitem get repeat tile interpolate upsample broadcast_to "
    "dropout dropout1d dropout2d dropout3d feature_dropout alpha_dropout identity as_subclass atleast_3d".split()
)
PRODUCTS = frozenset(("mul", "rmul", "imul", "multiply", "einsum", "addcmul"))
NORMS = frozenset(("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "local_response_norm"))
CUT = frozenset(("relu6", "hardtanh", "clamp", "clip"))  # a hard sigmoid ends in one of these, and perhaps a division

UNSEEN = "a function of its own"  # a gate that PyTorch does not ask a mode about, such as a custom autograd function

Call = Callable[..., Any]


@dataclass(eq=False)
class Run:
    """One run of a block.

    Attributes:
        first, second: the paths of its projections; the second is empty until it runs.
        given: the input of the first.
        squeeze: z, a copy of it as it was.
        channels, hidden: C, and the units of the hidden layer.
        products: what its scales were multiplied with.
        lost: what became of its scales, where that is no product.
    """

    first: str
    given: Tensor
    squeeze: Tensor
    channels: int
    hidden: int
    second: str = ""
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

    run: Run
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
        while (source := self.sources.get(id(tensor))) and source[0] in VIEWS:
            tensor = source[1][0]
        return tensor

    def __torch_function__(self, func: Call, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if self.paused:
            return func(*args, **kwargs)
        given = list(tensors_in((args, kwargs)))
        name = getattr(func, "__name__", "").strip("_")
        if name in PRODUCTS and len(given) == 2 and not any(id(tensor) in self.known for tensor in given):
            for tensor in given:
                if not isinstance(tensor, nn.Parameter) and (trace := self.unseen_scale(tensor)):
                    self.label(tensor, trace)
        labels = [label for tensor in given if (label := self.known.get(id(tensor)))]
        if not labels:
            result = func(*args, **kwargs)
            if isinstance(result, Tensor):
                self.known.pop(id(result), None)
                if name in ("mul", "rmul", "div", "truediv") and len(given) == 1 and result.ndim >= 3 and len(numbers := _scalars(args)) == 1:
                    self.multiples[id(result)] = (given[0], numbers[0] if "mul" in name else 1 / numbers[0])
                    self.alive += (result, given[0])
            self.notice(name, given, result)
            return result
        return self._step(func, name, args, kwargs, given)

    def _step(self, func: Call, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], given: list[Tensor]) -> Any:
        traced = [(tensor, label) for tensor in given if isinstance(label := self.known.get(id(tensor)), Trace)]
        scale = next(((tensor, trace) for tensor, trace in traced if not trace.hidden), None)
        if name in PRODUCTS and scale and (base := _base_of(given, scale[0], scale[1].run)) is not None:
            return self._product(func, name, args, kwargs, scale, base)
        before = [self.known.get(id(tensor)) for tensor in given]
        result = func(*args, **kwargs)
        if not isinstance(result, Tensor):
            if traced and not isinstance(result, torch.Size | int | bool | float | str | torch.dtype | torch.device) and result is not None:
                traced[0][1].run.lost.append(name)
            return result
        self.known.pop(id(result), None)
        if traced:
            after = self._follow(name, args, traced, [t for t in given if not isinstance(t, nn.Parameter)])
        else:
            after = self._combine(name, args, given, before)
        if after:
            self.label(result, after)
        return result

    def _follow(self, name: str, args: tuple[Any, ...], traced: list[tuple[Tensor, Trace]], given: list[Tensor]) -> Trace | None:
        """Return what comes out of a function that a traced tensor goes into."""
        trace = traced[0][1]
        if name in VIEWS:
            return trace if traced[0][0] is given[0] else None
        runs = {id(other.run) for _, other in traced}
        if len(runs) > 1:
            return replace(trace, fault="two squeezes go through the same projections, as the mean and the maximum of CBAM do")
        strangers = [tensor for tensor in given if all(tensor is not known for known, _ in traced) and tensor.numel() > 1]
        if strangers and name not in NORMS:
            trace.run.lost.append(name)
            return replace(trace, fault=f"its scales are mixed with other numbers ({name})")
        return bent(trace, name, [value for value in args if isinstance(value, int | float) and not isinstance(value, bool)], args)

    def _combine(self, name: str, args: tuple[Any, ...], given: list[Tensor], before: Sequence[Any]) -> Product | None:
        """Return what comes out of a function that scaled maps go into, where that is still part of the gating: u + s u, or 2 s u."""
        product = next(label for label in before if isinstance(label, Product))
        if name in ("contiguous", "clone", "to"):
            return product
        if not self.may_combine(product):
            return None
        index = next(number for number, label in enumerate(before) if label is product)
        if name in ("add", "radd", "iadd", "sub", "rsub", "isub", "subtract") and len(given) == 2 and not _scalars(args):
            if self.origin(given[1 - index]) is not self.origin(product.base):
                return None
            sign = -1.0 if "sub" in name else 1.0
            first = (name == "rsub") != (index == 0)  # whether the product is what the other is added to or taken from
            own, others = (1.0, sign) if first else (sign, 1.0)
            scaled = [own * power for power in product.powers]
            product.powers = (scaled[0] + others, *scaled[1:])
            return product
        if name in ("mul", "rmul", "imul", "div", "truediv") and len(given) == 1 and len(_scalars(args)) == 1:
            factor = _scalars(args)[0]
            product.powers = tuple(power * (factor if "mul" in name else 1 / factor) for power in product.powers)
            return product
        return None

    def unseen_scale(self, tensor: Tensor) -> Trace | None:
        """Return the trace of what multiplies maps, where it comes from a function that no mode sees."""
        return None

    def may_combine(self, product: Product) -> bool:
        """Return whether what follows a product may still belong to the gating."""
        return False

    def _product(
        self,
        func: Call,
        name: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        scale: tuple[Tensor, Trace],
        base: Tensor,
    ) -> Any:
        operand, trace = scale
        before = self.known.get(id(base))
        if isinstance(before, Product) and before.trace.run is trace.run:
            product = before
            product.powers = (0.0, *product.powers)
        else:
            product = Product(trace, base, (0.0, 1.0))
            if name == "addcmul" and args[0] is base:
                product.powers = (1.0, 1.0)
            trace.run.products.append(product)
        result = self.multiply(product, operand, lambda other: func(*_exchanged(args, operand, other), **_exchanged(kwargs, operand, other)))
        self.label(result, product)
        return result


def bent(trace: Trace, name: str, scalars: list[float], args: tuple[Any, ...]) -> Trace:
    """Return what comes out of a function of one traced tensor and of numbers."""
    a, b = trace.affine
    first_is_number = bool(args) and not isinstance(args[0], Tensor)
    factor = 0.0
    if len(scalars) == 1:
        (number,) = scalars
        if name in ("mul", "rmul", "imul", "multiply"):
            factor, b = number, b * number
        elif name in ("div", "truediv", "idiv", "itruediv", "divide") and number and not first_is_number:
            factor, b = 1 / number, b / number
        elif name in ("add", "radd", "iadd"):
            factor, b = 1.0, b + number
        elif name in ("sub", "isub", "subtract") and not first_is_number:
            factor, b = 1.0, b - number
        elif name == "rsub" or (name in ("sub", "subtract") and first_is_number):
            factor, b = -1.0, number - b
    elif name in ("neg", "negative") and not scalars:
        factor, b = -1.0, -b
    if not factor:
        return replace(trace, chain=(*trace.chain, name), affine=(1.0, 0.0), by_module=False)
    if not trace.chain:  # before the gate, what is only multiplied or moved is no part of it
        return trace
    if trace.chain[-1] in CUT and factor > 0 and not b:
        return trace
    return replace(trace, affine=(a * factor, b), by_module=False)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in what a function is called with, in their order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors_in(part)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))


def _scalars(args: tuple[Any, ...]) -> list[float]:
    return [value for value in args if isinstance(value, int | float) and not isinstance(value, bool)]


def _base_of(given: list[Tensor], operand: Tensor, run: Run) -> Tensor | None:
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
