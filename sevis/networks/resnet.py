"""ResNet and SE-ResNet, 18 to 152 layers (arXiv 1512.03385 Table 1; arXiv 1709.01507 Table 1).

The weights have torchvision's names (conv1, layer1.0.conv1, ..., fc). As in the networks that the SE authors released, the first
1x1 convolution of a bottleneck carries the stride and the max pool rounds up instead of padding.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

DEPTHS = {  # name: (bottleneck?, blocks in stages 2 to 5)
    "resnet18": (False, (2, 2, 2, 2)),
    "resnet34": (False, (3, 4, 6, 3)),
    "resnet50": (True, (3, 4, 6, 3)),
    "resnet101": (True, (3, 4, 23, 3)),
    "resnet152": (True, (3, 8, 36, 3)),
}
STEMS = ("paper", "small")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, the SE block on the branch, the sum."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.channels = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.se: nn.Module = nn.Identity()
        self.downsample = _projection(inputs, self.channels, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        u = self.relu(self.bn1(self.conv1(x)))
        u = self.bn2(self.conv2(u))
        return self.relu(self.se(u) + self.downsample(x))  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """1x1 to reduce, 3x3, 1x1 to increase, the SE block on the branch, the sum."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.channels = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, self.channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(self.channels)
        self.se: nn.Module = nn.Identity()
        self.downsample = _projection(inputs, self.channels, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        u = self.relu(self.bn1(self.conv1(x)))
        u = self.relu(self.bn2(self.conv2(u)))
        u = self.bn3(self.conv3(u))
        return self.relu(self.se(u) + self.downsample(x))  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """A residual network: images (N, 3, H, W) in, logits (N, num_classes) out.

    `name` is a key of DEPTHS; `width` multiplies the channels of every stage; `stem` is `paper` (7x7 with stride 2, max pool) or
    `small` (3x3 with stride 1) for images too small to lose a factor of four.
    """

    def __init__(self, name: str, *, num_classes: int, width: float, stem: str) -> None:
        super().__init__()
        bottleneck, depths = DEPTHS[name]
        block = Bottleneck if bottleneck else BasicBlock
        base = round(64 * width)
        paper = stem == "paper"
        self.conv1 = nn.Conv2d(3, base, 7, 2, padding=3, bias=False) if paper else nn.Conv2d(3, base, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(base)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, ceil_mode=True) if paper else nn.Identity()
        channels = base
        stages = []
        for index, depth in enumerate(depths):
            stages.append(_stage(block, channels, base << index, depth, stride=1 if index == 0 else 2))
            channels = (base << index) * block.expansion
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.mean(x, dim=(2, 3)))  # type: ignore[no-any-return]


def graft_se(network: ResNet, make_block: Callable[[int], nn.Module]) -> ResNet:
    """Puts SE on every residual branch, after its last BN and before the sum (arXiv 1709.01507, section 3.3); returns the network."""
    for module in network.modules():
        if isinstance(module, BasicBlock | Bottleneck):
            module.se = make_block(module.channels)
    return network


def _stage(block: type[BasicBlock] | type[Bottleneck], inputs: int, width: int, depth: int, *, stride: int) -> nn.Sequential:
    first = block(inputs, width, stride)
    return nn.Sequential(first, *(block(width * block.expansion, width, 1) for _ in range(depth - 1)))


def _projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
