"""A folder as `pretrained/` for the views that are of classes which lie the further apart the deeper the block."""

import json

import pytest

from sevis.weights.card import DEFAULT
from tests.helpers.cards import ENTRY
from tests.helpers.class_pages import CLASSES, growing_scales, view_statistics


@pytest.fixture
def scales():
    return growing_scales(0)


@pytest.fixture
def folder(tmp_path, monkeypatch, scales):
    """A folder as `pretrained/`, with the statistics of the default network; beside it an empty place for data."""
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path / "shipped"))
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "cache"))
    (tmp_path / "shipped").mkdir()
    (tmp_path / "cache").mkdir()
    index = {DEFAULT: ENTRY | {"sha256": "a1b2c3d4e5", "classes": CLASSES}}
    (tmp_path / "shipped" / "index.json").write_text(json.dumps(index))
    view_statistics(scales, model=DEFAULT, weights="a1b2c3d4e5").save(tmp_path / "shipped" / f"{DEFAULT}.statistics.safetensors")
    return tmp_path
