"""What the tests of the commands share."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

from sevis.cli import main
from tests.helpers.networks import stir


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo <b>.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, nn.Module]:
    """A file of weights of mobilenetv3_small_050 with three classes, and the network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = stir(timm.create_model("mobilenetv3_small_050", num_classes=3)).eval()
    torch.save({"state_dict": model.state_dict()}, tmp_path / "mine.pth")
    return tmp_path / "mine.pth", model


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., CompletedProcess[str]]:
    """Calls a command in this process, with these environment variables; returns what `run_sevis` would."""

    def called(*words: object, **environment: str) -> CompletedProcess[str]:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            capsys.readouterr()
            try:
                code = main([str(word) for word in words])
            except SystemExit as exit:  # argparse's own
                code = int(exit.code or 0)
        told = capsys.readouterr()
        return CompletedProcess(list(words), code, told.out, told.err)

    return called
