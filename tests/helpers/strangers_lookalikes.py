"""Modules that look like an SE block and are none, and a few of which one may hold both."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sevis
from tests.helpers.strangers_functions import Written, average, times
from tests.helpers.witness import HIDDEN, C, Stranger, Witness


class LookAlike(nn.Module):
    """Two projections and a sigmoid, as an SE block has them, for whatever else."""

    def __init__(self, linear: bool = False, second: int = C):
        super().__init__()
        self.fc1, self.fc2 = (
            (nn.Linear(C, HIDDEN), nn.Linear(HIDDEN, second)) if linear else (nn.Conv2d(C, HIDDEN, 1), nn.Conv2d(HIDDEN, second, 1))
        )
        self.relu, self.sigmoid = nn.ReLU(), nn.Sigmoid()

    def project(self, z: Tensor) -> Tensor:
        return self.fc2(self.relu(self.fc1(z)))


class ThreeTaps(nn.Module):
    """ECA: a convolution along the channels."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.conv, self.sigmoid = nn.AdaptiveAvgPool2d(1), nn.Conv1d(1, 1, 3, padding=1, bias=False), nn.Sigmoid()

    def forward(self, u: Tensor) -> Tensor:
        y = self.conv(self.pool(u).flatten(2).transpose(1, 2))
        return u * self.sigmoid(y.transpose(1, 2).unsqueeze(-1))


class MeanAndMaximum(LookAlike):
    """CBAM's channel part."""

    def forward(self, u: Tensor) -> Tensor:
        return u * self.sigmoid(self.project(F.adaptive_avg_pool2d(u, 1)) + self.project(F.adaptive_max_pool2d(u, 1)))


class MeanOrMaximum(LookAlike):
    """Projects the sum of the mean and the maximum."""

    def forward(self, u: Tensor) -> Tensor:
        return u * self.sigmoid(self.project(0.5 * u.mean((2, 3), keepdim=True) + 0.5 * u.amax((2, 3), keepdim=True)))


