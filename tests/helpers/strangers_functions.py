"""SE blocks whose squeeze, gate and product are written in the many ways that PyTorch has."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.helpers.strangers_blocks import Mapped, wide
from tests.helpers.witness import HIDDEN, C, Stranger, Witness

Function = Callable[[Tensor], Tensor]
Product = Callable[[Tensor, Tensor], Tensor]


def times(u: Tensor, s: Tensor) -> Tensor:
    return u * wide(s, u)


def average(u: Tensor) -> Tensor:
    return u.mean(tuple(range(2, u.ndim)))


class Written(Witness):
    """Squeeze, projections, gate and product, each a function or a module."""

    def __init__(
        self,
        squeeze: Function = average,
        gate: Function = torch.sigmoid,
        product: Product = times,
        *,
        between: Function = F.relu,
        channels: int = C,
        hidden: int = HIDDEN,
        bias: bool = True,
        form: str = "",
    ):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(channels, hidden, bias=bias), nn.Linear(hidden, channels, bias=bias)
        self.squeeze, self.between, self.gate, self.product = squeeze, between, gate, product
        if form:
            self.product, self.neutral, self.factor = FORMS[form]

    def forward(self, u: Tensor) -> Tensor:
        z = self.squeeze(u)
        s = self.gate(self.fc2(self.between(self.fc1(z.reshape(z.shape[0], z.shape[1])))))
        return self.product(u, self.saw(u, z, s))


class Hsigmoid(nn.Module):
    """The hard sigmoid of MobileNetV3, by ReLU6."""

    def __init__(self) -> None:
        super().__init__()
        self.relu6 = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu6(x + 3.0) / 6.0


class Warm(nn.Module):
    """A sigmoid with a temperature."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x / 0.7)


class Normed(Written):
    """Its projections are parametrized."""

    def __init__(self, norm: Callable[[nn.Module], nn.Module]):
        super().__init__()
        self.fc1, self.fc2 = norm(self.fc1), norm(self.fc2)


class Beside(Witness):
    """The gate of u scales another tensor, v."""

    def __init__(self) -> None:
        super().__init__()
        self.value, self.fc1, self.fc2 = nn.Conv2d(C, C, 3, padding=1), nn.Linear(C, HIDDEN), nn.Linear(HIDDEN, C)

    def forward(self, u: Tensor) -> Tensor:
        z, v = u.mean((2, 3)), self.value(u)
        return v * self.saw(v, z, torch.sigmoid(self.fc2(F.relu(self.fc1(z)))), u)[:, :, None, None]


class ChannelsLast(Witness):
    """Maps as (N, H, W, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.act, self.gate = nn.Linear(C, HIDDEN), nn.Linear(HIDDEN, C), nn.GELU(), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        z = x.mean((1, 2))
        return x * self.saw(x, z, self.gate(self.fc2(self.act(self.fc1(z)))))[:, None, None, :]


class ChannelsLastKept(ChannelsLast):
    """Maps as (N, H, W, C), with means that keep their dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        z = x.mean((1, 2), keepdim=True)
        return x * self.saw(x, z, self.gate(self.fc2(self.act(self.fc1(z)))))


