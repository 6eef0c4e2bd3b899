"""Looks into a model's SE blocks, and intervenes in them, by forward hooks that belong to one thread and leave nothing behind.

The hooks of a model are attached once, by the first that needs them, and removed with the last; what a forward pass writes goes to the
records of its own context (a ContextVar), so threads that share a model never see each other's images.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from sevis.errors import SevisError
from sevis.sites import Site, require_sites


@dataclass(frozen=True)
class Excitation:
    """What one SE block did in a forward pass: float32, detached, on the CPU.

    Attributes:
        squeeze: z, shape (N, C), eq. (2).
        hidden: relu(W1 z), shape (N, C/r).
        logits: W2 relu(W1 z), shape (N, C): the gate's input.
        scale: s, shape (N, C), eq. (3): in 0..1 for a sigmoid gate.
        maps: u, the block's input, shape (N, C, H, W), where `capture` was asked for it; the block's output is scale * maps.
    """

    squeeze: Tensor
    hidden: Tensor
    logits: Tensor
    scale: Tensor
    maps: Tensor | None


class Record(Mapping[str, Excitation]):
    """What the most recent forward pass inside a `capture` left, by site name."""

    def __init__(self, model: nn.Module, sites: Sequence[Site], maps: frozenset[str]) -> None:
        self.sites = tuple(sites)
        self._model = model
        self._maps = maps
        self._kept: dict[str, dict[str, Tensor]] = {site.name: {} for site in sites}

    def __getitem__(self, name: str) -> Excitation:
        if name not in self._kept:
            raise KeyError(f"no SE block is called {name!r}: the model has {', '.join(self._kept)}")
        kept = self._kept[name]
        if "scale" not in kept:
            raise KeyError(f"{name} has not run: call the model inside the `with sevis.capture(model)` block")
        parts = {part: kept[part].to("cpu", torch.float32) for part in ("squeeze", "hidden", "logits", "scale")}
        maps = kept["maps"].to("cpu", torch.float32) if "maps" in kept else None
        return Excitation(**parts, maps=maps)

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def _keep(self, site: str, part: str, value: Tensor) -> None:
        if value.ndim > 2 and part != "maps":
            value = value.flatten(1)
        # A copy, because many networks overwrite what they computed (in-place activations and sums).
        self._kept[site][part] = value.detach().clone()

    def _forget(self) -> None:
        for kept in self._kept.values():
            kept.clear()


@dataclass
class _Attachment:
    users: int
    sites: tuple[Site, ...]
    handles: list[RemovableHandle]


@dataclass(frozen=True)
class _Override:
    model: nn.Module
    values: Mapping[str, Tensor]


_records: ContextVar[tuple[Record, ...]] = ContextVar("sevis_records", default=())
_overrides: ContextVar[tuple[_Override, ...]] = ContextVar("sevis_overrides", default=())
_attached: WeakKeyDictionary[nn.Module, _Attachment] = WeakKeyDictionary()
_lock = threading.RLock()  # re-entrant: the garbage collector may end an abandoned capture while the lock is held


@contextmanager
def capture(model: nn.Module, *, maps: Sequence[str] = ()) -> Iterator[Record]:
    """Records what every SE block does while the body runs the model; only forwards of this thread and context count.

    Args:
        model: any model with SE blocks; its mode, weights and data stay as they are.
        maps: the names of the blocks whose input maps u are kept, too (large: C x H x W floats per image).

    Yields:
        The record of the most recent forward pass; it can be read inside the block and after it.

    Raises:
        SevisError: when the model has no SE block, or `maps` names one it does not have.
    """
    with _hooks(model) as sites:
        unknown = set(maps) - {site.name for site in sites}
        if unknown:
            raise SevisError(f"no SE block is called {', '.join(sorted(unknown))}: the model has {', '.join(s.name for s in sites)}")
        record = Record(model, sites, frozenset(maps))
        token = _records.set((*_records.get(), record))
        try:
            yield record
        finally:
            _records.reset(token)


@contextmanager
def override(model: nn.Module, scales: Mapping[str, float | ArrayLike | Tensor]) -> Iterator[None]:
    """Replaces the scales s of some blocks while the body runs the model, in this thread and context only.

    Args:
        model: any model with SE blocks; its weights stay as they are.
        scales: by site name, a number for all channels, or an array of shape (C,) or (N, C).

    Raises:
        SevisError: when the model has no such block, or an array does not have its C channels; from the forward pass, when it
            does not have its N images.
    """
    with _hooks(model) as sites:
        channels = {site.name: site.channels for site in sites}
        values = {name: _as_scale(name, value, channels) for name, value in scales.items()}
        token = _overrides.set((*_overrides.get(), _Override(model, values)))
        try:
            yield
        finally:
            _overrides.reset(token)


def keep_hooks(model: nn.Module) -> Callable[[], None]:
    """Attaches the hooks of a model that many threads share, until the returned function is called; idle hooks cost about 1 %.

    Raises:
        SevisError: when the model has no SE block.
    """
    _acquire(model)
    held = [model]  # emptied by the first call, so that a second one releases nothing

    def release() -> None:
        if held:
            _release(held.pop())

    return release


@contextmanager
def _hooks(model: nn.Module) -> Iterator[tuple[Site, ...]]:
    sites = _acquire(model)
    try:
        yield sites
    finally:
        _release(model)


def _acquire(model: nn.Module) -> tuple[Site, ...]:
    """Attaches the model's hooks unless they are there already."""
    with _lock:
        if model not in _attached:
            sites = require_sites(model)
            _attached[model] = _Attachment(0, sites, _attach(model, sites))
        _attached[model].users += 1
        return _attached[model].sites


