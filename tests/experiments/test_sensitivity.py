"""Sensitivities of many rows in one batch against a network changed by hand, one forward pass each."""

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import sevis
from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.experiments.sensitivity import ablate_channels, measure_sensitivity, scan_blocks
from sevis.weights.loading import make_ready
from tests.helpers.cards import make_card

CLASSES = ["ant", "bee", "cat", "dog", "eel"]


@pytest.fixture
def ready(network):
    return make_ready(make_card(sha256="a" * 64, classes=tuple(CLASSES), preprocessing=Preprocessing(resize=36, crop=32)), network)


@pytest.fixture
def image():
    return Image.fromarray(np.random.default_rng(4).integers(0, 256, size=(40, 50, 3), dtype=np.uint8))


@pytest.fixture
def static(ready):
    random = np.random.default_rng(5)
    return {site.name: random.uniform(size=site.channels).astype(np.float32) for site in sevis.find_sites(ready.model)}


class Held(nn.Module):
    """A gate whose output is replaced, or multiplied."""

    def __init__(self, gate, *, at=None, times=None):
        super().__init__()
        self.gate, self.at, self.times = gate, at, times

    def forward(self, logits):
        scale = self.gate(logits)
        return scale * self.times if self.at is None else self.at.expand_as(scale)


def alone(ready, image, site=None, **change):
    """The logits of a single image in a copy of the network with one gate changed."""
    model = copy.deepcopy(ready.model)
    if site:
        block = model.get_submodule({found.name: found.path for found in sevis.find_sites(ready.model)}[site])
        block.gate = Held(block.gate, **{name: torch.as_tensor(value, dtype=torch.float32) for name, value in change.items()})
    with torch.inference_mode():
        return model(torch.from_numpy(ready.preprocess(image))[None])[0].numpy()


def probability(logits):
    return torch.from_numpy(np.stack(logits)).double().softmax(dim=1).numpy()


@pytest.mark.parametrize("batch_size", [None, 1, 5])
def test_every_row_is_the_block_changed_alone(ready, image, static, batch_size):
    found = measure_sensitivity(ready, image, static=static, batch_size=batch_size)
    plain = alone(ready, image)
    opened = np.stack([alone(ready, image, site, at=1.0) for site in static])
    frozen = np.stack([alone(ready, image, site, at=values) for site, values in static.items()])
    assert found.sites == tuple(static)
    assert found.done == 1
    for shown, expected in ((found.plain, plain), (found.opened, opened), (found.frozen, frozen)):
        assert shown.shape == expected.shape
        assert np.allclose(shown, expected, atol=1e-5)
    assert np.abs(opened - plain).max() > 0.01  # so that the comparison means something
    assert np.abs(frozen - plain).max(axis=1).min() > 0.001


def test_changes_are_those_of_the_shown_class(ready, image, static):
    found = measure_sensitivity(ready, image, static=static)
    plain = alone(ready, image)
    assert found.target == plain.argmax()
    for way, logits in (
        ("opened", [alone(ready, image, site, at=1.0) for site in static]),
        ("frozen", [alone(ready, image, site, at=values) for site, values in static.items()]),
    ):
        for target in (None, 3):
            place = plain.argmax() if target is None else target
            assert np.allclose(found.change(way, target), (probability(logits) - probability([plain]))[:, place], atol=1e-5)
            assert np.allclose(found.logit_change(way, target), (np.stack(logits) - plain)[:, place], atol=1e-5)
        assert found.top1(way).tolist() == np.argmax(logits, axis=1).tolist()
    assert measure_sensitivity(ready, image, target=2).target == 2


def test_the_first_row_is_the_plain_forward_of_the_same_batch(ready, image):
    rows = 1 + len(sevis.find_sites(ready.model))
    with torch.inference_mode():
        batch = ready.model(torch.from_numpy(ready.preprocess(image)).expand(rows, 3, 32, 32))
    assert np.array_equal(measure_sensitivity(ready, image).plain, batch[0].numpy())


def test_an_input_is_as_good_as_its_image(ready, image):
    first, second = measure_sensitivity(ready, image), measure_sensitivity(ready, ready.preprocess(image))
    assert np.array_equal(first.opened, second.opened)


def test_without_scales_no_block_is_frozen(ready, image):
    found = measure_sensitivity(ready, image)
    assert found.frozen is None
    with pytest.raises(SevisError, match="not frozen"):
        found.change("frozen")


def test_what_is_not_measured_yet_is_not_a_number(ready, image, static):
    parts = list(scan_blocks(ready, image, static=static, batch_size=4))
    rows = 1 + 2 * len(static)
    assert [part.done for part in parts] == [min(done, rows) / rows for done in range(4, rows + 4, 4)]
    last = parts[-1]
    for part in parts:
        known = round(part.done * rows)
        for way, first in (("opened", 1), ("frozen", 2)):  # row 1 opens the first block, row 2 freezes it, ...
            measured = np.array([first + 2 * block < known for block in range(len(static))])
            assert np.array_equal(part.change(way)[measured], last.change(way)[measured])
            assert np.isnan(part.change(way)[~measured]).all()