class Tokens(ChannelsLast):
    """Sequences as (N, L, C), behind a layer norm as in a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(C)

    def forward(self, x: Tensor) -> Tensor:
        u = self.norm(x)
        z = u.mean(dim=1)
        return x + u * self.saw(u, z, self.gate(self.fc2(self.act(self.fc1(z))))).unsqueeze(1)


class NeedsItsHook(nn.Module):
    """Goes on with what its own forward hook has kept."""

    def __init__(self, block: nn.Module):
        super().__init__()
        self.conv, self.se, self.kept = nn.Conv2d(C, C, 1), block, []
        self.conv.register_forward_hook(lambda _, __, output: self.kept.append(output))

    def forward(self, x: Tensor) -> Tensor:
        self.kept.clear()
        self.conv(x)
        return self.se(self.kept[0])


def clamped(x: Tensor) -> Tensor:
    return torch.clamp(0.2 * x + 0.5, min=0.0, max=1.0)


def multiply_in_place(u: Tensor, s: Tensor) -> Tensor:
    return u.mul_(wide(s, u))


def add_in_place(u: Tensor, s: Tensor) -> Tensor:
    result = times(u, s)
    result += u
    return result


def over_the_map(u: Tensor) -> Tensor:
    return F.avg_pool2d(u, u.size()[2:])


def moved(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def back(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def turned(x: Tensor) -> Tensor:
    return x.transpose(1, 2)


SQUEEZES: dict[str, Function] = {
    "mean((2, 3))": lambda u: u.mean((2, 3)),
    "mean([-2, -1], keepdim)": lambda u: u.mean([-2, -1], keepdim=True),
    "torch.mean(dim=, keepdim=)": lambda u: torch.mean(u, dim=(2, 3), keepdim=True),
    "mean(-1).mean(-1)": lambda u: u.mean(-1).mean(-1),
    "mean(2, True).mean(3, True)": lambda u: u.mean(2, True).mean(3, True),
    "view, mean(2)": lambda u: u.view(u.size(0), u.size(1), -1).mean(2),
    "flatten(2), mean(-1)": lambda u: u.flatten(2).mean(-1),
    "AdaptiveAvgPool2d((1, 1))": nn.AdaptiveAvgPool2d((1, 1)),
    "AvgPool2d of the map's size": nn.AvgPool2d((9, 7)),
    "F.adaptive_avg_pool2d": lambda u: F.adaptive_avg_pool2d(u, 1),
    "F.adaptive_avg_pool2d, squeezed": lambda u: F.adaptive_avg_pool2d(u, (1, 1)).squeeze(-1).squeeze(-1),
    "F.avg_pool2d over the map": over_the_map,
    "sum over h * w": lambda u: u.sum((2, 3)) / (u.shape[2] * u.shape[3]),
    "sum, sum, times 1 / (h * w)": lambda u: u.sum(3).sum(2) * (1.0 / (u.size(2) * u.size(3))),
    "einsum over h * w": lambda u: torch.einsum("nchw->nc", u) / (u.shape[-1] * u.shape[-2]),
    "contiguous, reshape, mean": lambda u: u.contiguous().reshape(*u.shape[:2], -1).mean(dim=-1, keepdim=True),
    "in float64": lambda u: u.double().mean((2, 3)).to(u.dtype),
}
GATES: dict[str, Function] = {
    "nn.Sigmoid": nn.Sigmoid(),
    "nn.Hardsigmoid in place": nn.Hardsigmoid(inplace=True),
    "torch.sigmoid": torch.sigmoid,
    "Tensor.sigmoid": lambda x: x.sigmoid(),
    "Tensor.sigmoid_": lambda x: x.sigmoid_(),
    "torch.special.expit": torch.special.expit,
    "F.sigmoid": F.sigmoid,
    "F.hardsigmoid": F.hardsigmoid,
    "F.relu6(x + 3) / 6": lambda x: F.relu6(x + 3.0) / 6.0,
    "F.relu6(x + 3, inplace) * (1 / 6)": lambda x: F.relu6(x + 3.0, inplace=True).mul_(1 / 6),
    "a module by ReLU6": Hsigmoid(),
    "torch.tanh": torch.tanh,
    "(tanh + 1) / 2": lambda x: (torch.tanh(x) + 1) / 2,
    "clamp(0.2 x + 0.5)": clamped,
    "clamp_ in place": lambda x: x.mul_(0.2).add_(0.5).clamp_(0, 1),
    "1 / (1 + exp(-x))": lambda x: 1 / (1 + torch.exp(-x)),
    "sigmoid with a temperature": lambda x: torch.sigmoid(x / 2.5),
    "a module with a temperature": Warm(),
    "F.relu": F.relu,
}
PRODUCTS: dict[str, Product] = {
    "u * s[:, :, None, None]": lambda u, s: u * s[:, :, None, None],
    "s * u": lambda u, s: s.view(*s.shape, 1, 1) * u,
    "torch.mul": lambda u, s: torch.mul(u, s.unsqueeze(2).unsqueeze(3)),
    "Tensor.mul": lambda u, s: u.mul(s.unsqueeze(-1).unsqueeze(-1)),
    "mul_ in place": multiply_in_place,
    "u *= s": lambda u, s: u.__imul__(wide(s, u)),
    "torch.multiply": lambda u, s: torch.multiply(u, wide(s, u)),
    "expand_as": lambda u, s: u * s.view(len(s), -1, 1, 1).expand_as(u),
    "expand": lambda u, s: u * s[..., None, None].expand(-1, -1, *u.shape[2:]),
    "einsum": lambda u, s: torch.einsum("nchw,nc->nchw", u, s),
    "flattened": lambda u, s: (u.flatten(2) * s.unsqueeze(-1)).view_as(u),
    "channels last": lambda u, s: back(moved(u) * s[:, None, None]),
    "transposed": lambda u, s: (u.transpose(1, 3) * s[:, None, None, :]).transpose(1, 3),
    "scales repeated": lambda u, s: u * s[..., None, None].repeat(1, 1, u.shape[2], u.shape[3]),
    "u.clone().mul_": lambda u, s: u.clone().mul_(wide(s, u)),
}
FORMS: dict[str, tuple[Product, float, Function]] = {  # with the s at which the gate is as if it were not there, and the factor of u
    "u + u*s": (lambda u, s: u + times(u, s), 0.0, lambda s: 1 + s),
    "u*s + u": (lambda u, s: torch.add(times(u, s), u), 0.0, lambda s: 1 + s),
    "u*s, += u": (add_in_place, 0.0, lambda s: 1 + s),
    "u*(1+s)": (lambda u, s: u * (1 + wide(s, u)), 0.0, lambda s: 1 + s),
    "(s+1)*u": (lambda u, s: (wide(s, u) + 1.0) * u, 0.0, lambda s: 1 + s),
    "2*u*s": (lambda u, s: 2 * u * wide(s, u), 0.5, lambda s: 2 * s),
    "u*2*s": (lambda u, s: u * 2 * wide(s, u), 0.5, lambda s: 2 * s),
    "u*s*2": (lambda u, s: u * wide(s, u) * 2, 0.5, lambda s: 2 * s),
    "(2*s)*u": (lambda u, s: (2.0 * wide(s, u)) * u, 0.5, lambda s: 2 * s),
    "u*s*s": (lambda u, s: u * wide(s, u) * wide(s, u), 1.0, lambda s: s * s),
    "u*s**2": (lambda u, s: u * wide(s, u) ** 2, 1.0, lambda s: s * s),
    "u*(1-s)": (lambda u, s: u * (1 - wide(s, u)), 0.0, lambda s: 1 - s),
    "u - u*s": (lambda u, s: u - times(u, s), 0.0, lambda s: 1 - s),
    "torch.addcmul(u, u, s)": (lambda u, s: torch.addcmul(u, u, wide(s, u)), 0.0, lambda s: 1 + s),
    "torch.lerp(u, u*s, 0.5)": (lambda u, s: torch.lerp(u, times(u, s), 0.5), 1.0, lambda s: 0.5 + 0.5 * s),
}
weight_norm, spectral_norm = nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm


def _variants() -> list[Stranger]:
    """Return a row for each squeeze, gate, product and form, which the lambdas bind by default arguments."""
    rows = [Stranger(f"squeeze: {name}", lambda f=squeeze: Written(squeeze=f)) for name, squeeze in SQUEEZES.items()]
    rows += [Stranger(f"gate: {name}", lambda f=gate: Written(gate=f)) for name, gate in GATES.items()]
    rows += [Stranger(f"product: {name}", lambda f=product: Written(product=f)) for name, product in PRODUCTS.items()]
    rows += [Stranger(f"form: {form}", lambda f=form: Written(form=f), None if form.startswith("torch") else True, form) for form in FORMS]
    return rows


WRITTEN = (
    *_variants(),
    Stranger("a gate over v = conv(u), z = mean(u)", Beside, form="s*v"),
    Stranger("squeeze and product by functions, 1-D", lambda: Written(squeeze=lambda u: F.adaptive_avg_pool1d(u, 1)), places=1),
    Stranger("squeeze and product by functions, 3-D", lambda: Written(squeeze=lambda u: F.avg_pool3d(u, u.shape[2:])), places=3),
    Stranger("behind a forward that needs its own hook", lambda: NeedsItsHook(Written())),
    Stranger("no bias", lambda: Written(bias=False)),
    Stranger("hidden units more than channels", lambda: Written(channels=4, hidden=8), channels=4),
    Stranger("hidden units as many as channels", lambda: Written(hidden=C)),
    Stranger("one hidden unit", lambda: Written(hidden=1)),
    Stranger("nothing between the projections", lambda: Written(between=nn.Identity())),
    Stranger("SiLU as a function", lambda: Written(between=F.silu)),
    Stranger("ReLU in place as a method", lambda: Written(between=lambda h: h.relu_())),
    Stranger(
        "leaky ReLU, then dropout as a function", lambda: Written(between=lambda h: F.dropout(F.leaky_relu(h, 0.1), 0.2, training=False))
    ),
    Stranger("norm as a module between", lambda: Written(between=nn.Sequential(nn.BatchNorm1d(HIDDEN), nn.Mish()))),
    Stranger("weight norm on the projections", lambda: Normed(weight_norm)),
    Stranger("spectral norm on the projections", lambda: Normed(spectral_norm)),
    Stranger("maps with channels last", lambda: Mapped(ChannelsLast(), moved, back)),
    Stranger("maps with channels last, means kept", lambda: Mapped(ChannelsLastKept(), moved, back)),
    Stranger("tokens (N, L, C)", lambda: Mapped(Tokens(), turned, turned), places=1),
)
