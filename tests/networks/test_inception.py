"""BN-Inception against its rows as plain functions, and against its release."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sevis
from sevis.networks.costs import measure_cost
from sevis.networks.inception import STAGES, Inception
from tests.helpers.exact import assert_close, images, normalise, ready


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


# arXiv 1502.03167, Figure 5: a module's input channels, and the (inputs, outputs, side) of each of its convolutions.
MODULES: dict[str, tuple[int, tuple[tuple[int, int, int], ...]]] = {
    "3a": (192, ((192, 64, 1), (192, 64, 1), (64, 64, 3), (192, 64, 1), (64, 96, 3), (96, 96, 3), (192, 32, 1))),
    "3b": (256, ((256, 64, 1), (256, 64, 1), (64, 96, 3), (256, 64, 1), (64, 96, 3), (96, 96, 3), (256, 64, 1))),
    "3c": (320, ((320, 128, 1), (128, 160, 3), (320, 64, 1), (64, 96, 3), (96, 96, 3))),
    "4a": (576, ((576, 224, 1), (576, 64, 1), (64, 96, 3), (576, 96, 1), (96, 128, 3), (128, 128, 3), (576, 128, 1))),
    "4b": (576, ((576, 192, 1), (576, 96, 1), (96, 128, 3), (576, 96, 1), (96, 128, 3), (128, 128, 3), (576, 128, 1))),
    "4c": (576, ((576, 160, 1), (576, 128, 1), (128, 160, 3), (576, 128, 1), (128, 160, 3), (160, 160, 3), (576, 128, 1))),
    "4d": (608, ((608, 96, 1), (608, 128, 1), (128, 192, 3), (608, 160, 1), (160, 192, 3), (192, 192, 3), (608, 128, 1))),
    "4e": (608, ((608, 128, 1), (128, 192, 3), (608, 192, 1), (192, 256, 3), (256, 256, 3))),
    "5a": (1056, ((1056, 352, 1), (1056, 192, 1), (192, 320, 3), (1056, 160, 1), (160, 224, 3), (224, 224, 3), (1056, 128, 1))),
    "5b": (1024, ((1024, 352, 1), (1024, 192, 1), (192, 320, 3), (1024, 192, 1), (192, 224, 3), (224, 224, 3), (1024, 128, 1))),
}
STEM = ((3, 64, 7), (64, 64, 1), (64, 192, 3))
RELEASED_WIDTHS = {256: 16, 320: 20, 576: 36, 608: 38, 1056: 66, 1024: 64}  # C: C/r, in the release's prototxt


def test_parameters_of_se_bn_inception_by_hand() -> None:
    """A convolution and its norm: k*k*in*out + 2*out; SE: two projections with biases. What multiplies by the excitation learns nothing."""
    convolutions = [*STEM, *(convolution for _, module in MODULES.values() for convolution in module)]
    plain = sum(side * side * inputs * outputs + 2 * outputs for inputs, outputs, side in convolutions) + (1024 + 1) * 1000
    outputs = [*(inputs for inputs, _ in list(MODULES.values())[1:]), 1024]  # what a module gives is what the next one takes
    gates = sum(2 * width * RELEASED_WIDTHS[width] + RELEASED_WIDTHS[width] + width for width in outputs)
    assert (plain, gates, plain + gates) == (11_285_224, 646_398, 11_931_622)
    with torch.device("meta"):
        counted = {name: measure_cost(sevis.build(name), (3, 224, 224)) for name in ("bn_inception", "se_bn_inception")}
    assert [cost.parameters for cost in counted.values()] == [plain, plain + gates]
    assert counted["se_bn_inception"].se_parameters == gates
