"""Training: a run that learns, is told of, stops, is killed, and resumes as if nothing had happened."""

import errno
import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from sevis.ablations.runs import REASON
from sevis.data.pixels import open_images
from sevis.data.preprocessing import Preprocessing
from sevis.data.sources import Folder
from sevis.errors import Diverged, SevisError
from sevis.recipe import Recipe
from sevis.training.learner import Learner
from sevis.training.run_folder import read_log
from sevis.training.training import TrainOptions, train, train_and_measure
from tests.helpers.paths import ROOT
from tests.helpers.pictures import open_colours, write_colours

SMALL = Recipe(model="se_resnet18", width=0.125, reduction=4, size=32, epochs=3, batch_size=12, learning_rate=0.05, mixup=0.2, colour=0.1)


RESUME = TrainOptions(resume=True)


@pytest.fixture(scope="module")
def colours(tmp_path_factory) -> Path:
    return write_colours(tmp_path_factory.mktemp("data"))


def test_a_small_network_learns_and_a_second_run_is_equal(colours: Path, tmp_path: Path) -> None:
    recipe = msgspec.structs.replace(SMALL, epochs=12)
    seen: list[dict[str, float]] = []
    trained = train(recipe, open_colours(colours), tmp_path / "a", options=TrainOptions(on_epoch=seen.append))
    rows = trained.rows
    assert not trained.model.training
    assert seen == rows
    assert [row["epoch"] for row in rows] == list(range(1, 13))
    assert rows[-1]["top1"] >= 0.9  # chance is 0.33
    assert read_log(tmp_path / "a") == rows
    again = train(recipe, open_colours(colours), tmp_path / "b")
    torch.testing.assert_close(again.model.state_dict(), trained.model.state_dict(), rtol=0, atol=0)


def test_the_loss_of_a_step_is_that_of_its_epoch(colours: Path, tmp_path: Path) -> None:
    told: dict[int, float] = {}
    recipe = msgspec.structs.replace(SMALL, batch_size=16)  # the last batch of 36 images has 4
    rows = train(recipe, open_colours(colours), tmp_path, options=TrainOptions(on_step=told.__setitem__)).rows
    assert list(told) == list(range(1, 10))
    for row, losses in zip(rows, np.array(list(told.values())).reshape(3, 3), strict=True):
        assert row["train_loss"] == pytest.approx(np.average(losses, weights=[16, 16, 4]), rel=1e-5)


@pytest.mark.parametrize("options", [{"bf16": True, "model": "resnet18"}, {"start_size": 16}, {"randaugment": 9}, {"ema": 0.9}])
def test_each_option_trains(colours: Path, tmp_path: Path, options) -> None:
    recipe = msgspec.structs.replace(SMALL, epochs=2, mixup=0, **options)
    trained = train(recipe, open_colours(colours), tmp_path)
    assert next(trained.model.parameters()).dtype == torch.float32
    assert math.isfinite(trained.rows[-1]["train_loss"])
    assert [row["size"] for row in trained.rows] == ([16, 24] if "start_size" in options else [32, 32])


@pytest.mark.parametrize("options", [{"ema": 0.9, "cutmix": 1.0, "mixup": 0}, {"start_size": 16, "colour": 0.2}])
@pytest.mark.parametrize("step", [3, 8])
def test_a_run_that_ends_within_an_epoch_resumes_there(colours: Path, tmp_path: Path, options, step: int) -> None:
    """Epochs of five steps, with a checkpoint after each."""
    recipe = msgspec.structs.replace(SMALL, batch_size=8, epochs=2, **options)
    data = open_colours(colours)

    def stop(number: int, _: float) -> None:
        if number == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, data, tmp_path / "stopped", options=TrainOptions(on_step=stop, save_every=0))
    state = torch.load(tmp_path / "stopped" / "checkpoint.pt", weights_only=True)
    assert (len(state["rows"]), state["step"]) == divmod(step - 1, 5)
    seen: list[int] = []
    resumed = train(recipe, data, tmp_path / "stopped", options=replace(RESUME, on_step=lambda number, _: seen.append(number)))
    assert seen == list(range(step, 11))
    whole = train(recipe, data, tmp_path / "whole")
    torch.testing.assert_close(resumed.model.state_dict(), whole.model.state_dict(), rtol=0, atol=0)
    assert [row["train_loss"] for row in resumed.rows] == pytest.approx([row["train_loss"] for row in whole.rows], rel=1e-9)


