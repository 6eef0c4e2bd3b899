"""Saved depth profiles: the same as measured from full statistics; outdated, foreign and damaged ones are not used."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sevis.analysis import saved_profile
from sevis.analysis.depth import DepthProfile, depth_profile, describe_measuring, scan_depth
from sevis.analysis.depth_measures import MEASURES
from sevis.analysis.saved_profile import fingerprint, known_profile, load_profile, profile_path, save_profile
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError
from tests.helpers.statistics import detailed

WIDTHS = {"SE_2_1": 12, "SE_3_1": 20}
EACH = 30


@pytest.fixture
def full() -> ClassStatistics:
    """Three classes of thirty images, the second block dead."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), EACH)
    scales = {
        "SE_2_1": 0.2 + 0.2 * labels[:, None] + random.uniform(0, 0.1, (len(labels), 12)),
        "SE_3_1": random.uniform(0.5, 0.51, (len(labels), 20)),
    }
    values = {site: {"scale": scale.astype(np.float32), "squeeze": scale.astype(np.float32)} for site, scale in scales.items()}
    statistics = ClassStatistics(WIDTHS, ("lion", "goldfish", "pizza"), {"model": "a", "weights": "f" * 64}, sample=EACH)
    statistics.update(labels, values)
    return statistics


@pytest.fixture
def path(tmp_path, full) -> Path:
    """A compact file, and beside it the profile of the full statistics that it was made from."""
    path = tmp_path / "a.statistics.safetensors"
    full.save(path, compact=True)
    save_profile(depth_profile(full), full, profile_path(path))
    return path


def change(path: Path, **fields: object) -> ClassStatistics:
    """Writes some fields of the profile anew; returns the statistics beside it."""
    beside = profile_path(path)
    beside.write_text(json.dumps({**json.loads(beside.read_text()), **fields}))
    return ClassStatistics.load(path)


def assert_same(one: DepthProfile, two: DepthProfile) -> None:
    for name in ("sites", "images", "classes", "per_class", "dead", "level", "permutations", "seed", "measured", "measures"):
        assert getattr(one, name) == getattr(two, name), name
    np.testing.assert_array_equal(one.p_values, two.p_values)
    np.testing.assert_array_equal(one.untrained, two.untrained)
    assert list(one.curves) == list(two.curves)
    for name, curve in one.curves.items():
        for part, values in vars(curve).items():
            np.testing.assert_array_equal(values, getattr(two.curves[name], part), err_msg=f"{name} {part}")


def test_the_profile_beside_a_compact_file_is_that_of_the_full_statistics(path, full) -> None:
    small = ClassStatistics.load(path)
    found = known_profile(small)
    assert found is not None
    assert found.saved
    assert found.dead == {"SE_3_1": "still"}
    assert_same(found, depth_profile(full))
    assert found.per_class == EACH > depth_profile(small).per_class
    assert f"from the gates of {EACH} photos of each class: over photos" in describe_measuring(found)
    assert "before these were made compact" in describe_measuring(found)


def test_the_file_is_small_and_says_what_it_is_of(path) -> None:
    data = profile_path(path).read_bytes()
    assert profile_path(path).name == "a.profile.json"
    assert len(data) < 20_000
    told = json.loads(data)
    assert (told["model"], told["weights"], told["measured_with"]) == ("a", "f" * 64, fingerprint())
    assert list(told["curves"]) == [measure.name for measure in MEASURES]


def test_what_no_training_gives_is_kept(tmp_path, full) -> None:
    floor = depth_profile(full, untrained=full)
    save_profile(floor, full, tmp_path / "a.json")
    assert floor.untrained is not None
    assert_same(load_profile(tmp_path / "a.json", full), floor)


def test_what_is_not_known_stays_so(tmp_path) -> None:
    few = detailed(1)
    profile = depth_profile(few)
    assert np.isnan(profile.curves["spread"].low).all()  # from four images of a class
    save_profile(profile, few, tmp_path / "a.json")
    assert_same(load_profile(tmp_path / "a.json", few), profile)


def test_without_a_file_there_is_none(full, path) -> None:
    assert known_profile(full) is None
    profile_path(path).unlink()
    small = ClassStatistics.load(path)
    assert known_profile(small) is None
    with pytest.raises(SevisError, match="there is no depth profile at"):
        load_profile(profile_path(path), small)


def test_a_profile_of_other_statistics_is_not_used(path) -> None:
    other = detailed(1)
    other.save(path, compact=True)
    small = ClassStatistics.load(path)
    assert known_profile(small) is None
    with pytest.raises(SevisError, match=r"is the depth profile of other statistics \(a\)"):
        load_profile(profile_path(path), small)


