"""Where SE blocks are found, how they are named, and what is no SE block."""

import re
import warnings
from collections.abc import Callable
from functools import partial

import pytest
import timm
import torch
import torchvision
from timm.layers.mlp import GatedMlp
from timm.models.senet import SEModule
from torch import nn
from torchvision.models.regnet import BlockParams

import sevis
from sevis import SevisError, SqueezeExcitation, find_sites
from sevis.blocks.sites import require_sites
from tests.helpers.library_networks import WITHOUT, blocks_of, stirred_network


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
    "mobilenetv3_small_100": ["SE_2_1", *(f"SE_4_{i}" for i in (1, 2, 3)), "SE_5_1", "SE_5_2", *(f"SE_6_{i}" for i in (1, 2, 3))],
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


RELATIVES = {
    "ecaresnet26t": r"its 8 EcaModule are not SE blocks: it convolves the means of the channels, as ECA does, and has no bottleneck",
    "ese_vovnet19b_dw": r"its 4 EffectiveSEModule are not SE blocks: it has one layer with weights, and no bottleneck",
    "gcresnet50t": r"GlobalContext are not SE blocks: its forward pass takes a softmax",
    "resnest14d": r"SplitAttn are not SE blocks: its forward pass takes a softmax",
    "skresnet18": r"SelectiveKernel are not SE blocks: its forward pass takes a softmax",
    "gmlp_ti16_224": r"SpatialGatingUnit are not SE blocks: it has one layer with weights",
    "hgnet_tiny": r"EseModule are not SE blocks: it has one layer with weights",
}


@pytest.mark.parametrize("name", RELATIVES)
def test_relatives_are_refused_with_what_they_do(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name)
    with pytest.raises(SevisError, match=RELATIVES[name]) as caught:
        require_sites(model)
    assert "choose an SE network" in str(caught.value)
    kind = next(word for word in RELATIVES[name].split() if word[0].isupper() and word != "SE")
    assert kind in {like.kind for like in find_sites(model, explain=True).lookalikes}


@pytest.mark.parametrize("attention", ["cbam", "lcbam"])
def test_a_block_that_squeezes_by_the_maximum_is_refused(attention: str) -> None:
    with torch.device("meta"):
        model = timm.create_model("resnet18", block_args={"attn_layer": attention})
    with pytest.raises(SevisError, match=r"ChannelAttn are not SE blocks: it squeezes by the maximum, too"):
        require_sites(model)


def test_models_that_run_no_hooks_are_refused_with_the_cure() -> None:
    model = nn.Sequential(nn.Conv2d(3, 16, 3), SEModule(16, reduction=4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates scripting
        scripted = torch.jit.script(model)
        traced = torch.jit.trace(model, torch.randn(1, 3, 8, 8))
    inside = nn.Sequential(torch.compile(model))
    compiled = nn.Sequential(nn.Conv2d(3, 16, 3), SqueezeExcitation(16))
    compiled.compile()
    for wrapped, message in (
        (nn.DataParallel(model), r"DataParallel, .*: pass model\.module"),
        (scripted, r"scripted or traced, .*: pass the Python model"),
        (traced, r"scripted or traced, .*: pass the Python model"),
        (torch.compile(model), r"compiled, .*: pass the model as it was before torch\.compile"),
        (inside, r"compiled, .*: pass the model as it was before torch\.compile"),
        (compiled, r"compiled, .*: build it again without model\.compile\(\)"),
    ):
        with pytest.raises(SevisError, match=message), sevis.capture(wrapped):
            pytest.fail("it was captured")
    assert names(model) == ["SE_2_2"]


def test_a_compiled_part_without_se_is_no_obstacle() -> None:
    model = nn.Sequential(torch.compile(nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU())), SqueezeExcitation(16))
    assert names(model) == ["SE_2_2"]


class SELayer(nn.Module):
    """The SE block as many write it: a pool, and a sequence of two projections and a sigmoid."""

    def __init__(self, channels: int, hidden: int, *, gate: nn.Module) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden, bias=False), nn.ReLU(inplace=True), nn.Linear(hidden, channels, bias=False), gate
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, _, _ = x.shape
        s = self.fc(self.avg_pool(x).view(n, c)).view(n, c, 1, 1)
        return x * s.expand_as(x)


def test_a_users_own_layer_is_read_by_the_rule() -> None:
    torch.manual_seed(0)
    model, u = nn.Sequential(SELayer(16, 4, gate=nn.Sigmoid())), torch.randn(2, 16, 5, 5)
    (site,) = find_sites(model)
    assert (site.path, site.parts) == ("0", ("fc.0", "fc.2", "fc.3"))
    assert (site.channels, site.hidden, site.gate, site.bias) == (16, 4, "Sigmoid", False)
    with torch.no_grad(), sevis.capture(model, maps=[site.name]) as record:
        output = model(u)
    with torch.no_grad(), sevis.override(model, {"SE": 1.0}):
        assert torch.equal(model(u), u)
    kept, first, _, second, _ = record[site.name], *model[0].fc
    torch.testing.assert_close(kept.squeeze, u.mean((2, 3)))
    torch.testing.assert_close(kept.hidden, (u.mean((2, 3)) @ first.weight.T).clamp(min=0))
    torch.testing.assert_close(kept.scale, torch.sigmoid(kept.hidden @ second.weight.T))
    assert torch.equal(kept.scale[:, :, None, None] * u, output)


