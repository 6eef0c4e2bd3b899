"""Captures and overrides: right numbers, only one's own, nothing left behind."""

import copy
import gc
import pickle
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sevis
from sevis import Change, SevisError, capture, find_sites, override
from sevis.blocks.hooks import keep_hooks
from tests.helpers.networks import block_outputs, hook_count


def a_batch(count: int = 3, *, seed: int = 0, side: int = 33) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def site_names(model: nn.Module) -> list[str]:
    return [site.name for site in find_sites(model)]


def test_unknown_names_list_the_blocks(network: nn.Module) -> None:
    with (
        pytest.raises(SevisError, match=r"no SE block is called 'SE_9_9': the model has SE_2_1, SE_2_2"),
        capture(network, maps=["SE_9_9"]),
    ):
        pass
    with capture(network) as record, pytest.raises(KeyError, match=r"SE_9_9"):
        record["SE_9_9"]
    with pytest.raises(SevisError, match=r"no SE block is called 'SE_9_9'"), override(network, {"SE_9_9": 1.0}):
        pass
    assert hook_count(network) == 0


# --- overrides ---


def test_all_scales_at_one_equal_the_network_without_se(network: nn.Module) -> None:
    plain = copy.deepcopy(network)
    for site in find_sites(network):
        parent = plain.get_submodule(site.path.removesuffix(".se"))
        parent.se = nn.Identity()
    with torch.no_grad():
        with override(network, dict.fromkeys(site_names(network), 1.0)):
            changed = network(a_batch())
        assert torch.equal(changed, plain(a_batch()))
        assert not torch.equal(changed, network(a_batch()))


def test_captured_scales_put_back_change_nothing(network: nn.Module) -> None:
    with torch.no_grad(), capture(network) as record:
        expected = network(a_batch())
    with torch.no_grad(), override(network, {name: record[name].scale for name in record}):
        assert torch.equal(network(a_batch()), expected)


@pytest.mark.parametrize("kind", ["number", "channels", "list", "images", "one image", "tensor with gradient", "read-only"])
def test_an_override_multiplies_the_map(network: nn.Module, kind: str) -> None:
    scales = np.random.default_rng(4).uniform(0, 2, (3, 16)).astype(np.float32)
    frozen = scales[0].copy()
    frozen.flags.writeable = False
    value, full = {
        "number": (0.25, np.full((3, 16), 0.25)),
        "channels": (scales[0], np.tile(scales[0], (3, 1))),
        "list": (scales[0].tolist(), np.tile(scales[0], (3, 1))),
        "images": (scales, scales),
        "one image": (scales[:1], np.tile(scales[0], (3, 1))),
        "tensor with gradient": (torch.from_numpy(scales).requires_grad_(), scales),
        "read-only": (frozen, np.tile(scales[0], (3, 1))),
    }[kind]
    with block_outputs(network) as seen, torch.no_grad(), override(network, {"SE_3_1": value}), capture(network) as record:
        network(a_batch())
    np.testing.assert_array_equal(seen["SE_3_1 out"], full[:, :, None, None].astype(np.float32) * seen["SE_3_1 in"].numpy())
    np.testing.assert_array_equal(record["SE_3_1"].scale, full.astype(np.float32))  # the record tells what was applied


def test_an_override_spares_the_other_blocks_and_later_forwards(network: nn.Module) -> None:
    with torch.no_grad():
        expected = network(a_batch())
        with capture(network) as before:
            network(a_batch())
        with override(network, {"SE_4_1": 0.0}), capture(network) as during:
            network(a_batch())
        assert torch.equal(network(a_batch()), expected)
    assert torch.equal(before["SE_3_2"].scale, during["SE_3_2"].scale)
    assert not torch.equal(before["SE_4_2"].scale, during["SE_4_2"].scale)


def test_of_nested_overrides_the_inner_wins(network: nn.Module) -> None:
    with torch.no_grad(), override(network, {"SE_2_1": 0.1, "SE_2_2": 0.2}), capture(network) as record:
        with override(network, {"SE_2_1": 0.5}):
            network(a_batch())
        assert record["SE_2_1"].scale.unique().tolist() == [0.5]
        assert record["SE_2_2"].scale.unique().tolist() == pytest.approx([0.2])
        network(a_batch())
        assert record["SE_2_1"].scale.unique().tolist() == pytest.approx([0.1])


