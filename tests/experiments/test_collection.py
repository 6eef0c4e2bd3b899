"""Collecting against a plain loop over the same images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import ToTensor

from sevis.analysis.depth import depth_profile
from sevis.analysis.saved_profile import load_profile, profile_path
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.data.datasets import open_dataset
from sevis.data.loader import make_loader
from sevis.errors import SevisError
from sevis.experiments.collection import CollectOptions, collect, collect_dataset, most_broken
from sevis.weights.loading import ReadyModel, make_ready
from tests.helpers.cards import make_card
from tests.helpers.networks import plain_gates
from tests.helpers.pictures import open_colours, write_colours


@pytest.fixture(scope="module")
def colours(tmp_path_factory) -> Path:
    return write_colours(tmp_path_factory.mktemp("data"))


@pytest.fixture
def ready(network: nn.Module) -> ReadyModel:
    return make_ready(make_card(classes=tuple("abcde")), network, device="cpu")


def test_collected_statistics_equal_a_plain_loop(ready: ReadyModel, colours: Path) -> None:
    dataset = open_colours(colours)[0]
    statistics = collect_dataset(ready, dataset, options=CollectOptions(batch_size=7))
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
    options = [CollectOptions(batch_size=size, workers=workers, progress=False) for size, workers in ((1, 0), (5, 0), (64, 2))]
    statistics = [collect_dataset(ready, dataset, options=each) for each in options]
    for other in statistics[1:]:
        for site in other.sites:
            np.testing.assert_allclose(other.mean(site), statistics[0].mean(site), atol=1e-6)
            np.testing.assert_allclose(other.std(site), statistics[0].std(site), atol=1e-6)


def test_collecting_leaves_the_model_as_it_was(ready: ReadyModel, colours: Path) -> None:
    loader = make_loader(open_colours(colours)[1], ready.preprocess)
    before = {name: value.clone() for name, value in ready.model.state_dict().items()}
    collect(ready, loader, classes=ready.classes)
    assert all(torch.equal(value, before[name]) for name, value in ready.model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in ready.model.modules())
    with pytest.raises(SevisError, match="labels from 0 to 1"):
        collect(ready, loader, classes=["only", "two"])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in ready.model.modules())


def test_ids_are_indices_in_the_data_set(ready: ReadyModel, colours: Path) -> None:
    dataset = open_colours(colours)[0]
    inputs = torch.stack([torch.from_numpy(ready.preprocess(image)) for image, _ in dataset])
    scales = plain_gates(ready.model, inputs)["SE_3_2"][1]
    statistics = collect_dataset(ready, dataset, options=CollectOptions(batch_size=7, sample=4, progress=False))
    extremes, sample = statistics.extremes("SE_3_2"), statistics.sample("SE_3_2")
    np.testing.assert_allclose(extremes.highest, -np.sort(-scales, axis=0)[:9].T, atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(scales.T, extremes.lowest_ids, axis=1), extremes.lowest, atol=1e-5)
    assert np.bincount(sample.labels).tolist() == [4, 4, 4]
    assert [dataset.labels[number] for number in sample.ids] == sample.labels.tolist()
    np.testing.assert_allclose(sample.values, scales[sample.ids], atol=5e-4)  # it is kept in half precision
    histogram = statistics.histogram("SE_3_2")
    counts = np.stack([np.histogram(scales[np.array(dataset.labels) == row], histogram.edges)[0] for row in range(3)])
    assert np.abs(histogram.counts - counts).sum() <= 4  # a scale computed twice may fall on either side of an edge


def test_any_loader_of_inputs_and_labels_will_do(ready: ReadyModel) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(12, 3, 32, 32, generator=generator), torch.arange(12) % 5
    pairs = collect(ready, zip(inputs.split(5), labels.split(5), strict=True), classes=ready.classes)
    triples = collect(ready, [(inputs, labels, torch.arange(12) * 10)], classes=ready.classes)
    assert pairs.count.tolist() == triples.count.tolist() == [3, 3, 2, 2, 2]
    assert pairs.sample("SE_2_1").ids.tolist() == list(range(12))
    assert triples.sample("SE_2_1").ids.tolist() == list(range(0, 120, 10))
    np.testing.assert_allclose(pairs.mean("SE_5_2"), triples.mean("SE_5_2"), atol=1e-6)
    with pytest.raises(SevisError, match="labels from 0 to 4"):
        collect(ready, [(inputs, labels + 1)], classes=ready.classes)


def test_a_torchvision_data_set_is_collected(ready: ReadyModel, colours: Path) -> None:
    ours = collect_dataset(ready, open_colours(colours)[1], options=CollectOptions(progress=False))
    images = ImageFolder(colours / "val")
    theirs = collect_dataset(ready, images, options=CollectOptions(progress=False))
    assert theirs.classes == ours.classes
    for site in ours.sites:
        np.testing.assert_array_equal(theirs.mean(site), ours.mean(site))
    assert (theirs.metadata["data"], theirs.metadata["wnids"], theirs.metadata["images"]) == ("ImageFolder", None, 12)
    for other in (DataLoader(images), "photos", {"train": images}):
        with pytest.raises(SevisError, match=rf"a data set with a length, .* got {type(other).__name__}: sevis.collect takes"):
            collect_dataset(ready, other)
    with pytest.raises(SevisError, match=r"\(PIL image, class index\), got Tensor: make it without a transform"):
        collect_dataset(ready, ImageFolder(colours / "val", transform=ToTensor()), options=CollectOptions(progress=False))


def test_bfloat16_and_channels_last_are_close_and_leave_the_weights_as_they_lie(ready: ReadyModel, colours: Path) -> None:
    dataset = open_colours(colours)[1]
    plain = collect_dataset(ready, dataset, options=CollectOptions(progress=False))
    strides = [parameter.stride() for parameter in ready.model.parameters()]
    for options in (CollectOptions(bf16=True, progress=False), CollectOptions(channels_last=True, progress=False)):
        other = collect_dataset(ready, dataset, options=options)
        error = max(np.abs(other.mean(site) - plain.mean(site)).max() for site in plain.sites)
        assert error < (0.02 if options.bf16 else 1e-5)
        assert error > 0 or not options.bf16, "bfloat16 has eight bits"
        assert other.metadata["precision"] == ("bfloat16 autocast" if options.bf16 else "float32")
    assert [parameter.stride() for parameter in ready.model.parameters()] == strides
    assert {parameter.dtype for parameter in ready.model.parameters()} == {torch.float32}


# --- broken images ---


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """150 validation images in three classes."""
    return write_colours(tmp_path / "many", train=1, val=50)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_is_skipped_counted_and_named(ready: ReadyModel, many: Path, workers: int) -> None:
    whole = open_colours(many)[1]
    (many / "val" / "green" / "7.png").write_bytes(b"no picture")
    dataset = open_colours(many)[1]
    index = dataset.files.index("val/green/7.png")
    options = CollectOptions(batch_size=16, workers=workers, progress=False)
    statistics = collect_dataset(ready, dataset, options=options)
    assert statistics.count.tolist() == [50, 49, 50]
    assert statistics.metadata["broken"] == ["val/green/7.png"]
    assert (statistics.metadata["broken_count"], statistics.metadata["images"]) == (1, 149)
    assert index not in statistics.sample("SE_2_1").ids
    kept = [other for other in range(150) if other != index]
    inputs = torch.stack([torch.from_numpy(ready.preprocess(whole[other][0])) for other in kept if whole.labels[other] == 1])
    np.testing.assert_allclose(statistics.mean("SE_5_1")[1], plain_gates(ready.model, inputs)["SE_5_1"][1].mean(axis=0), atol=1e-5)


def test_too_many_broken_images_stop_it(ready: ReadyModel, many: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    out.write_text("an older file")
    for number in range(11):
        (many / "val" / "green" / f"{number}.png").write_bytes(b"no picture" * (number % 2))
    told = r"11 of 150 images cannot be read, but at most 10 may be unreadable: .*; the first is val/green/0.png: The file is empty"
    with pytest.raises(SevisError, match=told):
        collect_dataset(ready, open_colours(many)[1], options=CollectOptions(out=out, progress=False))
    with pytest.raises(SevisError, match=told):
        collect(ready, make_loader(open_colours(many)[1], ready.preprocess), classes=["blue", "green", "red"])
    assert out.read_text() == "an older file"


def test_one_broken_image_of_twenty_does_not_end_it(ready: ReadyModel, tmp_path: Path) -> None:
    few = write_colours(tmp_path / "few", train=1, val=7)
    (few / "val" / "red" / "0.png").unlink()
    (few / "val" / "green" / "3.png").write_bytes(b"no picture")
    statistics = collect_dataset(ready, open_colours(few)[1], options=CollectOptions(batch_size=4, progress=False))
    assert statistics.count.tolist() == [7, 6, 6]
    assert statistics.metadata["broken"] == ["val/green/3.png"]


@pytest.mark.parametrize(("images", "most"), [(1, 0), (2, 1), (3, 1), (19, 9), (20, 10), (999, 10), (1100, 11), (1_281_167, 12_811)])
def test_the_broken_images_that_are_borne_are_a_share_and_a_number(images: int, most: int) -> None:
    assert most_broken(images) == most


def test_only_broken_images_are_an_error(ready: ReadyModel, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "data" / "cat").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / "cat" / f"{number}.png").write_bytes(b"no picture")
    with pytest.raises(SevisError, match="2 of 3 images cannot be read, but at most 1 may be unreadable"):
        collect_dataset(ready, open_dataset(tmp_path / "data"), options=CollectOptions(batch_size=1, progress=False))


def test_the_profile_of_a_compact_file_holds_what_no_training_gives(ready: ReadyModel, colours: Path, tmp_path: Path) -> None:
    dataset = open_colours(colours)[1]
    floor, out = tmp_path / "floor", tmp_path / "small"
    untrained = collect_dataset(ready, dataset, options=CollectOptions(out=floor, progress=False))
    collect_dataset(ready, dataset, options=CollectOptions(out=out, compact=True, untrained=floor, progress=False))
    profile = load_profile(profile_path(out), ClassStatistics.load(out))
    assert profile.untrained is not None
    np.testing.assert_allclose(profile.untrained, depth_profile(untrained, permutations=0).curves["class_share"].estimate)
