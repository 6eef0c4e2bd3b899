"""The panel with the networks of the paper's tables, in Streamlit's AppTest."""

import pytest

from tests.helpers.charts import by_title, numbers
from tests.helpers.pages import open_page


def test_the_papers_networks_are_counted_and_drawn():
    page = open_page("architectures")
    plain, se, printed = by_title(page)["Top-1 error on ImageNet against cost"]["data"]
    assert plain["name"] == "without SE"
    assert numbers(plain["y"]).tolist() == [32.6]
    assert numbers(se["x"])[0] == pytest.approx(0.138, abs=0.001)
    assert len(numbers(printed["x"])) == 20
    rows = page.dataframe[0].value
    assert len(rows) == 10
    assert rows["GFLOPs, paper"][0] == "3.86 → 3.87"
    assert rows["GFLOPs, counted here"][9].startswith("0.137 → 0.138")
    assert sum("our count differs" in part.value for part in page.caption) == 2
