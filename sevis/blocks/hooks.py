"""capture and override: look into a model's SE blocks and change their scales, by forward hooks that leave nothing behind.

The hooks of a model are attached once, by the first that needs them, and removed with the last; what a forward pass writes goes to the
records of its own context (a ContextVar), so threads that share a model never see each other's images.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from sevis.blocks.changes import Change, SiteChange, Value, resolve
from sevis.blocks.record import Record
from sevis.blocks.sites import Site, require_sites, site_named
from sevis.errors import SevisError

T = TypeVar("T")


@dataclass
class _Attachment:
    users: int
    sites: tuple[Site, ...]
    handles: list[RemovableHandle]
    maps: bool = False  # whether the blocks' inputs are seen, too, which costs one more hook a block


@dataclass(eq=False, slots=True)
class _Entry(Generic[T]):
    """What one `with` block wants of the forward passes of a model; of none once it has ended, in whatever context that happens."""

    model: nn.Module | None
    content: T


_records: ContextVar[tuple[_Entry[Record], ...]] = ContextVar("sevis_records", default=())
_overrides: ContextVar[tuple[_Entry[dict[str, list[SiteChange]]], ...]] = ContextVar("sevis_overrides", default=())
_attached: WeakKeyDictionary[nn.Module, _Attachment] = WeakKeyDictionary()
_lock = threading.RLock()  # re-entrant: the garbage collector may end an abandoned capture while the lock is held


@contextmanager
def capture(model: nn.Module, *, maps: Sequence[str] = ()) -> Iterator[Record]:
    """Record what every SE block does while the body runs the model; only forwards of this thread and context count.

    Args:
        model: any model with SE blocks; its mode, weights and data stay as they are.
        maps: the names of the blocks whose input maps u are kept, too (large: C x H x W floats per image).

    Yields:
        The record of the most recent forward pass; it can be read inside the block and after it.

    Raises:
        SevisError: when the model has no SE block, cannot be hooked, or `maps` names a block that it does not have; from the forward pass,
            when a block turns out to squeeze otherwise than the paper's.
    """
    with _hooks(model, maps=bool(maps)) as sites:
        by_name = {site.name: site for site in sites}
        record = Record(sites, frozenset(site_named(by_name, name).name for name in maps))
        with _entered(_records, model, record):
            yield record


@contextmanager
def override(model: nn.Module, changes: Mapping[str, Value | Change]) -> Iterator[None]:
    """Change the scales s of some blocks while the body runs the model, in this thread and context only.

    The changes are applied in their order, and those of nested overrides from the outer to the inner one, each to the scales that it finds.
    No gradient reaches the values.

    Args:
        model: any model with SE blocks; its weights stay as they are.
        changes: by address, `SE` for every block, `SE_5` for those of a stage, `SE_5_2` for a single one: a number for all channels, an
            array of shape (C,) or (N, C), which replace the scales, or a `Change`. Nothing is clipped to the gate's range.

    Raises:
        SevisError: for an address that names no block, or a value that is not finite or does not have its C channels; from the forward
            pass, when it does not have its N images.
    """
    with _hooks(model) as sites, _entered(_overrides, model, resolve(changes, sites)):
        yield


def keep_hooks(model: nn.Module) -> Callable[[], None]:
    """Attach the hooks of a model that many threads share, until the returned function is called; idle hooks cost about 1 %.

    Raises:
        SevisError: when the model has no SE block.
    """
    _acquire(model, maps=True)
    held = [model]  # emptied by the first call, so that a second one releases nothing

    def release() -> None:
        if held:
            _release(held.pop())

    return release


@contextmanager
def _entered(entries: ContextVar[tuple[_Entry[T], ...]], model: nn.Module, content: T) -> Iterator[None]:
    entry = _Entry(model, content)
    entries.set((*entries.get(), entry))
    try:
        yield
    finally:
        entry.model = None
        entries.set(tuple(other for other in entries.get() if other.model is not None))  # no token: blocks may end in any order


@contextmanager
def _hooks(model: nn.Module, *, maps: bool = False) -> Iterator[tuple[Site, ...]]:
    sites = _acquire(model, maps=maps)
    try:
        yield sites
    finally:
        _release(model)


def _acquire(model: nn.Module, *, maps: bool) -> tuple[Site, ...]:
    """Attach the model's hooks unless they are there already."""
    with _lock:
        if model not in _attached:
            sites = require_sites(model)
            _attached[model] = _Attachment(0, sites, _attach(model, sites))
        attachment = _attached[model]
        if maps and not attachment.maps:
            blocks = ((site.name, model.get_submodule(site.path)) for site in attachment.sites)
            attachment.handles += [_before(block, _Hook(model, name, _begin_block)) for name, block in blocks]
            attachment.maps = True
        attachment.users += 1
        return attachment.sites