@pytest.mark.parametrize("shape", [(15,), (3, 15), (1, 3, 16), (16, 1)])
def test_an_override_of_another_shape_is_refused(network: nn.Module, shape: tuple[int, ...]) -> None:
    message = r"expected a number or an array of shape \(16,\) or \(N, 16\) for SE_3_1, got shape"
    with pytest.raises(SevisError, match=message), override(network, {"SE_3_1": np.ones(shape)}):
        pass
    assert hook_count(network) == 0


def test_an_override_for_another_number_of_images_is_refused(network: nn.Module) -> None:
    with (
        pytest.raises(SevisError, match=r"expected scales for 3 images at SE_3_1, got an array for 2"),
        override(network, {"SE_3_1": np.ones((2, 16))}),
    ):
        network(a_batch(3))
    assert hook_count(network) == 0


# --- nothing left behind, nothing touched ---


def test_no_hook_is_left(network: nn.Module) -> None:
    with torch.no_grad():
        with capture(network), override(network, {"SE_2_1": 1.0}):
            assert hook_count(network) > 0
            network(a_batch())
        assert hook_count(network) == 0
        for context in (capture(network), override(network, {"SE_2_1": 1.0})):
            with pytest.raises(ZeroDivisionError), context:
                _ = 1 / 0
            assert hook_count(network) == 0
        for context in (capture(network), override(network, {"SE_2_1": 1.0})):
            with pytest.raises(RuntimeError), context:
                network(torch.zeros(1, 5, 33, 33))
            assert hook_count(network) == 0


def test_a_user_s_own_hooks_stay_and_see_the_user_s_passes_only(network: nn.Module) -> None:
    calls: list[int] = []
    network.layer1[0].se.gate.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad(), capture(network):
        network(a_batch())
    network(a_batch())
    assert (hook_count(network), len(calls)) == (1, 2)


def test_nested_captures_of_one_model_and_of_two(network: nn.Module) -> None:
    other = copy.deepcopy(network)
    with torch.no_grad(), capture(network, maps=["SE_2_1"]) as outer, capture(other) as foreign:
        with capture(network) as inner:
            network(a_batch(2))
        assert hook_count(network) > 0  # the outer one still needs them
        network(a_batch(3))
        other(a_batch(4))
    for record, count in ((inner, 2), (outer, 3), (foreign, 4)):
        block = record["SE_2_1"]
        assert [len(part) for part in (block.squeeze, block.hidden, block.logits, block.scale)] == [count] * 4
    assert inner["SE_2_1"].maps is None
    assert len(outer["SE_2_1"].maps) == 3
    assert hook_count(network) == hook_count(other) == 0


@pytest.mark.parametrize("training", [True, False])
def test_modes_weights_and_flags_stay(network: nn.Module, training: bool) -> None:
    network.train(training)
    network.layer2.eval()
    network.layer3.requires_grad_(False)
    twin = copy.deepcopy(network)
    twin(a_batch())  # in training, the forward itself moves the running means
    with capture(network, maps=site_names(network)):
        network(a_batch())
    twin(a_batch())
    with override(network, {"SE": Change(1.0, multiply=True)}):  # which changes no number
        network(a_batch())
    assert [module.training for module in network.modules()] == [module.training for module in twin.modules()]
    assert [parameter.requires_grad for parameter in network.parameters()] == [p.requires_grad for p in twin.parameters()]
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, twin.state_dict()[key]) for key, value in network.state_dict().items())


def test_an_abandoned_capture_is_cleaned_up(network: nn.Module) -> None:
    def abandoned() -> Iterator[None]:
        with override(network, {}):
            yield

    generator = abandoned()
    next(generator)
    assert hook_count(network) > 0
    del generator
    gc.collect()
    assert hook_count(network) == 0


