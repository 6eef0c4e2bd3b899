"""One image through one network: prediction, squeezes, excitations and maps, as plain arrays with their provenance."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sevis.analysis.dead_gates import dead_cause_in_one, describe_death
from sevis.errors import SevisError
from sevis.files import replace_file

if TYPE_CHECKING:
    from sevis.weights.loading import ReadyModel

Array = NDArray[np.float32]
FORMAT = "sevis-explanation-1"
PARTS = ("squeeze", "hidden", "logits", "scale")
PROVENANCE = ("model", "weights", "seconds", "device")


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a network saw in one image and how it gated its channels.

    Attributes:
        model: the name of the network.
        weights: the SHA-256 of its weights.
        classes: the names of the K outputs.
        probabilities: softmax of the logits, shape (K,).
        view: the part of the image that the network saw, uint8, shape (H, W, 3); a square unless `sevis.wrap` was given another
            preprocessing.
        squeeze: z by site name, shape (C,), eq. (2).
        hidden: relu(W1 z) by site name, shape (C/r,).
        logits: the gate's input by site name, shape (C,).
        scale: s by site name, shape (C,), eq. (3).
        maps: u, shape (C, H, W), or (C, L) or (C, D, H, W), for the blocks that were asked for; s * u is the block's output.
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
        """Return the names of the blocks, in order."""
        return tuple(self.scale)

    @property
    def dead(self) -> dict[str, str]:
        """Return what is wrong with the blocks whose scales do not answer to the image, as far as one image tells: a clause by block."""
        found = {site: dead_cause_in_one(*(getattr(self, part)[site] for part in PARTS)) for site in self.sites}
        return {site: describe_death(cause, self.scale[site]) for site, cause in found.items() if cause}

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """Return the most probable classes and their probabilities, highest first."""
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.classes[index], float(self.probabilities[index])) for index in order]

    def as_json(self) -> dict[str, Any]:
        """Return everything but the maps and the image, as JSON's own types."""
        blocks = {site: {part: getattr(self, part)[site].tolist() for part in PARTS} for site in self.sites}
        top = [{"class": name, "probability": probability} for name, probability in self.top()]
        provenance = {name: getattr(self, name) for name in PROVENANCE}
        return {**provenance, "top": top, "dead": self.dead, "blocks": blocks}

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, as a whole or not at all."""
        arrays: dict[str, NDArray[Any]] = {"probabilities": self.probabilities, "view": np.ascontiguousarray(self.view)}
        for part in (*PARTS, "maps"):
            arrays |= {f"{part}.{site}": np.ascontiguousarray(array) for site, array in getattr(self, part).items()}
        header = {"format": FORMAT, **{name: getattr(self, name) for name in ("sites", "classes", *PROVENANCE)}}
        replace_file(Path(path), save(arrays, metadata={"sevis": json.dumps(header)}))

    @classmethod
    def load(cls, path: str | Path) -> "Explanation":
        """Read what `save` wrote. Raises SevisError for a file that is missing, damaged, or of another format."""
        try:
            with safe_open(path, framework="numpy") as file:
                header = json.loads((file.metadata() or {}).get("sevis", "{}"))
                if header.get("format") != FORMAT:
                    raise SevisError(f"{path} holds {header.get('format', 'no explanation')!r}, expected {FORMAT!r}")
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
            return cls._restore(header, arrays)
        except FileNotFoundError:
            raise SevisError(f"there is no explanation at {path}: restore it, or save one anew with Explanation.save") from None
        except (SafetensorError, OSError, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
            raise SevisError(f"{path} is damaged ({type(error).__name__}): restore it, or save it anew with Explanation.save") from None

    @classmethod
    def _restore(cls, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "Explanation":
        _expect(all(_strings(header[name]) for name in ("sites", "classes")), "sites and classes")
        parts: dict[str, Any] = {part: {site: arrays[f"{part}.{site}"] for site in header["sites"]} for part in PARTS}
        maps = {site: arrays[f"maps.{site}"] for site in header["sites"] if f"maps.{site}" in arrays}
        fields: dict[str, Any] = {name: header[name] for name in PROVENANCE} | {name: arrays[name] for name in ("probabilities", "view")}
        explanation = cls(classes=tuple(header["classes"]), maps=maps, **parts, **fields)
        explanation._check()
        return explanation

    def _check(self) -> None:
        """Raise ValueError for a field that is not what the class says."""
        _expect(all(isinstance(text, str) for text in (self.model, self.weights, self.device)), "model, weights and device")
        _expect(isinstance(self.seconds, float), "seconds")
        _expect(_fits(self.probabilities, len(self.classes)), "probabilities")
        _expect(self.view.dtype == np.uint8 and self.view.ndim == 3 and self.view.shape[2] == 3 and self.view.size > 0, "view")
        for site, scale in self.scale.items():
            channels = scale.size
            _expect(channels > 0 and all(_fits(part[site], channels) for part in (self.squeeze, self.logits, self.scale)), site)
            _expect(_fits(self.hidden[site], self.hidden[site].size), site)
            _expect(site not in self.maps or any(_fits(self.maps[site], channels, ndim=ndim) for ndim in (2, 3, 4)), site)


def _expect(condition: bool, field: str) -> None:
    if not condition:
        raise ValueError(field)


def _strings(values: Any) -> bool:
    """Return whether it is a list of one or more strings."""
    return isinstance(values, list) and bool(values) and all(isinstance(value, str) for value in values)


def _fits(array: NDArray[Any], length: int, *, ndim: int = 1) -> bool:
    """Return whether it holds floats in so many dimensions, and so many along the first."""
    return array.dtype.kind == "f" and array.ndim == ndim and len(array) == length


def explain(
    ready: "ReadyModel",
    image: Image.Image,
    *,
    maps: Sequence[str] = (),
    within: "Callable[[ReadyModel], AbstractContextManager[None]] | None" = None,
    say: Callable[[str], None] | None = None,
) -> Explanation:
    """Run one RGB image through a network and keep what its SE blocks did.

    Args:
        ready: the network, from `sevis.load` or `sevis.wrap`, in evaluation mode.
        image: as `sevis.data.image_formats.read_image` gives it.
        maps: the names of the blocks whose maps u are kept.
        within: opened around the forward pass, with the network that runs: such as `sevis.experiments.interventions.intervene`.
        say: told in a sentence when the image does not fit into an accelerator's memory, and runs on the CPU instead.

    Raises:
        SevisError: for a block that the network does not have, for outputs that are no finite numbers, for a network in training mode, and
            for one that was wrapped without preprocessing.
    """
    from sevis.experiments.batches import run_batches
    from sevis.experiments.ready import as_rgb, require_images

    seen = require_images(ready).see(as_rgb(image))

    def work(on: "ReadyModel", _: slice) -> Explanation:
        with within(on) if within else nullcontext():
            return _explain_view(on, *seen, maps)

    (explanation,) = run_batches(ready, 1, work, batch_size=1, say=say)
    return explanation


def _explain_view(ready: "ReadyModel", view: NDArray[np.uint8], values: Array, maps: Sequence[str]) -> Explanation:
    import torch

    from sevis.blocks.hooks import capture
    from sevis.experiments.ready import float_type

    batch = torch.from_numpy(values)[None].to(ready.device, float_type(ready.model))
    with capture(ready.model, maps=maps) as record, torch.inference_mode():
        started = time.perf_counter()
        probabilities = ready.logits(batch).float().softmax(dim=1)[0].cpu()
        seconds = time.perf_counter() - started
    if not probabilities.isfinite().all():
        raise SevisError("the outputs of the network are no longer finite numbers: use smaller values for the changed scales")
    blocks = dict(record.items())
    parts: dict[str, Any] = {part: {site: getattr(block, part)[0].numpy() for site, block in blocks.items()} for part in PARTS}
    return Explanation(
        model=ready.card.name,
        weights=ready.card.sha256,
        classes=ready.classes,
        probabilities=probabilities.numpy(),
        view=view,
        maps={site: block.maps[0].numpy() for site, block in blocks.items() if block.maps is not None},
        seconds=seconds,
        device=str(ready.device),
        **parts,
    )
