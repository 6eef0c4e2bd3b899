"""ResNet, ResNeXt and the body of SENet-154 (arXiv 1512.03385 Table 1; 1611.05431 Table 1; 1709.01507 Table 1 and its appendix).

The weights have torchvision's names (conv1, layer1.0.conv1, ..., fc). As in the networks that the SE authors released, the first
1x1 convolution of a ResNet's bottleneck carries the stride, a ResNeXt's and SENet-154's 3x3 carries it, and the max pool rounds up
instead of padding.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from sevis.networks.initialisation import he_initialise

STEMS = ("paper", "small")


@dataclass(frozen=True)
class ResNetLayout:
    """What tells one residual network from another.

    Attributes:
        depths: the number of blocks in stages 2 to 5.
        bottleneck: blocks of 1x1, 3x3 and 1x1 convolutions instead of two 3x3.
        groups, group_width: the 3x3 convolution of a bottleneck has so many groups, each with so many channels in stage 2.
        stride_in_3x3: the 3x3 convolution of a bottleneck carries the stride, not the first 1x1.
        halved: the first 1x1 convolution has half the channels of the 3x3.
        projection: the side of the shortcut's convolution where it halves the resolution.
        stem: the channels of the 3x3 convolutions that stand for the 7x7; empty: the 7x7.
        dropout: of the pooled features.
    """

    depths: tuple[int, int, int, int]
    bottleneck: bool = True
    groups: int = 1
    group_width: int = 64
    stride_in_3x3: bool = False
    halved: bool = False
    projection: int = 1
    stem: tuple[int, ...] = ()
    dropout: float = 0.0


LAYOUTS = {
    "resnet18": ResNetLayout((2, 2, 2, 2), bottleneck=False),
    "resnet34": ResNetLayout((3, 4, 6, 3), bottleneck=False),
    "resnet50": ResNetLayout((3, 4, 6, 3)),
    "resnet101": ResNetLayout((3, 4, 23, 3)),
    "resnet152": ResNetLayout((3, 8, 36, 3)),
    "resnext50_32x4d": ResNetLayout((3, 4, 6, 3), groups=32, group_width=4, stride_in_3x3=True),
    "resnext101_32x4d": ResNetLayout((3, 4, 23, 3), groups=32, group_width=4, stride_in_3x3=True),
}
SENET154 = ResNetLayout(
    (3, 8, 36, 3), groups=64, group_width=4, stride_in_3x3=True, halved=True, projection=3, stem=(64, 64, 128), dropout=0.2
)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, the SE block on the branch, the sum; `width` channels out."""

    def __init__(self, layout: ResNetLayout, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.channels = width
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.se: nn.Module = nn.Identity()
        self.downsample = _projection(layout, inputs, self.channels, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        u = self.relu(self.bn1(self.conv1(x)))
        u = self.bn2(self.conv2(u))
        return self.relu(self.se(u) + self.downsample(x))  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """1x1 to reduce, 3x3, 1x1 to increase, the SE block on the branch, the sum; four times `width` channels out."""

    def __init__(self, layout: ResNetLayout, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.channels = 4 * width
        middle = layout.groups * max(1, layout.group_width * width // 64)
        first = middle // 2 if layout.halved else middle
        strides = (1, stride) if layout.stride_in_3x3 else (stride, 1)
        self.conv1 = nn.Conv2d(inputs, first, 1, strides[0], bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, middle, 3, strides[1], padding=1, groups=layout.groups, bias=False)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, self.channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(self.channels)
        self.se: nn.Module = nn.Identity()
        self.downsample = _projection(layout, inputs, self.channels, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        u = self.relu(self.bn1(self.conv1(x)))
        u = self.relu(self.bn2(self.conv2(u)))
        u = self.bn3(self.conv3(u))
        return self.relu(self.se(u) + self.downsample(x))  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """A residual network: images (N, 3, H, W) in, logits (N, num_classes) out.

    `layout` is one of LAYOUTS or SENET154; `width` multiplies the channels of every stage; `stem` is `paper` (7x7 with stride 2 or the
    layout's own, max pool) or `small` (3x3 with stride 1) for images too small to lose a factor of four.
    """

    def __init__(self, layout: ResNetLayout, *, num_classes: int, width: float = 1.0, stem: str = "paper") -> None:
        super().__init__()
        block = Bottleneck if layout.bottleneck else BasicBlock
        base = round(64 * width)
        channels = layout.stem[-1] if layout.stem else base
        self.conv1 = _stem(layout.stem, channels, small=stem == "small")
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if stem == "small" else nn.MaxPool2d(3, 2, ceil_mode=True)
        stages = []
        for index, depth in enumerate(layout.depths):
            first = block(layout, channels, base << index, 1 if index == 0 else 2)
            channels = first.channels
            stages.append(nn.Sequential(first, *(block(layout, channels, base << index, 1) for _ in range(depth - 1))))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.dropout = nn.Dropout(layout.dropout) if layout.dropout else nn.Identity()
        self.fc = nn.Linear(channels, num_classes)
        he_initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.dropout(torch.mean(x, dim=(2, 3))))  # type: ignore[no-any-return]


def _stem(deep: tuple[int, ...], channels: int, *, small: bool) -> nn.Module:
    """Return the first convolution, or the first few; a norm and a ReLU follow."""
    if small:
        return nn.Conv2d(3, channels, 3, padding=1, bias=False)
    if not deep:
        return nn.Conv2d(3, channels, 7, 2, padding=3, bias=False)
    layers: list[nn.Module] = [nn.Conv2d(3, deep[0], 3, 2, padding=1, bias=False)]
    for inputs, outputs in pairwise(deep):
        layers += [nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)]
    return nn.Sequential(*layers)


def _projection(layout: ResNetLayout, inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    side = layout.projection if stride > 1 else 1
    return nn.Sequential(nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=False), nn.BatchNorm2d(outputs))
