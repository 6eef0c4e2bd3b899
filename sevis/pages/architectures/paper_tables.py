"""The panel with all networks of the paper's Tables 2 and 3, and SENet-154: their costs are counted once for all visitors."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import streamlit as st

from sevis.figures.networks.costs import Point, error_and_cost
from sevis.pages.architectures.designs import SENET_154, TITLES, Design, cost_of
from sevis.pages.shared.growing import show_growing
from sevis.pages.shared.show import show
from sevis.paper import SENET_154 as SENET_154_PRINTED
from sevis.paper import TABLES_2_AND_3, Printed

Network = tuple[str, bool]  # the plain network's name, and whether SE is in it
NETWORKS: tuple[Network, ...] = (*((row.name, gated) for row in TABLES_2_AND_3 for gated in (False, True)), (SENET_154, True))
KEYS = ("costs of the paper's tables",)


@dataclass(frozen=True)
class Counted:
    """Multiply-adds and parameters of the networks that were counted so far."""

    costs: dict[Network, tuple[int, int]] = field(default_factory=dict)

    @property
    def done(self) -> float:
        """Return how many of all, in 0..1."""
        return len(self.costs) / len(NETWORKS)


def show_paper() -> None:
    """Show the scatter and the table, with the paper's costs alone until all are counted here: drawing takes longer than counting."""
    show_growing("paper", KEYS, lambda _: _count(), _draw)


def _count() -> Iterator[Counted]:
    costs: dict[Network, tuple[int, int]] = {}
    for name, gated in NETWORKS:
        design = Design(name)
        cost = cost_of(design if gated else design.plain)
        costs[name, gated] = cost.multiply_adds, cost.parameters
        yield Counted(dict(costs))


def _draw(known: Counted) -> None:
    counted = known if known.done >= 1 else Counted()
    show(error_and_cost(points_of(counted)), key="error-and-cost")
    _show_rows(counted)


def points_of(counted: Counted) -> list[Point]:
    """Return all networks for the scatter, with the costs that are known."""
    printed: list[tuple[str, bool, Printed]] = [
        (row.name, gated, row.gated if gated else row.plain) for row in TABLES_2_AND_3 for gated in (False, True)
    ]
    printed.append((SENET_154, True, SENET_154_PRINTED))
    return [
        Point(TITLES[name], gated, one.top1, one.multiply_adds, next(iter(counted.costs.get((name, gated), ())), None))
        for name, gated, one in printed
    ]


def _show_rows(counted: Counted) -> None:
    rows = [
        {
            "Network": row.title,
            "Table": str(row.table),
            "Top-1 error in %, paper": f"{one.top1:.{digits}f} → {other.top1:.{digits}f}",
            "GFLOPs, paper": f"{_giga(one.multiply_adds, one.digit)} → {_giga(other.multiply_adds, other.digit)}",
            "GFLOPs, counted here": _arrow(counted, row.name, index=0, unit=1e9, digits=3),
            "Parameters, paper": f"{one.parameters / 1e6:g} → {other.parameters / 1e6:g} M" if one.parameters and other.parameters else "–",
            "Parameters, counted here": _arrow(counted, row.name, index=1, unit=1e6, digits=2, end=" M"),
        }
        for row in TABLES_2_AND_3
        for one, other, digits in [(row.plain, row.gated, 2 if row.table == 2 else 1)]
    ]
    st.dataframe(rows, hide_index=True, width="stretch", height="content", alt="The rows of Tables 2 and 3, from plain to SE")
    st.caption("All rows of Tables 2 and 3, without SE → with SE. GFLOPs are billions of multiply-adds, both in the paper and here.")
    for row in TABLES_2_AND_3:
        if row.note:
            st.caption(f"Where our count differs from the paper's figure: {row.note}.")


def _arrow(counted: Counted, name: str, *, index: int, unit: float, digits: int, end: str = "") -> str:
    """Return both counts of a network, as far as they are known."""
    known = [counted.costs[name, gated][index] / unit if (name, gated) in counted.costs else None for gated in (False, True)]
    return " → ".join("…" if value is None else f"{value:.{digits}f}" for value in known) + end


def _giga(value: float | None, digit: float) -> str:
    return "" if value is None else f"{value / 1e9:.{2 if digit > 5e6 else 3}f}"
