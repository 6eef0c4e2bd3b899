"""The processes that torchrun starts: they share the images of a data set, and what they found is merged in the first.

They exchange statistics, which lie in main memory, so the backend is gloo on GPUs, too, where each process has one of its own; and the
gradients of a training run, which lie on the GPUs, over nccl.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from sevis.errors import SevisError
from sevis.files import replacing

PATIENCE = timedelta(days=7)  # for the slowest process; if one dies, torchrun ends the others
PIECE = 64 * 2**20  # bytes of one message


@dataclass(frozen=True)
class Shard:
    """The part of one of `world` processes: every world-th batch, from the rank-th on."""

    rank: int = 0
    world: int = 1

    def numbers(self, batches: int) -> range:
        """Return the numbers of its batches, of so many in all."""
        return range(self.rank, batches, self.world)

    def meet(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            distributed.barrier()

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Wait until all processes are here. Raises SevisError where their facts, by the names that people know them by, differ."""
        if self.world == 1:
            return
        found: list[Mapping[str, Any]] = [{}] * self.world
        distributed.all_gather_object(found, facts)
        differing = [name for name, value in facts.items() if any(other.get(name) != value for other in found)]
        if differing:
            raise SevisError(f"the {self.world} processes differ in {', '.join(differing)}: start all with the same command and data")

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Let the first process go before the others, so that what it downloads is there when they look for it."""
        if self.rank:
            self.meet()
        yield
        if not self.rank:
            self.meet()

    def send(self, file: Path) -> None:
        """Send a file to the first process, piece by piece."""
        distributed.send(torch.tensor([file.stat().st_size]), 0)
        with file.open("rb") as source:
            while piece := source.read(PIECE):
                distributed.send(torch.frombuffer(bytearray(piece), dtype=torch.uint8), 0)

    def receive(self, file: Path, rank: int) -> None:
        """Write the file that another process sends."""
        left = torch.zeros(1, dtype=torch.int64)
        distributed.recv(left, rank)
        with replacing(file) as target:
            while left > 0:
                piece = torch.empty(min(PIECE, int(left)), dtype=torch.uint8)
                distributed.recv(piece, rank)
                target.write(piece.numpy().data)
                left -= len(piece)


def processes_here() -> int:
    """Return how many processes torchrun has started on this machine; 1 without it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@contextmanager
def joined(*, gradients: bool = False) -> Iterator[Shard]:
    """Join the processes of torchrun: yields this process's part, all of it where there is one. On GPUs, each takes that of its LOCAL_RANK.

    Args:
        gradients: the processes will also exchange what lies on their GPUs.

    Raises:
        SevisError: when there are fewer GPUs than processes on this machine.
    """
    if not distributed.is_torchelastic_launched() or int(os.environ["WORLD_SIZE"]) == 1:
        yield Shard()
        return
    if torch.cuda.is_available():
        local, devices = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= devices:
            raise SevisError(f"expected a GPU for each process, got {devices} of them: start {devices} with --nproc-per-node")
        torch.cuda.set_device(local)
    backend = "cpu:gloo,cuda:nccl" if gradients and torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Shard(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
