"""Any loader is collected under the names that its data set has, or refused in one sentence."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset, random_split
from torchvision.datasets import ImageFolder

import sevis
from sevis import SevisError, collect
from sevis.data.loader import make_loader
from sevis.data.preprocessing import Preprocessing
from sevis.weights.loading import ReadyModel, make_ready
from tests.helpers.cards import make_card
from tests.helpers.networks import plain_gates
from tests.helpers.pictures import write_classes, write_colours

CLASSES = ("red", "x", "green", "y", "blue")  # not in the order of the folders
WNIDS = ("n00000001", "n00000002", "n00000003", "n00000004", "n00000005")


@pytest.fixture
def ready(network: nn.Module) -> ReadyModel:
    return make_ready(make_card(classes=CLASSES, wnids=WNIDS), network, device="cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_colours(tmp_path_factory.mktemp("data")) / "val"


@pytest.fixture
def folder(root, ready):
    return ImageFolder(root, transform=lambda image: torch.from_numpy(ready.preprocess(image)))


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 3, 32, 32, generator=generator), torch.arange(6) % 5


def means(ready, data):
    """The mean scale of a block by the name of the folder, from the blocks' own weights."""
    found = {name: [] for name in data.classes}
    for image, label in data:
        found[data.classes[label]].append(plain_gates(ready.model, image[None])["SE_4_1"][1][0])
    return {name: np.mean(rows, axis=0) for name, rows in found.items() if rows}


def test_every_class_is_called_as_the_network_calls_that_folder(ready, folder):
    expected = means(ready, folder)
    half, rest = random_split(folder, [6, 6], generator=torch.Generator().manual_seed(0))
    for data in (folder, ConcatDataset([half, rest]), Subset(ConcatDataset([rest, half]), list(range(12)))):
        statistics = collect(ready, DataLoader(data, batch_size=5))
        assert statistics.classes == ("blue", "green", "red")
        assert statistics.metadata["wnids"] == ["n00000005", "n00000003", "n00000001"]
        for name, mean in zip(statistics.classes, statistics.mean("SE_4_1"), strict=True):
            np.testing.assert_allclose(mean, expected[name], atol=2e-6)


def test_ids_and_spellings_are_enough(ready, folder):
    folder.class_to_idx = {"n00000004": 0, "GREEN": 1, "n00000001_red": 2}
    assert collect(ready, DataLoader(folder, batch_size=12)).classes == ("y", "green", "red")


def test_classes_that_are_not_the_networks_are_refused_unless_they_are_named(ready, folder):
    folder.class_to_idx = {"blue": 0, "rose": 1, "ruby": 2}
    with pytest.raises(
        SevisError, match=r"2 of the 3 classes .* are not among those of small: 'rose', 'ruby' .*'red', 'x', .*: pass classes="
    ):
        collect(ready, DataLoader(folder))
    statistics = collect(ready, DataLoader(folder, batch_size=12), classes=folder.class_to_idx)
    assert statistics.classes == ("blue", "rose", "ruby")
    assert statistics.count.tolist() == [4, 4, 4]
    assert "wnids" not in statistics.metadata


def test_a_network_whose_outputs_have_no_names_takes_those_of_the_data(network, folder):
    unnamed = make_ready(make_card(classes=tuple(f"output {number}" for number in range(5))), network, device="cpu")
    assert collect(unnamed, DataLoader(folder, batch_size=12)).classes == ("blue", "green", "red")


def test_names_that_contradict_the_data_set_are_refused(ready, folder):
    with pytest.raises(SevisError, match=r"label 0 is called 'blue' by the data set \(blue\), but 'red' by classes: leave classes out"):
        collect(ready, DataLoader(folder), classes=ready.classes)
    german = collect(ready, DataLoader(folder, batch_size=12), classes=["blau", "grün", "rot"])
    assert german.classes == ("blau", "grün", "rot")


def test_without_names_nothing_is_guessed(ready, batch, folder):
    changed = ImageFolder(folder.root, transform=folder.transform, target_transform=lambda label: 2 - label)
    for loader in ([batch], iter([batch]), DataLoader(TensorDataset(*batch)), DataLoader(changed)):
        with pytest.raises(SevisError, match=r"nothing says what the labels of this \w+ are called: pass classes= .*classes=ready.classes"):
            collect(ready, loader)
    assert collect(ready, [batch], classes=ready.classes).classes == CLASSES
    for wrong in ("abcde", [1, 2, 3], []):
        with pytest.raises(SevisError, match="expected classes as"):
            collect(ready, [batch], classes=wrong)


def test_batches_of_every_form_give_the_same(ready, batch):
    inputs, labels = batch
    expected = collect(ready, [batch], classes=CLASSES)
    for other in (
        [inputs, labels.tolist()],
        (inputs.numpy(), labels.numpy().astype(np.uint8)),
        (inputs.double(), torch.eye(5)[labels]),
        (list(inputs), [*labels]),
        {"pixel_values": inputs, "labels": labels},
        {"image": inputs, "label": labels[:, None], "path": ["a"] * 6},
        (inputs, labels, torch.arange(6)),
    ):
        statistics = collect(ready, [other], classes=CLASSES)
        np.testing.assert_array_equal(statistics.count, expected.count)
        np.testing.assert_allclose(statistics.mean("SE_5_1"), expected.mean("SE_5_1"), atol=1e-6)


