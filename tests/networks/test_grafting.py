"""SE in networks of torchvision and timm that never had it: where it stands, what it leaves as it was, and what is refused."""

import copy
import pickle
from collections.abc import Callable
from functools import cache

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional

import sevis
from sevis import SevisError
from sevis.blocks.block import DoubledSigmoid
from sevis.networks.grafting import Gated, find_units, list_placements
from sevis.networks.placements import PLACEMENTS
from tests.helpers.networks import stir
from tests.helpers.slow import slow

# name: how many SE blocks, the first and the last
TORCHVISION = {
    "resnet18": (8, "SE_2_1", "SE_5_2"),
    "resnext50_32x4d": (16, "SE_2_1", "SE_5_3"),
    "wide_resnet50_2": (16, "SE_2_1", "SE_5_3"),
    "vgg11_bn": (8, "SE_1_1", "SE_5_2"),
    "vgg16_bn": (13, "SE_1_1", "SE_5_3"),
    "googlenet": (9, "SE_3_1", "SE_5_2"),
    "inception_v3": (11, "SE_3_1", "SE_5_3"),
    "mobilenet_v2": (17, "SE_1_1", "SE_5_4"),
    "shufflenet_v2_x0_5": (16, "SE_2_1", "SE_4_4"),
    "densenet121": (58, "SE_2_1", "SE_5_16"),
    "regnet_x_400mf": (22, "SE_2_1", "SE_5_12"),
}
TIMM = {
    "resnet18": (8, "SE_2_1", "SE_5_2"),
    "resnext50_32x4d": (16, "SE_2_1", "SE_5_3"),
    "vgg11_bn": (8, "SE_1_1", "SE_5_2"),
    "mobilenetv1_100": (13, "SE_1_1", "SE_5_2"),
    "mobilenetv2_100": (17, "SE_1_1", "SE_5_4"),
    "densenet121": (58, "SE_2_1", "SE_5_16"),
    "inception_resnet_v2": (40, "SE_3_1", "SE_5_10"),
    "inception_v3": (11, "SE_3_1", "SE_5_3"),
    "regnetx_002": (13, "SE_2_1", "SE_5_7"),
    "efficientnet_es": (18, "SE_1_1", "SE_5_2"),
    "mobilenetv4_conv_small": (12, "SE_4_1", "SE_5_6"),
}
NETWORKS = {
    **{f"torchvision/{name}": value for name, value in TORCHVISION.items()},
    **{f"timm/{name}": value for name, value in TIMM.items()},
}


LARGE = ("torchvision/wide_resnet50_2", "torchvision/vgg16_bn", "timm/vgg11_bn", "timm/resnext50_32x4d", "timm/inception_resnet_v2")


def make(name: str) -> nn.Module:
    """A network with weights that hide nothing, in evaluation mode."""
    torch.manual_seed(0)
    library, _, rest = name.partition("/")
    if library == "timm":
        return stir(timm.create_model(rest, num_classes=7)).eval()
    options = {"init_weights": False} if rest in ("googlenet", "inception_v3") else {}
    return stir(torchvision.models.get_model(rest, num_classes=7, **options)).eval()


