"""MobileNet, ShuffleNet, BN-Inception and the pre-activation networks against timm, or against their papers' words as plain functions."""

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sevis
from sevis.networks.inception import STAGES, Inception
from sevis.networks.shufflenet import ShuffleUnit
from tests.helpers.networks import stir

State = dict[str, Tensor]


def images(side: int, *, channels: int = 3) -> Tensor:
    return torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def ready(model: nn.Module) -> nn.Module:
    """In float64 and evaluation mode, with norms that are no identities."""
    return stir(model).double().eval()


def normalise(x: Tensor, state: State, name: str) -> Tensor:
    weight, bias, mean, variance = (state[f"{name}.{key}"][:, None, None] for key in ("weight", "bias", "running_mean", "running_var"))
    return (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias


def assert_close(mine: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(mine, expected, atol=1e-9, rtol=1e-9)
    assert expected.std() > 1e-3


@pytest.mark.parametrize(("width", "name"), [(1.0, "mobilenetv1_100"), (1.25, "mobilenetv1_125")])
def test_mobilenet_equals_timms(width: float, name: str) -> None:
    torch.manual_seed(0)
    theirs = ready(timm.create_model(name, num_classes=7))
    for module in theirs.modules():
        if hasattr(module, "act"):
            module.act = nn.ReLU()  # the paper's; timm has ReLU6
    mine = sevis.build("mobilenet", width=width, num_classes=7).double().eval()
    values, state = theirs.state_dict().values(), mine.state_dict()
    mine.load_state_dict(dict(zip(state, values, strict=True)))  # both in the order of their layers
    with torch.inference_mode():
        assert_close(mine(images(65)), theirs(images(65)))


def preactivation(state: State, x: Tensor) -> Tensor:
    """The network of arXiv 1603.05027 and 1605.07146, by its weights."""
    x = F.conv2d(x, state["conv1.weight"], padding=1)
    for stage in (1, 2, 3):
        block = 0
        while f"layer{stage}.{block}.conv1.weight" in state:
            x = preactivation_block(state, f"layer{stage}.{block}", x, stride=2 if stage > 1 and block == 0 else 1)
            block += 1
    x = F.relu(normalise(x, state, "bn")).mean(dim=(2, 3))
    return F.linear(x, state["fc.weight"], state["fc.bias"])


def preactivation_block(state: State, path: str, x: Tensor, *, stride: int) -> Tensor:
    shortcut, branch = x, x
    for number in (1, 2, 3):
        kernel = state.get(f"{path}.conv{number}.weight")
        if kernel is None:
            continue
        branch = F.relu(normalise(branch, state, f"{path}.bn{number}"))
        if number == 1 and f"{path}.downsample.weight" in state:
            shortcut = F.conv2d(branch, state[f"{path}.downsample.weight"], stride=stride)
        branch = F.conv2d(branch, kernel, stride=stride if number == 1 else 1, padding=kernel.shape[-1] // 2)
    return branch + shortcut


@pytest.mark.parametrize(("name", "depth"), [("resnet20", 20), ("resnet110", 110), ("resnet164", 164), ("wrn16_8", 16)])
def test_preactivation_networks_equal_their_papers_formula(name: str, depth: int) -> None:
    torch.manual_seed(0)
    model = ready(sevis.build(name, num_classes=7))
    paths = [path for path, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    shortcuts = sum("downsample" in path for path in paths)
    assert depth == (len(paths) if name == "wrn16_8" else len(paths) - shortcuts + 1)  # 6n + 4 counts shortcuts, 6n + 2 and 9n + 2 the fc
    with torch.inference_mode():
        assert_close(model(images(16)), preactivation(model.state_dict(), images(16)))


def shuffle_unit(state: State, x: Tensor, *, stride: int, first_groups: int) -> Tensor:
    """Figure 2 (b) and (c) of arXiv 1707.01083, group by group."""
    u = F.relu(normalise(pointwise(x, state["conv1.weight"], first_groups), state, "bn1"))
    channels = u.shape[1]
    shuffled = torch.stack([u[:, (channel % 3) * (channels // 3) + channel // 3] for channel in range(channels)], dim=1)
    kernel = state["conv2.weight"]
    u = torch.cat([F.conv2d(shuffled[:, [c]], kernel[[c]], stride=stride, padding=1) for c in range(channels)], dim=1)
    u = normalise(pointwise(normalise(u, state, "bn2"), state["conv3.weight"], 3), state, "bn3")
    if stride == 1:
        return F.relu(x + u)
    return F.relu(torch.cat([F.avg_pool2d(x, 3, stride, padding=1), u], dim=1))


def pointwise(x: Tensor, kernel: Tensor, groups: int) -> Tensor:
    parts = zip(x.chunk(groups, dim=1), kernel.chunk(groups), strict=True)
    return torch.cat([torch.einsum("nchw,oc->nohw", part, weights[:, :, 0, 0]) for part, weights in parts], dim=1)


@pytest.mark.parametrize(("inputs", "stride", "groups"), [(12, 2, 1), (12, 2, 3), (24, 1, 3)])
def test_shuffle_units_equal_the_papers_figure(inputs: int, stride: int, groups: int) -> None:
    torch.manual_seed(0)
    unit = ready(ShuffleUnit(inputs, 24, stride, groups))
    x = images(9, channels=inputs)
    with torch.inference_mode():
        assert_close(unit(x), shuffle_unit(unit.state_dict(), x, stride=stride, first_groups=groups))


def test_shufflenet_has_the_stages_of_its_table() -> None:
    model = sevis.build("shufflenet", num_classes=7).eval()
    outputs: list[torch.Size] = []
    for layer in (model.maxpool, model.layer1, model.layer2, model.layer3):
        layer.register_forward_hook(lambda _, __, output: outputs.append(output.shape[1:]))
    with torch.inference_mode():
        model(torch.zeros(1, 3, 224, 224))
    assert outputs == [(24, 56, 56), (240, 28, 28), (480, 14, 14), (960, 7, 7)]
    assert [len(layer) for layer in (model.layer1, model.layer2, model.layer3)] == [4, 8, 4]
    assert [unit.conv1.groups for unit in (model.layer1[0], model.layer1[1], model.layer2[0])] == [1, 3, 3]


def inception(module: nn.Module, x: Tensor, *, pool: str, stride: int) -> Tensor:
    """An Inception module by its convolutions, of which one with stride 2 lacks the first, 1x1, and the last, behind the pool."""
    state = module.state_dict()
    convolutions = [name for name in state if state[name].ndim == 4]
    if stride == 2:
        convolutions = ["", *convolutions, ""]

    def convolve(x: Tensor, number: int, stride: int = 1) -> Tensor:
        kernel, sequence = state[convolutions[number]], convolutions[number].removesuffix("0.weight")
        return F.relu(normalise(F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2), state, f"{sequence}1"))

    three = convolve(convolve(x, 1), 2, stride)
    double = convolve(convolve(convolve(x, 3), 4), 5, stride)
    if pool == "avg":
        pooled = sum(F.pad(x, (1, 1, 1, 1))[:, :, i : i + x.shape[2], j : j + x.shape[3]] for i in range(3) for j in range(3)) / 9
    else:
        before = 2 - stride  # Caffe pads an even side behind only
        pooled = F.max_pool2d(F.pad(x, (before, 1, before, 1), value=-1e9), 3, stride)
    return torch.cat([three, double, pooled] if stride == 2 else [convolve(x, 0), three, double, convolve(pooled, 6)], dim=1)


@pytest.mark.parametrize(("stage", "row", "pool", "stride"), [(0, 0, "avg", 1), (0, 2, "max", 2), (2, 1, "max", 1)])
def test_inception_modules_equal_their_rows(stage: int, row: int, pool: str, stride: int) -> None:
    torch.manual_seed(0)
    module = ready(Inception(16, STAGES[stage][row]))
    x = images(8, channels=16)
    with torch.inference_mode():
        assert_close(module(x), inception(module, x, pool=pool, stride=stride))


def test_bn_inception_has_the_channels_of_its_release() -> None:
    model = sevis.build("bn_inception", num_classes=7).eval()
    shapes: list[tuple[int, int]] = []
    for module in model.modules():
        if isinstance(module, Inception):
            module.register_forward_hook(lambda _, __, output: shapes.append((output.shape[1], output.shape[2])))
    with torch.inference_mode():
        model(torch.zeros(1, 3, 224, 224))
    assert [channels for channels, _ in shapes] == [256, 320, 576, 576, 576, 608, 608, 1056, 1024, 1024]
    assert [side for _, side in shapes] == [28, 28, 14, 14, 14, 14, 14, 7, 7, 7]
