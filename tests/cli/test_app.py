"""`sevis app`: what it hands on to Streamlit."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sevis.cli import app
from sevis.cli.parser import main
from tests.helpers.paths import ROOT

CONFIG = ROOT / ".streamlit" / "config.toml"


def _shown(folder: Path, **environment: str) -> dict[str, object]:
    """What Streamlit says that its settings are, of those that are not its own defaults."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")}
    words = [sys.executable, "-m", "streamlit", "config", "show"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=folder, env={**clean, "HOME": str(folder), **environment})
    return tomllib.loads("\n".join(line for line in done.stdout.splitlines() if not line.lstrip().startswith(("#", "~"))))


def test_from_anywhere_streamlit_has_the_settings_of_a_checkout(tmp_path: Path) -> None:
    shown = _shown(tmp_path, **app.streamlit_variables())
    sizes = shown["theme"]["headingFontSizes"]
    shown["theme"]["headingFontSizes"] = json.loads(sizes)  # as Streamlit reads it from a variable
    expected = _shown(ROOT)
    assert shown == expected != _shown(tmp_path)
    assert expected["theme"]["headingFontSizes"] == tomllib.loads(CONFIG.read_text())["theme"]["headingFontSizes"]


def test_the_words_for_streamlit(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(app.runpy, "run_module", lambda name, **_: started.append([name, *sys.argv[1:]]))
    monkeypatch.setattr(sys, "argv", [])
    for variable in app.ADDRESS | app.streamlit_variables():
        monkeypatch.setenv(variable, "said by the operator")
    assert main(["app", "--port", "8600", "--host", "127.0.0.1", "--", "--server.headless=true", "--server.maxUploadSize=5"]) == 0
    script = str(ROOT / "sevis" / "pages" / "app.py")
    address = ["--server.port=8600", "--server.address=127.0.0.1"]
    assert started.pop() == ["streamlit", "run", script, *address, "--server.headless=true", "--server.maxUploadSize=5"]
    assert {os.environ[variable] for variable in app.streamlit_variables()} == {"said by the operator"}
    assert main(["app"]) == 0
    assert started == [["streamlit", "run", script]]


def test_without_a_host_only_this_computer_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.runpy, "run_module", lambda *_, **__: None)
    monkeypatch.setattr(sys, "argv", [])
    for said, expected in (({}, "127.0.0.1"), ({"STREAMLIT_SERVER_ADDRESS": "::"}, "::")):
        monkeypatch.setattr(os, "environ", {**os.environ, **said})
        assert main(["app"]) == 0
        assert os.environ["STREAMLIT_SERVER_ADDRESS"] == expected
