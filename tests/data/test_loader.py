"""Batches of labelled images: what is in them, whatever the workers and the process that asks for them."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, Subset

from sevis import SevisError
from sevis.data.loader import Batch, about, class_names, make_loader, name_of
from sevis.data.preprocessing import Preprocessing
from tests.helpers.pictures import open_colours, write_colours

PREPROCESS = Preprocessing(resize=32, crop=32)


@pytest.fixture(scope="module")
def colours(tmp_path_factory) -> Path:
    return write_colours(tmp_path_factory.mktemp("data"))


class Digits:
    """Ten grey pictures, as torchvision's MNIST gives them."""

    classes = ("zero", "one")
    targets = (0, 1) * 5

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        if index == 3:
            raise OSError("the disk is gone")
        return Image.new("L", (32, 32), 20 * index), self.targets[index]


def equal(one: Batch, other: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True)) and tuple(one.broken) == tuple(other.broken)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_hold_the_images_in_order(colours: Path, workers: int) -> None:
    dataset = open_colours(colours)[1]
    batches = list(make_loader(dataset, PREPROCESS, batch_size=5, workers=workers))
    assert [len(batch.labels) for batch in batches] == [5, 5, 2]
    assert torch.cat([batch.ids for batch in batches]).tolist() == list(range(12))
    assert torch.cat([batch.labels for batch in batches]).tolist() == list(dataset.labels)
    for number, values in enumerate(torch.cat([batch.inputs for batch in batches])):
        np.testing.assert_array_equal(values, PREPROCESS(dataset[number][0]))


def test_what_is_in_a_batch_does_not_depend_on_who_asks(colours: Path) -> None:
    dataset = open_colours(colours)[1]
    batches = list(make_loader(dataset, PREPROCESS, batch_size=5))
    for numbers in ([1], [2, 0], range(1, 3), []):
        some = list(make_loader(dataset, PREPROCESS, batch_size=5, numbers=numbers))
        assert len(some) == len(numbers)
        assert all(equal(batch, batches[number]) for batch, number in zip(some, numbers, strict=True))


def test_a_loader_can_go_to_a_spawned_worker(colours: Path) -> None:
    loader = make_loader(open_colours(colours)[1], PREPROCESS, batch_size=5)
    there, collate = pickle.loads(pickle.dumps((loader.dataset, loader.collate_fn)))  # noqa: S301  (made here)
    assert all(equal(collate(there[number]), batch) for number, batch in enumerate(loader))


@pytest.mark.parametrize("workers", [0, 1])
def test_grey_pictures_become_rgb_and_a_broken_one_is_named(workers: int) -> None:
    batches = list(make_loader(Digits(), PREPROCESS, batch_size=2, workers=workers))
    assert [batch.ids.tolist() for batch in batches] == [[0, 1], [2], [4, 5], [6, 7], [8, 9]]
    assert [tuple(image) for image in batches[1].broken] == [(3, "image 3", "the disk is gone")]
    expected = PREPROCESS(Image.new("RGB", (32, 32), (80, 80, 80)))
    np.testing.assert_array_equal(batches[2].inputs[0], expected)
    alone = next(iter(make_loader(Digits(), PREPROCESS, batch_size=1, numbers=[3])))
    assert (len(alone.inputs), alone.labels.shape, len(alone.broken)) == (0, (0,), 1)


def test_data_sets_tell_their_classes_and_what_they_are(colours: Path) -> None:
    dataset = open_colours(colours)[1]
    assert about(dataset) == {"data": colours.stem, "split": "val", "wnids": ["blue", "green", "red"], "fingerprint": dataset.fingerprint()}
    digits = Digits()
    told = about(digits)
    assert (told["data"], told["split"], told["wnids"]) == ("Digits", "", None)
    digits.targets = (1, 0) * 5
    assert about(digits)["fingerprint"] != told["fingerprint"]
    first, other = Subset(digits, [0, 1]), Subset(digits, [0, 2])
    assert about(first)["fingerprint"] != about(other)["fingerprint"], "a collection of the one does not go on with the other"
    assert about(ConcatDataset([first, other]))["fingerprint"] != about(ConcatDataset([other, first]))["fingerprint"]
    assert about(Subset(dataset, [1]))["fingerprint"] not in (dataset.fingerprint(), about(Subset(dataset, [2]))["fingerprint"])
    assert name_of(Subset(Subset(dataset, [2, 3]), [1]), 0) == dataset.files[3]
    digits.classes = (("zero", "nought"), ("one",))  # as torchvision's ImageNet has them
    assert class_names(digits) == ("zero", "one")
    digits.classes = ()
    with pytest.raises(SevisError, match="Digits does not name its classes: give it an attribute `classes`"):
        class_names(digits)
