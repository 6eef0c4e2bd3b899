"""Taking turns: at most so many forward passes at a time on one server, the others wait in a row and the page says so."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import streamlit as st

from sevis.settings import forwards_at_once

GLANCE = 0.2  # seconds between two looks at the row, after which Streamlit may end a run that nobody waits for any more


class Turns:
    """A row of waiting threads, first come, first served, the first `count` of which are let through."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._row: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def take(self, waiting: Callable[[int], None]) -> Iterator[None]:
        """Run the body as soon as it is this thread's turn.

        Args:
            waiting: told, about every GLANCE seconds, how many must finish first; what it raises leaves the row in order.
        """
        ticket = object()
        with self._changed:
            self._row.append(ticket)
        try:
            while before := self._look(ticket):
                waiting(before)
            yield
        finally:
            with self._changed:
                self._row.remove(ticket)
                self._changed.notify_all()

    def _look(self, ticket: object) -> int:
        """Return how many must finish before a ticket's turn, after waiting GLANCE seconds for it to come."""
        with self._changed:
            self._changed.wait_for(lambda: self._before(ticket) == 0, timeout=GLANCE)
            return self._before(ticket)

    def _before(self, ticket: object) -> int:
        return max(0, self._row.index(ticket) - self._count + 1)


_holding: ContextVar[bool] = ContextVar("sevis_turn", default=False)


@contextmanager
def turn() -> Iterator[None]:
    """Run the body, a forward pass, as soon as fewer than SEVIS_FORWARDS others run (default: half the cores); meanwhile the page says so.

    Inside another turn of the same thread it is that one.

    Raises:
        SevisError: where SEVIS_FORWARDS is no number of forward passes.
    """
    if _holding.get():
        yield
        return
    notes: list[st.delta_generator.DeltaGenerator] = []

    def waiting(before: int) -> None:
        if not notes:
            notes.append(st.empty())
        notes[0].info(describe_row(before), icon=":material/hourglass_empty:")

    with shared_turns().take(waiting):
        for note in notes:
            note.empty()
        token = _holding.set(True)
        try:
            yield
        finally:
            _holding.reset(token)


def describe_row(before: int, what: str = "The network is busy") -> str:
    """Return what the page says while so many others are before this visitor, and what for."""
    return f"{what}: {before} {'visitor is' if before == 1 else 'visitors are'} before you. The answer appears by itself."


def shared_turns() -> Turns:
    """Return the row that `turn` waits in, for a thread that works beside the pages. Raises SevisError as `turn`."""
    return _turns(forwards_at_once())


@st.cache_resource(show_spinner=False)
def _turns(count: int) -> Turns:
    return Turns(count)
