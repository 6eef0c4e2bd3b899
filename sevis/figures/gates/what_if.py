"""What an intervention does: the classes before and after, the scales that moved, and how sensitive the prediction is to each block."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from sevis.figures.chart import Chart
from sevis.figures.gates.gate_map import LOW, MANY, ROW, channel_table, describe_channels, gate_map, shorten, stretched, top_bars
from sevis.figures.theme import FROZEN, LESS, MORE, NEUTRAL, OPENED, PALETTE, SIGNED_COLOURS, finish, name_rows

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sevis.experiments.sensitivity import Ablation, Sensitivity

Array = NDArray[np.float32]
BEFORE, AFTER = NEUTRAL, PALETTE[0]
SMALL, SMALLEST = 0.1, 0.001  # per cent of probability, points of change: less is said to be less
NARROWEST = 0.01  # percentage points: the reach of an axis on which nothing moves
POINTS = 41  # of a row, which answer to the mouse
SEEN = 0.01  # a smaller change of s has no colour of its own
CHANNELS = 12  # are shown, of those that matter most


def union_of_top(before: Array, after: Array, *, count: int = 5) -> NDArray[np.intp]:
    """Return the classes that are among the most probable ones before or after, by their probability before, highest first."""
    chosen = np.union1d(np.argsort(-before, kind="stable")[:count], np.argsort(-after, kind="stable")[:count])
    return np.asarray(chosen[np.argsort(-before[chosen], kind="stable")])


def unchanged_bars(top: Sequence[tuple[str, float]], *, classes: int) -> Chart:
    """Draw the most probable classes before anything is changed, as `top_bars` does."""
    caption = "What the network sees in the photo with all gates as they are; once you change a gate, both predictions stand side by side."
    return replace(top_bars(top, classes=classes), caption=caption)


def compare_bars(classes: Sequence[str], before: Array, after: Array, *, count: int = 5) -> Chart:
    """Draw the probabilities of the classes that are among the most probable before or after, as pairs of bars, the first class on top.

    Args:
        classes: the names of the K outputs.
        before, after: their probabilities, shape (K,), in 0..1.
        count: so many of either are shown.
    """
    chosen = union_of_top(before, after, count=count)
    names, was, now = [classes[index] for index in chosen], before[chosen], after[chosen]
    first, then = int(before.argmax()), int(after.argmax())
    verdict = "stays" if first == then else f"turns from “{classes[first]}” into"
    caption = (
        f"All classes that are among the five most probable before or after; the prediction {verdict} "
        f"“{classes[then]}” (in brackets: the change in percentage points)."
    )
    return Chart(_pairs_of_bars(names, was, now), caption, {"class": names, "before": was, "after": now, "change": now - was})


def _pairs_of_bars(names: Sequence[str], before: Array, after: Array) -> go.Figure:
    figure = go.Figure()
    for values, name, colour, offset in ((before, "before", BEFORE, -0.4), (after, "after", AFTER, 0.0)):
        figure.add_bar(
            y=np.arange(len(names)),
            x=values,
            orientation="h",
            offset=offset,
            width=0.38,
            name=name,
            marker_color=colour,
            text=[_probability(value) for value in values] if name == "before" else [*map(_moved, before, after)],
            textposition="outside",
            textfont={"size": 15},
            cliponaxis=False,
            customdata=list(names),
            hovertemplate=f"%{{customdata}}, {name}: %{{x:.2%}}<extra></extra>",
        )
    finish(figure, title="The most probable classes, before and after", height=58 * len(names) + 92)
    figure.update_layout(barmode="overlay", margin={"b": 12, "t": 74}, hovermode="closest")
    figure.update_xaxes(visible=False, range=[0, 1.5])
    name_rows(figure, [shorten(name) for name in names])
    figure.update_yaxes(tickfont={"size": 15})
    return figure


def one_state_map(scale: Mapping[str, Array]) -> Chart:
    """Draw the scales before or after a change as `gate_map` does; a change may carry them beyond 0 and 1."""
    beyond = any(row.min() < 0 or row.max() > 1 for row in scale.values())
    ends = "; values below 0 or above 1 have the colour of that end" if beyond else ""
    caption = f"Each row is one SE block and each column one of its channels ({describe_channels(scale)}){ends}."
    return replace(gate_map(scale), caption=caption)


def change_map(before: Mapping[str, Array], after: Mapping[str, Array], *, held: Sequence[str]) -> Chart:
    """Draw by how much the scale of every channel moved, as rows of colour: red where it rose, blue where it fell.

    Args:
        before, after: s by block, shape (C,); the colours span -1..1, and what moved further gets the colour of the nearer end.
        held: the blocks that were changed by hand.
    """
    moved = {name: after[name] - before[name] for name in before}
    figure = gate_map(moved).figure
    figure.update_traces(
        z=np.round(np.clip(100 * stretched(moved), -100, 100)).astype(np.int8),
        zmin=-100,
        zmax=100,
        colorscale=list(SIGNED_COLOURS),
        colorbar={
            "tickvals": [-100, -50, 0, 50, 100],
            "ticktext": ["-1", "-0.5", "0", "+0.5", "+1"],
            "title": {"text": "change of the scale s: white means no change"},
        },
        selector={"type": "heatmap"},
    )
    for trace in figure.data[1:]:
        trace.hovertemplate = trace.hovertemplate.replace(": s = ", ": s changed by ").replace("click to open", "click to choose")
    figure.update_layout(title_text="How far the scale of every channel moved")
    return Chart(figure, _describe_change(before, after, held), channel_table(s=before, s_after=after))


def _describe_change(before: Mapping[str, Array], after: Mapping[str, Array], held: Collection[str]) -> str:
    """Return what moved, and why."""
    moved = [site for site in before if np.abs(before[site].astype(np.float64) - after[site]).max() > SEEN]
    if not moved:
        return f"No scale s differs by more than {SEEN} from the unchanged network."
    text = (
        f"How far the scale s of every channel differs from the unchanged network: by more than {SEEN} in "
        f"{len(moved)} of {len(before)} blocks."
    )
    if len(held) == len(before):
        return f"{text} You changed all of them."
    named = next(iter(held)) if len(held) == 1 else f"{len(held)} blocks"
    answer = " The other blocks that moved come later and answer to their changed input." if set(moved) - set(held) else ""
    return f"{text} You changed {named}.{answer}"


def sensitivity_strip(answer: "Sensitivity", target: int, *, held_at: str) -> Chart:
    """Draw by how much the probability of a class changes when one block is opened, and when it is frozen: a row for each block.

    Invisible points over the whole row answer to the mouse: their y is the number of the row.

    Args:
        answer: what is measured so far.
        target: the class.
        held_at: over what the mean is that the blocks are frozen at, in words.
    """
    names = np.array(answer.classes)
    table: dict[str, ArrayLike] = {"block": answer.sites}
    for way in ("opened", "frozen") if answer.frozen is not None else ("opened",):
        table |= {
            f"{way}_probability_change": answer.change(way, target),
            f"{way}_logit_change": answer.logit_change(way, target),
            f"{way}_top1": names[answer.top1(way)],
        }
    held = f"; a frozen block is held at its mean over {held_at}" if answer.frozen is not None else ""
    caption = (
        f"How the probability of “{answer.classes[target]}” ({100 * answer.probability(target):.1f} % "
        "with no gate changed) changes when one block alone is changed: in an opened block all channels "
        f"pass whole{held}."
    )
    frozen = answer.change("frozen", target) if answer.frozen is not None else None
    return Chart(_strip(answer.sites, answer.change("opened", target), frozen), caption, table)


def _strip(sites: Sequence[str], opened: Array, frozen: Array | None) -> go.Figure:
    """Draw changes of a probability, shape (B,), in -1..1; NaN where it is not measured."""
    ways = [("opened (s = 1)", opened, OPENED, "diamond", -0.16)]
    ways += [("frozen at its mean", frozen, FROZEN, "circle", 0.16)] if frozen is not None else []
    reach = max(NARROWEST, *(1.12 * float(100 * np.nanmax(np.abs(values), initial=0)) for _, values, *_ in ways))
    figure = go.Figure([_mouse_points(sites, [values for _, values, *_ in ways], [label for label, *_ in ways], reach)])
    for label, values, colour, symbol, offset in ways:
        points, y = (100 * values).astype(np.float32), np.arange(len(sites)) + (offset if len(ways) > 1 else 0)
        gap = np.full_like(points, np.nan)
        figure.add_scatter(
            x=np.stack([np.zeros_like(points), points, gap], axis=1).ravel(),
            y=np.repeat(y, 3),
            mode="lines",
            line={"color": colour, "width": 4},
            hoverinfo="skip",
            showlegend=False,
        )
        marker = {"color": colour, "size": 10, "symbol": symbol}
        whole = {"marker": {"opacity": 1}}  # after a click elsewhere, Plotly would fade what is not selected
        figure.add_scatter(x=points, y=y, mode="markers", marker=marker, name=label, hoverinfo="skip", unselected=whole)
    finish(figure, title="One block changed at a time", height=(ROW if len(sites) <= MANY else LOW) * len(sites) + 140)
    figure.update_layout(hovermode="closest", margin={"t": 74, "b": 60})
    _change_axis(figure, reach, title="change of the probability, in percentage points")
    name_rows(figure, sites)
    return figure


def channel_bars(answer: "Ablation", target: int, *, count: int = CHANNELS) -> Chart:
    """Draw by how much the probability of a class changes without one channel: a bar for each that matters most, the first on top.

    Args:
        answer: what is measured so far: at least one channel.
        target: the class.
        count: how many are shown.
    """
    change, so_far = answer.change(target), ""
    most = np.argsort(-np.abs(change), kind="stable")[:count]
    if answer.done < 1:
        so_far = f" of the {len(change)} tried so far"
    caption = (
        f"The {len(most)} channels of {answer.site}{so_far} that change the probability of "
        f"“{answer.classes[target]}” most when each is shut alone (s = 0): a bar to the left means that "
        "the channel speaks for the class, a bar to the right, against it."
    )
    figure = _signed_bars(most, 100 * change[most], site=answer.site)
    return Chart(figure, caption, {"channel": np.arange(len(change)), "probability_change": change})


def _signed_bars(channels: NDArray[np.intp], points: Array, *, site: str) -> go.Figure:
    reach = max(NARROWEST, 1.45 * float(np.abs(points).max(initial=0)))
    figure = go.Figure(
        go.Bar(
            y=np.arange(len(channels)),
            x=points.astype(np.float32),
            orientation="h",
            text=[_signed(value) for value in points],
            textposition="outside",
            cliponaxis=False,
            marker_color=np.where(points < 0, LESS, MORE).tolist(),
            customdata=channels,
            hovertemplate="without channel %{customdata}: %{x:+.3f} percentage points<extra></extra>",
        )
    )
    finish(figure, title=f"The channels of {site} that matter most", height=30 * len(channels) + 110)
    figure.update_layout(bargap=0.3, margin={"b": 60})
    _change_axis(figure, reach, title="change without the channel, in percentage points")
    name_rows(figure, [f"channel {channel}" for channel in channels])
    return figure


def _mouse_points(sites: Sequence[str], ways: Sequence[Array], labels: Sequence[str], reach: float) -> go.Scatter:
    """Return the invisible points over the rows."""
    across = np.linspace(-reach, reach, POINTS, dtype=np.float32)
    data = np.stack([100 * values for values in ways], axis=1)
    texts = "<br>".join(f"{label}: %{{customdata[{index}]:+.2f}} percentage points" for index, label in enumerate(labels))
    return go.Scatter(
        x=np.tile(across, len(sites)),
        y=np.repeat(np.arange(len(sites), dtype=np.uint8), POINTS),
        customdata=np.repeat(data, POINTS, axis=0).astype(np.float32),
        text=np.repeat(sites, POINTS).tolist(),
        mode="markers",
        marker={"size": 12, "color": NEUTRAL},
        opacity=0,
        showlegend=False,
        hovertemplate=f"<b>%{{text}}</b><br>{texts}<extra>click to choose</extra>",
    )


def _change_axis(figure: go.Figure, reach: float, *, title: str) -> None:
    """Add an axis from -reach to reach with three ticks, which stand side by side on a phone, too."""
    power = 10.0 ** np.floor(np.log10(0.8 * reach))
    tick = max(power * step for step in (1, 2, 4, 5) if power * step <= 0.8 * reach)
    figure.update_xaxes(
        title_text=title,
        range=[-reach, reach],
        tickvals=[-tick, 0, tick],
        ticktext=[f"−{tick:g}", "0", f"+{tick:g}"],
        tickangle=0,
        zeroline=True,
        zerolinecolor=NEUTRAL,
    )


def _probability(value: float) -> str:
    return f"{100 * value:.1f} %" if value >= SMALL / 100 else f"< {SMALL:g} %"


def _moved(before: float, after: float) -> str:
    points = f"{100 * (after - before):+.1f}".replace("-", "−")
    return f"{_probability(after)} ({points if points.strip('+−0.') else '±0.0'})"


def _signed(points: float) -> str:
    """Return two digits after the point, or one that counts where these would be nothing; the bar shows the sign of what is smaller
    still.
    """
    if 0 < abs(points) < SMALLEST:
        return f"< {SMALLEST:g}"
    return f"{points:{'+.2f' if abs(points) >= 0.01 or points == 0 else '+.1g'}}".replace("-", "−")
