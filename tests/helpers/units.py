"""Units of many networks, and the networks without memory for their numbers."""

from functools import cache

import torch
from torch import nn

import sevis
from sevis.networks.placements import PLACEMENTS


@cache
def make(name: str, **options: object) -> nn.Module:
    with torch.device("meta"):
        return sevis.build(name, **options).eval()


UNITS = [
    *[("se_resnet50", {"placement": placement}, "SE_4_1", "layer3.0") for placement in PLACEMENTS],
    ("resnet50", {}, "SE_4_2", "layer3.1"),
    ("se_resnext50_32x4d", {}, "SE_3_1", "layer2.0"),
    ("senet154", {}, "SE_3_1", "layer2.0"),
    ("se_bn_inception", {}, "SE_3_1", "layer2.0"),
    ("se_mobilenet", {}, "SE_2_1", "layer1.0"),
    ("se_shufflenet", {}, "SE_2_1", "layer1.0"),
    ("se_resnet164", {}, "SE_3_1", "layer2.0"),
    ("se_inception_resnet_v2", {}, "SE_4_1", "repeat_1.0"),
]
