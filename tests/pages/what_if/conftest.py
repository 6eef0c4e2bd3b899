"""A folder of networks for the page What if?, and what a test may read of it."""

import shutil

import pytest
import streamlit as st

import sevis
from sevis.weights.card import DEFAULT
from tests.helpers.shelves import write_shelf
from tests.helpers.what_if_page import CLASSES, make_statistics


@pytest.fixture(scope="session")
def shelf(tmp_path_factory):
    """A folder as `pretrained/` with a small network under the default's name, and made-up class statistics of it."""
    folder = tmp_path_factory.mktemp("pretrained")
    model, sha256 = write_shelf(folder, CLASSES)
    make_statistics(model, {"weights": sha256, "data": "made up"}).save(folder / f"{DEFAULT}.statistics.safetensors")
    return folder


@pytest.fixture
def folder(shelf, tmp_path, monkeypatch):
    """A copy of the shelf that a test may damage; the pages start without anything kept."""
    copied = tmp_path / "pretrained"
    shutil.copytree(shelf, copied)
    monkeypatch.setenv("SEVIS_PRETRAINED", str(copied))
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "no-data"))
    monkeypatch.delenv("SEVIS_FORWARDS", raising=False)
    st.cache_resource.clear()
    st.cache_data.clear()
    return copied


@pytest.fixture
def ready(folder):
    return sevis.load(DEFAULT)


@pytest.fixture
def means(folder):
    return sevis.ClassStatistics.load(folder / f"{DEFAULT}.statistics.safetensors")
