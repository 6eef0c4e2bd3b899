"""Networks of timm, torchvision and sevis by name: which library has them, and how an entry of index.json names them."""

import pytest

from sevis import SevisError
from sevis.architecture import Architecture
from sevis.networks.libraries import LIBRARIES, find, list_names, read
from sevis.networks.libraries.library import LibraryNetwork
from sevis.networks.libraries.sevis_library import SevisNetwork
from sevis.networks.libraries.timm_library import TimmNetwork
from sevis.networks.libraries.torchvision_library import TorchvisionNetwork


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("legacy_seresnet50", TimmNetwork.named("legacy_seresnet50.in1k")),
        ("timm/legacy_seresnet50", TimmNetwork.named("legacy_seresnet50.in1k")),
        ("seresnet50.ra2_in1k", TimmNetwork.named("seresnet50.ra2_in1k")),
        ("efficientnet_b0", TimmNetwork.named("efficientnet_b0.ra_in1k")),  # both have one of that name: timm comes first
        ("torchvision/efficientnet_b0", TorchvisionNetwork.named("efficientnet_b0.IMAGENET1K_V1")),
        ("mobilenet_v3_small", TorchvisionNetwork.named("mobilenet_v3_small.IMAGENET1K_V1")),
        ("regnet_y_16gf.IMAGENET1K_SWAG_E2E_V1", TorchvisionNetwork.named("regnet_y_16gf.IMAGENET1K_SWAG_E2E_V1")),
        ("seresnet18", TimmNetwork.named("seresnet18")),  # nobody has trained it
        ("se_resnet20", SevisNetwork.named("se_resnet20")),
        ("senet154", TimmNetwork.named("senet154.gluon_in1k")),  # timm has one of that name, which comes first
        ("sevis/senet154", SevisNetwork.named("senet154")),
        ("nobody", None),
        ("timm/mobilenet_v3_small", None),
        ("torchvision/legacy_seresnet50", None),
        ("se_resnet50/../x", None),
        ("", None),
    ],
)
def test_names(name: str, network: LibraryNetwork | None) -> None:
    assert find(name) == network


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


def test_every_name_is_listed_once() -> None:
    names = list_names()
    assert len(names) == len(set(names))
    assert {"legacy_senet154", "mobilenet_v3_large", "se_wrn16_8"} <= set(names)


@pytest.mark.parametrize("name", ["legacy_seresnet50", "torchvision/mobilenet_v3_small", "se_resnet20"])
def test_a_network_is_found_again_by_its_architecture(name: str) -> None:
    network = find(name).with_outputs(7)
    again = read(network.architecture)
    assert again == network
    assert again.architecture == Architecture(library=network.library, name=network.name, num_classes=7)
    model = again.on_meta()
    assert next(tensor for tensor in reversed(list(model.parameters()))).shape == (7,)
    assert all(tensor.is_meta for tensor in model.parameters())


@pytest.mark.parametrize("name", ["legacy_seresnet18", "torchvision/mobilenet_v3_small", "torchvision/regnet_y_400mf", "se_resnet20"])
def test_outputs_and_parameters_are_those_of_the_network_that_is_built(name: str) -> None:
    network = find(name)
    model = network.build()
    assert network.outputs(model) == len(list(model.parameters())[-1])
    assert network.count_parameters() == sum(parameter.numel() for parameter in model.parameters())


def test_an_unknown_library_is_named() -> None:
    with pytest.raises(SevisError, match=r"a library 'keras'; expected one of timm, torchvision, sevis: repair the entry"):
        read(Architecture(library="keras", name="x"))
    assert list(LIBRARIES) == ["timm", "torchvision", "sevis"]
