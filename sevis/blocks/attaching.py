"""The forward hooks by which records and overrides reach the blocks of one model; copies and files of the model do not have them."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, ref

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from sevis.blocks.contexts import apart, begin_pass, end_pass, renew
from sevis.blocks.hook_kinds import GateHook, Hook, KeepHook, forward_with
from sevis.blocks.hook_plan import Planned, plan_hooks
from sevis.blocks.rehearsal import is_ours
from sevis.blocks.sites import Known, check, know, sites_or_refuse


@dataclass(eq=False)
class Attachment:
    """The hooks of one model.

    Attributes:
        known: what is known of its blocks.
        users: how many captures and overrides need them.
        maps: whether the maps are seen, too, which costs more.
        handles: of the hooks.
        hooked: the modules that have them.
        first: the hooks of the model's own pass, where the model is itself the module of a block.
    """

    known: Known
    users: int = 0
    maps: bool = False
    handles: list[RemovableHandle] = field(default_factory=list)
    hooked: list["ref[nn.Module]"] = field(default_factory=list)
    first: list[Hook] = field(default_factory=list)


_attached: WeakKeyDictionary[nn.Module, Attachment] = WeakKeyDictionary()
_lock = threading.RLock()  # re-entrant: the garbage collector may end an abandoned capture while the lock is held


@contextmanager
def hooks_of(model: nn.Module, *, maps: bool = False) -> Iterator[Known]:
    """Attach the hooks of a model for as long as the body runs."""
    known = acquire(model, maps=maps)
    try:
        yield known
    finally:
        release(model)


def acquire(model: nn.Module, *, maps: bool) -> Known:
    """Attach the model's hooks unless they are there already. Raises SevisError for a model that has no SE block or cannot be hooked."""
    with _lock:
        attachment = _attached.get(model)
        if attachment is None:
            known = know(model)
            sites_or_refuse(model, known, patient=True)
            attachment = Attachment(known, maps=maps)
            _attach(model, attachment)
            _attached[model] = attachment
        elif maps and not attachment.maps:
            attachment.maps = True
            _detach(attachment)
            _attach(model, attachment)
        attachment.users += 1
        return attachment.known


def release(model: nn.Module) -> None:
    """Remove the model's hooks when their last user leaves."""
    with _lock:
        attachment = _attached[model]
        attachment.users -= 1
        if not attachment.users:
            _detach(_attached.pop(model))


def _attach(model: nn.Module, attachment: Attachment) -> None:
    known = attachment.known
    plan = known.plans.get(attachment.maps)
    if plan is None:
        plan = known.plans[attachment.maps] = plan_hooks(model, known, maps=attachment.maps)
    attachment.first = plan.first
    _hook(attachment, Planned(ref(model), _PassHook(attachment), before=True, keywords=True))
    _hook(attachment, Planned(ref(model), _EndHook(known), before=False, keywords=True))
    for planned in plan.hooks:
        _hook(attachment, planned)


def _detach(attachment: Attachment) -> None:
    for handle in attachment.handles:
        handle.remove()
    for hooked in attachment.hooked:
        if (module := hooked()) is not None:
            module.__dict__.pop("__getstate__", None)
            if is_ours(module.__dict__.get("forward")):
                del module.__dict__["forward"]
    attachment.handles = []
    attachment.hooked = []


def _hook(attachment: Attachment, planned: Planned) -> None:
    """Add a hook to a module, which then leaves all of them out where it is copied or saved."""
    module = planned.module()
    if module is None:
        return
    own = module.__dict__
    unhooked = not (own["_forward_hooks"] or own["_forward_pre_hooks"]) and ("forward" not in own or is_ours(own["forward"]))
    by_state = _is_copied_by_its_state(type(module))
    if isinstance(planned.hook, KeepHook | GateHook) and unhooked and by_state and not planned.keywords:
        own["forward"] = forward_with(planned.hook, module)
    elif planned.before:
        attachment.handles.append(module.register_forward_pre_hook(planned.hook, with_kwargs=planned.keywords))
    else:
        attachment.handles.append(module.register_forward_hook(planned.hook, with_kwargs=planned.keywords, always_call=planned.always))
    if by_state and "__getstate__" not in own:
        own["__getstate__"] = partial(_state, planned.module)
        attachment.hooked.append(planned.module)


def _is_copied_by_its_state(kind: type[nn.Module]) -> bool:
    return kind.__reduce_ex__ is object.__reduce_ex__ and not hasattr(kind, "__deepcopy__")


def _state(module: "ref[nn.Module]") -> Any:
    """Return what a module is copied and saved by, without the hooks of sevis."""
    hooked: Any = module()
    state = type(hooked).__getstate__(hooked)  # type: ignore[call-arg]  # object has it since Python 3.11
    if not isinstance(state, dict):
        return state
    state = {name: value for name, value in state.items() if name != "__getstate__" and not is_ours(value)}
    for name in ("_forward_hooks", "_forward_pre_hooks"):
        ours = {number for number, hook in hooked.__dict__[name].items() if isinstance(hook, Hook)}
        for part in (name, f"{name}_with_kwargs", f"{name}_always_called"):
            if part in state:
                state[part] = OrderedDict((number, value) for number, value in state[part].items() if number not in ours)
    return state


@dataclass(eq=False, slots=True)
class _PassHook(Hook):
    """Begins a forward pass of the model; the first one runs a small one beforehand, which shows how the blocks scale."""

    attachment: Attachment

    def __call__(self, module: nn.Module, args: tuple[Any, ...], *rest: Any) -> None:
        attachment = self.attachment
        if attachment.known.untried and not (torch._C._get_tracing_state() or torch.compiler.is_compiling()):
            with _lock:
                if attachment.known.untried:
                    _check(module, attachment, args, rest[0])
        begin_pass(attachment.known)
        for hook in attachment.first:
            hook(module, args, *rest)


@dataclass(eq=False, slots=True)
class _EndHook(Hook):
    """Ends a forward pass of the model."""

    known: Known

    def __call__(self, *_: Any) -> None:
        end_pass(self.known)


def _check(model: nn.Module, attachment: Attachment, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with apart():
        check(model, attachment.known, args, kwargs)
    if attachment.known.evidence:
        sites_or_refuse(model, attachment.known)
        _detach(attachment)
        _attach(model, attachment)
        renew(attachment.known)
        renew(attachment.known)
