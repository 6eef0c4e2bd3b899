"""Class statistics over made-up images, and files of them that are changed by hand."""

from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from sevis.class_statistics.class_statistics import ClassStatistics

CHANNELS = {"SE_2_1": 6, "SE_3_1": 9}
CLASSES = ("goldfish", "lion", "pizza", "never seen")
METADATA = {"model": "a", "images": 60, "seed": 3}


def batch(seed: int, count: int = 30, channels: dict[str, int] = CHANNELS) -> dict[str, Any]:
    """What `update` takes."""
    rng = np.random.default_rng(seed)
    values = {
        site: {"squeeze": rng.normal(3, 9, (count, width)).astype(np.float32), "scale": rng.random((count, width), np.float32)}
        for site, width in channels.items()
    }
    return {"labels": rng.integers(0, 3, count), "values": values, "ids": seed * 1000 + np.arange(count)}


def change(path: Path, name: str, place: Any, value: Any) -> None:
    """Writes one value of a saved file anew."""
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    arrays = load_file(path)
    arrays[name][place] = value
    save_file(arrays, path, metadata=metadata)


def detailed(*seeds: int) -> ClassStatistics:
    statistics = ClassStatistics(CHANNELS, CLASSES, METADATA, sample=4)
    for seed in seeds:
        statistics.update(**batch(seed))
    return statistics
