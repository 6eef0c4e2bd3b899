"""What a forward pass leaves in the record: the equations' numbers, of the last pass, of blocks as users write them, or a refusal."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from timm.layers.squeeze_excite import SEModule
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models.senet import SEModule as LegacySEModule
from torch import Tensor, nn

import sevis
from sevis import SevisError, capture, find_sites, override
from tests.helpers.library_networks import TIMM, TORCHVISION, WITHOUT, blocks_of, stirred_network
from tests.helpers.networks import block_outputs, hook_count
from tests.helpers.slow import slow


def a_batch(count: int = 3, *, seed: int = 0, side: int = 33) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def site_names(model: nn.Module) -> list[str]:
    return [site.name for site in find_sites(model)]


def test_the_record_equals_the_equations(network: nn.Module) -> None:
    names, weights = site_names(network), {key: value.numpy().astype(np.float64) for key, value in network.state_dict().items()}
    with block_outputs(network) as seen, torch.no_grad(), capture(network, maps=names) as record:
        network(a_batch())
    assert list(record) == names
    assert len(record) == 8
    for site in find_sites(network):
        block, u = record[site.name], seen[f"{site.name} in"]
        z = u.numpy().astype(np.float64).mean((2, 3))
        w1, b1, w2, b2 = (weights[f"{site.path}.{key}"] for key in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"))
        hidden = np.maximum(z @ w1.T + b1, 0)
        logits = hidden @ w2.T + b2
        np.testing.assert_allclose(block.squeeze, z, atol=1e-6)
        np.testing.assert_allclose(block.hidden, hidden, atol=1e-5)
        np.testing.assert_allclose(block.logits, logits, atol=1e-5)
        np.testing.assert_allclose(block.scale, 1 / (1 + np.exp(-logits)), atol=1e-6)
        assert torch.equal(block.maps, u)
        assert torch.equal(block.scale[:, :, None, None] * block.maps, seen[f"{site.name} out"])
        assert block.squeeze.shape == (3, site.channels)
        assert block.hidden.shape == (3, site.hidden)


def test_the_last_forward_counts_and_the_record_outlives_the_block(network: nn.Module) -> None:
    with torch.no_grad(), capture(network) as record:
        network(a_batch(2))
        network(a_batch(4, seed=1))
    assert record["SE_5_2"].scale.shape[0] == 4
    with torch.no_grad(), capture(network) as other:
        network(a_batch(4, seed=1))
    assert all(torch.equal(record[name].scale, other[name].scale) for name in record)
    assert record["SE_5_2"].maps is None


def test_only_the_maps_asked_for_are_kept(network: nn.Module) -> None:
    with torch.no_grad(), capture(network, maps=["SE_4_1"]) as record:
        network(a_batch())
    assert [name for name in record if record[name].maps is not None] == ["SE_4_1"]


def test_what_is_kept_is_detached_float32_on_the_cpu_and_stays(network: nn.Module) -> None:
    images = a_batch().requires_grad_()
    with capture(network, maps=["SE_2_1"]) as record:
        output = network(images)
    before = record["SE_2_1"].scale.clone()
    for part in (record["SE_2_1"].squeeze, record["SE_2_1"].hidden, record["SE_2_1"].logits, before, record["SE_2_1"].maps):
        assert (part.dtype, part.device.type, part.requires_grad) == (torch.float32, "cpu", False)
    output.sum().backward()  # the graph is whole
    assert images.grad.abs().sum() > 0
    network(a_batch(seed=9))  # outside: another forward changes nothing
    assert torch.equal(record["SE_2_1"].scale, before)


def test_a_failed_forward_leaves_no_numbers_of_the_one_before(network: nn.Module) -> None:
    with torch.no_grad(), capture(network) as record:
        network(a_batch())
        with pytest.raises(RuntimeError):
            network(torch.zeros(1, 5, 33, 33))
    with pytest.raises(KeyError, match=r"SE_2_1 has not run: call the model, not compiled, inside"):
        record["SE_2_1"]


def test_a_bfloat16_network_gives_float32_records(network: nn.Module) -> None:
    network = network.bfloat16()
    with torch.no_grad(), capture(network, maps=["SE_2_1"]) as record:
        expected = network(a_batch().bfloat16())
    block = record["SE_2_1"]
    assert block.scale.dtype == block.maps.dtype == block.squeeze.dtype == torch.float32
    assert torch.equal(block.scale, block.scale.bfloat16().float())
    with torch.no_grad(), override(network, {name: record[name].scale for name in record}):
        assert torch.equal(network(a_batch().bfloat16()), expected)


def test_autocast_and_channels_last_and_inference_mode(network: nn.Module) -> None:
    with torch.no_grad(), capture(network) as plain:
        network(a_batch())
    network = network.to(memory_format=torch.channels_last)
    images = a_batch().to(memory_format=torch.channels_last)
    with torch.inference_mode(), capture(network, maps=["SE_3_1"]) as last:
        network(images)
    torch.testing.assert_close(last["SE_5_2"].scale, plain["SE_5_2"].scale, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(last["SE_3_1"].maps.mean((2, 3)), last["SE_3_1"].squeeze, atol=1e-5, rtol=1e-5)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16), capture(network) as mixed:
        network(images)
    torch.testing.assert_close(mixed["SE_2_1"].scale, plain["SE_2_1"].scale, atol=0.05, rtol=0.05)
    assert mixed["SE_2_1"].scale.dtype == torch.float32


def test_without_a_squeeze_the_record_holds_means_over_places_and_overrides_reach_every_place() -> None:
    torch.manual_seed(0)
    model = sevis.build("se_resnet18", width=0.25, reduction=4, squeeze="none", num_classes=3).eval()
    block = model.layer2[1].se
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode(), sevis.capture(model, maps=["SE_3_2"]) as record:
        plain = model(images)
        u = record["SE_3_2"].maps
        torch.testing.assert_close(record["SE_3_2"].squeeze, u.mean((2, 3)))
        torch.testing.assert_close(record["SE_3_2"].scale, block.excite(u).mean((2, 3)))
        assert block.excite(u).std((2, 3)).min() > 0
    with torch.inference_mode(), sevis.override(model, {"SE": 1.0}):
        opened = model(images)
    for module in model.modules():
        if isinstance(module, sevis.SqueezeExcitation):
            module.forward = lambda u: u
    with torch.inference_mode():
        assert torch.equal(opened, model(images))
    assert not torch.equal(opened, plain)


# --- blocks as users write them ---


class InPlace(nn.Module):
    """An SE block that overwrites its input and the gate's."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.relu, self.fc2, self.gate = nn.Linear(8, 2), nn.ReLU(inplace=True), nn.Linear(2, 8), nn.Hardsigmoid(inplace=True)

    def forward(self, u: Tensor) -> Tensor:
        s = self.gate(self.fc2(self.relu(self.fc1(u.mean((2, 3))))))
        return u.mul_(s[:, :, None, None])


