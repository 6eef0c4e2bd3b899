"""The forward hooks by which records and overrides reach the blocks of one model; copies and files of the model do not have them."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from sevis.blocks.contexts import act, begin_pass, is_wanted, keep, overrides, records, records_of
from sevis.blocks.evidence import Wiring
from sevis.blocks.following import tensors_in
from sevis.blocks.scaling import Scaling
from sevis.blocks.sites import Known, Site, check, pair_of, sites_or_refuse
from sevis.errors import SevisError

Begin = Callable[[Tensor | None], None]

_passes = threading.local()  # the modules whose scales are followed in this thread, from the outer to the inner, each with its Scaling


@dataclass(eq=False, slots=True)
class Hook:
    """A hook of one model. A copy of the model that takes its hooks along has one that does nothing."""

    act: Callable[..., Any]

    def __call__(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], *output: Any) -> Any:
        given = args[0] if args and isinstance(args[0], Tensor) else next(tensors_in((args, kwargs)), None)
        if not following():
            return self.act(given, *output)
        with torch._C.DisableTorchFunction():  # what is kept is no part of what is followed
            return self.act(given, *output)

    def __reduce__(self) -> tuple[type["Nothing"], tuple[()]]:
        return Nothing, ()


@dataclass(eq=False, slots=True)
class PassHook(Hook):
    """The hook of the model itself, which takes all that the model is called with."""

    def __call__(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], *output: Any) -> None:
        self.act(args, kwargs)


class Nothing:
    """What becomes of a hook in a copy that could not leave it out."""

    def __call__(self, *_: Any) -> None:
        return None


@dataclass(eq=False)
class Attachment:
    """The hooks of one model.

    Attributes:
        known: what is known of its blocks.
        users: how many captures and overrides need them.
        maps: whether the maps are seen, too, which costs more.
        handles: of the hooks.
        hooked: the modules that have them.
        lock: held while the hooks are exchanged.
    """

    known: Known
    users: int = 0
    maps: bool = False
    checked: bool = False
    handles: list[RemovableHandle] = field(default_factory=list)
    hooked: list["ref[nn.Module]"] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)


def attach(model: nn.Module, attachment: Attachment) -> list[Begin]:
    """Hook the model and its blocks, as they are known.

    Returns:
        What the model's own hook does when it has begun a pass, where the model is itself the module of a block.
    """
    attachment.checked = attachment.known.evidence is not None
    first: list[Begin] = []
    _hook(attachment, model, PassHook(partial(_begin, model, attachment, first)), before=True)
    _hook(attachment, model, Hook(partial(_end, model)), before=False)
    scopes: dict[str, list[tuple[Site, Wiring]]] = {}
    viewed: dict[str, list[tuple[Site, Wiring]]] = {}
    owners: dict[nn.Module, str] = {}
    for site in attachment.known.sites:
        wiring = attachment.known.wiring(site)
        reducing, widening, gate = _parts(model, site)
        for part in (reducing, widening):
            if owners.setdefault(part, site.name) != site.name:
                raise SevisError(f"{owners[part]} and {site.name} share their {type(part).__name__}: give each SE block its own")
        _hook(attachment, reducing, Hook(partial(keep, model, site.name, "squeeze")), before=True)
        _hook(attachment, widening, Hook(partial(keep, model, site.name, "hidden")), before=True)
        if gate is not None and (wiring is None or wiring.by_module):
            _hook_gate(attachment, model, site, gate)
        elif wiring:
            scopes.setdefault(wiring.scope, []).append((site, wiring))
        if attachment.maps and (wiring is None or (wiring.by_module and wiring.takes_input)):
            _hook_holder(attachment, model, site, first)
        elif attachment.maps and wiring and wiring.by_module:
            viewed.setdefault(wiring.scope, []).append((site, wiring))
    for scope, blocks in scopes.items():
        _hook_scope(attachment, model, scope, blocks, first, acting=True)
    for scope, blocks in viewed.items():
        _hook_scope(attachment, model, scope, blocks, first, acting=False)
    return first


def detach(attachment: Attachment) -> None:
    """Remove the hooks."""
    for handle in attachment.handles:
        handle.remove()
    for hooked in attachment.hooked:
        if (module := hooked()) is not None:
            module.__dict__.pop("__getstate__", None)
    attachment.handles.clear()
    attachment.hooked.clear()


def leave_followers(depth: int) -> None:
    """Stop following what an interrupted forward pass left half done in this thread."""
    stack = following()
    while len(stack) > depth:
        _, scaling = stack.pop()
        scaling.stop()


def following() -> list[tuple[str, Scaling]]:
    """Return the modules whose scales are followed in this thread at this moment."""
    stack: list[tuple[str, Scaling]] = _passes.__dict__.setdefault("stack", [])
    return stack


def _parts(model: nn.Module, site: Site) -> tuple[nn.Module, nn.Module, nn.Module | None]:
    holder = model.get_submodule(site.path)
    first, second, gate = site.parts
    return holder.get_submodule(first), holder.get_submodule(second), holder.get_submodule(gate) if gate else None


def _hook(attachment: Attachment, module: nn.Module, hook: Hook, *, before: bool, always: bool = False) -> None:
    """Add a hook to a module, which then leaves all of them out where it is copied or saved."""
    if before:
        attachment.handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
    else:
        attachment.handles.append(module.register_forward_hook(hook, with_kwargs=True, always_call=always))
    own = type(module)
    if "__getstate__" not in module.__dict__ and own.__reduce_ex__ is object.__reduce_ex__ and not hasattr(own, "__deepcopy__"):
        module.__dict__["__getstate__"] = partial(_state, module)
        attachment.hooked.append(ref(module))


def _state(module: nn.Module) -> Any:
    """Return what a module is copied and saved by, without the hooks of sevis."""
    state = type(module).__getstate__(module)  # type: ignore[no-untyped-call]  # object has it since Python 3.11
    if not isinstance(state, dict):
        return state
    state = {name: value for name, value in state.items() if name != "__getstate__"}
    for name in ("_forward_hooks", "_forward_pre_hooks"):
        ours = {number for number, hook in module.__dict__[name].items() if isinstance(hook, Hook)}
        for part in (name, f"{name}_with_kwargs", f"{name}_always_called"):
            if part in state:
                state[part] = OrderedDict((number, value) for number, value in state[part].items() if number not in ours)
    return state


def _begin(model: nn.Module, attachment: Attachment, first: list[Begin], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Begin a forward pass of the model; the first one runs a small one beforehand, which shows how the blocks scale."""
    if not attachment.checked and not (torch._C._get_tracing_state() or torch.compiler.is_compiling()):
        with attachment.lock:
            if not attachment.checked:
                first = _check(model, attachment, args, kwargs) or first
    begin_pass(model)
    given = next(tensors_in((args, kwargs)), None)
    for begin in first:
        begin(given)


