"""Tiny networks that are trained beside the pages: what they are told, what comes of them, and when they end."""

import tempfile
import time
from dataclasses import replace

import pytest
import torch

import sevis
from sevis.analysis.intervals import wilson
from sevis.data.pixels import evaluation_batches
from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.experiments.evaluation import measure_gates
from sevis.pages.ablations import live_training
from sevis.pages.ablations.live_data import TrialData
from sevis.pages.ablations.live_training import Trial, TrialChoice
from sevis.pages.shared.turns import Turns
from sevis.recipe import Recipe
from sevis.training.learner import build_model
from sevis.training.training import device_name, train
from tests.helpers.ablation_page import FEW
from tests.helpers.pages import PATIENCE


def start(choice=None, data=FEW, *, row=None, turns=None):
    return Trial(choice or TrialChoice(), data, row=row or Turns(1), turns=turns or Turns(1))


def until(trial, reached):
    """Looks at a run until it has reached something."""
    deadline = time.monotonic() + PATIENCE
    while not reached() and time.monotonic() < deadline:
        trial.look()
        trial.join(0.05)
    assert reached()


def finish(trial):
    until(trial, lambda: trial.over)
    return trial


@pytest.mark.parametrize(
    ("choice", "title", "expected"),
    [
        (TrialChoice(), "SE r = 16, seed 0", {"model": "se_resnet18", "stages": "all", "reduction": 16}),
        (TrialChoice(gated=False, seed=3), "plain, seed 3", {"model": "resnet18", "seed": 3}),
        (TrialChoice(stages=()), "plain, seed 0", {"model": "resnet18"}),
        (
            TrialChoice(reduction=2, squeeze="max", gate="tanh", placement="pre", stages=(2, 5)),
            "SE r = 2, max, tanh, pre, stage 2, 5, seed 0",
            {"reduction": 2, "squeeze": "max", "gate": "tanh", "placement": "pre", "stages": "2,5"},
        ),
    ],
)
def test_a_choice_is_a_recipe(choice, title, expected):
    recipe = choice.recipe(FEW)
    assert isinstance(recipe, Recipe)
    assert choice.title == title
    assert {name: getattr(recipe, name) for name in expected} == expected
    assert (recipe.size, recipe.epochs) == (32, 2)
    build_model(recipe, 10)


def test_every_choice_can_be_built():
    for reduction in live_training.RATIOS:
        for placement in ("standard", "pre", "post", "identity"):
            recipe = TrialChoice(reduction=reduction, placement=placement).recipe(FEW)
            assert len(sevis.find_sites(build_model(recipe, 10))) == 8


def test_a_run_ends_with_its_numbers():
    trial = finish(start(TrialChoice(reduction=4)))
    assert trial.error is None
    outcome = trial.outcome
    assert outcome.images == (40, 20)
    assert outcome.curve.steps == 2
    assert len(outcome.curve.losses) == 4
    assert len(outcome.curve.top1) == 2
    assert outcome.top1 == outcome.curve.top1[-1]
    assert outcome.interval == wilson(round(20 * outcome.top1), 20)
    recipe = TrialChoice(reduction=4).recipe(FEW)
    model = build_model(recipe, 10)
    assert outcome.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert outcome.classes == 10
    assert outcome.device == trial.device == device_name(torch.device("cuda" if torch.cuda.is_available() else "cpu"))


def test_the_gates_are_measured_as_the_commands_do_with_no_image_read_again(tmp_path, monkeypatch, capfd):
    reads = []
    monkeypatch.setattr(Trial, "_count", lambda trial: reads.append(trial.phase))
    outcome = finish(start(TrialChoice(reduction=4))).outcome
    assert reads == [live_training.READING] * 60
    assert capfd.readouterr().err == "", "nothing goes into the server's log"
    trained = train(TrialChoice(reduction=4).recipe(FEW), FEW.open(), tmp_path)
    preprocess = Preprocessing(resize=32, crop=32)
    gates = measure_gates(trained.model, *(lambda part=part: evaluation_batches(part, preprocess, 128) for part in trained.images))
    assert outcome.alive == pytest.approx(gates.std_over_images, rel=1e-5)
    assert outcome.frozen == gates.top1_frozen


def test_the_same_seed_gives_the_same_run_and_plain_has_no_gates():
    first, second = (finish(start(TrialChoice(gated=False))).outcome for _ in range(2))
    assert first.curve == second.curve
    assert first.alive is first.frozen is None


def test_a_cancelled_run_ends_and_leaves_its_turn():
    turns = Turns(1)
    trial = start(turns=turns)
    trial.cancel()
    finish(trial)
    assert trial.outcome is trial.error is None
    with turns.take(pytest.fail):
        pass


@pytest.mark.parametrize(("leaves", "reason"), [(False, "it was cancelled"), (True, "nobody looked at it for 0 seconds")])
def test_a_run_that_is_ended_while_it_trains_leaves_its_turn_and_its_folder(tmp_path, monkeypatch, leaves, reason):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    row, turns = Turns(1), Turns(1)
    trial = start(data=replace(FEW, epochs=1000), row=row, turns=turns)
    until(trial, lambda: trial.losses)
    assert list(tmp_path.glob("sevis-*"))
    if leaves:
        monkeypatch.setattr(live_training, "ALONE", 0.0)
    else:
        trial.cancel()
    trial.join(PATIENCE)
    assert trial.over
    assert trial.ended == reason
    assert trial.outcome is trial.error is None
    assert not list(tmp_path.iterdir())
    with row.take(pytest.fail), turns.take(pytest.fail):
        pass


def test_a_run_that_nobody_looks_at_ends(monkeypatch):
    monkeypatch.setattr(live_training, "ALONE", 0.0)
    trial = start()
    trial.join(PATIENCE)
    assert trial.over
    assert trial.outcome is trial.error is None


def test_one_run_at_a_time_and_the_next_is_told_how_many_are_before_it():
    row = Turns(1)
    with row.take(pytest.fail):
        trial = start(row=row)
        until(trial, lambda: trial.before)
        assert trial.before == 1
        assert not trial.losses
    finish(trial)
    assert trial.outcome
    assert trial.before == 0


def test_others_have_their_turns_between_two_steps():
    turns, met = Turns(1), []
    trial = start(turns=turns)
    while not trial.over:
        trial.look()
        with turns.take(lambda before: trial.look()):
            met.append(len(trial.losses))
        time.sleep(0.01)
    assert trial.outcome
    assert len({count for count in met if 0 < count < 4}) >= 1, "steps went on between the turns of another"


def test_what_cannot_be_read_is_a_sentence():
    def fail():
        raise SevisError("no photos: bring some")

    trial = finish(start(data=TrialData("nothing", 32, 1, "a moment", fail)))
    assert str(trial.error) == "no photos: bring some"
    assert trial.error.__traceback__ is trial.error.__context__ is None, "they would hold the network and its images"

    def break_off():
        raise ZeroDivisionError("oh")

    trial = finish(start(data=TrialData("nothing", 32, 1, "a moment", break_off)))
    assert "the training stopped with an error (ZeroDivisionError: oh)" in str(trial.error)
