"""Many people at one model: 16 threads at once, and one after another for long."""

import gc
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sevis import Change, capture, find_sites, override
from sevis.blocks.hooks import keep_hooks
from tests.helpers.networks import hook_count

THREADS = 16


def a_batch(count: int, *, seed: int) -> Tensor:
    return torch.randn(count, 3, 24, 24, generator=torch.Generator().manual_seed(seed))


@contextmanager
def hasty_threads() -> Iterator[None]:
    """Makes Python change threads a hundred times as often as usual."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def results(model: nn.Module, visitor: int) -> tuple[Tensor, ...]:
    """What a visitor with an own image and an own intervention gets: the logits, and the scales and squeezes of all blocks."""
    changes = [{}, {"SE_3": visitor / 8}, {"SE_4_1": Change(0.0, channels=[visitor % 8])}, {"SE": Change(0.5, multiply=True)}][visitor % 4]
    with torch.no_grad(), override(model, changes), capture(model, maps=["SE_2_1"]) as record:
        logits = model(a_batch(visitor % 3 + 1, seed=visitor))
    blocks = [record[site.name] for site in find_sites(model)]
    return logits, *(block.scale for block in blocks), *(block.squeeze for block in blocks), blocks[0].maps


@pytest.mark.parametrize(("kept", "rounds"), [(True, 40), (False, 20), pytest.param(True, 200, marks=pytest.mark.slow)])
def test_sixteen_threads_get_what_each_would_alone(network: nn.Module, kept: bool, rounds: int) -> None:
    """With hooks that the app keeps on a network that all share, and with hooks that are attached each time."""
    release = keep_hooks(network) if kept else lambda: None
    alone = [results(network, visitor) for visitor in range(THREADS)]

    def visit(visitor: int) -> int:
        return sum(
            all(torch.equal(one, other) for one, other in zip(results(network, visitor), alone[visitor], strict=True))
            for _ in range(rounds)
        )

    with hasty_threads(), ThreadPoolExecutor(THREADS) as pool:
        right = list(pool.map(visit, range(THREADS)))
    assert right == [rounds] * THREADS
    release()
    assert hook_count(network) == 0


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="only Linux tells the memory of a process here")
def test_five_hundred_captures_leave_memory_flat_and_no_hook(network: nn.Module) -> None:
    def resident() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def one(visitor: int) -> None:
        with torch.no_grad(), capture(network, maps=[site.name for site in find_sites(network)]) as record:
            network(a_batch(2, seed=visitor))
        assert record["SE_5_2"].scale.shape == (2, 64)

    for visitor in range(50):
        one(visitor)
    before = resident()
    for visitor in range(500):
        one(visitor)
    assert resident() <= 1.05 * before
    assert hook_count(network) == 0