def test_a_sequence_that_is_no_se_layer_is_no_site() -> None:
    assert find_sites(nn.Sequential(SELayer(16, 32, gate=nn.Sigmoid()))) == ()  # widens
    assert find_sites(nn.Sequential(SELayer(16, 4, gate=nn.BatchNorm1d(16)))) == ()  # a gate with weights
    head = nn.Sequential(nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 16), nn.Sigmoid())
    assert find_sites(nn.ModuleDict({"head": head})) == ()  # nothing is pooled


def test_a_block_says_its_gate_and_bias() -> None:
    model = nn.Sequential(SqueezeExcitation(16, gate="hardsigmoid", bias=False), SqueezeExcitation(16, gate="tanh"))
    assert [(site.gate, site.bias) for site in find_sites(model)] == [("Hardsigmoid", False), ("Tanh", True)]


def test_the_stem_is_stage_1() -> None:
    with torch.device("meta"):
        assert names(timm.create_model("repvgg_d2se"))[:3] == ["SE_1_4", "SE_2_1", "SE_2_2"]


class ChannelAttention(nn.Module):
    """CBAM's channel part as many write it."""

    def __init__(self) -> None:
        super().__init__()
        self.avg_pool, self.max_pool = nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1)
        self.fc1, self.fc2, self.sigmoid = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1), nn.Sigmoid()

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return u * self.sigmoid(self.fc2(self.fc1(self.avg_pool(u)).relu()) + self.fc2(self.fc1(self.max_pool(u)).relu()))


def test_a_block_with_a_maximum_pool_is_refused_by_what_it_does_whatever_it_is_called() -> None:
    for kind in (ChannelAttention, type("Gate", (ChannelAttention,), {})):
        with pytest.raises(SevisError, match=rf"its 1 {kind.__name__} are not SE blocks: it squeezes by the maximum, too"):
            require_sites(nn.Sequential(kind()))


def test_a_compiled_gate_is_an_obstacle_and_an_empty_one_is_not() -> None:
    block = SqueezeExcitation(16)
    block.gate = nn.Sequential()
    assert names(nn.Sequential(block)) == ["SE_2_1"]
    block.gate = torch.compile(nn.Sigmoid())
    with pytest.raises(SevisError, match=r"compiled, .*: pass the model as it was before torch\.compile"):
        find_sites(nn.Sequential(block))


@pytest.mark.parametrize("name", WITHOUT)
def test_members_of_the_same_families_without_se_have_no_site(name: str) -> None:
    model, _ = stirred_network(name)
    assert blocks_of(model) == {}
    assert find_sites(model) == ()


@pytest.mark.slow
def test_all_of_timm_is_found_and_runs_every_block_once() -> None:
    """On the meta device, where a forward pass has shapes and no numbers."""
    found = {}
    for name in timm.list_models():
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not mentions_se(name):
                continue
            model = timm.create_model(name).eval()
        if blocks := blocks_of(model):
            found[name] = check_shapes(model, list(blocks), model.default_cfg["input_size"])
    assert {name: fault for name, fault in found.items() if fault} == {}
    assert len(found) == 334


SOURCES_WITH_SE = [
    "byobnet",
    "cspnet",
    "efficientnet",
    "efficientvim",
    "efficientvit_msra",
    "fastvit",
    "gcvit",
    "ghostnet",
    "hardcorenas",
    "lcnetv2",
    "maxxvit",
    "mobilenetv3",
    "nfnet",
    "regnet",
    "repghost",
    "repvit",
    "resnet",
    "rexnet",
    "senet",
    "shvit",
    "tresnet",
    "byoanet",
]


def mentions_se(name: str) -> bool:
    """Whether a network comes from a file of timm that uses one of the three classes: the others need not be built."""
    return timm.models.model_entrypoint(name).__module__.rpartition(".")[2] in SOURCES_WITH_SE


def check_shapes(model: nn.Module, paths: list[str], size: tuple[int, int, int]) -> str:
    """What is wrong with the blocks that sevis finds; empty when nothing is."""
    sites = find_sites(model)
    if [site.path for site in sites] != paths:
        return "other blocks"
    if len({site.name for site in sites}) < len(sites) or not all(re.fullmatch(r"SE_[1-9]\d*_[1-9]\d*b*", site.name) for site in sites):
        return "names"
    ran: dict[str, tuple[int, ...]] = {}
    for site in sites:
        gate = model.get_submodule(site.path).get_submodule(site.parts[2])
        gate.register_forward_hook(lambda _, __, scale, path=site.path: ran.update({path: tuple(scale.shape)}))
    with torch.no_grad(), torch.device("meta"):
        model(torch.empty(2, *size))
    return "" if ran == {site.path: (2, site.channels, 1, 1) for site in sites} else "shapes"


def on_the_cpu(computed: Callable[..., object], **options: object) -> object:
    """The widths of a RegNet, which are computed as tensors and read."""
    with torch.device("cpu"):
        return computed(**options)


@pytest.mark.slow
def test_all_of_torchvisions_classifiers_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nn.init, "trunc_normal_", lambda tensor, **_: tensor)  # looks at values, which the meta device has none of
    monkeypatch.setattr(BlockParams, "from_init_params", partial(on_the_cpu, BlockParams.from_init_params))
    found = set()
    for name in torchvision.models.list_models(module=torchvision.models):
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            model = torchvision.models.get_model(name, weights=None)
        if blocks := blocks_of(model):
            assert check_shapes(model.eval(), list(blocks), (3, 224, 224)) == "", name
            found.add(name)
    assert len(found) == 22
