"""Changes that reach no forward pass say so, and why; what other threads and compiled functions need."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn

import sevis
from sevis import SevisError, capture, find_sites, override
from tests.helpers.networks import hook_count


def a_batch(count: int = 3, *, seed: int = 0, side: int = 33) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


class Idle(nn.Module):
    """Has a block that its forward pass does not call."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.se, self.spare = (
            nn.Conv2d(3, 8, 3),
            sevis.SqueezeExcitation(8, reduction=2),
            sevis.SqueezeExcitation(8, reduction=2),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.se(self.conv(x))


def test_a_change_that_reached_no_forward_pass_says_why(network: nn.Module) -> None:
    with (
        pytest.raises(SevisError, match=r"the change of SE_3 reached no forward pass: the model was not called"),
        override(network, {"SE_3": 0.0}),
    ):
        pass
    idle = Idle()
    unused = find_sites(idle)[1].name
    with pytest.raises(SevisError, match=rf"the change of {unused} .* does not call {unused}"), override(idle, {unused: 0.0}):
        idle(a_batch())
    with override(idle, {"SE": 0.0}), torch.no_grad():  # one of its blocks ran
        assert not idle(a_batch()).any()
    with capture(idle) as record, torch.no_grad():
        idle(a_batch())
    with pytest.raises(KeyError, match=rf"{unused} has not run: the forward pass of the model came to its end without it"):
        record[unused]
    assert hook_count(network) == hook_count(idle) == 0


def test_an_error_in_the_body_is_not_hidden_by_changes_that_reached_nothing(network: nn.Module) -> None:
    with pytest.raises(ZeroDivisionError), override(network, {"SE": 0.0}):
        _ = 1 / 0


def compiled_caller(network: nn.Module) -> Callable[[Tensor], Tensor]:
    return torch.compile(lambda images: network(images) * 1, backend="eager")


def compiled_forward(network: nn.Module) -> Callable[[Tensor], Tensor]:
    network.forward = torch.compile(network.forward, backend="eager")
    return network


@pytest.mark.parametrize("compiled", [compiled_caller, compiled_forward])
def test_what_was_compiled_before_says_so_and_the_recipe_helps(compiled: Callable[[nn.Module], Callable[[Tensor], Tensor]]) -> None:
    torch.manual_seed(0)
    network = sevis.build("se_resnet18", width=0.125, reduction=4, num_classes=3).eval()
    run = compiled(network)
    plain = sevis.build("se_resnet18", width=0.125, reduction=4, num_classes=3).eval()
    plain.load_state_dict(network.state_dict())
    with torch.no_grad(), override(plain, {"SE_3": 0.5}):
        expected = plain(a_batch())
    with torch.no_grad():
        base = run(a_batch())
        try:
            with override(network, {"SE_3": 0.5}):
                inside = run(a_batch())
            assert torch.equal(inside, expected)  # PyTorch compiled it anew, with the change
        except SevisError as error:
            assert torch.equal(inside, base)
            assert "compiled" in str(error)
            assert "torch.compiler.set_stance('force_eager')" in str(error)
        with torch.compiler.set_stance("force_eager"), override(network, {"SE_3": 0.5}), capture(network) as record:
            assert torch.equal(run(a_batch()), expected)
        assert record["SE_3_1"].scale.unique().tolist() == [0.5]
        assert torch.equal(run(a_batch()), base)
    assert hook_count(network) == 0


def test_a_change_that_another_thread_does_not_see_says_so_and_sharing_helps(network: nn.Module) -> None:
    def shut_and_run(_: int) -> Tensor:
        with shared, torch.no_grad():
            return network(a_batch())

    with ThreadPoolExecutor(3) as pool, torch.no_grad():
        with pytest.raises(SevisError, match=r"called in another thread.*sevis\.share\(\)"), override(network, {"SE": 0.0}):
            pool.submit(network, a_batch()).result()
        with override(network, {"SE": 0.0}), capture(network) as record:
            shared = sevis.share()
            outputs = list(pool.map(shut_and_run, range(6)))
            expected = network(a_batch())
        assert all(torch.equal(output, expected) for output in outputs)
        assert record["SE_2_1"].scale.unique().tolist() == [0.0]
        plain = network(a_batch())
        assert torch.equal(pool.submit(shut_and_run, 0).result(), plain)  # the override is over
    assert not torch.equal(plain, expected)


def test_what_is_shared_ends_in_a_thread_with_its_block(network: nn.Module) -> None:
    with override(network, {"SE": 0.0}):
        shared = sevis.share()
        with shared, shared, torch.no_grad():
            shut = network(a_batch())
    with torch.no_grad():
        assert not torch.equal(network(a_batch()), shut)
