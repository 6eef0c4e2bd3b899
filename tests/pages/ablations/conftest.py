"""What the tests of the page Ablations share."""

import json

import pytest
import streamlit as st

from sevis.ablations.results import Ablations
from sevis.pages.ablations import live_training, train_now
from tests.helpers.ablation_page import FEW, INDEX
from tests.helpers.made_up_runs import make_grid
from tests.helpers.pages import PATIENCE


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder with made-up results in place of pretrained/, and a few digits to train on."""
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    (tmp_path / "index.json").write_text(json.dumps(INDEX))
    Ablations(make_grid(3)).save(tmp_path / "ablations.json")
    monkeypatch.setattr(train_now, "find_trial_data", lambda: FEW)
    monkeypatch.setattr(live_training, "ALONE", PATIENCE)  # a page may take long on a busy machine
    st.cache_resource.clear()
    st.cache_data.clear()
    return tmp_path
