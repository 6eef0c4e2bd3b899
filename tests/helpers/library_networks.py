"""The SE networks of timm and torchvision: the smallest of each family, and the paper's own."""

import warnings

import timm
import torch
import torchvision
from timm.layers.squeeze_excite import SEModule
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models.senet import SEModule as LegacySEModule
from torch import nn
from torchvision.ops.misc import SqueezeExcitation

from tests.helpers.networks import stir

SE_CLASSES = (SEModule, SqueezeExcite, LegacySEModule, SqueezeExcitation)
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
    return {path: module for path, module in model.named_modules() if isinstance(module, SE_CLASSES)}


def stirred_network(name: str) -> tuple[nn.Module, int]:
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
