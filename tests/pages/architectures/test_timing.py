"""The panel that measures what SE costs in time, in Streamlit's AppTest."""

from functools import partial

import pytest

from tests.helpers.charts import by_title, numbers
from tests.helpers.pages import open_page

run_page = partial(open_page, "architectures")


def test_the_time_is_measured_when_asked():
    page = run_page(architecture="ResNet-20 for CIFAR")
    (button,) = page.button
    assert button.label == "Measure the time on this machine"
    button.click().run()
    assert not page.exception
    assert not page.error
    chart = by_title(page)["Time with SE against without"]
    here, paper = chart["data"]
    assert numbers(here["x"])[0] > 0
    assert numbers(paper["x"]).tolist() == pytest.approx([167 / 164, 209 / 190])
    assert any("of 4 pairs" in part.value for part in page.markdown)
    page.select_slider(key="r").set_value(8).run()
    assert [button.label for button in page.button] == ["Measure the time on this machine"], "of this one, nothing is known"


def test_a_network_beyond_the_limit_is_counted_but_not_run(totals, monkeypatch):
    monkeypatch.setenv("SEVIS_MAX_PARAMETERS", "1000000")
    page = run_page()
    assert "SEVIS_MAX_PARAMETERS" in page.error[0].value
    assert not page.button
    assert totals(page)["with SE, counted here"][0] == "28,088,024"
