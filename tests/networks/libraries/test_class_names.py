"""What the outputs of a classifier are called, against the lists of both libraries."""

import pytest
from timm.data import ImageNetInfo
from torchvision.models import get_model_weights

from sevis.networks.libraries.class_names import name_classes, name_wnids, short_names


def test_imagenets_classes_are_those_of_both_libraries() -> None:
    names, wnids = name_classes(1000)
    assert wnids == tuple(ImageNetInfo("imagenet-1k").label_names())
    theirs = get_model_weights("mobilenet_v3_small").DEFAULT.meta["categories"]
    different = {(mine, their) for mine, their in zip(names, theirs, strict=True) if mine != their}
    assert {their for _, their in different} == {"crane", "crane bird", "maillot tank suit"}  # the rest say the same, in order
    assert {mine for mine, _ in different} == {
        "crane (large long-necked wading bird)",
        "crane (lifts and moves heavy objects)",
        "maillot, tank suit",
    }
    assert names[wnids.index("n01443537")] == "goldfish"


@pytest.mark.parametrize("count", [1000, 11221, 11821, 21841, 21842, 21843])
def test_no_two_classes_share_a_name(count: int) -> None:
    names, wnids = name_classes(count)
    assert len(names) == len(wnids) == len(set(names)) == len(set(wnids)) == count
    assert all(names)
    assert max(map(len, names)) <= 90


def test_unknown_classes_are_numbered() -> None:
    assert name_classes(3) == (("output 0", "output 1", "output 2"), None)


def test_wnids_get_their_names() -> None:
    assert name_wnids(("n01443537", "n02012849", "n03126707")) == (
        "goldfish",
        "crane (large long-necked wading bird)",
        "crane (lifts and moves heavy objects)",
    )
    assert name_wnids(("n01443537", "n02012849")) == ("goldfish", "crane")
    assert name_wnids(("cats", "dogs")) == ("cats", "dogs")
    assert name_wnids(("n01443537", "n99999999")) == ("n01443537", "n99999999")


def test_names_grow_only_as_far_as_they_must() -> None:
    entries = [("n1", "a", "b"), ("n2", "c, d", "e"), ("n3", "c, f", "e"), ("n4", "g", "one; two"), ("n5", "g", "three of four")]
    assert short_names(entries) == ("a", "c, d", "c, f", "g (one)", "g (three)")
    assert short_names([("n1", "g", "same"), ("n2", "g", "same")]) == ("g (n1)", "g (n2)")
