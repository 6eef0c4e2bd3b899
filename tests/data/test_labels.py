"""What labels are called is found in the data set, or not said; and labels in any clear form are read."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ChainDataset, ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset, random_split
from torchvision.datasets import FakeData, ImageFolder
from tqdm import tqdm

from sevis import SevisError
from sevis.data.datasets import open_dataset
from sevis.data.labels import class_names, find_names, image_and_label, names_for_people, read_labels, read_names
from sevis.data.loader import make_loader
from sevis.data.preprocessing import Preprocessing
from tests.helpers.pictures import write_colours, write_tiny_imagenet

COLOURS = (("blue",), ("green",), ("red",))


class Told(Dataset):
    """Says of its labels what it is given."""

    def __init__(self, **told):
        vars(self).update(told)

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return Image.new("RGB", (8, 8)), index % 2


class Wrapped(Dataset):
    """A stranger's class around a data set, which may change its labels."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        image, label = self.dataset[index]
        return image, 1 - label


def class_label(*names):
    """As Hugging Face's ClassLabel."""
    return SimpleNamespace(names=list(names), num_classes=len(names))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return ImageFolder(write_colours(tmp_path_factory.mktemp("data"), train=1) / "val")


def test_the_breeds_do_not_name_the_labels_cat_and_dog():
    breeds = ["Abyssinian", "Beagle"]
    assert find_names(Told(classes=breeds, _target_types=["category"])) == (("Abyssinian",), ("Beagle",))  # as torchvision's OxfordIIITPet
    assert find_names(Told(classes=breeds, _target_types=["binary-category"])) is None


def test_names_are_found_through_loaders_and_parts(folder):
    half, rest = random_split(folder, [6, 6])
    for data in (folder, half, Subset(rest, [0]), ConcatDataset([folder, half]), DataLoader(folder), DataLoader(Subset(half, [1, 2]))):
        assert find_names(data) == COLOURS
    assert find_names(tqdm(DataLoader(ConcatDataset([half, Subset(rest, [3])])), disable=True)) == COLOURS
    assert find_names(make_loader(folder, Preprocessing.square(32))) == COLOURS


def test_a_part_that_says_itself_what_its_labels_are_is_believed(folder):
    part = Subset(folder, [0, 1])
    part.classes = ["azure", "lime", "ruby"]
    assert find_names(DataLoader(part)) == (("azure",), ("lime",), ("ruby",))


def test_our_own_data_sets_have_names_and_ids(tmp_path):
    dataset = open_dataset(write_tiny_imagenet(tmp_path))
    assert find_names(dataset) == tuple((name, wnid) for name, wnid in zip(dataset.classes, dataset.wnids, strict=True))
    assert class_names(Subset(dataset, [0])) == dataset.classes


def test_the_mapping_that_makes_the_labels_counts_more_than_a_list_in_another_order():
    assert find_names(Told(classes=["a", "b"], class_to_idx={"b": 0, "a": 1})) == (("b",), ("a",))
    assert find_names(Told(class_to_idx={"kitten": 0, "cat": 0, "dog": np.int64(2)})) == (("kitten", "cat"), (), ("dog",))
    imagenet = Told(
        classes=[("tench", "Tinca tinca"), ("crane",)], class_to_idx={"tench": 0, "Tinca tinca": 0, "crane": 1}, wnids=["n1", "n2"]
    )
    assert find_names(imagenet) == (("tench", "Tinca tinca", "n1"), ("crane", "n2"))


def test_names_are_found_in_features_and_readers():
    assert find_names(Told(features={"image": object(), "label": class_label("cat", "dog")})) == (("cat",), ("dog",))
    both = Told(features={"fine": class_label("cat", "dog"), "coarse": class_label("animal")})
    assert find_names(both) is None
    assert find_names(both, key="coarse") == (("animal",),)
    assert find_names(Told(reader=SimpleNamespace(class_to_idx={"cat": 1, "dog": 0}))) == (("dog",), ("cat",))


def test_where_labels_may_have_been_changed_or_nothing_is_told_there_are_no_names(folder, tmp_path):
    changed = ImageFolder(folder.root, target_transform=lambda label: 2 - label)
    pairs = TensorDataset(torch.zeros(2, 3), torch.arange(2))
    telling_nothing = (
        changed,
        Subset(changed, [0]),
        Wrapped(folder),
        pairs,
        FakeData(),
        [(1, 2)],
        iter([]),
        Told(classes=3),
        Told(classes=[]),
    )
    for data in (*telling_nothing, DataLoader(Wrapped(folder)), ConcatDataset([folder, changed]), Told(class_to_idx={"a": 0.5})):
        assert find_names(data) is None


