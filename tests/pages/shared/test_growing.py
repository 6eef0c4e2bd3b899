"""Work that grows, with several threads and visitors at it."""

import threading
from dataclasses import dataclass

import pytest
import streamlit as st

from sevis.errors import SevisError
from sevis.pages.shared import growing
from sevis.pages.shared.cache import keep, look_up
from sevis.pages.shared.growing import Answer, Work

PATIENCE = 60  # seconds


@dataclass(frozen=True)
class Count:
    """So many of four."""

    number: int

    @property
    def done(self):
        return self.number / 4


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setenv("SEVIS_FORWARDS", "2")
    monkeypatch.setattr(growing, "SLICE", 0.0)
    st.cache_data.clear()
    st.cache_resource.clear()


def test_a_second_thread_gets_what_is_known_while_the_first_is_at_work():
    inside, leave = threading.Event(), threading.Event()

    def parts():
        yield Count(1)
        inside.set()
        assert leave.wait(PATIENCE)
        yield Count(2)

    work = Work(("two threads",), lambda say: parts())
    assert work.advance() == Count(1)
    results = []
    thread = threading.Thread(target=lambda: results.append(work.advance()), daemon=True)
    thread.start()
    assert inside.wait(PATIENCE)
    assert work.advance() == Count(1)
    leave.set()
    thread.join(PATIENCE)
    assert results == [Count(2)]


def test_sixteen_threads_do_the_work_once():
    done = []

    def parts(say):
        for number in range(1, 5):
            say("Memory was short.")  # again and again, and is heard once
            done.append(number)
            yield Count(number)

    work = Work(("sixteen",), parts)

    def see_it_through():
        while not work.complete:
            work.advance()

    threads = [threading.Thread(target=see_it_through, daemon=True) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert done == [1, 2, 3, 4]
    assert look_up("sixteen") == Answer(Count(4), ("Memory was short.",))


def test_an_answer_that_somebody_found_meanwhile_ends_the_work():
    def parts():
        yield Count(1)
        raise SevisError("nobody should go on")

    work = Work(("found",), lambda say: parts())
    work.advance()
    keep(Answer(Count(4), ("said",)), "found")
    assert work.advance() == Count(4)
    assert work.complete
    assert work.said == ["said"]


def test_work_that_failed_says_the_same_to_everybody():
    def parts():
        yield Count(1)
        raise SevisError("the network fell asleep")

    work = Work(("failed",), lambda say: parts())
    work.advance()
    for _ in range(3):
        with pytest.raises(SevisError, match="fell asleep"):
            work.advance()


def test_visitors_who_ask_the_same_share_the_work_and_it_ends_with_the_last(monkeypatch):
    begun, first, second = [], {}, {}

    def begin(say):
        begun.append(1)
        return iter([Count(1)])

    for visitor in (first, second):
        monkeypatch.setattr(st, "session_state", visitor)
        growing._join("strip", ("shared",), begin)
    assert len(begun) == 1
    assert first["growing-strip"][1] is second["growing-strip"][1]
    growing.drop("strip")
    assert list(growing._works()) == [("shared",)]
    monkeypatch.setattr(st, "session_state", first)
    growing.leave()
    assert not first
    assert not list(growing._works())
