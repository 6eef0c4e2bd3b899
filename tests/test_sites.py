"""Where SE blocks are found, how they are named, and what is no SE block."""

import pytest
import timm
import torch
import torchvision
from timm.layers.mlp import GatedMlp
from torch import nn

import sevis
from sevis import SevisError, SqueezeExcitation, find_sites
from sevis.sites import require_sites


def names(model: nn.Module) -> list[str]:
    return [site.name for site in find_sites(model)]


def numbered(*blocks: int) -> list[str]:
    """SE_2_1 ... for stages of so many blocks."""
    return [f"SE_{stage}_{block}" for stage, count in enumerate(blocks, start=2) for block in range(1, count + 1)]


@pytest.mark.parametrize(
    ("name", "blocks"), [("se_resnet18", (2, 2, 2, 2)), ("se_resnet50", (3, 4, 6, 3)), ("se_resnet101", (3, 4, 23, 3))]
)
def test_names_are_the_papers(name: str, blocks: tuple[int, ...]) -> None:
    with torch.device("meta"):
        model = sevis.build(name)
    assert names(model) == numbered(*blocks)


def test_a_site_knows_its_place_and_widths() -> None:
    with torch.device("meta"):
        model = sevis.build("se_resnet50", width=0.5, reduction=8)
    site = find_sites(model)[12]
    assert (site.name, site.path, site.parts) == ("SE_4_6", "layer3.5.se", ("fc1", "fc2", "gate"))
    assert (site.channels, site.hidden, site.reduction) == (512, 64, 8.0)
    assert model.get_submodule(site.path) is model.layer3[5].se


# Counts and order of the blocks are facts of the architectures (papers' tables); the names follow from the residual blocks' positions.
OTHERS = {
    "seresnet50": numbered(3, 4, 6, 3),
    "legacy_seresnet18": numbered(2, 2, 2, 2),
    "legacy_seresnext26_32x4d": numbered(2, 2, 2, 2),
    "efficientnet_b0": numbered(1, 2, 2, 3, 3, 4, 1),
    "regnety_004": numbered(1, 3, 6, 6),
    "mobilenetv3_small_100": ["SE_2_1", *(f"SE_3_{i}" for i in (1, 2, 3)), "SE_4_1", "SE_4_2", *(f"SE_5_{i}" for i in (1, 2, 3))],
}


@pytest.mark.parametrize("name", OTHERS)
def test_names_in_timms_networks(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name)
    assert names(model) == OTHERS[name]


def test_names_in_torchvisions_networks() -> None:
    assert names(torchvision.models.efficientnet_b0()) == numbered(1, 2, 2, 3, 3, 4, 1)
    assert names(torchvision.models.regnet_y_400mf()) == numbered(1, 3, 6, 6)
    # One long sequence, whose first block is the stem: the number is the position in it.
    assert names(torchvision.models.mobilenet_v3_small()) == [f"SE_2_{i}" for i in (2, 5, 6, 7, 8, 9, 10, 11, 12)]


def test_names_in_a_wrapped_network_and_in_plain_sequences() -> None:
    with torch.device("meta"):
        wrapped = nn.ModuleDict({"backbone": sevis.build("se_resnet18", width=0.25)})
        sequence = nn.Sequential(nn.Conv2d(3, 16, 3), SqueezeExcitation(16), nn.ReLU(), SqueezeExcitation(16))
        pair = nn.Sequential(nn.ModuleDict({"first": SqueezeExcitation(16), "second": SqueezeExcitation(16)}))
    assert names(wrapped) == numbered(2, 2, 2, 2)
    assert names(sequence) == ["SE_2_2", "SE_2_4"]
    assert names(SqueezeExcitation(16)) == ["SE_2_1"]
    assert names(pair) == ["SE_2_1", "SE_2_1b"]


@pytest.mark.parametrize("name", ["gmlp_ti16_224", "resnet18", "vit_tiny_patch16_224", "ecaresnet50t", "convnext_atto", "resnest14d"])
def test_networks_without_the_papers_block_have_no_site(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name)
    assert find_sites(model) == ()


@pytest.mark.parametrize("attention", ["cbam", "lcbam", "ese", "eca", "gc"])
def test_cousins_of_the_block_are_not_taken_for_it(attention: str) -> None:
    with torch.device("meta"):
        model = timm.create_model("resnet18", block_args={"attn_layer": attention})
    assert find_sites(model) == ()


def test_a_gated_mlp_that_widens_is_no_site() -> None:
    assert find_sites(GatedMlp(16, hidden_features=64)) == ()  # fc1, fc2 and a gate without parameters, but no bottleneck


def test_a_gate_with_weights_is_no_site() -> None:
    block = SqueezeExcitation(16)
    block.gate = nn.PReLU()
    assert find_sites(nn.Sequential(block)) == ()


def test_a_model_without_a_site_is_refused_with_the_cure() -> None:
    with pytest.raises(SevisError, match=r"ResNet has no Squeeze-and-Excitation block: choose an SE network"):
        require_sites(sevis.build("resnet18", width=0.125))
    with pytest.raises(TypeError, match=r"expected a torch.nn.Module, got str"):
        find_sites("se_resnet50")