def test_a_data_set_of_dictionaries_is_collected_under_the_names_of_its_features(ready, folder):
    class Hub:
        """As a data set of Hugging Face: dictionaries, and ClassLabel among the features."""

        def __init__(self, transform):
            self.pictures, self.transform = ImageFolder(folder.root), transform
            self.features = {"image": object(), "label": SimpleNamespace(names=["blue", "green", "red"])}

        def __len__(self):
            return 12

        def __getitem__(self, index):
            image, label = self.pictures[index]
            return {"image": self.transform(image), "label": label}

    loaded = collect(ready, DataLoader(Hub(folder.transform), batch_size=5))
    whole = sevis.collect_dataset(ready, Hub(lambda image: image))
    assert loaded.classes == whole.classes == ("blue", "green", "red")
    np.testing.assert_allclose(loaded.mean("SE_3_1"), whole.mean("SE_3_1"), atol=1e-6)


def test_numbers_that_stand_as_text_are_not_the_outputs_in_their_order(network, tmp_path):
    twelve = [f"class {number}" for number in range(12)]
    ready = make_ready(make_card(classes=tuple(twelve), preprocessing=Preprocessing.square(32)), network, device="cpu")
    write_classes(tmp_path, *(f"{number}/a.png" for number in range(12)))
    images = ImageFolder(tmp_path, transform=lambda image: torch.from_numpy(ready.preprocess(image)))  # sorted as 0, 1, 10, 11, 2, ...
    with pytest.raises(SevisError, match=r"label 2 is called 10 by the data set.*pass classes=\[ready"):
        collect(ready, DataLoader(images), classes=ready.classes)
    named = [ready.classes[int(name)] for name in images.classes]
    assert collect(ready, DataLoader(images), classes=named).classes == tuple(named)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x.byte(), y), r"the inputs are a uint8 Tensor of shape .*takes floats: make them as ready.preprocess does"),
        (lambda x, y: (x * 100, y), "values as large as .* 0 to 255 has: make them"),
        (lambda x, y: (x.permute(0, 2, 3, 1), y), r"got \(6, 32, 32, 3\) \(its channels come last: permute"),
        (lambda x, y: (x[:, :1], y), r"expected inputs of shape \(N, 3, H, W\), got \(6, 1, 32, 32\)"),
        (lambda x, y: (x[0], y[0]), "a single image: add the dimension of the batch"),
        (lambda x, y: x, r"expected batches of \(inputs, labels\), got a float32 Tensor"),
        (lambda x, y: {"pixels": x, "labels": y}, "its images under one of the keys .* got 'pixels', 'labels'"),
        (lambda x, y: (x, y + 1), "expected labels from 0 to 4, got 1 to 5: count them from 0, and name all classes"),
        (lambda x, y: (x, y - 1), "expected labels from 0 to 4, got -1 to 3"),
        (lambda x, y: (x, torch.full((6, 5), 0.2)), "soft labels"),
        (lambda x, y: (x, torch.eye(4)[y % 4]), "one-hot labels have 4 classes, but 5 are named"),
        (lambda x, y: (x, y[:5]), "expected 6 labels for 6 images, got 5"),
        (lambda x, y: (x, ["red"] * 6), "expected one class index for each image"),
        (lambda x, y: ([x[0], x[1, :, :16]], y[:2]), "the inputs of a batch have different shapes"),
        (lambda x, y: list(zip(x[:2], y[:2].tolist(), strict=True)), "images with their labels one by one, expected .* of a whole batch"),
        (lambda x, y: (["a.png"] * 6, y), "expected inputs as a tensor"),
        (lambda x, y: (x, y, ["a.png"] * 6), "the third part of a batch to be the images' indices .* got list: leave it out"),
        (lambda x, y: (x * float("nan"), y), "the inputs hold values that are not finite"),
        (lambda x, y: (x[:, :, :0], y), r"small cannot take inputs of shape \(6, 3, 0, 32\)"),
    ],
)
def test_what_is_no_batch_is_refused_in_a_sentence(ready, batch, change, message):
    with pytest.raises(SevisError, match=message):
        collect(ready, [change(*batch)], classes=CLASSES)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in ready.model.modules())


def test_what_is_no_loader_and_an_empty_one_are_refused(ready, batch):
    with pytest.raises(SevisError, match=r"expected a loader of \(inputs, labels\), got int"):
        collect(ready, 3, classes=CLASSES)
    loader = iter([batch])
    collect(ready, loader, classes=CLASSES)
    with pytest.raises(SevisError, match="the loader gave no batch: make it anew"):
        collect(ready, loader, classes=CLASSES)


def test_a_wrapped_network_of_sequences_is_collected_without_preprocessing():
    class Sequences(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.se = nn.Conv1d(2, 8, 3), sevis.SqueezeExcitation(8, reduction=2)

        def forward(self, x):
            return self.se(self.conv(x)[..., None]).mean((2, 3))

    ready = sevis.wrap(Sequences().eval(), classes=["a", "b"])
    statistics = collect(ready, [(torch.randn(4, 2, 16), torch.tensor([0, 1, 0, 0]))], classes=["walk", "run"])
    assert statistics.count.tolist() == [3, 1]
    assert (statistics.metadata["model"], statistics.metadata["preprocessing"]) == ("Sequences", None)
    with pytest.raises(SevisError, match=r"Sequences cannot take inputs of shape \(4, 3, 16\)"):
        collect(ready, [(torch.randn(4, 3, 16), torch.zeros(4))], classes=["walk", "run"])


def test_our_own_loader_says_the_names_too(ready, root):
    assert collect(ready, make_loader(ImageFolder(root), ready.preprocess)).classes == ("blue", "green", "red")