@pytest.mark.parametrize("batch_size", [None, 7])
def test_every_channel_is_turned_off_alone(ready, image, batch_size):
    parts = list(ablate_channels(ready, image, "SE_3_1", target=1, batch_size=batch_size))
    found = parts[-1]
    masks = 1 - np.eye(found.channels, dtype=np.float32)
    off = np.stack([alone(ready, image, "SE_3_1", times=mask) for mask in masks])
    assert (found.site, found.channels, found.done, found.target) == ("SE_3_1", 16, 1, 1)
    assert np.allclose(found.off, off, atol=1e-5)
    assert np.allclose(found.change(), (probability(off) - probability([alone(ready, image)]))[:, 1], atol=1e-5)
    assert np.abs(found.change()).max() > 1e-4
    assert [len(part.off) for part in parts] == ([16] if batch_size is None else [9, 16])
    assert all(np.array_equal(part.off, found.off[: len(part.off)]) for part in parts)


def test_what_comes_before_the_block_is_computed_once(ready, image):
    batches = {"conv1": [], "fc": []}
    for name, seen in batches.items():
        getattr(ready.model, name).register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(len(inputs[0])))
    list(ablate_channels(ready, image, "SE_5_1"))
    assert batches["conv1"][-1] == 1
    assert batches["fc"][-1] == 65


class Joined(nn.Module):
    """A network that puts what went round the block beside what went through it, so that both must hold as many images."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=4)
        self.layer1 = nn.Sequential(nn.Sequential(sevis.SqueezeExcitation(8, reduction=2)))
        self.head = nn.Linear(16, 5)

    def forward(self, images):
        u = self.stem(images)
        return self.head(torch.cat([u, self.layer1(u)], dim=1).mean(dim=(2, 3)))


def test_a_network_that_does_not_bear_copies_inside_it_gets_whole_ones(ready, image):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        joined = make_ready(ready.card, Joined())
    (found,) = ablate_channels(joined, image, "SE_2_1")
    off = [alone(joined, image, "SE_2_1", times=mask) for mask in 1 - np.eye(8, dtype=np.float32)]
    assert np.allclose(found.off, off, atol=1e-5)
    assert np.abs(found.off - found.plain).max() > 1e-3


def test_memory_that_runs_out_changes_no_answer(ready, image, static, monkeypatch):
    expected = measure_sensitivity(ready, image, static=static)
    forward, said = type(ready.model).forward, []

    def little_memory(self, batch):
        if len(batch) > 3:
            raise torch.OutOfMemoryError
        return forward(self, batch)

    monkeypatch.setattr(type(ready.model), "forward", little_memory)
    found = measure_sensitivity(ready, image, static=static, say=said.append)
    assert np.allclose(found.opened, expected.opened, atol=1e-5)
    assert np.allclose(found.frozen, expected.frozen, atol=1e-5)
    assert said
    assert all(sentence.endswith(".") for sentence in said)


def test_nothing_is_left_behind(ready, image, static):
    before = alone(ready, image)
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in ready.model.modules()]
    scan = scan_blocks(ready, image, static=static, batch_size=2)
    next(scan)
    with torch.inference_mode():
        assert np.array_equal(ready.model(torch.from_numpy(ready.preprocess(image))[None])[0].numpy(), before)
    scan.close()
    assert [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in ready.model.modules()] == hooks == [0] * len(hooks)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda ready, image, static: measure_sensitivity(ready, image, target=5), "0 to 4, got 5"),
        (lambda ready, image, static: measure_sensitivity(ready, image, target=-1), "0 to 4, got -1"),
        (lambda ready, image, static: measure_sensitivity(ready, image, static={"SE_2_1": static["SE_2_1"]}), "none for SE_2_2"),
        (lambda ready, image, static: measure_sensitivity(ready, image, static={**static, "SE_2_1": np.ones(9)}), r"\(8,\).*got.*\(9,\)"),
        (lambda ready, image, static: measure_sensitivity(ready, image, static={**static, "SE_2_1": np.full(8, np.inf)}), "finite"),
        (lambda ready, image, static: measure_sensitivity(ready, np.zeros((2, 3, 32, 32), np.float32)), r"\(2, 3, 32, 32\)"),
        (lambda ready, image, static: list(ablate_channels(ready, image, "SE_9_9")), "SE_9_9.*SE_2_1"),
        (lambda ready, image, static: list(ablate_channels(ready, image, "SE_2_1", target=9)), "0 to 4, got 9"),
    ],
)
def test_what_does_not_fit_is_said(ready, image, static, ask, message):
    with pytest.raises(SevisError, match=message):
        ask(ready, image, static)


@pytest.mark.parametrize(("conv", "shape"), [(nn.Conv1d, (2, 40)), (nn.Conv3d, (2, 6, 8, 8))])
def test_a_wrapped_network_is_measured_on_inputs_of_its_own(conv, shape):
    layers = [conv(2, 8, 3), sevis.SqueezeExcitation(8, reduction=2), nn.Flatten(2), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 3)]
    ready = sevis.wrap(nn.Sequential(*layers).eval(), classes=["run", "sit", "walk"])
    values = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found = measure_sensitivity(ready, values.numpy())
    (site,) = sevis.find_sites(ready.model)
    with sevis.override(ready.model, {site.name: 1.0}), torch.inference_mode():
        np.testing.assert_allclose(found.opened[0], ready.model(values[None])[0].numpy(), atol=1e-5)
    *_, ablation = ablate_channels(ready, values.numpy(), site.name)
    with sevis.override(ready.model, {site.name: sevis.Change(0.0, channels=[5])}), torch.inference_mode():
        np.testing.assert_allclose(ablation.off[5], ready.model(values[None])[0].numpy(), atol=1e-5)
    with pytest.raises(SevisError, match=r"input of one image, sequence or volume, got an array of shape \(40,\)"):
        measure_sensitivity(ready, values.numpy()[0] if len(shape) == 2 else np.zeros(40))