def _release(model: nn.Module) -> None:
    """Removes the model's hooks when their last user leaves."""
    with _lock:
        _attached[model].users -= 1
        if not _attached[model].users:
            for handle in _attached.pop(model).handles:
                handle.remove()


def _attach(model: nn.Module, sites: Sequence[Site]) -> list[RemovableHandle]:
    handles = [model.register_forward_pre_hook(_begin)]
    for site in sites:
        block = model.get_submodule(site.path)
        first, second, gate = (getattr(block, part) for part in site.parts)
        handles += [
            block.register_forward_pre_hook(partial(_on_maps, model, site.name)),
            first.register_forward_pre_hook(partial(_on_input, model, site.name, "squeeze")),
            second.register_forward_pre_hook(partial(_on_input, model, site.name, "hidden")),
            gate.register_forward_pre_hook(partial(_on_input, model, site.name, "logits")),
            gate.register_forward_hook(partial(_on_scale, model, site.name)),
        ]
    return handles


def _begin(model: nn.Module, _: Any) -> None:
    for record in _records.get():
        if record._model is model:
            record._forget()


def _on_maps(model: nn.Module, site: str, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    for record in _records.get():
        if record._model is model and site in record._maps:
            record._keep(site, "maps", inputs[0])


def _on_input(model: nn.Module, site: str, part: str, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    for record in _records.get():
        if record._model is model:
            record._keep(site, part, inputs[0])


def _on_scale(model: nn.Module, site: str, _: nn.Module, __: Any, scale: Tensor) -> Tensor | None:
    replaced = None
    for entry in _overrides.get():
        if entry.model is model and site in entry.values:
            value = entry.values[site].to(scale)
            if value.ndim == 2 and len(value) not in (1, len(scale)):
                raise SevisError(f"expected scales for {len(scale)} images at {site}, got an array for {len(value)}")
            value = value.reshape(*value.shape, *(1,) * (scale.ndim - 2)) if value.ndim else value
            replaced = scale = value.expand(scale.shape).clone()
    for record in _records.get():
        if record._model is model:
            record._keep(site, "scale", scale)
    return replaced


def _as_scale(name: str, value: float | ArrayLike | Tensor, channels: Mapping[str, int]) -> Tensor:
    if name not in channels:
        raise SevisError(f"no SE block is called {name!r}: the model has {', '.join(channels)}")
    tensor = value.detach() if isinstance(value, Tensor) else torch.from_numpy(np.array(value, dtype=np.float32))
    if tensor.ndim > 2 or (tensor.ndim and tensor.shape[-1] != channels[name]):
        raise SevisError(
            f"expected a number or an array of shape ({channels[name]},) or (N, {channels[name]}) for {name}, "
            f"got shape {tuple(tensor.shape)}"
        )
    return tensor
