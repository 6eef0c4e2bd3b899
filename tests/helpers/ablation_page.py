"""Made-up cards of the two networks that the page Ablations compares, and a few digits to train on."""

from dataclasses import replace

from sevis.pages.ablations.live_data import TrialData, open_digits
from sevis.pages.ablations.twins import GATED, PLAIN

CURVE = [{"epoch": 1, "size": 64, "train_loss": 3.0, "val_loss": 2.9, "top1": 0.3, "top5": 0.6, "seconds": 60.0}]
TWIN = {
    "name": PLAIN,
    "weights": "0" * 64,
    "top1": 0.57,
    "parameters": 1000,
    "multiply_adds": 5000,
    "own": {"top1": 0.5833, "parameters": 1100, "multiply_adds": 5010},
    "top1_difference": 0.0133,
    "interval": [0.004, 0.0226],
    "images": 10000,
    "seeds": 1,
    "how": "one run of each, paired",
}
BLOCKS = {"SE_2_1": {"mean": 0.5, "spread": 0.2, "std_over_images": 0.21, "top1_frozen": 0.57}}
GATES = {"blocks": BLOCKS, "std_over_images": 0.21, "top1": 0.5833, "top1_frozen": 0.52, "top1_open": 0.1}


def card(name, top1, **more):
    return {
        "architecture": {"name": name, "num_classes": 5, "width": 0.125, "reduction": 4},
        "classes": list("abcde"),
        "preprocessing": {"resize": 32, "crop": 32},
        "sha256": "0" * 64,
        "recipe": {"seed": 0},
        "epochs": 30,
        "curve": CURVE,
        "seconds": 7200.0,
        "device": "cpu",
        "date": "2026-11-26",
        "top1": top1,
        "top5": top1 + 0.2,
        **more,
    }


INDEX = {GATED: card("se_resnet18", 0.5833, twin=TWIN, gates=GATES), PLAIN: card("resnet18", 0.57)}


def open_few():
    training, validation = open_digits()
    return training.first(4), validation.first(2)


FEW = TrialData("a few digits", size=32, epochs=2, time="a moment", open=open_few)
LONG = replace(FEW, epochs=1000)
