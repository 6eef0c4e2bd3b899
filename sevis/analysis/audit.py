"""Is the gate dynamic? What changed scales do to the top-1 of a network: the numbers, and the file that holds them.

`sevis.experiments.audit` makes an audit; what reads one does without torch. `sevis.analysis.audit_words` says what it found.
"""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from math import nan
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from sevis.analysis.intervals import Interval, paired_change, wilson
from sevis.analysis.paired_tests import ALPHA, MOST, holm, paired_test, smallest_loss
from sevis.data.preprocessing import Preprocessing
from sevis.errors import UNREADABLE, SevisError, one_line
from sevis.files import replace_file
from sevis.settings import home_folder
from sevis.weights.card import Count, sound_cards

ALL = "SE"  # the address of every block
OWN = "as it is"  # the scales of the network itself
CHANGES = ("open", "level", "frozen", "shuffled")
STEPS = {"level": ("open", "level"), "pattern": ("level", "frozen"), "answer": ("frozen", OWN)}  # from which scales to which
AGAIN = "make it again with python -m sevis audit"


@dataclass(frozen=True)
class Outcome:
    """The top-1 predictions of the same images with some scales, and after these are changed.

    Attributes:
        images: how many were tested.
        correct: how many of them the network gets right before.
        lost: how many of these it gets wrong after.
        won: how many it gets right only after.

    Raises:
        SevisError: where the counts contradict each other.
    """

    images: int
    correct: int
    lost: int
    won: int

    def __post_init__(self) -> None:
        if not 0 <= self.lost <= self.correct <= self.images - self.won <= self.images <= MOST or not self.images:
            raise SevisError(
                f"expected counts of at least one image and of at most {MOST:,}, got {self.correct} right of {self.images}, "
                f"{self.lost} of them lost, and {self.won} won"
            )

    @property
    def right(self) -> int:
        """Return how many images are right after the change."""
        return self.correct - self.lost + self.won

    @property
    def reverse(self) -> "Outcome":
        """Return the change back."""
        return Outcome(self.images, self.right, self.won, self.lost)

    @property
    def top1(self) -> float:
        """Return the fraction of images that are right after the change."""
        return self.right / self.images

    @property
    def top1_interval(self) -> Interval:
        """Return the 95 % interval of `top1` (Wilson)."""
        return wilson(self.right, self.images)

    @property
    def change(self) -> float:
        """Return what the change adds to top-1, in -1..1: below zero it costs."""
        return (self.won - self.lost) / self.images

    @property
    def change_interval(self) -> Interval:
        """Return the 95 % interval of `change`, which compares the images pairwise (Agresti and Min)."""
        return paired_change(self.lost, self.won, self.images)


@dataclass(frozen=True)
class BlockTest:
    """Whether freezing a single block changes top-1, where all single blocks are tested.

    Attributes:
        block: its name.
        outcome: of freezing it.
        p_value: of the exact paired test, corrected by Holm for the number of blocks.
        smallest_loss: the smallest true loss that is found four times in five, as a fraction of the images.
    """

    block: str
    outcome: Outcome
    p_value: float
    smallest_loss: float

    @property
    def costs(self) -> bool:
        """Return whether a loss was found."""
        return self.p_value <= ALPHA and self.outcome.change < 0

    @property
    def gains(self) -> bool:
        """Return whether a gain was found."""
        return self.p_value <= ALPHA and self.outcome.change > 0


class ParameterCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many parameters a network has, how many of them are in its SE blocks, and how many in those of its last stage."""

    network: Count
    se: Count
    se_last_stage: Count


class AuditProvenance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an audit comes from: the network, the data, and the software; None where a file does not say it.

    Attributes:
        model, weights, preprocessing, precision, device, torch, sevis, date: as `sevis.experiments.collection.provenance` says them.
        outputs: of the network.
        data, split: the name of the data set, and its part.
        classes, images, images_left_out: how many were tested; left out were those of classes that the network does not know.
        per_class: the most images of a class, where not all were to be tested.
        seed: of the halves and of the circle.
    """

    model: str | None = None
    weights: str | None = None
    preprocessing: Preprocessing | str | None = None
    precision: str | None = None
    device: str | None = None
    torch: str | None = None
    sevis: str | None = None
    date: str | None = None
    data: str | None = None
    split: str | None = None
    classes: Count | None = None
    images: Count | None = None
    images_left_out: Count | None = None
    per_class: Count | None = None
    outputs: Annotated[int, msgspec.Meta(ge=1)] | None = None
    seed: int | None = None


class AuditRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of an audit's table: counts of images, and fractions to six digits, as many as are the same on every machine.

    Attributes:
        blocks: the address.
        before, after: the scales that are compared: "as it is", or one of CHANGES.
        images, correct, lost, won, top1, change: of the `Outcome`, and the ends of their intervals.
    """

    blocks: str
    before: str
    after: str
    images: Annotated[int, msgspec.Meta(ge=1, le=MOST)]
    correct: Count
    lost: Count
    won: Count
    top1: float
    top1_low: float
    top1_high: float
    change: float
    change_low: float
    change_high: float


class _FileFormat(msgspec.Struct, frozen=True):
    """What an older file of an audit has in common with the present one."""

    format: str


class _AuditFile(msgspec.Struct, frozen=True, kw_only=True):
    """The file of an audit."""

    format: Literal["sevis-audit-2"] = "sevis-audit-2"
    parameters: ParameterCounts
    rows: list[AuditRow]
    metadata: AuditProvenance


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What changed scales do to the top-1 of a network.

    Attributes:
        outcomes: what a change does to the network as it is, by address (each block, then its last stage such as SE_5, then SE: all
            blocks) and by change: `open` (s = 1), `level` (s is one number a block: the mean of its frozen scales over the channels),
            `frozen` (one a channel: its mean over the other half of the images), `shuffled` (s is that of another image).
        steps: what each step from `open` to the network as it is adds, by address and by step: `level` (from open to level), `pattern`
            (from level to frozen), `answer` (from frozen to as it is: one scale a channel and image).
        parameters: of the network.
        metadata: where it comes from.

    Raises:
        SevisError: where a change or a step is missing, the outcomes are not all of the same images, the steps contradict them, or the
            numbers of parameters contradict each other.
    """

    outcomes: Mapping[str, Mapping[str, Outcome]]
    steps: Mapping[str, Mapping[str, Outcome]]
    parameters: ParameterCounts
    metadata: AuditProvenance

    def __post_init__(self) -> None:
        parts, steps = list(self.outcomes.values()), list(self.steps.values())
        complete = len(parts) > 2 and tuple(self.outcomes)[-1] == ALL and all(tuple(part) == CHANGES for part in parts)
        complete &= tuple(self.steps) == tuple(self.outcomes) and all(tuple(part) == tuple(STEPS) for part in steps)
        if not complete or len({(outcome.images, outcome.correct) for part in parts for outcome in part.values()}) != 1:
            raise SevisError("a row is missing, or the rows are not all of the same images")
        if not all(self._holds(address) for address in self.outcomes):
            raise SevisError("its steps contradict its changes")
        if not 0 < self.parameters.se_last_stage <= self.parameters.se < self.parameters.network:
            raise SevisError("its numbers of parameters contradict each other")

    def _holds(self, address: str) -> bool:
        """Return whether each step of an address leads from the images that are right before it to those that are right after it."""
        steps, ladder = self.steps[address], self.ladder(address)
        ends = all(
            (step.images, step.correct, step.right) == (ladder[before].images, ladder[before].right, ladder[after].right)
            for step, (before, after) in ((steps[name], ends) for name, ends in STEPS.items())
        )
        return ends and steps["answer"] == self.outcomes[address]["frozen"].reverse

    @property
    def real(self) -> Outcome:
        """Return the outcome of the network as it is: nothing lost, nothing won."""
        outcome = self.outcomes[ALL]["open"]
        return Outcome(outcome.images, outcome.correct, 0, 0)

    def ladder(self, address: str) -> dict[str, Outcome]:
        """Return the outcomes of an address from open over level and frozen to as it is, and beside them shuffled, by their scales."""
        *rungs, shuffled = self.outcomes[address].items()
        return dict([*rungs, (OWN, self.real), shuffled])

    @cached_property
    def tests(self) -> tuple[BlockTest, ...]:
        """Return for each block whether freezing it alone changes top-1: the exact paired test, corrected for all blocks by Holm."""
        frozen = [self.outcomes[block]["frozen"] for block in self.blocks]
        corrected = holm([paired_test(outcome.lost, outcome.won) for outcome in frozen])
        smallest = [smallest_loss(part.lost + part.won, part.images, tests=len(frozen)) for part in frozen]
        return tuple(map(BlockTest, self.blocks, frozen, corrected, smallest))

    @property
    def guesses(self) -> bool:
        """Return whether the network recognises no more images than chance would."""
        outputs = self.metadata.outputs
        return outputs is not None and self.real.top1_interval[0] <= 1 / outputs

    @property
    def blocks(self) -> tuple[str, ...]:
        """Return the names of the SE blocks, in order."""
        return tuple(self.outcomes)[:-2]

    @property
    def last_stage(self) -> str:
        """Return the address of the last stage, such as SE_5."""
        return tuple(self.outcomes)[-2]

    @property
    def shares(self) -> tuple[float, float]:
        """Return the parameters that SE adds to the network without SE, as a fraction: in all stages, and in all but the last."""
        plain = self.parameters.network - self.parameters.se
        return self.parameters.se / plain, (self.parameters.se - self.parameters.se_last_stage) / plain

    @property
    def rows(self) -> list[AuditRow]:
        """Return a row for each change of an address, and then for each of its steps."""
        rows = []
        for address, part in self.outcomes.items():
            rows += [_row(address, OWN, change, outcome) for change, outcome in part.items()]
            rows += [_row(address, *STEPS[step], outcome) for step, outcome in self.steps[address].items()]
        return rows

    def table(self) -> dict[str, list[Any]]:
        """Return the rows by column name, and beside those of a single frozen block the numbers of its `BlockTest`; elsewhere NaN."""
        tests = {(test.block, OWN, "frozen"): test for test in self.tests}
        rows = self.rows
        of_row = [tests.get((row.blocks, row.before, row.after)) for row in rows]
        return {column: [getattr(row, column) for row in rows] for column in AuditRow.__struct_fields__} | {
            column: [getattr(test, column) if test else nan for test in of_row] for column in ("p_value", "smallest_loss")
        }

    def save(self, path: str | Path) -> None:
        """Write a JSON file, as a whole or not at all."""
        stored = _AuditFile(parameters=self.parameters, rows=self.rows, metadata=self.metadata)
        replace_file(Path(path), (json.dumps(msgspec.to_builtins(stored), indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: str | Path) -> "Audit":
        """Read what `save` wrote. Raises SevisError for a file that is missing, damaged, changed, or of another format."""
        try:
            data = Path(path).read_bytes()
            if msgspec.json.decode(data, type=_FileFormat).format == "sevis-audit-1":
                raise SevisError("it is of an older sevis, whose audits held no level")
            stored = msgspec.json.decode(data, type=_AuditFile)
            audit = cls(**_compared(stored.rows), parameters=stored.parameters, metadata=stored.metadata)
            same = audit.rows == stored.rows  # every fraction and interval follows from the counts
        except FileNotFoundError:
            raise SevisError(f"there is no audit at {path}: {AGAIN}") from None
        except (OSError, *UNREADABLE) as error:
            raise SevisError(f"{path} cannot be used ({one_line(error)}): {AGAIN}") from None
        if not same:
            raise SevisError(f"{path} cannot be used (its fractions do not match its counts): {AGAIN}")
        return audit

    def check_weights(self, sha256: str) -> None:
        """Raise SevisError when the audit was made with other weights than those of this SHA-256."""
        if self.metadata.weights != sha256:
            raise SevisError(
                f"the audit belongs to weights {str(self.metadata.weights)[:12]} of {self.metadata.model or 'an unnamed network'}, "
                f"not to {sha256[:12]}: {AGAIN}"
            )


def known_audit(weights: str) -> Audit | None:
    """Return the audit of the weights with this SHA-256 that is stored; None where there is none that can be used."""
    if not re.fullmatch("[0-9a-f]{64}", weights):  # it becomes part of a pattern of paths
        return None
    paths = sorted((home_folder() / "audit").glob(f"*.{weights[:12]}.json"))
    with suppress(SevisError):  # of an index.json that cannot be read
        paths = [card.audit_path for card in sound_cards() if card.sha256 == weights] + paths
    for path in paths:
        with suppress(SevisError):
            audit = Audit.load(path)
            audit.check_weights(weights)
            return audit
    return None


def _compared(rows: Sequence[AuditRow]) -> dict[str, dict[str, dict[str, Outcome]]]:
    """Return the outcomes and the steps that rows hold, by address; a row that is neither is left out."""
    found: dict[str, dict[tuple[str, str], Outcome]] = {}
    for row in rows:
        found.setdefault(row.blocks, {})[row.before, row.after] = Outcome(row.images, row.correct, row.lost, row.won)
    outcomes = {name: {after: part for (before, after), part in parts.items() if before == OWN} for name, parts in found.items()}
    steps = {name: {step: parts[ends] for step, ends in STEPS.items() if ends in parts} for name, parts in found.items()}
    return {"outcomes": outcomes, "steps": steps}


def _row(blocks: str, before: str, after: str, outcome: Outcome) -> AuditRow:
    ends = {"top1": (outcome.top1, *outcome.top1_interval), "change": (outcome.change, *outcome.change_interval)}
    fractions: dict[str, Any] = {
        f"{name}{end}": round(value, 6) for name, values in ends.items() for end, value in zip(("", "_low", "_high"), values, strict=True)
    }
    return AuditRow(blocks=blocks, before=before, after=after, **vars(outcome), **fractions)
