"""Who wants to know, or to change, what of which model: the captures and overrides of a thread's own context."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar

from torch import Tensor

from sevis.blocks.changes import SiteChange
from sevis.blocks.record import Record
from sevis.blocks.scaling import Scaling
from sevis.blocks.sites import Known

T = TypeVar("T")
Changes = dict[str, list[SiteChange]]


@dataclass(eq=False, slots=True)
class Entry(Generic[T]):
    """What one `with` block wants of the forward passes of a model.

    Attributes:
        subject: what is known of the model; None once the block has ended, in whatever context that happens.
        content: the record, or the changes.
        renew: finds the content again, once more is known of the model.
        reached: the blocks whose scales were changed.
        passes: forward passes of the model that knew of it.
        strangers: those of other threads and contexts, which did not.
    """

    subject: Known | None
    content: T
    renew: Callable[[], T] | None = None
    reached: set[str] = field(default_factory=set)
    passes: int = 0
    strangers: int = 0


records: ContextVar[tuple[Entry[Record], ...]] = ContextVar("sevis_records", default=())
overrides: ContextVar[tuple[Entry[Changes], ...]] = ContextVar("sevis_overrides", default=())
_all_overrides: list[Entry[Changes]] = []  # of all contexts, so that a pass that knows nothing of them can tell them
_threads = threading.local()


@contextmanager
def entered(entries: ContextVar[tuple[Entry[T], ...]], entry: Entry[T]) -> Iterator[None]:
    """Want something for as long as the body runs; blocks may end in any order, and in other contexts than they began in."""
    depth = len(following())
    entries.set((*entries.get(), entry))
    try:
        yield
    finally:
        entry.subject = None
        entries.set(tuple(other for other in entries.get() if other.subject is not None))
        while len(stack := following()) > depth:  # left over from an interrupted forward pass
            stack.pop()[1].stop()


@contextmanager
def watched(entry: Entry[Changes]) -> Iterator[None]:
    """Let the forward passes of other threads tell an override that they do not know of it."""
    _all_overrides.append(entry)
    try:
        yield
    finally:
        _all_overrides.remove(entry)


@contextmanager
def apart() -> Iterator[None]:
    """Let the body's forward passes be recorded and changed by nobody."""
    before = records.set(()), overrides.set(())
    try:
        yield
    finally:
        records.reset(before[0])
        overrides.reset(before[1])


def following() -> list[tuple[Any, Scaling]]:
    """Return what follows the scales of which modules in this thread, from the outer to the inner."""
    try:
        stack: list[tuple[Any, Scaling]] = _threads.stack
    except AttributeError:
        stack = _threads.stack = []
    return stack


def renew(known: Known) -> None:
    """Let all overrides of a model find the blocks that they are for again."""
    for entry in tuple(_all_overrides):
        if entry.subject is known and entry.renew:
            entry.content = entry.renew()


def is_wanted(known: Known) -> bool:
    """Return whether this context records or changes anything of a model."""
    return any(entry.subject is known for entry in records.get()) or any(entry.subject is known for entry in overrides.get())


def begin_pass(known: Known) -> None:
    """Tell records and overrides that a forward pass of a model begins."""
    for kept in records.get():
        if kept.subject is known:
            kept.content.forget()
    if _all_overrides:
        mine = overrides.get()
        for entry in tuple(_all_overrides):
            if entry.subject is known:
                if entry in mine:
                    entry.passes += 1
                else:
                    entry.strangers += 1


def end_pass(known: Known) -> None:
    """Tell records that a forward pass of a model came to its end."""
    for entry in records.get():
        if entry.subject is known:
            entry.content.finish()


def act(known: Known, site: str, scale: Tensor, *, copy: bool = True) -> Tensor | None:
    """Apply the changes of this context to the scales of a block, (N, C) or with places, and record them; None where nothing changes."""
    changed = None
    if known.evidence is None and known.untried:
        known.tell_guess(site)
    for entry in overrides.get():
        if entry.subject is known:
            for change in entry.content.get(site, ()):
                changed = scale = change.apply(scale)
                entry.reached.add(site)
    keep(known, site, "scale", scale, copy=copy)
    return changed


def keep(known: Known, site: str, part: str, value: Tensor, *, copy: bool = True) -> None:
    """Keep a part of a block's run in the records of this context."""
    for entry in records.get():
        if entry.subject is known:
            entry.content.keep(site, part, value, copy)


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
