"""What pretrained/ holds: every entry of index.json is true of its files."""

import numpy as np
import pytest
import torch

import sevis
from sevis.datasets import open_dataset, sample_photos
from sevis.files import sha256
from sevis.images import read_image
from sevis.publishing import MIN_STD, score
from sevis.weights import DEFAULT, read_card

MAX_BYTES = 16 * 1000 * 1000  # of weights that are committed


def test_the_default_is_shipped() -> None:
    assert DEFAULT in sevis.list_pretrained()


@pytest.fixture(params=sevis.list_pretrained())
def card(request):
    return read_card(request.param)


def test_the_weights_are_those_of_the_card(card) -> None:
    assert card.path.stat().st_size <= MAX_BYTES
    assert sha256(card.path) == card["sha256"]
    ready = sevis.load(card.name, device="cpu")
    with torch.inference_mode():
        assert ready.model(torch.zeros(1, 3, ready.preprocess.crop, ready.preprocess.crop)).shape == (1, len(card.classes))
    assert len(card["wnids"]) == len(card.classes) == len(set(card.classes))
    for field in ("command", "seconds", "epochs", "date", "licence"):
        assert card[field]


def test_the_gates_are_alive(card) -> None:
    blocks = card["gates"]["blocks"]
    assert list(blocks) == [site.name for site in sevis.find_sites(sevis.load(card.name, device="cpu").model)]
    assert card["gates"]["std_over_images"] == pytest.approx(np.mean([block["std_over_images"] for block in blocks.values()]))
    assert card["gates"]["std_over_images"] >= MIN_STD


def test_the_statistics_are_of_these_weights_and_the_papers_sampling(card) -> None:
    statistics = sevis.ClassStatistics.load(card.statistics_path)
    assert statistics.metadata["weights"] == card["sha256"]
    assert statistics.classes == card.classes
    assert set(statistics.count.tolist()) == {50}
    for site, block in card["gates"]["blocks"].items():
        assert statistics.overall_mean(site).mean() == pytest.approx(block["mean"], abs=1e-5)
        assert statistics.overall_std(site).mean() == pytest.approx(block["std_over_images"], abs=1e-5)


def test_the_stored_example_equals_a_fresh_explanation(card) -> None:
    stored = sevis.Explanation.load(card.example_path)
    photo = next(iter(sample_photos().values()))
    fresh = sevis.explain(sevis.load(card.name, device="cpu"), read_image(photo.read_bytes()), maps=stored.sites)
    np.testing.assert_array_equal(stored.view, fresh.view)
    np.testing.assert_allclose(stored.probabilities, fresh.probabilities, atol=1e-4)
    for site in fresh.sites:
        np.testing.assert_allclose(stored.scale[site], fresh.scale[site], atol=1e-4)
        np.testing.assert_allclose(stored.maps[site], fresh.maps[site], atol=1e-3)


def test_the_score_is_what_the_network_reaches(card, tiny_imagenet_zip) -> None:
    ready = sevis.load(card.name, device="cpu")
    result = score(ready, open_dataset(tiny_imagenet_zip, "val").select(card["wnids"]))
    assert (result.top1, result.top5) == (pytest.approx(card["top1"], abs=2e-3), pytest.approx(card["top5"], abs=2e-3))
    statistics = sevis.ClassStatistics.load(card.statistics_path)
    assert statistics.metadata["split"] == "val"
