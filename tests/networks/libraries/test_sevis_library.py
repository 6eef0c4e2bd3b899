"""The networks of sevis by name: parameters as the papers print them, SE blocks where they should be, and mistakes named."""

import pytest
import torch
import torchvision
from torch import nn

import sevis
from sevis import SevisError
from sevis.networks import input_size, plain_twin
from tests.helpers.processes import loaded_by
from tests.helpers.slow import slow


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
        ("se_bn_inception", True, 11_931_622),
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


def test_the_same_seed_gives_plain_and_se_the_same_convolutions() -> None:
    torch.manual_seed(5)
    plain = sevis.build("resnet50", width=0.125)
    torch.manual_seed(5)
    gated = sevis.build("se_resnet50", width=0.125, reduction=4).state_dict()
    assert all(torch.equal(value, gated[key]) for key, value in plain.state_dict().items())
    assert all(".se.fc" in key for key in gated.keys() - plain.state_dict().keys())


def test_options_reach_the_blocks() -> None:
    block = sevis.build("se_resnet18", squeeze="max", gate="hardsigmoid", bias=False, reduction=8).layer2[0].se
    assert isinstance(block.gate, nn.Hardsigmoid)
    assert block.fc1.bias is None
    assert block.fc1.out_features == 16
    assert block.squeeze(torch.tensor([[[[1.0, 4.0], [2.0, 3.0]]]])) == 4.0


SITES = {  # how many SE blocks each network gets: one a unit
    **{"resnet18": 8, "resnet34": 16, "resnet50": 16, "resnet101": 33, "resnet152": 50, "resnext50_32x4d": 16, "resnext101_32x4d": 33},
    **{"vgg16_bn": 13, "bn_inception": 10, "inception_resnet_v2": 40, "mobilenet": 13, "shufflenet": 16},
    **{"resnet20": 9, "resnet110": 54, "resnet164": 54, "wrn16_8": 6},
}


def test_the_names() -> None:
    assert sevis.list_models() == (*SITES, *(f"se_{name}" for name in SITES), "senet154")
    assert [plain_twin(name) for name in ("resnet50", "se_resnet50", "senet154")] == ["resnet50", "resnet50", None]
    assert [input_size(name) for name in ("se_resnet50", "inception_resnet_v2", "se_wrn16_8", "senet154")] == [224, 299, 32, 224]


@pytest.mark.parametrize("name", slow(sevis.list_models()))
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


SIDES = {32: 16, 224: 64, 299: 107}  # pixels, instead of those that the network is meant for


def sample(name: str) -> torch.Tensor:
    side = SIDES[input_size(name)]
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "name", slow(name for name in sevis.list_models() if name not in ("resnet18", "resnet34", "se_resnet18", "se_resnet34"))
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
    "name", slow(name for name in sevis.list_models() if name.startswith("se") and name not in ("se_resnet18", "se_resnet34"))
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
