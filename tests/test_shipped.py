"""What pretrained/ holds: every entry of index.json is true of its files."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

import sevis
from sevis.analysis.dead_gates import DEAD
from sevis.analysis.depth import depth_profile
from sevis.analysis.saved_profile import load_profile, profile_path
from sevis.cli.parser import main
from sevis.data.datasets import open_dataset, sample_photos
from sevis.data.image_formats import read_image
from sevis.files import sha256
from sevis.training.publishing import score
from sevis.weights.card import DEFAULT, read_card

MAX_BYTES = 16 * 1000 * 1000  # of weights that are committed
MAX_TRACKED = 45 * 1000 * 1000  # bytes of all tracked files
MAX_STATISTICS = {"se_resnet50x0_5.tiny20": 2_200_000, "se_resnet50x0_5.tiny200": 8_600_000}
ROOT = Path(__file__).resolve().parent.parent


def test_the_default_is_shipped() -> None:
    assert DEFAULT in sevis.list_pretrained()


CARDS = [card for card in map(read_card, sevis.list_pretrained()) if card.path.is_file()]
FEW = 2000  # images at most are looked at
OF_MOMENTS = (
    "class_share",
    "spread",
    "within",
    "distance",
    "residual",
    "factor",
    "left",
    "selectivity",
    "high",
    "identity",
)


@pytest.fixture(params=CARDS, ids=lambda card: card.name)
def card(request):
    return request.param


@pytest.fixture(params=[card for card in CARDS if card.gated], ids=lambda card: card.name)
def gated(request):
    return request.param


def test_the_weights_are_those_of_the_card(card) -> None:
    assert card.path.stat().st_size <= MAX_BYTES
    assert sha256(card.path) == card.sha256
    ready = sevis.load(card.name, device="cpu")
    with torch.inference_mode():
        assert ready.model(torch.zeros(1, 3, ready.preprocess.crop, ready.preprocess.crop)).shape == (1, len(card.classes))
    assert len(card.wnids) == len(card.classes) == len(set(card.classes))
    for field in ("command", "seconds", "epochs", "date", "licence"):
        assert getattr(card, field)


def test_the_gates_are_alive(gated) -> None:
    blocks = gated.gates.blocks
    assert list(blocks) == [site.name for site in sevis.find_sites(sevis.load(gated.name, device="cpu").model)]
    assert gated.gates.std_over_images == pytest.approx(np.mean([block.std_over_images for block in blocks.values()]))
    assert gated.gates.std_over_images >= DEAD


def test_the_statistics_are_of_these_weights_and_the_papers_sampling(gated) -> None:
    statistics = sevis.ClassStatistics.load(gated.statistics_path)
    assert statistics.compact
    assert statistics.metadata["weights"] == gated.sha256
    assert statistics.classes == gated.classes
    assert set(statistics.count.tolist()) == {50}
    for site, block in gated.gates.blocks.items():
        assert statistics.overall_mean(site).mean() == pytest.approx(block.mean, abs=1e-4)  # class means are stored in 8 bits
        assert statistics.overall_std(site).mean() == pytest.approx(block.std_over_images, abs=1e-4)


def test_the_stored_example_equals_a_fresh_explanation(gated) -> None:
    stored = sevis.Explanation.load(gated.example_path)
    photo = next(iter(sample_photos().values()))
    fresh = sevis.explain(sevis.load(gated.name, device="cpu"), read_image(photo.read_bytes()), maps=stored.sites)
    np.testing.assert_array_equal(stored.view, fresh.view)
    np.testing.assert_allclose(stored.probabilities, fresh.probabilities, atol=1e-4)
    for site in fresh.sites:
        np.testing.assert_allclose(stored.scale[site], fresh.scale[site], atol=1e-4)
        np.testing.assert_allclose(stored.maps[site], fresh.maps[site], atol=1e-3)


@pytest.mark.slow
def test_the_score_is_what_the_network_reaches(card, tiny_imagenet_zip) -> None:
    ready = sevis.load(card.name, device="cpu")
    data = open_dataset(tiny_imagenet_zip, "val").select(card.wnids)
    some = data.first(min(50, FEW // len(card.classes)))
    result = score(ready, some)
    exactly = 2e-3 if len(some) == len(data) else 0
    for found, stored in ((result.top1, card.top1), (result.top5, card.top5)):
        spread = (stored * (1 - stored) / len(some)) ** 0.5  # of the score of so many images drawn at random
        assert found == pytest.approx(stored, abs=exactly or 3 * spread)


def test_the_statistics_are_of_the_validation_images(gated) -> None:
    assert sevis.ClassStatistics.load(gated.statistics_path).metadata["split"] == "val"


def test_the_depth_profiles_are_of_these_statistics_and_of_todays_measures(gated) -> None:
    statistics = sevis.ClassStatistics.load(gated.statistics_path)
    profile = load_profile(profile_path(gated.statistics_path), statistics)  # an outdated one: collect again, with --compact
    assert profile.per_class == 50
    assert profile.images == statistics.count.sum()
    assert profile.untrained is not None
    anew = depth_profile(statistics, permutations=2)  # from the compact file, which keeps fewer whole gates
    for name in OF_MOMENTS:
        found, expected = anew.curves[name].estimate, profile.curves[name].estimate
        np.testing.assert_allclose(found, expected, rtol=0.01, atol=2e-3, err_msg=f"{name}: raise VERSION and collect again")
    assert anew.dead == profile.dead


def test_the_weights_of_the_plain_twin_do_not_ship(capsys: pytest.CaptureFixture[str]) -> None:
    name = "resnet50x0_5.tiny200"
    with pytest.raises(
        sevis.SevisError, match=rf"do not come with sevis: train it with python -m sevis train resnet50 .* --publish {name}"
    ):
        sevis.load(name)
    assert main(["models"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "trained, here:"
    described = told.index("described, their weights are not here:")
    assert [line.split(":")[0].strip() for line in told if name in line.split(":")[0].split()] == [name]
    assert told[described + 1].startswith(f"  {name}: 200 classes")


@pytest.mark.parametrize("name", MAX_STATISTICS)
def test_the_statistics_are_small(name: str) -> None:
    assert read_card(name).statistics_path.stat().st_size <= MAX_STATISTICS[name]


def test_the_tracked_files_are_small() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("this is no git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    assert sum((ROOT / name).stat().st_size for name in listed if name and (ROOT / name).is_file()) <= MAX_TRACKED
