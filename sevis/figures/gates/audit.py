"""Is the gate dynamic? The change of top-1 when gates are opened, frozen or shuffled, and what it says, in words."""

from collections.abc import Iterable, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sevis.analysis.audit import ALL, CHANGES, Audit
from sevis.figures.chart import Chart
from sevis.figures.theme import FROZEN, GRID, NEUTRAL, OPENED, SHUFFLED, finish, whiskers

NAMES = {"open": "open (s = 1)", "frozen": "frozen", "shuffled": "shuffled"}
COLOURS = dict(zip(CHANGES, (OPENED, FROZEN, SHUFFLED), strict=True))
SYMBOLS = dict(zip(CHANGES, ("diamond", "circle", "square"), strict=True))
ROW, SPACE = 36, 184  # pixels: a row, and all that is not rows
OFFSET = 0.25  # of a row, between the three dots


def audit_chart(audit: Audit) -> Chart:
    """Draw the change of top-1 in points with its 95 % interval: a row for each block; below, on their own axis, the last stage and all."""
    single, several = audit.blocks, (audit.last_stage, ALL)
    names = {audit.last_stage: f"all of {audit.last_stage}", ALL: "all blocks"}
    figure = make_subplots(
        2, 1, row_heights=[len(single), len(several)], vertical_spacing=min(0.5, 80 / (ROW * (len(single) + len(several)) + 80))
    )
    for row, addresses in ((1, single), (2, several)):
        for change in CHANGES:
            figure.add_trace(_dots(audit, addresses, change, labelled=row == 1), row=row, col=1)
        labels = [names.get(address, address) for address in addresses]
        figure.update_yaxes(range=[len(labels) - 0.5, -0.5], tickvals=list(range(len(labels))), ticktext=labels, row=row, col=1)
        figure.update_xaxes(range=_span(audit, addresses), row=row, col=1)
    height = ROW * (len(single) + len(several)) + 80 + SPACE
    finish(figure, title="Change of top-1, block by block", height=height)
    figure.update_layout(hovermode="closest", margin={"t": 104, "b": 64})
    figure.update_xaxes(zeroline=True, zerolinewidth=2, zerolinecolor=NEUTRAL, showgrid=True, gridcolor=GRID, nticks=7, tickangle=0)
    figure.update_xaxes(title_text="percentage points, 95 % intervals over photos", row=2, col=1)
    figure.update_yaxes(showgrid=False, zeroline=False)
    caption = (
        "A dot left of 0 is a loss; the intervals compare the two networks on the same photos (Agresti "
        "and Min, 2005), and about one interval in twenty misses 0 by chance."
    )
    return Chart(figure, caption, audit.table())


def _dots(audit: Audit, addresses: Sequence[str], change: str, *, labelled: bool) -> go.Scatter:
    outcomes = [audit.outcomes[address][change] for address in addresses]
    values = np.array([100 * outcome.change for outcome in outcomes])
    intervals = [[100 * end for end in outcome.change_interval] for outcome in outcomes]
    rows = np.arange(len(addresses)) + OFFSET * (CHANGES.index(change) - 1)
    return go.Scatter(
        x=values,
        y=rows,
        error_x=whiskers(values, intervals, thin=True),
        customdata=[[address, *ends, 100 * part.top1] for address, ends, part in zip(addresses, intervals, outcomes, strict=True)],
        mode="markers",
        marker={"color": COLOURS[change], "symbol": SYMBOLS[change], "size": 9},
        name=NAMES[change],
        legendgroup=change,
        showlegend=labelled,
        hovertemplate="<b>%{customdata[0]}</b>: %{x:+.1f} points (%{customdata[1]:+.1f} to %{customdata[2]:+.1f}), "
        f"top-1 %{{customdata[3]:.1f}} %<extra>{NAMES[change]}</extra>",
    )


def _span(audit: Audit, addresses: Iterable[str]) -> list[float]:
    """Return the span from the lowest end of an interval to the highest, zero among them, with a little room."""
    ends = [100 * end for address in addresses for outcome in audit.outcomes[address].values() for end in outcome.change_interval]
    low, high = min(0.0, *ends), max(0.0, *ends)
    return [low - 0.04 * (high - low), high + 0.04 * (high - low)]
