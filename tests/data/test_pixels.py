"""Images in memory and streamed: the same batches, as the preprocessing gives them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sevis.data.pixels import Pixels, Streamed, evaluation_batches, normalise, open_images, split_batches
from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.recipe import Recipe
from sevis.training.training import train
from tests.helpers.pictures import open_colours, write_colours

SMALL = Recipe(model="se_resnet18", width=0.125, reduction=4, size=32, epochs=3, batch_size=12, learning_rate=0.05, mixup=0.2, colour=0.1)


@pytest.fixture(scope="module")
def colours(tmp_path_factory) -> Path:
    return write_colours(tmp_path_factory.mktemp("data"))


def test_pixels_are_what_preprocessing_gives(colours: Path) -> None:
    dataset = open_colours(colours)[1]
    preprocess = Preprocessing(resize=24, crop=24)
    pixels = Pixels.decode(dataset, preprocess, torch.device("cpu"))
    assert pixels.num_classes == 3
    batches = list(evaluation_batches(pixels, preprocess, 5))
    assert [len(labels) for _, labels in batches] == [5, 5, 2]
    images, labels = (torch.cat(part) for part in zip(*batches, strict=True))
    for index in (0, 7, 11):
        image, label = dataset[index]
        np.testing.assert_allclose(images[index].numpy(), preprocess(image), atol=1e-6)
        assert labels[index] == label
    assert torch.equal(
        normalise(torch.zeros(1, 3, 4, 4), preprocess).flatten(2)[0, :, 0], -torch.tensor(preprocess.mean) / torch.tensor(preprocess.std)
    )


def test_images_that_no_memory_holds_are_streamed_and_are_the_same(colours: Path, tmp_path: Path, monkeypatch) -> None:
    data = open_colours(colours)
    preprocess = Preprocessing(resize=32, crop=32)
    held = open_images(data[1], preprocess, torch.device("cpu"))
    monkeypatch.setattr("sevis.data.pixels._free_memory", lambda _: 0)
    streamed = open_images(data[1], preprocess, torch.device("cpu"))
    assert isinstance(held, Pixels)
    assert isinstance(streamed, Streamed)
    for (images, labels), (others, their_labels) in zip(
        *(evaluation_batches(part, preprocess, 5) for part in (held, streamed)), strict=True
    ):
        assert torch.equal(images, others)
        assert torch.equal(labels, their_labels)
    from_stream = train(SMALL, data, tmp_path / "streamed")
    monkeypatch.undo()
    torch.testing.assert_close(from_stream.model.state_dict(), train(SMALL, data, tmp_path / "held").model.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (4, [4]), (5, [5]), (6, [4, 2]), (8, [4, 4]), (9, [4, 5]), (11, [4, 4, 3]), (13, [4, 4, 5])]
)
def test_a_last_batch_of_one_joins_the_one_before(count: int, sizes: list[int]) -> None:
    order = torch.randperm(count)
    batches = split_batches(order, 4)
    assert [len(batch) for batch in batches] == sizes
    assert torch.equal(torch.cat(batches), order)


def test_some_images_of_each_class_are_the_first_ones(colours: Path) -> None:
    preprocess = Preprocessing(resize=16, crop=16)
    images = open_images(open_colours(colours)[0], preprocess, torch.device("cpu"))
    everything = torch.cat([views for views, _ in evaluation_batches(images, preprocess, 7)])
    chosen = [index for label in range(3) for index in np.flatnonzero(images.labels.numpy() == label)[:4]]
    batches = list(evaluation_batches(images, preprocess, 5, per_class=4))
    assert [len(labels) for _, labels in batches] == [5, 5, 2]
    assert torch.equal(torch.cat([views for views, _ in batches]), everything[sorted(chosen)])


def test_a_broken_image_in_a_stream_is_one_sentence(tmp_path: Path, monkeypatch) -> None:
    folder = write_colours(tmp_path)
    broken = sorted((folder / "train").rglob("*.*"))[4]
    broken.write_bytes(b"no image")
    monkeypatch.setattr("sevis.data.pixels._free_memory", lambda _: 0)
    preprocess = Preprocessing(resize=16, crop=16)
    images = open_images(open_colours(folder)[0], preprocess, torch.device("cpu"))
    with pytest.raises(SevisError) as caught:
        list(evaluation_batches(images, preprocess, 6))
    assert broken.name in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert "\n" not in str(caught.value)
