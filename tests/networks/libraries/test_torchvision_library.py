"""torchvision's classifiers by name, fed as torchvision feeds them."""

import numpy as np
import pytest
import torchvision
from torchvision.models import get_model_weights

from sevis.networks.libraries.torchvision_library import TorchvisionNetwork
from tests.helpers.pictures import SIZES, noise


def test_detectors_and_films_are_no_classifiers() -> None:
    for name in torchvision.models.list_models():
        if name not in torchvision.models.list_models(module=torchvision.models):
            assert TorchvisionNetwork.find(name) is None
    assert "mobilenet_v3_large" in TorchvisionNetwork.list_names()


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "efficientnet_b1", "efficientnet_v2_s", "regnet_y_400mf", "maxvit_t"])
def test_torchvisions_preprocessing(name: str) -> None:
    theirs = get_model_weights(name).DEFAULT.transforms()
    mine = TorchvisionNetwork.find(name).preprocessing()
    for size in SIZES:
        image = noise(*size)
        np.testing.assert_allclose(mine(image), theirs(image).numpy(), atol=1e-6, rtol=1e-6, err_msg=f"{size}")