def test_a_profile_of_other_weights_is_not_used(path, full) -> None:
    full.metadata["weights"] = "e" * 64
    full.save(path, compact=True)
    assert known_profile(ClassStatistics.load(path)) is None


@pytest.mark.parametrize("changed", ["version", "range", "name"])
def test_an_outdated_profile_is_measured_anew(path, monkeypatch, changed: str) -> None:
    small, before = ClassStatistics.load(path), fingerprint()
    if changed == "version":
        monkeypatch.setattr(saved_profile, "VERSION", saved_profile.VERSION + 1)
        assert fingerprint() != before
        assert known_profile(small) is None
        with pytest.raises(SevisError, match="is outdated, because its measures have changed since sevis"):
            load_profile(profile_path(path), small)
    else:
        other = replace(MEASURES[0], **{changed: {"range": (0, 2), "name": "other"}[changed]})
        assert fingerprint((other, *MEASURES[1:])) != before


@pytest.mark.parametrize(
    "fields",
    [
        {"curves": {}},
        {"curves": {measure.name: {"estimate": [1], "low": [1], "high": [1]} for measure in MEASURES}},
        {"curves": {measure.name: {"estimate": ["1", 1], "low": [1, 1], "high": [1, 1]} for measure in MEASURES}},
        {"curves": {measure.name: {"estimate": [1e300, 1], "low": [1, 1], "high": [1, 1]} for measure in MEASURES}},
        {"p_values": [0.5]},
        {"dead": {"SE_9_9": "still"}},
        {"dead": {"SE_2_1": "<script>"}},
        {"level": 2},
        {"images": -1},
        {"sites": ["SE_2_1"]},
        {"format": "another"},
        {"seed": None},
        {"images": 10**15},
        {"classes": 2},
        {"per_class": 10**9},
        {"level": 0.5},
        {"permutations": 10**9},
        {"untrained": [0.1]},
        {"untrained": ["0.1", 0.1]},
        {"p_values": [7, 0.5]},
    ],
)
def test_a_damaged_or_hostile_profile_is_not_used(path, fields: dict[str, object]) -> None:
    small = change(path, **fields)
    assert known_profile(small) is None
    with pytest.raises(SevisError, match=r"is damaged|of other statistics|a newer sevis"):
        load_profile(profile_path(path), small)


@pytest.mark.parametrize(
    ("name", "part", "values"),
    [
        ("high", "estimate", [5, 5]),
        ("high", "estimate", [None, None]),  # while the ends of its interval are known
        ("spread", "low", [0.9, 0.9]),
        ("spread", "high", [None, None]),
        ("spread", "null", [0.1, 0.1]),
        ("class_share", "null", None),
        ("accuracy", "null", None),
        ("accuracy", "high", [2, 2]),
        ("distance", "low_over_classes", [9, 9]),
        ("high", "high_over_classes", [1.5, 1.5]),
    ],
)
def test_a_curve_that_cannot_be_is_not_used(path, name: str, part: str, values: list[float | None] | None) -> None:
    curves = json.loads(profile_path(path).read_text())["curves"]
    small = change(path, curves=curves | {name: curves[name] | {part: values}})
    assert known_profile(small) is None
    with pytest.raises(SevisError, match=rf"is damaged \(the curve of {name} cannot be\)"):
        load_profile(profile_path(path), small)


def test_what_a_stranger_wrote_is_cut_short_in_messages(path) -> None:
    small = change(path, statistics="other", model="a\n\nb" * 100)
    with pytest.raises(SevisError, match=r"of other statistics \([ab ]{40}\): make it again"):
        load_profile(profile_path(path), small)


def test_the_profile_of_full_statistics_was_not_measured_before_they_were_compact(tmp_path, full) -> None:
    path = tmp_path / "full.safetensors"
    full.save(path)
    save_profile(depth_profile(full), full, profile_path(path))
    found = known_profile(ClassStatistics.load(path))
    assert found is not None
    assert describe_measuring(found).endswith("sevis measured them once, when it collected the statistics.")


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b" " * 10_000_001])
def test_what_is_no_profile_is_not_used(path, data: bytes) -> None:
    profile_path(path).write_bytes(data)
    small = ClassStatistics.load(path)
    assert known_profile(small) is None
    with pytest.raises(SevisError, match="is damaged"):
        load_profile(profile_path(path), small)


def test_only_a_complete_profile_of_these_statistics_is_saved(tmp_path, full) -> None:
    partial, *_ = scan_depth(full)
    for profile in (partial, depth_profile(detailed(1)), depth_profile(full, measures=MEASURES[:2])):
        with pytest.raises(SevisError, match="expected a complete depth profile"):
            save_profile(profile, full, tmp_path / "a.json")
