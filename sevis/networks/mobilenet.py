"""MobileNet v1 (arXiv 1704.04861, Table 1).

`layer1` to `layer4` hold the blocks at 56x56 down to 7x7, as in ResNet; the one block before them, at 112x112, is in `stem`. SE stands
after the pointwise convolution and its ReLU: arXiv 1709.01507 does not say so, but only there do its 4.7M parameters and 572 MFLOPs
come out (after the depthwise convolution they would be 4.6M and 571).
"""

import torch
from torch import Tensor, nn

from sevis.networks.initialisation import he_initialise

STEM = 32  # channels of the first convolution
STAGES = (  # channels of the pointwise convolutions; the first block of each stage but the stem's has stride 2
    (64,),
    (128, 128),
    (256, 256),
    (512, 512, 512, 512, 512, 512),
    (1024, 1024),
)


class Separable(nn.Module):
    """A depthwise 3x3 and a pointwise 1x1 convolution, each with norm and ReLU, and the SE block."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv2 = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.se: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        u = self.relu(self.bn1(self.conv1(x)))
        u = self.relu(self.bn2(self.conv2(u)))
        return self.se(u)  # type: ignore[no-any-return]


class MobileNet(nn.Module):
    """Images (N, 3, H, W) in, logits (N, num_classes) out; `width` is the paper's width multiplier alpha."""

    def __init__(self, *, num_classes: int, width: float = 1.0) -> None:
        super().__init__()
        channels = max(1, round(STEM * width))
        self.conv1 = nn.Conv2d(3, channels, 3, 2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        stages = []
        for index, stage in enumerate(STAGES):
            outputs = [max(1, round(number * width)) for number in stage]
            strides = [2 if index else 1] + [1] * len(stage)
            stages.append(nn.Sequential(*map(Separable, [channels, *outputs], outputs, strides)))
            channels = outputs[-1]
        self.stem, self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(channels, num_classes)
        he_initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.mean(x, dim=(2, 3)))  # type: ignore[no-any-return]
