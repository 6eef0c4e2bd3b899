"""timm's networks by name: with a classifier, and fed as timm feeds them."""

import numpy as np
import pytest
import timm
import torch
from timm.data import create_transform, resolve_model_data_config

from sevis import SevisError
from sevis.networks.libraries.timm_library import TimmNetwork
from tests.helpers.pictures import SIZES, noise


def test_a_network_without_a_classifier_is_refused() -> None:
    network = TimmNetwork.find("regnety_320.seer")
    with torch.device("meta"), pytest.raises(SevisError, match=r"regnety_320\.seer of timm has no classifier, only features"):
        network.build()


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
    mine = TimmNetwork.find(name).preprocessing()
    for size in SIZES:
        image = noise(*size)
        np.testing.assert_allclose(mine(image), theirs(image).numpy(), atol=1e-6, rtol=1e-6, err_msg=f"{size}")


def test_the_families_with_se_all_have_a_preprocessing() -> None:
    families = "legacy_se* seres* *efficientnet* mobilenetv3* lcnet* regnet[yz]* coatnet* maxvit* fastvit* rexnet* ghostnet* hardcorenas*"
    names = [name for family in families.split() for name in timm.list_pretrained(family)]
    found = [TimmNetwork.find(name).preprocessing() for name in names]
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
        TimmNetwork.named("efficientnet_b0.ra_in1k").preprocessing()
