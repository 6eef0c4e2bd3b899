"""Caches, and a folder of pretrained networks, of each test's own."""

from pathlib import Path

import pytest
from huggingface_hub import constants

from tests.helpers.shelves import write_small_shelf


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches, and the folder of PyTorch's; nothing is reached."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pretrained folder with one small network."""
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    write_small_shelf(tmp_path)
    return tmp_path
