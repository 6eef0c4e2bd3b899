"""ResNets and SENet-154 against torchvision and timm, with copied weights."""

from functools import partial

import pytest
import timm
import torch
import torchvision
from timm.layers.squeeze_excite import SEModule
from torch import nn

import sevis
from tests.helpers.networks import stir


def rounding_up(other: nn.Module) -> nn.Module:
    """Another library's ResNet with the max pool and the strides of the SE authors' release."""
    other.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True)
    for stage in (other.layer2, other.layer3, other.layer4):
        if hasattr(stage[0], "conv3") and stage[0].conv2.groups == 1:
            stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    return other


def assert_same(mine: nn.Module, theirs: nn.Module, *, side: int) -> None:
    """In float64, where only the order of sums may differ; an odd side shows every rounding of sizes."""
    images = torch.randn(2, 3, side, side + 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    with torch.inference_mode():
        expected = theirs.double().eval()(images)
        torch.testing.assert_close(mine.double().eval()(images), expected, atol=1e-9, rtol=1e-9)
    assert expected.std() > 1e-3


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnext50_32x4d"])
def test_plain_networks_equal_torchvision(name: str) -> None:
    torch.manual_seed(0)
    theirs = stir(rounding_up(getattr(torchvision.models, name)(num_classes=7)))
    mine = sevis.build(name, num_classes=7)
    mine.load_state_dict(theirs.state_dict())
    assert_same(mine, theirs, side=65)


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_shallow_se_networks_equal_timm(name: str) -> None:
    torch.manual_seed(0)
    attention = partial(SEModule, rd_ratio=1 / 16, rd_divisor=1)
    theirs = stir(rounding_up(timm.create_model(name, num_classes=7, block_args={"attn_layer": attention}, zero_init_last=False)))
    mine = sevis.build(f"se_{name}", num_classes=7)
    mine.load_state_dict({key: as_linear(key, value) for key, value in theirs.state_dict().items()})
    assert_same(mine, theirs, side=65)


DEEP_STEM = {"layer0.conv1": "conv1.0", "layer0.bn1": "conv1.1", "layer0.conv2": "conv1.3", "layer0.bn2": "conv1.4"}
DEEP_STEM |= {"layer0.conv3": "conv1.6", "layer0.bn3": "bn1"}  # timm's names, and those of sevis


RELEASED = [("seresnet50", 75), ("seresnet101", 33), ("seresnext50_32x4d", 45), ("senet154", 37)]


@pytest.mark.parametrize(("name", "side"), [pytest.param(*row, marks=pytest.mark.slow) if row[1] < 40 else row for row in RELEASED])
def test_deep_se_networks_equal_timms_port_of_the_release(name: str, side: int) -> None:
    torch.manual_seed(0)
    theirs = stir(timm.create_model(f"legacy_{name}", num_classes=7))
    mine = sevis.build(name.replace("seres", "se_res"), num_classes=7)
    renamed = {**(DEEP_STEM if name == "senet154" else {}), "layer0.": "", "se_module": "se", "last_linear": "fc"}
    state = {}
    for key, value in theirs.state_dict().items():
        new = key
        for old, replacement in renamed.items():
            new = new.replace(old, replacement)
        state[new] = as_linear(new, value)
    mine.load_state_dict(state)
    assert_same(mine, theirs, side=side)


def as_linear(key: str, value: torch.Tensor) -> torch.Tensor:
    """A 1x1 convolution's weight as a linear layer's, for the projections of SE."""
    return value.flatten(1) if ".se.fc" in key and value.ndim == 4 else value


def test_width_multiplies_every_stage() -> None:
    half = sevis.build("se_resnet50", width=0.5)
    assert half.conv1.out_channels == 32
    assert [stage[-1].channels for stage in (half.layer1, half.layer2, half.layer3, half.layer4)] == [128, 256, 512, 1024]
    assert half.fc.in_features == 1024
    assert [site.hidden for site in sevis.find_sites(half)[::5]] == [8, 16, 32, 64]


@pytest.mark.parametrize(("stem", "side"), [("paper", 2), ("small", 8)])
def test_stems_reduce_the_input_as_they_say(stem: str, side: int) -> None:
    model = sevis.build("se_resnet18", width=0.125, reduction=4, stem=stem, num_classes=3).eval()
    sizes: list[torch.Size] = []
    model.layer4.register_forward_hook(lambda _, __, output: sizes.append(output.shape))
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 3)
    assert sizes == [(1, 64, side, side)]


def test_no_last_norm_starts_at_zero() -> None:
    model = sevis.build("se_resnet50", width=0.25, reduction=4)
    assert all(module.weight.min() == 1 for module in model.modules() if isinstance(module, nn.BatchNorm2d))


def test_dropout_of_senet154() -> None:
    with torch.device("meta"):
        assert sevis.build("senet154", stages=()).dropout.p == 0.2
        assert isinstance(sevis.build("resnext50_32x4d").dropout, nn.Identity)
