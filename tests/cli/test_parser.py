"""The command line: help everywhere, and one line with exit code 2 for a user's mistake, in a process of its own, too."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sevis.cli import parser
from sevis.cli.parser import main
from tests.helpers.paths import ROOT
from tests.helpers.pictures import write_colours
from tests.helpers.processes import run_sevis

Call = Callable[..., subprocess.CompletedProcess[str]]


def test_help_everywhere(call: Call) -> None:
    top = run_sevis("--help")
    assert top.returncode == 0
    assert call("--help").stdout == top.stdout
    for command in ("models", "costs", "data", "train", "collect", "explain", "figure6", "export", "report"):
        assert command in top.stdout
        result = call(command, "--help")
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith(f"usage: sevis {command}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "COMMAND"),
        (["sing"], "sing"),
        (["train", "--epochs", "many"], "--epochs"),
        (["train", "--epochs", "0"], "expected epochs between 1 and 10000, got 0"),
        (["train", "se_resnet51", "--data", "{data}"], "se_resnet50"),
        (["train", "--data", "{tmp}/nothing"], "there is no data at"),
        (["train", "--data", "{data}", "--classes", "red,purple"], "no class 'purple'"),
        (["train", "--evaluate", "se_resnet50x0_5.tiny2"], "se_resnet50x0_5.tiny20"),
        (["explain", "{tmp}/nothing.png"], "No such file"),
        (["explain", "{tmp}/text.png"], "not a picture"),
        (["train", "se_resnet18", "--stem", "big", "--data", "{data}"], "unknown stem 'big'"),
        (["train", "--width", "nan"], "expected width between 0.015625 and 16, got nan"),
        (["train", "--data", "{data}", "--classes", "{photo}"], "is not a text file: expected a file with one class on each line"),
        (["train", "--data", "{data}", "--classes", ","], "expected at least one class"),
        (["train", "--data", "{tmp}/nothing", "--publish", "../mine"], "a network cannot be called '../mine'"),
        (["train", "--data", "{tmp}/nothing", "--publish", ""], "a network cannot be called ''"),
        (["collect", "--batch-size", "0", "--out", "{tmp}/out"], "--batch-size: expected a whole number from 1 on, got '0'"),
        (["collect", "--batch-size", "many", "--out", "{tmp}/out"], "--batch-size: expected a whole number from 1 on, got 'many'"),
        (["collect", "--workers", "-1", "--out", "{tmp}/out"], "--workers: expected a whole number from 0 on, got '-1'"),
        (["explain", "{tmp}"], "directory"),
        (["explain", "/dev/zero"], "/dev/zero is a directory or a device"),
        (["explain", "{tmp}/long.png"], "at most 20 MB are read"),
        (["explain", "{photo}", "--model", "resnet"], "no weights called 'resnet'"),
        (["explain", "{photo}", "--weights", "{tmp}/gone.pth"], "no file of weights at"),
        (["sites", "{tmp}/text.png"], "no weights called"),
        (["add", "../mine", "--weights", "{tmp}/gone.pth"], "a network cannot be called"),
        (["train", "--evaluate", "mine", "--publish", "x", "--classes", "a,b"], "trains nothing: leave --publish and --classes out"),
        (["collect", "--data", "{tmp}/empty", "--out", "{tmp}/out.safetensors"], "no images in"),
        (["figure6", "--classes", "unicorn", "--out", "{tmp}/out.html"], "no class 'unicorn'"),
        (["figure6", "--out", "{tmp}/out.docx"], ".html"),
        (["figure6", "--blocks", "SE_9_9", "--out", "{tmp}/out.html"], "SE_9_9"),
        (["figure6", "--statistics", "{tmp}/text.png", "--out", "{tmp}/out.html"], "damaged"),
        (["figure6", "--statistics", "{tmp}/gone", "--out", "{tmp}/out.html"], "no class statistics at"),
        (["collect", "--save-every", "soon", "--out", "{tmp}/out"], "--save-every: expected seconds from 0 on, got 'soon'"),
        (["collect", "--save-every", "-1", "--out", "{tmp}/out"], "--save-every: expected seconds from 0 on, got '-1'"),
        (["collect", "--data", "{data}", "--out", "{tmp}/data"], "is a directory: name the file to write"),
        (["collect", "--data", "{data}", "--classes", "red,purple", "--out", "{tmp}/out"], "no class 'purple'"),
        (
            ["collect", "--data", "{data}", "--labels", "{tmp}/gone", "--out", "{tmp}/out"],
            "gone cannot be read (No such file or directory)",
        ),
        (["export", "{tmp}/gone", "--out", "{tmp}/out.csv"], "no class statistics at"),
        (["export", "--out", "{tmp}/out.xlsx"], "expected a file that ends in .csv, .parquet, .npz, got 'out.xlsx'"),
        (["report", "{tmp}/text.png", "--out", "{tmp}/out.html"], "damaged"),
        (["report", "--out", "{tmp}/out.html", "--other", "{tmp}/gone"], "no class statistics at"),
        (["costs"], "expected the name of a network, such as se_resnet50, or --paper"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path, photo: Path, call: Call, words: list[str], message: str) -> None:
    (tmp_path / "text.png").write_text("this is no picture")
    (tmp_path / "empty").mkdir()
    with (tmp_path / "long.png").open("wb") as file:
        file.truncate(2**36)  # a sparse file: more than fits into memory, and nothing on the disk
    write_colours(tmp_path / "data", train=1, val=1)
    before = sorted(tmp_path.iterdir())
    result = call(*(word.format(tmp=tmp_path, data=tmp_path / "data", photo=photo) for word in words))
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert message in result.stderr
    assert sorted(tmp_path.iterdir()) == before  # nothing half-written


@pytest.mark.parametrize(("words", "message"), [(["sing"], "sing"), (["explain", "gone.png"], "No such file")])
def test_a_mistake_ends_a_process_with_one_line_and_exit_code_2(words: list[str], message: str) -> None:
    result = run_sevis(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert message in result.stderr


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    ],
)
def test_too_little_memory_is_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(parser, "models", fail)
    assert main(["models"]) == 2
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert told.startswith("sevis: there is not enough memory")
    error = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        main(["models"])


def test_a_pipe_that_closes_early_is_no_error() -> None:
    settings = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; from sevis.cli import main; sys.exit(main(['models']))"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=settings,
        cwd=ROOT,
    ) as process:
        process.stdout.close()
        errors = process.stderr.read().decode()
    assert "Traceback" not in errors
