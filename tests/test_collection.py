"""Collecting and evaluating against a plain loop over the same images, and publishing what was trained."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import open_colours, write_colours
from safetensors.numpy import load_file
from torch import nn
from torch.nn import functional as F

import sevis
from sevis import publishing
from sevis.blocks import SqueezeExcitation
from sevis.collection import collect, collect_dataset, make_loader
from sevis.errors import SevisError
from sevis.evaluation import evaluate, measure_gates
from sevis.images import Preprocessing
from sevis.recipe import Recipe
from sevis.training import build_model
from sevis.weights import Card, ReadyModel, load, make_ready

RECIPE = Recipe(model="se_resnet18", width=0.125, reduction=4, size=32)


@pytest.fixture(scope="module")
def colours(tmp_path_factory) -> Path:
    return write_colours(tmp_path_factory.mktemp("data"))


@pytest.fixture
def ready(network: nn.Module) -> ReadyModel:
    entry = {"classes": list("abcde"), "preprocessing": {"resize": 32, "crop": 32}, "sha256": "0" * 64}
    return make_ready(Card("small", entry), network, device="cpu")


def plain_gates(model: nn.Module, inputs: torch.Tensor) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """z and s of every SE block by re-computation from the block's own weights, with one plain hook on its input."""
    found, handles = {}, []
    blocks = [module for module in model.modules() if isinstance(module, SqueezeExcitation)]
    for number, block in enumerate(blocks):
        handles.append(block.register_forward_pre_hook(lambda _, args, number=number: found.__setitem__(number, args[0].clone())))
    with torch.no_grad():
        model(inputs)
    for handle in handles:
        handle.remove()
    result = {}
    for number, block in enumerate(blocks):
        z = found[number].numpy().astype(np.float64).mean(axis=(2, 3))
        w1, b1, w2, b2 = (p.detach().numpy() for p in (block.fc1.weight, block.fc1.bias, block.fc2.weight, block.fc2.bias))
        s = 1 / (1 + np.exp(-(np.maximum(z @ w1.T + b1, 0) @ w2.T + b2)))
        result[f"SE_{number // 2 + 2}_{number % 2 + 1}"] = (z, s)
    return result


def test_collected_statistics_equal_a_plain_loop(ready: ReadyModel, colours: Path) -> None:
    dataset = open_colours(colours)[0]
    statistics = collect_dataset(ready, dataset, batch_size=7)
    inputs = torch.stack([torch.from_numpy(ready.preprocess(image)) for image, _ in dataset])
    labels = np.array(dataset.labels)
    gates = plain_gates(ready.model, inputs)
    assert statistics.sites == tuple(gates)
    assert statistics.classes == ("blue", "green", "red")
    np.testing.assert_array_equal(statistics.count, [12, 12, 12])
    for site, pair in gates.items():
        for quantity, values in zip(("squeeze", "scale"), pair, strict=True):
            for row in range(3):
                np.testing.assert_allclose(statistics.mean(site, quantity)[row], values[labels == row].mean(axis=0), atol=2e-6)
                expected = values[labels == row].std(axis=0, ddof=1)
                np.testing.assert_allclose(statistics.std(site, quantity)[row], expected, rtol=1e-3, atol=1e-6)
    assert statistics.metadata["images"] == 36
    assert statistics.metadata["weights"] == "0" * 64
    assert (statistics.metadata["data"], statistics.metadata["split"]) == (colours.stem, "train")


def test_batch_size_and_workers_make_no_difference(ready: ReadyModel, colours: Path) -> None:
    dataset = open_colours(colours)[1]
    statistics = [collect_dataset(ready, dataset, batch_size=size, workers=workers) for size, workers in ((1, 0), (5, 0), (64, 2))]
    for other in statistics[1:]:
        for site in other.sites:
            np.testing.assert_allclose(other.mean(site), statistics[0].mean(site), atol=1e-6)
            np.testing.assert_allclose(other.std(site), statistics[0].std(site), atol=1e-6)


def test_a_loader_can_go_to_a_spawned_worker(colours: Path) -> None:
    dataset = open_colours(colours)[1]
    loader = make_loader(dataset, Preprocessing(resize=32, crop=32), batch_size=4)
    collate = pickle.loads(pickle.dumps(loader.collate_fn))  # noqa: S301  (made here)
    for (inputs, labels), start in zip(loader, range(0, len(dataset), 4), strict=True):
        again, same = collate([dataset[index] for index in range(start, start + 4)])
        assert torch.equal(again, inputs)
        assert torch.equal(same, labels)


def test_collecting_leaves_the_model_as_it_was(ready: ReadyModel, colours: Path) -> None:
    loader = make_loader(open_colours(colours)[1], ready.preprocess)
    before = {name: value.clone() for name, value in ready.model.state_dict().items()}
    collect(ready, loader)
    assert all(torch.equal(value, before[name]) for name, value in ready.model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in ready.model.modules())
    with pytest.raises(SevisError, match="labels from 0 to 1"):
        collect(ready, loader, classes=["only", "two"])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in ready.model.modules())