def test_what_a_network_overwrites_is_kept_as_it_was() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(InPlace())
    u = torch.randn(2, 8, 3, 3)
    with torch.no_grad(), capture(model, maps=["SE_2_1"]) as record:
        output = model(u.clone())
    with torch.no_grad():
        logits = model[0].fc2(model[0].fc1(u.mean((2, 3))).relu())
    block = record["SE_2_1"]
    assert torch.equal(block.maps, u)
    torch.testing.assert_close(block.logits, logits)
    torch.testing.assert_close(block.scale, (logits / 6 + 0.5).clamp(0, 1))
    assert torch.equal(output, block.scale[:, :, None, None] * u)


class Channelwise(nn.Module):
    """A user's block with the children of an SE block; `squeezes` says what it feeds them."""

    def __init__(self, *squeezes: Callable[[Tensor], Tensor], gate: nn.Module | None = None) -> None:
        super().__init__()
        self.squeezes = squeezes
        self.fc1, self.fc2, self.gate = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1), gate or nn.Sigmoid()

    def forward(self, u: Tensor) -> Tensor:
        logits = sum(self.fc2(input=self.fc1(input=squeeze(u)).relu()) for squeeze in self.squeezes)
        return u * self.gate(logits)


def the_mean(u: Tensor) -> Tensor:
    return u.mean((2, 3), keepdim=True)


