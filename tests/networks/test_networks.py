"""The networks against the paper's parameter counts, timm and torchvision, with copied weights."""

from functools import partial

import pytest
import timm
import torch
import torchvision
from timm.layers.squeeze_excite import SEModule
from torch import nn

import sevis
from sevis import SevisError
from sevis.networks import input_size, plain_twin
from tests.helpers.networks import stir
from tests.helpers.processes import loaded_by


def count(name: str, **options: object) -> int:
    with torch.device("meta"):  # shapes only
        return sum(parameter.numel() for parameter in sevis.build(name, **options).parameters())


@pytest.mark.parametrize(
    ("name", "bias", "parameters"),
    [
        ("resnet50", True, 25_557_032),
        ("se_resnet50", True, 28_088_024),
        ("se_resnet50", False, 28_071_976),
        ("se_resnet101", True, 49_326_872),
        ("se_resnet152", True, 66_821_848),
        ("se_resnext50_32x4d", True, 27_559_896),
        ("se_resnext101_32x4d", True, 48_955_416),
        ("senet154", True, 115_088_984),
        ("bn_inception", True, 11_285_224),
        ("se_bn_inception", True, 11_931_622),  # its prototxt, less what multiplies only: see sevis/networks/inception.py
        ("mobilenet", True, 4_231_976),
    ],
)
def test_parameters_as_in_the_paper_and_its_release(name: str, bias: bool, parameters: int) -> None:
    assert count(name, bias=bias) == parameters


@pytest.mark.parametrize(("reduction", "millions"), [(2, 45.677), (4, 35.617), (8, 30.587), (32, 26.815)])
def test_parameters_by_reduction_as_in_table_10(reduction: int, millions: float) -> None:
    assert round(count("se_resnet50", reduction=reduction, bias=False) / 1e6, 3) == millions


@pytest.mark.parametrize(("name", "millions"), [("mobilenet", 4.2), ("se_mobilenet", 4.7), ("shufflenet", 1.8), ("se_shufflenet", 2.4)])
def test_parameters_as_in_table_3_which_cuts_digits_off(name: str, millions: float) -> None:
    assert count(name) // 1e5 / 10 == millions


@pytest.mark.parametrize(("name", "millions"), [("resnet110", 1.7), ("resnet164", 1.7), ("wrn16_8", 11.0)])
def test_parameters_as_in_the_papers_of_the_networks_for_cifar(name: str, millions: float) -> None:
    assert round(count(name) / 1e6, 1) == millions  # arXiv 1603.05027 and 1605.07146


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "vgg16_bn"])
def test_plain_parameters_equal_torchvision(name: str) -> None:
    with torch.device("meta"):
        assert count(name) == sum(parameter.numel() for parameter in getattr(torchvision.models, name)().parameters())


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


@pytest.mark.parametrize(("name", "side"), [("seresnet50", 75), ("seresnet101", 33), ("seresnext50_32x4d", 45), ("senet154", 37)])
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


def test_the_same_seed_gives_plain_and_se_the_same_convolutions() -> None:
    torch.manual_seed(5)
    plain = sevis.build("resnet50", width=0.125)
    torch.manual_seed(5)
    gated = sevis.build("se_resnet50", width=0.125, reduction=4).state_dict()
    assert all(torch.equal(value, gated[key]) for key, value in plain.state_dict().items())
    assert all(".se.fc" in key for key in gated.keys() - plain.state_dict().keys())


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


def test_options_reach_the_blocks() -> None:
    block = sevis.build("se_resnet18", squeeze="max", gate="hardsigmoid", bias=False, reduction=8).layer2[0].se
    assert isinstance(block.gate, nn.Hardsigmoid)
    assert block.fc1.bias is None
    assert block.fc1.out_features == 16
    assert block.squeeze(torch.tensor([[[[1.0, 4.0], [2.0, 3.0]]]])) == 4.0


def test_no_last_norm_starts_at_zero() -> None:
    model = sevis.build("se_resnet50", width=0.25, reduction=4)
    assert all(module.weight.min() == 1 for module in model.modules() if isinstance(module, nn.BatchNorm2d))


SITES = {  # how many SE blocks each network gets: one a unit
    **{"resnet18": 8, "resnet34": 16, "resnet50": 16, "resnet101": 33, "resnet152": 50, "resnext50_32x4d": 16, "resnext101_32x4d": 33},
    **{"vgg16_bn": 13, "bn_inception": 10, "inception_resnet_v2": 40, "mobilenet": 13, "shufflenet": 16},
    **{"resnet20": 9, "resnet110": 54, "resnet164": 54, "wrn16_8": 6},
}


