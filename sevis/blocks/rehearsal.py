"""A forward pass that leaves no trace: run on stand-ins for the modules, which share their weights and nothing else."""

from collections import OrderedDict
from collections.abc import Mapping
from types import MethodType
from typing import Any

from torch import Tensor, jit, nn

IMAGES = 2  # that a rehearsal runs


def stand_in(model: nn.Module, *, all_hooks: bool = False) -> nn.Module:
    """Return a model in evaluation mode that computes what another one does, with the same parameters.

    Its buffers, its attributes and its hooks are its own: what its forward passes change is not changed in the other model.

    Args:
        model: the other one.
        all_hooks: whether to take all of its hooks along. Else only PyTorch's own, such as weight norm's: a user's hooks shall not see a
            pass that the user knows nothing of.
    """
    made: dict[int, nn.Module] = {}

    def stand(module: nn.Module) -> nn.Module:
        if isinstance(module, jit.ScriptModule):
            return module
        if id(module) not in made:
            twin = made[id(module)] = object.__new__(type(module))
            twin.__dict__.update(module.__dict__)
            twin.__dict__["training"] = False
            twin.__dict__["_parameters"] = module._parameters.copy()
            twin.__dict__["_buffers"] = {name: buffer if buffer is None else buffer.clone() for name, buffer in module._buffers.items()}
            for name in ("_forward_hooks", "_forward_pre_hooks"):
                twin.__dict__[name] = OrderedDict(
                    (key, hook) for key, hook in module.__dict__[name].items() if all_hooks or _is_pytorchs(hook)
                )
            children = {key: child if child is None else stand(child) for key, child in module._modules.items()}
            twin.__dict__["_modules"] = children
            twin.__dict__.update({name: rebound for name, value in module.__dict__.items() if (rebound := _rebound(value, module, twin))})
        return made[id(module)]

    return stand(model)


def few(value: Any, images: int) -> Any:
    """Return copies of what a model is called with: of each tensor that holds so many images, of the first only."""
    if isinstance(value, Tensor):
        return (value[:IMAGES] if value.ndim and len(value) == images else value).detach().clone()
    if isinstance(value, list | tuple):
        parts = [few(part, images) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, Mapping) and type(value) is dict:
        return {key: few(part, images) for key, part in value.items()}
    return value


def _rebound(value: Any, module: nn.Module, twin: nn.Module) -> MethodType | None:
    """Return a method that a module keeps in an attribute, such as another forward or a compiled one, as one of its stand-in."""
    method = getattr(value, "_torchdynamo_orig_callable", value) if callable(value) else value
    return MethodType(method.__func__, twin) if isinstance(method, MethodType) and method.__self__ is module else None


def _is_pytorchs(hook: object) -> bool:
    """Return whether a hook is one of PyTorch's own."""
    return (getattr(hook, "__module__", None) or type(hook).__module__).partition(".")[0] == "torch"
