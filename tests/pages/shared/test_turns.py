"""The row in which forward passes wait for their turn."""

import threading

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from sevis.errors import SevisError
from sevis.pages.shared import turns
from sevis.pages.shared.turns import Turns, describe_row, turn
from sevis.settings import forwards_at_once

PATIENCE = 60  # seconds


class Bench:
    """Threads that take turns; each stays until it is let go, and `running` and `seen` say what they do."""

    def __init__(self, row):
        self.row, self.threads, self.order, self.seen = row, [], [], {}
        self.changed, self.running, self.peak = threading.Condition(), set(), 0
        self.leave = {}

    def send(self, name):
        self.leave[name], self.seen[name] = threading.Event(), []
        self.threads.append(threading.Thread(target=self._work, args=(name,), daemon=True))
        self.threads[-1].start()

    def _work(self, name):
        with self.row.take(lambda before: self._note(lambda: self.seen[name].append(before))):
            self._note(lambda: (self.running.add(name), self.order.append(name)))
            assert self.leave[name].wait(PATIENCE)
            self._note(lambda: self.running.discard(name))

    def _note(self, change):
        with self.changed:
            change()
            self.peak = max(self.peak, len(self.running))
            self.changed.notify_all()

    def until(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE)

    def end(self):
        for leave in self.leave.values():
            leave.set()
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_so_many_run_at_a_time_and_the_others_follow_in_the_order_in_which_they_came():
    bench = Bench(Turns(2))
    for number in range(6):
        bench.send(number)
        bench.until(lambda number=number: number in bench.running or bench.seen[number])
    assert bench.running == {0, 1}
    assert [bench.seen[number][0] for number in range(2, 6)] == [1, 2, 3, 4]
    for number in range(4):
        bench.leave[number].set()
        bench.until(lambda number=number: number + 2 in bench.running)
    bench.end()
    assert bench.order == list(range(6))
    assert bench.peak == 2


def test_sixteen_threads_get_through_three_places():
    row, lock = Turns(3), threading.Lock()
    inside, peak, done = [], [], []

    def work(number):
        for _ in range(20):
            with row.take(lambda _: None):
                with lock:
                    inside.append(number)
                    peak.append(len(inside))
                with lock:
                    inside.remove(number)
        done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(done) == list(range(16))
    assert max(peak) <= 3


def test_who_stops_waiting_and_who_fails_make_room():
    bench, row = Bench(Turns(1)), None
    row = bench.row
    bench.send("first")
    bench.until(lambda: "first" in bench.running)

    class Interrupted(BaseException):
        pass

    def interrupt(_):
        raise Interrupted

    with pytest.raises(Interrupted), row.take(interrupt):
        pytest.fail("it was not its turn")
    bench.send("second")
    bench.until(lambda: bench.seen["second"])
    assert bench.seen["second"][0] == 1
    bench.end()
    with pytest.raises(ZeroDivisionError), row.take(lambda _: None):
        raise ZeroDivisionError
    with row.take(lambda before: pytest.fail(f"nobody is there, and yet {before}")):
        pass


def script():
    import streamlit as st

    from sevis.pages.shared.turns import turn

    st.write("before")
    with turn(), turn():  # a turn within a turn is the same one
        st.write("inside")


def test_the_page_says_who_is_before(monkeypatch):
    monkeypatch.setenv("SEVIS_FORWARDS", "1")
    st.cache_resource.clear()
    said = []
    monkeypatch.setattr(turns, "describe_row", lambda before: said.append(before) or go.set() or describe_row(before))
    go, bench = threading.Event(), Bench(turns._turns(1))
    bench.send("other")
    bench.until(lambda: bench.running)
    threading.Thread(target=lambda: (go.wait(PATIENCE), bench.end()), daemon=True).start()
    app = AppTest.from_function(script, default_timeout=PATIENCE).run()
    assert not app.exception
    assert set(said) == {1}
    assert [text.value for text in app.markdown] == ["before", "inside"]
    assert not app.info, "the note goes when the turn comes"


def test_the_note_counts():
    assert "1 visitor is before you" in describe_row(1)
    assert "7 visitors are before you" in describe_row(7)
    assert describe_row(1, "All is taken").startswith("All is taken: 1 visitor")


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (3, 1), (16, 8), (None, 1)])
def test_half_the_cores_run_at_a_time(monkeypatch, cores, expected):
    monkeypatch.delenv("SEVIS_FORWARDS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert forwards_at_once() == expected


def test_the_number_can_be_set(monkeypatch):
    monkeypatch.setenv("SEVIS_FORWARDS", "5")
    assert forwards_at_once() == 5


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_number_that_is_none_is_refused(monkeypatch, value):
    monkeypatch.setenv("SEVIS_FORWARDS", value)
    with pytest.raises(SevisError, match=f"SEVIS_FORWARDS.*{value}"), turn():
        pass