def _check(model: nn.Module, attachment: Attachment, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Begin]:
    attachment.checked = True
    kept, changing = records.set(()), overrides.set(())
    try:
        check(model, attachment.known, args, kwargs)
    finally:
        records.reset(kept)
        overrides.reset(changing)
    if attachment.known.evidence:
        sites_or_refuse(model, attachment.known)
        detach(attachment)
        return attach(model, attachment)
    return []


def _end(model: nn.Module, *_: Any) -> None:
    for record in records_of(model):
        record.finish()


def _hook_gate(attachment: Attachment, model: nn.Module, site: Site, gate: nn.Module) -> None:
    """Read and change the scales where they come out of the gate."""

    def on_scale(_: Tensor, scale: Tensor) -> Tensor | None:
        if site.spatial:
            return act(model, site.name, scale)
        flat = scale.reshape(len(scale), -1) if scale.ndim != 2 else scale
        changed = act(model, site.name, flat)
        return None if changed is None else changed.reshape(len(changed), *scale.shape[1:])

    def on_gate(logits: Tensor, scale: Tensor) -> Tensor | None:
        keep(model, site.name, "logits", logits)
        return on_scale(logits, scale)

    in_place = getattr(gate, "inplace", type(gate) not in (nn.Sigmoid, nn.Tanh))  # then, or perhaps, it overwrites the logits
    if in_place:
        _hook(attachment, gate, Hook(partial(keep, model, site.name, "logits")), before=True)
    _hook(attachment, gate, Hook(on_scale if in_place else on_gate), before=False)


def _hook_holder(attachment: Attachment, model: nn.Module, site: Site, first: list[Begin]) -> None:
    """Keep the maps where they come into the block."""

    def begin(u: Tensor | None) -> None:
        for record in records_of(model):
            if u is not None:
                record.begin(site.name, u)

    if site.path:
        _hook(attachment, model.get_submodule(site.path), Hook(begin), before=True)
    else:
        first.append(begin)


def _hook_scope(
    attachment: Attachment, model: nn.Module, scope: str, blocks: Sequence[tuple[Site, Wiring]], first: list[Begin], *, acting: bool
) -> None:
    """Follow the scales of blocks through the forward pass of the module in which they multiply the maps."""

    def keep_maps(site: str, maps: Tensor) -> None:
        for record in records_of(model):
            if site in record.maps:
                record.keep(site, "maps", maps)

    def begin(_: Tensor | None) -> None:
        if is_wanted(model) if acting else any(site.name in record.maps for record in records_of(model) for site, _ in blocks):
            scaling = Scaling(blocks, act=partial(act, model) if acting else None, keep_maps=keep_maps)
            scaling.start()
            following().append((scope, scaling))

    def end(*_: Any) -> None:
        stack = following()
        if stack and stack[-1][0] == scope and stack[-1][1].keep_maps is keep_maps:
            stack.pop()[1].stop()

    def mine() -> list[Scaling]:
        return [scaling for _, scaling in reversed(following()) if scaling.keep_maps is keep_maps][:1]

    def start(site: Site, _given: Tensor | None, output: Tensor) -> None:
        if acting:
            keep(model, site.name, "logits", output)
        for scaling in mine():
            scaling.begin(pair_of(site)[1], output)

    def pass_gate(given: Tensor | None, output: Tensor) -> None:
        for scaling in mine():
            scaling.pass_gate(given, output)

    module = model.get_submodule(scope)
    if scope:
        _hook(attachment, module, Hook(begin), before=True)
    else:
        first.append(begin)
    _hook(attachment, module, Hook(end), before=False, always=True)
    for site, _ in blocks:
        _, second, gate = _parts(model, site)
        _hook(attachment, second, Hook(partial(start, site)), before=False)
        if gate is not None:
            _hook(attachment, gate, Hook(pass_gate), before=False)