def images(side: int = 96) -> torch.Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", slow(NETWORKS, LARGE))
def test_a_grafted_network_first_computes_what_it_did_and_is_captured(name: str) -> None:
    model = make(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.inference_mode():
        expected = model(images())
        grafted = sevis.graft(model, start="identity", reduction=4)
        with sevis.capture(grafted) as record:
            torch.testing.assert_close(grafted(images()), expected, atol=0, rtol=0)
        gated = sevis.graft(model, reduction=4)
        assert not torch.equal(gated(images()), expected)
    names = list(record)
    assert (len(names), names[0], names[-1]) == NETWORKS[name]
    assert all((block.scale == 1).all() and block.squeeze.std() > 0 for block in record.values())
    assert not any(isinstance(module, sevis.SqueezeExcitation) for module in model.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert before.keys() == model.state_dict().keys()


def branch(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Of torchvision's bottleneck, up to the sum."""
    u = functional.relu(block.bn1(block.conv1(x)))
    u = functional.relu(block.bn2(block.conv2(u)))
    return block.bn3(block.conv3(u))


def shortcut(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return x if block.downsample is None else block.downsample(x)


def squeeze_through(block: nn.Module, x: torch.Tensor, se: nn.Module) -> torch.Tensor:
    """Of torchvision's bottleneck, with SE behind the 3x3 convolution."""
    u = functional.relu(block.bn1(block.conv1(x)))
    u = se(functional.relu(block.bn2(block.conv2(u))))
    return functional.relu(block.bn3(block.conv3(u)) + shortcut(block, x))


FIGURE_5: dict[str, Callable[[nn.Module, torch.Tensor, nn.Module], torch.Tensor]] = {
    "standard": lambda block, x, se: functional.relu(se(branch(block, x)) + shortcut(block, x)),
    "pre": lambda block, x, se: functional.relu(branch(block, se(x)) + shortcut(block, x)),
    "post": lambda block, x, se: se(functional.relu(branch(block, x) + shortcut(block, x))),
    "identity": lambda block, x, se: functional.relu(branch(block, x) + se(shortcut(block, x))),
    "3x3": squeeze_through,
}


@cache
def two_resnets(name: str) -> tuple[nn.Module, nn.Module]:
    """ResNet-50 of torchvision, and that of a library with the same weights."""
    torch.manual_seed(0)
    plain = torchvision.models.resnet50(num_classes=7)
    model = sevis.build("resnet50", num_classes=7) if name.startswith("sevis") else make(name)
    model.load_state_dict(stir(plain).state_dict())
    return plain.eval(), model.eval()


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("name", ["torchvision/resnet50", "timm/resnet50", "sevis/resnet50"])
def test_placements_compute_what_figure_5_shows(name: str, placement: str) -> None:
    plain, model = two_resnets(name)
    torch.manual_seed(0)
    grafted = sevis.graft(model, placement=placement)
    sites = {site.name: site for site in sevis.find_sites(grafted)}
    x = torch.randn(2, 256, 12, 12)
    for number, key in ((1, "layer2.0"), (2, "layer2.1")):
        unit = plain.get_submodule(key)
        if name.startswith("sevis") and number == 1:
            unit.conv1.stride, unit.conv2.stride = (2, 2), (1, 1)
        se = grafted.get_submodule(sites[f"SE_3_{number}"].path)
        with torch.inference_mode():
            expected = FIGURE_5[placement](unit, x, se)
            torch.testing.assert_close(grafted.get_submodule(key)(x), expected, atol=1e-5, rtol=1e-5)
        x = expected


@pytest.mark.parametrize("name", ["timm/regnetx_002", "timm/regnetz_005"])
def test_every_placement_of_a_family_runs(name: str) -> None:
    """In RegNet-Z, the units that change the resolution have no shortcut, so that SE on it would add one."""
    model = make(name)
    with torch.inference_mode():
        expected = model(images())
        for placement in list_placements(model):
            grafted = sevis.graft(model, placement=placement, start="identity", reduction=2, again=True)
            assert torch.equal(grafted(images()), expected), placement


@pytest.mark.parametrize("name", ["torchvision/googlenet", "torchvision/vgg11_bn", "timm/inception_v3", "torchvision/densenet121"])
def test_channels_are_those_of_the_maps(name: str) -> None:
    model = make(name)
    shapes: dict[str, int] = {}

    def note(name: str, output: torch.Tensor) -> None:
        shapes[name] = output.shape[1]

    units = find_units(model)
    for unit in units:
        path = f"{unit.path}.{unit.slots['standard'].module}".rstrip(".")
        model.get_submodule(path).register_forward_hook(lambda _, __, output, name=unit.name: note(name, output))
    with torch.inference_mode():
        model(images())
    assert shapes == {unit.name: unit.channels["standard"] for unit in units}


def test_the_last_units_of_vgg_are_named_as_its_convolutions() -> None:
    """conv1_1, conv1_2, conv2_1, ... in arXiv 1409.1556."""
    convolutions = [f"SE_{stage}_{number + 1}" for stage, count in enumerate((2, 2, 3, 3, 3), start=1) for number in range(count)]
    with torch.device("meta"):
        assert [unit.name for unit in find_units(torchvision.models.vgg16_bn())] == convolutions


@pytest.mark.parametrize("stages", [(4,), (2, 5), ()])
def test_stages_choose_the_blocks(stages: tuple[int, ...]) -> None:
    grafted = sevis.graft(make("torchvision/resnet18"), stages=stages)
    assert [site.name for site in sevis.find_sites(grafted)] == [f"SE_{stage}_{number}" for stage in stages for number in (1, 2)]


def test_blocks_have_the_device_precision_and_mode_of_their_network() -> None:
    model = make("torchvision/resnet18").double().train()
    model.layer3.eval()
    grafted = sevis.graft(model)
    blocks = {site.name: grafted.get_submodule(site.path) for site in sevis.find_sites(grafted)}
    assert all(parameter.dtype == torch.float64 for parameter in grafted.parameters())
    assert {name for name, block in blocks.items() if not block.training} == {"SE_4_1", "SE_4_2"}
    assert all(wrapper.training == wrapper.se.training for wrapper in grafted.modules() if isinstance(wrapper, Gated))


def test_a_grafted_network_learns_is_copied_and_pickled() -> None:
    grafted = sevis.graft(make("torchvision/resnet18"), start="identity").train()
    functional.cross_entropy(grafted(images()), torch.tensor([0, 3])).backward()
    projections = [grafted.get_submodule(site.path).fc2 for site in sevis.find_sites(grafted)]
    assert all(projection.weight.grad.abs().max() > 0 for projection in projections)
    for other in (copy.deepcopy(grafted), pickle.loads(pickle.dumps(grafted))):  # noqa: S301
        assert [site.name for site in sevis.find_sites(other)] == [site.name for site in sevis.find_sites(grafted)]
        with torch.inference_mode():
            torch.testing.assert_close(other.eval()(images()), grafted.eval()(images()))


def test_no_random_number_is_drawn_but_for_the_blocks() -> None:
    torch.manual_seed(0)
    find_units(torchvision.models.mobilenet_v2().train())  # which has a dropout
    after_looking = torch.rand(1)
    torch.manual_seed(0)
    torchvision.models.mobilenet_v2()
    assert torch.equal(torch.rand(1), after_looking)


def test_a_network_that_has_blocks_gets_others_only_when_asked() -> None:
    model = timm.create_model("seresnet18", num_classes=7)
    with pytest.raises(SevisError, match=r"ResNet already has 8 SE blocks \(SE_2_1 to SE_5_2\): pass again=True"):
        sevis.graft(model)
    assert len(sevis.find_sites(sevis.graft(model, again=True))) == 16


def test_a_network_inside_another_keeps_its_rule() -> None:
    for create in (torchvision.models.vgg11_bn, torchvision.models.resnet18):
        with torch.device("meta"):
            model = create()
        around = nn.Sequential(nn.Identity(), model)
        assert [unit.name for unit in find_units(around)] == [unit.name for unit in find_units(model)]


def test_what_hangs_on_a_network_sees_nothing_of_the_search_for_channels() -> None:
    seen: list[float] = []
    model = make("torchvision/resnet18")
    model.layer1.register_forward_hook(lambda _, __, output: seen.append(output.mean().item()))
    grafted = sevis.graft(model)
    assert seen == []
    with torch.inference_mode():
        grafted(images())
    assert len(seen) == 1


class Odd(nn.Module):
    """A network of no family."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 32, 3, stride=2)
        self.blocks = nn.Sequential(nn.Conv2d(32, 48, 3, padding=1), nn.ReLU(), nn.Conv2d(48, 64, 3, stride=2))
        self.head = nn.Linear(64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.first(x)).mean((2, 3)))


def test_any_network_takes_se_where_it_is_told_to() -> None:
    grafted = sevis.graft(Odd(), after=["blocks.1", "blocks.2"], start="identity")
    assert {site.name: (site.path, site.channels) for site in sevis.find_sites(grafted)} == {
        "SE_1_1": ("blocks.1.se", 48),
        "SE_2_1": ("blocks.2.se", 64),
    }


def test_blocks_may_stand_inside_each_other() -> None:
    grafted = sevis.graft(Odd(), after=["blocks", "blocks.1"], start="identity")
    paths = {site.name: site.path for site in sevis.find_sites(grafted)}
    assert paths == {"SE_1_1": "blocks.body.1.se", "SE_2_1": "blocks.se"}


class Backwards(nn.Module):
    """A network that names its convolutions in another order than it runs them."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(32, 8, 1)
        self.first = nn.Conv2d(2, 32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(x))


def test_the_size_is_the_callers() -> None:
    (site,) = sevis.find_sites(sevis.graft(Backwards(), after=["first"], size=(2, 16, 16)))
    assert site.channels == 32


@pytest.mark.parametrize(
    ("make_model", "options", "message"),
    [
        (
            Odd,
            {},
            r"no rule says where SE goes in Odd, because sevis knows only .*torchvision's resnet.*: name the modules .* after=\['blocks.0'",
        ),
        (lambda: timm.create_model("vit_tiny_patch16_224"), {}, "no rule says where SE goes in VisionTransformer"),
        (Odd, {"after": ["block"]}, "Odd has no module 'block'"),
        (Odd, {"after": ["head"]}, r"expected maps of shape \(N, C, H, W\) out of head, got \(1, 5\)"),
        (torchvision.models.resnet18, {"placement": "3x3"}, "no placement '3x3': choose one of standard, pre, post, identity"),
        (torchvision.models.resnet18, {"placement": "before"}, "no placement 'before'"),
        (torchvision.models.vgg11_bn, {"placement": "pre"}, "VGG has no placement 'pre': choose one of standard"),
        (torchvision.models.resnet18, {"stages": [4, 6]}, "no stage 6: choose among 2, 3, 4, 5"),
        (torchvision.models.resnet18, {"stages": 4}, r"a sequence of stages, such as \(4,\), got 4"),
        (torchvision.models.resnet18, {"after": "layer1"}, r"a sequence of paths, such as \['layer1'\], got 'layer1'"),
        (
            torchvision.models.resnet18,
            {"size": (224, 224)},
            r"begins with a Conv2d: expected .* \(channels, height, width\), got \(224, 224\)",
        ),
        (lambda: torchvision.models.resnet18().layer1[0], {"size": (64, 8, 8)}, "no rule says where SE goes in BasicBlock"),
        (torchvision.models.resnet18, {"reduction": 65}, "reduction between 1 and the 64 channels of the block, got 65"),
        (torchvision.models.resnet18, {"start": "one"}, "unknown start 'one': choose one of he, identity"),
        (torchvision.models.resnet18, {"start": "identity", "gate": "tanh"}, "a tanh gate cannot start as the identity"),
        (
            torchvision.models.vgg11_bn,
            {"size": (3, 16, 16)},
            "3 × 16 × 16 is too small for VGG: the smallest possible input is 3 × 32 × 32",
        ),
        (torchvision.models.resnet18, {"squeeze": "sum"}, "unknown squeeze 'sum'"),
    ],
)
def test_what_cannot_be_grafted_is_refused_with_the_reason(
    make_model: Callable[[], nn.Module], options: dict[str, object], message: str
) -> None:
    with pytest.raises(SevisError, match=message):
        sevis.graft(make_model(), **options)


def test_the_doubled_sigmoid_is_one_where_it_starts() -> None:
    x = torch.tensor([0.0, 2.0], requires_grad=True)
    y = DoubledSigmoid()(x)
    torch.testing.assert_close(y, torch.tensor([1.0, 2 / (1 + torch.exp(torch.tensor(-2.0)).item())]))
    y[0].backward()
    assert x.grad[0] == 0.5


def test_every_placement_is_of_some_family() -> None:
    assert list_placements(torchvision.models.resnet50()) == PLACEMENTS
