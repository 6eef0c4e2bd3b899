"""What several rooms' tests share."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from torch import nn

# Before torch is imported, which only the workers do: one thread each, for there are as many workers as cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_collection_finish() -> None:
    """Spares the garbage collector, which Streamlit calls after every run of a page, what the imports have left."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def session_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keeps what fixtures of many tests, such as a server, may write out of the home of whoever runs the tests."""
    os.environ["SEVIS_HOME"] = str(tmp_path_factory.mktemp("session") / "home")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which sevis keeps what a test writes; it is not there yet."""
    monkeypatch.setenv("SEVIS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def network() -> nn.Module:
    """A small SE-ResNet-18 in evaluation mode, whose norms are no identities: 8 SE blocks of 8 to 64 channels."""
    import torch

    import sevis
    from tests.helpers.networks import stir

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = sevis.build("se_resnet18", num_classes=5, width=0.125, reduction=4)
        return stir(model).eval()


@pytest.fixture
def tiny_imagenet_zip() -> Path:
    """The real data set; where it is not, the test is skipped."""
    place = Path(os.environ.get("SEVIS_DATA") or Path(__file__).resolve().parent.parent.parent / "shared" / "data")
    path = place / "tiny-imagenet-200.zip"
    if not path.is_file():
        pytest.skip("tiny-imagenet-200.zip is not there: set SEVIS_DATA to its folder")
    return path


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches and an empty pretrained folder; nothing can be reached."""
    from sevis.data import downloads

    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "index.json").write_text("{}")
    for name, value in (("SEVIS_PRETRAINED", "shelf"), ("SEVIS_DATA", "data"), ("TORCH_HOME", "torch"), ("HF_HOME", "hf")):
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setattr(downloads, "urlopen", None)  # a download would end in a TypeError
    return tmp_path
