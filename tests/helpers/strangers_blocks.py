"""SE blocks in the arrangements of public projects: which children they have, where they lie, and who calls them."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.helpers.witness import HIDDEN, C, Stranger, Witness

Tensors = tuple[Tensor, ...]


def wide(s: Tensor, u: Tensor) -> Tensor:
    """Return s with the dimensions of u."""
    return s.reshape(*s.shape[:2], *(1,) * (u.ndim - 2))


class Named(Witness):
    """Pool, two projections and perhaps a gate, as children of any names."""

    def __init__(self, names: str, *, places: int = 2, linear: bool = False, gate: nn.Module | None = None, act: nn.Module | None = None):
        super().__init__()
        pool, self.first, self.second, self.gate_name = names.split()
        self.parts = (self.first, self.second)
        make = nn.Linear if linear else {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[places]
        size = () if linear else (1,)
        self.linear, self.pool_name = linear, pool
        self.add_module(pool, {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}[places](1))
        self.add_module(self.first, make(C, HIDDEN, *size))
        self.nonlinearity = act or nn.ReLU(inplace=True)
        self.add_module(self.second, make(HIDDEN, C, *size))
        self.add_module(self.gate_name, gate or nn.Sigmoid())

    def forward(self, u: Tensor) -> Tensor:
        z = getattr(self, self.pool_name)(u)
        z = z.view(len(u), -1) if self.linear else z
        h = self.nonlinearity(getattr(self, self.first)(z))
        s = self.saw(u, z, getattr(self, self.gate_name)(getattr(self, self.second)(h)))
        return u * wide(s, u)


class WholeSequence(Witness):
    """Everything but the product lies in one sequence."""

    parts = ("body.1", "body.3")

    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.body = nn.Sequential(*layers)
        self.parts = tuple(f"body.{key}" for key, layer in self.body.named_children() if isinstance(layer, nn.Linear | nn.Conv2d))

    def forward(self, u: Tensor) -> Tensor:
        s = self.body(u)
        return u * self.saw(u, u.detach().mean((2, 3)), s).view(len(u), -1, 1, 1)


class SequenceItself(nn.Sequential):
    """A block that is a sequence and multiplies in its own forward."""

    def __init__(self) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Conv2d(C, HIDDEN, 1), nn.ReLU(), nn.Conv2d(HIDDEN, C, 1), nn.Sigmoid())

    def forward(self, u: Tensor) -> Tensor:
        return u * super().forward(u)


class Around(Witness):
    """Keeps what is true of a block that is no witness, by its layers' own weights."""

    def __init__(self, block: nn.Module, first: str, second: str):
        super().__init__()
        self.block, self.parts = block, (f"block.{first}", f"block.{second}")

    def forward(self, u: Tensor) -> Tensor:
        with torch.no_grad(), torch._C.DisableTorchFunction():
            z = u.detach().mean((2, 3))
            first, second = (self.get_submodule(part) for part in self.parts)
            h = F.linear(z, first.weight.flatten(1), first.bias).relu()
            s = F.linear(h, second.weight.flatten(1), second.bias).sigmoid()
        self.saw(u, z, s)
        return u if self.opened else self.block(u)


class Listed(Witness):
    """The layers lie in a list, which the forward indexes."""

    parts = ("layers.0", "layers.1")

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(C, HIDDEN), nn.Linear(HIDDEN, C)])

    def forward(self, u: Tensor) -> Tensor:
        z = u.mean((2, 3))
        s = self.saw(u, z, torch.sigmoid(self.layers[1](F.relu(self.layers[0](z)))))
        return u * s[:, :, None, None]


class Keyed(Witness):
    """The layers lie in a dictionary."""

    parts = ("layers.squash", "layers.blow")

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({"blow": nn.Conv2d(HIDDEN, C, 1), "gate": nn.Sigmoid(), "squash": nn.Conv2d(C, HIDDEN, 1)})

    def forward(self, u: Tensor) -> Tensor:
        z = F.adaptive_avg_pool2d(u, 1)
        s = self.layers["gate"](self.layers["blow"](self.layers["squash"](z).relu()))
        return u * self.saw(u, z, s)


