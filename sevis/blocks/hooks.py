"""capture and override: look into a model's SE blocks and change their scales, by forward hooks that leave nothing behind.

The hooks of a model are attached once, by the first that needs them, and removed with the last; what a forward pass writes goes to the
records of its own context (a ContextVar), so threads that share a model never see each other's images.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import nn

from sevis.blocks.attaching import acquire, hooks_of, release
from sevis.blocks.changes import Change, Value, addressed, as_they_are, resolve
from sevis.blocks.contexts import Changes, Entry, Shared, entered, overrides, records, watched
from sevis.blocks.record import Record
from sevis.blocks.sites import Known, site_named
from sevis.errors import SevisError

EAGER = "torch.compiler.set_stance('force_eager')"


@contextmanager
def capture(model: nn.Module, *, maps: Sequence[str] = ()) -> Iterator[Record]:
    """Record what every SE block does while the body runs the model; only forwards of this thread and context count.

    The first forward pass of a model that sevis has not seen run yet is preceded by one on at most two images, which shows how its blocks
    scale (see `find_sites`).

    Args:
        model: any model with SE blocks; its mode, weights and data stay as they are.
        maps: the names of the blocks whose maps u are kept, too (large: C x H x W floats per image).

    Yields:
        The record of the most recent forward pass; it can be read inside the block and after it.

    Raises:
        SevisError: when the model has no SE block, cannot be hooked, or `maps` names a block that it does not have; from the forward pass,
            when what looked like its blocks turns out to do something else.
    """
    with hooks_of(model, maps=bool(maps)) as known:
        record = Record(known, frozenset(name if known.is_hopeful else site_named(known.by_name, name).name for name in maps))
        with entered(records, Entry(known, record)):
            yield record


@contextmanager
def override(model: nn.Module, changes: Mapping[str, Value | Change]) -> Iterator[None]:
    """Change the scales s of some blocks while the body runs the model, in this thread and context only.

    The changes are applied in their order, and those of nested overrides from the outer to the inner one, each to the scales that it finds.
    No gradient reaches the values. A scale of 1 passes a channel as if there were no gate, whatever the form of the block: in a block that
    gives u + s u, the scale is 1 + s, as it is in the records.

    Args:
        model: any model with SE blocks; its weights stay as they are.
        changes: by address, `SE` for every block, `SE_5` for those of a stage, `SE_5_2` for a single one: a number for all channels, an
            array of shape (C,) or (N, C), which replace the scales, or a `Change`. Nothing is clipped to the gate's range.

    Raises:
        SevisError: for an address that names no block, or a value that is not finite or does not have its C channels; from the forward
            pass, when it does not have its N images; at the end, for an address none of whose blocks ran.
    """
    with hooks_of(model) as known:
        kept = as_they_are(changes)

        def renewed() -> Changes:
            try:
                return resolve(kept, known.sites)
            except SevisError:
                if known.is_hopeful:  # the first forward pass may show the blocks that are not there yet
                    return {}
                raise

        entry = Entry(known, renewed(), renewed)
        with entered(overrides, entry), watched(entry):
            yield
        for address in changes:
            names = [site.name for site in addressed(address, known.sites)]
            if not entry.reached.intersection(names):
                raise SevisError(f"the change of {address} reached no forward pass: {_why_not_reached(model, known, entry, names)}")


def share() -> AbstractContextManager[Any]:
    """Return the captures and overrides of this moment as a context that other threads can enter, one after the other or together.

    A record keeps the most recent forward pass, from whatever thread it comes. Without it, a thread does not see what another one
    captures or overrides.
    """
    return Shared(records.get(), overrides.get())


def keep_hooks(model: nn.Module) -> Callable[[], None]:
    """Attach the hooks of a model that many threads share, until the returned function is called; idle hooks cost about 1 %.

    Raises:
        SevisError: when the model has no SE block.
    """
    acquire(model, maps=True)
    held = [model]  # emptied by the first call, so that a second one releases nothing

    def let_go() -> None:
        if held:
            release(held.pop())

    return let_go


def _why_not_reached(model: nn.Module, known: Known, entry: Entry[Changes], names: Sequence[str]) -> str:
    """Return the likely reason for which no forward pass came to blocks, and the cure."""
    if reason := next(filter(None, map(known.refusal, names)), ""):
        return f"{names[0]} is no SE block, for {reason}"
    if entry.strangers:
        return "the model was called in another thread, which does not see it: enter `with shared:` there, for shared = sevis.share()"
    if any(hasattr(module.__dict__.get("forward"), "_torchdynamo_orig_callable") for module in model.modules()):
        return f"the forward pass is compiled, and runs no hooks: put `with {EAGER}:` around the override"
    if entry.passes:
        return f"the forward pass of {type(model).__name__} does not call {' and '.join(names[:3])}: choose blocks that it calls"
    return (
        "the model was not called inside the block, or by a function that was compiled before: call it, "
        f"and put `with {EAGER}:` around a compiled function"
    )
