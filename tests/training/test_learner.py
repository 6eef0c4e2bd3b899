"""The network that learns: its parameters, one step against its formulas, and the average of its weights."""

import math
from functools import partial

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from sevis.blocks.block import SqueezeExcitation
from sevis.data.pixels import normalise
from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.networks.resnet import ResNet, ResNetLayout
from sevis.recipe import Recipe
from sevis.training.augmentation import augment
from sevis.training.learner import Learner, build_model, parameter_groups

SMALL = Recipe(model="se_resnet18", width=0.125, reduction=4, size=32, epochs=3, batch_size=12, learning_rate=0.05, mixup=0.2, colour=0.1)


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


def test_the_options_of_the_blocks_reach_the_network() -> None:
    recipe = Recipe(model="se_resnet50", width=0.125, reduction=8, placement="pre", stages="2,4", gate="tanh", squeeze="max", bias=False)
    model = build_model(recipe, 3)
    blocks = {name: module for name, module in model.named_modules() if isinstance(module, SqueezeExcitation)}
    assert {name.partition(".")[0] for name in blocks} == {"layer1", "layer3"}
    assert all(block.fc1.bias is None and block.fc1.out_features * 8 == block.fc1.in_features for block in blocks.values())


def test_a_step_is_that_of_pytorchs_own_loop() -> None:
    """One step of Nesterov's SGD with label smoothing, against its formulas with the gradients of a mean loss."""
    recipe = msgspec.structs.replace(SMALL, mixup=0, weight_decay=0.01, label_smoothing=0.2)
    learner, twin = (Learner(recipe, 3, device=torch.device("cpu")) for _ in range(2))
    images, labels = (torch.rand(12, 3, 32, 32) * 255).to(torch.uint8), torch.arange(12) % 3
    views, targets = augment(images, labels, recipe=recipe, side=32, num_classes=3, rng=np.random.default_rng(5))
    smooth = targets * 0.8 + 0.2 / 3
    logits = twin.model.train()(normalise(views, Preprocessing(resize=32, crop=32)))
    loss = -(smooth * logits.log_softmax(1)).sum(1).mean()
    loss.backward()
    told = learner.step(images, labels, rate=0.1, side=32, share=1 / 12, rng=np.random.default_rng(5))
    assert float(told) / 12 == pytest.approx(float(loss.detach()), rel=1e-5)
    kernel, bias = twin.model.fc.weight, twin.model.fc.bias
    torch.testing.assert_close(learner.model.fc.weight, kernel - 0.1 * 1.9 * (kernel.grad + 0.01 * kernel), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(learner.model.fc.bias, bias - 0.1 * 1.9 * bias.grad, rtol=1e-4, atol=1e-6)


def test_the_average_follows_the_weights_by_its_rule() -> None:
    """EMA against a loop in NumPy over the weights after every step."""
    recipe = msgspec.structs.replace(SMALL, ema=0.5)
    learner = Learner(recipe, 3, device=torch.device("cpu"))
    images, labels = (torch.rand(12, 3, 32, 32) * 255).to(torch.uint8), torch.arange(12) % 3
    expected = None
    for number in range(5):
        learner.step(images, labels, rate=0.05, side=32, share=1 / 12, rng=np.random.default_rng(number))
        weights = learner.model.fc.weight.detach().numpy().astype(np.float64)
        decay = min(0.5, (1 + number) / (10 + number))
        expected = weights.copy() if expected is None else decay * expected + (1 - decay) * weights
    np.testing.assert_allclose(learner.result().fc.weight.detach().numpy(), expected, rtol=1e-4, atol=1e-6)
    assert not np.allclose(expected, weights)


def test_dropout_draws_from_the_generator_of_the_step(monkeypatch) -> None:
    layout = ResNetLayout((1, 1, 1, 1), bottleneck=False, dropout=0.5)
    monkeypatch.setattr("sevis.training.learner.build", lambda **_: ResNet(layout, num_classes=3, width=0.125))
    images, labels = (torch.rand(8, 3, 32, 32) * 255).to(torch.uint8), torch.arange(8) % 3
    weights = []
    for seed in (1, 1, 2):
        torch.rand(int(torch.randint(1, 50, ())))  # whatever was drawn before
        before = torch.get_rng_state()
        learner = Learner(SMALL, 3, device=torch.device("cpu"))
        learner.step(images, labels, rate=0.1, side=32, share=1 / 8, rng=np.random.default_rng(seed))
        assert torch.equal(torch.get_rng_state(), before)
        weights.append(learner.model.fc.weight)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_weights_that_are_no_numbers_are_seen() -> None:
    learner = Learner(SMALL, 3, device=torch.device("cpu"))
    assert learner.sound()
    with torch.no_grad():
        learner.model.layer2[0].bn1.bias[1] = math.nan
    assert not learner.sound()


@pytest.mark.slow
def test_a_compiled_network_steps_as_the_plain_one(monkeypatch) -> None:
    """Without the compiler, which takes minutes: what is compiled is what learns."""
    monkeypatch.setattr("sevis.training.learner.torch.compile", partial(torch.compile, backend="eager"))
    images, labels = (torch.rand(8, 3, 32, 32) * 255).to(torch.uint8), torch.arange(8) % 3
    plain, compiled = (Learner(msgspec.structs.replace(SMALL, compile=on), 3, device=torch.device("cpu")) for on in (False, True))
    for number in range(2):
        for learner in (plain, compiled):
            learner.step(images, labels, rate=0.05, side=32, share=1 / 8, rng=np.random.default_rng(number))
    torch.testing.assert_close(compiled.state()["model"], plain.state()["model"], rtol=1e-5, atol=1e-6)


def test_what_a_machine_cannot_do_is_refused() -> None:
    with pytest.raises(SevisError, match="sync_bn needs GPUs, and there is none here: leave --sync-bn out"):
        Learner(msgspec.structs.replace(SMALL, sync_bn=True), 3, device=torch.device("cpu"))
    with pytest.raises(SevisError, match="expected a batch_size of at least 2 images for each of 8 processes, got 12"):
        Learner(SMALL, 3, device=torch.device("cpu"), world=8)