class TwoSequences(Witness):
    """Each projection lies in a sequence of its own, with what follows it."""

    parts = ("reduce.0", "expand.0")

    def __init__(self) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.Linear(C, HIDDEN, bias=False), nn.LayerNorm(HIDDEN), nn.SiLU())
        self.expand = nn.Sequential(nn.Linear(HIDDEN, C, bias=False), nn.Sigmoid())

    def forward(self, u: Tensor) -> Tensor:
        z = u.mean(dim=(-2, -1))
        return u * self.saw(u, z, self.expand(self.reduce(z)))[..., None, None]


class ConvUnit(nn.Module):
    """A convolution with norm and activation, as toolboxes have it."""

    def __init__(self, inputs: int, outputs: int, *, norm: bool = False, act: nn.Module | None = None):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, bias=not norm)
        self.norm = nn.BatchNorm2d(outputs) if norm else None
        self.activate = act

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        x = x if self.norm is None else self.norm(x)
        return x if self.activate is None else self.activate(x)


class Units(Witness):
    """The projections are units; the second may hold the gate, or a function is it."""

    parts = ("conv1.conv", "conv2.conv")

    def __init__(self, *, norm: bool, inner: nn.Module | None, gate: nn.Module | None):
        super().__init__()
        self.global_avgpool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = ConvUnit(C, HIDDEN, norm=norm, act=inner)
        self.conv2 = ConvUnit(HIDDEN, C, act=gate)
        self.functional = inner is None

    def forward(self, x: Tensor) -> Tensor:
        z = self.global_avgpool(x)
        out = self.conv1(z)
        out = self.conv2(F.relu(out)).sigmoid() if self.functional else self.conv2(out)
        return x * self.saw(x, z, out)


class Scales(nn.Module):
    """Returns s alone."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.fc1, self.relu = nn.AdaptiveAvgPool2d((1, 1)), nn.Conv2d(C, HIDDEN, 1), nn.ReLU()
        self.fc2, self.sig = nn.Conv2d(HIDDEN, C, 1), nn.Sigmoid()

    def forward(self, u: Tensor) -> Tensor:
        return self.sig(self.fc2(self.relu(self.fc1(self.pool(u)))))


class ParentMultiplies(Witness):
    """The module's parent makes the product."""

    parts = ("weights.fc1", "weights.fc2")

    def __init__(self) -> None:
        super().__init__()
        self.bn, self.weights = nn.BatchNorm2d(C), Scales()

    def forward(self, x: Tensor) -> Tensor:
        u = self.bn(x)
        return torch.relu(x + self.saw(u, u.detach().mean((2, 3)), self.weights(u)) * u)


class Residual(Witness):
    """The gate's layers lie directly in the residual block, beside its convolutions."""

    parts = ("gates.0", "gates.2")

    def __init__(self) -> None:
        super().__init__()
        self.residual = nn.Sequential(nn.Conv2d(C, C, 3, padding=1), nn.BatchNorm2d(C), nn.ReLU(inplace=True), nn.Conv2d(C, C, 1))
        self.squeeze = nn.AdaptiveAvgPool2d(1)
        self.gates = nn.Sequential(nn.Linear(C, HIDDEN), nn.ReLU(inplace=True), nn.Linear(HIDDEN, C), nn.Sigmoid())
        self.shortcut = nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        shortcut, u = self.shortcut(x), self.residual(x)
        z = self.squeeze(u).view(u.size(0), -1)
        s = self.saw(u, z, self.gates(z)).view(u.size(0), u.size(1), 1, 1)
        return F.relu(u * s.expand_as(u) + shortcut)


