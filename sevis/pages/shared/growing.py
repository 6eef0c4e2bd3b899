"""Work that takes longer than a page may: done a slice at a time, drawn as it grows, shared by all who ask the same, and then kept."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

import streamlit as st

from sevis.errors import SevisError
from sevis.pages.shared.cache import keep, look_up
from sevis.pages.shared.show import show_error, show_said
from sevis.pages.shared.turns import turn

SLICE = 0.4  # seconds of work between two drawings
PAUSE = 0.2  # seconds in which a click comes through
_beginning = threading.Lock()


class Progress(Protocol):
    """What is known so far, of what is asked."""

    @property
    def done(self) -> float:
        """Return how much of it is known, in 0..1."""


Known = TypeVar("Known", bound=Progress)


@dataclass(frozen=True)
class Answer(Generic[Known]):
    """What is known at the end, and what the work had to say meanwhile, a sentence each."""

    known: Known
    said: tuple[str, ...]


Say = Callable[[str], None]
Begin = Callable[[Say], Iterator[Known]]
Draw = Callable[[Known], None]


class Work(Generic[Known]):
    """An answer that grows; several threads may have it.

    Args:
        keys: what the complete answer is kept under.
        begin: returns what is known, more and more; the last part is complete. It is told how to say a sentence.
    """

    def __init__(self, keys: tuple[str, ...], begin: Begin[Known]) -> None:
        self._keys = keys
        self._working = threading.Lock()
        self._error: Exception | None = None
        self.said: list[str] = []
        self.known: Known | None = None
        self._parts = begin(partial(_say_once, self.said))  # not a method of self: the circle would keep a dropped work in memory

    @property
    def complete(self) -> bool:
        """Return whether nothing is left to do."""
        return self.known is not None and self.known.done >= 1

    def advance(self) -> Known | None:
        """Work on for about SLICE seconds, or to the end; while another thread does so, wait as long at most. Return what is known.

        Raises:
            Exception: from the work: the same again and again, for what failed cannot go on.
        """
        if self._working.acquire(timeout=SLICE):
            try:
                if not self.complete:
                    self._work()
            finally:
                self._working.release()
        return self.known

    def _work(self) -> None:
        with turn():
            kept: Answer[Known] | None = look_up(*self._keys)  # somebody before may have asked the same
            if kept is not None:
                self.known, self.said = kept.known, list(kept.said)
                return
            known = self._slice()
        self.known = known
        if self.complete:
            keep(Answer(known, tuple(self.said)), *self._keys)
            self._parts = iter(())  # which held the network

    def _slice(self) -> Known:
        if self._error is not None:
            raise self._error
        ends = time.perf_counter() + SLICE
        try:
            known = next(self._parts)
            while known.done < 1 and time.perf_counter() < ends:
                known = next(self._parts)
        except Exception as error:
            self._error = error
            raise
        return known


def show_growing(
    name: str, keys: tuple[str, ...], begin: Begin[Known], draw: Draw[Known], *, cancel: Callable[[], None] | None = None
) -> None:
    """Draw what is known, and until all is, work on and draw again. An error stays until it is tried again, or something else asked.

    Args:
        name: of the work: a visitor has one of each name at a time.
        keys: what is asked, of all visitors' questions; another one drops the work on the one before.
        begin: starts the work, as for `Work`.
        draw: draws what is known.
        cancel: called by a button that ends the work; None: there is no such button.
    """
    kept: Answer[Known] | None = look_up(*keys)
    if kept is None and not _failed(name, keys):
        try:
            work = _join(name, keys, begin)
            if work.known is None:
                work.advance()
        except Exception as error:
            _fail(name, keys, error)
        else:
            kept = Answer(work.known, tuple(work.said)) if work.complete and work.known is not None else None
    if kept is not None:
        drop(name)
        show_said(kept.said)
        draw(kept.known)
    elif failed := _failed(name, keys):
        show_error(failed)
        st.button("Try again", key=f"again-{name}", on_click=drop, args=(name,), icon=":material/refresh:")
    else:
        st.fragment(_go_on, run_every=PAUSE)(name, keys, draw, cancel)


def drop(name: str) -> None:
    """End a visitor's work of that name, which goes on for those who ask the same, and forget its error."""
    st.session_state.pop(f"growing-{name}", None)
    st.session_state.pop(f"failed-{name}", None)


def leave() -> None:
    """End all work of a visitor who is on another page: it would hold its network in memory."""
    for key in [key for key in st.session_state if str(key).startswith(("growing-", "failed-"))]:
        del st.session_state[key]


def _join(name: str, keys: tuple[str, ...], begin: Begin[Known]) -> Work[Known]:
    """Return the work on what is asked: this visitor's, another one's, or a new one."""
    slot, works = f"growing-{name}", _works()
    held = st.session_state.get(slot)
    if held and held[0] == keys:
        found: Work[Known] = held[1]
        return found
    if keys not in works:
        begun = Work(keys, begin)  # which may have to load the network
        with _beginning:
            work = works.setdefault(keys, begun)
    else:
        work = works[keys]
    st.session_state[slot] = keys, work
    return work


@st.cache_resource(show_spinner=False)
def _works() -> "WeakValueDictionary[tuple[str, ...], Work[Any]]":
    """Return all visitors' work, which lasts as long as one of them has it."""
    return WeakValueDictionary()


def _fail(name: str, keys: tuple[str, ...], error: Exception) -> None:
    """Remember why the work cannot go on, and let go of it for everybody: a broken one yields nothing more."""
    drop(name)
    _works().pop(keys, None)
    known = isinstance(error, SevisError)
    st.session_state[f"failed-{name}"] = (
        keys,
        str(error) if known else f"the measurement stopped with an error ({type(error).__name__}: {error})",
    )


def _failed(name: str, keys: tuple[str, ...]) -> SevisError | None:
    failed = st.session_state.get(f"failed-{name}")
    return SevisError(failed[1]) if failed and failed[0] == keys else None


def _say_once(said: list[str], sentence: str) -> None:
    if sentence not in said:
        said.append(sentence)


def _go_on(name: str, keys: tuple[str, ...], draw: Draw[Known], cancel: Callable[[], None] | None) -> None:
    """Show one slice of the work, drawn; at its end, or after an error, the whole page runs, which also ends the repetition."""
    held = st.session_state.get(f"growing-{name}")
    if not held or held[0] != keys:  # ended meanwhile
        st.rerun()
    work: Work[Known] = held[1]
    try:
        known = work.advance()
    except Exception as error:
        _fail(name, keys, error)
        st.rerun()
    if work.complete:
        st.rerun()
    done = 0.0 if known is None else min(known.done, 1.0)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.progress(done, text=f"{done:.0%} measured")
        if cancel:
            st.button("Cancel", key=f"cancel-{name}", on_click=cancel, icon=":material/close:")
    show_said(tuple(work.said))
    if known is not None:
        draw(known)
