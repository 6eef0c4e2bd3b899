"""Is the gate dynamic? The change of top-1 when gates are opened, frozen or shuffled, and what it says, in words."""

from collections.abc import Iterable, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sevis.analysis.audit import ALL, CHANGES, Audit, Outcome
from sevis.analysis.statements import listed
from sevis.figures.chart import Chart
from sevis.figures.theme import FROZEN, GRID, NEUTRAL, OPENED, SHUFFLED, finish, whiskers

NAMES = {"open": "open (s = 1)", "frozen": "frozen", "shuffled": "shuffled"}
COLOURS = dict(zip(CHANGES, (OPENED, FROZEN, SHUFFLED), strict=True))
SYMBOLS = dict(zip(CHANGES, ("diamond", "circle", "square"), strict=True))
ROW, SPACE = 36, 184  # pixels: a row, and all that is not rows
OFFSET = 0.25  # of a row, between the three dots
PAPER = (
    "In the paper, removing these blocks costs less than 0.1 % (top-5 error), and SE then adds about 4 % to the parameters, not about 10 %."
)


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
    figure.update_xaxes(title_text="percentage points, with 95 % intervals", row=2, col=1)
    figure.update_yaxes(showgrid=False, zeroline=False)
    caption = (
        "A dot left of 0 is a loss; the intervals compare the two networks on the same photos (Agresti "
        "and Min, 2005), and about one interval in twenty misses 0 by chance."
    )
    return Chart(figure, caption, audit.table())


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


def _with_interval(outcome: Outcome) -> str:
    low, high = outcome.change_interval
    return f"{_points(outcome.change)} ({_signed(low)} to {_signed(high)})"


def _points(change: float) -> str:
    return f"{_signed(change)} points"


def _signed(change: float) -> str:
    return f"{100 * change:+.1f}".replace("-", "−")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
