"""Several processes that torchrun starts give the numbers of one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.cli import main
from sevis.distributed import Shard, joined
from tests.helpers.paths import ROOT
from tests.helpers.pictures import write_colours


@pytest.fixture(scope="module")
def colours(tmp_path_factory) -> Path:
    """127 images, one of them broken: in batches of 8 the last one is short, and the shards are uneven."""
    folder = write_colours(tmp_path_factory.mktemp("data"), train=1, val=42)
    (folder / "val" / "green" / "99.png").write_bytes(b"no picture")
    return folder


def collect(out: Path, data: Path, *words: str, processes: int = 1, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", **environment}
    start = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--standalone"] if processes > 1 else []
    command = [sys.executable, *start, "-m", "sevis", "collect", "--data", str(data), "--batch-size", "8", "--out", str(out), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=settings, cwd=ROOT, timeout=300)


@pytest.fixture(scope="module")
def alone(colours: Path, tmp_path_factory) -> ClassStatistics:
    out = tmp_path_factory.mktemp("alone") / "out"
    assert main(["collect", "--data", str(colours), "--batch-size", "8", "--out", str(out)]) == 0
    return ClassStatistics.load(out)


def assert_same(found: ClassStatistics, expected: ClassStatistics) -> None:
    assert found.metadata == expected.metadata
    np.testing.assert_array_equal(found.count, expected.count)
    for site in expected.sites:
        for quantity in ("squeeze", "scale"):
            for part in ("mean", "std", "min", "max"):
                one, other = (getattr(statistics, part)(site, quantity) for statistics in (found, expected))
                np.testing.assert_allclose(one, other, rtol=0, atol=1e-9 if part in ("mean", "std") else 0)
        for part in ("histogram", "extremes", "sample"):
            one, other = (vars(getattr(statistics, part)(site)) for statistics in (found, expected))
            for name, values in other.items():
                np.testing.assert_array_equal(one[name], values, err_msg=f"{site} {part} {name}")


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_many_processes_give_the_numbers_of_one(colours: Path, tmp_path: Path, alone: ClassStatistics, processes: int) -> None:
    out = tmp_path / "new folder" / "out"
    result = collect(out, colours, processes=processes)
    assert result.returncode == 0, result.stderr
    assert alone.count.tolist() == [42, 42, 42]
    assert_same(ClassStatistics.load(out), alone)
    assert result.stdout.splitlines() == [f"{out}: 126 images of 3 classes; left out, because they cannot be read: val/green/99.png"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


@pytest.mark.slow
def test_each_process_resumes_its_own_part(colours: Path, tmp_path: Path, alone: ClassStatistics) -> None:
    out = tmp_path / "out"
    program = (
        "import sys; from sevis.experiments.resume import PartialFile; from sevis.cli import main; keep = PartialFile.keep\n"
        "def fail(self, statistics, **state):\n"
        "    keep(self, statistics, **state)\n"
        "    if state['batches'] == 3: import os; os.kill(os.getpid(), 9)\n"
        "PartialFile.keep, PartialFile.due = fail, True; sys.exit(main(sys.argv[1:]))"
    )
    (tmp_path / "killed.py").write_text(program)
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = ["collect", "--data", str(colours), "--batch-size", "8", "--out", str(out), "--save-every", "0"]
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", str(tmp_path / "killed.py")]
    killed = subprocess.run([*start, *words], capture_output=True, text=True, check=False, env=settings, cwd=ROOT, timeout=300)
    assert killed.returncode != 0
    left = sorted(path.name for path in tmp_path.glob("out*"))
    assert left in (["out.partial-1-of-2", "out.partial-2-of-2"], ["out.partial-1-of-2"], ["out.partial-2-of-2"])
    refused = collect(out, colours, "--resume")
    assert refused.returncode == 2
    assert "of-2 is left from a run whose number of processes was not 1: start as many as then" in refused.stderr
    resumed = collect(out, colours, "--resume", processes=2)
    assert resumed.returncode == 0, resumed.stderr
    assert_same(ClassStatistics.load(out), alone)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed.py", "out"]


@pytest.mark.slow
def test_more_processes_than_batches(tmp_path: Path) -> None:
    colours = write_colours(tmp_path / "data", train=1, val=1)
    results = [collect(tmp_path / f"out{processes}", colours, processes=processes) for processes in (1, 3)]
    assert [result.returncode for result in results] == [0, 0], results[1].stderr
    assert_same(*(ClassStatistics.load(tmp_path / f"out{processes}") for processes in (3, 1)))


@pytest.mark.slow
def test_a_mistake_ends_all_processes_with_its_sentence(colours: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "cat").mkdir(parents=True)
    for number in range(40):
        (tmp_path / "data" / "cat" / f"{number}.png").write_bytes(b"no picture")
    result = collect(tmp_path / "out", tmp_path / "data", processes=2)
    assert result.returncode != 0
    assert "images cannot be read, but at most 10 may be unreadable: repair or remove them; the first is cat/" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_processes_that_would_not_collect_the_same_are_refused_at_once(colours: Path, tmp_path: Path) -> None:
    program = (
        "import os, sys; from sevis.cli import main; sys.exit(main([*sys.argv[1:], '--batch-size', str(8 + int(os.environ['RANK']))]))"
    )
    (tmp_path / "differing.py").write_text(program)
    words = ["collect", "--data", str(colours), "--out", str(tmp_path / "out")]
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", str(tmp_path / "differing.py")]
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    result = subprocess.run([*start, *words], capture_output=True, text=True, check=False, env=settings, cwd=ROOT, timeout=300)
    assert result.returncode != 0
    assert "the 2 processes differ in batch size: start all with the same command and data" in result.stderr
    assert not (tmp_path / "out").exists()


def test_shards_hold_every_batch_once() -> None:
    for world in (1, 2, 3, 7):
        numbers = [number for rank in range(world) for number in Shard(rank, world).numbers(11)]
        assert sorted(numbers) == list(range(11))


def test_a_process_alone_has_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with joined() as shard:
        assert shard == Shard(0, 1)
        shard.meet()
    for name, value in (("TORCHELASTIC_RUN_ID", "none"), ("WORLD_SIZE", "1"), ("RANK", "0"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    with joined() as shard:
        assert shard == Shard(0, 1)
