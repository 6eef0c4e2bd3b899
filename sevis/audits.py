"""Is the gate dynamic? What a network loses when its scales s may not answer to the image: block by block, in its last stage, and in all.

`sevis.auditing` makes an audit; this room, which reads and writes it, does without torch.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sevis.errors import SevisError
from sevis.files import replace_file
from sevis.intervals import Interval, paired_change, wilson

FORMAT = "sevis-audit-1"
ALL = "SE"  # the address of every block
CHANGES = ("open", "frozen", "shuffled")
PARAMETERS = ("network", "se", "se_last_stage")


@dataclass(frozen=True)
class Outcome:
    """The top-1 predictions of the same images with the network's own scales and with changed ones.

    Attributes:
        images: how many were tested.
        correct: how many of them the network gets right with its own scales.
        lost: how many of these it gets wrong with the changed ones.
        won: how many it gets right only with the changed ones.
    """

    images: int
    correct: int
    lost: int
    won: int

    @property
    def top1(self) -> float:
        """The fraction of images that are right with the changed scales."""
        return (self.correct - self.lost + self.won) / self.images

    @property
    def top1_interval(self) -> Interval:
        """The 95 % interval of `top1` (Wilson)."""
        return wilson(self.correct - self.lost + self.won, self.images)

    @property
    def change(self) -> float:
        """What the change adds to top-1, in -1..1: below zero it costs."""
        return (self.won - self.lost) / self.images

    @property
    def change_interval(self) -> Interval:
        """The 95 % interval of `change`, which compares the images pairwise (Agresti and Min)."""
        return paired_change(self.lost, self.won, self.images)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What changed scales do to the top-1 of a network.

    Attributes:
        outcomes: by address (each block, then its last stage such as SE_5, then SE: all blocks) and by change: `open` (s = 1), `frozen` (s
            is its mean over the other half of the images), `shuffled` (s is that of another image).
        parameters: how many the `network` has, those in its SE blocks (`se`), and those in the SE blocks of its last stage.
        metadata: provenance, as JSON: model, hash of the weights, data, number of images, seed, versions, date.
    """

    outcomes: Mapping[str, Mapping[str, Outcome]]
    parameters: Mapping[str, int]
    metadata: Mapping[str, Any]

    @property
    def real(self) -> Outcome:
        """The network as it is: nothing lost, nothing won."""
        outcome = self.outcomes[ALL]["open"]
        return Outcome(outcome.images, outcome.correct, 0, 0)

    @property
    def blocks(self) -> tuple[str, ...]:
        """The names of the SE blocks, in order."""
        return tuple(self.outcomes)[:-2]

    @property
    def last_stage(self) -> str:
        """The address of the last stage, such as SE_5."""
        return tuple(self.outcomes)[-2]

    @property
    def shares(self) -> tuple[float, float]:
        """The parameters that SE adds to the network without SE, as a fraction: in all stages, and in all but the last."""
        network, se, last = (self.parameters[name] for name in PARAMETERS)
        return se / (network - se), (se - last) / (network - se)

    def table(self) -> dict[str, list[Any]]:
        """One row per address and change, by column name: counts of images, and fractions with the ends of their intervals."""
        rows = [_row(name, change, outcome) for name, part in self.outcomes.items() for change, outcome in part.items()]
        return {column: [row[column] for row in rows] for column in rows[0]}

    def save(self, path: str | Path) -> None:
        """Writes a JSON file, as a whole or not at all."""
        replace_file(Path(path), (json.dumps(self._as_json(), indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: str | Path) -> "Audit":
        """Reads what `save` wrote. Raises SevisError for a file that is missing, damaged, changed, or of another format."""
        cure = "make it again with python -m sevis audit"
        try:
            stored = json.loads(Path(path).read_bytes())
            if stored["format"] != FORMAT:
                raise SevisError(f"{path} holds {stored['format']!r}, expected {FORMAT!r}: {cure}")
            audit = cls._restore(stored)
        except FileNotFoundError:
            raise SevisError(f"there is no audit at {path}: {cure}") from None
        except (OSError, ValueError, LookupError, TypeError, AttributeError, ZeroDivisionError) as error:
            reason = str(error) if isinstance(error, SevisError) else type(error).__name__
            raise SevisError(f"{path} is damaged ({reason}): {cure}") from None
        if audit._as_json() != stored:  # every fraction and interval follows from the counts
            raise SevisError(f"{path} is damaged (its fractions are not those of its counts): {cure}")
        return audit

    def check_weights(self, sha256: str) -> None:
        """Raises SevisError when the audit was made with other weights than those of this SHA-256."""
        own = str(self.metadata.get("weights"))
        if own != sha256:
            raise SevisError(
                f"the audit belongs to weights {own[:12]} of {self.metadata.get('model', 'an unnamed network')}, not to {sha256[:12]}: "
                "make it again with python -m sevis audit"
            )

    def _as_json(self) -> dict[str, Any]:
        columns = self.table()
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return {"format": FORMAT, "parameters": dict(self.parameters), "rows": rows, "metadata": dict(self.metadata)}

    @classmethod
    def _restore(cls, stored: Mapping[str, Any]) -> "Audit":
        outcomes: dict[str, dict[str, Outcome]] = {}
        for row in stored["rows"]:
            outcome = Outcome(*(int(row[field]) for field in ("images", "correct", "lost", "won")))
            outcomes.setdefault(str(row["blocks"]), {})[str(row["scales"])] = outcome
        complete = len(outcomes) > 2 and ALL in outcomes and all(tuple(part) == CHANGES for part in outcomes.values())
        if not complete or len({(part.images, part.correct) for parts in outcomes.values() for part in parts.values()}) != 1:
            raise SevisError("a row is missing, or not all are of the same images")
        parameters = {name: int(stored["parameters"][name]) for name in PARAMETERS}
        if not 0 < parameters["se_last_stage"] <= parameters["se"] < parameters["network"]:
            raise SevisError("its numbers of parameters contradict each other")
        return cls(outcomes=outcomes, parameters=parameters, metadata=dict(stored["metadata"]))


def _row(blocks: str, scales: str, outcome: Outcome) -> dict[str, Any]:
    """Fractions to six digits: as many as are sure to be the same on every machine."""
    row = {"blocks": blocks, "scales": scales, **vars(outcome)}
    for field in ("top1", "change"):
        low, high = getattr(outcome, f"{field}_interval")
        row |= {name: round(value, 6) for name, value in ((field, getattr(outcome, field)), (f"{field}_low", low), (f"{field}_high", high))}
    return row
