"""The page Ablations in Streamlit's AppTest; every number that it shows here is made up."""

from functools import partial

import pytest

from tests.helpers.pages import check, open_page
from tests.helpers.processes import loaded_by

run_page = partial(open_page, "ablations")
pytestmark = pytest.mark.usefixtures("shelf")


def test_every_figure_says_device_seeds_and_date():
    page = check(run_page())
    captions = [chart.proto.alt for chart in page.get("plotly_chart")]
    assert len(captions) == 6
    for caption in captions:
        assert "cpu, seed" in caption
        assert "2026-11-26" in caption


def test_the_page_is_found_without_torch():
    assert "torch" not in loaded_by("from sevis.pages.ablations import tables, train_now, twins")
