"""The panel "Is the gate dynamic?" in Streamlit's AppTest."""

import json

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from sevis.analysis.audit import ALL
from tests.helpers.audits import audit_of
from tests.helpers.cards import ENTRY, make_card
from tests.helpers.charts import charts

HASH = "f0" * 32


def panel(folder, weights, shipped):
    from sevis.pages.what_if.audit import show_audit
    from tests.helpers.cards import make_card

    show_audit(make_card("small" if shipped else "efficientnet_b0", sha256=folder, weights=weights, shipped=shipped))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    (tmp_path / "index.json").write_text(json.dumps({"small": ENTRY | {"sha256": HASH}}))
    st.cache_resource.clear()
    return tmp_path


def make(weights=HASH):
    frozen = {"SE_2_1": (0, 4), "SE_3_1": (29, 4), "SE_3": (30, 6), ALL: (60, 4)}
    return audit_of(frozen, images=500, correct=400, weights=weights)


def run(sha256=HASH, weights=None, *, shipped=True):
    return AppTest.from_function(panel, args=(sha256, weights, shipped), default_timeout=60).run()


def test_the_panel_draws_the_stored_audit(folder):
    make().save(folder / "small.audit.json")
    page = run()
    assert not page.exception
    assert not page.error
    assert page.header[0].value == "Is the gate dynamic?"
    chart = charts(page)[0]
    assert chart["layout"]["yaxis"]["ticktext"] == ["open", "level", "frozen", "as it is", "shuffled"]
    assert chart["layout"]["yaxis2"]["ticktext"] == ["SE_2_1", "SE_3_1", "all of SE_3"]
    text = " ".join(part.value for part in page.markdown)
    for sentence in ("costs top-1: SE_3_1 −5.0 points", "from 10.0 % to 3.0 %", "The paper leaves these blocks out: its top-5"):
        assert sentence in text
    assert "500 photos of 5 classes" in page.caption[-1].value
    assert len(page.get("download_button")) == 1
    table = page.table[0].value
    assert list(table["scale s"])[:2] == ["open: 1", "level: one number a block"]
    assert len(table) == 10


def test_without_an_audit_it_says_how_to_make_one(folder):
    page = run()
    assert not page.exception
    assert not page.get("plotly_chart")
    assert page.code[0].value == "python -m sevis audit --model small --data FOLDER"
    assert page.code[0].proto.wrap_lines
    assert "There is no audit of this network yet." in page.info[0].value


def test_for_random_weights_the_command_says_so(folder):
    page = run(weights="random", shipped=False)
    assert page.code[0].value == "python -m sevis audit --model efficientnet_b0 --weights random --data FOLDER"


def test_it_finds_the_audit_of_a_network_that_is_not_shipped(folder):
    card = make_card("efficientnet_b0", sha256=HASH, shipped=False)
    make().save(card.audit_path)
    assert card.audit_path.is_relative_to(folder / "home")
    assert run(shipped=False).get("plotly_chart")
    assert not run(sha256="00" * 32, shipped=False).get("plotly_chart")  # other weights, another file


def test_an_audit_of_other_weights_is_not_shown(folder):
    make(weights="ab" * 32).save(folder / "small.audit.json")
    page = run()
    assert not page.exception
    assert not page.get("plotly_chart")
    assert "belongs to weights abababababab of small, not to f0f0f0f0f0f0" in page.error[0].value


def test_a_damaged_audit_is_a_sentence(folder):
    (folder / "small.audit.json").write_text("{")
    page = run()
    assert not page.exception
    assert "cannot be used" in page.error[0].value


def test_an_audit_of_an_older_sevis_is_a_sentence(folder):
    (folder / "small.audit.json").write_text('{"format": "sevis-audit-1", "parameters": {}, "rows": [], "metadata": {}}')
    page = run()
    assert not page.exception
    assert not page.get("plotly_chart")
    assert "is of an older sevis" in page.error[0].value
    assert "make it again with python -m sevis audit" in page.error[0].value
