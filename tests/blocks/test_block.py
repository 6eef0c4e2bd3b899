"""The SE block against NumPy, timm and torchvision."""

import copy
import itertools
import pickle
import warnings

import numpy as np
import pytest
import torch
import torchvision
from timm.layers.squeeze_excite import SEModule
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models.senet import SEModule as LegacySEModule
from torch import nn

from sevis import SevisError, SqueezeExcitation
from sevis.blocks.block import GATES, SQUEEZES, average
from sevis.pages.architectures import designs
from sevis.recipe import OPTIONS

NUMPY_SQUEEZES = {"avg": np.mean, "max": np.max}
PLACES = {"sequence": (9,), "maps": (7, 5), "volume": (4, 3, 5)}
NUMPY_GATES = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "hardsigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
}


def a_block(**options: object) -> SqueezeExcitation:
    torch.manual_seed(1)
    block = SqueezeExcitation(24, **options)
    for parameter in block.parameters():
        nn.init.normal_(parameter, 0, 0.3)
    return block


def a_batch(*places: int) -> torch.Tensor:
    return torch.randn(3, 24, *(places or (7, 5)), generator=torch.Generator().manual_seed(2)) * 2


@pytest.mark.parametrize("places", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(("squeeze", "gate", "bias"), [*itertools.product(NUMPY_SQUEEZES, GATES, (True, False))])
def test_equals_the_equations_in_numpy(squeeze: str, gate: str, bias: bool, places: tuple[int, ...]) -> None:
    block, u = a_block(reduction=5, squeeze=squeeze, gate=gate, bias=bias), a_batch(*places)
    weights = {name: value.detach().numpy().astype(np.float64) for name, value in block.named_parameters()}
    assert set(weights) == {"fc1.weight", "fc2.weight"} | ({"fc1.bias", "fc2.bias"} if bias else set())
    assert weights["fc1.weight"].shape == (4, 24)  # 24 // 5

    x = u.numpy().astype(np.float64)
    z = NUMPY_SQUEEZES[squeeze](x.reshape(3, 24, -1), -1)
    hidden = np.maximum(z @ weights["fc1.weight"].T + weights.get("fc1.bias", 0), 0)
    s = NUMPY_GATES[gate](hidden @ weights["fc2.weight"].T + weights.get("fc2.bias", 0))
    expected = (s.reshape(72, 1) * x.reshape(72, -1)).reshape(x.shape)

    np.testing.assert_allclose(block.excite(torch.from_numpy(z).float()).detach().numpy(), s, atol=1e-6, rtol=1e-6)
    np.testing.assert_allclose(block(u).detach().numpy(), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("places", PLACES.values(), ids=PLACES)
def test_without_a_squeeze_every_place_is_projected_by_itself(places: tuple[int, ...]) -> None:
    block, u = a_block(reduction=4, squeeze="none"), a_batch(*places)
    with torch.no_grad():
        result = block(u)
        for place in itertools.product(*map(range, places)):
            one = u[:, :, *place]
            hidden = torch.relu(one @ block.fc1.weight[:, :, 0, 0].T + block.fc1.bias)
            s = torch.sigmoid(hidden @ block.fc2.weight[:, :, 0, 0].T + block.fc2.bias)
            torch.testing.assert_close(result[:, :, *place], s * one, atol=1e-5, rtol=1e-5)
        assert torch.equal(copy.deepcopy(block)(u), pickle.loads(pickle.dumps(block))(u))  # noqa: S301


@pytest.mark.parametrize("squeeze", SQUEEZES)
def test_tracers_follow_sequences_maps_and_volumes(squeeze: str) -> None:
    """Traced once, the graph of torch.fx takes inputs of any number of places; that of torch.jit.trace, of any size."""
    block = a_block(reduction=4, squeeze=squeeze).eval()
    graph = torch.fx.symbolic_trace(block)
    for places in PLACES.values():
        u, larger = a_batch(*places), a_batch(*(2 * side for side in places))
        assert torch.equal(graph(u), block(u))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch.jit.trace is on its way out
            torch.testing.assert_close(torch.jit.trace(block, u)(larger), block(larger), atol=1e-6, rtol=1e-6)
        exported = torch.export.export(block, (u,)).module()
        torch.testing.assert_close(exported(u), block(u), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("squeeze", SQUEEZES)
def test_maps_and_volumes_keep_their_memory_format(squeeze: str) -> None:
    block = a_block(reduction=4, squeeze=squeeze)
    for places, memory_format in (("maps", torch.channels_last), ("volume", torch.channels_last_3d)):
        u = a_batch(*PLACES[places])
        last = u.to(memory_format=memory_format)
        assert block(last).is_contiguous(memory_format=memory_format)
        torch.testing.assert_close(block(last), block(u), atol=1e-5, rtol=1e-5)


def test_half_precision_does_not_overflow() -> None:
    u = torch.full((1, 2, 64, 64), 100.0)
    assert torch.equal(average(u.half()), torch.full((1, 2), 100.0, dtype=torch.float16))
    assert torch.equal(average(u.bfloat16()), torch.full((1, 2), 100.0, dtype=torch.bfloat16))
    noise = torch.randn(2, 3, 9, 7, dtype=torch.float64)
    torch.testing.assert_close(average(noise), noise.mean((2, 3)), atol=1e-15, rtol=1e-15)
    assert average(torch.ones(0, 3, 9)).shape == (0, 3)


def test_the_identity_start_is_exact_and_not_dead() -> None:
    block, u = SqueezeExcitation(24, reduction=4, start="identity"), a_batch()
    assert torch.equal(block(u), u)
    block(u).square().sum().backward()
    assert block.fc2.weight.grad.abs().max() > 0
    block.reset_parameters()
    assert torch.equal(block(u), u)


@pytest.mark.parametrize(
    ("other", "names"),
    [
        (SEModule(24, rd_channels=6), ("fc1", "fc2")),
        (SqueezeExcite(24, rd_ratio=0.25), ("conv_reduce", "conv_expand")),
        (LegacySEModule(24, reduction=4), ("fc1", "fc2")),
        (torchvision.ops.SqueezeExcitation(24, 6), ("fc1", "fc2")),
    ],
    ids=["timm", "timm-efficientnet", "timm-legacy", "torchvision"],
)
def test_equals_the_libraries(other: nn.Module, names: tuple[str, str]) -> None:
    block, u = a_block(reduction=4), a_batch()
    with torch.no_grad():
        for mine, theirs in zip((block.fc1, block.fc2), names, strict=True):
            projection = other.get_submodule(theirs)
            projection.weight.copy_(mine.weight[:, :, None, None])
            projection.bias.copy_(mine.bias)
        torch.testing.assert_close(block(u), other(u.clone()), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("gate", ["tanh", "relu", "hardsigmoid"])
def test_other_gates_equal_torchvision(gate: str) -> None:
    layers = {"tanh": nn.Tanh, "relu": nn.ReLU, "hardsigmoid": nn.Hardsigmoid}
    other = torchvision.ops.SqueezeExcitation(24, 6, scale_activation=layers[gate])
    block, u = a_block(reduction=4, gate=gate), a_batch()
    with torch.no_grad():
        for name, value in block.state_dict().items():
            other.get_parameter(name).copy_(value.reshape(other.get_parameter(name).shape))
        torch.testing.assert_close(block(u), other(u), atol=1e-6, rtol=1e-6)


def test_initialisation_is_he_normal_without_offsets() -> None:
    torch.manual_seed(0)
    block = SqueezeExcitation(512, reduction=2)
    for projection in (block.fc1, block.fc2):
        assert abs(projection.weight.std().item() * (projection.in_features / 2) ** 0.5 - 1) < 0.02
        assert abs(projection.weight.mean().item()) < 1e-3
        assert not projection.bias.any()


@pytest.mark.parametrize(("squeeze", "places"), [*itertools.product(SQUEEZES, [(3,), (3, 2), (2, 1, 2)])])
def test_the_gradient_reaches_input_and_both_projections(squeeze: str, places: tuple[int, ...]) -> None:
    block, u = a_block(reduction=4, squeeze=squeeze).double(), a_batch(*places)[:1].double().requires_grad_()
    assert torch.autograd.gradcheck(block, (u,))
    block(u).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in block.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"squeeze": "median"}, "unknown squeeze 'median': choose one of avg, max, none"),
        ({"gate": "softmax"}, "unknown gate 'softmax': choose one of sigmoid, tanh, relu, hardsigmoid"),
        ({"reduction": 25}, "between 1 and the 24 channels of the block, got 25"),
        ({"reduction": 0}, "got 0"),
        ({"reduction": -4}, "got -4"),
    ],
)
def test_mistakes_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(SevisError, match=message):
        SqueezeExcitation(24, **options)


def test_where_people_choose_they_find_every_squeeze_and_only_gates_that_there_are() -> None:
    choices = {name: option.choices for name, option in OPTIONS.items()}
    assert tuple(SQUEEZES) == choices["squeeze"] == tuple(designs.SQUEEZES)
    assert set(GATES) >= set(choices["gate"]) == set(designs.GATES)
    assert all(OPTIONS[name].help.endswith(", ".join(choices[name])) for name in ("squeeze", "gate"))
