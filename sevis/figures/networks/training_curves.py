"""How trainings went: loss and top-1 by epoch, of whole runs, of several seeds together, and of one that is still going on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import nan

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from plotly.subplots import make_subplots

from sevis.errors import SevisError
from sevis.figures.chart import Chart
from sevis.figures.theme import GRID, NEUTRAL, PALETTE, TEXT_SIZE, finish, translucent

Epoch = Mapping[str, float | str]  # a row of a log: epoch, size, train_loss, val_loss, top1, top5, seconds
Array = NDArray[np.float64]
COLUMNS = ("train_loss", "val_loss", "top1")
BAND = 0.2  # the opacity of what lies between the seeds
LOSSES = [first * 10.0**power for power in range(-4, 5) for first in (1, 2, 5)]  # written at a log axis, which else has "2" for 20
WITH_AND_WITHOUT = "Training with SE and without"
WINDOW = 10  # steps that one point of a live loss is the mean of


@dataclass(frozen=True)
class LiveCurve:
    """A run that may be going on.

    Attributes:
        losses: of every step so far.
        top1: on the validation images after each whole epoch, as fractions.
        steps: of one epoch.
    """

    losses: Sequence[float]
    top1: Sequence[float]
    steps: int


def training_curves(runs: Mapping[str, Sequence[Epoch]], *, what: str = "Training", source: str = "") -> Chart:
    """Draw loss and top-1 by epoch, a colour a run: the validation loss solid, the training loss dotted.

    Args:
        runs: the rows of their logs by what they are called; a row has `epoch` and the COLUMNS (fractions and nats), as numbers or as
            a CSV file's text; what it lacks is left out.
        what: is drawn, as the beginning of the caption.
        source: device, seed and date of the runs.

    Raises:
        SevisError: for no run, and for one without a finished epoch.
    """
    return seed_curves({name: (rows,) for name, rows in runs.items()}, what=what, source=source)


def seed_curves(groups: Mapping[str, Sequence[Sequence[Epoch]]], *, what: str = "Training", source: str = "") -> Chart:
    """Draw what `training_curves` draws of groups of runs that differ in their seed: their mean, and a band from lowest to highest.

    Args:
        groups: the runs of each group by its name; drawn as far as all of a group have come.
        what, source: as for `training_curves`.

    Raises:
        SevisError: for no run, and for one without a finished epoch.
    """
    figure = _draw_groups(_checked(groups))
    several = any(len(runs) > 1 for runs in groups.values())
    how = "mean over seeds, with a band from the lowest to the highest" if several else "by epoch"
    return Chart(
        figure,
        caption=f"{what}, {how}: the solid line is the validation loss, the dotted line the loss on "
        "augmented training images, and top-1 is that of the validation "
        f"images{f'; {source}' if source else ''}.",
        table=_epochs_table(groups),
    )


def _draw_groups(groups: Mapping[str, Sequence[Sequence[Epoch]]]) -> go.Figure:
    figure = _panels()
    for index, (name, runs) in enumerate(groups.items()):
        colour = PALETTE[index % len(PALETTE)]
        for column, row, dash in (("val_loss", 1, "solid"), ("train_loss", 1, "dot"), ("top1", 2, "solid")):
            epochs, values = _stacked(runs, column)
            values = 100 * values if column == "top1" else values
            if len(runs) > 1:
                figure.add_trace(_band(epochs, values, colour), row=row, col=1)
            line = _line(epochs, values.mean(axis=0), name=name, colour=colour, dash=dash)
            line.update(showlegend=column == "val_loss", hovertemplate=_hover(column, name))
            figure.add_trace(line, row=row, col=1)
    for dash, name in (("solid", "validation"), ("dot", "training")):
        figure.add_scatter(x=[None], y=[None], mode="lines", line={"color": NEUTRAL, "width": 2, "dash": dash}, name=name)
    _dress(figure, "Training curves")
    # the first epoch may lie far above the others
    figure.update_yaxes(title_text="loss (nats, log scale)", type="log", tickvals=LOSSES, row=1, col=1)
    return figure


def _epochs_table(groups: Mapping[str, Sequence[Sequence[Epoch]]]) -> dict[str, ArrayLike]:
    """Return a row for each epoch of each run."""
    rows = [(name, number, row) for name, runs in groups.items() for number, run in enumerate(runs) for row in run]
    table: dict[str, ArrayLike] = {"run": [name for name, _, _ in rows], "number": [number for _, number, _ in rows]}
    return table | {column: [_number(row, column) for _, _, row in rows] for column in ("epoch", *COLUMNS)}


def live_curves(runs: Mapping[str, LiveCurve], *, epochs: int, source: str) -> Chart:
    """Draw the loss by step and top-1 by epoch of runs, the last of which may be going on, on an axis of all epochs.

    Args:
        runs: by what they are called; each keeps its colour when another joins.
        epochs: where the axis ends.
        source: device and date.
    """
    return Chart(
        _draw_live(runs, epochs),
        caption=f"The loss of the training steps (mean of {WINDOW} steps, on augmented images) and top-1 "
        "on the validation images after each epoch, for the runs that you started; each name "
        f"ends with the seed; {source}.",
        table=_steps_table(runs),
    )


def _draw_live(runs: Mapping[str, LiveCurve], epochs: int) -> go.Figure:
    figure = _panels()
    for index, (name, run) in enumerate(runs.items()):
        colour = PALETTE[index % len(PALETTE)]
        steps, means = smooth(run.losses)
        loss = _line(steps / run.steps, means, name=name, colour=colour, dash="solid")
        figure.add_trace(loss.update(hovertemplate=f"epoch %{{x:.2f}}: <b>%{{y:.3f}}</b> nats<extra>{escape(name)}</extra>"), row=1, col=1)
        top1 = _line(np.arange(1, len(run.top1) + 1, dtype=float), 100 * np.array(run.top1), name=name, colour=colour, dash="solid")
        top1.update(showlegend=False, mode="lines+markers", hovertemplate=_hover("top1", name))
        figure.add_trace(top1, row=2, col=1)
    _dress(figure, "Your runs")
    figure.update_yaxes(title_text=f"loss (nats), mean of {WINDOW} steps", row=1, col=1)
    return figure.update_xaxes(range=[0, 1.02 * epochs])


def _steps_table(runs: Mapping[str, LiveCurve]) -> dict[str, ArrayLike]:
    """Return the loss of every step, and top-1 at the last step of each epoch."""
    rows = [(name, run, step) for name, run in runs.items() for step in range(1, len(run.losses) + 1)]
    ends = [(step // run.steps - 1 if step % run.steps == 0 else len(run.top1)) for _, run, step in rows]
    return {
        "run": [name for name, _, _ in rows],
        "step": [step for _, _, step in rows],
        "loss": [run.losses[step - 1] for _, run, step in rows],
        "top1": [str(run.top1[end]) if end < len(run.top1) else "" for (_, run, _), end in zip(rows, ends, strict=True)],
    }


def smooth(losses: Sequence[float]) -> tuple[Array, Array]:
    """Return the steps at which a whole window of WINDOW steps ends, and the means over these windows, one after the other."""
    whole = len(losses) // WINDOW
    means = np.asarray(losses[: whole * WINDOW], dtype=float).reshape(whole, WINDOW).mean(axis=1)
    return WINDOW * np.arange(1, whole + 1, dtype=float), means


def _checked(groups: Mapping[str, Sequence[Sequence[Epoch]]]) -> Mapping[str, Sequence[Sequence[Epoch]]]:
    if not groups:
        raise SevisError("expected the log of at least one training run, got none")
    for name, runs in groups.items():
        if not runs or not all(runs):
            raise SevisError(f"the run {name} has no finished epoch yet: wait for the first one")
    return groups


def _stacked(runs: Sequence[Sequence[Epoch]], column: str) -> tuple[Array, Array]:
    """Return the epochs that all runs have finished, and one column of them, shape (runs, epochs)."""
    common = min(map(len, runs))
    epochs = np.array([_number(row, "epoch") for row in runs[0][:common]])
    return epochs, np.array([[_number(row, column) for row in run[:common]] for run in runs])


def _number(row: Epoch, column: str) -> float:
    value = row.get(column, "")
    return nan if value == "" else float(value)  # an empty cell of a CSV file is not known either


def _panels() -> go.Figure:
    return make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.06)


def _line(x: Array, y: Array, *, name: str, colour: str, dash: str) -> go.Scatter:
    return go.Scatter(
        x=x,
        y=y,
        name=escape(name),
        legendgroup=name,
        mode="lines" if len(x) > 1 else "lines+markers",
        line={"color": colour, "width": 2, "dash": dash},
        marker={"color": colour, "size": 7},
    )


def _band(epochs: Array, values: Array, colour: str) -> go.Scatter:
    """Return the area from the lowest to the highest of the runs."""
    return go.Scatter(
        x=np.concatenate([epochs, epochs[::-1]]),
        y=np.concatenate([values.max(axis=0), values.min(axis=0)[::-1]]),
        fill="toself",
        fillcolor=translucent(colour, BAND),
        line={"width": 0},
        mode="lines",
        showlegend=False,
        hoverinfo="skip",
    )


def _hover(column: str, name: str) -> str:
    what = {"val_loss": "validation loss", "train_loss": "training loss", "top1": "top-1"}[column]
    value = "%{y:.1f} %" if column == "top1" else "%{y:.3f} nats"
    return f"epoch %{{x}}: {what} <b>{value}</b><extra>{escape(name)}</extra>"


def _dress(figure: go.Figure, title: str) -> None:
    finish(figure, title=title, height=560)
    figure.update_layout(hovermode="closest", margin={"t": 104, "l": 64}, legend={"font": {"size": TEXT_SIZE}})
    figure.update_xaxes(showgrid=False, zeroline=False)
    figure.update_yaxes(gridcolor=GRID, zeroline=False)
    figure.update_yaxes(title_text="top-1, in %", rangemode="tozero", row=2, col=1)
    figure.update_xaxes(title_text="epoch", row=2, col=1)
