"""The command that says where data is."""

from pathlib import Path

from tests.helpers.processes import run_sevis


def test_data_says_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "tiny-imagenet-200.zip").touch()
    assert str(tmp_path) in run_sevis("data", SEVIS_DATA=str(tmp_path)).stdout
    assert "not found" in run_sevis("data", SEVIS_DATA=str(tmp_path / "elsewhere")).stdout
