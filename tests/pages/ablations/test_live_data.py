"""What a tiny network is trained on beside the pages: photos where there are some, else digits."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sevis.errors import SevisError
from sevis.pages.ablations import live_data
from sevis.pages.ablations.live_data import Watched, find_trial_data, open_digits, open_photos
from tests.helpers.pictures import write_colours


def test_the_digits_are_those_of_scikit_learn():
    expected = load_digits()
    training, validation = open_digits()
    assert (len(training), len(validation)) == (1347, 450)
    for dataset, start_at in ((training, 0), (validation, 1347)):
        image, label = dataset[3]
        assert label == expected.target[start_at + 3]
        np.testing.assert_allclose(np.asarray(image)[..., 0], expected.images[start_at + 3] * 255 / 16, atol=0.5)
    assert training.wnids == validation.wnids == tuple("0123456789")


def test_photos_are_a_part_of_what_is_found(tmp_path, monkeypatch):
    write_colours(tmp_path / "tiny-imagenet-200")
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path))
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path / "no list of classes"))
    monkeypatch.setattr(live_data, "PHOTOS", 5)
    monkeypatch.setattr(live_data, "CLASSES", 2)
    data = find_trial_data()
    assert "of up to 2 classes of tiny-imagenet-200" in data.about
    training, validation = data.open()
    assert training.wnids == validation.wnids == ("blue", "green")
    assert (len(training), len(validation)) == (10, 8)


def test_the_classes_are_those_that_are_listed(tmp_path, monkeypatch):
    write_colours(tmp_path / "tiny-imagenet-200", train=1, val=1)
    (tmp_path / "tiny20.txt").write_text("red\nblue\nn00000000")
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    training, validation = open_photos(tmp_path / "tiny-imagenet-200")
    assert training.wnids == validation.wnids == ("red", "blue")


def test_without_photos_it_is_the_digits_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path))
    data = find_trial_data()
    assert "digits" in data.about
    assert "Tiny ImageNet is not" in data.about


def test_no_data_set_is_a_sentence(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(SevisError):
        open_photos(tmp_path)


def test_what_watches_a_source_may_end_the_reading():
    dataset = open_digits()[0]
    reads = []
    watched = Watched(dataset.source, lambda: reads.append(1))
    assert watched.read("0001.png") == dataset.source.read("0001.png")
    assert watched.size("0001.png") == len(watched.read("0001.png"))
    assert watched.names() == dataset.source.names()
    assert len(reads) == 2
