"""What an unfinished collection has so far, in a file beside its output, so that it goes on after a crash as if there had been none."""

import copy
import glob
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.distributed import Shard
from sevis.errors import SevisError, one_line

EVERY = 60.0  # seconds between two savings
SHARE = 0.05  # of the time that saving may take; where it takes longer, it happens less often


@dataclass
class PartialFile:
    """The file in which one process saves what it has so far.

    Attributes:
        out: where the finished statistics shall lie.
        facts: what a resumed run must have in common with the one that wrote the file, by the names that people know it by; as JSON.
        shard: of which process the file is.
        every: seconds between two savings.
        say: is told in a sentence when a saving fails; the collection goes on without it.
    """

    out: Path
    facts: Mapping[str, Any]
    shard: Shard
    every: float = EVERY
    say: Callable[[str], None] = print
    _next: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.facts = json.loads(json.dumps(self.facts))  # lists, as they are read again
        self._next = time.monotonic() + self.every

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self._of(self.shard.rank)

    def _of(self, rank: int) -> Path:
        part = f"-{rank + 1}-of-{self.shard.world}" if self.shard.world > 1 else ""
        return self.out.with_name(f"{self.out.name}.partial{part}")

    def open(self, *, resume: bool) -> tuple[ClassStatistics, dict[str, Any]] | None:
        """Return what a run that was cut off has left: its statistics, and what else `keep` was given; None where there is nothing.

        Raises:
            SevisError: when there is something and it was not to be resumed, or when it is of another run or damaged.
        """
        for torso in self.out.parent.glob(f".{glob.escape(self.path.name)}.*.tmp"):
            torso.unlink(missing_ok=True)  # of a saving that was cut off itself
        found = sorted(self.out.parent.glob(f"{glob.escape(self.out.name)}.partial*"))
        if found and not resume:
            raise SevisError(
                f"{found[0]} is left from a run that stopped early: continue it with --resume, or delete the file to start again"
            )
        others = set(found) - {self._of(rank) for rank in range(self.shard.world)}
        if others:
            raise SevisError(
                f"{min(others)} is left from a run whose number of processes was not {self.shard.world}: start as many as then, or "
                "delete the file to start again"
            )
        return self._read() if self.path in found else None

    def _read(self) -> tuple[ClassStatistics, dict[str, Any]]:
        try:
            statistics = ClassStatistics.load(self.path)
            state = statistics.metadata["unfinished"]  # which finished statistics lack
        except (SevisError, KeyError) as error:
            raise SevisError(f"{self.path} cannot be read ({error}): delete it to start again") from None
        differing = [name for name, value in self.facts.items() if state["facts"].get(name) != value]
        if differing:
            raise SevisError(
                f"{self.path} belongs to another run, which differs in {', '.join(differing)}: repeat the command of that run, or "
                "delete the file to start again"
            )
        return statistics, state

    @property
    def due(self) -> bool:
        """Return whether it is time to save."""
        return time.monotonic() >= self._next

    def keep(self, statistics: ClassStatistics, **state: Any) -> None:
        """Save the statistics, and what is needed to go on."""
        started = time.monotonic()
        unfinished = copy.copy(statistics)
        unfinished.metadata = {**statistics.metadata, "unfinished": {"facts": self.facts, **state}}
        try:
            unfinished.save(self.path)
        except (OSError, SevisError) as error:
            self.say(f"{self.path} cannot be written ({one_line(error)}): the collection continues, but it cannot be resumed from here")
        ended = time.monotonic()
        self._next = ended + max(self.every, (ended - started) / SHARE)

    def remove(self) -> None:
        """Delete the file: the collection is finished."""
        self.path.unlink(missing_ok=True)
