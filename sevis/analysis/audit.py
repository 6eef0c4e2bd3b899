"""Is the gate dynamic? What changed scales do to the top-1 of a network: the numbers, and the file that holds them.

`sevis.experiments.audit` makes an audit; what reads one does without torch.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from sevis.analysis.intervals import Interval, paired_change, wilson
from sevis.analysis.statements import listed
from sevis.data.preprocessing import Preprocessing
from sevis.errors import UNREADABLE, SevisError, one_line
from sevis.files import replace_file
from sevis.weights.card import HIGHEST, Count

ALL = "SE"  # the address of every block
CHANGES = ("open", "frozen", "shuffled")
AGAIN = "make it again with python -m sevis audit"
PAPER = (
    "In the paper, removing these blocks costs less than 0.1 % (top-5 error), and SE then adds about 4 % to the parameters, not about 10 %."
)


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
        """Return the fraction of images that are right with the changed scales."""
        return (self.correct - self.lost + self.won) / self.images

    @property
    def top1_interval(self) -> Interval:
        """Return the 95 % interval of `top1` (Wilson)."""
        return wilson(self.correct - self.lost + self.won, self.images)

    @property
    def change(self) -> float:
        """Return what the change adds to top-1, in -1..1: below zero it costs."""
        return (self.won - self.lost) / self.images

    @property
    def change_interval(self) -> Interval:
        """Return the 95 % interval of `change`, which compares the images pairwise (Agresti and Min)."""
        return paired_change(self.lost, self.won, self.images)


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
    """One line of an audit's table: counts of images, and fractions to six digits, as many as are the same on every machine."""

    blocks: str
    scales: str
    images: Annotated[int, msgspec.Meta(ge=1, le=HIGHEST)]
    correct: Count
    lost: Count
    won: Count
    top1: float
    top1_low: float
    top1_high: float
    change: float
    change_low: float
    change_high: float


class _AuditFile(msgspec.Struct, frozen=True, kw_only=True):
    """The file of an audit."""

    format: Literal["sevis-audit-1"] = "sevis-audit-1"
    parameters: ParameterCounts
    rows: list[AuditRow]
    metadata: AuditProvenance


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What changed scales do to the top-1 of a network.

    Attributes:
        outcomes: by address (each block, then its last stage such as SE_5, then SE: all blocks) and by change: `open` (s = 1), `frozen` (s
            is its mean over the other half of the images), `shuffled` (s is that of another image).
        parameters: of the network.
        metadata: where it comes from.

    Raises:
        SevisError: where a change is missing, the outcomes are not all of the same images, or the numbers of parameters contradict each
            other.
    """

    outcomes: Mapping[str, Mapping[str, Outcome]]
    parameters: ParameterCounts
    metadata: AuditProvenance

    def __post_init__(self) -> None:
        parts = list(self.outcomes.values())
        complete = len(parts) > 2 and tuple(self.outcomes)[-1] == ALL and all(tuple(part) == CHANGES for part in parts)
        if not complete or len({(outcome.images, outcome.correct) for part in parts for outcome in part.values()}) != 1:
            raise SevisError("a row is missing, or the rows are not all of the same images")
        if not 0 < self.parameters.se_last_stage <= self.parameters.se < self.parameters.network:
            raise SevisError("its numbers of parameters contradict each other")

    @property
    def real(self) -> Outcome:
        """Return the outcome of the network as it is: nothing lost, nothing won."""
        outcome = self.outcomes[ALL]["open"]
        return Outcome(outcome.images, outcome.correct, 0, 0)

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
        """Return one row per address and change."""
        return [_row(address, change, outcome) for address, part in self.outcomes.items() for change, outcome in part.items()]

    def table(self) -> dict[str, list[Any]]:
        """Return the rows by column name."""
        return {column: [getattr(row, column) for row in self.rows] for column in AuditRow.__struct_fields__}

    def save(self, path: str | Path) -> None:
        """Write a JSON file, as a whole or not at all."""
        stored = _AuditFile(parameters=self.parameters, rows=self.rows, metadata=self.metadata)
        replace_file(Path(path), (json.dumps(msgspec.to_builtins(stored), indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: str | Path) -> "Audit":
        """Read what `save` wrote. Raises SevisError for a file that is missing, damaged, changed, or of another format."""
        try:
            stored = msgspec.json.decode(Path(path).read_bytes(), type=_AuditFile)
            outcomes: dict[str, dict[str, Outcome]] = {}
            for row in stored.rows:
                outcomes.setdefault(row.blocks, {})[row.scales] = Outcome(row.images, row.correct, row.lost, row.won)
            audit = cls(outcomes=outcomes, parameters=stored.parameters, metadata=stored.metadata)
            same = audit.rows == stored.rows  # every fraction and interval follows from the counts
        except FileNotFoundError:
            raise SevisError(f"there is no audit at {path}: {AGAIN}") from None
        except (OSError, *UNREADABLE) as error:
            raise SevisError(f"{path} is damaged ({one_line(error)}): {AGAIN}") from None
        if not same:
            raise SevisError(f"{path} is damaged (its fractions do not match its counts): {AGAIN}")
        return audit

    def check_weights(self, sha256: str) -> None:
        """Raise SevisError when the audit was made with other weights than those of this SHA-256."""
        if self.metadata.weights != sha256:
            raise SevisError(
                f"the audit belongs to weights {str(self.metadata.weights)[:12]} of {self.metadata.model or 'an unnamed network'}, "
                f"not to {sha256[:12]}: {AGAIN}"
            )


def _row(blocks: str, scales: str, outcome: Outcome) -> AuditRow:
    ends = {"top1": (outcome.top1, *outcome.top1_interval), "change": (outcome.change, *outcome.change_interval)}
    fractions: dict[str, Any] = {
        f"{name}{end}": round(value, 6) for name, values in ends.items() for end, value in zip(("", "_low", "_high"), values, strict=True)
    }
    return AuditRow(blocks=blocks, scales=scales, **vars(outcome), **fractions)


def reading(audit: Audit) -> str:
    """Return what the audit says of single blocks and of all of them, in a few sentences that follow from its numbers."""
    if _guesses(audit):
        return f"The network recognises {audit.real.top1:.1%} of the photos, which is no more than guessing. So this audit says nothing."
    free = [name for name in audit.blocks if audit.outcomes[name]["frozen"].change_interval[1] >= 0]
    dear = min(audit.blocks, key=lambda name: audit.outcomes[name]["frozen"].change)
    count = f"{len(free)} of {len(audit.blocks)} blocks" if len(free) < len(audit.blocks) else f"each of the {len(audit.blocks)} blocks"
    if free:
        lowest = min(audit.outcomes[name]["frozen"].change_interval[0] for name in free)
        named = f" ({listed(free)})" if len(free) < len(audit.blocks) else ""
        one = f"Frozen one at a time, {count}{named} cost nothing measurable: their intervals hold 0 (and reach {_points(lowest)})."
    else:
        one = "No block can be frozen without a measurable loss."
    frozen, shuffled = audit.outcomes[ALL]["frozen"], audit.outcomes[ALL]["shuffled"]
    verdict = "which is what the answer to each photo is worth" if frozen.change_interval[1] < 0 else "which is not measurable"
    return (
        f"{one} Freezing {dear} costs most: {_with_interval(audit.outcomes[dear]['frozen'])}. All "
        f"blocks frozen at once: {_with_interval(frozen)}, {verdict}. All blocks with the gates of "
        f"another photo: {_with_interval(shuffled)}."
    )


def last_stage_question(audit: Audit) -> str:
    """Return what the paper asks of the last stage's SE blocks."""
    return f"What are the SE blocks of the last stage ({audit.last_stage}) worth?"


