"""timm's and torchvision's networks by name: which, what they are fed, and how their classes are called."""

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from timm.data import ImageNetInfo, create_transform, resolve_model_data_config
from torchvision.models import get_model_weights

from sevis import SevisError
from sevis.networks import libraries
from sevis.networks.libraries import Origin, find, name_classes, name_wnids, short_names

SIZES = [(224, 224), (303, 257), (257, 303), (640, 481), (100, 333), (51, 50), (1023, 67)]


def picture(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


# --- names ---


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("legacy_seresnet50", Origin("timm", "legacy_seresnet50.in1k")),
        ("timm/legacy_seresnet50", Origin("timm", "legacy_seresnet50.in1k")),
        ("seresnet50.ra2_in1k", Origin("timm", "seresnet50.ra2_in1k")),
        ("efficientnet_b0", Origin("timm", "efficientnet_b0.ra_in1k")),  # both have one of that name: timm comes first
        ("torchvision/efficientnet_b0", Origin("torchvision", "efficientnet_b0.IMAGENET1K_V1")),
        ("mobilenet_v3_small", Origin("torchvision", "mobilenet_v3_small.IMAGENET1K_V1")),
        ("regnet_y_16gf.IMAGENET1K_SWAG_E2E_V1", Origin("torchvision", "regnet_y_16gf.IMAGENET1K_SWAG_E2E_V1")),
        ("seresnet18", Origin("timm", "seresnet18")),  # nobody has trained it
        ("nobody", None),
        ("timm/mobilenet_v3_small", None),
        ("torchvision/legacy_seresnet50", None),
        ("se_resnet50/../x", None),
        ("", None),
    ],
)
def test_names(name: str, origin: Origin | None) -> None:
    assert find(name) == origin


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("seresnet50.mine", r"timm has no weights 'mine' of seresnet50; it has a1_in1k, a2_in1k, a3_in1k, ra2_in1k"),
        ("regnet_y_16gf.mine", r"torchvision has no weights 'mine' of regnet_y_16gf; it has IMAGENET1K_V1, IMAGENET1K_V2"),
    ],
)
def test_unknown_weights_list_those_there_are(name: str, message: str) -> None:
    with pytest.raises(SevisError, match=message):
        find(name)


def test_detectors_and_films_are_no_classifiers() -> None:
    for name in torchvision.models.list_models():
        if name not in torchvision.models.list_models(module=torchvision.models):
            assert find(f"torchvision/{name}") is None
    assert {"legacy_senet154", "mobilenet_v3_large"} <= set(libraries.list_names())


def test_a_network_without_a_classifier_is_refused() -> None:
    origin = find("regnety_320.seer")
    with torch.device("meta"), pytest.raises(SevisError, match=r"regnety_320\.seer of timm has no classifier, only features"):
        libraries.build(origin)


# --- preprocessing ---

# center and squash, bilinear and bicubic, mean 0 and 0.5, a size of its own for tests, and a resize that is no multiple of anything
TIMM = [
    "legacy_seresnet50",
    "legacy_seresnet18",
    "efficientnet_b0",
    "seresnet50.ra2_in1k",
    "regnety_004.tv2_in1k",
    "mobilenetv3_small_050",
    "coatnet_rmlp_2_rw_384.sw_in12k_ft_in1k",
    "maxvit_tiny_tf_384.in1k",
    "fastvit_mci0.apple_mclip",
    "tinynet_e",
    "hardcorenas_a",
    "tf_efficientnet_b1.ns_jft_in1k",
]


@pytest.mark.parametrize("name", TIMM)
def test_timms_preprocessing(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name)
    theirs = create_transform(**resolve_model_data_config(model, use_test_size=True))
    mine = libraries.preprocessing(find(name))
    for size in SIZES:
        image = picture(*size)
        np.testing.assert_allclose(mine(image), theirs(image).numpy(), atol=1e-6, rtol=1e-6, err_msg=f"{size}")


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_b1", "efficientnet_v2_s", "regnet_y_400mf", "maxvit_t"])
def test_torchvisions_preprocessing(name: str) -> None:
    theirs = get_model_weights(name).DEFAULT.transforms()
    mine = libraries.preprocessing(find(f"torchvision/{name}"))
    for size in SIZES:
        image = picture(*size)
        np.testing.assert_allclose(mine(image), theirs(image).numpy(), atol=1e-6, rtol=1e-6, err_msg=f"{size}")


def test_the_families_with_se_all_have_a_preprocessing() -> None:
    families = "legacy_se* seres* *efficientnet* mobilenetv3* lcnet* regnet[yz]* coatnet* maxvit* fastvit* rexnet* ghostnet* hardcorenas*"
    names = [name for family in families.split() for name in timm.list_pretrained(family)]
    found = [libraries.preprocessing(find(name)) for name in names]
    assert len(found) > 200
    assert {preprocess.crop_mode for preprocess in found} == {"center", "squash"}
    assert {preprocess.interpolation for preprocess in found} == {"bilinear", "bicubic"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_size": (1, 224, 224)}, r"takes inputs of shape \(1, 224, 224\); sevis prepares square RGB pictures only"),
        ({"input_size": (3, 224, 192)}, r"takes inputs of shape \(3, 224, 192\)"),
        ({"crop_mode": "border"}, r"crops by center or squash, not by bicubic and border"),
        ({"interpolation": "random"}, r"by bilinear or bicubic interpolation .*not by random and center"),
    ],
)
def test_what_sevis_cannot_prepare_is_refused(monkeypatch: pytest.MonkeyPatch, change: dict[str, object], message: str) -> None:
    cfg = timm.models._registry._model_pretrained_cfgs["efficientnet_b0.ra_in1k"]
    for field, value in change.items():
        monkeypatch.setattr(cfg, field, value)
    with pytest.raises(SevisError, match=message):
        libraries.preprocessing(Origin("timm", "efficientnet_b0.ra_in1k"))


# --- classes ---


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
