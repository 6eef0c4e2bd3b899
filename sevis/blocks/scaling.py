"""Reading and changing scales where they multiply the maps, in blocks whose gate is a function or is used for more than their scales."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from sevis.blocks.evidence import Wiring
from sevis.blocks.following import UNSEEN, BlockRun, Follower, Product, Trace
from sevis.blocks.sites import Site, pair_of
from sevis.blocks.watching import axis_of, channel_axis, flat_scales

Act = Callable[[str, Tensor], Tensor | None]  # takes the factors of a block, (N, C), and returns the changed ones, where they change
Keep = Callable[[str, Tensor], None]


class Scaling(Follower):
    """Follows the scales of some blocks in one forward pass of a module that holds them."""

    def __init__(self, blocks: Iterable[tuple[Site, Wiring]], *, act: Act | None, keep_maps: Keep) -> None:
        """Take the blocks; what is done to their factors, nothing where it is None; and what keeps the maps of those that are wanted."""
        super().__init__()
        self.blocks = {pair_of(site)[1]: (site, wiring) for site, wiring in blocks}
        self.act = act
        self.keep_maps = keep_maps
        self.latest: Trace | None = None
        self.changed: dict[int, bool] = {}  # of each product so far, whether it was made with other scales

    def start(self) -> None:
        """Begin to see PyTorch's functions."""
        self.__enter__()  # type: ignore[no-untyped-call]

    def stop(self) -> None:
        """See no more of them."""
        self.__exit__(None, None, None)  # type: ignore[no-untyped-call]

    def begin(self, second: str, output: Tensor) -> None:
        """Follow what comes out of the second projection of a block."""
        site, _ = self.blocks[second]
        self.latest = Trace(BlockRun(pair_of(site)[0], output, output, site.channels, site.hidden, second))
        self.label(output, self.latest)

    def pass_gate(self, given: Tensor | None, output: Tensor) -> None:
        """Follow what comes out of the module that is the gate, whatever it does inside."""
        trace = self.known.get(id(given))
        if isinstance(trace, Trace) and id(output) not in self.known:
            self.label(output, trace)

    def unseen_scale(self, tensor: Tensor) -> Trace | None:
        """Return the trace of the latest second projection, where the gate was seen to be a function that no mode sees."""
        trace = self.latest
        if trace is None or trace.run.products or tensor.numel() != trace.run.count or tensor is trace.run.given:
            return None
        return trace if self.blocks[trace.run.second][1].gate == UNSEEN else None

    def multiply(self, product: Product, operand: Tensor, call: Callable[[Tensor], Any]) -> Any:
        """Return the product with the changed scales, where they change."""
        if id(product) in self.changed:  # s * s * u: all of the change is in the first of the factors
            return call(torch.ones_like(operand) if self.changed[id(product)] else operand)
        self.alive.append(product)
        self.changed[id(product)] = False
        site, wiring = self.blocks[product.trace.run.second]
        axis = axis_of(product.base, operand, site.channels)
        maps = self.multiples[id(product.base)][0] if wiring.multiple and id(product.base) in self.multiples else product.base
        self.keep_maps(site.name, self._whole(maps, axis, site.channels))
        if self.act is None:
            return call(operand)
        flat = flat_scales(operand, product.base, axis, site.channels)
        changed = self.act(site.name, factor_of(flat, wiring.powers))
        if changed is None:
            return call(operand)
        self.changed[id(product)] = True
        return call(_like(operand_of(changed, wiring.powers), operand, axis, site.channels))

    def _whole(self, base: Tensor, axis: int, channels: int) -> Tensor:
        """Return the maps as (N, C, ...), in the shape that they had before they were viewed in another."""
        whole = self.origin(base)
        if whole is not base and whole.ndim >= base.ndim and (wider := channel_axis(whole, channels)):
            base, axis = whole, wider
        return base.movedim(axis, 1)


def factor_of(operand: Tensor, powers: Sequence[float]) -> Tensor:
    """Return the factor by which the maps come out, for the tensor that multiplies them."""
    factor = powers[-1] * operand ** (len(powers) - 1) if len(powers) > 2 or powers[-1] != 1 else operand
    return factor + powers[0] if powers[0] else factor


def operand_of(factor: Tensor, powers: Sequence[float]) -> Tensor:
    """Return what must multiply the maps, once, so that they come out by that factor."""
    return (factor - powers[0]) / powers[-1] if powers[0] or powers[-1] != 1 else factor


def _like(flat: Tensor, operand: Tensor, axis: int, channels: int) -> Tensor:
    """Return numbers of shape (N, C) in the shape of an operand, for as many images as they are of."""
    if operand.numel() == len(operand) * channels:
        return flat.reshape(len(flat), *operand.shape[1:])
    shape = [1] * operand.ndim
    shape[0], shape[axis] = flat.shape
    return flat.reshape(shape).expand(len(flat), *operand.shape[1:])
