"""The wheel: what it carries, and that it works elsewhere, with the sources gone and nothing written into what is installed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest
import torch

import sevis
from sevis.data.image_formats import read_image
from sevis.files import sha256
from tests.helpers.browser import wait_for
from tests.helpers.paths import ROOT
from tests.helpers.pictures import write_colours

pytestmark = pytest.mark.slow
pytest.importorskip("setuptools", "77", reason="setuptools builds the wheel: pip install -r requirements.txt")
SOURCES = ("sevis", "pretrained", ".streamlit", "pyproject.toml", "README.md", "LICENSE")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the sources, which is deleted; without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, folder / "sources" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, folder / "sources" / name)
    words = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(folder / "sources")]
    subprocess.run([*PIP, *words], check=True, cwd=folder)
    shutil.rmtree(folder / "sources")
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the installed package, which no test changes."""
    target = tmp_path_factory.mktemp("installed")
    subprocess.run([*PIP, "install", "--no-deps", "--no-compile", "--target", str(target), str(wheel)], check=True)
    before = _hashes(target)
    yield target
    assert _hashes(target) == before


def _hashes(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256(path) for path in folder.rglob("*") if path.is_file()}


def _environment(installed: Path) -> dict[str, str]:
    """Of a Python that finds the installed package before all others, and writes no bytecode beside it."""
    return {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _run(installed: Path, folder: Path, *words: str) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, cwd=folder, env=_environment(installed))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_carries_the_whole_package_and_what_ships(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if name.startswith("sevis/")}
        metadata = archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA"))).decode()
    package = {path for path in (ROOT / "sevis").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    expected = {path.relative_to(ROOT).as_posix() for path in package}
    expected |= {f"sevis/pretrained/{path.name}" for path in (ROOT / "pretrained").iterdir()}
    assert inside == expected | {"sevis/streamlit/config.toml"}
    for extra in ("app", "zoo", "stats", "export", "all"):
        assert f"Provides-Extra: {extra}\n" in metadata


def test_the_library_and_the_command_line_work_elsewhere(installed: Path, tmp_path: Path, home: Path) -> None:
    photo = next((write_colours(tmp_path / "data") / "val").rglob("*.png"))
    program = f"""
import sevis, torch
from pathlib import Path
from sevis.cli.parser import main
from sevis.data.image_formats import read_image
assert Path(sevis.__file__).is_relative_to({str(installed)!r}), sevis.__file__
ready = sevis.load(device="cpu")
with sevis.capture(ready.model) as record:
    logits = ready.model(torch.from_numpy(ready.preprocess(read_image(Path({str(photo)!r}).read_bytes())))[None])
torch.save((logits, record["SE_4_6"].scale), "out.pt")
assert not Path({str(home)!r}).exists()
weights = Path(ready.card.path)
assert main(["add", "mine", "--network", "se_resnet50x0_5.tiny200", "--weights", str(weights)]) == 0
assert main(["models"]) == 0
assert sevis.load("mine").card.path == Path({str(home)!r}) / "mine.safetensors"
"""
    listed = _run(installed, tmp_path, "-c", program)
    assert "mine: 200 classes" in listed
    ready = sevis.load(device="cpu")
    with sevis.capture(ready.model) as record:
        logits = ready.model(torch.from_numpy(ready.preprocess(read_image(photo.read_bytes())))[None])
    for found, expected in zip(torch.load(tmp_path / "out.pt"), (logits, record["SE_4_6"].scale), strict=True):
        torch.testing.assert_close(found, expected)
    assert "SE_5_3" in _run(installed, tmp_path, "-m", "sevis", "explain", str(photo), "--model", "mine")
    assert "SE_5_3" in _run(installed, tmp_path, str(installed / "bin" / "sevis"), "explain", str(photo))  # the script, the default network


def test_the_app_starts_from_anywhere_and_its_first_page_runs(installed: Path, tmp_path: Path, home: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "sevis", "app", "--port", str(port), "--host", "127.0.0.1", "--", "--server.headless=true"]
    log = tmp_path / "log.txt"
    with log.open("wb") as output:
        app = subprocess.Popen([sys.executable, *words], cwd=tmp_path, stdout=output, stderr=output, env=_environment(installed))
    try:
        wait_for(f"http://127.0.0.1:{port}/_stcore/health", app, log)
        app.send_signal(signal.SIGINT)
        assert app.wait(timeout=60) == 0
    finally:
        app.kill()
    assert "Traceback" not in log.read_text()
    program = f"""
from streamlit.testing.v1 import AppTest
page = AppTest.from_file({str(installed / "sevis" / "pages" / "app.py")!r}, default_timeout=300).run()
assert not page.exception and not page.error, (page.exception, page.error)
assert page.get("plotly_chart")
"""
    _run(installed, tmp_path, "-W", "ignore", "-c", program)
    assert not home.exists()
