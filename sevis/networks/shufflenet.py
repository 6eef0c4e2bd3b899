"""ShuffleNet v1 1x with three groups (arXiv 1707.01083, Table 1 and Figure 2).

`layer1` to `layer3` are the paper's stages 2 to 4. SE stands on the branch, before it is added to the shortcut or joined with it:
arXiv 1709.01507 does not say so, but only there do its 2.4M parameters come out (2,484,533, the digits behind cut off). Its 140 MFLOPs
come out nowhere: the table's network has 137.5.
"""

import torch
from torch import Tensor, nn

from sevis.networks.initialisation import he_initialise

GROUPS = 3
STEM = 24  # channels of the first convolution
UNITS = (4, 8, 4)  # in each stage
CHANNELS = 240  # of the first stage; each has twice those of the one before


class ShuffleUnit(nn.Module):
    """1x1 in groups, shuffle, depthwise 3x3, 1x1 in groups, the SE block on the branch; the sum, or, with stride 2, both side by side."""

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int = GROUPS) -> None:
        super().__init__()
        self.joins = stride > 1
        branch = outputs - inputs if self.joins else outputs
        width = outputs // 4
        self.conv1 = nn.Conv2d(inputs, width, 1, groups=groups, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.shuffle = nn.ChannelShuffle(GROUPS)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, groups=width, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, branch, 1, groups=GROUPS, bias=False)
        self.bn3 = nn.BatchNorm2d(branch)
        self.se: nn.Module = nn.Identity()
        self.downsample = nn.AvgPool2d(3, stride, padding=1) if self.joins else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        u = self.relu(self.bn1(self.conv1(x)))
        u = self.bn2(self.conv2(self.shuffle(u)))
        u = self.se(self.bn3(self.conv3(u)))
        shortcut = self.downsample(x)
        return self.relu(torch.cat([shortcut, u], dim=1) if self.joins else u + shortcut)  # type: ignore[no-any-return]


class ShuffleNet(nn.Module):
    """Images (N, 3, H, W) in, logits (N, num_classes) out; `width` is the paper's factor s, rounded to whole groups."""

    def __init__(self, *, num_classes: int, width: float = 1.0) -> None:
        super().__init__()
        channels = _scaled(STEM, width, GROUPS)
        self.conv1 = nn.Conv2d(3, channels, 3, 2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        stages = []
        for index, depth in enumerate(UNITS):
            outputs = _scaled(CHANNELS, width, 4 * GROUPS) << index
            groups = GROUPS if index else 1  # the stem has too few channels to group them
            first = ShuffleUnit(channels, outputs, 2, groups)
            stages.append(nn.Sequential(first, *(ShuffleUnit(outputs, outputs, 1) for _ in range(depth - 1))))
            channels = outputs
        self.layer1, self.layer2, self.layer3 = stages
        self.fc = nn.Linear(channels, num_classes)
        he_initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(torch.mean(x, dim=(2, 3)))  # type: ignore[no-any-return]


def _scaled(channels: int, width: float, multiple: int) -> int:
    return multiple * max(1, round(channels * width / multiple))