def test_a_data_set_says_why_it_has_no_class_names(folder):
    with pytest.raises(SevisError, match=r"ImageFolder changes its labels by a target_transform.*: take it off"):
        class_names(ImageFolder(folder.root, target_transform=str))
    with pytest.raises(SevisError, match="FakeData does not name its classes"):
        class_names(FakeData())


def test_parts_that_call_one_label_by_two_names_are_refused(folder):
    other = Told(classes=["blue", "yellow", "red"])
    with pytest.raises(SevisError, match=r"label 1 is 'green' in one and 'yellow' in another.*: collect each part alone"):
        find_names(ConcatDataset([folder, other]))
    with pytest.raises(SevisError, match="label 2 is 'red' in one and none in another"):
        find_names(DataLoader(ConcatDataset([folder, Told(classes=["blue", "green"])])))


def test_streams_are_asked_too():
    class Stream(IterableDataset):
        classes = ("a", "b")

        def __iter__(self):
            yield from ()

    assert find_names(DataLoader(ChainDataset([Stream(), Stream()]))) == (("a",), ("b",))


def test_no_two_names_for_people_are_alike():
    assert names_for_people([("crane", "n02012849"), ("crane", "n03126707"), ("tench",), ()]) == (
        "crane (n02012849)",
        "crane (n03126707)",
        "tench",
        "label 3",
    )
    assert names_for_people([("crane",), ("crane",)]) == ("crane (0)", "crane (1)")


def test_names_are_read_from_lists_and_mappings():
    assert read_names(class_label("cat", "dog")) == ("cat", "dog")
    assert find_names(Told(categories=["cat", "dog"])) == find_names(Told(classes=np.array(["cat", "dog"]))) == (("cat",), ("dog",))
    assert read_names(["cat", "dog"]) == read_names({"dog": 1, "cat": 0}) == read_names({1: "dog", 0: "cat"}) == ("cat", "dog")
    assert read_names(np.array(["cat", "dog"])) == ("cat", "dog")
    assert read_names(["crane", "crane"]) == ("crane (0)", "crane (1)")


@pytest.mark.parametrize("classes", ["cat", 3, [], ["cat", 4], {}, {"cat": 0, "dog": 2}, {"cat": "dog"}, [b"cat"]])
def test_what_are_no_names_is_refused(classes):
    with pytest.raises(SevisError, match="expected classes as"):
        read_names(classes)


def test_dictionaries_have_images_and_labels_under_the_usual_keys():
    assert image_and_label({"labels": 1, "pixel_values": 2, "id": 3}) == ("pixel_values", "labels")
    with pytest.raises(SevisError, match=r"its labels under one of the keys .*, got 'image', 'category': rename the key"):
        image_and_label({"image": 1, "category": 2})
    with pytest.raises(SevisError, match=r"its labels under one of the keys .* 'fine_label', 'coarse_label'"):
        image_and_label({"img": 1, "fine_label": 2, "coarse_label": 3})


def test_labels_are_read_in_every_clear_form():
    forms = (
        [2, 0, 1],
        (2, 0, 1),
        torch.tensor([2, 0, 1]),
        torch.tensor([[2], [0], [1]]),
        np.array([2, 0, 1], np.uint8),
        [torch.tensor(2), torch.tensor(0), torch.tensor(1)],
        torch.tensor([2.0, 0.0, 1.0]),
        torch.eye(3)[[2, 0, 1]],
        torch.eye(3, dtype=torch.int64)[[2, 0, 1]],
        [np.eye(3)[number] for number in (2, 0, 1)],
        torch.eye(3, dtype=torch.bfloat16)[[2, 0, 1]],
    )
    for form in forms:
        read = read_labels(form, images=3, classes=3)
        assert read.dtype == np.int64
        assert read.tolist() == [2, 0, 1]
    assert read_labels(torch.tensor(1), images=1).tolist() == [1]
    assert read_labels([True, False], images=2).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([[0.9, 0.1], [0.5, 0.5]]), "soft labels, as MixUp"),
        (torch.tensor([[1, 1], [0, 1]]), "several numbers for each image"),
        (torch.tensor([0.5, 1.0]), "numbers such as 0.5"),
        (torch.zeros(2, 8, 8, dtype=torch.int64), r"int64 of shape \(2, 8, 8\)"),
        (["cat", "dog"], r"of shape \(2,\)"),
        ([0, 1, 2], "2 labels for 2 images, got 3"),
        (torch.eye(4)[:2], "one-hot labels have 4 classes, but 3 are named"),
        ([[0, 1], [2]], "got list"),
        (None, "class index for each image"),
        (torch.tensor([float("nan"), 1]), "numbers such as nan"),
    ],
)
def test_labels_that_are_no_class_indices_are_refused(labels, message):
    with pytest.raises(SevisError, match=message):
        read_labels(labels, images=2, classes=3)
