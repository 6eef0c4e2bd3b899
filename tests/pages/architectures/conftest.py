"""What the tests of the page Architectures share."""

import pytest
import streamlit as st

from sevis.pages.architectures import paper_tables, timing
from sevis.pages.shared import growing


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Two of the paper's networks are counted, four pairs measured, in one go."""
    monkeypatch.setattr(paper_tables, "NETWORKS", (("shufflenet", False), ("shufflenet", True)))
    monkeypatch.setattr(timing, "PAIRS", 4)
    monkeypatch.setattr(growing, "SLICE", 30.0)
    monkeypatch.delenv("SEVIS_MAX_PARAMETERS", raising=False)
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def totals():
    """What the first table of a page says: parameters and multiply-adds by row."""

    def read(page):
        rows = page.table[0].value
        return {row.iloc[0].replace("*", ""): tuple(cell.replace("*", "") for cell in row.iloc[1:]) for _, row in rows.iterrows()}

    return read
