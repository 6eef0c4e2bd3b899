"""Runs that were cut off go on as if nothing had been, and nothing of another run is taken for one's own."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from sevis import SevisError
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.experiments import resume as module
from sevis.experiments.collection import CollectOptions, collect_dataset
from sevis.weights.loading import ReadyModel, make_ready
from tests.helpers.cards import make_card
from tests.helpers.paths import ROOT
from tests.helpers.pictures import open_colours, write_colours

OPTIONS = CollectOptions(batch_size=4, save_every=0, progress=False)


@pytest.fixture(scope="module")
def colours(tmp_path_factory) -> Path:
    """120 validation images, one of them broken."""
    folder = write_colours(tmp_path_factory.mktemp("data"), val=40)
    (folder / "val" / "green" / "7.png").write_bytes(b"no picture")
    return folder


@pytest.fixture
def ready(network: nn.Module) -> ReadyModel:
    return make_ready(make_card(classes=("blue", "green", "red", "x", "y")), network, device="cpu")


def cut_off(ready: ReadyModel, colours: Path, out: Path, *, after: int, **changes: object) -> None:
    """Collects, and fails in the batch after so many."""
    calls = []

    def fail(*_: object) -> None:
        calls.append(1)
        if len(calls) > after:
            raise RuntimeError("cut off")

    handle = ready.model.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="cut off"):
        collect_dataset(ready, open_colours(colours)[1], options=replace(OPTIONS, out=out, **changes))
    handle.remove()


@pytest.mark.parametrize("after", [1, 17, 29])
def test_a_resumed_run_writes_the_file_of_an_uninterrupted_one(ready: ReadyModel, colours: Path, tmp_path: Path, after: int) -> None:
    dataset = open_colours(colours)[1]
    whole, resumed = tmp_path / "whole.safetensors", tmp_path / "resumed.safetensors"
    collect_dataset(ready, dataset, options=replace(OPTIONS, out=whole))
    cut_off(ready, colours, resumed, after=after)
    assert [path.name for path in tmp_path.glob("resumed*")] == ["resumed.safetensors.partial"]
    calls = []
    handle = ready.model.register_forward_pre_hook(lambda *_: calls.append(1))
    collect_dataset(ready, dataset, options=replace(OPTIONS, out=resumed, resume=True, workers=1))
    handle.remove()
    assert 30 - after <= len(calls) < 30, "only what was missing is computed"
    assert resumed.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resumed.safetensors", "whole.safetensors"]


def test_the_day_is_that_of_the_beginning(ready: ReadyModel, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.safetensors"
    from sevis.experiments import collection

    told = collection.provenance
    monkeypatch.setattr(collection, "provenance", lambda *args, **kwargs: told(*args, **kwargs) | {"date": "2001-02-03"})
    cut_off(ready, colours, out, after=5)
    monkeypatch.undo()
    statistics = collect_dataset(ready, open_colours(colours)[1], options=replace(OPTIONS, out=out, resume=True))
    assert statistics.metadata["date"] == ClassStatistics.load(out).metadata["date"] == "2001-02-03"


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"batch_size": 8}, "batch size"),
        ({"bf16": True}, "precision"),
        ({"channels_last": True, "seed": 3}, "seed, channels last"),
        ({"sample": 3}, "sample"),
    ],
)
def test_other_options_are_refused(ready: ReadyModel, colours: Path, tmp_path: Path, changes: dict[str, object], differs: str) -> None:
    out = tmp_path / "out.safetensors"
    cut_off(ready, colours, out, after=3)
    before = (tmp_path / "out.safetensors.partial").read_bytes()
    with pytest.raises(
        SevisError, match=rf"partial belongs to another run, which differs in {differs}: repeat the command .* or delete the file"
    ):
        collect_dataset(ready, open_colours(colours)[1], options=replace(OPTIONS, out=out, resume=True, **changes))
    assert (tmp_path / "out.safetensors.partial").read_bytes() == before


def test_other_data_and_other_weights_are_refused(ready: ReadyModel, tmp_path: Path) -> None:
    colours, out = write_colours(tmp_path / "data", val=8), tmp_path / "out.safetensors"
    cut_off(ready, colours, out, after=3)
    other = replace(ready, card=make_card(classes=ready.classes, sha256="1" * 64))
    with pytest.raises(SevisError, match="differs in weights"):
        collect_dataset(other, open_colours(colours)[1], options=replace(OPTIONS, out=out, resume=True))
    with (colours / "val" / "red" / "0.png").open("ab") as file:
        file.write(b"more")
    with pytest.raises(SevisError, match="differs in images or their sizes: repeat"):
        collect_dataset(ready, open_colours(colours)[1], options=replace(OPTIONS, out=out, resume=True))


def test_what_is_left_is_never_overwritten_unasked(ready: ReadyModel, colours: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    cut_off(ready, colours, out, after=3)
    before = (tmp_path / "out.safetensors.partial").read_bytes()
    with pytest.raises(SevisError, match=r"out\.safetensors\.partial is left from a run .*: continue it with --resume, or delete the file"):
        collect_dataset(ready, open_colours(colours)[1], options=replace(OPTIONS, out=out))
    assert (tmp_path / "out.safetensors.partial").read_bytes() == before


def test_nothing_to_resume_from_is_a_beginning(ready: ReadyModel, colours: Path, tmp_path: Path) -> None:
    statistics = collect_dataset(ready, open_colours(colours)[1], options=replace(OPTIONS, out=tmp_path / "new" / "out", resume=True))
    assert ClassStatistics.load(tmp_path / "new" / "out").count.tolist() == statistics.count.tolist()


def test_a_damaged_one_is_refused(ready: ReadyModel, colours: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    cut_off(ready, colours, out, after=3)
    partial = tmp_path / "out.safetensors.partial"
    partial.write_bytes(partial.read_bytes()[:-100])
    with pytest.raises(SevisError, match=r"partial cannot be read \(.*\): delete it to start again"):
        collect_dataset(ready, open_colours(colours)[1], options=replace(OPTIONS, out=out, resume=True))
    collect_dataset(ready, open_colours(colours)[1], options=replace(OPTIONS, out=partial, save_every=1e9))  # finished statistics
    partial.rename(tmp_path / "other.partial")
    with pytest.raises(SevisError, match="delete it to start again"):
        collect_dataset(ready, open_colours(colours)[1], options=replace(OPTIONS, out=tmp_path / "other", resume=True))


def test_a_full_disk_stops_no_collection_until_its_end(
    ready: ReadyModel, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    save = ClassStatistics.save
    monkeypatch.setattr(ClassStatistics, "save", lambda self, path, **_: full() if path.suffix == ".partial" else save(self, path))
    statistics = collect_dataset(ready, open_colours(colours)[1], options=replace(OPTIONS, out=tmp_path / "out"))
    assert "out.partial cannot be written ([Errno 28] No space left on device): the collection continues" in capsys.readouterr().err
    assert ClassStatistics.load(tmp_path / "out").count.tolist() == statistics.count.tolist()


def test_saving_takes_little_of_the_time(ready: ReadyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, saved = [0.0], []
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    partial = module.PartialFile(tmp_path / "out", {}, module.Shard(), every=60, say=print)
    statistics = ClassStatistics({"SE_2_1": 2}, ("a",))

    def save(_: object, __: object) -> None:
        saved.append(now[0])
        now[0] += 10  # a slow disk

    monkeypatch.setattr(ClassStatistics, "save", save)
    for _ in range(500):
        now[0] += 1
        if partial.due:
            partial.keep(statistics)
    assert saved == [60, 60 + 10 + 200, 270 + 10 + 200], "ten seconds are 5 % of 200"


@pytest.mark.slow
def test_kill_9_and_resume(colours: Path, tmp_path: Path) -> None:
    words = ["collect", "--data", str(colours), "--batch-size", "2", "--save-every", "0", "--workers", "1"]
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    settings.pop("SEVIS_DATA", None)

    def start(out: str, *more: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "sevis", *words, "--out", str(tmp_path / out), *more]
        return subprocess.Popen(command, env=settings, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    killed = start("resumed")
    deadline = time.monotonic() + 120
    while not (tmp_path / "resumed.partial").exists() and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "resumed").exists(), "it was to be killed on its way"
    done = ClassStatistics.load(tmp_path / "resumed.partial").count.sum()
    assert 0 < done < 120
    for process in (start("resumed", "--resume"), start("whole")):
        told, errors = process.communicate()
        assert process.returncode == 0, errors
        assert "119 images of 3 classes; left out, because they cannot be read: val/green/7.png" in told
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "whole").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resumed", "whole"]
