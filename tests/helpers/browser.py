"""A real browser, and a server for what it shows."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.helpers.paths import ROOT

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = {"executable_path": BROWSER, "args": ["--no-sandbox", "--disable-gpu"]}

needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on the PATH: apt-get install chromium")


@contextmanager
def serving_pages(script: Path, log: Path, **environment: str) -> Iterator[str]:
    """Yield the address of a Streamlit script, started as the README says, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}", "--server.headless=true"]
    command += ["--server.address=127.0.0.1", "--browser.gatherUsageStats=false"]
    with log.open("wb") as output:
        app = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **environment})
    try:
        wait_for(f"http://127.0.0.1:{port}/_stcore/health", app, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        app.terminate()
        app.wait(timeout=30)
    assert "Traceback" not in log.read_text(), log.read_text()


def wait_for(address: str, app: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers; fail with its log where it ended."""
    for _ in range(600):
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, OSError):
            assert app.poll() is None, log.read_text()
            time.sleep(0.1)
    pytest.fail(f"the app did not start: {log.read_text()}")