def the_maximum(u: Tensor) -> Tensor:
    return u.amax((2, 3), keepdim=True)


def test_inputs_by_keyword_are_seen_and_a_part_that_is_called_first_is_told(caplog: pytest.LogCaptureFixture) -> None:
    block, u = Channelwise(the_mean), torch.randn(2, 8, 3, 3)
    with torch.no_grad(), capture(nn.ModuleDict({"one": block}), maps=["SE_2_1"]) as record:
        output = block(u=u)
    assert torch.equal(record["SE_2_1"].maps, u)
    assert torch.equal(record["SE_2_1"].squeeze, u.mean((2, 3)))
    assert torch.equal(record["SE_2_1"].scale[:, :, None, None] * u, output)
    assert [text.partition(",")[0] for text in caplog.messages] == ["SE_2_1 runs before sevis has seen a forward pass of the model"]


@pytest.mark.parametrize(
    ("squeezes", "reason"),
    [
        ((the_mean, the_maximum), r"two squeezes go through the same projections"),
        ((lambda u: u,), r"its first projection got \(2, 8, 3, 3\), not one number for each image and channel"),
        ((the_maximum,), r"its squeeze is not the mean of any maps: it comes from amax"),
    ],
)
def test_a_block_that_turns_out_to_squeeze_otherwise_is_refused(squeezes: tuple[Callable[[Tensor], Tensor], ...], reason: str) -> None:
    model = nn.Sequential(Channelwise(*squeezes))
    message = rf"Sequential has no Squeeze-and-Excitation block \(its 1 Channelwise are not SE blocks: {reason}"
    with torch.no_grad(), pytest.raises(SevisError, match=message), capture(model):
        model(torch.randn(2, 8, 3, 3))
    assert hook_count(model) == 0


@pytest.mark.parametrize(
    ("squeezes", "message"),
    [
        ((the_mean, the_maximum), r"SE_2_1 is not the paper's block: it squeezes twice"),
        ((lambda u: u,), r"SE_2_1 is not the paper's block: expected a squeeze of shape \(N, 8\), .* got \(2, 8, 3, 3\)"),
    ],
)
def test_a_part_that_is_called_alone_is_refused_where_it_squeezes_otherwise(
    squeezes: tuple[Callable[[Tensor], Tensor], ...], message: str
) -> None:
    model = nn.ModuleDict({"one": Channelwise(*squeezes)})
    with torch.no_grad(), pytest.raises(SevisError, match=message), capture(model):
        model["one"](torch.randn(2, 8, 3, 3))
    assert hook_count(model) == 0


def test_blocks_that_share_their_gate_are_each_read() -> None:
    torch.manual_seed(0)
    gate, u = nn.Sigmoid(), torch.randn(2, 8, 3, 3)
    model = nn.Sequential(Channelwise(the_mean, gate=gate), Channelwise(the_mean, gate=gate))
    alone = nn.Sequential(Channelwise(the_mean), Channelwise(the_mean))
    alone.load_state_dict(model.state_dict())
    with torch.no_grad(), capture(model) as record, capture(alone) as expected:
        assert torch.equal(model(u), alone(u))
    assert all(torch.equal(record[name].scale, expected[name].scale) for name in ("SE_2_1", "SE_2_2"))
    with torch.no_grad(), override(model, {"SE_2_1": 1.0}), override(alone, {"SE_2_1": 1.0}):
        assert torch.equal(model(u), alone(u))
    assert hook_count(model) == hook_count(alone) == 0


