"""The network that the pages show: chosen, typed, loaded once for all, kept in bounds; and the row that forward passes wait in."""

import gc
import json
import re
import threading
import time
import weakref
from pathlib import Path

import pytest
import streamlit as st
import torch
from streamlit.testing.v1 import AppTest

import sevis
from sevis.errors import SevisError, WeightsMissing
from sevis.pages import loading, turns
from sevis.pages.turns import Turns
from sevis.weights import DEFAULT

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "sevis" / "pages"
SMALL = "test_efficientnet"  # timm's network for tests: two SE blocks


@pytest.fixture(autouse=True)
def nothing_kept(tmp_path, monkeypatch):
    """Nothing kept by another test, no data, and no way to the internet."""
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "no-data"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    st.cache_resource.clear()
    st.cache_data.clear()


def open_app(**address):
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=300)
    for name, value in address.items():
        app.query_params[name] = value
    return app.run()


def drawn_blocks(app):
    """The rows of the gate map on the page."""
    charts = [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]
    (chart,) = [chart for chart in charts if chart["layout"]["title"]["text"].startswith("Scale s of every channel, block")]
    return chart["layout"]["yaxis"]["ticktext"]


def blocks_of(name):
    return [site.name for site in sevis.find_sites(sevis.load(name, weights="random").model)]


def sentences(elements):
    return " ".join(element.value for element in elements)


def shows_default(app):
    assert not app.exception
    assert drawn_blocks(app)[0] == "SE_2_1"
    assert len(drawn_blocks(app)) == 16
    return True
