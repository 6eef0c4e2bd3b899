"""Changes of scales: which blocks, channels and images they concern, and what becomes of the scale s of eq. (3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sevis.blocks.sites import Site
from sevis.errors import SevisError
from sevis.paper import address_of, by_stage

Value = float | ArrayLike | Tensor


@dataclass(frozen=True)
class Change:
    """A change of the scales of a block, or of some of its channels, for all images of a batch or some of them.

    Attributes:
        value: a number, or an array of shape (C,) or (N, C); with `channels`, C is their number; with `images`, N is theirs.
        multiply: whether the scales are multiplied by the value; else they are replaced by it.
        channels: which channels, from 0; None: all.
        images: which images of the batch, from 0; None: all.
        spread: a batch of one image becomes N copies of it, one for each row of the value, from this block on; most networks bear that,
            and what comes before the block is then computed once.
    """

    value: Value
    multiply: bool = False
    channels: Sequence[int] | None = None
    images: Sequence[int] | None = None
    spread: bool = False


@dataclass(frozen=True)
class SiteChange:
    """A change of one block, checked and ready to be applied."""

    site: str
    value: Tensor
    multiply: bool
    channels: Tensor | None
    images: Tensor | None
    spread: bool

    def apply(self, scale: Tensor) -> Tensor:
        """Return the changed copy of s, shape (N, C, ...). Raises SevisError when the batch does not have the images of the change."""
        if self.spread and len(scale) == 1 and self.value.ndim == 2:
            scale = scale.expand(len(self.value), *scale.shape[1:])
        count = len(scale) if self.images is None else len(self.images)
        last = -1 if self.images is None or not count else int(self.images.max())
        if last >= len(scale):
            raise SevisError(f"expected a batch with an image {last} at {self.site}, got images 0 to {len(scale) - 1}")
        if self.value.ndim == 2 and len(self.value) not in (1, count):
            raise SevisError(f"expected scales for {count} images at {self.site}, got an array for {len(self.value)}")
        value = self.value.to(scale.dtype)
        _require_finite(value, self.site)  # half precision ends at 65504
        value = value.to(scale.device)
        if value.ndim:
            value = value.reshape(*value.shape, *(1,) * (scale.ndim - 2))
        changed = scale.clone()
        if self.channels is None and self.images is None:
            return changed.mul_(value) if self.multiply else changed.copy_(value.expand_as(changed))
        rows = torch.arange(len(scale)) if self.images is None else self.images
        columns = torch.arange(scale.shape[1]) if self.channels is None else self.channels
        chosen = (rows[:, None].to(scale.device), columns.to(scale.device))
        changed[chosen] = changed[chosen] * value if self.multiply else value.expand_as(changed[chosen])
        return changed


def as_they_are(changes: Mapping[str, Value | Change]) -> dict[str, Change]:
    """Return copies of changes, so that what the caller does with their values later changes nothing."""
    found = {}
    for address, given in changes.items():
        change = given if isinstance(given, Change) else Change(given)
        found[address] = replace(change, value=_tensor(change.value, address))
    return found


def resolve(changes: Mapping[str, Value | Change], sites: Sequence[Site]) -> dict[str, list[SiteChange]]:
    """Return the changes of each block, in their order.

    Args:
        changes: by address: `SE` is every block, `SE_5` those of a stage, `SE_5_2` a single one.
        sites: of the model.

    Raises:
        SevisError: for an address that names no block, or a value that is not finite or does not fit a block that it is for.
    """
    found: dict[str, list[SiteChange]] = {}
    for address, given in changes.items():
        change = given if isinstance(given, Change) else Change(given)
        for site in addressed(address, sites):
            found.setdefault(site.name, []).append(_check(change, site))
    return found


def addressed(address: str, sites: Sequence[Site]) -> list[Site]:
    """Return the blocks that an address stands for. Raises SevisError where there is none."""
    found = [site for site in sites if site.name == address] or [site for site in sites if site.name.startswith(f"{address}_")]
    if not found:
        stages = map(address_of, by_stage(site.name for site in sites))
        names = ", ".join(site.name for site in sites)
        raise SevisError(f"no SE block is called {address!r}: the model has {names}, and as stages {', '.join(stages)}")
    return found


def _check(change: Change, site: Site) -> SiteChange:
    channels = _indices(change.channels, f"channels of {site.name}", limit=site.channels)
    images = _indices(change.images, f"images at {site.name}", limit=None)
    tensor = _tensor(change.value, site.name)
    width = site.channels if channels is None else len(channels)
    if tensor.ndim > 2 or (tensor.ndim and tensor.shape[-1] != width):
        raise SevisError(
            f"expected a number or an array of shape ({width},) or (N, {width}) for {site.name}, got shape {tuple(tensor.shape)}"
        )
    _require_finite(tensor, site.name)
    return SiteChange(site.name, tensor, change.multiply, channels, images, change.spread)


def _tensor(value: Value, site: str) -> Tensor:
    """Return a copy on the CPU, so that what the caller does with the value later changes nothing."""
    if isinstance(value, Tensor) and not value.is_complex() and value.layout == torch.strided:
        return value.detach().cpu().clone()
    array = None if isinstance(value, Tensor) else _array(value)
    if array is None or array.dtype.kind not in "biuf":
        raise SevisError(f"expected a number or an array for {site}, got {value!r:.120}")
    return torch.from_numpy(array.astype(np.float64))


def _array(value: object) -> NDArray[Any] | None:
    try:
        return np.array(value)
    except ValueError:  # rows of different lengths
        return None


def _require_finite(value: Tensor, site: str) -> None:
    if not value.isfinite().all():
        raise SevisError(f"expected finite scales for {site}, got {value[~value.isfinite()].flatten()[0].item()}, as {value.dtype}")


def _indices(given: Sequence[int] | None, what: str, *, limit: int | None) -> Tensor | None:
    """Return numbers of channels or images as a tensor, checked: none of them twice, so that a change counts once."""
    if given is None:
        return None
    span = f"from 0{'' if limit is None else f' to {limit - 1}'}"
    try:
        indices = [index(number) for number in given if not isinstance(number, bool | str)]
        if len(indices) < len(given):
            raise TypeError
    except TypeError:
        raise SevisError(f"expected {what} as a list of whole numbers {span}, got {given!r:.120}") from None
    wrong = [number for number in indices if number < 0 or (limit is not None and number >= limit)]
    if wrong:
        raise SevisError(f"expected {what} {span}, got {wrong[0]}")
    if len(set(indices)) < len(indices):
        raise SevisError(f"expected different {what}, got one of them twice")
    return torch.tensor(indices, dtype=torch.long)
