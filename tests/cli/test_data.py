"""The command that says where data is."""

from pathlib import Path

import pytest

from sevis.cli import main


def test_data_says_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny-imagenet-200.zip").touch()
    for place, told in ((tmp_path, str(tmp_path)), (tmp_path / "elsewhere", "not found")):
        monkeypatch.setenv("SEVIS_DATA", str(place))
        assert main(["data"]) == 0
        assert told in capsys.readouterr().out
