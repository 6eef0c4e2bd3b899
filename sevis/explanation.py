"""One image through one network: prediction, squeezes, excitations and maps, as plain arrays with their provenance."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sevis.errors import SevisError
from sevis.files import replace_file

if TYPE_CHECKING:
    from sevis.weights import ReadyModel

Array = NDArray[np.float32]
FORMAT = "sevis-explanation-1"
PARTS = ("squeeze", "hidden", "logits", "scale", "maps")


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a network saw in one image and how it gated its channels.

    Attributes:
        model: the name of the network.
        weights: the SHA-256 of its weights.
        classes: the names of the K outputs.
        probabilities: softmax of the logits, shape (K,).
        view: the part of the image that the network saw, uint8, shape (S, S, 3).
        squeeze: z by site name, shape (C,), eq. (2).
        hidden: relu(W1 z) by site name, shape (C/r,).
        logits: the gate's input by site name, shape (C,).
        scale: s by site name, shape (C,), eq. (3).
        maps: u, shape (C, H, W), for the blocks that were asked for; s * u is the block's output.
        seconds: the time of the forward pass.
        device: where it ran.
    """

    model: str
    weights: str
    classes: tuple[str, ...]
    probabilities: Array
    view: NDArray[np.uint8]
    squeeze: Mapping[str, Array]
    hidden: Mapping[str, Array]
    logits: Mapping[str, Array]
    scale: Mapping[str, Array]
    maps: Mapping[str, Array]
    seconds: float
    device: str

    @property
    def sites(self) -> tuple[str, ...]:
        """The names of the blocks, in order."""
        return tuple(self.scale)

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The most probable classes and their probabilities, highest first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.classes[index], float(self.probabilities[index])) for index in order]

    def save(self, path: str | Path) -> None:
        """Writes a safetensors file, as a whole or not at all."""
        arrays: dict[str, NDArray[Any]] = {"probabilities": self.probabilities, "view": np.ascontiguousarray(self.view)}
        for part in PARTS:
            arrays |= {f"{part}.{site}": np.ascontiguousarray(array) for site, array in getattr(self, part).items()}
        header = {
            "format": FORMAT,
            "sites": self.sites,
            **{name: getattr(self, name) for name in ("model", "weights", "classes", "seconds", "device")},
        }
        replace_file(Path(path), save(arrays, metadata={"sevis": json.dumps(header)}))

    @classmethod
    def load(cls, path: str | Path) -> "Explanation":
        """Reads what `save` wrote. Raises SevisError for a file that is missing, damaged, or of another format."""
        try:
            with safe_open(path, framework="numpy") as file:
                header = json.loads((file.metadata() or {}).get("sevis", "{}"))
                if header.pop("format", None) != FORMAT:
                    raise SevisError(f"{path} holds no explanation of this version ({FORMAT})")
                sites = header.pop("sites")
                names = set(file.keys())
                parts = {
                    part: {site: file.get_tensor(f"{part}.{site}") for site in sites if f"{part}.{site}" in names} for part in PARTS
                }
                header["classes"] = tuple(header["classes"])
                return cls(probabilities=file.get_tensor("probabilities"), view=file.get_tensor("view"), **parts, **header)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise (
                error if isinstance(error, SevisError) else SevisError(f"{path} cannot be read ({type(error).__name__})")
            ) from None


def explain(ready: "ReadyModel", image: Image.Image, *, maps: Sequence[str] = ()) -> Explanation:
    """Runs one RGB image through a network and keeps what its SE blocks did.

    Args:
        ready: the network, from `sevis.load`.
        image: as `sevis.images.read_image` gives it.
        maps: the names of the blocks whose maps u are kept.

    Raises:
        SevisError: for a block that the network does not have.
    """
    import torch

    from sevis.hooks import capture

    batch = torch.from_numpy(ready.preprocess(image))[None].to(ready.device)
    with capture(ready.model, maps=maps) as record, torch.inference_mode():
        started = time.perf_counter()
        probabilities = ready.model(batch).float().softmax(dim=1)[0].cpu()
        seconds = time.perf_counter() - started
    blocks = dict(record.items())
    parts = {part: {site: getattr(block, part)[0].numpy() for site, block in blocks.items()} for part in PARTS[:4]}
    return Explanation(
        model=ready.card.name,
        weights=ready.card["sha256"],
        classes=ready.classes,
        probabilities=probabilities.numpy(),
        view=ready.preprocess.view(image),
        maps={site: block.maps[0].numpy() for site, block in blocks.items() if block.maps is not None},
        seconds=seconds,
        device=str(ready.device),
        **parts,
    )
