"""The record of one finished training run: what it was told, how it went, what came of it."""

from typing import TYPE_CHECKING, Annotated

import msgspec

from sevis.recipe import Recipe
from sevis.weights.card import HIGHEST, Aliveness, Curve, Fraction, Positive, TrainingData

if TYPE_CHECKING:
    from sevis.data.datasets import ImageDataset


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run.

    Attributes:
        recipe, data: what it was told, and what it was trained on.
        rows: of its log, one an epoch, as `sevis.training.training.train` returns them.
        top1, top5: of the final weights on the validation images, as fractions.
        gates: how alive those of the final weights are; None for a network without SE blocks.
        parameters: of the network.
        seconds: that the training took, without what was measured afterwards.
        device, torch, date: where, with what and when (an ISO date).
    """

    recipe: Recipe
    data: TrainingData
    rows: Curve
    top1: Fraction
    top5: Fraction
    gates: Aliveness | None
    parameters: Annotated[int, msgspec.Meta(ge=1, le=HIGHEST)]
    seconds: Positive
    device: str
    torch: str
    date: str


def describe_data(data: "tuple[ImageDataset, ImageDataset]") -> TrainingData:
    """Return what a record says of the training and the validation images."""
    training, validation = data
    return TrainingData(name=training.name, classes=training.wnids, train_images=len(training), val_images=len(validation))
