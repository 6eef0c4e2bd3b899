"""Holds sevis against the strangers' blocks: python -m tests.helpers.strangers_check [words of a name] tells what is not yet right."""

import sys
import traceback
from collections.abc import Iterator

import torch
from torch import Tensor, nn

import sevis
from tests.helpers.strangers_blocks import TAKEN
from tests.helpers.strangers_functions import WRITTEN
from tests.helpers.strangers_lookalikes import LOOKALIKES
from tests.helpers.witness import Stranger, Witness, opened, witnesses

STRANGERS = (*TAKEN, *WRITTEN, *LOOKALIKES)


def hooks(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules())


def same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, atol=1e-6, rtol=1e-5)


def first_tensor(value: object) -> Tensor:
    """Return the output of a network, or the first of several."""
    if isinstance(value, Tensor):
        return value
    return first_tensor(next(iter(value.values() if isinstance(value, dict) else value)))


def faults(row: Stranger) -> list[str]:
    """Return what sevis says of a stranger that is not true; nothing where all is right."""
    network, example = row.network(), row.example()
    before = hooks(network)
    with torch.no_grad():
        plain = first_tensor(network(example))
        found = sevis.find_sites(network, example)
        blocks = witnesses(network)
        if row.taken is False or (row.taken is None and not found) or not row.called:
            return [f"found {[site.path for site in found]}"] if found and row.taken is False else []
        if len(found) != len(blocks):
            return [f"found {len(found)} of {len(blocks)} blocks: {[site.path for site in found]}"]
        told = list(_recorded(row, network, blocks))
        told += _overridden(network, example, blocks)
        told += ["the plain output has changed"] * (not torch.equal(first_tensor(network(example)), plain))
    return told + ["hooks are left"] * (hooks(network) != before)


def _recorded(row: Stranger, network: nn.Module, blocks: list[Witness]) -> Iterator[str]:
    other = row.example(3, seed=2)  # not the images that the evidence was taken from
    names = [site.name for site in sevis.find_sites(network, row.example())]
    with sevis.capture(network, maps=names) as record:
        network(other)
    for name, block in zip(names, blocks, strict=True):
        got, true = record[name], block.seen
        maps = [true["u"], true["source"], true["u"].movedim(-1, 1)]  # u or what z is the mean of, as it lies or as (N, C, ...)
        for part, value, right in (("z", got.squeeze, [true["z"]]), ("s", got.scale, [true["s"], true["factor"]]), ("u", got.maps, maps)):
            if not any(same(value, one) for one in right):
                yield f"{name}: {part} is not the block's own: {tuple(value.shape)} for {tuple(right[0].shape)}"


def _overridden(network: nn.Module, example: Tensor, blocks: list[Witness]) -> Iterator[str]:
    """Tell where a block that is overridden by 1 is not as if it had no gate: each alone, and all at once."""
    names = [site.name for site in sevis.find_sites(network, example)]
    for name, chosen in [*zip(names, ([block] for block in blocks), strict=True), ("SE", blocks)]:
        with sevis.override(network, {name: 1.0}):
            got = first_tensor(network(example))
        with opened(chosen):
            true = first_tensor(network(example))
        if not same(got, true):
            yield f"{name}: 1 does not leave the gate out: {(got - true).abs().max():.2g} away"


def main() -> None:
    words, wrong = sys.argv[1:], 0
    for row in STRANGERS:
        if all(word in row.name for word in words):
            try:
                told = faults(row)
            except Exception as error:
                told = [f"{type(error).__name__}: {error}"]
                if words:
                    traceback.print_exc()
            wrong += bool(told)
            print(f"{'wrong' if told else 'right'}  {row.name}  [{row.form}]  {'; '.join(told)[:300]}")
    print(f"{wrong} of {len(STRANGERS)} wrong")


if __name__ == "__main__":
    main()
