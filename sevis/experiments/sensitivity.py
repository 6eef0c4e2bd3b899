"""How much a prediction moves when a block is opened or frozen, and when single channels of a block are turned off.

Every row of a batch is the same image with another change of the scales, so that one forward pass answers many questions.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sevis.errors import SevisError
from sevis.experiments.interventions import Gates

if TYPE_CHECKING:
    from torch import Tensor

    from sevis.blocks.changes import Change, Value
    from sevis.weights.loading import ReadyModel

    Changes = Callable[[slice], list[dict[str, Change]]]

Array = NDArray[np.float32]
Picture = Image.Image | NDArray[np.float32]
Way = Literal["opened", "frozen"]
Say = Callable[[str], None]
BATCH_PIXELS = 8 * 224 * 224  # of a batch, unless told otherwise: larger ones are no quicker on a CPU


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What a network makes of one image when one block at a time is opened (s = 1), and when it is frozen at given scales.

    Attributes:
        model, weights: the network's name and the SHA-256 of its weights.
        classes: the names of the K outputs.
        sites: the B blocks.
        plain: the logits of the unchanged network, shape (K,).
        opened: the logits with block b open, shape (B, K).
        frozen: the same with block b frozen; None where no scales were given.
        done: how much of it is measured, in 0..1; what is not yet is NaN.
        target: the class that is asked about unless another one is named: by default the plain top-1.
    """

    model: str
    weights: str
    classes: tuple[str, ...]
    sites: tuple[str, ...]
    plain: Array
    opened: Array
    frozen: Array | None
    done: float
    target: int

    def logits(self, way: Way) -> Array:
        """Return the logits with one block changed, shape (B, K). Raises SevisError for `frozen` where no scales were given."""
        found = self.opened if way == "opened" else self.frozen
        if found is None:
            raise SevisError("the blocks were not frozen: give measure_sensitivity the scales to freeze them at (static)")
        return found

    def probability(self, target: int | None = None) -> float:
        """Return the probability of a class in the unchanged network, in 0..1."""
        return float(softmax(self.plain)[self.target if target is None else target])

    def change(self, way: Way, target: int | None = None) -> Array:
        """Return by how much the probability of a class changes, block by block, shape (B,), in -1..1."""
        index = self.target if target is None else target
        return np.asarray((softmax(self.logits(way)) - softmax(self.plain))[:, index])

    def logit_change(self, way: Way, target: int | None = None) -> Array:
        """Return by how much the logit of a class changes, block by block, shape (B,)."""
        index = self.target if target is None else target
        return np.asarray((self.logits(way) - self.plain)[:, index])

    def top1(self, way: Way) -> NDArray[np.intp]:
        """Return the most probable class with one block changed, shape (B,)."""
        return np.asarray(self.logits(way).argmax(axis=1))


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """What a network makes of one image when single channels of a block are turned off (s = 0): those that were tried so far.

    Attributes:
        model, weights, classes, target: as of `Sensitivity`.
        site: the block.
        plain: the logits of the unchanged network, shape (K,).
        off: the logits without channel c, shape (D, K): for the first D channels.
        channels: how many the block has; with D = C all are done.
    """

    model: str
    weights: str
    classes: tuple[str, ...]
    site: str
    plain: Array
    off: Array
    channels: int
    target: int

    @property
    def done(self) -> float:
        """Return how much of it is measured, in 0..1."""
        return len(self.off) / self.channels

    def change(self, target: int | None = None) -> Array:
        """Return by how much the probability of a class changes without each channel, shape (D,), in -1..1."""
        index = self.target if target is None else target
        return np.asarray((softmax(self.off) - softmax(self.plain))[:, index])


