"""Where SE goes, family by family: beside which module of a unit, for each placement of arXiv 1709.01507, Figures 2, 3 and 5."""

from collections.abc import Mapping
from dataclasses import dataclass

PLACEMENTS = ("standard", "pre", "post", "identity", "3x3")


@dataclass(frozen=True)
class Slot:
    """Where an SE block stands: before or after a module.

    Attributes:
        module: its path below the unit; empty for the unit itself.
        before: whether SE stands before it.
    """

    module: str
    before: bool = False


def after(module: str) -> Mapping[str, Slot]:
    """Return the rule of a family that has the standard placement only."""
    return {"standard": Slot(module)}


def residual(last: str, *, first: str = "conv1", shortcut: str = "downsample", wide: str = "") -> Mapping[str, Slot]:
    """Return the rule of residual units.

    Args:
        last, first: the last and the first module of the branch.
        shortcut: the module on the identity connection; empty where not every unit has one.
        wide: what follows the 3x3 convolution; empty where SE behind that is another placement already, as in a unit of two 3x3
            convolutions, whose standard one it is.
    """
    slots = {
        "standard": Slot(last),  # before the sum
        "pre": Slot(first, before=True),  # on the branch, before the residual unit
        "post": Slot(""),  # after the sum and its ReLU
    }
    if shortcut:
        slots["identity"] = Slot(shortcut)  # on the identity connection, after the projection where there is one
    if wide:
        slots["3x3"] = Slot(wide, before=True)
    return slots


# By the class of the unit. A slot that holds nothing (None, nn.Identity) is filled; any other module is replaced by itself and SE.
UNITS: Mapping[str, Mapping[str, Slot]] = {
    "sevis.networks.resnet.BasicBlock": residual("se"),
    "sevis.networks.resnet.Bottleneck": residual("se", wide="conv3"),
    "sevis.networks.preactivation.PreactivationBlock": residual("se"),
    "sevis.networks.preactivation.PreactivationBottleneck": residual("se", wide="conv3"),
    "sevis.networks.inception.Inception": after("se"),  # the whole module, after the concatenation
    "sevis.networks.mobilenet.Separable": after("se"),  # after the pointwise convolution
    "sevis.networks.shufflenet.ShuffleUnit": after("se"),  # on the branch, before the merge
    "torchvision.models.resnet.BasicBlock": residual("bn2"),
    "torchvision.models.resnet.Bottleneck": residual("bn3", wide="conv3"),
    "torchvision.models.video.resnet.BasicBlock": residual("conv2"),  # a sequence that ends with a norm
    "torchvision.models.video.resnet.Bottleneck": residual("conv3", wide="conv3"),
    "torchvision.models.regnet.ResBottleneckBlock": residual("f", first="f", shortcut="proj"),
    "torchvision.models.googlenet.Inception": after(""),
    **{f"torchvision.models.inception.Inception{letter}": after("") for letter in "ABCDE"},
    "torchvision.models.video.s3d.SepInceptionBlock3D": after(""),
    "torchvision.models.mobilenetv2.InvertedResidual": after("conv"),
    "torchvision.models.shufflenetv2.InvertedResidual": after("branch2"),
    "torchvision.models.densenet._DenseLayer": after("conv2"),  # on the new maps, before the concatenation
    "timm.models.resnet.BasicBlock": residual("se"),
    "timm.models.resnet.Bottleneck": residual("se", wide="conv3"),
    "timm.models.regnet.Bottleneck": residual("conv3", shortcut=""),  # units of RegNet-Z that change the resolution have none
    **{f"timm.models.inception_resnet_v2.Block{side}": after("conv2d") for side in (35, 17, 8)},
    **{f"timm.models.inception_v3.Inception{letter}": after("") for letter in "ABCDE"},
    "timm.models._efficientnet_blocks.DepthwiseSeparableConv": after("bn2"),
    "timm.models._efficientnet_blocks.EdgeResidual": after("bn2"),
    "timm.models._efficientnet_blocks.InvertedResidual": after("bn3"),
    "timm.models._efficientnet_blocks.UniversalInvertedResidual": after("layer_scale"),
    "timm.models.densenet.DenseLayer": after("conv2"),
}
# By the class of a network that is one sequence: its path. A unit is a non-linearity behind a convolution, a stage ends at a max pool.
SEQUENCES: Mapping[str, str] = {
    "torchvision.models.vgg.VGG": "features",
    "timm.models.vgg.VGG": "features",
}