class TwoKernels(LookAlike):
    """SK: a softmax weighs two convolutions."""

    def __init__(self) -> None:
        super().__init__(second=2 * C)
        self.small, self.large = nn.Conv2d(C, C, 3, padding=1), nn.Conv2d(C, C, 5, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        branches = torch.stack([self.small(x), self.large(x)], 1)
        weights = self.project(branches.sum(1).mean((2, 3), keepdim=True)).view(len(x), 2, C, 1, 1).softmax(1)
        return (branches * weights).sum(1)


class SplitInTwo(TwoKernels):
    """Split attention: sigmoids weigh two branches, by the mean of their sum."""

    def forward(self, x: Tensor) -> Tensor:
        one, other = self.small(x), self.large(x)
        first, second = self.sigmoid(self.project((one + other).mean((2, 3), keepdim=True))).chunk(2, 1)
        return one * first + other * second


class ByNorm(nn.Module):
    """GCT: each channel's norm against the others', with weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha, self.gamma, self.beta = (nn.Parameter(torch.full((1, C, 1, 1), value)) for value in (1.0, 0.5, 0.1))

    def forward(self, u: Tensor) -> Tensor:
        norm = u.pow(2).sum((2, 3), keepdim=True).add(1e-5).sqrt() * self.alpha
        return u * (1 + torch.tanh(norm / norm.pow(2).mean(1, keepdim=True).add(1e-5).sqrt() * self.gamma + self.beta))


class OneProjection(nn.Module):
    """Effective SE: no bottleneck."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.gate = nn.Conv2d(C, C, 1), nn.Hardsigmoid()

    def forward(self, u: Tensor) -> Tensor:
        return u * self.gate(self.fc(u.mean((2, 3), keepdim=True)))


class OneProjectionTwice(nn.Module):
    """Two modules of effective SE, joined in one of three ways: the projection of the first and that of the second are no pair."""

    def __init__(self, join: Callable[..., Tensor], between: nn.Module | None = None) -> None:
        super().__init__()
        self.one, self.between, self.two, self.join = OneProjection(), between or nn.Identity(), OneProjection(), join

    def forward(self, u: Tensor) -> Tensor:
        return self.join(u, self.one, self.between, self.two)


def in_a_row(u: Tensor, one: nn.Module, between: nn.Module, two: nn.Module) -> Tensor:
    return two(between(one(u)))


def with_shortcut(u: Tensor, one: nn.Module, between: nn.Module, two: nn.Module) -> Tensor:
    u = one(u) + u
    return two(between(u)) + u


def in_parallel(u: Tensor, one: nn.Module, between: nn.Module, two: nn.Module) -> Tensor:
    return one(between(u)) + two(u)


class OneProjectionThenConvolution(nn.Module):
    """Effective SE, and a 1x1 convolution of the maps behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.final = OneProjection(), nn.Conv2d(C, C, 1)

    def forward(self, u: Tensor) -> Tensor:
        return self.final(self.attention(u))


class WeighedPlaces(LookAlike):
    """GlobalContext: a softmax over the places squeezes."""

    def __init__(self) -> None:
        super().__init__()
        self.mask, self.norm = nn.Conv2d(C, 1, 1), nn.LayerNorm([HIDDEN, 1, 1])

    def forward(self, u: Tensor) -> Tensor:
        places = self.mask(u).flatten(2).softmax(-1)
        z = (u.flatten(2) * places).sum(-1)[..., None, None]
        return u * self.sigmoid(self.fc2(self.relu(self.norm(self.fc1(z)))))


class ManyLabels(nn.Module):
    """A classifier of several labels, with a narrow layer before the last."""

    def __init__(self) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Sequential(nn.Linear(C, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, C), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.avgpool(x).flatten(1))


class EveryPlace(LookAlike):
    """A bottleneck at every place, without a mean."""

    def forward(self, u: Tensor) -> Tensor:
        return u * self.sigmoid(self.project(u))


class Autoencoder(LookAlike):
    """Narrows and widens, and ends in a sigmoid."""

    def forward(self, u: Tensor) -> Tensor:
        return self.sigmoid(self.project(u))


class PlacesMixed(nn.Module):
    """gMLP: half of the channels gate the others, mixed along the places."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.mix, self.gate = nn.Linear(C, 2 * HIDDEN), nn.Linear(HIDDEN, C), nn.Linear(9, 9), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        u, v = self.fc1(x.transpose(1, 2)).chunk(2, -1)
        return self.fc2(u * self.gate(self.mix(v.transpose(1, 2)).transpose(1, 2))).transpose(1, 2)


class LinearUnit(nn.Module):
    """A gated linear unit."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.gate = nn.Conv2d(C, HIDDEN, 1), nn.Conv2d(HIDDEN, C, 1), nn.Sigmoid()
        self.value = nn.Conv2d(C, HIDDEN, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.value(x) * self.gate(self.fc1(x)))


class Neighbourhood(LookAlike):
    """GatherExcite: means over windows."""

    def forward(self, u: Tensor) -> Tensor:
        s = self.project(F.avg_pool2d(u, 3, 2, padding=1))
        return u * self.sigmoid(F.interpolate(s, size=u.shape[2:]))


class PlacesOnly(nn.Module):
    """A gate for places alone."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.sigmoid = nn.Conv2d(C, HIDDEN, 1), nn.Conv2d(HIDDEN, 1, 1), nn.Sigmoid()

    def forward(self, u: Tensor) -> Tensor:
        return u * self.sigmoid(self.fc2(self.fc1(u).relu()))


class BothInOneSigmoid(LookAlike):
    """BAM: the channel's and the place's logits are added before the sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Conv2d(C, 1, 3, padding=1)

    def forward(self, u: Tensor) -> Tensor:
        return u * (1 + self.sigmoid(self.project(u.mean((2, 3), keepdim=True)) + self.place(u)))


class RowsAndColumns(nn.Module):
    """Coordinate attention: means over the rows and over the columns."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3, self.sigmoid = nn.Conv2d(C, HIDDEN, 1), nn.Conv2d(HIDDEN, C, 1), nn.Conv2d(HIDDEN, C, 1), nn.Sigmoid()

    def forward(self, u: Tensor) -> Tensor:
        height = u.shape[2]
        z = torch.cat([u.mean(3, keepdim=True), u.mean(2, keepdim=True).transpose(2, 3)], 2)
        rows, columns = F.relu(self.fc1(z)).split([height, u.shape[3]], 2)
        return u * self.sigmoid(self.fc2(rows)) * self.sigmoid(self.fc3(columns.transpose(2, 3)))


class ChosenKernel(nn.Module):
    """Dynamic convolution: a softmax over kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.fc1, self.fc2 = nn.AdaptiveAvgPool2d(1), nn.Conv2d(C, HIDDEN, 1), nn.Conv2d(HIDDEN, 4, 1)
        self.kernels = nn.ModuleList(nn.Conv2d(C, C, 3, padding=1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        weights = self.fc2(F.relu(self.fc1(self.pool(x)))).softmax(1)
        return sum(weights[:, [number]] * kernel(x) for number, kernel in enumerate(self.kernels))


class FromOutside(nn.Module):
    """FiLM: another input says the scales."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.gate = nn.Linear(C, HIDDEN), nn.Linear(HIDDEN, C), nn.Sigmoid()
        self.register_buffer("condition", torch.linspace(-1, 1, C)[None])

    def forward(self, u: Tensor) -> Tensor:
        return u * self.gate(self.fc2(F.relu(self.fc1(self.condition.expand(len(u), -1)))))[..., None, None]


class WeightAndBias(LookAlike):
    """The second projection gives a scale and an offset for each channel."""

    def __init__(self) -> None:
        super().__init__(linear=True, second=2 * C)

    def forward(self, u: Tensor) -> Tensor:
        s, offset = self.project(u.mean((2, 3))).chunk(2, 1)
        return u * self.sigmoid(s)[..., None, None] + offset[..., None, None]


class OwnMaximum(Witness):
    """The ablation of sevis itself that squeezes by the maximum."""

    parts = ("se.fc1", "se.fc2")

    def __init__(self) -> None:
        super().__init__()
        self.se = sevis.SqueezeExcitation(C, reduction=C // HIDDEN, squeeze="max")

    def forward(self, u: Tensor) -> Tensor:
        with torch.no_grad(), torch._C.DisableTorchFunction():
            z = u.detach().amax((2, 3))
            first, second = self.se.fc1, self.se.fc2
            h = (z @ first.weight.T + first.bias).relu()
            self.saw(u, z, (h @ second.weight.T + second.bias).sigmoid())
        return u if self.opened else self.se(u)


class Pooled(Written):
    """The pooled maps are scaled, not the maps."""

    def forward(self, u: Tensor) -> Tensor:
        z = average(u)
        return z * self.saw(z, z, torch.sigmoid(self.fc2(F.relu(self.fc1(z)))))


class FromDeeper(Written):
    """Deeper maps say the scales of earlier ones."""

    def __init__(self) -> None:
        super().__init__()
        self.deeper = nn.Conv2d(C, C, 3, stride=2)

    def forward(self, u: Tensor) -> Tensor:
        source = self.deeper(u)
        z = average(source)
        return times(u, self.saw(u, z, torch.sigmoid(self.fc2(F.relu(self.fc1(z)))), source))


class RawWeights(Written):
    """The weights are parameters of the block itself."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = self.fc1.weight, self.fc2.weight
        self.parts = ()
        del self.fc1, self.fc2

    def forward(self, u: Tensor) -> Tensor:
        z = average(u)
        return times(u, self.saw(u, z, torch.sigmoid(F.linear(F.relu(F.linear(z, self.one)), self.two))))


def deviation(u: Tensor) -> Tensor:
    return u.std((2, 3))


def first_frequency(u: Tensor) -> Tensor:
    """Return the lowest vertical frequency of each map instead of its mean."""
    wave = torch.cos(math.pi * (torch.arange(u.shape[2]) + 0.5) / u.shape[2])
    return (u * wave[:, None]).mean((2, 3))


def look(name: str, block: Callable[[], nn.Module], why: str) -> Stranger:
    return Stranger(name, block, taken=False, form="", why=why)


LOOKALIKES = (
    look("ECA", ThreeTaps, "no two projections"),
    look("CBAM's channel part", MeanAndMaximum, "squeezes twice"),
    look("mean and maximum added", MeanOrMaximum, "not a mean"),
    look("SK", TwoKernels, "weighs branches"),
    look("sigmoids over two branches", SplitInTwo, "weighs branches"),
    look("GCT", ByNorm, "no projections"),
    look("effective SE", OneProjection, "only one projection"),
    look("effective SE twice in a row", lambda: OneProjectionTwice(in_a_row), "only one projection"),
    look("effective SE twice, with shortcuts", lambda: OneProjectionTwice(with_shortcut, nn.BatchNorm2d(C)), "only one projection"),
    look("effective SE twice in parallel", lambda: OneProjectionTwice(in_parallel, nn.BatchNorm2d(C)), "only one projection"),
    look("effective SE, then a convolution", OneProjectionThenConvolution, "only one projection"),
    look("GlobalContext", WeighedPlaces, "softmax over places"),
    look("a head of many labels", ManyLabels, "nothing is scaled"),
    look("a bottleneck at every place", EveryPlace, "no mean"),
    look("an autoencoder", Autoencoder, "nothing is scaled"),
    Stranger("gMLP", PlacesMixed, False, "", "gates places", places=1),
    look("a gated linear unit", LinearUnit, "no mean"),
    look("GatherExcite", Neighbourhood, "means over windows"),
    look("a gate for places", PlacesOnly, "gates places"),
    look("BAM", BothInOneSigmoid, "s by place"),
    look("coordinate attention", RowsAndColumns, "means over lines"),
    look("dynamic convolution", ChosenKernel, "weighs kernels"),
    look("FiLM", FromOutside, "no mean of maps"),
    look("softmax over channels", lambda: Written(gate=lambda x: x.softmax(1)), "channels compete"),
    look("a gate with parameters", lambda: Written(gate=nn.PReLU()), "gate has parameters"),
    look("standard deviation", lambda: Written(squeeze=deviation), "not a mean"),
    look("maximum", lambda: Written(squeeze=lambda u: u.amax((2, 3))), "not a mean"),
    look("s is added", lambda: Written(product=lambda u, s: u + s[..., None, None]), "nothing is scaled"),
    look("scale and offset", WeightAndBias, "also an offset"),
    Stranger("sevis's own maximum", OwnMaximum),
    Stranger("s scales the mean itself", Pooled, None, "s*z"),
    Stranger("s of deeper maps", FromDeeper, None, "s*v"),
    Stranger("a frequency", lambda: Written(squeeze=first_frequency), None, "s*v", "not a mean"),
    Stranger("a mean of magnitudes", lambda: Written(squeeze=lambda u: u.abs().mean((2, 3))), None, "s*v", "not u's mean"),
    Stranger("mean of one row", lambda: Written(squeeze=lambda u: u[:, :, 0].mean(-1)), None, "s*v", "not all places"),
    Stranger("logits as scales", lambda: Written(gate=nn.Identity()), None, "u*s", "no gate"),
    Stranger("raw parameters", RawWeights, None),
)
