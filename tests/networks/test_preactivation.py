"""The pre-activation networks against the formula of their papers, by their weights."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sevis
from tests.helpers.exact import State, assert_close, images, normalise, ready


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
