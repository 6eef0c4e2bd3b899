"""Training: the recipe against its definition, and a run that learns, stops and resumes."""

import csv
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import open_colours, write_colours
from torch import nn

from sevis.augmentation import colour_jitter, mixup, random_resized_crop
from sevis.blocks import SqueezeExcitation
from sevis.datasets import Folder
from sevis.errors import SevisError
from sevis.images import Preprocessing
from sevis.recipe import Recipe, command
from sevis.training import Pixels, build_model, normalise, parameter_groups, split_batches, train

SMALL = Recipe(model="se_resnet18", width=0.125, reduction=4, size=32, epochs=3, batch_size=12, learning_rate=0.05, mixup=0.2, colour=0.1)


@pytest.fixture(scope="module")
def colours(tmp_path_factory) -> Path:
    return write_colours(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(
    "option",
    [
        *({"epochs": 0}, {"learning_rate": -1.0}, {"learning_rate": math.nan}, {"min_area": 2.0}, {"batch_size": 1}, {"seed": -1}),
        *({"width": math.nan}, {"width": 0.0}, {"width": 17.0}, {"reduction": 0}, {"reduction": 5000}),
    ],
)
def test_a_number_out_of_range_is_refused(option) -> None:
    with pytest.raises(SevisError, match=f"expected {next(iter(option))} between"):
        Recipe(**option)


def test_the_learning_rate_warms_up_linearly_and_ends_near_zero() -> None:
    recipe = Recipe(learning_rate=0.4, warmup=0.2)
    rates = np.array([recipe.rate(step, 100) for step in range(100)])
    np.testing.assert_allclose(np.diff(rates[:20]), 0.4 / 21, rtol=1e-9)
    assert rates.argmax() == 20
    np.testing.assert_allclose(rates[20:], 0.2 * (1 + np.cos(np.pi * np.arange(80) / 80)), rtol=1e-9)


def test_only_convolutions_and_the_classifier_decay() -> None:
    model = build_model(SMALL, 3)
    decayed, free = parameter_groups(model, 5e-4)
    assert (decayed["weight_decay"], free["weight_decay"]) == (5e-4, 0.0)
    kept = {id(p) for p in decayed["params"]}
    expected = {id(m.weight) for m in model.modules() if isinstance(m, nn.Conv2d)} | {id(model.fc.weight)}
    assert kept == expected
    assert len(decayed["params"]) + len(free["params"]) == len(list(model.parameters()))
    assert all(id(p) not in kept for m in model.modules() if isinstance(m, SqueezeExcitation) for p in m.parameters())


def test_building_is_seeded_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = build_model(SMALL, 3), build_model(SMALL, 3)
    torch.testing.assert_close(torch.rand(3), expected)
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_crop_of_everything_is_the_image_or_its_mirror() -> None:
    images = torch.rand(40, 3, 16, 16)
    # At the full area the box is as high or as wide as the image; with the sides clipped at 1 the other one is at least 3/4 ** 0.5.
    crops = random_resized_crop(images, 16, min_area=1.0, rng=np.random.default_rng(0))
    assert crops.shape == images.shape
    assert crops.min() >= 0
    assert crops.max() <= 1
    ramp = torch.linspace(0, 1, 16).expand(200, 3, 16, 16).contiguous()
    views = random_resized_crop(ramp, 16, min_area=0.3, rng=np.random.default_rng(1))
    slopes = (views[:, 0, 0, -1] - views[:, 0, 0, 0]) * 16 / 15  # of a ramp: the box's width, negative when mirrored
    mirrored = (slopes < 0).float().mean()
    assert 0.35 < mirrored < 0.65
    assert slopes.abs().max() <= 1.07  # reflection at the border flattens, interpolation steepens by at most 16/15
    assert slopes.abs().min() >= math.sqrt(0.3 * 3 / 4) * 0.9


def test_augmentation_depends_on_the_generator_alone() -> None:
    images = torch.rand(8, 3, 20, 20)
    views = [random_resized_crop(images, 12, min_area=0.2, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert torch.equal(views[0], views[1])
    assert not torch.equal(views[0], views[2])


def test_colour_jitter_of_strength_zero_changes_nothing_and_stays_in_range() -> None:
    images = torch.rand(16, 3, 8, 8)
    torch.testing.assert_close(colour_jitter(images, 0.0, rng=np.random.default_rng(0)), images)
    jittered = colour_jitter(images, 0.9, rng=np.random.default_rng(0))
    assert jittered.min() >= 0
    assert jittered.max() <= 1
    assert not torch.allclose(jittered, images)


def test_mixup_blends_images_and_targets_alike() -> None:
    targets = torch.eye(6)
    images = targets[:, :, None, None].expand(6, 6, 2, 2).clone()  # each image shows its own target
    blended, mixed = mixup(images, targets, 0.5, rng=np.random.default_rng(3))
    torch.testing.assert_close(blended[:, :, 0, 0], mixed)
    torch.testing.assert_close(mixed.sum(dim=1), torch.ones(6))


def test_pixels_are_what_preprocessing_gives(colours: Path) -> None:
    dataset = open_colours(colours)[1]
    preprocess = Preprocessing(resize=24, crop=24)
    pixels = Pixels.decode(dataset, preprocess, torch.device("cpu"))
    assert pixels.num_classes == 3
    batches = list(pixels.batches(preprocess, 5))
    assert [len(labels) for _, labels in batches] == [5, 5, 2]
    images, labels = (torch.cat(part) for part in zip(*batches, strict=True))
    for index in (0, 7, 11):
        image, label = dataset[index]
        np.testing.assert_allclose(images[index].numpy(), preprocess(image), atol=1e-6)
        assert labels[index] == label
    assert torch.equal(
        normalise(torch.zeros(1, 3, 4, 4), preprocess).flatten(2)[0, :, 0], -torch.tensor(preprocess.mean) / torch.tensor(preprocess.std)
    )


def test_a_small_network_learns_and_a_second_run_is_equal(colours: Path, tmp_path: Path) -> None:
    recipe = Recipe(**{**vars(SMALL), "epochs": 12})
    seen: list[dict[str, float]] = []
    model, rows = train(recipe, open_colours(colours), tmp_path / "a", on_epoch=seen.append)
    assert not model.training
    assert seen == rows
    assert [row["epoch"] for row in rows] == list(range(1, 13))
    assert rows[-1]["top1"] >= 0.9  # chance is 0.33
    with (tmp_path / "a" / "log.csv").open() as file:
        assert [float(row["train_loss"]) for row in csv.DictReader(file)] == [row["train_loss"] for row in rows]
    again, _ = train(recipe, open_colours(colours), tmp_path / "b")
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, again.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_bf16_trains(colours: Path, tmp_path: Path) -> None:
    recipe = Recipe(**{**vars(SMALL), "epochs": 1, "bf16": True, "model": "resnet18"})
    model, rows = train(recipe, open_colours(colours), tmp_path)
    assert next(model.parameters()).dtype == torch.float32
    assert math.isfinite(rows[0]["train_loss"])


def test_a_killed_run_resumes_as_if_nothing_had_happened(colours: Path, tmp_path: Path) -> None:
    options = ["--width", "0.125", "--reduction", "4", "--size", "32", "--epochs", "40", "--batch-size", "12", "--learning-rate", "0.05"]
    words = [sys.executable, "-m", "sevis", "train", "se_resnet18", "--data", str(colours), *options, "--no-bf16"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    whole = subprocess.run([*words, "--folder", str(tmp_path / "whole")], env=environment, capture_output=True, text=True, check=False)
    assert whole.returncode == 0, whole.stderr
    log = tmp_path / "killed" / "log.csv"
    with subprocess.Popen([*words, "--folder", str(log.parent)], env=environment, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (log.exists() and log.read_text().count("\n") >= 3):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    done = log.read_text().count("\n") - 1
    assert 2 <= done < 40
    resumed = subprocess.run(
        [*words, "--folder", str(log.parent), "--resume"], env=environment, capture_output=True, text=True, check=False
    )
    assert resumed.returncode == 0, resumed.stderr
    states = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("whole", "killed")]
    losses = [[row["train_loss"] for row in state["rows"]] for state in states]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3, atol=1e-3)
    for name, value in states[0]["model"].items():
        torch.testing.assert_close(states[1]["model"][name], value, rtol=1e-2, atol=1e-3)


def test_a_run_is_neither_overwritten_nor_mixed_up(colours: Path, tmp_path: Path) -> None:
    data = open_colours(colours)
    recipe = Recipe(**{**vars(SMALL), "epochs": 1})
    train(recipe, data, tmp_path)
    with pytest.raises(SevisError, match="holds a run already"):
        train(recipe, data, tmp_path)
    with pytest.raises(SevisError, match=r"another run, whose recipe differs in epochs, seed: repeat"):
        train(Recipe(**{**vars(recipe), "epochs": 2, "seed": 4}), data, tmp_path, resume=True)
    whole = (tmp_path / "checkpoint.pt").read_bytes()
    (tmp_path / "checkpoint.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SevisError, match="cannot be read"):
        train(recipe, data, tmp_path, resume=True)


def test_a_run_is_not_resumed_on_other_data(colours: Path, tmp_path: Path) -> None:
    data = open_colours(colours)
    recipe = Recipe(**{**vars(SMALL), "epochs": 1})
    train(recipe, data, tmp_path / "run")
    _, rows = train(recipe, data, tmp_path / "run", resume=True)
    assert len(rows) == 1
    turned = tuple(part.select(["red", "green", "blue"]) for part in data)
    with pytest.raises(SevisError, match="another run, whose data differs in classes: repeat"):
        train(recipe, turned, tmp_path / "run", resume=True)
    smaller = open_colours(write_colours(tmp_path / "smaller", train=10))
    with pytest.raises(SevisError, match="another run, whose data differs in number of training images: repeat"):
        train(recipe, smaller, tmp_path / "run", resume=True)


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (4, [4]), (5, [5]), (6, [4, 2]), (8, [4, 4]), (9, [4, 5]), (11, [4, 4, 3]), (13, [4, 4, 5])]
)
def test_a_last_batch_of_one_joins_the_one_before(count: int, sizes: list[int]) -> None:
    order = torch.randperm(count)
    batches = split_batches(order, 4)
    assert [len(batch) for batch in batches] == sizes
    assert torch.equal(torch.cat(batches), order)


def test_any_number_of_images_trains(tmp_path: Path) -> None:
    data = open_colours(write_colours(tmp_path / "data", train=3))  # 9 images
    recipe = Recipe(**{**vars(SMALL), "epochs": 1, "batch_size": 4})
    _, rows = train(recipe, data, tmp_path / "run")
    assert math.isfinite(rows[0]["train_loss"])


def test_an_unknown_network_is_refused_before_any_image_is_read(colours: Path, tmp_path: Path) -> None:
    data = tuple(replace(part, source=Folder(tmp_path / "gone")) for part in open_colours(colours))
    for option, message in (({"model": "se_resnet51"}, "se_resnet50"), ({"stem": "big"}, "paper, small"), ({"reduction": 999}, "got 999")):
        with pytest.raises(SevisError, match=message):
            train(Recipe(**{**vars(SMALL), **option}), data, tmp_path / "run")
    with pytest.raises(SevisError, match="cannot be read"):
        train(SMALL, data, tmp_path / "run")


def test_a_diverging_run_says_so(colours: Path, tmp_path: Path) -> None:
    recipe = Recipe(**{**vars(SMALL), "learning_rate": 100.0, "warmup": 0.0, "epochs": 20})
    with pytest.raises(SevisError, match="lower the learning rate"):
        train(recipe, open_colours(colours), tmp_path)


def test_different_classes_are_refused(colours: Path, tmp_path: Path) -> None:
    data = open_colours(colours)
    with pytest.raises(SevisError, match="different classes"):
        train(SMALL, (data[0], data[1].select(["red", "blue"])), tmp_path)


def test_the_command_repeats_the_recipe() -> None:
    recipe = Recipe(epochs=7, bf16=True, learning_rate=0.125, mixup=0.2)
    words = command(recipe, "some file.txt", "mine").split(" ")
    assert words[:5] == ["python", "-m", "sevis", "train", "se_resnet50"]
    for option in ("--epochs 7", "--bf16", "--learning-rate 0.125", "--classes 'some file.txt'", "--publish mine"):
        assert option in " ".join(words)
