"""A stand-in for `pretrained/`: a small network under the default's name."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

import sevis
from sevis.files import sha256
from sevis.weights.card import DEFAULT
from tests.helpers.networks import stir


def write_shelf(folder: Path, classes: Sequence[str], wnids: Sequence[str] | None = None) -> tuple[nn.Module, str]:
    """Writes the weights and index.json of an SE-ResNet-18 for 32 pixels; returns the network and the hash of its weights."""
    architecture = {"name": "se_resnet18", "num_classes": len(classes), "width": 0.25, "reduction": 4}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = stir(sevis.build(**architecture))
    weights = folder / f"{DEFAULT}.safetensors"
    save_file(model.state_dict(), weights)
    entry = {
        "architecture": architecture,
        "classes": list(classes),
        "preprocessing": {"resize": 32, "crop": 32},
        "sha256": sha256(weights),
    }
    (folder / "index.json").write_text(json.dumps({DEFAULT: entry | ({"wnids": list(wnids)} if wnids else {})}))
    return model, entry["sha256"]
