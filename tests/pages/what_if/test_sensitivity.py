"""Which blocks and channels a prediction depends on: measured slice by slice."""

import dataclasses
import re
from itertools import islice

import numpy as np
import pytest
from PIL import Image

import sevis
from sevis.errors import SevisError
from sevis.experiments.sensitivity import scan_blocks
from sevis.pages.shared import growing
from sevis.pages.shared.explanations import note_seconds, seconds_of
from tests.helpers.charts import by_title, numbers
from tests.helpers.pages import sentence
from tests.helpers.what_if_page import (
    held,
    probabilities,
    run_page,
    strip,
)


def test_the_channels_that_matter_most_are_found(ready, monkeypatch):
    monkeypatch.setattr(growing, "SLICE", 60.0)
    page = run_page(where="SE_4_2", ablate="true", watch="pizza")
    shown = by_title(page)["The channels of SE_4_2 that matter most"]["data"][0]
    off = [probabilities(ready, {"SE_4_2": held(0, [channel])})["pizza"] for channel in range(64)]
    change = 100 * (np.array(off) - probabilities(ready)["pizza"])
    assert numbers(shown["customdata"]).tolist() == np.argsort(-np.abs(change), kind="stable")[:12].tolist()
    assert np.allclose(numbers(shown["x"]), change[np.argsort(-np.abs(change), kind="stable")[:12]], atol=1e-3)


@pytest.fixture
def many_slices(monkeypatch):
    """Work that is drawn after each five rows, however busy this machine is: the page takes no pass to be slow."""
    monkeypatch.setattr(growing, "SLICE", 0.0)  # one batch between two drawings
    monkeypatch.setattr("sevis.experiments.sensitivity.BATCH_PIXELS", 32 * 32 * 5)
    monkeypatch.setattr("sevis.pages.what_if.sensitivity.seconds_of", lambda explanation: 0.001)


def test_work_that_takes_long_is_drawn_as_it_grows_and_can_be_cancelled(ready, many_slices):
    page = run_page(where="SE_4_2", ablate="true")
    assert growing_so_far(page)
    page = page.button(key="cancel-ablate").click().run()
    assert not page.exception
    assert page.toggle(key="ablate").value is False
    assert "growing-ablate" not in page.session_state
    page = page.toggle(key="ablate").set_value(True).run()
    while growing_so_far(page):
        page = page.run()
    assert len(numbers(by_title(page)["The channels of SE_4_2 that matter most"]["data"][0]["x"])) == 12


def growing_so_far(page):
    assert not page.exception
    return re.search(r"of the \d+ tried so far", " ".join(caption.value for caption in page.caption))


@pytest.mark.parametrize("slices", [0, 2])
def test_an_error_in_the_middle_of_the_work_stays_until_it_is_tried_again(ready, many_slices, monkeypatch, slices):
    calls = []

    def scan(*args, **options):
        calls.append(1)
        yield from islice(scan_blocks(*args, **options), slices)
        raise SevisError("the network fell asleep")

    with monkeypatch.context() as patch:
        patch.setattr("sevis.experiments.sensitivity.scan_blocks", scan)
        page = run_page()
        while "growing-strip" in page.session_state:
            page = page.run()
        for _ in range(3):
            assert sentence(page) == "The network fell asleep."
            page = page.run()
        assert len(calls) == 1
        page = page.button(key="again-strip").click().run()
        while "growing-strip" in page.session_state:
            page = page.run()
        assert len(calls) == 2
    page = page.button(key="again-strip").click().run()
    while "growing-strip" in page.session_state:
        page = page.run()
    assert not page.error
    assert len(strip(page, "opened")) == 8


def test_what_was_said_about_memory_stays_and_the_work_does_not(ready, monkeypatch):
    def scan(*args, say, **options):
        say("Memory was short.")
        yield from scan_blocks(*args, say=say, **options)

    monkeypatch.setattr("sevis.experiments.sensitivity.scan_blocks", scan)
    for _ in range(2):  # the second visitor gets the kept answer
        page = run_page()
        while "growing-strip" in page.session_state:
            page = page.run()
        page = page.run()
        assert [box.value for box in page.info if "Memory" in box.value] == ["Memory was short."]


def test_the_quickest_pass_says_how_long_the_strip_takes(ready):
    slow, quick = (dataclasses.replace(sevis.explain(ready, Image.new("RGB", (8, 8))), seconds=seconds) for seconds in (5.0, 0.01))
    assert seconds_of(slow) == 5.0
    note_seconds(slow)
    note_seconds(quick)
    assert seconds_of(slow) == 0.01