def _release(model: nn.Module) -> None:
    """Remove the model's hooks when their last user leaves."""
    with _lock:
        _attached[model].users -= 1
        if not _attached[model].users:
            for handle in _attached.pop(model).handles:
                handle.remove()


def _attach(model: nn.Module, sites: Sequence[Site]) -> list[RemovableHandle]:
    parts = {site: tuple(map(model.get_submodule(site.path).get_submodule, site.parts)) for site in sites}
    owners: dict[nn.Module, str] = {}
    for site, modules in parts.items():
        for part in modules:
            if owners.setdefault(part, site.name) != site.name:
                raise SevisError(f"{owners[part]} and {site.name} share their {type(part).__name__}: give each SE block its own")
    handles = [_before(model, _Hook(model, "", _begin_pass))]
    for site, (first, second, gate) in parts.items():
        handles.append(_before(first, _Hook(model, site.name, _keeping("squeeze"))))
        handles.append(_before(second, _Hook(model, site.name, _keeping("hidden"))))
        in_place = getattr(gate, "inplace", type(gate) not in (nn.Sigmoid, nn.Tanh))  # then, or perhaps, it overwrites the logits
        if in_place:
            handles.append(_before(gate, _Hook(model, site.name, _keep_logits)))
        act = _on_scale if in_place else _on_gate
        handles.append(gate.register_forward_hook(_Hook(model, site.name, act), with_kwargs=True))
    return handles


def _before(module: nn.Module, hook: "_Hook") -> RemovableHandle:
    return module.register_forward_pre_hook(hook, with_kwargs=True)  # type: ignore[arg-type]


@dataclass(eq=False, slots=True)
class _Hook:
    """A hook of one model; in a copy of that model it does nothing, for the copy gets hooks of its own."""

    model: nn.Module
    site: str
    act: Callable[..., Tensor | None]

    def __call__(self, _: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor], *output: Tensor) -> Tensor | None:
        given = args[0] if args else next(iter(kwargs.values()), None)
        return self.act(self.model, self.site, given, *output)

    def __reduce__(self) -> tuple[type["_Nothing"], tuple[()]]:
        return _Nothing, ()


class _Nothing:
    def __call__(self, *_: Any) -> None:
        return None


def _of(model: nn.Module, entries: tuple[_Entry[T], ...]) -> list[T]:
    """Return what the `with` blocks of this context want of a model."""
    return [entry.content for entry in entries if entry.model is model]


def _begin_pass(model: nn.Module, *_: Any) -> None:
    for record in _of(model, _records.get()):
        record.forget()


def _begin_block(model: nn.Module, site: str, u: Tensor) -> None:
    for record in _of(model, _records.get()):
        record.begin(site, u)


def _keeping(part: str) -> Callable[[nn.Module, str, Tensor], None]:
    """Return what keeps a part of the records."""

    def keep(model: nn.Module, site: str, value: Tensor) -> None:
        for record in _of(model, _records.get()):
            record.keep(site, part, value)

    return keep


_keep_logits, _keep_scale = _keeping("logits"), _keeping("scale")


def _on_gate(model: nn.Module, site: str, logits: Tensor, scale: Tensor) -> Tensor | None:
    _keep_logits(model, site, logits)
    return _on_scale(model, site, logits, scale)


def _on_scale(model: nn.Module, site: str, _: Tensor, scale: Tensor) -> Tensor | None:
    changed = None
    for changes in _of(model, _overrides.get()):
        for change in changes.get(site, ()):
            changed = scale = change.apply(scale)
    _keep_scale(model, site, scale)
    return changed
