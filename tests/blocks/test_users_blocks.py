"""SE blocks as users write them: captured right, or refused with the reason."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import sevis
from sevis import SevisError, capture, override


def hook_count(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


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


def test_inputs_by_keyword_are_seen() -> None:
    block, u = Channelwise(the_mean), torch.randn(2, 8, 3, 3)
    with torch.no_grad(), capture(nn.ModuleDict({"one": block}), maps=["SE_2_1"]) as record:
        output = block(u=u)
    assert torch.equal(record["SE_2_1"].maps, u)
    assert torch.equal(record["SE_2_1"].squeeze, u.mean((2, 3)))
    assert torch.equal(record["SE_2_1"].scale[:, :, None, None] * u, output)


@pytest.mark.parametrize(
    ("squeezes", "message"),
    [
        ((the_mean, the_maximum), r"SE_2_1 is not the paper's block: it squeezes twice"),
        ((lambda u: u,), r"SE_2_1 is not the paper's block: expected a squeeze of shape \(N, 8\), .* got \(2, 8, 3, 3\)"),
    ],
)
def test_a_block_that_turns_out_to_squeeze_otherwise_is_refused(squeezes: tuple[Callable[[Tensor], Tensor], ...], message: str) -> None:
    model = nn.Sequential(Channelwise(*squeezes))
    with torch.no_grad(), pytest.raises(SevisError, match=message), capture(model):
        model(torch.randn(2, 8, 3, 3))
    assert hook_count(model) == 0


def test_blocks_that_share_their_gate_are_refused_with_the_cure() -> None:
    gate = nn.Sigmoid()
    model = nn.Sequential(Channelwise(the_mean, gate=gate), Channelwise(the_mean, gate=gate))
    with pytest.raises(SevisError, match=r"SE_2_1 and SE_2_2 share their Sigmoid: give every SE block one of its own"), capture(model):
        pytest.fail("it was captured")
    model[1].gate = nn.Sigmoid()
    with capture(model) as record:
        model(torch.randn(2, 8, 3, 3))
    assert len(record) == 2
    assert hook_count(model) == 0


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
