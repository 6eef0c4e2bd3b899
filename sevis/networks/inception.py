"""BN-Inception (arXiv 1502.03167, Figure 5), as the SE authors trained and released it.

The rows, and max pools that round up instead of padding, are those of their SE-BN-Inception.prototxt (github.com/hujie-frank/SENet).
Convolutions have no biases, norms have scale and shift: 11,285,224 parameters, and 11,931,622 with SE.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sevis.networks.initialisation import he_initialise


@dataclass(frozen=True)
class InceptionRow:
    """One module of the table: the channels of its convolutions, 0 where it lacks one.

    Attributes:
        one: the 1x1 branch.
        three: the 3x3 branch, 1x1 and 3x3.
        double: the double 3x3 branch, 1x1 and both 3x3.
        pool, projection: avg or max, and the 1x1 behind it.
        stride: of the pool and of the last 3x3 convolutions; 2 goes without a 1x1 branch and a projection.
    """

    one: int
    three: tuple[int, int]
    double: tuple[int, int]
    pool: str
    projection: int
    stride: int = 1


STAGES = (  # modules 3a to 3c, 4a to 4e, 5a and 5b
    (
        InceptionRow(64, (64, 64), (64, 96), "avg", 32),
        InceptionRow(64, (64, 96), (64, 96), "avg", 64),
        InceptionRow(0, (128, 160), (64, 96), "max", 0, stride=2),
    ),
    (
        InceptionRow(224, (64, 96), (96, 128), "avg", 128),
        InceptionRow(192, (96, 128), (96, 128), "avg", 128),
        InceptionRow(160, (128, 160), (128, 160), "avg", 128),
        InceptionRow(96, (128, 192), (160, 192), "avg", 128),
        InceptionRow(0, (128, 192), (192, 256), "max", 0, stride=2),
    ),
    (
        InceptionRow(352, (192, 320), (160, 224), "avg", 128),
        InceptionRow(352, (192, 320), (192, 224), "max", 128),
    ),
)


class Inception(nn.Module):
    """Branches side by side, their maps one after the other, the SE block on all of them."""

    def __init__(self, inputs: int, row: InceptionRow) -> None:
        super().__init__()
        (reduced, three), (narrow, double) = row.three, row.double
        branches = [
            nn.Sequential(_convolution(inputs, reduced, 1), _convolution(reduced, three, 3, row.stride)),
            nn.Sequential(_convolution(inputs, narrow, 1), _convolution(narrow, double, 3), _convolution(double, double, 3, row.stride)),
        ]
        if row.one:
            branches.insert(0, _convolution(inputs, row.one, 1))
        branches.append(nn.Sequential(_pool(row)))
        if row.projection:
            branches[-1].append(_convolution(inputs, row.projection, 1))
        self.channels = row.one + three + double + (row.projection or inputs)
        self.branches = nn.ModuleList(branches)
        self.se: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        u = torch.cat([branch(x) for branch in self.branches], dim=1)
        return self.se(u)  # type: ignore[no-any-return]


class BNInception(nn.Module):
    """Images (N, 3, H, W), whose sides are multiples of 32, in, logits (N, num_classes) out."""

    def __init__(self, *, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _convolution(3, 64, 7, 2),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            _convolution(64, 64, 1),
            _convolution(64, 192, 3),
            nn.MaxPool2d(3, 2, ceil_mode=True),
        )
        channels = 192
        stages = []
        for rows in STAGES:
            stage = nn.Sequential()
            for row in rows:
                module = Inception(channels, row)
                stage.append(module)
                channels = module.channels
            stages.append(stage)
        self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Linear(channels, num_classes)
        he_initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer4(self.layer3(self.layer2(self.stem(x))))
        return self.fc(torch.mean(x, dim=(2, 3)))  # type: ignore[no-any-return]


def _convolution(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def _pool(row: InceptionRow) -> nn.Module:
    if row.stride > 1:
        return nn.MaxPool2d(3, row.stride, ceil_mode=True)
    return nn.MaxPool2d(3, 1, padding=1) if row.pool == "max" else nn.AvgPool2d(3, 1, padding=1)
