"""BN-Inception against its rows as plain functions, and against its release."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sevis
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