def test_kept_hooks_stay_until_they_are_released(network: nn.Module) -> None:
    find_sites(network, a_batch())
    keep_hooks(network)  # even where nobody keeps what it returns
    gc.collect()
    attached = hook_count(network)
    release = keep_hooks(network)
    with torch.no_grad(), capture(network) as record:
        network(a_batch())
    assert hook_count(network) == attached > 0
    assert len(record["SE_2_1"].scale) == 3
    release()
    release()  # a second call does not release what others hold
    assert hook_count(network) == attached
    with capture(network):
        pass
    assert hook_count(network) == attached


def test_overrides_that_end_in_another_order_or_another_thread_leave_nothing(network: nn.Module) -> None:
    def holding(changes: dict[str, float]) -> Iterator[None]:
        with override(network, changes), capture(network):
            yield

    release = keep_hooks(network)
    with torch.no_grad():
        plain = network(a_batch())
        first, second, third = (holding({"SE": value}) for value in (0.0, 0.25, 0.5))
        for generator in (first, second, third):
            next(generator)
        first.close()
        second.close()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(third.close).result()
        assert torch.equal(network(a_batch()), plain)
        with capture(network) as record:
            network(a_batch())
        assert record["SE_2_1"].scale.unique().numel() > 1
    release()
    assert hook_count(network) == 0


def test_a_traced_graph_gives_its_gates_and_maps(network: nn.Module) -> None:
    graph = torch.fx.symbolic_trace(network)
    with torch.no_grad(), capture(network, maps=["SE_2_1"]) as record:
        network(a_batch())
    with torch.no_grad(), capture(graph, maps=["SE_2_1"]) as traced:  # of which the network's modules are parts, too
        graph(a_batch())
    assert torch.equal(traced["SE_4_1"].scale, record["SE_4_1"].scale)
    assert torch.equal(traced["SE_2_1"].maps, record["SE_2_1"].maps)


def test_scales_captured_in_inference_mode_serve_a_forward_with_gradients(network: nn.Module) -> None:
    with torch.inference_mode(), capture(network) as record:
        network(a_batch())
    scales = {name: Change(record[name].scale, multiply=True) for name in record}
    with override(network, scales):
        network(a_batch()).sum().backward()
    assert network.conv1.weight.grad.abs().sum() > 0


def test_what_becomes_of_a_value_after_the_override_began_changes_nothing(network: nn.Module) -> None:
    scales = torch.full((16,), 0.5)
    with torch.no_grad(), override(network, {"SE_3_1": scales}), capture(network) as record:
        scales.zero_()
        network(a_batch())
    assert record["SE_3_1"].scale.unique().tolist() == [0.5]


def pickled(model: nn.Module) -> nn.Module:
    return pickle.loads(pickle.dumps(model))  # noqa: S301  (its own)


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_a_copy_of_a_hooked_model_has_a_life_of_its_own(network: nn.Module, copied: Callable[[nn.Module], nn.Module]) -> None:
    release = keep_hooks(network)
    twin = copied(network)
    with torch.no_grad(), capture(network) as record, override(network, {"SE": 0.5}):
        twin(a_batch())
        with pytest.raises(KeyError, match="has not run"):
            record["SE_2_1"]
        network(a_batch())
        with capture(twin) as own, override(twin, {"SE": Change(2.0, multiply=True)}):
            twin(a_batch())
        with capture(twin) as plain:
            twin(a_batch())
    release()
    assert torch.equal(own["SE_2_1"].scale, 2 * plain["SE_2_1"].scale)


def test_a_dropped_model_is_freed(network: nn.Module) -> None:
    model = copy.deepcopy(network)
    keep_hooks(model)
    watched = weakref.ref(model)
    del model
    gc.collect()
    assert watched() is None


def test_a_network_without_se_is_refused() -> None:
    plain = sevis.build("resnet18", width=0.125)
    for context in (capture(plain), override(plain, {})):
        with pytest.raises(SevisError, match="has no Squeeze-and-Excitation block"), context:
            pass
    with pytest.raises(SevisError, match="has no Squeeze-and-Excitation block"):
        keep_hooks(plain)


# --- threads: test_visitors.py has many ---


def test_a_forward_in_another_thread_is_not_captured(network: nn.Module) -> None:
    with capture(network) as record, ThreadPoolExecutor(1) as pool:
        pool.submit(network, a_batch()).result()
    with pytest.raises(KeyError, match="has not run"):
        record["SE_2_1"]
