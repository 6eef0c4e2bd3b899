"""MobileNet against timm's."""

import pytest
import timm
import torch
from torch import nn

import sevis
from tests.helpers.exact import assert_close, images, ready


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
