"""Work that takes longer than a page may: done a slice at a time, drawn as it grows, and dropped when something else is asked."""

import time
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

import streamlit as st

from sevis.errors import SevisError
from sevis.pages.show import show_error
from sevis.pages.turns import turn

SLICE = 0.4  # seconds of work between two drawings
PAUSE = 0.2  # seconds in which a click comes through


class Partial(Protocol):
    """What is known so far, of what is asked."""

    @property
    def done(self) -> float:
        """How much of it, in 0..1."""


Known = TypeVar("Known", bound=Partial)


class Work(Generic[Known]):
    """An answer that grows.

    Args:
        parts: what is known, more and more; the last is complete.
        keep: called with the complete answer.
        said: what the work has to say, a sentence each.
    """

    def __init__(self, parts: Iterator[Known], keep: Callable[[Known], object], said: list[str]) -> None:
        self._parts = parts
        self._keep = keep
        self.said = said
        self.known: Known | None = None

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.known is not None and self.known.done >= 1

    def advance(self) -> Known:
        """Works on for about SLICE seconds, or to the end, and gives what is known."""
        ends = time.perf_counter() + SLICE
        with turn():
            known = next(self._parts)
            while known.done < 1 and time.perf_counter() < ends:
                known = next(self._parts)
        self.known = known
        if self.complete:
            self._keep(known)
        return known


def show_growing(
    name: str,
    keys: tuple[object, ...],
    begin: Callable[[], Work[Known]],
    draw: Callable[[Known], None],
    *,
    cancel: Callable[[], None] | None = None,
) -> None:
    """Draws what is known, and until all is, works on and draws again.

    Args:
        name: of the work: a visitor has one of each name at a time.
        keys: what is asked; another question drops the work on the one before.
        begin: starts the work.
        draw: draws what is known.
        cancel: called by a button that ends the work; None: there is no such button.

    Raises:
        SevisError: from the work.
    """
    place = f"growing-{name}"
    if place not in st.session_state or st.session_state[place][0] != keys:
        st.session_state[place] = keys, begin()
    work: Work[Known] = st.session_state[place][1]
    known = work.known or _advance(name, work)
    if work.complete:
        drop(name)
        _say(work)
        draw(known)
    else:
        st.fragment(_go_on, run_every=PAUSE)(name, work, draw, cancel)


def drop(name: str) -> None:
    """Ends the work of that name."""
    st.session_state.pop(f"growing-{name}", None)


def _advance(name: str, work: Work[Known]) -> Known:
    try:
        return work.advance()
    except Exception:  # what failed cannot go on: the next run begins anew
        drop(name)
        raise


def _say(work: Work[Known]) -> None:
    for sentence in work.said:
        st.info(sentence, icon=":material/memory:")


def _go_on(name: str, work: Work[Known], draw: Callable[[Known], None], cancel: Callable[[], None] | None) -> None:
    if f"growing-{name}" not in st.session_state:  # ended meanwhile
        st.rerun()
    try:
        known = _advance(name, work)
    except SevisError as error:
        show_error(error)
        return
    if work.complete:
        st.rerun()  # as a whole, which also ends the repetition
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.progress(min(known.done, 1.0), text=f"{known.done:.0%} measured")
        if cancel:
            st.button("Cancel", key=f"cancel-{name}", on_click=cancel, icon=":material/close:")
    _say(work)
    draw(known)
