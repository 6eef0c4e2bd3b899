"""Interventions on scales: which blocks, channels and images they reach, and what they leave alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sevis import Change, SevisError, capture, find_sites, override


def a_batch(count: int = 3, *, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 33, 33, generator=torch.Generator().manual_seed(seed))


@contextmanager
def ratio_of_output_to_input(model: nn.Module, path: str) -> Iterator[dict[str, Tensor]]:
    """What a block did to its maps, by the test's own hook: with maps of ones, the output is the scale."""
    seen: dict[str, Tensor] = {}
    block = model.get_submodule(path)
    handles = [
        block.register_forward_pre_hook(lambda _, inputs: (torch.ones_like(inputs[0]),)),
        block.register_forward_hook(lambda _, __, output: seen.update(scale=output[:, :, 0, 0].clone())),
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def applied(model: nn.Module, changes: dict[str, Any], *, block: str = "SE_3_1", count: int = 3) -> np.ndarray:
    """The scales that a block's maps were really multiplied by."""
    path = next(site.path for site in find_sites(model) if site.name == block)
    with torch.no_grad(), override(model, changes), ratio_of_output_to_input(model, path) as seen:
        model(a_batch(count))
    return seen["scale"].numpy()


@pytest.fixture
def own(network: nn.Module) -> np.ndarray:
    return applied(network, {})


CASES: dict[str, tuple[Any, Any]] = {
    "set a number": (0.25, lambda s: np.full_like(s, 0.25)),
    "set beyond the gate's range": (-3.5, lambda s: np.full_like(s, -3.5)),
    "multiply": (Change(2.5, multiply=True), lambda s: s * np.float32(2.5)),
    "multiply by channel": (Change(np.arange(16), multiply=True), lambda s: s * np.arange(16, dtype=np.float32)),
    "set two channels": (Change(0.5, channels=[3, 15]), lambda s: put(s, (slice(None), [3, 15]), 0.5)),
    "set channels in any order": (Change([0.1, 0.9], channels=(7, 2)), lambda s: put(s, (slice(None), [7, 2]), [0.1, 0.9])),
    "multiply one channel": (Change(0, multiply=True, channels=[4]), lambda s: put(s, (slice(None), 4), 0)),
    "set one image": (Change(1.0, images=[1]), lambda s: put(s, 1, 1.0)),
    "each image its own": (Change(np.eye(3, 16), images=[0, 1, 2]), lambda _: np.eye(3, 16)),
    "images in any order": (Change(np.eye(2, 16), images=[2, 0]), lambda s: put(s, [2, 0], np.eye(2, 16))),
    "one channel of one image": (Change(0.0, channels=[5], images=[2]), lambda s: put(s, (2, 5), 0)),
    "channels by image": (
        Change(np.array([[1.0, 2.0], [3.0, 4.0]]), channels=[0, 1], images=[0, 2]),
        lambda s: put(s, (np.array([[0], [2]]), [0, 1]), [[1, 2], [3, 4]]),
    ),
}


def put(scale: np.ndarray, chosen: Any, value: Any) -> np.ndarray:
    changed = scale.copy()
    changed[chosen] = value
    return changed


@pytest.mark.parametrize("case", CASES)
def test_a_change_reaches_what_it_names_and_nothing_else(network: nn.Module, own: np.ndarray, case: str) -> None:
    change, expected = CASES[case]
    np.testing.assert_array_equal(applied(network, {"SE_3_1": change}), expected(own))
    np.testing.assert_array_equal(applied(network, {"SE_3_2": change}), own)


def test_an_address_names_a_block_a_stage_or_all(network: nn.Module) -> None:
    reached = {}
    for address in ("SE_3_2", "SE_3", "SE"):
        with torch.no_grad(), override(network, {address: 0.5}), capture(network) as record:
            network(a_batch())
        reached[address] = [name for name in record if (record[name].scale == 0.5).all()]
    assert reached == {"SE_3_2": ["SE_3_2"], "SE_3": ["SE_3_1", "SE_3_2"], "SE": [site.name for site in find_sites(network)]}


def test_changes_are_applied_in_their_order_and_the_inner_override_after_the_outer(network: nn.Module, own: np.ndarray) -> None:
    ordered = {"SE": 0.5, "SE_3": Change(4.0, multiply=True), "SE_3_1": Change(0.0, channels=[1])}
    np.testing.assert_array_equal(applied(network, ordered), put(np.full_like(own, 2.0), (slice(None), 1), 0.0))
    with override(network, {"SE_3_1": Change(0.5, multiply=True)}):
        np.testing.assert_array_equal(applied(network, {"SE_3": Change(3.0, multiply=True)}), own * np.float32(0.5) * np.float32(3))
        np.testing.assert_array_equal(applied(network, {"SE_3_1": 1.0}), np.ones_like(own))


def test_a_transplant_gives_another_photos_gates(network: nn.Module) -> None:
    with torch.no_grad(), capture(network) as record:
        network(a_batch(1, seed=7))
    donor = {name: record[name].scale[0] for name in record}
    with torch.no_grad(), override(network, donor), capture(network) as received:
        network(a_batch(3))
    assert all(torch.equal(received[name].scale, donor[name].expand(3, -1)) for name in donor)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "block": ({"SE_9_9": 1.0}, r"no SE block is called 'SE_9_9': the model has SE_2_1, .* as stages SE_2, SE_3"),
    "half a stage": ({"SE_": 1.0}, r"no SE block is called 'SE_'"),
    "nothing": ({"": 1.0}, r"no SE block is called ''"),
    "channel": ({"SE_3_1": Change(1.0, channels=[16])}, r"expected channels of SE_3_1 from 0 to 15, got 16"),
    "negative channel": ({"SE_3_1": Change(1.0, channels=[-1])}, r"expected channels of SE_3_1 from 0 to 15, got -1"),
    "a channel twice": ({"SE_3_1": Change(1.0, channels=[2, 2])}, r"expected different channels of SE_3_1"),
    "NaN": ({"SE_3_1": float("nan")}, r"expected finite scales for SE_3_1, got nan"),
    "infinite factor": ({"SE_3_1": Change(np.inf, multiply=True)}, r"expected finite scales for SE_3_1, got inf"),
    "one bad of many": ({"SE_3_1": np.r_[np.ones(15), -np.inf]}, r"expected finite scales for SE_3_1, got -inf"),
    "shape": ({"SE_3_1": np.ones(15)}, r"expected a number or an array of shape \(16,\) or \(N, 16\) for SE_3_1, got shape \(15,\)"),
    "shape of channels": ({"SE_3_1": Change(np.ones(16), channels=[1, 2])}, r"of shape \(2,\) or \(N, 2\) for SE_3_1, got shape \(16,\)"),
    "stage of two widths": ({"SE": np.ones(16)}, r"of shape \(8,\) or \(N, 8\) for SE_2_1, got shape \(16,\)"),
    "half a channel": (
        {"SE_3_1": Change(1.0, channels=[3.9])},
        r"expected channels of SE_3_1 as a list of whole numbers from 0 to 15, got",
    ),
    "channels as text": ({"SE_3_1": Change(1.0, channels="12")}, r"expected channels of SE_3_1 as a list of whole numbers"),
    "channels as a mask": ({"SE_3_1": Change(1.0, channels=[True, False])}, r"expected channels of SE_3_1 as a list of whole numbers"),
    "one number of a channel": ({"SE_3_1": Change(1.0, channels=3)}, r"expected channels of SE_3_1 as a list of whole numbers"),
    "images by name": ({"SE_3_1": Change(1.0, images=["a"])}, r"expected images at SE_3_1 as a list of whole numbers from 0, got"),
    "complex": ({"SE_3_1": torch.ones(16, dtype=torch.complex64)}, r"expected a number or an array for SE_3_1"),
    "number as text": ({"SE_3_1": "0.5"}, r"expected a number or an array for SE_3_1, got '0.5'"),
    "too large for any precision": ({"SE_3_1": 10**400}, r"expected a number or an array for SE_3_1"),
    "text": ({"SE_3_1": "open"}, r"expected a number or an array for SE_3_1, got 'open'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_change_that_cannot_be_made_is_refused_at_the_door(network: nn.Module, what: str) -> None:
    changes, message = WRONG[what]
    with pytest.raises(SevisError, match=message), override(network, changes):
        pytest.fail("the body of a refused override ran")
    assert not network._forward_pre_hooks


def test_an_image_that_the_batch_lacks_is_refused_by_the_forward(network: nn.Module) -> None:
    message = r"expected a batch with an image 3 at SE_3_1, got images 0 to 2"
    with torch.no_grad(), pytest.raises(SevisError, match=message), override(network, {"SE_3_1": Change(1.0, images=[0, 3])}):
        network(a_batch(3))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_two_identities_hold_in_every_precision_and_layout(network: nn.Module, dtype: torch.dtype, layout: torch.memory_format) -> None:
    network.to(dtype=dtype, memory_format=layout)
    images = a_batch(5).to(dtype=dtype, memory_format=layout)
    with torch.no_grad():
        with capture(network, maps=["SE_4_1"]) as record:
            plain = network(images)
        readable = torch.float64 if dtype is torch.float64 else torch.float32
        assert record["SE_4_1"].scale.dtype == record["SE_4_1"].maps.dtype == readable
        with override(network, {name: record[name].scale for name in record}):
            assert torch.equal(network(images), plain)
        with override(network, {"SE": 1.0}):
            opened = network(images)
        for site in find_sites(network):
            network.get_submodule(site.path.removesuffix(".se")).se = nn.Identity()
        assert torch.equal(opened, network(images))
        assert opened.isfinite().all()


def test_a_value_that_half_precision_does_not_hold_is_refused(network: nn.Module) -> None:
    with torch.no_grad(), override(network, {"SE_3_1": 70000.0}):
        assert network(a_batch()).isfinite().all()
        network.half()
        with pytest.raises(SevisError, match=r"expected finite scales for SE_3_1, got inf, as torch.float16"):
            network(a_batch().half())


def test_a_change_of_no_image_changes_nothing(network: nn.Module, own: np.ndarray) -> None:
    np.testing.assert_array_equal(applied(network, {"SE_3_1": Change(0.0, images=[])}), own)
    np.testing.assert_array_equal(applied(network, {"SE_3_1": Change(0.0, channels=[])}), own)
