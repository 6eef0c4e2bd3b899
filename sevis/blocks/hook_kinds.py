"""What the hooks on the parts of a block do: keep what goes into them, and change the scales that come out of the gate."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sevis.blocks.contexts import act, following, overrides, records
from sevis.blocks.following import tensors_in
from sevis.blocks.sites import Known


class Hook:
    """A hook of sevis on a module. A copy of the module that takes its hooks along has one that does nothing."""

    __slots__ = ()
    of_sevis = True

    def __call__(self, module: nn.Module, args: tuple[Any, ...], *rest: Any) -> Any:
        raise NotImplementedError

    def __reduce__(self) -> tuple[type["Nothing"], tuple[()]]:
        return Nothing, ()


class Nothing:
    """What becomes of a hook in a copy that could not leave it out."""

    def __call__(self, *_: Any) -> None:
        return None


def given_to(args: tuple[Any, ...], rest: tuple[Any, ...]) -> Tensor | None:
    """Return the first tensor that a module was called with, perhaps by name."""
    return args[0] if args and isinstance(args[0], Tensor) else next(tensors_in((args, rest[:1])), None)


@dataclass(eq=False, slots=True)
class KeepHook(Hook):
    """Keeps what goes into a module as a part of a block's run; a copy of it where it may be overwritten."""

    known: Known
    site: str
    part: str
    copy: bool

    def __call__(self, module: nn.Module, args: tuple[Any, ...], *rest: Any) -> None:
        for entry in records.get():
            if entry.subject is self.known and (given := args[0] if args else given_to(args, rest)) is not None:
                entry.content.keep(self.site, self.part, given, self.copy)


@dataclass(eq=False, slots=True)
class BeginHook(Hook):
    """Keeps what goes into the module of a block as its maps."""

    known: Known
    site: str

    def __call__(self, module: nn.Module, args: tuple[Any, ...], *rest: Any) -> None:
        for entry in records.get():
            if entry.subject is self.known and (u := given_to(args, rest)) is not None:
                entry.content.begin(self.site, u)


@dataclass(eq=False, slots=True)
class GateHook(Hook):
    """Reads and changes the scales where they come out of the gate.

    Attributes:
        spatial: whether every place has scales of its own.
        logits: whether the logits are read here, too, because the gate does not overwrite them.
        copy_logits, copy_scale: whether they may be overwritten later.
    """

    known: Known
    site: str
    spatial: bool
    logits: bool
    copy_logits: bool
    copy_scale: bool

    def __call__(self, module: nn.Module, args: tuple[Any, ...], *rest: Any) -> Tensor | None:
        scale = rest[-1]
        if following():
            with torch._C.DisableTorchFunction():  # what is kept and changed is no part of what is followed
                return self._act(args, rest, scale)
        return self._act(args, rest, scale)

    def _act(self, args: tuple[Any, ...], rest: tuple[Any, ...], scale: Tensor) -> Tensor | None:
        if self.logits:
            for entry in records.get():
                if entry.subject is self.known and (given := given_to(args, rest)) is not None:
                    entry.content.keep(self.site, "logits", given, self.copy_logits)
        flat = scale if self.spatial or scale.ndim == 2 else scale.reshape(len(scale), -1)
        changed = act(self.known, self.site, flat, copy=self.copy_scale)
        return None if changed is None else changed if self.spatial else changed.reshape(len(changed), *scale.shape[1:])


@dataclass(eq=False, slots=True)
class CallHook(Hook):
    """Calls a function with what a module was given, and, after the module has run, with what it returned."""

    function: Callable[..., None]
    after: bool

    def __call__(self, module: nn.Module, args: tuple[Any, ...], *rest: Any) -> None:
        self.function(given_to(args, rest), *(rest[-1:] if self.after else ()))


def forward_with(hook: KeepHook | GateHook, module: nn.Module) -> Callable[..., Any]:
    """Return the forward pass of a module with a hook around it, which takes a small part of the time of a hook that PyTorch calls."""
    hooked = _keeping_forward(hook, module.forward) if isinstance(hook, KeepHook) else _gating_forward(hook, module)
    hooked.of_sevis = True  # type: ignore[attr-defined]
    return hooked


def _keeping_forward(hook: KeepHook, forward: Callable[..., Any]) -> Callable[..., Any]:
    known, site, part, copy, kept = hook.known, hook.site, hook.part, hook.copy, records.get

    def forward_and_keep(*args: Any, **kwargs: Any) -> Any:
        for entry in kept():
            if entry.subject is known:
                entry.content.keep(site, part, args[0], copy)
        return forward(*args, **kwargs)

    return forward_and_keep


def _gating_forward(hook: GateHook, module: nn.Module) -> Callable[..., Any]:
    forward, known, kept, changing = module.forward, hook.known, records.get, overrides.get

    def forward_and_act(*args: Any, **kwargs: Any) -> Any:
        if changing() or not kept():
            scale = forward(*args, **kwargs)
            changed = hook(module, args, kwargs, scale)
            return scale if changed is None else changed
        scale = forward(*args, **kwargs)
        for entry in kept():
            if entry.subject is known:
                if hook.logits:
                    entry.content.keep(hook.site, "logits", args[0], hook.copy_logits)
                entry.content.keep(hook.site, "scale", scale, hook.copy_scale)
        return scale

    return forward_and_act
