"""The panel of the page Ablations that trains a tiny network, in Streamlit's AppTest."""

import time
from functools import partial

import pytest
import torch

from sevis.errors import SevisError
from sevis.pages.ablations import live_training as trials
from sevis.pages.ablations import train_now
from sevis.pages.ablations.live_data import TrialData
from sevis.pages.shared.turns import Turns
from sevis.training.training import device_name
from tests.helpers.ablation_page import LONG
from tests.helpers.charts import by_title
from tests.helpers.pages import PATIENCE, check, open_page, text

run_page = partial(open_page, "ablations")
pytestmark = pytest.mark.usefixtures("shelf")

DEVICE = device_name(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def train(page):
    """Starts a run and lets it end."""
    page.button(key="train").click().run()
    assert not page.exception
    if "trial" not in page.session_state:  # it has ended already
        return page
    trial = page.session_state["trial"]
    deadline = time.monotonic() + PATIENCE
    while not trial.over and time.monotonic() < deadline:
        trial.look()
        trial.join(0.1)
    return page.run()


def own_runs(page):
    """The tables of the visitor's own runs."""
    return [table for table in page.dataframe if "Run" in table.value]


def test_a_run_is_added_to_the_visitor_s_own_view():
    page = run_page(try_r="4", try_gate="Tanh")
    check(train(page))
    rows = page.dataframe[-1].value
    assert list(rows["Run"]) == ["1: SE r = 4, tanh, seed 0"]
    assert rows["Images"][0] == "40 trained, 20 scored, 10 classes"
    assert rows["Device"][0] == DEVICE
    page.segmented_control(key="try_network").set_value("Plain").run()
    check(train(page))
    assert list(page.dataframe[-1].value["Run"]) == ["1: SE r = 4, tanh, seed 0", "2: plain, seed 0"]
    curves = by_title(page)["Your runs"]
    assert [trace["name"] for trace in curves["data"]][::2] == ["1: SE r = 4, tanh, seed 0", "2: plain, seed 0"]
    assert f"on {DEVICE}, " in next(chart.proto.alt for chart in page.get("plotly_chart") if "Your runs" in chart.proto.spec)
    other = check(run_page())
    assert not own_runs(other), "another visitor sees nothing of it"
    page.button(key="forget-trials").click().run()
    assert not own_runs(check(page))


def test_a_run_can_be_cancelled(monkeypatch):
    monkeypatch.setattr(train_now, "find_trial_data", lambda: LONG)
    page = run_page()
    page.button(key="train").click().run()
    assert page.button(key="train").disabled
    trial = page.session_state["trial"]
    page.button(key="cancel-trial").click().run()
    trial.join(PATIENCE)
    check(page.run())
    assert any("the run ended early, because it was cancelled; nothing" in part.value for part in page.info)
    assert not page.button(key="train").disabled
    assert not own_runs(page)


def test_a_run_that_nobody_watched_says_so(monkeypatch):
    page = run_page()
    assert "20 seconds after you leave" in text(page)
    monkeypatch.setattr(trials, "ALONE", 0.0)
    check(train(page))
    assert any("because nobody looked at it for 0 seconds" in part.value for part in page.info)


def test_a_second_click_starts_nothing():
    page = run_page()
    going = trials.Trial(trials.TrialChoice(), LONG, row=Turns(1), turns=Turns(1))
    page.session_state["trial"] = going  # as if the first click had come while the page was drawn
    page.button(key="train").click().run()
    assert page.session_state["trial"] is going
    going.cancel()
    going.join(PATIENCE)


def test_what_a_run_cannot_do_is_a_sentence(monkeypatch):
    def fail():
        raise SevisError("no photos: bring some")

    monkeypatch.setattr(train_now, "find_trial_data", lambda: TrialData("nothing", size=32, epochs=1, time="a moment", open=fail))
    page = train(run_page())
    assert page.error[0].value == "No photos: bring some."
    monkeypatch.setenv("SEVIS_FORWARDS", "many")
    page = run_page()
    page.button(key="train").click().run()
    assert not page.exception
    assert "SEVIS_FORWARDS" in page.error[0].value
