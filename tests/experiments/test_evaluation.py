"""Scores and measures of gates against a direct count."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sevis.blocks.block import SqueezeExcitation
from sevis.errors import SevisError
from sevis.experiments.evaluation import evaluate, measure_gates
from tests.helpers.networks import plain_gates


def test_scores_equal_a_direct_count(network: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(30, 3, 32, 32, generator=generator), torch.randint(5, (30,), generator=generator)
    score = evaluate(network, zip(inputs.split(8), labels.split(8), strict=True))
    with torch.no_grad():
        logits = network(inputs)
    order = np.argsort(-logits.numpy(), axis=1)
    assert score.top1 == pytest.approx(np.mean(order[:, 0] == labels.numpy()))
    assert score.top5 == 1.0  # five classes
    assert score.val_loss == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)
    with pytest.raises(SevisError, match="no image"):
        evaluate(network, [])


def test_a_model_in_training_mode_is_refused_unchanged(network: nn.Module) -> None:
    network.layer1.train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    batches = [(torch.randn(2, 3, 32, 32), torch.arange(2))]
    for use in (lambda: evaluate(network, batches), lambda: measure_gates(network, lambda: batches, lambda: batches)):
        with pytest.raises(SevisError, match=r"in training mode \(its layer1\), .*: call model.eval\(\) first"):
            use()
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_gate_measures_equal_their_definition(network: nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    train, val = (torch.randn(24, 3, 32, 32, generator=generator) for _ in range(2))
    labels = torch.randint(5, (24,), generator=generator)
    measured = measure_gates(network, lambda: [(train, labels)], lambda: [(val, labels)])
    gates, trained = plain_gates(network, val), plain_gates(network, train)
    for site, (_, s) in gates.items():
        block = measured.blocks[site]
        assert block.mean == pytest.approx(s.mean(), rel=1e-5)
        assert block.spread == pytest.approx(s.mean(axis=0).std(), rel=1e-4)
        assert block.std_over_images == pytest.approx(s.std(axis=0, ddof=1).mean(), rel=1e-4)
    frozen = {site: s.mean(axis=0) for site, (_, s) in trained.items()}
    with torch.no_grad():
        for number, block in enumerate(module for module in network.modules() if isinstance(module, SqueezeExcitation)):
            block.fc2.weight.zero_()
            mean = frozen[f"SE_{number // 2 + 2}_{number % 2 + 1}"]
            block.fc2.bias.copy_(torch.from_numpy(np.log(mean / (1 - mean))))
        expected = (network(val).argmax(dim=1) == labels).float().mean()
    assert measured.top1_frozen == pytest.approx(float(expected))
    assert measured.frozen_over == 24