def test_scores_equal_a_direct_count(network: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(30, 3, 32, 32, generator=generator), torch.randint(5, (30,), generator=generator)
    network.train()
    network.layer1.eval()  # a mixed mode must be put back as it was
    modes = [module.training for module in network.modules()]
    score = evaluate(network, zip(inputs.split(8), labels.split(8), strict=True))
    assert [module.training for module in network.modules()] == modes
    with torch.no_grad():
        logits = network.eval()(inputs)
    order = np.argsort(-logits.numpy(), axis=1)
    assert score.top1 == pytest.approx(np.mean(order[:, 0] == labels.numpy()))
    assert score.top5 == 1.0  # five classes
    assert score.val_loss == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)
    with pytest.raises(SevisError, match="no image"):
        evaluate(network, [])


def test_gate_measures_equal_their_definition(network: nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    train, val = (torch.randn(24, 3, 32, 32, generator=generator) for _ in range(2))
    labels = torch.randint(5, (24,), generator=generator)
    measured = measure_gates(network, lambda: [(train, labels)], lambda: [(val, labels)])
    gates, trained = plain_gates(network, val), plain_gates(network, train)
    for site, (_, s) in gates.items():
        block = measured["blocks"][site]
        assert block["mean"] == pytest.approx(s.mean(), rel=1e-5)
        assert block["spread"] == pytest.approx(s.mean(axis=0).std(), rel=1e-4)
        assert block["std_over_images"] == pytest.approx(s.std(axis=0, ddof=1).mean(), rel=1e-4)
    frozen = {site: s.mean(axis=0) for site, (_, s) in trained.items()}
    with torch.no_grad():
        for number, block in enumerate(module for module in network.modules() if isinstance(module, SqueezeExcitation)):
            block.fc2.weight.zero_()
            mean = frozen[f"SE_{number // 2 + 2}_{number % 2 + 1}"]
            block.fc2.bias.copy_(torch.from_numpy(np.log(mean / (1 - mean))))
        expected = (network(val).argmax(dim=1) == labels).float().mean()
    assert measured["top1_frozen"] == pytest.approx(float(expected))


def test_a_published_network_loads_with_the_score_on_its_card(colours: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    data = open_colours(colours)
    model = build_model(RECIPE, 3).eval()
    for module in model.modules():
        if isinstance(module, SqueezeExcitation):
            module.fc2.weight.data *= 8  # gates as lively as training makes them
    publishing.publish("mine", model, RECIPE, data, run={"command": "the command", "seconds": 1.5})
    index = json.loads((tmp_path / "index.json").read_text())
    assert set(index) == {"mine"}
    entry = index["mine"]
    assert entry["wnids"] == ["blue", "green", "red"]
    assert (entry["command"], entry["epochs"]) == ("the command", RECIPE.epochs)
    ready = load("mine", device="cpu")
    hits = [int(ready.model(torch.from_numpy(ready.preprocess(image))[None]).argmax()) == label for image, label in data[1]]
    assert entry["top1"] == pytest.approx(np.mean(hits))
    stored = load_file(tmp_path / "mine.safetensors")
    assert stored["layer1.0.conv1.weight"].dtype == np.float16
    for name, value in model.state_dict().items():
        torch.testing.assert_close(ready.model.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    statistics = sevis.ClassStatistics.load(ready.card.statistics_path)
    assert statistics.metadata["weights"] == entry["sha256"]
    example = sevis.Explanation.load(ready.card.example_path)
    assert example.weights == entry["sha256"]
    assert tuple(example.maps) == example.sites == statistics.sites


@pytest.mark.parametrize("name", ["", ".hidden", "../mine", "a/b", "two words", "mine\n", "ä"])
def test_a_name_that_no_file_should_have_is_refused(colours: Path, tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path / "shelf"))
    with pytest.raises(SevisError, match="a network cannot be called"):
        publishing.publish(name, build_model(RECIPE, 3), RECIPE, open_colours(colours), run={})
    assert list(tmp_path.iterdir()) == []


def test_a_large_network_is_published(colours: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    recipe = Recipe(model="resnet18", width=1.0, size=32)
    card = publishing.publish("large-1", build_model(recipe, 3), recipe, open_colours(colours), run={})
    assert card.path.stat().st_size > 16e6  # the limit of what this repository ships is no limit for others


def test_dead_gates_are_not_published(colours: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    model = build_model(RECIPE, 3).eval()
    for module in model.modules():
        if isinstance(module, SqueezeExcitation):
            nn.init.zeros_(module.fc2.weight)
    with pytest.raises(SevisError, match="the gates are dead"):
        publishing.publish("mine", model, RECIPE, open_colours(colours), run={})
    assert list(tmp_path.iterdir()) == []


def test_a_plain_network_is_published_without_gates(colours: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    recipe = Recipe(model="resnet18", width=0.125, size=32)
    card = publishing.publish("plain", build_model(recipe, 3), recipe, open_colours(colours), run={})
    assert "gates" not in card.entry
    assert card.preprocess == Preprocessing(resize=32, crop=32)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "plain.safetensors"]
