"""Every SE network of timm and torchvision: found, named, and read as its own modules compute it."""

import re
import warnings
from collections.abc import Callable
from functools import partial

import pytest
import timm
import torch
import torchvision
from timm.layers.squeeze_excite import SEModule
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models.senet import SEModule as LegacySEModule
from torch import Tensor, nn
from torchvision.models.regnet import BlockParams
from torchvision.ops.misc import SqueezeExcitation

from sevis import capture, find_sites, override
from tests.helpers.networks import stir

KINDS = (SEModule, SqueezeExcite, LegacySEModule, SqueezeExcitation)
# One or more of the smallest of each family, and the paper's own.
TIMM = [
    "test_efficientnet",
    "efficientnet_b0",
    "efficientnetv2_rw_t",
    "mixnet_s",
    "mnasnet_small",
    "tinynet_e",
    "fbnetc_100",
    "semnasnet_075",
    "tf_efficientnet_lite0",
    "mobilenetv3_small_050",
    "mobilenetv3_large_100",
    "lcnet_050",
    "fbnetv3_b",
    "hardcorenas_a",
    "repghostnet_050",
    "ghostnet_050",
    "ghostnetv2_100",
    "ghostnetv3_050",
    "test_nfnet",
    "nf_regnet_b0",
    "nf_seresnet26",
    "eca_nfnet_l0",
    "test_byobnet",
    "seresnext26ts",
    "regnetz_b16",
    "haloregnetz_b",
    "repvgg_d2se",
    "test_coatnet",
    "test_maxvit",
    "coatnet_pico_rw_224",
    "efficientvit_m0",
    "regnety_002",
    "regnety_004",
    "regnetz_005",
    "fastvit_t8",
    "fastvit_mci0",
    "lcnetv2_small",
    "rexnet_100",
    "rexnetr_100",
    "repvit_m1",
    "shvit_s1",
    "efficientvim_m1",
    "legacy_seresnet18",
    "legacy_seresnext26_32x4d",
    "legacy_seresnet50",
    "seresnet18",
    "seresnet50",
    "seresnext26d_32x4d",
    "skresnet18",
    "gcvit_xxtiny",
    "sedarknet21",
    "cs3sedarknet_l",
    "tresnet_m",
]
WITHOUT = ("fbnetc_100", "tf_efficientnet_lite0", "eca_nfnet_l0", "skresnet18")  # members of the same families that have no SE block
TORCHVISION = ["efficientnet_b0", "efficientnet_v2_s", "mobilenet_v3_small", "mobilenet_v3_large", "regnet_y_400mf", "maxvit_t"]


def blocks_of(model: nn.Module) -> dict[str, nn.Module]:
    return {path: module for path, module in model.named_modules() if isinstance(module, KINDS)}


def by_its_own_modules(block: nn.Module, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """z, the hidden layer, the logits and s, as the modules of a block compute them one after the other."""
    z = u.mean((2, 3), keepdim=True)
    if isinstance(block, SEModule):
        hidden = block.act(block.bn(block.fc1(z)))
        logits, gate = block.fc2(hidden), block.gate
    elif isinstance(block, SqueezeExcite):
        hidden = block.act1(block.conv_reduce(z))
        logits, gate = block.conv_expand(hidden), block.gate
    elif isinstance(block, LegacySEModule):
        hidden = block.relu(block.fc1(z))
        logits, gate = block.fc2(hidden), block.sigmoid
    else:
        hidden = block.activation(block.fc1(z))
        logits, gate = block.fc2(hidden), block.scale_activation
    return tuple(part.flatten(1) for part in (z, hidden, logits, gate(logits.clone())))  # type: ignore[return-value]


def build(name: str) -> tuple[nn.Module, int]:
    """A network with weights in which every norm and branch counts, and the side of an image for it."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.manual_seed(0)
        if name.startswith("tv/"):
            model, fixed = torchvision.models.get_model(name.removeprefix("tv/"), weights=None), name == "tv/maxvit_t"
            side = 224
        else:
            model = timm.create_model(name)
            fixed, side = bool(model.default_cfg.get("fixed_input_size")), model.default_cfg["input_size"][1]
            fixed = fixed or name.startswith(("coatnet", "test_maxvit", "test_coatnet", "halo", "gcvit", "efficientvit"))
        stir(model)
        with torch.no_grad():
            for parameter in model.parameters():
                if not parameter.any():  # a branch that starts at zero would hide what its block does
                    parameter.normal_(0, 0.1)
        return model.eval(), side if fixed else min(side, 72)


@pytest.mark.parametrize("name", [*(name for name in TIMM if name not in WITHOUT), *(f"tv/{name}" for name in TORCHVISION)])
def test_a_network_is_read_as_its_own_modules_compute_it(name: str) -> None:
    model, side = build(name)
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    sites, blocks = find_sites(model), blocks_of(model)
    assert [site.path for site in sites] == list(blocks)
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}
    for path, block in blocks.items():
        block.register_forward_pre_hook(lambda _, given, path=path: inputs.update({path: given[0].clone()}))
        block.register_forward_hook(lambda _, __, given, path=path: outputs.update({path: given.clone()}))
    with torch.no_grad():
        with capture(model, maps=[site.name for site in sites]) as record:
            plain = model(images)
        for site in sites:
            kept, u = record[site.name], inputs[site.path]
            z, hidden, logits, s = by_its_own_modules(blocks[site.path], u)
            assert u.std() > 0
            for own, expected in ((kept.squeeze, z), (kept.hidden, hidden), (kept.logits, logits), (kept.scale, s)):
                torch.testing.assert_close(own, expected, atol=1e-5, rtol=1e-4)
            assert torch.equal(kept.maps, u)
            assert torch.equal(kept.scale[:, :, None, None] * kept.maps, outputs[site.path])
            assert (kept.scale.shape, kept.hidden.shape, kept.run) == ((2, site.channels), (2, site.hidden), 1)
        with override(model, {site.name: record[site.name].scale for site in sites}):
            again = model(images)
        with override(model, {"SE": 1.0}):
            model(images)
    assert torch.equal(again, plain)
    for path in blocks:
        assert torch.equal(inputs[path], outputs[path])  # s = 1: the block is the identity


@pytest.mark.parametrize("name", WITHOUT)
def test_members_of_the_same_families_without_se_have_no_site(name: str) -> None:
    model, _ = build(name)
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
