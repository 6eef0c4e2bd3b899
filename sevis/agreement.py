"""Is the order of the measured variants the paper's? Pair by pair of each of its tables 10 to 16."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

from sevis.ablation_grid import Row, Table
from sevis.ablations import Ablations, Estimate

AGREES, DISAGREES, NOISY, MISSING = "agrees", "disagrees", "too noisy to tell", "not measured"
VERDICTS = (AGREES, DISAGREES, NOISY, MISSING)


@dataclass(frozen=True)
class Pair:
    """Two rows of a table.

    Attributes:
        first, second: the rows, in the table's order.
        printed: the top-1 error of the first minus that of the second, in points, as the paper prints them; it has one run of each.
        measured: the same over the seeds that both have, paired; None where there is none.
    """

    first: Row
    second: Row
    printed: float
    measured: Estimate | None

    @property
    def verdict(self) -> str:
        """One of VERDICTS: whether the measured order is the printed one; too noisy where the interval holds 0, or there is none."""
        if self.measured is None:
            return MISSING
        if not self.measured.sign:
            return NOISY
        return AGREES if self.measured.sign * self.printed > 0 else DISAGREES


def compare(table: Table, ablations: Ablations) -> tuple[Pair, ...]:
    """Every pair of rows that the paper has too."""
    return tuple(
        Pair(first, second, round(first.printed.top1 - second.printed.top1, 2), ablations.difference(first.key, second.key))
        for first, second in combinations(table.rows, 2)
        if first.printed is not None and second.printed is not None
    )


def count_verdicts(pairs: Iterable[Pair]) -> dict[str, int]:
    """How many pairs there are of each verdict."""
    found = [pair.verdict for pair in pairs]
    return {verdict: found.count(verdict) for verdict in VERDICTS}
