"""The paper's networks for CIFAR: pre-activation ResNets (arXiv 1603.05027) and wide ones (arXiv 1605.07146), for 32x32 pixels.

Norm and ReLU stand before each convolution, and nothing follows the sum. ResNet-20 and ResNet-110 are of this kind too, as Table 4 of
arXiv 1709.01507 cites that paper for ResNet-110.

Where a block changes the number of channels, its first norm and ReLU serve the branch and the shortcut's 1x1 convolution, which has no
norm of its own; elsewhere the shortcut is x itself. So do resnet-pre-act.lua of github.com/KaimingHe/resnet-1k-layers and the code of
github.com/szagoruyko/wide-residual-networks. The first convolution of a bottleneck carries the stride, as in the former.

With placement `pre`, SE stands before the first convolution, behind that norm and ReLU: Figure 5 shows no pre-activation unit.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sevis.networks.initialisation import he_initialise


@dataclass(frozen=True)
class PreactivationLayout:
    """What tells one of these networks from another.

    Attributes:
        depth: the number of blocks in each of the three stages.
        bottleneck: blocks of 1x1, 3x3 and 1x1 convolutions instead of two 3x3.
        widening: the factor k on the 16, 32 and 64 channels of the 3x3 convolutions.
    """

    depth: int
    bottleneck: bool = False
    widening: int = 1


LAYOUTS = {
    "resnet20": PreactivationLayout(3),
    "resnet110": PreactivationLayout(18),
    "resnet164": PreactivationLayout(18, bottleneck=True),
    "wrn16_8": PreactivationLayout(2, widening=8),
}


class PreactivationBlock(nn.Module):
    """Two 3x3 convolutions, each after a norm and a ReLU, the SE block on the branch, the sum."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.channels = width
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.se: nn.Module = nn.Identity()
        self.projects = inputs != self.channels
        self.downsample = _projection(inputs, self.channels, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        active = self.relu(self.bn1(x))
        u = self.conv1(active)
        u = self.conv2(self.relu(self.bn2(u)))
        return self.se(u) + self.downsample(active if self.projects else x)  # type: ignore[no-any-return]


class PreactivationBottleneck(nn.Module):
    """1x1 to reduce, 3x3, 1x1 to increase, each after a norm and a ReLU, the SE block on the branch, the sum."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.channels = 4 * width
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 1, stride, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, self.channels, 1, bias=False)
        self.se: nn.Module = nn.Identity()
        self.projects = inputs != self.channels
        self.downsample = _projection(inputs, self.channels, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        active = self.relu(self.bn1(x))
        u = self.conv1(active)
        u = self.conv2(self.relu(self.bn2(u)))
        u = self.conv3(self.relu(self.bn3(u)))
        return self.se(u) + self.downsample(active if self.projects else x)  # type: ignore[no-any-return]


class PreactivationResNet(nn.Module):
    """A pre-activation residual network: images (N, 3, H, W) in, logits (N, num_classes) out; `layout` is one of LAYOUTS."""

    def __init__(self, layout: PreactivationLayout, *, num_classes: int) -> None:
        super().__init__()
        block = PreactivationBottleneck if layout.bottleneck else PreactivationBlock
        channels = 16
        self.conv1 = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        stages = []
        for index in range(3):
            width = 16 * layout.widening << index
            first = block(channels, width, 1 if index == 0 else 2)
            channels = first.channels
            stages.append(nn.Sequential(first, *(block(channels, width, 1) for _ in range(layout.depth - 1))))
        self.layer1, self.layer2, self.layer3 = stages
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(channels, num_classes)
        he_initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        x = self.relu(self.bn(x))
        return self.fc(torch.mean(x, dim=(2, 3)))  # type: ignore[no-any-return]


def _projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride, bias=False)