class WideConvolutions(Witness):
    """A bottleneck of 1x1 convolutions, with two more as the gate's projections, all its direct children."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(C, HIDDEN, 1, bias=False), nn.BatchNorm2d(HIDDEN)
        self.conv2, self.bn2 = nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1, bias=False), nn.BatchNorm2d(HIDDEN)
        self.conv3, self.bn3 = nn.Conv2d(HIDDEN, C, 1, bias=False), nn.BatchNorm2d(C)
        self.fc1, self.fc2 = nn.Conv2d(C, HIDDEN, 1), nn.Conv2d(HIDDEN, C, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(out)))))
        z = F.avg_pool2d(out, (out.size(2), out.size(3)))
        out = out * self.saw(out, z, F.sigmoid(self.fc2(F.relu(self.fc1(z)))))
        out += x
        return F.relu(out)


class Bottleneck(nn.Module):
    """Adds and applies ReLU in place behind the block."""

    def __init__(self, block: nn.Module):
        super().__init__()
        self.conv, self.bn, self.se, self.relu = nn.Conv2d(C, C, 3, padding=1), nn.BatchNorm2d(C), block, nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out = self.se(self.relu(self.bn(self.conv(x))))
        out += x
        return self.relu(out)


class Twice(nn.Module):
    """Uses one block for two tensors."""

    def __init__(self, block: nn.Module):
        super().__init__()
        self.se = block

    def forward(self, x: Tensor) -> Tensor:
        return self.se(x) + self.se(x.flip(0) * 2)


class Idle(nn.Module):
    """Has a block that it never calls."""

    def __init__(self, block: nn.Module):
        super().__init__()
        self.se, self.conv = block, nn.Conv2d(C, C, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class ByKeyword(nn.Module):
    """Passes the maps by their name."""

    def __init__(self, block: Witness, name: str):
        super().__init__()
        self.se, self.name = block, name

    def forward(self, x: Tensor) -> Tensor:
        return self.se(**{self.name: x})


class Mapped(nn.Module):
    """Calls its inner module between two functions."""

    def __init__(self, inner: nn.Module, before: Callable[[Tensor], Tensor], after: Callable[[Tensor], object]):
        super().__init__()
        self.inner, self.before, self.after = inner, before, after

    def forward(self, x: Tensor) -> object:
        return self.after(self.inner(self.before(x)))


class AlsoScales(Named):
    """Returns the maps and the scales."""

    def forward(self, u: Tensor) -> Tensors:
        z = self.pool(u)
        s = self.saw(u, z, self.gate(self.up(self.nonlinearity(self.down(z)))))
        return u * s, s


class First(nn.Module):
    """Goes on with the first of a tuple."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)[0]


class Late(Witness):
    """Dropout behind each projection; the gate is a function."""

    parts = ("fc.0", "fc.3")

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(nn.Linear(C, HIDDEN), nn.ReLU(), nn.Dropout(0.2), nn.Linear(HIDDEN, C), nn.Dropout(0.1))

    def forward(self, u: Tensor) -> Tensor:
        z = self.pool(u).flatten(1)
        return u * self.saw(u, z, torch.sigmoid(self.fc(z)))[..., None, None]


class ChannelAndPlace(Witness):
    """A gate for channels and one for places, which share their sigmoid."""

    def __init__(self, join: Callable[[Tensor, Tensor, Tensor], Tensor]):
        super().__init__()
        self.fc1, self.fc2, self.sigmoid, self.place = nn.Conv2d(C, HIDDEN, 1), nn.Conv2d(HIDDEN, C, 1), nn.Sigmoid(), nn.Conv2d(C, 1, 1)
        self.join = join

    def forward(self, u: Tensor) -> Tensor:
        z = u.mean((2, 3), keepdim=True)
        s = self.saw(u, z, self.sigmoid(self.fc2(self.fc1(z).relu())))
        return self.join(u, s, self.sigmoid(self.place(u)))


def one_gate_for_two() -> nn.Module:
    gate = nn.Sigmoid()
    return nn.Sequential(Named("pool down up gate", gate=gate), nn.Conv2d(C, C, 1), Named("pool down up gate", gate=gate, linear=True))


def one_relu_for_all() -> nn.Module:
    relu = nn.ReLU(inplace=True)
    return nn.Sequential(Named("pool down up gate", act=relu), nn.BatchNorm2d(C), relu, Named("pool down up gate", act=relu))


def plain() -> Named:
    return Named("pool down up gate")