def measure_sensitivity(
    ready: "ReadyModel",
    picture: Picture,
    *,
    target: int | None = None,
    static: Gates | None = None,
    batch_size: int | None = None,
    say: Say | None = None,
) -> Sensitivity:
    """Open every block in turn, and freeze it: 1 + 2 B rows of a batch, or 1 + B without `static`.

    Args:
        ready: the network, from `sevis.load` or `sevis.wrap`, in evaluation mode.
        picture: an RGB image, or the network's input for one, float32 (3, S, S); of a wrapped network, any input without the dimension of
            the batch, such as a sequence (C, L) or a volume (C, D, H, W).
        target: the class that is asked about; None: the plain top-1.
        static: for every block the scales that it is frozen at, shape (C,), such as `ClassStatistics.gates()`.
        batch_size: rows of a forward pass; None: as many as make about BATCH_PIXELS.
        say: told in a sentence when memory ran out and the batch was made smaller.

    Raises:
        SevisError: for a model without SE blocks or in training mode, a class that it does not have, or scales that are missing or do not
            fit.
    """
    *_, complete = scan_blocks(ready, picture, target=target, static=static, batch_size=batch_size, say=say)
    return complete


def scan_blocks(
    ready: "ReadyModel",
    picture: Picture,
    *,
    target: int | None = None,
    static: Gates | None = None,
    batch_size: int | None = None,
    say: Say | None = None,
) -> Iterator[Sensitivity]:
    """Take `measure_sensitivity` step by step: yield what is known after each batch; the last one is complete."""
    from sevis.blocks.changes import Change
    from sevis.blocks.sites import require_sites
    from sevis.experiments.ready import require_ready

    require_ready(ready)
    sites = [site.name for site in require_sites(ready.model)]
    if static is not None and (missing := [site for site in sites if site not in static]):
        raise SevisError(f"expected the scales to freeze every block at, got none for {', '.join(missing)}")
    ways = 1 if static is None else 2
    values: list[tuple[str, Value]] = []
    for site in sites:
        values += [(site, 1.0)] + ([(site, static[site])] if static is not None else [])

    def changes(part: slice) -> list[dict[str, Change]]:
        inside = range(max(part.start, 1), part.stop)
        return [{values[row - 1][0]: Change(values[row - 1][1], images=(row - part.start,))} for row in inside]

    parts = _run(ready, _input(ready, picture), 1 + len(values), changes, batch_size=batch_size, say=say)
    for done, logits in _grow(parts, 1 + len(values)):
        changed = logits[1:].reshape(len(sites), ways, -1)
        yield Sensitivity(
            model=ready.card.name,
            weights=ready.card.sha256,
            classes=ready.classes,
            sites=tuple(sites),
            plain=logits[0],
            opened=changed[:, 0],
            frozen=changed[:, 1] if ways == 2 else None,
            done=done / (1 + len(values)),
            target=_target(target, logits[0]),
        )


def ablate_channels(
    ready: "ReadyModel", picture: Picture, site: str, *, target: int | None = None, batch_size: int | None = None, say: Say | None = None
) -> Iterator[Ablation]:
    """Turn off each channel of a block in turn (s = 0), and yield what is known after each batch; the last one is complete.

    What comes before the block is computed once a batch where the network bears that (`Change.spread`), which two rows are tried on.

    Args:
        ready, picture, target, batch_size, say: as of `measure_sensitivity`.
        site: the block.

    Raises:
        SevisError: for a block or a class that the model does not have.
    """
    from sevis.blocks.changes import Change
    from sevis.blocks.sites import require_sites, site_named
    from sevis.experiments.ready import require_ready

    require_ready(ready)
    blocks = {found.name: found for found in require_sites(ready.model)}
    block, image = site_named(blocks, site), _input(ready, picture)

    def changes(part: slice, *, spread: bool = False) -> list[dict[str, Change]]:
        inside = np.arange(max(part.start, 1), part.stop)
        factors = np.ones((part.stop - part.start, block.channels), np.float32)
        factors[inside - part.start, inside - 1] = 0  # s times one is s, bit for bit
        return [{site: Change(factors, multiply=True, spread=spread)}]

    if spread := _spreads(ready, image, changes):  # the later the block, the less there is to compute for a row
        batch_size = round((batch_size or _batch_size(image)) / (1 - (list(blocks).index(site) + 0.5) / len(blocks)))
    parts = _run(ready, image, 1 + block.channels, partial(changes, spread=spread), batch_size=batch_size, say=say, spread=spread)
    for done, logits in _grow(parts, 1 + block.channels):
        yield Ablation(
            model=ready.card.name,
            weights=ready.card.sha256,
            classes=ready.classes,
            site=site,
            plain=logits[0],
            off=logits[1:done],
            channels=block.channels,
            target=_target(target, logits[0]),
        )


