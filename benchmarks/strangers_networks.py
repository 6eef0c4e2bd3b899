"""Networks of other libraries with SE blocks, how each library writes its block, and what only looks like one.

The libraries are asked by their names, for none of them is needed by sevis. Weights are random, and nothing is downloaded.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Build = Callable[[], nn.Module]
Gate = str | Callable[[Tensor], Tensor]
Removal = Callable[[nn.Module], Any]


@dataclass(frozen=True)
class Kind:
    """How the SE blocks of one class are written.

    Attributes:
        first, second: the projections, as attributes of the block; of several names, the first that it has.
        gate: an attribute, or a function.
        between: what stands between the projections, in the same way.
        inside: whether the block's input is u and its output s * u; else its layers lie in a larger module, or another one multiplies.
        residual: whether the block gives u + s * u; then 1 + s may be told for s.
        remove: a context in which the block is as if it had no gate; the identity in its place unless another is named.
        remove_sum: the same where the parent computes u + s * u and that sum is taken for the block: u alone is left.
        either: whether it may be taken or not, for it is more than the paper's block.
    """

    first: str
    second: str
    gate: Gate
    between: tuple[Gate, ...] = ()
    inside: bool = True
    residual: bool = False
    remove: Removal | None = None
    remove_sum: Removal | None = None
    either: bool = False


@contextmanager
def identity(block: nn.Module) -> Iterator[None]:
    """Let the block return its input."""
    handle = block.register_forward_hook(lambda _, args, kwargs, __: args[0] if args else next(iter(kwargs.values())), with_kwargs=True)
    yield
    handle.remove()


@contextmanager
def nothing(block: nn.Module) -> Iterator[None]:
    """Let the block return zeros."""
    handle = block.register_forward_hook(lambda _, __, output: torch.zeros_like(output))
    yield
    handle.remove()


def fixed(path: str, value: float) -> Removal:
    """Return a context in which a part of the block returns a number everywhere."""

    @contextmanager
    def within(block: nn.Module) -> Iterator[None]:
        handle = block.get_submodule(path).register_forward_hook(lambda _, __, output: torch.full_like(output, value))
        yield
        handle.remove()

    return within


def without_flag(name: str) -> Removal:
    """Return a context in which a flag of the block says that it has no SE."""

    @contextmanager
    def within(block: nn.Module) -> Iterator[None]:
        setattr(block, name, False)
        yield
        setattr(block, name, True)

    return within


def clamp(x: Tensor) -> Tensor:
    return torch.clamp(0.2 * x + 0.5, min=0.0, max=1.0)


ONE_BY_ONE = Kind("conv1|fc1", "conv2|fc2", "sigmoid", ("activ",))
HUGGING_FACE = Kind("reduce", "expand", "act_expand", ("act_reduce",))
PADDLE = Kind("convolutions.0", "convolutions.2", "convolutions.3", ("convolutions.1",))
PADDLE_NECK = Kind("conv1", "conv2", clamp, ("act_fn",), remove_sum=nothing)
MOBILE = Kind("_se_reduce", "_se_expand", torch.sigmoid, ("_swish",), inside=False, remove=without_flag("has_se"))
TWO_SUMMED = tuple(Kind(f"{name}.1", f"{name}.3", f"{name}.4", (f"{name}.2",), inside=False, either=True) for name in ("SE_hl", "SE_ll"))
KINDS: dict[str, Kind | tuple[Kind, ...]] = {
    "pytorchcv.models.common.att.SEBlock": ONE_BY_ONE,
    "pytorchcv.models.sinet.SEBlock": replace(ONE_BY_ONE, either=True),  # its gate is a PReLU, which has weights
    "pytorchcv.models.bisenet.FeatureFusion": Kind(
        "conv1", "conv2", "sigmoid", ("activ",), inside=False, residual=True, remove=fixed("sigmoid", 0.0)
    ),
    "pytorchcv.models.dicenet.DiceAttBlock": Kind("conv1", "conv2", "sigmoid", ("activ",), inside=False, remove=fixed("sigmoid", 1.0)),
    "pytorchcv.models.fishnet.PreSEAttBlock": Kind("conv1", "conv2", "sigmoid", ("relu",), inside=False, either=True),
    "efficientnet_pytorch.model.MBConvBlock": MOBILE,
    "geffnet.efficientnet_builder.SqueezeExcite": Kind("conv_reduce", "conv_expand", "gate_fn", ("act1",)),
    "torchvision.ops.misc.SqueezeExcitation": Kind("fc1", "fc2", "scale_activation", ("activation",)),
    "birder.net.rexnet.ReXNetSqueezeExcitation": Kind("fc1", "fc2", "scale_activation", ("bn", "activation")),
    "birder.net.gc_vit.SqueezeExcitation": Kind("fc1", "fc2", "scale_act", ("act",)),
    "segmentation_models_pytorch.encoders._senet.SEModule": Kind("fc1", "fc2", "sigmoid", ("relu",)),
    "segmentation_models_pytorch.encoders.mobileone.SEBlock": Kind("reduce", "expand", torch.sigmoid, (F.relu,)),
    "segmentation_models_pytorch.base.modules.SCSEModule": Kind(
        "cSE.1", "cSE.3", "cSE.4", ("cSE.2",), inside=False, remove=fixed("cSE", 1.0)
    ),
    "segmentation_models_pytorch.encoders._efficientnet.MBConvBlock": replace(MOBILE, remove=without_flag("_has_se")),
    "segmentation_models_pytorch.decoders.manet.decoder.MFABBlock": TWO_SUMMED,
    "timm.models._efficientnet_blocks.SqueezeExcite": Kind("conv_reduce", "conv_expand", "gate", ("act1",)),
    "timm.layers.squeeze_excite.SEModule": Kind("fc1", "fc2", "gate", ("bn", "act")),
    "monai.networks.blocks.squeeze_and_excitation.ChannelSELayer": Kind("fc.0", "fc.2", "fc.3", ("fc.1",)),
    "monai.networks.blocks.squeeze_and_excitation.ResidualSELayer": Kind("fc.0", "fc.2", "fc.3", ("fc.1",), residual=True),
    "monai.networks.nets.efficientnet.MBConvBlock": MOBILE,
    "transformers.models.efficientnet.modeling_efficientnet.EfficientNetSqueezeExciteLayer": HUGGING_FACE,
    "transformers.models.align.modeling_align.AlignVisionSqueezeExciteLayer": HUGGING_FACE,
    "transformers.models.regnet.modeling_regnet.RegNetSELayer": Kind("attention.0", "attention.2", "attention.3", ("attention.1",)),
    "transformers.models.pp_lcnet.modeling_pp_lcnet.PPLCNetSqueezeExcitationModule": PADDLE,
    "transformers.models.pp_lcnet_v3.modeling_pp_lcnet_v3.PPLCNetV3SqueezeExcitationModule": PADDLE,
    "transformers.models.pp_lcnet_v4.modeling_pp_lcnet_v4.PPLCNetV4SqueezeExcitationModule": PADDLE,
    "transformers.models.pp_ocrv5_mobile_det.modeling_pp_ocrv5_mobile_det.PPOCRV5MobileDetSqueezeExcitationModule": PADDLE_NECK,
    "transformers.models.pp_ocrv6_small_det.modeling_pp_ocrv6_small_det.PPOCRV6SmallDetSqueezeExcitationModule": PADDLE_NECK,
    "transformers.models.qwen2_5_omni.modeling_qwen2_5_omni.SqueezeExcitationBlock": Kind("conv1", "conv2", "sigmoid", ("relu",)),
}


@dataclass(frozen=True)
class Foreign:
    """A network of a library: how it is built, and what it is fed."""

    library: str
    name: str
    build: Build
    size: tuple[int, ...] = (3, 64, 64)


def ask(module: str, attribute: str, *arguments: Any, **options: Any) -> Build:
    """Return what builds a network when it is called."""
    return lambda: attrgetter(attribute)(import_module(module))(*arguments, **options)


def pytorchcv() -> Iterator[Foreign]:
    small = "efficientnet_b0 efficientnet_b0b efficientnet_edge_small_b regnety002 regnetx002 tresnet_m resnestabc14"
    cifar = "seresnet20_cifar10 sepreresnet20_cifar10"
    large = (
        "seresnet10 seresnetbc26b seresnet50b sepreresnet10 sepreresnetbc26b seresnext50_32x4d senet16 mixnet_s mnasnet_a1 mnasnet_small"
    )
    large += " mobilenetv3_small_w7d20 mobilenetv3_large_w7d20 ghostnet fishnet99 dicenet_wd5 cbam_resnet18 bam_resnet18 sknet50 scnet50"
    large += " airnet50_1x64d_r2 diaresnet10 resattnet56 menet108_8x1_g3"
    for names, side in ((small, 64), (cifar, 32), (large, 224)):
        for name in names.split():
            yield Foreign("pytorchcv", name, ask("pytorchcv.model_provider", "get_model", name), (3, side, side))
    for name, size, options in (
        ("cgnet_cityscapes", (64, 128), {"aux": False}),
        ("fpenet_cityscapes", (64, 128), {"aux": False}),
        ("sinet_cityscapes", (256, 512), {"aux": False}),
        ("bisenet_resnet18_celebamaskhq", (128, 192), {}),
    ):
        yield Foreign("pytorchcv", name, ask("pytorchcv.model_provider", "get_model", name, in_size=size, **options), (3, *size))
    for name in ("shufflenetv2", "shufflenetv2b"):
        build = ask(f"pytorchcv.models.{name}", f"get_{name}", width_scale=0.5, use_se=True)
        yield Foreign("pytorchcv", f"{name} with SE", build, (3, 224, 224))
    yield Foreign("pytorchcv", "ibppose_coco", ask("pytorchcv.model_provider", "get_model", "ibppose_coco"), (3, 128, 128))
    build = ask("pytorchcv.models.fastseresnet", "fastseresnet101b", in_size=(224, 224))
    yield Foreign("pytorchcv", "fastseresnet101b", build, (3, 224, 224))


def efficientnet_pytorch() -> Iterator[Foreign]:
    for name in ("efficientnet-b0", "efficientnet-b1", "efficientnet-b2"):
        yield Foreign("efficientnet_pytorch", name, ask("efficientnet_pytorch", "EfficientNet.from_name", name))


def geffnet() -> Iterator[Foreign]:
    names = "efficientnet_b0 tf_efficientnet_b0 mnasnet_a1 semnasnet_050 mixnet_s tf_mixnet_s mobilenetv3_rw mobilenetv3_large_075"
    names += " mobilenetv3_small_075 tf_mobilenetv3_small_minimal_100 efficientnet_cc_b0_4e efficientnet_es fbnetc_100 spnasnet_100"
    for name in names.split():
        yield Foreign("geffnet", name, ask("geffnet", "create_model", name, pretrained=False))


def birder() -> Iterator[Foreign]:
    small = "se_resnet_v1_18 csp_se_resnet_50 csp_se_darknet_53 regnet_y_200m mobilenet_v3_small_0_25 efficientnet_v1_b0 efficientnet_v2_s"
    small += (
        " rexnet_1_0 ghostnet_v1_0_5 ghostnet_v2_1_0 ghostnet_v3_0_5 repghost_0_5 mobileone_s4 repvit_m0_6 unireplknet_a efficientvim_m1"
    )
    small += " acb_se_resnet_v1_18 nfnet_f0 regnet_z_500m resnest_14 vovnet_v2_19 hgnet_v1_tiny cspnext_t cas_vit_xs rdnet_t focalnet_t_srf"
    large = "gc_vit_xxt maxvit_t efficientvit_msft_m0 shvit_s1"
    for name in f"{small} {large}".split():
        side = 64 if name in small.split() else 224
        build = ask("birder.model_registry", "registry.net_factory", name, 10, size=(side, side))
        yield Foreign("birder", name, build, (3, side, side))


def segmentation_models_pytorch() -> Iterator[Foreign]:
    library = "segmentation_models_pytorch"
    for decoder, encoder, options in (
        ("Unet", "se_resnet50", {"decoder_attention_type": "scse"}),
        ("Unet", "se_resnext50_32x4d", {}),
        ("UnetPlusPlus", "resnet18", {"decoder_attention_type": "scse"}),
        ("FPN", "efficientnet-b0", {}),
        ("Linknet", "mobileone_s4", {}),
        ("PAN", "timm-efficientnet-b0", {}),
        ("DeepLabV3Plus", "timm-regnety_002", {}),
        ("Unet", "timm-mobilenetv3_small_075", {}),
        ("MAnet", "resnet18", {}),
    ):
        build = ask(library, decoder, encoder, encoder_weights=None, **options)
        yield Foreign(library, f"{decoder} {encoder}{' scSE' * bool(options)}", build, (3, 128, 128))


def monai() -> Iterator[Foreign]:
    for places, side in ((1, 64), (2, 64), (3, 64)):
        size, title = (3, *(side,) * places), f"{places}-D"
        nets = "monai.networks.nets"
        yield Foreign("monai", f"SEResNet50 {title}", ask(nets, "SEResNet50", spatial_dims=places, in_channels=3, num_classes=5), size)
        options = {"pretrained": False, "spatial_dims": places, "in_channels": 3, "num_classes": 5}
        yield Foreign("monai", f"EfficientNetBN-b0 {title}", ask(nets, "EfficientNetBN", "efficientnet-b0", **options), size)
        for layer in ("ChannelSELayer", "ResidualSELayer"):
            yield Foreign(
                "monai", f"{layer} {title}", partial(behind_convolution, "monai.networks.blocks", layer, places, 16, places=places), size
            )
    options = {"spatial_dims": 2, "in_channels": 3, "num_classes": 5, "groups": 32, "reduction": 16}
    yield Foreign("monai", "SEResNext50 2-D", ask("monai.networks.nets", "SEResNext50", **options))


def behind_convolution(module: str, layer: str, *arguments: Any, places: int = 2) -> nn.Module:
    convolution = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[places]
    return nn.Sequential(convolution(3, 16, 3), getattr(import_module(module), layer)(*arguments))


def transformers() -> Iterator[Foreign]:
    for model, config, options in (
        ("EfficientNetModel", "EfficientNetConfig", {"width_coefficient": 0.5, "depth_coefficient": 0.5, "hidden_dim": 640}),
        ("AlignVisionModel", "AlignVisionConfig", {"width_coefficient": 0.5, "depth_coefficient": 0.5, "hidden_dim": 640}),
        ("RegNetModel", "RegNetConfig", {"layer_type": "y", "hidden_sizes": [32, 64, 96, 128], "depths": [1, 1, 2, 1], "groups_width": 16}),
        ("RegNetModel", "RegNetConfig", {"layer_type": "x", "hidden_sizes": [32, 64, 96, 128], "depths": [1, 1, 2, 1], "groups_width": 16}),
        ("PPLCNetBackbone", "PPLCNetConfig", {"scale": 0.5}),
        ("PPLCNetV3Backbone", "PPLCNetV3Config", {}),
        ("PPLCNetV4Backbone", "PPLCNetV4Config", {}),
        ("PPOCRV5MobileDetModel", "PPOCRV5MobileDetConfig", {}),
    ):
        yield Foreign("transformers", f"{model} {options.get('layer_type', '')}".strip(), partial(hugging, model, config, options))
    neck = "transformers.models.pp_ocrv6_small_det.modeling_pp_ocrv6_small_det"
    for layer, arguments in (
        ("PPOCRV6SmallDetResidualSqueezeExcitationLayer", (16, 16, 1, 4)),
        ("PPOCRV6SmallDetDepthwiseSeparableConvLayer", (16, 16, 3, 4)),
    ):
        yield Foreign("transformers", layer, partial(behind_convolution, neck, layer, *arguments))
    yield Foreign("transformers", "Qwen2.5-Omni's ECAPA", ecapa, (60, 80))


def hugging(model: str, config: str, options: dict[str, Any]) -> Any:
    library = import_module("transformers")
    return getattr(library, model)(getattr(library, config)(**options))


def ecapa() -> Any:
    home = "transformers.models.qwen2_5_omni"
    config = import_module(f"{home}.configuration_qwen2_5_omni").Qwen2_5OmniDiTConfig()
    return import_module(f"{home}.modeling_qwen2_5_omni").ECAPA_TimeDelayNet(config)


LIBRARIES = (pytorchcv, efficientnet_pytorch, geffnet, birder, segmentation_models_pytorch, monai, transformers)
