"""python -m sevis ablate on made-up pictures: what is missing is run, what is there is not, and a killed run goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import torch

import sevis
from sevis.ablations.grid import find_variant
from sevis.ablations.results import Ablations
from sevis.ablations.run_grid import choose_jobs
from sevis.cli.parser import main
from sevis.data.preprocessing import Preprocessing
from sevis.errors import Diverged, SevisError
from sevis.training import training as experiments
from sevis.training.training import train_and_measure
from sevis.weights.card import TrainingData
from tests.helpers.made_up_runs import make_grid
from tests.helpers.pictures import open_colours, write_colours

SMALL = ["se_resnet18", "--width", "0.25", "--size", "16", "--epochs", "2", "--batch-size", "8"]
ONLY_RELU = ["ablate", "se_resnet18", "--width", "0.25", "--size", "16", "--data", "pictures", "--out", "all.json", "--only", "relu"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with pictures, which is the working directory."""
    write_colours(tmp_path / "pictures")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ablate(*arguments):
    return main(["ablate", *SMALL, "--data", "pictures", "--out", "all.json", *arguments])


def refuse(*_, **__):
    raise AssertionError("nothing is left to train")


def test_what_is_missing_is_run_and_what_is_there_is_not(place, capsys, monkeypatch):
    assert ablate("--only", "plain", "SE", "--seeds", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == ["1/4 plain, seed 0", "2/4 SE, seed 0", "3/4 plain, seed 1", "4/4 SE, seed 1"]
    assert "4 runs are in all.json" in lines[4]
    assert sorted(path.name for path in Path("runs/ablations").iterdir()) == [
        "SE-seed0.json", "SE-seed1.json", "plain-seed0.json", "plain-seed1.json",
    ]  # fmt: skip
    found = Ablations.load("all.json")
    assert [(key, run.recipe.seed) for key, run in found.runs] == [("SE", 0), ("plain", 0), ("SE", 1), ("plain", 1)]
    for key, run in found.runs:
        assert (run.recipe.bias, run.recipe.model) == ((True, "resnet18") if key == "plain" else (False, "se_resnet18"))
        assert (run.recipe.width, run.recipe.epochs, len(run.rows)) == (0.25, 2, 2)
        assert run.data == TrainingData(name="pictures", classes=("blue", "green", "red"), train_images=36, val_images=12)
    capsys.readouterr()

    monkeypatch.setattr(experiments, "train_and_measure", refuse)
    assert ablate("--only", "plain", "SE", "--seeds", "2") == 0
    assert capsys.readouterr().out.count("done already") == 4
    for path in Path("runs/ablations").iterdir():  # the file of all runs is enough
        path.unlink()
    assert ablate("--only", "SE", "--seeds", "2") == 0
    assert capsys.readouterr().out.count("done already") == 2


def test_a_run_is_what_train_and_measure_makes_of_its_recipe(place):
    assert ablate("--only", "r=4", "--seeds", "1") == 0
    ((_, run),) = Ablations.load("all.json").runs
    recipe = find_variant("r=4").recipe(msgspec.structs.replace(run.recipe, reduction=16), 0)
    trained, expected = train_and_measure(recipe, open_colours(place / "pictures"), place / "again")
    assert (run.top1, run.top5, run.recipe.reduction) == (expected.top1, expected.top5, 4)
    assert run.rows[-1]["train_loss"] == pytest.approx(expected.rows[-1]["train_loss"], abs=1e-5)
    assert run.gates.std_over_images == pytest.approx(expected.gates.std_over_images, abs=1e-5)
    hits = [
        int(trained.model(torch.from_numpy(Preprocessing(resize=16, crop=16)(image))[None]).argmax()) == label
        for image, label in open_colours(place / "pictures")[1]
    ]
    assert run.top1 == pytest.approx(sum(hits) / len(hits))


def test_parts_share_the_work():
    everything = choose_jobs(3, None, "1/1")
    assert len(everything) == 57
    assert {seed for _, seed in everything[:19]} == {0}
    parts = [choose_jobs(3, None, f"{part}/3") for part in (1, 2, 3)]
    assert {len(part) for part in parts} == {19}
    assert sorted((job for part in parts for job in part), key=everything.index) == everything
    assert [(variant.key, seed) for variant, seed in choose_jobs(2, ["max", "SE", "max"], "1/1")] == [
        ("max", 0), ("SE", 0), ("max", 1), ("SE", 1),
    ]  # fmt: skip


@pytest.mark.parametrize("part", ["", "1", "0/2", "3/2", "a/b", "1/2/3", "-1/2"])
def test_a_part_that_there_is_not_is_refused(part):
    with pytest.raises(SevisError, match="expected a part such as 1/2"):
        choose_jobs(1, None, part)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "r=3"], "there is no variant 'r=3'"),
        (["--only", "3x3"], "3x3"),
        (["--seeds", "0"], "expected a whole number from 1 on"),
        (["--classes", "pink"], "has no class 'pink'"),
        (["--data", "nowhere"], "there is no data at nowhere"),
        (["--epochs", "0"], "expected epochs between 1"),
        (["--report"], "no ablations at all.json"),
        (["--report", "pictures"], "pictures cannot be read"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_trained(place, capsys, monkeypatch, arguments, words):
    monkeypatch.setattr(experiments, "train_and_measure", refuse)
    try:
        code = ablate(*arguments)
    except SystemExit as exit:
        code = exit.code
    assert code == 2
    text = capsys.readouterr().err
    assert words in text
    assert text.count("\n") == 1


def test_runs_of_another_recipe_or_other_data_are_not_mixed(place, capsys, monkeypatch):
    assert ablate("--only", "plain", "--seeds", "1", "--epochs", "1") == 0
    monkeypatch.setattr(experiments, "train_and_measure", refuse)
    assert ablate("--only", "plain", "--seeds", "1") == 2
    assert "epochs is 2 in one run and 1 in another): name other places with --out and --folder" in capsys.readouterr().err
    assert ablate("--only", "plain", "--seeds", "1", "--epochs", "1", "--classes", "red,blue") == 2
    assert "the classes differ" in capsys.readouterr().err
    Path("all.json").write_text("{")
    assert ablate("--only", "plain", "--seeds", "1", "--epochs", "1") == 2
    assert "all.json is damaged" in capsys.readouterr().err


def test_a_run_that_fails_does_not_keep_the_others_from_running(place, capsys, monkeypatch):
    def train(recipe, data, folder, *, options):
        if recipe.squeeze == "max":
            raise SevisError("the disk is full")
        return train_and_measure(recipe, data, folder, options=options)

    monkeypatch.setattr(experiments, "train_and_measure", train)
    assert ablate("--only", "max", "plain", "--seeds", "1", "--epochs", "1") == 2
    text = capsys.readouterr()
    assert "1/2 max, seed 0: failed: the disk is full" in text.out
    assert "2/2 plain, seed 0: top-1" in text.out
    assert "1 of 2 runs failed, the first of them max with seed 0: the disk is full" in text.err
    assert Ablations.load("all.json").keys == ("plain",)


def test_a_run_that_diverges_is_a_result_and_is_not_repeated(place, capsys, monkeypatch):
    def train(recipe, data, folder, *, options):
        folder.mkdir(parents=True)
        raise Diverged(f"the loss became nan in step {recipe.seed} of epoch 1", cure="lower the learning rate")

    monkeypatch.setattr(experiments, "train_and_measure", train)
    assert main([*ONLY_RELU, "--seeds", "2"]) == 0
    text = capsys.readouterr().out
    assert "2/2 relu, seed 1: diverged: the loss became nan in step 1 of epoch 1\n" in text
    assert "0 runs are in all.json, and 2 that diverged: python -m sevis" in text
    assert Ablations.load("all.json").reasons("relu") == {seed: f"the loss became nan in step {seed} of epoch 1" for seed in range(2)}
    folder = Path("runs/ablations")
    assert sorted(path.name for path in folder.iterdir()) == ["relu-seed0.json", "relu-seed1.json"]

    monkeypatch.setattr(experiments, "train_and_measure", refuse)
    Path("all.json").unlink()  # the files of the runs are enough
    assert main([*ONLY_RELU, "--seeds", "2"]) == 0
    assert "1/2 relu, seed 0: done already, diverged: the loss became nan in step 0" in capsys.readouterr().out
    for path in folder.iterdir():  # and so is that of all
        path.unlink()
    assert main([*ONLY_RELU, "--seeds", "2"]) == 0
    assert capsys.readouterr().out.count("done already") == 2
    assert main([*ONLY_RELU, "--seeds", "2", "--epochs", "1"]) == 2
    assert "epochs is 1 in one run and 3 in another" in capsys.readouterr().err


def test_the_report_trains_nothing_and_needs_no_torch(tmp_path):
    Ablations(make_grid()).save(tmp_path / "some.json")
    call = f"from sevis.cli import main; main(['ablate', '--report', {str(tmp_path / 'some.json')!r}])"
    program = f"{call}; import sys; assert 'torch' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("# The paper's ablations, measured")
    assert "57 runs of 19 of the 19 variants" in result.stdout


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(place):
    small = ["ablate", *SMALL, "--epochs", "6", "--data", "pictures", "--only", "SE", "--seeds", "1"]
    killed, whole = ([*small, "--out", f"{name}.json", "--folder", name] for name in ("killed", "whole"))
    environment = {**os.environ, "PYTHONPATH": str(Path(sevis.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "sevis", *killed], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    checkpoint = place / "killed" / "SE-seed0" / "checkpoint.before.pt"
    while process.poll() is None and not checkpoint.exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (place / "killed.json").exists()
    both = f"from sevis.cli import main; main({killed}); main({whole})"
    subprocess.run([sys.executable, "-c", both], env=environment, check=True, capture_output=True)
    first, second = (Ablations.load(name).seeds("SE")[0] for name in ("killed.json", "whole.json"))
    assert (first.top1, first.top5, first.gates) == (second.top1, second.top5, second.gates)
    assert [{**row, "seconds": 0} for row in first.rows] == [{**row, "seconds": 0} for row in second.rows]
    assert not (place / "killed" / "SE-seed0").exists()
