"""Two networks compared, against SciPy on the raw scales and statistics of the common classes alone."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import spearmanr

from sevis.analysis.formulas import class_share
from sevis.analysis.two_models import compare_models, match_classes
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError

FIRST = {"SE_2_1": 8, "SE_3_1": 12, "SE_4_1": 20}
SECOND = {"SE_2_1": 8, "SE_3_1": 10, "SE_4_1": 20}
ANIMALS = ("goldfish", "lion", "tabby", "ladybug", "monarch", "jellyfish")
EACH = 5


def scales_of(widths, classes, *, seed):
    """By block, the scales of EACH images of each class, shape (N, C), all different from 0.9."""
    random = np.random.default_rng(seed)
    centres = {site: random.normal(size=(len(classes), width)) for site, width in widths.items()}
    return {
        site: (1 / (1 + np.exp(-1.5 * np.repeat(centre, EACH, axis=0) - random.normal(size=(len(centre) * EACH, widths[site]))))).astype(
            np.float32
        )
        for site, centre in centres.items()
    }


def collected(scales, classes, *, sample=2, held=None, **metadata):
    statistics = ClassStatistics({site: scale.shape[1] for site, scale in scales.items()}, classes, metadata, sample=sample)
    labels = np.repeat(np.arange(len(next(iter(scales.values()))) // EACH), EACH)
    kept = np.isin(labels, held) if held is not None else np.full(len(labels), True)
    statistics.update(labels[kept], {site: {"scale": scale[kept], "squeeze": scale[kept]} for site, scale in scales.items()})
    return statistics


def means_of(scale):
    return scale.astype(float).reshape(-1, EACH, scale.shape[1]).mean(axis=1)


@pytest.fixture(scope="module")
def scales():
    return scales_of(FIRST, ANIMALS, seed=1), scales_of(SECOND, ANIMALS, seed=2)


@pytest.fixture(scope="module")
def pair(scales):
    return collected(scales[0], ANIMALS, model="one"), collected(scales[1], ANIMALS, model="other")


@pytest.mark.parametrize("metric", ["cosine", "l1"])
def test_agreement_is_spearmans_correlation_of_the_distances(pair, scales, metric):
    comparison = compare_models(*pair, metric=metric)
    assert comparison.agreement.shape == (3, 3)
    for row, one in enumerate(scales[0].values()):
        for column, other in enumerate(scales[1].values()):
            distances = [pdist(means_of(scale), "cosine" if metric == "cosine" else "cityblock") for scale in (one, other)]
            assert comparison.agreement[row, column] == pytest.approx(spearmanr(*distances).statistic)


def test_profiles_are_those_of_the_raw_scales(pair, scales):
    comparison = compare_models(*pair)
    for profile, blocks, statistics in zip(comparison.profiles, scales, pair, strict=True):
        assert profile.sites == tuple(blocks)
        assert profile.depth.tolist() == [0, 0.5, 1]
        for place, (site, scale) in enumerate(blocks.items()):
            assert profile.spread[place] == pytest.approx(scale.std(axis=0, ddof=1, dtype=float).mean())
            assert profile.saturated[place] == pytest.approx(np.mean(scale > 0.9))
            share = class_share(statistics.mean(site), statistics.m2(site), statistics.count)
            assert profile.share[place] == pytest.approx(np.mean(share))


def test_class_means_are_compared_where_the_blocks_have_the_same_channels(pair, scales):
    comparison = compare_models(*pair)
    expected = [np.abs(means_of(scales[0][site]) - means_of(scales[1][site])).mean() for site in ("SE_2_1", "SE_4_1")]
    np.testing.assert_allclose(comparison.difference[[0, 2]], expected)
    assert np.isnan(comparison.difference[1])
    assert comparison.named
    assert comparison.partner.tolist() == [0, 1, 2]


def test_only_the_common_classes_count(scales):
    """As if the others had never been collected, in whatever order the second has them."""
    turned = (*ANIMALS[3:], *ANIMALS[:3])
    first = collected(scales[0], ANIMALS, held=[0, 1, 2, 3, 4], model="one")  # no image of the last
    second = collected(scales[1], turned, held=[0, 1, 3, 4, 5], model="other")  # none of the jellyfish
    with pytest.raises(
        SevisError, match=r"saw different classes \(6 and 5 classes, of which 5 are the same\): compare them with only_common"
    ):
        compare_models(collected(scales[0], ANIMALS), second)
    comparison = compare_models(first, second, only_common=True)
    assert comparison.classes == ANIMALS[:5]
    assert comparison.images == (25, 25)
    rows = [turned.index(name) for name in ANIMALS[:5]]
    for site in ("SE_2_1", "SE_4_1"):
        expected = np.abs(means_of(scales[0][site])[:5] - means_of(scales[1][site])[rows]).mean()
        assert comparison.difference[list(FIRST).index(site)] == pytest.approx(expected)
    alone = compare_models(first, collected(scales[1], turned, held=rows, model="other"), only_common=True)
    np.testing.assert_array_equal(comparison.profiles[1].share, alone.profiles[1].share)
    np.testing.assert_array_equal(comparison.profiles[1].saturated, alone.profiles[1].saturated)


def test_classes_match_by_wordnet_id_before_their_names(scales):
    ids = [f"n{row}" for row in range(6)]
    first = collected(scales[0], ANIMALS, wnids=ids)
    second = collected(scales[1], tuple(f"other name {row}" for row in range(6)), wnids=ids[::-1])
    left, right = match_classes(first, second)
    assert left.tolist() == [0, 1, 2, 3, 4, 5]
    assert right.tolist() == [5, 4, 3, 2, 1, 0]
    assert len(match_classes(collected(scales[0], ANIMALS), second)[0]) == 0


def test_of_classes_of_one_name_the_first_counts(scales):
    doubled = ("crane", "lion", "crane", "tabby", "monarch", "pizza")
    left, right = match_classes(collected(scales[0], doubled), collected(scales[1], ("crane", "crane", *ANIMALS[:4])))
    assert [(doubled[one], int(other)) for one, other in zip(left, right, strict=True)] == [("crane", 0), ("lion", 3), ("tabby", 4)]


@pytest.mark.parametrize(
    ("classes", "said"), [(("a", "b", "c", "d", "e", "f"), "none is the same"), (("lion", "b", "c", "d", "e", "f"), "1 is the same")]
)
def test_nothing_in_common_is_refused(pair, scales, classes, said):
    with pytest.raises(SevisError, match=said):
        compare_models(pair[0], collected(scales[1], classes), only_common=True)


def test_networks_of_other_blocks_are_matched_by_depth(pair):
    deep = {f"SE_{stage}_{block}": 6 for stage in (2, 3, 4) for block in (1, 2)} | {"SE_5_1": 6}
    comparison = compare_models(pair[0], collected(scales_of(deep, ANIMALS, seed=3), ANIMALS))
    assert not comparison.named
    assert comparison.partner.tolist() == [0, 3, 6]
    assert comparison.agreement.shape == (3, 7)
    assert np.isnan(comparison.difference).all()


def test_a_network_agrees_with_itself_beyond_chance(pair):
    comparison = compare_models(pair[0], pair[0])
    np.testing.assert_allclose(np.diag(comparison.agreement), 1)
    assert (comparison.chance < 1).all()
    assert comparison.names == ("one (None), first file", "one (None), second file")
    np.testing.assert_array_equal(comparison.difference, 0)


def test_networks_that_have_nothing_to_do_with_each_other_seldom_exceed_chance():
    widths = {f"SE_2_{block}": 6 for block in range(1, 61)}
    classes = tuple(f"c{row}" for row in range(15))
    one, other = (collected(scales_of(widths, classes, seed=seed), classes) for seed in (4, 5))
    comparison = compare_models(one, other)
    above = np.mean(np.diag(comparison.agreement) > comparison.chance)
    assert 0 < above < 0.15  # 5 % are expected of 60


def test_of_three_classes_the_agreement_is_unknown(scales):
    few = [collected(blocks, ANIMALS, held=[0, 1, 2]) for blocks in scales]
    comparison = compare_models(*few)
    assert np.isnan(comparison.agreement).all()
    assert np.isnan(comparison.chance).all()
    assert np.isfinite(comparison.profiles[0].share).all()


def test_files_of_moments_alone_do_not_know_the_saturation(scales):
    comparison = compare_models(*(collected(blocks, ANIMALS, sample=None) for blocks in scales))
    assert np.isnan(comparison.profiles[0].saturated).all()
    assert np.isfinite(comparison.profiles[0].spread).all()


@pytest.mark.parametrize(("prints", "same"), [(("a", "a"), True), (("a", "b"), False), (("a", None), None), ((None, None), None)])
def test_the_fingerprint_says_whether_the_images_are_the_same(scales, prints, same):
    first, second = (collected(blocks, ANIMALS, fingerprint=one) for blocks, one in zip(scales, prints, strict=True))
    assert compare_models(first, second).same_images is same


def test_networks_of_one_name_are_told_apart_by_their_weights(scales):
    first, second = (collected(blocks, ANIMALS, model="net", weights=one * 64) for blocks, one in zip(scales, "ab", strict=True))
    assert compare_models(first, second).names == ("net (aaaaaaaa)", "net (bbbbbbbb)")
