"""Level, pattern, answer: top-1 on the ladder from open gates to those of the network, and what each step adds in each block."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from sevis.analysis.audit import ALL, OWN, STEPS, Audit, Outcome
from sevis.analysis.audit_words import address_words, change_words
from sevis.figures.chart import Chart
from sevis.figures.theme import ANSWERING, FROZEN, GRID, LEVELLED, NEUTRAL, OPENED, SHUFFLED, TEXT_SIZE, finish, whiskers

COLOURS = {"open": OPENED, "level": LEVELLED, "frozen": FROZEN, OWN: ANSWERING, "shuffled": SHUFFLED}  # of scales, and of the step to them
SYMBOLS = {"level": "diamond", "frozen": "circle", OWN: "square", "shuffled": "triangle-up"}
NAMES = {"level": "level", "frozen": "pattern", OWN: "answer", "shuffled": "unshuffled"}  # of the step to some scales, or away from them
RUNG, ROW, BETWEEN, AROUND = 44, 40, 120, 136  # pixels: a bar, a row of dots, between the two parts, above and below them
WIDER = 1.75  # than the longest bar with its interval: there is room for a number on a phone
OFFSET = 0.2  # of a row, between its dots
ABOUT_AUDIT = (
    "If a gate has learnt a constant, it could be left out. To test this, the scales s are replaced over a data set, step by step: by 1 "
    "(open), by one number a block (level), and by one number a channel (frozen). As they are, they have one number a channel and "
    "photo. What top-1 gains at each step tells what of a gate is its level, its pattern over the channels, and its answer to the photo. "
    "Beside these, each photo gets the scales of another one (shuffled)."
)
CAPTION = (
    "Above, all blocks are changed; below, one block, or those of the last stage. Open: s = 1. Level: one number a block, the mean of its "
    "frozen scales. Frozen: one a channel, its mean over the other half of the photos. Shuffled: the scales of another photo. The steps: "
    "level, from open to level; pattern, from level to frozen; answer, from frozen to as it is; unshuffled, from shuffled to as it is. The "
    "lines are 95 % intervals over photos (Wilson above; paired, Agresti and Min 2005, below): about one in twenty misses the true value."
)


def audit_chart(audit: Audit) -> Chart:
    """Draw the top-1 of all blocks on each rung of the ladder; below it, what each step adds in each block and the last stage."""
    rungs, addresses = audit.ladder(ALL), (*audit.blocks, audit.last_stage)
    heights = [RUNG * len(rungs), ROW * len(addresses)]
    figure = make_subplots(2, 1, row_heights=heights, vertical_spacing=BETWEEN / (sum(heights) + BETWEEN))
    for trace in _rungs(audit):
        figure.add_trace(trace, row=1, col=1)
    for place, scales in enumerate(SYMBOLS):
        figure.add_trace(_dots(audit, addresses, scales, offset=OFFSET * (place - (len(SYMBOLS) - 1) / 2)), row=2, col=1)
    for row, labels in ((1, list(rungs)), (2, [address_words(audit, address) for address in addresses])):
        figure.update_yaxes(range=[len(labels) - 0.5, -0.5], tickvals=list(range(len(labels))), ticktext=labels, row=row, col=1)
    finish(figure, title="Level, pattern, answer", height=sum(heights) + BETWEEN + AROUND)
    figure.update_layout(hovermode="closest", margin={"t": 56, "b": 80}, bargap=0.25)
    figure.update_layout(legend={"y": 1 - (heights[0] + BETWEEN - 8) / (sum(heights) + BETWEEN), "yanchor": "bottom"})
    figure.update_xaxes(showgrid=True, gridcolor=GRID, nticks=7, tickangle=0, zeroline=True, zerolinewidth=2, zerolinecolor=NEUTRAL)
    longest = 100 * max(outcome.top1_interval[1] for outcome in rungs.values())
    figure.update_xaxes(title_text="all blocks: top-1, %", range=[0, WIDER * longest], row=1, col=1)
    figure.update_xaxes(title_text="one block: what the step adds, points", range=_span(audit, addresses), row=2, col=1)
    figure.update_yaxes(showgrid=False, zeroline=False)
    return Chart(figure, CAPTION, audit.table())


def _rungs(audit: Audit) -> tuple[go.Bar, go.Scatter]:
    """Return the top-1 of each rung as a bar, and the number behind its interval, with what the step to it adds."""
    rungs, rows = audit.ladder(ALL), np.arange(len(audit.ladder(ALL)))
    added = {after: audit.steps[ALL][step] for step, (_, after) in STEPS.items()}
    values = np.array([100 * outcome.top1 for outcome in rungs.values()])
    intervals = np.array([[100 * end for end in outcome.top1_interval] for outcome in rungs.values()])
    told = [f"<br>the step to it adds {change_words(added[scales])} points" if scales in added else "" for scales in rungs]
    bars = go.Bar(
        x=values,
        y=rows,
        orientation="h",
        marker={"color": [COLOURS[scales] for scales in rungs]},
        error_x=whiskers(values, intervals) | {"color": NEUTRAL},
        showlegend=False,
        customdata=[[scales, *ends, words] for scales, ends, words in zip(rungs, intervals, told, strict=True)],
        hovertemplate="<b>all blocks %{customdata[0]}</b>: %{x:.1f} % (%{customdata[1]:.1f} to %{customdata[2]:.1f})%{customdata[3]}"
        "<extra></extra>",
    )
    texts = [_label(outcome, added.get(scales)) for scales, outcome in rungs.items()]
    numbers = go.Scatter(
        x=intervals[:, 1],
        y=rows,
        mode="text",
        text=texts,
        textposition="middle right",
        textfont={"size": TEXT_SIZE + 2},
        cliponaxis=False,
        showlegend=False,
        hoverinfo="skip",
    )
    return bars, numbers


def _label(outcome: Outcome, step: Outcome | None) -> str:
    more = f" ({100 * step.change:+.1f})".replace("-", "−") if step else ""
    return f" {100 * outcome.top1:.1f} %{more}"


def _dots(audit: Audit, addresses: Sequence[str], scales: str, *, offset: float) -> go.Scatter:
    """Return what the step to some scales adds at each address, as dots with their intervals."""
    steps, name = _steps(audit, addresses, scales), NAMES[scales]
    values = np.array([100 * step.change for step in steps])
    intervals = [[100 * end for end in step.change_interval] for step in steps]
    return go.Scatter(
        x=values,
        y=np.arange(len(addresses)) + offset,
        error_x=whiskers(values, intervals, thin=True),
        customdata=[[address, change_words(step)] for address, step in zip(addresses, steps, strict=True)],
        mode="markers",
        marker={"color": COLOURS[scales], "symbol": SYMBOLS[scales], "size": 10},
        name=name,
        hovertemplate=f"<b>%{{customdata[0]}}</b>: %{{customdata[1]}} points<extra>{name}</extra>",
    )


def _steps(audit: Audit, addresses: Sequence[str], scales: str) -> list[Outcome]:
    """Return the steps to some scales, by address; for those of another photo, the steps from them to the own ones."""
    if scales == "shuffled":
        return [audit.outcomes[address][scales].reverse for address in addresses]
    return [audit.steps[address][NAMES[scales]] for address in addresses]


def _span(audit: Audit, addresses: Sequence[str]) -> list[float]:
    """Return the span from the lowest end of an interval to the highest, zero among them, with a little room."""
    steps = [step for scales in SYMBOLS for step in _steps(audit, addresses, scales)]
    ends = [100 * end for step in steps for end in step.change_interval]
    low, high = min(0.0, *ends), max(0.0, *ends)
    return [low - 0.04 * (high - low), high + 0.04 * (high - low)]