POOL, CONVS = nn.AdaptiveAvgPool2d, (nn.Conv2d, nn.Conv2d)
TAKEN = (
    Stranger("fc1 fc2 sigmoid", lambda: Named("pool fc1 fc2 sigmoid")),
    Stranger("Linear, any names", lambda: Named("gap squash blow open", linear=True)),
    Stranger("Conv2d, conv1 conv2 sigmoid", lambda: Named("pool conv1 conv2 sigmoid")),
    Stranger("Conv2d, compress excitation", lambda: Named("squeeze compress excitation gating")),
    Stranger("Conv1d on sequences", lambda: Named("pool conv_reduce conv_expand act2", places=1), places=1),
    Stranger("Linear on sequences (N, C, L)", lambda: Named("pool fc0 fc3 s", places=1, linear=True), places=1),
    Stranger("Conv3d on volumes", lambda: Named("pool c1 c2 sig", places=3), places=3),
    Stranger("Linear on volumes", lambda: Named("avg_pool a b c", places=3, linear=True), places=3),
    Stranger("SiLU between, Hardsigmoid", lambda: Named("p f g h", act=nn.SiLU(), gate=nn.Hardsigmoid(inplace=True))),
    Stranger("GELU between, Tanh", lambda: Named("p f g h", act=nn.GELU(), gate=nn.Tanh())),
    Stranger("PReLU between", lambda: Named("p f g h", act=nn.PReLU())),
    Stranger(
        "one sequence with the pool",
        lambda: WholeSequence(POOL(1), nn.Conv2d(C, HIDDEN, 1), nn.ReLU(), nn.Conv2d(HIDDEN, C, 1), nn.Sigmoid()),
    ),
    Stranger(
        "one sequence with pool and Flatten",
        lambda: WholeSequence(POOL(1), nn.Flatten(), nn.Linear(C, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, C), nn.Sigmoid()),
    ),
    Stranger(
        "one sequence with norm between",
        lambda: WholeSequence(
            POOL(1), nn.Conv2d(C, HIDDEN, 1, bias=False), nn.BatchNorm2d(HIDDEN), nn.ReLU(), nn.Conv2d(HIDDEN, C, 1), nn.Hardsigmoid()
        ),
    ),
    Stranger("the block is a sequence", lambda: Around(SequenceItself(), "1", "3")),
    Stranger("layers in a list", Listed),
    Stranger("layers in a dictionary, out of order", Keyed),
    Stranger("two sequences, LayerNorm between", TwoSequences),
    Stranger("units with activation and gate inside", lambda: Units(norm=False, inner=nn.ReLU(), gate=nn.Sigmoid())),
    Stranger("units with norm, gate inside", lambda: Units(norm=True, inner=nn.Hardswish(), gate=nn.Hardsigmoid())),
    Stranger("units without activation", lambda: Units(norm=False, inner=None, gate=None)),
    Stranger("the module returns s, its parent multiplies", ParentMultiplies),
    Stranger("layers directly in a residual block", Residual),
    Stranger("layers directly in a bottleneck of 1x1 convolutions", WideConvolutions),
    Stranger("two residual blocks", lambda: nn.Sequential(Residual(), Residual())),
    Stranger("a ReLU in place follows", lambda: nn.Sequential(Bottleneck(plain()), Bottleneck(plain()))),
    Stranger("one sigmoid for two blocks", one_gate_for_two),
    Stranger("one ReLU for all", one_relu_for_all),
    Stranger("one sigmoid for channels and places, summed", lambda: ChannelAndPlace(lambda u, s, q: u * s + u * q)),
    Stranger("one sigmoid for channels and places, maximum", lambda: ChannelAndPlace(lambda u, s, q: torch.max(u * s, u * q))),
    Stranger("one sigmoid for channels and places, product", lambda: ChannelAndPlace(lambda u, s, q: u * s * q)),
    Stranger("one sigmoid for channels, then for places", lambda: ChannelAndPlace(lambda u, s, q: (u * s) * q)),
    Stranger("called twice in one forward", lambda: Twice(plain())),
    Stranger("never called", lambda: Idle(plain()), called=False),
    Stranger("called by keyword", lambda: ByKeyword(plain(), "u")),
    Stranger("in a module that returns a tuple", lambda: Mapped(plain(), torch.relu, lambda y: (y, y.mean()))),
    Stranger("in a module that returns a dictionary", lambda: Mapped(plain(), torch.relu, lambda y: {"out": y})),
    Stranger("returns the maps and s", lambda: First(AlsoScales("pool down up gate"))),
    Stranger("dropout behind each projection, gate as a function", Late),
)
