"""Looks into a model's SE blocks, and intervenes in them, by forward hooks that belong to one thread and leave nothing behind.

The hooks of a model are attached once, by the first that needs them, and removed with the last; what a forward pass writes goes to the
records of its own context (a ContextVar), so threads that share a model never see each other's images.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from sevis.changes import Change, Step, Value, resolve
from sevis.records import Record
from sevis.sites import Site, require_sites, site_named


@dataclass
class _Attachment:
    users: int
    sites: tuple[Site, ...]
    handles: list[RemovableHandle]


_records: ContextVar[tuple[tuple[nn.Module, Record], ...]] = ContextVar("sevis_records", default=())
_overrides: ContextVar[tuple[tuple[nn.Module, dict[str, list[Step]]], ...]] = ContextVar("sevis_overrides", default=())
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
        SevisError: when the model has no SE block, cannot be hooked, or `maps` names a block that it does not have.
    """
    with _hooks(model) as sites:
        by_name = {site.name: site for site in sites}
        record = Record(sites, frozenset(site_named(by_name, name).name for name in maps))
        token = _records.set((*_records.get(), (model, record)))
        try:
            yield record
        finally:
            _records.reset(token)


@contextmanager
def override(model: nn.Module, changes: Mapping[str, Value | Change]) -> Iterator[None]:
    """Changes the scales s of some blocks while the body runs the model, in this thread and context only.

    The changes are applied in their order, and those of nested overrides from the outer to the inner one, each to the scales that it finds.

    Args:
        model: any model with SE blocks; its weights stay as they are.
        changes: by address, `SE` for every block, `SE_5` for those of a stage, `SE_5_2` for a single one: a number for all channels, an
            array of shape (C,) or (N, C), which replace the scales, or a `Change`. Nothing is clipped to the gate's range.

    Raises:
        SevisError: for an address that names no block, or a value that is not finite or does not have its C channels; from the forward
            pass, when it does not have its N images.
    """
    with _hooks(model) as sites:
        token = _overrides.set((*_overrides.get(), (model, resolve(changes, sites))))
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
    handles = [model.register_forward_pre_hook(_Hook(model, "", _begin_pass))]
    for site in sites:
        block = model.get_submodule(site.path)
        first, second, gate = (block.get_submodule(part) for part in site.parts)
        handles += [
            block.register_forward_pre_hook(_Hook(model, site.name, _begin_block)),
            first.register_forward_pre_hook(_Hook(model, site.name, _keeping("squeeze"))),
            second.register_forward_pre_hook(_Hook(model, site.name, _keeping("hidden"))),
            gate.register_forward_pre_hook(_Hook(model, site.name, _keeping("logits"))),  # now: a gate may work in place
            gate.register_forward_hook(_Hook(model, site.name, _on_scale)),
        ]
    return handles


class _Hook:
    """A hook of one model; in a copy of that model it does nothing, for the copy gets hooks of its own."""

    __slots__ = ("act", "model", "site")

    def __init__(self, model: nn.Module, site: str, act: Callable[..., Tensor | None]) -> None:
        self.model = model
        self.site = site
        self.act = act

    def __call__(self, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | None = None) -> Tensor | None:
        return self.act(self.model, self.site, inputs[0] if inputs else None, output)

    def __reduce__(self) -> tuple[type["_Nothing"], tuple[()]]:
        return _Nothing, ()


class _Nothing:
    def __call__(self, *_: Any) -> None:
        return None


def _begin_pass(model: nn.Module, *_: Any) -> None:
    for owner, record in _records.get():
        if owner is model:
            record.forget()


def _begin_block(model: nn.Module, site: str, u: Tensor, _: None) -> None:
    for owner, record in _records.get():
        if owner is model:
            record.begin(site, u)


def _keeping(part: str) -> Callable[..., None]:
    """What keeps a part of the records: the input of the module that the hook is on."""

    def keep(model: nn.Module, site: str, value: Tensor, _: None) -> None:
        for owner, record in _records.get():
            if owner is model:
                record.keep(site, part, value)

    return keep


def _on_scale(model: nn.Module, site: str, _: Tensor, scale: Tensor) -> Tensor | None:
    changed = None
    for owner, steps in _overrides.get():
        if owner is model:
            for step in steps.get(site, ()):
                changed = scale = step.apply(scale)
    for owner, record in _records.get():
        if owner is model:
            record.keep(site, "scale", scale)
    return changed
