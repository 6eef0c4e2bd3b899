"""The ablations as figures: errors beside the paper's, and accuracy beside how alive the gates are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil

import plotly.graph_objects as go
from numpy.typing import ArrayLike
from plotly.subplots import make_subplots

from sevis.ablations.results import Estimate
from sevis.analysis.dead_gates import DEAD
from sevis.analysis.intervals import Interval
from sevis.figures.chart import Chart
from sevis.figures.theme import DEAD_LIMIT, GRID, MEASURED, NEUTRAL, PALETTE, PRINTED, finish, name_rows, whiskers
from sevis.paper import short_name
from sevis.weights.card import BlockAliveness

HERE, PAPER = "here, with 95 % interval over seeds", "the paper's figure"
ROW = 46  # pixels


@dataclass(frozen=True)
class Dot:
    """A row of one of the paper's ablation tables.

    Attributes:
        label: the paper's.
        measured: the top-1 error here, in percent; None where there is no run.
        printed: the paper's; None where it has no such row.
        baseline: whether it is the network that all others vary.
    """

    label: str
    measured: Estimate | None
    printed: float | None
    baseline: bool = False


@dataclass(frozen=True)
class Life:
    """How good a variant is, and how alive its gates are.

    Attributes:
        label: of the variant.
        error: top-1, in percent, mean over seeds.
        alive: the standard deviation of s over images, mean over channels, blocks and seeds.
        freezing: the points of top-1 that it costs to hold all gates at their means.
        chosen: whether it has a colour of its own, and a name in the legend.
    """

    label: str
    error: float
    alive: float
    freezing: float
    chosen: bool


@dataclass(frozen=True)
class Gain:
    """By how many points of top-1 a network with SE is better than without.

    Attributes:
        label: of its row.
        points: the difference.
        interval: at 95 %; None where only the difference is known.
        what: was compared, for whoever points at it.
        printed: whether it is the paper's figure.
    """

    label: str
    points: float
    interval: Interval | None
    what: str
    printed: bool = False


def error_dots(dots: Sequence[Dot], *, title: str, source: str = "") -> Chart:
    """Draw top-1 errors by row: those measured here with their intervals, and in a panel of their own those that the paper prints.

    The dotted lines are those of the baseline. In the table, what is not known is empty.

    Args:
        dots: in the order of the paper's table.
        title: number and title of the paper's table.
        source: device, seeds and date of the runs.
    """
    measured = [dot.measured for dot in dots]
    intervals = [part.interval if part and part.interval else ("", "") for part in measured]
    return Chart(
        _draw_errors(dots, title),
        caption="Top-1 error of each variant, measured here as the mean over seeds with its 95 % "
        "interval (Student's t), beside the paper's figure and in the paper's order; the dotted "
        f"line marks the default SE block{_after(source)}.",
        table={
            "variant": [dot.label for dot in dots],
            "top1_error": [str(part.mean) if part else "" for part in measured],
            "low": [str(low) for low, _ in intervals],
            "high": [str(high) for _, high in intervals],
            "seeds": [part.seeds if part else 0 for part in measured],
            "top1_error_paper": ["" if dot.printed is None else str(dot.printed) for dot in dots],
        },
    )


def _draw_errors(dots: Sequence[Dot], title: str) -> go.Figure:
    figure = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.06, column_widths=[0.58, 0.42])
    for column, name, colour, symbol in ((1, HERE, MEASURED, "circle"), (2, PAPER, PRINTED, "diamond")):
        known = [(index, dot, value) for index, dot in enumerate(dots) if (value := _value(dot, column)) is not None]
        spans = [(dot.measured.interval if dot.measured else None) or (value, value) for _, dot, value in known]
        figure.add_scatter(
            x=[value for _, _, value in known],
            y=[index for index, _, _ in known],
            error_x=whiskers([value for _, _, value in known], spans) if column == 1 else None,
            mode="markers",
            marker={"size": 12, "color": colour, "symbol": symbol},
            customdata=[_said(dot, column) for _, dot, _ in known],
            hovertemplate="<b>%{customdata}</b><extra></extra>",
            name=name,
            row=1,
            col=column,
        )
        for _, dot, value in known:
            if dot.baseline:
                figure.add_vline(x=value, line={"color": NEUTRAL, "width": 1.5, "dash": "dot"}, row=1, col=column)
    finish(figure, title=title, height=ROW * len(dots) + 190)
    figure.update_layout(hovermode="closest", margin={"t": 104, "b": 64})
    figure.update_xaxes(gridcolor=GRID, zeroline=False, nticks=5, tickangle=0)
    figure.update_xaxes(title_text="error here, in %", col=1)
    figure.update_xaxes(title_text="paper, in %", col=2)
    name_rows(figure, [escape(dot.label) for dot in dots])
    return figure


def life_map(lives: Sequence[Life], *, source: str = "", caveats: str = "") -> Chart:
    """Draw top-1 against the standard deviation of s over images: a dot a variant; left of the dotted line, gates count as dead.

    Args:
        lives: of all variants with SE.
        source: device, seeds and date of the runs.
        caveats: what must be known of some of them, whole sentences.
    """
    caption = (
        "Top-1 of every variant with SE against how far its scales s vary over images (means over "
        f"seeds): a variant that wins with dead gates wins for another reason{_after(source)}. {caveats}"
    )
    return Chart(
        _draw_lives(lives),
        caption=caption.strip(),
        table={
            "variant": [life.label for life in lives],
            "top1_error": [life.error for life in lives],
            "std_of_s_over_images": [life.alive for life in lives],
            "points_lost_when_frozen": [life.freezing for life in lives],
        },
    )


def _draw_lives(lives: Sequence[Life]) -> go.Figure:
    figure = go.Figure()
    others = [life for life in lives if not life.chosen]
    groups = [("other tables", others, NEUTRAL)] if others else []
    groups += [(life.label, [life], PALETTE[index % len(PALETTE)]) for index, life in enumerate(one for one in lives if one.chosen)]
    for name, mine, colour in groups:
        figure.add_scatter(
            x=[life.alive for life in mine],
            y=[100 - life.error for life in mine],
            mode="markers",
            marker={"size": 8 if mine is others else 14, "color": colour},
            customdata=[[escape(life.label), life.freezing] for life in mine],
            hovertemplate="<b>%{customdata[0]}</b>: top-1 %{y:.1f} %, s varies by %{x:.3f}, frozen it loses %{customdata[1]:.1f} points"
            "<extra></extra>",
            name=escape(name),
        )
    finish(figure, title="Accuracy beside aliveness", height=460)
    figure.update_layout(hovermode="closest", margin={"t": 64 + 20 * ceil(len(groups) / 2), "b": 60})  # a phone has two names in a row
    figure.add_vline(x=DEAD, line={"color": DEAD_LIMIT, "width": 1.5, "dash": "dot"}, annotation={"text": "dead", "yanchor": "top"})
    most = max([DEAD, *(life.alive for life in lives)])
    figure.update_xaxes(title_text="standard deviation of s over images", range=[0, 1.08 * most], showgrid=False, zeroline=False)
    figure.update_yaxes(title_text="top-1, in %", gridcolor=GRID, zeroline=False)
    return figure


def gain_dots(gains: Sequence[Gain], *, source: str = "") -> Chart:
    """Draw what SE adds to top-1, row by row, in points, with the interval where there is one; in the table, else it is empty.

    Args:
        gains: one a row.
        source: how they were measured, and device, seed and date.
    """
    ends = [gain.interval or ("", "") for gain in gains]
    return Chart(
        _draw_gains(gains),
        caption=f"Top-1 with SE minus top-1 without SE, in percentage points, here and in the paper{_after(source)}.",
        table={
            "what": [gain.what for gain in gains],
            "points": [gain.points for gain in gains],
            "low": [str(low) for low, _ in ends],
            "high": [str(high) for _, high in ends],
        },
    )


def _draw_gains(gains: Sequence[Gain]) -> go.Figure:
    figure = go.Figure()
    for printed, name, colour, symbol in ((False, HERE, MEASURED, "circle"), (True, PAPER, PRINTED, "diamond")):
        mine = [(index, gain) for index, gain in enumerate(gains) if gain.printed == printed]
        spans = [gain.interval or (gain.points, gain.points) for _, gain in mine]
        figure.add_scatter(
            x=[gain.points for _, gain in mine],
            y=[index for index, _ in mine],
            error_x=whiskers([gain.points for _, gain in mine], spans) | {"visible": not printed},
            mode="markers",
            marker={"size": 12, "color": colour, "symbol": symbol},
            customdata=[escape(gain.what) for _, gain in mine],
            hovertemplate="<b>%{x:+.2f} points</b>: %{customdata}<extra></extra>",
            name=name,
        )
    finish(figure, title="What SE adds to top-1", height=ROW * len(gains) + 190)
    figure.update_layout(hovermode="closest", margin={"t": 104, "b": 64})
    figure.add_vline(x=0, line={"color": NEUTRAL, "width": 2})
    ends = [0.0, *(end for gain in gains for end in gain.interval or (gain.points,))]
    room = 0.08 * (max(ends) - min(ends)) + 0.05
    figure.update_xaxes(
        title_text="percentage points, with SE minus without",
        range=[min(ends) - room, max(ends) + room],
        gridcolor=GRID,
        zeroline=False,
    )
    name_rows(figure, [escape(gain.label) for gain in gains])
    return figure


def gate_bars(blocks: Mapping[str, BlockAliveness], *, network: str, source: str = "") -> Chart:
    """Draw how far the gates of each block move: the standard deviation of s over images, mean over channels; below the line they are dead.

    Args:
        blocks: what `sevis.experiments.evaluation.measure_gates` says of each block.
        network: its name.
        source: device, seed and date of its training.
    """
    table: dict[str, ArrayLike] = {"block": list(blocks)}
    table |= {column: [getattr(block, column) for block in blocks.values()] for column in ("std_over_images", "mean", "top1_frozen")}
    return Chart(
        _draw_gates(blocks),
        caption="The standard deviation of the scale s over the validation photos, averaged over the "
        f"channels of each block of {network}; below the dotted line, the gates of a block count "
        f"as dead{_after(source)}.",
        table=table,
    )


def _draw_gates(blocks: Mapping[str, BlockAliveness]) -> go.Figure:
    figure = go.Figure(
        go.Bar(
            x=[escape(short_name(name)) for name in blocks],
            y=[block.std_over_images for block in blocks.values()],
            marker={"color": MEASURED},
            customdata=[[escape(name), 100 * block.top1_frozen] for name, block in blocks.items()],
            hovertemplate="<b>%{customdata[0]}</b>: s varies by %{y:.3f}; frozen, top-1 is %{customdata[1]:.1f} %<extra></extra>",
        )
    )
    finish(figure, title="How alive the gates are", height=340)
    figure.update_layout(hovermode="closest")
    figure.add_hline(y=DEAD, line={"color": DEAD_LIMIT, "width": 1.5, "dash": "dot"})
    figure.update_xaxes(title_text="block (stage_number)", type="category", tickangle=-60, showgrid=False)
    figure.update_yaxes(title_text="standard deviation of s", rangemode="tozero", gridcolor=GRID)
    return figure


def _after(source: str) -> str:
    """Return a source as the end of a sentence."""
    return f"; {source}" if source else ""


def _value(dot: Dot, column: int) -> float | None:
    if column == 2:
        return dot.printed
    return None if dot.measured is None else dot.measured.mean


def _said(dot: Dot, column: int) -> str:
    """Return what the mouse finds."""
    if column == 2 or dot.measured is None:
        return f"{escape(dot.label)}: {dot.printed:.2f} % ({PAPER})"
    interval = dot.measured.interval
    seeds = "a single seed" if dot.measured.seeds == 1 else f"{dot.measured.seeds} seeds"
    spread = f"{interval[0]:.1f} to {interval[1]:.1f}, {seeds}" if interval else f"{seeds}: no interval"
    return f"{escape(dot.label)}: {dot.measured.mean:.1f} % ({spread})"
