"""What the SE blocks of a model did in a forward pass."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import get_ident

import torch
from torch import Tensor

from sevis.blocks.sites import Known, Site
from sevis.errors import SevisError

PARTS = ("squeeze", "hidden", "logits", "scale")


@dataclass(frozen=True)
class Excitation:
    """What one SE block did in a forward pass: detached, on the CPU, float32 (float64 where the model is).

    scale * maps is what the block gives, whatever its form: of a block that gives u + s u, the scale is 1 + s. Of a block without a squeeze
    (NoSqueeze), whose every place has scales of its own, all but the maps are means over the places.

    Attributes:
        squeeze: z, shape (N, C), eq. (2).
        hidden: relu(W1 z), shape (N, C/r).
        logits: W2 relu(W1 z), shape (N, C): the gate's input.
        scale: s, shape (N, C), eq. (3): in 0..1 for a sigmoid gate; the factor by which each channel is multiplied.
        maps: u, the maps that are scaled, shape (N, C, H, W), or (N, C, L) or (N, C, D, H, W), where `capture` was asked for them.
        run: which run of the block this is, from 1, since the model was last called: a block that the network uses several times in a
            forward pass runs again, and its last run is the one that is kept.
    """

    squeeze: Tensor
    hidden: Tensor
    logits: Tensor
    scale: Tensor
    maps: Tensor | None
    run: int


@dataclass(eq=False)
class _ForwardPass:
    """What one forward pass left so far.

    Attributes:
        kept: the parts of each block.
        runs: how often each block ran.
        told: what blocks told and nobody has asked for yet, in order: the block, the part, and the value.
        ended: whether the model's forward pass came to its end.
        fetched: whether all that is kept is on the CPU.
    """

    kept: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    told: list[tuple[str, str, Tensor]] = field(default_factory=list)
    ended: bool = False
    fetched: bool = False


class Record(Mapping[str, Excitation]):
    """What the most recent forward pass inside a `capture` left, by site name."""

    def __init__(self, known: Known, maps: frozenset[str]) -> None:
        self._known = known
        self.maps = maps
        self._passes: dict[int, _ForwardPass] = {}  # by thread, for several may share a record
        self._latest = _ForwardPass()

    @property
    def sites(self) -> tuple[Site, ...]:
        """The SE blocks of the model, as they are known by now."""
        return self._known.sites

    def __getitem__(self, name: str) -> Excitation:
        if name not in self._known.by_name:
            reason = self._known.refusal(name)
            raise KeyError(f"no SE block is called {name!r}{reason and f' ({reason})'}: the model has {', '.join(self)}")
        self._sort(self._latest)
        kept = self._latest.kept.get(name, {})
        if "scale" not in kept:
            raise KeyError(f"{name} has not run: {self._why_not_run()}")
        if name in self.maps and "maps" not in kept:
            raise KeyError(f"the maps of {name} were not recorded: call the model itself, not a part of it")
        self._fetch()
        squeeze, hidden, logits, scale = (kept[part] for part in PARTS)
        maps = _readable(kept["maps"]).cpu() if "maps" in kept else None
        return Excitation(squeeze, hidden, logits, scale, maps, self._latest.runs[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._known.by_name)

    def __len__(self) -> int:
        return len(self._known.by_name)

    def _why_not_run(self) -> str:
        if self._latest.ended:
            return "the forward pass of the model came to its end without it; either the model never calls it, or it runs compiled"
        return "call the model, not compiled, inside the `with sevis.capture(model)` block, in the same thread (or see sevis.share)"

    def forget(self) -> None:
        """Begin a new forward pass."""
        self._begin_pass()

    def finish(self) -> None:
        """End the forward pass."""
        (self._passes.get(get_ident()) or self._begin_pass()).ended = True

    def begin(self, site: str, u: Tensor) -> None:
        """Begin a run of a block, whose input is u, where the maps are wanted."""
        self.keep(site, "begin", u)
        if site in self.maps:
            self.keep(site, "maps", u)

    def keep(self, site: str, part: str, value: Tensor, copy: bool = True) -> None:
        """Keep a part of a block's run; a squeeze begins it.

        Args:
            site: the block's name.
            part: one of PARTS, or `maps`.
            value: what is kept.
            copy: whether it is copied, because many networks overwrite what they computed (in-place activations and sums).

        Raises:
            SevisError: for a squeeze that is not one number per channel, or the second of one run.
        """
        own = self._passes.get(get_ident()) or self._begin_pass()
        if value.requires_grad:
            value = value.detach()
        own.told.append((site, part, value.clone() if copy and part != "begin" else value))
        if self._known.evidence is None:  # then nothing is certain yet, and what is wrong is told at once
            self._sort(own)

    def _sort(self, own: _ForwardPass) -> None:
        """Sort what blocks told into their runs: not before it is asked for, which spares the forward pass the time."""
        told, own.told = own.told, []
        for site, part, value in told:
            own.fetched = False
            if part == "begin":
                own.kept[site] = {}
                continue
            by_place = value.ndim > 2 and part != "maps" and self._known.by_name[site].spatial
            kept = value.flatten(2).mean(2) if by_place else value
            if part == "squeeze":
                self._begin_run(own, site, kept)
            own.kept.setdefault(site, {})[part] = kept

    def _begin_pass(self) -> _ForwardPass:
        """Begin a forward pass of this thread, where only a part of the model was called."""
        self._latest = self._passes[get_ident()] = _ForwardPass()
        return self._latest

    def _begin_run(self, own: _ForwardPass, site: str, squeeze: Tensor) -> None:
        channels, kept = self._known.by_name[site].channels, own.kept.setdefault(site, {})
        if squeeze.numel() != len(squeeze) * channels:
            raise SevisError(
                f"{site} is not the paper's block: expected a squeeze of shape (N, {channels}), one number per channel, "
                f"got {tuple(squeeze.shape)}"
            )
        if "squeeze" in kept and "scale" not in kept:
            raise SevisError(f"{site} is not the paper's block: it squeezes twice and projects both, as CBAM does")
        if "scale" in kept:  # of the run before, where nothing told of the block's beginning
            kept.clear()
        own.runs[site] = own.runs.get(site, 0) + 1

    def _fetch(self) -> None:
        """Bring all but the maps to the CPU in shape (N, C); an accelerator sends them in one piece."""
        latest = self._latest
        if latest.fetched:
            return
        parts = [(kept, part) for kept in latest.kept.values() for part in PARTS if part in kept]
        values = [_readable(value).flatten(1) if (value := kept[part]).ndim > 2 else _readable(value) for kept, part in parts]
        if not values[0].is_cpu:
            pieces = torch.split(torch.cat([value.flatten() for value in values]).cpu(), [value.numel() for value in values])
            values = [piece.view(value.shape) for piece, value in zip(pieces, values, strict=True)]
        for (kept, part), value in zip(parts, values, strict=True):
            kept[part] = value
        latest.fetched = True


def _readable(value: Tensor) -> Tensor:
    """Return the value in a precision that NumPy has."""
    return value if value.dtype in (torch.float32, torch.float64) else value.float()
