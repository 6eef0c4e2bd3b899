"""ShuffleNet against the figure of its paper, group by group, and against its table."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import sevis
from sevis.networks.shufflenet import ShuffleUnit
from tests.helpers.exact import State, assert_close, images, normalise, ready


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