def test_the_names() -> None:
    assert sevis.list_models() == (*SITES, *(f"se_{name}" for name in SITES), "senet154")
    assert [plain_twin(name) for name in ("resnet50", "se_resnet50", "senet154")] == ["resnet50", "resnet50", None]
    assert [input_size(name) for name in ("se_resnet50", "inception_resnet_v2", "se_wrn16_8", "senet154")] == [224, 299, 32, 224]


@pytest.mark.parametrize("name", sevis.list_models())
def test_every_listed_name_builds_with_its_sites(name: str) -> None:
    with torch.device("meta"):
        model = sevis.build(name)
        images = torch.empty(1, 3, input_size(name), input_size(name))
    expected = 50 if name == "senet154" else SITES[name.removeprefix("se_")] if name.startswith("se_") else 0
    assert len(sevis.find_sites(model)) == expected
    with torch.inference_mode():
        assert model.eval()(images).shape == (1, 10 if input_size(name) == 32 else 1000)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("se_bn_inception", "SE_3_1 SE_3_2 SE_3_3 SE_4_1 SE_4_2 SE_4_3 SE_4_4 SE_4_5 SE_5_1 SE_5_2"),
        ("se_mobilenet", "SE_1_1 SE_2_1 SE_2_2 SE_3_1 SE_3_2 SE_4_1 SE_4_2 SE_4_3 SE_4_4 SE_4_5 SE_4_6 SE_5_1 SE_5_2"),
        ("se_wrn16_8", "SE_2_1 SE_2_2 SE_3_1 SE_3_2 SE_4_1 SE_4_2"),
    ],
)
def test_the_blocks_names_follow_the_stages(name: str, names: str) -> None:
    with torch.device("meta"):
        assert [site.name for site in sevis.find_sites(sevis.build(name))] == names.split()


def test_stages_choose_where_the_blocks_are() -> None:
    with torch.device("meta"):
        assert {site.name[:4] for site in sevis.find_sites(sevis.build("se_resnet50", stages=(4,)))} == {"SE_4"}
        assert sevis.find_sites(sevis.build("senet154", stages=())) == ()
    assert count("senet154", stages=()) == 108_459_944


def test_dropout_of_senet154() -> None:
    with torch.device("meta"):
        assert sevis.build("senet154", stages=()).dropout.p == 0.2
        assert isinstance(sevis.build("resnext50_32x4d").dropout, nn.Identity)


def test_the_narrowest_of_all_still_run() -> None:
    for name in ("resnext50_32x4d", "mobilenet", "shufflenet", "resnet18"):
        model = sevis.build(name, width=1 / 64, num_classes=3).eval()
        assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 3)


def test_a_plain_resnet_needs_no_other_library() -> None:
    assert not loaded_by("import sevis; sevis.build('resnet18', width=0.125)") & {"timm", "torchvision"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "se_resnet5"}, "unknown model 'se_resnet5'; the nearest names are se_resnet50"),
        ({"name": "zzz"}, "resnet18.*senet154"),
        ({"name": "vgg16_bn", "width": 0.5}, "vgg16_bn has no choice of width, got width=0.5: leave it out"),
        ({"name": "se_mobilenet", "stem": "small"}, "se_mobilenet takes width, but no stem, got stem='small'"),
        ({"name": "resnet50", "gate": "tanh"}, "resnet50 has no SE blocks for gate='tanh': build se_resnet50, or leave gate out"),
        ({"name": "resnet50", "stages": (2,)}, "resnet50 has no SE blocks for stages=.2,."),
        ({"name": "resnet18", "stem": "big"}, "unknown stem 'big': choose one of paper, small"),
        ({"name": "resnet18", "num_classes": 0}, "at least one class, got num_classes=0"),
        ({"name": "resnet18", "width": 0}, "between 1/64 and 16, got 0"),
        ({"name": "resnet18", "width": float("nan")}, "got nan"),
        ({"name": "se_resnet18", "width": 0.125}, "reduction between 1 and the 8 channels of the block, got 16"),
        ({"name": "se_resnet18", "gate": "none"}, "unknown gate 'none'"),
    ],
)
def test_mistakes_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(SevisError, match=message):
        sevis.build(**arguments)