WORDS = [sys.executable, "-m", "sevis", "train", "se_resnet18", "--width", "0.125", "--reduction", "4", "--size", "32", "--batch-size", "4"]
WORDS += ["--epochs", "5", "--learning-rate", "0.05", "--ema", "0.9", "--no-bf16", "--save-every", "0"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    """With a checkpoint every 20 of an epoch's 23 steps: the same weights to the bit."""
    data = ["--data", str(write_colours(tmp_path / "data", train=30))]  # 23 steps an epoch
    whole = subprocess.run(
        [*WORDS, *data, "--folder", str(tmp_path / "whole")], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert whole.returncode == 0, whole.stderr
    folder, progress = tmp_path / "killed", set()
    for _ in range(2):
        with subprocess.Popen([*WORDS, *data, "--folder", str(folder), "--resume"], env=ENVIRONMENT, stderr=subprocess.DEVNULL) as process:
            seen = (folder / "checkpoint.pt").stat().st_mtime_ns if folder.exists() else 0
            newer = 0
            while process.poll() is None and newer < 2:
                time.sleep(0.005)
                at = (folder / "checkpoint.pt").stat().st_mtime_ns if (folder / "checkpoint.pt").exists() else seen
                newer, seen = newer + (at != seen), at
            process.send_signal(signal.SIGKILL)
        state = torch.load(folder / "checkpoint.pt", weights_only=True)
        progress.add((len(state["rows"]), state["step"]))
    assert len(progress) == 2
    assert max(progress) < (5, 0)
    again = [*WORDS, *data, "--folder", str(folder), "--resume"]
    resumed = subprocess.run(again, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert resumed.returncode == 0, resumed.stderr
    states = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "killed")]
    for part in ("model", "ema", "optimizer"):
        torch.testing.assert_close(states[1][part], states[0][part], rtol=0, atol=0)
    rows = [[{name: value for name, value in row.items() if name != "seconds"} for row in state["rows"]] for state in states]
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_two_processes_take_the_step_that_one_would_by_hand(colours: Path, tmp_path: Path) -> None:
    """Every second image each, normalised by process; the gradients of both, weighted by all images, and the sum of their losses."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "sevis"]
    words = ["--epochs", "1", "--batch-size", "35", "--momentum", "0", "--ema", "0", "--weight-decay", "0", "--warmup", "0"]
    words += ["--data", str(colours), "--folder", str(tmp_path)]
    done = subprocess.run([*torchrun, *WORDS[3:], *words], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("checkpoint and log in") == 1
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    recipe = Recipe(**state["recipe"])
    images = open_images(open_colours(colours)[0], Preprocessing(resize=32, crop=32), torch.device("cpu"))
    order = torch.from_numpy(np.random.default_rng((0, 0)).permutation(36))  # a batch of 35, which the last image joins
    changes, losses = [], 0.0
    for rank in range(2):
        learner = Learner(recipe, 3, device=torch.device("cpu"))
        before = {name: value.detach().clone() for name, value in learner.model.named_parameters()}
        views, labels = next(iter(images.pick([order[rank::2]])))
        losses += float(
            learner.step(views, labels, rate=recipe.learning_rate, side=32, share=1 / 36, rng=np.random.default_rng((0, 0, 0, rank)))
        )
        changes.append({name: value.detach() - before[name] for name, value in learner.model.named_parameters()})
    for name, value in before.items():
        torch.testing.assert_close(state["model"][name], value + changes[0][name] + changes[1][name], rtol=1e-4, atol=1e-6)
    assert state["rows"][0]["train_loss"] == pytest.approx(losses / 36, rel=1e-5)
    alone = subprocess.run([*WORDS, *words, "--resume"], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert alone.returncode == 2
    assert "whose machine differs in number of processes" in alone.stderr


def test_a_run_is_neither_overwritten_nor_mixed_up(colours: Path, tmp_path: Path) -> None:
    data = open_colours(colours)
    recipe = msgspec.structs.replace(SMALL, epochs=1)
    train(recipe, data, tmp_path)
    with pytest.raises(SevisError, match="already holds a run"):
        train(recipe, data, tmp_path)
    with pytest.raises(SevisError, match=r"another run, whose recipe differs in epochs, seed: repeat"):
        train(msgspec.structs.replace(recipe, epochs=2, seed=4), data, tmp_path, options=RESUME)


def test_of_a_damaged_checkpoint_the_one_before_is_used(colours: Path, tmp_path: Path) -> None:
    data = open_colours(colours)
    whole = train(SMALL, data, tmp_path)
    newest = tmp_path / "checkpoint.pt"
    content = newest.read_bytes()
    middle = len(content) // 2
    for damage in (content[:middle], content[:middle] + bytes(range(200)) + content[middle + 200 :], b"", b"x" * 1000):
        newest.write_bytes(damage)
        assert (tmp_path / "checkpoint.before.pt").exists()
        done: list[dict[str, float]] = []
        again = train(SMALL, data, tmp_path, options=replace(RESUME, on_epoch=done.append))
        assert [row["epoch"] for row in done] == [3]  # the one before was of the second epoch
        torch.testing.assert_close(again.model.state_dict(), whole.model.state_dict(), rtol=0, atol=0)
    newest.unlink()  # as a kill between two renamings leaves it
    assert len(train(SMALL, data, tmp_path, options=RESUME).rows) == 3
    for name in ("checkpoint.pt", "checkpoint.before.pt"):
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(SevisError, match=r"checkpoint\.pt cannot be read .* and .*checkpoint\.before\.pt cannot be read .*: delete"):
        train(SMALL, data, tmp_path, options=RESUME)


def test_a_full_disk_is_one_sentence_and_leaves_the_checkpoint_before(colours: Path, tmp_path: Path, monkeypatch) -> None:
    data = open_colours(colours)
    recipe = msgspec.structs.replace(SMALL, epochs=2)
    sync, calls = os.fsync, []

    def full(file: int) -> None:
        calls.append(file)
        if len(calls) == 3:  # after the checkpoint and the log of the first epoch
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(file)

    monkeypatch.setattr("sevis.files.os.fsync", full)
    with pytest.raises(SevisError, match=r"the disk is full, so .*checkpoint\.pt was not written"):
        train(recipe, data, tmp_path)
    monkeypatch.undo()
    done: list[dict[str, float]] = []
    train(recipe, data, tmp_path, options=replace(RESUME, on_epoch=done.append))
    assert [row["epoch"] for row in done] == [2]


def test_a_log_that_a_kill_left_behind_is_written_again(colours: Path, tmp_path: Path) -> None:
    rows = train(SMALL, open_colours(colours), tmp_path).rows
    (tmp_path / "log.csv").unlink()
    (tmp_path / ".checkpoint.pt.123.tmp").write_bytes(b"half of one")
    train(SMALL, open_colours(colours), tmp_path, options=RESUME)
    assert read_log(tmp_path) == rows


def test_a_run_is_not_resumed_on_other_data(colours: Path, tmp_path: Path) -> None:
    data = open_colours(colours)
    recipe = msgspec.structs.replace(SMALL, epochs=1)
    train(recipe, data, tmp_path / "run")
    rows = train(recipe, data, tmp_path / "run", options=RESUME).rows
    assert len(rows) == 1
    turned = tuple(part.select(["red", "green", "blue"]) for part in data)
    with pytest.raises(SevisError, match="another run, whose data differs in classes: repeat"):
        train(recipe, turned, tmp_path / "run", options=RESUME)
    smaller = open_colours(write_colours(tmp_path / "smaller", train=10))
    with pytest.raises(SevisError, match="another run, whose data differs in number of training images, fingerprint: repeat"):
        train(recipe, smaller, tmp_path / "run", options=RESUME)


def test_any_number_of_images_trains(tmp_path: Path) -> None:
    data = open_colours(write_colours(tmp_path / "data", train=3))  # 9 images
    recipe = msgspec.structs.replace(SMALL, epochs=1, batch_size=4)
    rows = train(recipe, data, tmp_path / "run").rows
    assert math.isfinite(rows[0]["train_loss"])


def test_an_unknown_network_is_refused_before_any_image_is_read(colours: Path, tmp_path: Path) -> None:
    data = tuple(replace(part, source=Folder(tmp_path / "gone")) for part in open_colours(colours))
    for option, message in (({"model": "se_resnet51"}, "se_resnet50"), ({"stem": "big"}, "paper, small"), ({"reduction": 999}, "got 999")):
        with pytest.raises(SevisError, match=message):
            train(msgspec.structs.replace(SMALL, **option), data, tmp_path / "run")
    with pytest.raises(SevisError, match="cannot be read"):
        train(SMALL, data, tmp_path / "run")


def test_a_diverging_run_says_at_which_step_and_what_to_try(colours: Path, tmp_path: Path) -> None:
    recipe = msgspec.structs.replace(SMALL, learning_rate=100.0, warmup=0.0, epochs=20)
    told: list[float] = []
    with pytest.raises(SevisError, match="lower the learning rate") as caught:
        train(recipe, open_colours(colours), tmp_path, options=TrainOptions(on_step=lambda _, loss: told.append(loss)))
    last = len(told)  # whose update broke the weights; the loss of the next step shows it, unless the epoch ends before
    where = f"after step {last}, the last of epoch {last // 3}: " if last % 3 == 0 else f"in step {last + 1} of epoch {last // 3 + 1}: "
    assert where in str(caught.value)
    with pytest.raises(SevisError, match="lower the learning rate"):
        train(recipe, open_colours(colours), tmp_path / "untold")
    for path in tmp_path.rglob("checkpoint*.pt"):
        state = torch.load(path, weights_only=True)
        assert all(math.isfinite(row["train_loss"]) for row in state["rows"])
        assert all(value.isfinite().all() for value in state["model"].values())


def test_different_classes_are_refused(colours: Path, tmp_path: Path) -> None:
    data = open_colours(colours)
    with pytest.raises(SevisError, match="different classes"):
        train(SMALL, (data[0], data[1].select(["red", "blue"])), tmp_path)


def test_training_says_that_it_diverged_and_why(colours: Path, tmp_path: Path) -> None:
    recipe = Recipe(model="se_resnet18", width=0.25, size=16, epochs=4, batch_size=8, gate="relu", learning_rate=100)
    with pytest.raises(Diverged, match="lower the learning rate") as caught:
        train_and_measure(recipe, open_colours(colours), tmp_path)
    assert str(caught.value).startswith(f"{caught.value.reason}: ")
    assert re.search(REASON, caught.value.reason)