def last_stage_answer(audit: Audit) -> str:
    """Return the paper's answer to `last_stage_question`, and this network's: what these blocks are worth, and what they cost."""
    outcomes, (with_last, without_last) = audit.outcomes[audit.last_stage], audit.shares
    worth = (
        f"Here, without retraining, top-1 changes by {_with_interval(outcomes['open'])} when they "
        f"are opened (s = 1), and by {_with_interval(outcomes['frozen'])} when they are frozen."
    )
    if _guesses(audit):
        worth = "This network only guesses, so it cannot say what they are worth here."
    return (
        f"{PAPER} {worth} An opened or frozen block needs no parameters, because a constant scale can be "
        "multiplied into the weights beside it. Without the last stage's blocks, the parameters that SE "
        f"adds fall from {_percent(with_last)} to {_percent(without_last)} of the network without SE."
    )


def describe_audit(audit: Audit) -> str:
    """Return where the numbers come from, in one sentence."""
    known = audit.metadata
    low, high = audit.real.top1_interval
    left_out = f", {known.images_left_out:,} of other classes left out" if known.images_left_out else ""
    some = f" (at most {known.per_class} of each)" if known.per_class else ""
    data = " ".join(part for part in (known.data, known.split) if part) or "an unnamed data set"
    return (
        f"{known.model or 'A network'} (weights {str(known.weights)[:8]}) recognises {audit.real.top1:.1%} "
        f"({low:.1%} to {high:.1%}) of {audit.real.images:,} photos of {known.classes} classes{some}: {data}{left_out}, seed "
        f"{known.seed}, audited on {known.date}."
    )


def _guesses(audit: Audit) -> bool:
    """Return whether the network recognises no more than chance would."""
    outputs = audit.metadata.outputs
    return outputs is not None and audit.real.top1_interval[0] <= 1 / outputs


def _with_interval(outcome: Outcome) -> str:
    low, high = outcome.change_interval
    return f"{_points(outcome.change)} ({_signed(low)} to {_signed(high)})"


def _points(change: float) -> str:
    return f"{_signed(change)} points"


def _signed(change: float) -> str:
    return f"{100 * change:+.1f}".replace("-", "−")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
