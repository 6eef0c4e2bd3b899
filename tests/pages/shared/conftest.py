"""What the tests of the network and of its loading share."""

import threading
from pathlib import Path

import pytest
import streamlit as st

import sevis
from sevis.errors import WeightsMissing
from sevis.pages.shared import loading
from sevis.weights.card import DEFAULT
from tests.helpers.small_networks import OTHER, SMALL, small_network


@pytest.fixture
def nothing_kept(tmp_path, monkeypatch):
    """Nothing kept by another test, no data, and no way to the internet."""
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "no-data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(loading, "HEAD_START", 0)
    st.cache_resource.clear()
    st.cache_data.clear()
    yield
    for thread in threading.enumerate():  # a test process must not end while torch is being imported beside it
        if thread.name.startswith("load-"):
            thread.join(60)


@pytest.fixture
def loads(monkeypatch):
    """Stand-ins for the networks of the internet, whose trained weights must be downloaded; gives what was asked for, in order."""
    asked = []

    def load(name, *, weights, download):
        if name != DEFAULT:  # which loads beside the first page
            asked.append((name, weights, download))
        if name in (SMALL, OTHER):
            if weights is None and not download:
                raise WeightsMissing(name, source="https://weights.example/small", path=Path("small.pth"), reason="nothing was fetched")
            return small_network(name, weights or "trained")
        return sevis.load(name, weights=weights, download=download)

    monkeypatch.setattr(loading, "load", load)
    return asked
