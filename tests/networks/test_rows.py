"""Every row of the paper's Tables 2 and 3, SENet-154 and the networks of Table 4: forward, backward and capture."""

import pytest
import torch
from torch import nn

import sevis
from sevis.networks import input_size

SIDES = {32: 16, 224: 64, 299: 107}  # pixels, instead of those that the network is meant for


def sample(name: str) -> torch.Tensor:
    side = SIDES[input_size(name)]
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "name", [name for name in sevis.list_models() if name not in ("resnet18", "resnet34", "se_resnet18", "se_resnet34")]
)
def test_gradients_reach_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    model = sevis.build(name, num_classes=5)
    loss = nn.functional.cross_entropy(model(sample(name)), torch.tensor([1, 3]))
    loss.backward()
    assert loss.isfinite()
    gates = {
        id(parameter) for module in model.modules() if isinstance(module, sevis.SqueezeExcitation) for parameter in module.parameters()
    }
    for path, parameter in model.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path
        if parameter.ndim > 1 and id(parameter) not in gates:  # a hidden layer of one unit may be silent
            assert parameter.grad.abs().max() > 0, path


@pytest.mark.parametrize(
    "name", [name for name in sevis.list_models() if name.startswith("se") and name not in ("se_resnet18", "se_resnet34")]
)
def test_capture_reads_every_block(name: str) -> None:
    model = sevis.build(name, num_classes=5).eval()
    sites = sevis.find_sites(model)
    with sevis.capture(model) as record, torch.inference_mode():
        model(sample(name)[:1])
    assert list(record) == [site.name for site in sites]
    for site in sites:
        assert record[site.name].scale.shape == (1, site.channels)
        assert ((record[site.name].scale >= 0) & (record[site.name].scale <= 1)).all()
