"""Who wants to know, or to change, what of which model: the captures and overrides of a thread's own context."""

import threading
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Generic, Self, TypeVar

from torch import Tensor, nn

from sevis.blocks.changes import SiteChange
from sevis.blocks.record import Record

T = TypeVar("T")
Changes = dict[str, list[SiteChange]]


@dataclass(eq=False, slots=True)
class Entry(Generic[T]):
    """What one `with` block wants of the forward passes of a model.

    Attributes:
        model: whose; none once the block has ended, in whatever context that happens.
        content: the record, or the changes.
        reached: the blocks whose scales were changed.
        passes: forward passes of the model that knew of it.
        strangers: those of other threads and contexts, which did not.
    """

    model: nn.Module | None
    content: T
    reached: set[str] = field(default_factory=set)
    passes: int = 0
    strangers: int = 0


records: ContextVar[tuple[Entry[Record], ...]] = ContextVar("sevis_records", default=())
overrides: ContextVar[tuple[Entry[Changes], ...]] = ContextVar("sevis_overrides", default=())
_all_overrides: list[Entry[Changes]] = []  # of all contexts, so that a pass that knows nothing of them can tell them


def enter(entries: ContextVar[tuple[Entry[T], ...]], entry: Entry[T]) -> None:
    """Begin what a `with` block wants."""
    entries.set((*entries.get(), entry))
    if entries is overrides:
        _all_overrides.append(entry)  # type: ignore[arg-type]


def leave(entries: ContextVar[tuple[Entry[T], ...]], entry: Entry[T]) -> None:
    """End it; blocks may end in any order, and in other contexts than they began in."""
    entry.model = None
    entries.set(tuple(other for other in entries.get() if other.model is not None))
    if entries is overrides:
        _all_overrides.remove(entry)  # type: ignore[arg-type]


def records_of(model: nn.Module) -> list[Record]:
    """Return the records that this context keeps of a model."""
    return [entry.content for entry in records.get() if entry.model is model]


def is_wanted(model: nn.Module) -> bool:
    """Return whether this context records or changes anything of a model."""
    return any(entry.model is model for entry in records.get()) or any(entry.model is model for entry in overrides.get())


def begin_pass(model: nn.Module) -> None:
    """Tell records and overrides that a forward pass of a model begins."""
    for record in records_of(model):
        record.forget()
    mine = overrides.get()
    for entry in tuple(_all_overrides):
        if entry.model is model:
            if entry in mine:
                entry.passes += 1
            else:
                entry.strangers += 1


def act(model: nn.Module, site: str, scale: Tensor) -> Tensor | None:
    """Apply the changes of this context to the scales of a block, (N, C) or with places, and record them; None where nothing changes."""
    changed = None
    for entry in overrides.get():
        if entry.model is model:
            for change in entry.content.get(site, ()):
                changed = scale = change.apply(scale)
                entry.reached.add(site)
    keep(model, site, "scale", scale)
    return changed


def keep(model: nn.Module, site: str, part: str, value: Tensor) -> None:
    """Keep a part of a block's run in the records of this context."""
    for entry in records.get():
        if entry.model is model:
            entry.content.keep(site, part, value)


class Shared:
    """The captures and overrides of a context, which other threads can enter: `with shared:`."""

    def __init__(self, kept: Sequence[Entry[Record]], changing: Sequence[Entry[Changes]]) -> None:
        self._entries = tuple(kept), tuple(changing)
        self._before = threading.local()

    def __enter__(self) -> Self:
        stack = self._before.__dict__.setdefault("stack", [])
        stack.append((records.get(), overrides.get()))
        kept, changing = self._entries
        records.set(tuple(dict.fromkeys((*records.get(), *kept))))
        overrides.set(tuple(dict.fromkeys((*overrides.get(), *changing))))
        return self

    def __exit__(self, *_: object) -> None:
        before = self._before.stack.pop()
        records.set(before[0])
        overrides.set(before[1])