def test_blocks_that_share_their_projections_are_refused_with_the_cure() -> None:
    model = nn.Sequential(Channelwise(the_mean), Channelwise(the_mean))
    model[1].fc1 = model[0].fc1
    found = find_sites(model)
    assert [site.path for site in found] == ["0"]


class TwiceThroughOne(nn.Module):
    """A network that runs its only SE block twice."""

    def __init__(self) -> None:
        super().__init__()
        self.se = sevis.SqueezeExcitation(8, reduction=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.se(2 * self.se(x) - 1)


def test_of_a_block_that_runs_twice_the_last_run_is_kept_and_says_so() -> None:
    torch.manual_seed(0)
    model, u = TwiceThroughOne(), torch.randn(3, 8, 4, 4)
    with torch.no_grad():
        between = 2 * model.se(u) - 1
        with capture(model, maps=["SE_2_1"]) as record:
            for _ in range(2):  # a new forward pass counts anew
                model(u)
        assert record["SE_2_1"].run == 2
        assert torch.equal(record["SE_2_1"].maps, between)
        assert torch.equal(record["SE_2_1"].squeeze, between.mean((2, 3)))
        with override(model, {"SE": 0.5}):  # both runs
            assert torch.equal(model(u), 0.5 * (2 * (0.5 * u) - 1))


def by_its_own_modules(block: nn.Module, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """z, the hidden layer, the logits and s, as the modules of a block compute them one after the other."""
    z = u.mean((2, 3), keepdim=True)
    if isinstance(block, SEModule):
        hidden = block.act(block.bn(block.fc1(z)))
        logits, gate = block.fc2(hidden), block.gate
    elif isinstance(block, SqueezeExcite):
        hidden = block.act1(block.conv_reduce(z))
        logits, gate = block.conv_expand(hidden), block.gate
    elif isinstance(block, LegacySEModule):
        hidden = block.relu(block.fc1(z))
        logits, gate = block.fc2(hidden), block.sigmoid
    else:
        hidden = block.activation(block.fc1(z))
        logits, gate = block.fc2(hidden), block.scale_activation
    return tuple(part.flatten(1) for part in (z, hidden, logits, gate(logits.clone())))  # type: ignore[return-value]


LARGE = ("tv/maxvit_t", "tv/efficientnet_v2_s", "repvgg_d2se", "efficientnetv2_rw_t", "nf_seresnet26", "tresnet_m", "haloregnetz_b")


@pytest.mark.parametrize("name", slow([*(name for name in TIMM if name not in WITHOUT), *(f"tv/{name}" for name in TORCHVISION)], LARGE))
def test_a_network_is_read_as_its_own_modules_compute_it(name: str) -> None:
    model, side = stirred_network(name)
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    sites, blocks = find_sites(model), blocks_of(model)
    assert [site.path for site in sites] == list(blocks)
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}
    for path, block in blocks.items():
        block.register_forward_pre_hook(lambda _, given, path=path: inputs.update({path: given[0].clone()}))
        block.register_forward_hook(lambda _, __, given, path=path: outputs.update({path: given.clone()}))
    with torch.no_grad():
        with capture(model, maps=[site.name for site in sites]) as record:
            plain = model(images)
        for site in sites:
            kept, u = record[site.name], inputs[site.path]
            z, hidden, logits, s = by_its_own_modules(blocks[site.path], u)
            assert u.std() > 0
            for own, expected in ((kept.squeeze, z), (kept.hidden, hidden), (kept.logits, logits), (kept.scale, s)):
                torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-4)
            assert torch.equal(kept.maps, u)
            assert torch.equal(kept.scale[:, :, None, None] * kept.maps, outputs[site.path])
            assert (kept.scale.shape, kept.hidden.shape, kept.run) == ((2, site.channels), (2, site.hidden), 1)
        with override(model, {site.name: record[site.name].scale for site in sites}):
            again = model(images)
        with override(model, {"SE": 1.0}):
            model(images)
    assert torch.equal(again, plain)
    for path in blocks:
        assert torch.equal(inputs[path], outputs[path])  # s = 1: the block is the identity