def _grow(parts: Iterator[Array], count: int) -> Iterator[tuple[int, Array]]:
    """Yield how many rows are known after each part, and all `count` rows, of which the others are NaN; nothing yielded changes later."""
    known: list[Array] = []
    for part in parts:
        known.append(part)
        done = sum(map(len, known))
        yield done, np.concatenate([*known, np.full((count - done, part.shape[1]), np.nan, np.float32)])


def _run(
    ready: "ReadyModel",
    image: "Tensor",
    count: int,
    changes: "Changes",
    *,
    batch_size: int | None,
    say: Say | None,
    spread: bool = False,
) -> Iterator[Array]:
    """Yield the logits of `count` copies of an image, changed by what `changes` gives for a slice of them, in parts of shape (n, K)."""
    from sevis.experiments.batches import run_batches

    def work(on: "ReadyModel", part: slice) -> Array:
        return _forward(on, image.expand(1 if spread else part.stop - part.start, *image.shape), changes(part))

    yield from run_batches(ready, count, work, batch_size=batch_size or _batch_size(image), say=say)


def _batch_size(image: "Tensor") -> int:
    return max(1, BATCH_PIXELS // image[0].numel())


def _spreads(ready: "ReadyModel", image: "Tensor", changes: "Callable[..., list[dict[str, Change]]]") -> bool:
    """Return whether a network gives the same for copies made at the block as for copies of the image: one that mixes images does not."""
    rows = slice(0, 3)
    try:
        spread = _forward(ready, image[None], changes(rows, spread=True))
        copies = _forward(ready, image.expand(3, *image.shape), changes(rows))
    except RuntimeError:  # of shapes that do not fit, or of memory
        return False
    return spread.shape == copies.shape and np.allclose(spread, copies, rtol=1e-3, atol=1e-3)


def _forward(ready: "ReadyModel", batch: "Tensor", changes: "list[dict[str, Change]]") -> Array:
    import torch

    from sevis.blocks.hooks import override
    from sevis.experiments.ready import float_type

    with ExitStack() as stack, torch.inference_mode():
        for change in changes:
            stack.enter_context(override(ready.model, change))
        logits: Array = ready.logits(batch.to(ready.device, float_type(ready.model))).float().cpu().numpy()
    return logits


def _input(ready: "ReadyModel", picture: Picture) -> "Tensor":
    import torch

    from sevis.data.preprocessing import Preprocessing
    from sevis.experiments.ready import as_rgb, require_images

    values = require_images(ready)(as_rgb(picture)) if isinstance(picture, Image.Image) else np.asarray(picture, np.float32)
    if isinstance(ready.preprocess, Preprocessing) and values.ndim != 3:
        raise SevisError(f"expected one image or its input of shape (3, S, S), got an array of shape {values.shape}")
    if values.ndim < 2:
        raise SevisError(f"expected the input of one image, sequence or volume, got an array of shape {values.shape}")
    return torch.from_numpy(np.ascontiguousarray(values))


def _target(target: int | None, plain: Array) -> int:
    if target is None:
        return int(plain.argmax())
    if not 0 <= target < len(plain):
        raise SevisError(f"expected a class from 0 to {len(plain) - 1}, got {target}")
    return target


def softmax(logits: Array) -> Array:
    """Return probabilities for logits of shape (..., K), computed in float64."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), np.float32)
