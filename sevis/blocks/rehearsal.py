"""A forward pass that leaves no trace: run on stand-ins for the modules, which share their weights and nothing else."""

import copy
import dataclasses
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from types import MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, jit, nn
from torch.utils._python_dispatch import _disable_current_modes

IMAGES = 2  # that a rehearsal runs
DISTRIBUTED = ("DistributedDataParallel", "FullyShardedDataParallel")  # whose forward passes all processes must make together


def stand_in(model: nn.Module, *, all_hooks: bool = False) -> nn.Module:
    """Return a model in evaluation mode that computes what another one does, with the same parameters.

    Its buffers, its attributes and its hooks are its own: what its forward passes change is not changed in the other model.

    Args:
        model: the other one.
        all_hooks: whether to take all of its hooks along, and the lists and dictionaries that they may write to. Else only PyTorch's own
            hooks, such as weight norm's: a user's hooks shall not see a pass that the user knows nothing of.
    """
    made: dict[int, nn.Module] = {}

    def stand(module: nn.Module) -> nn.Module:
        if isinstance(module, jit.ScriptModule):
            return module
        if isinstance(module, nn.modules.lazy.LazyModuleMixin):
            raise TypeError(f"{type(module).__name__} does not have its weights yet")
        if type(module).__name__ in DISTRIBUTED:
            raise TypeError(f"a pass of {type(module).__name__} waits for other processes: pass model.module")
        if id(module) not in made:
            twin = made[id(module)] = object.__new__(type(module))
            own = {key: value for key, value in module.__dict__.items() if key != "__getstate__" and not is_ours(value)}
            twin.__dict__.update(own if all_hooks else {key: _apart(value, stand) for key, value in own.items()})
            twin.__dict__["training"] = False
            twin.__dict__["_parameters"] = module._parameters.copy()
            twin.__dict__["_buffers"] = {name: buffer if buffer is None else buffer.clone() for name, buffer in module._buffers.items()}
            for name in ("_forward_hooks", "_forward_pre_hooks"):
                twin.__dict__[name] = OrderedDict((key, hook) for key, hook in module.__dict__[name].items() if _stays(hook, all_hooks))
            children = {key: child if child is None else stand(child) for key, child in module._modules.items()}
            twin.__dict__["_modules"] = children
            twin.__dict__.update({key: rebound for key, value in own.items() if (rebound := _rebound(value, module, twin))})
        return made[id(module)]

    return stand(model)


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Run a rehearsal so that what follows is as if there had been none: random numbers go on as before, and no mode sees it."""
    devices = {tensor.device.index for tensor in model.parameters() if tensor.is_cuda}
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=list(devices)), torch.no_grad(), _disable_current_modes():
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def few(value: Any, images: int) -> Any:
    """Return copies of what a model is called with: of each tensor that holds so many images, of the first only.

    Raises:
        TypeError: for an iterator, which can be read only once.
    """
    if isinstance(value, Tensor):
        return (value[:IMAGES] if value.ndim and len(value) == images else value).detach().clone()
    if isinstance(value, list | tuple):
        parts = [few(part, images) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, MutableMapping):
        items = {key: few(part, images) for key, part in value.items()}
        return items if type(value) is dict else _with_items(value, items)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(
            value, **{field.name: few(getattr(value, field.name), images) for field in dataclasses.fields(value) if field.init}
        )
    if isinstance(value, Iterator):
        raise TypeError(f"a {type(value).__name__} can be read only once")
    return value


def _with_items(mapping: MutableMapping[Any, Any], items: dict[Any, Any]) -> MutableMapping[Any, Any]:
    """Return a mapping of the same class with other values."""
    twin = copy.deepcopy(mapping, {id(value): items[key] for key, value in mapping.items()})
    twin.update(items)
    return twin


def _apart(value: Any, stand: Callable[[nn.Module], nn.Module]) -> Any:
    """Return an attribute of a module for its stand-in: what may be changed in place is a copy, and modules in a list are stand-ins."""
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        return value.detach().clone()
    if type(value) in (list, tuple):
        return type(value)(stand(part) if isinstance(part, nn.Module) else part for part in value)
    if type(value) in (dict, OrderedDict):
        return type(value)((key, stand(part) if isinstance(part, nn.Module) else part) for key, part in value.items())
    return value.copy() if type(value) in (set, deque) else value


def _rebound(value: Any, module: nn.Module, twin: nn.Module) -> MethodType | None:
    """Return a method that a module keeps in an attribute, such as another forward or a compiled one, as one of its stand-in."""
    method = getattr(value, "_torchdynamo_orig_callable", value) if callable(value) else value
    return MethodType(method.__func__, twin) if isinstance(method, MethodType) and method.__self__ is module else None


def is_ours(value: object) -> bool:
    """Return whether something in a module was put there by sevis, for the length of a capture."""
    return hasattr(value, "of_sevis")


def _stays(hook: object, all_hooks: bool) -> bool:
    """Return whether a stand-in has a hook, too: one of PyTorch's own, or any but those of sevis."""
    pytorchs = (getattr(hook, "__module__", None) or type(hook).__module__).partition(".")[0] == "torch"
    return not is_ours(hook) and (all_hooks or pytorchs)
