"""Stand-ins for `pretrained/`, with a small network each."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

import sevis
from sevis.files import sha256
from sevis.weights.card import DEFAULT
from tests.helpers.networks import stir

SMALL = {"name": "se_resnet18", "num_classes": 3, "width": 0.125, "reduction": 4, "stem": "small"}


def write_small_shelf(folder: Path) -> None:
    """Writes the network `small`, of the architecture SMALL, in half precision as the shipped ones are."""
    torch.manual_seed(0)
    state = stir(sevis.build(**SMALL)).state_dict()
    save_file({key: value.half() if value.is_floating_point() else value for key, value in state.items()}, folder / "small.safetensors")
    write_small_index(folder)


def write_small_index(folder: Path, **changes: Any) -> None:
    """Writes the entry of `small`; None takes a field out."""
    entry = {
        "architecture": SMALL,
        "classes": ["ant", "bee", "cat"],
        "preprocessing": {"resize": 36, "crop": 32, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
        "sha256": sha256(folder / "small.safetensors"),
    }
    entry |= changes
    (folder / "index.json").write_text(json.dumps({"small": {key: value for key, value in entry.items() if value is not None}}))


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
