"""One channel of one block: its mean scale by class, how its scale is spread over photos, the photos at both ends, and all in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from sevis.analysis.formulas import HIGH, LOW, RESOLUTION, class_share, open_share, shut_share
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.histograms import Histogram
from sevis.figures.chart import Chart, Picture
from sevis.figures.gates.gate_map import shorten
from sevis.figures.gates.mosaic import FAINT, GAP, GROUND, INK, LEGEND, draw_legend, font, overlay
from sevis.figures.theme import CHANNELS, LESS, MORE, NEUTRAL, TEXT_SIZE, finish, name_rows

Array = NDArray[np.float64]
Table = dict[str, NDArray[Any]]
SHOWN = 10  # classes at either end
BINS = 50
ROW = 25  # pixels
PHOTO_SIDE, PHOTO_LABEL = 192, 30  # pixels: a photo, and the line above it


def extreme_classes(statistics: ClassStatistics, site: str, channel: int, *, count: int = SHOWN) -> tuple[list[int], list[int]]:
    """Return the rows of the classes that open a channel most, highest mean first, and of those that open it least, lowest last.

    No class is in both; classes without images are left out. Where there are no more than twice `count`, all are shown, half in each.
    """
    means = statistics.mean(site)[:, channel]
    order = [int(row) for row in np.argsort(-means, kind="stable") if statistics.count[row]]
    most = min(count, -(-len(order) // 2))
    least = min(count, len(order) - most)
    return order[:most], order[len(order) - least :]


def class_bars(statistics: ClassStatistics, site: str, channel: int) -> Chart:
    """Draw the classes of `extreme_classes` as bars, the highest on top, each with a whisker of one standard deviation over its images."""
    most, least = extreme_classes(statistics, site, channel)
    rows, overall = [*most, *least], float(statistics.overall_mean(site)[channel])
    means, deviations = statistics.mean(site)[rows, channel], statistics.std(site)[rows, channel]
    figure = go.Figure()
    for end, (part, name, colour) in enumerate(((most, "open it most", MORE), (least, "open it least", LESS))):
        span = slice(len(most)) if end == 0 else slice(len(most), None)
        figure.add_bar(
            y=np.arange(len(rows))[span],
            x=means[span],
            orientation="h",
            name=f"{len(part)} classes that {name}",
            marker_color=colour,
            error_x={"array": np.nan_to_num(deviations[span]), "color": NEUTRAL, "thickness": 1.5, "width": 3},
            customdata=[
                [_text(statistics.classes[row]), _number(deviations[span][k]), int(statistics.count[row])] for k, row in enumerate(part)
            ],
            hovertemplate="%{customdata[0]}: mean %{x:.3f}, sd %{customdata[1]}, n = %{customdata[2]}<extra></extra>",
        )
    finish(figure, title=f"Channel {channel} by class", height=ROW * len(rows) + 150)
    figure.add_vline(x=overall, line={"color": NEUTRAL, "dash": "dot", "width": 2})
    figure.update_layout(bargap=0.3, margin_t=92, hovermode="closest")
    figure.update_xaxes(title_text="mean scale s", range=_reach(means))
    name_rows(figure, [_text(shorten(statistics.classes[row])) for row in rows])
    table: Table = {
        "class": np.array([statistics.classes[row] for row in rows]),
        "images": statistics.count[rows],
        "mean": means,
        "standard deviation": deviations,  # with n - 1: NaN for a single image
    }
    return Chart(figure, _class_caption(statistics, site, channel, shown=len(rows)), table)


def _class_caption(statistics: ClassStatistics, site: str, channel: int, *, shown: int) -> str:
    held = np.count_nonzero(statistics.count)
    what = f"all {held} classes" if shown == held else f"the {shown} highest and lowest of {held} classes"
    mean = statistics.overall_mean(site)[channel]
    return (
        f"The mean scale of channel {channel} of {site} in {what}, sorted from high to low, with one "
        f"standard deviation on each side; the dotted line is the mean over all photos ({mean:.2f})."
    )


def scale_histogram(values: NDArray[np.float32], block: Histogram, *, site: str, channel: int) -> Chart:
    """Draw how often the channel's scale has which value, as bars, and how often those of all channels of the block, as a line.

    Args:
        values: the channel's scale in each image, shape (M,).
        block: of all channels of the block and all classes, with B edges that 50 bins divide.
        site, channel: what they are called.
    """
    table = _histogram_table(values, block)
    middle, step = (table["from"] + table["to"]) / 2, table["to"][0] - table["from"][0]
    own, every = table["share of the channel's photos"], table["share of the block's scales"]
    label = "<br>%{y:.1%} between %{customdata[0]:.2f} and %{customdata[1]:.2f}<extra>%{fullData.name}</extra>"
    bounds = np.stack([table["from"], table["to"]], axis=1).astype(np.float32)
    figure = go.Figure(
        [
            go.Bar(x=middle, y=own, width=step, customdata=bounds, name=f"channel {channel}", marker_color=CHANNELS, hovertemplate=label),
            go.Scatter(
                x=middle,
                y=every,
                customdata=bounds,
                name=f"all channels of {site}",
                mode="lines",
                line={"shape": "hvh", "color": NEUTRAL, "width": 2, "dash": "dot"},
                hovertemplate=label,
            ),
        ]
    )
    finish(figure, title=f"How often each scale of channel {channel} occurs", height=360)
    figure.update_layout(bargap=0, margin_t=92, hovermode="closest")
    figure.update_xaxes(title_text="scale s", range=[0, 1])
    figure.update_yaxes(title_text="share of photos", tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(title_font={"size": TEXT_SIZE})
    return Chart(figure, _histogram_caption(values, site, channel), table)


def _histogram_table(values: NDArray[np.float32], block: Histogram) -> Table:
    """Return shares in 0..1: of the images by the channel's scale, and of all scales of the block."""
    edges = block.edges[:: (len(block.edges) - 1) // BINS]
    own = np.histogram(values.astype(np.float64), edges)[0]
    every = block.counts.sum(axis=0).reshape(len(edges) - 1, -1).sum(axis=1)
    everything = block.counts.sum() + block.below.sum() + block.above.sum()
    return {
        "from": edges[:-1],
        "to": edges[1:],
        "share of the channel's photos": own / max(len(values), 1),
        "share of the block's scales": every / max(everything, 1),
    }


def _histogram_caption(values: NDArray[np.float32], site: str, channel: int) -> str:
    outside = float(np.mean((values < 0) | (values > 1))) if len(values) else 0.0
    beyond = f"; {outside:.0%} of the photos have a scale outside 0 to 1 and are not drawn" if outside else ""
    return (
        f"The bars show channel {channel} in the {len(values):,} photos whose gates the file keeps whole, "
        f"the line shows all channels of {site} in all photos, and each step is {1 / BINS:g} wide{beyond}."
    )


@dataclass(frozen=True)
class ExtremePhoto:
    """A photo that raises or lowers a channel.

    Attributes:
        name: of its class.
        scale: s of the channel.
        photo: what the network sees, uint8, shape (S, S, 3).
        number, file: of the photo in its data set.
        map: u of the channel, shape (H, W); None where it is not known yet.
    """

    name: str
    scale: float
    photo: NDArray[np.uint8]
    number: int
    file: str
    map: NDArray[np.float32] | None = None


def photo_grid(examples: Sequence[ExtremePhoto], *, of: str, limit: float, columns: int = 3) -> Picture:
    """Draw the photos in reading order; over each its map, red above zero, blue below, the more opaque the farther from zero.

    Args:
        examples: the photos; one without a map is shown as it is; the n-th lies where `photo_corner` says.
        of: what they have in common, such as "highest scale of channel 3 of SE_4_1".
        limit: the absolute value with the strongest colour, above zero, the same for all.
        columns: photos per line.
    """
    lines = -(-len(examples) // columns)
    canvas = Image.new("RGB", (GAP + columns * (PHOTO_SIDE + GAP), lines * (PHOTO_SIDE + PHOTO_LABEL + GAP) + LEGEND), GROUND)
    draw = ImageDraw.Draw(canvas)
    for index, example in enumerate(examples):
        top, left = photo_corner(index, columns=columns)
        draw.text((left, top - 7), _fit(example.name), font=font(17), fill=INK, anchor="ls")
        draw.text((left + PHOTO_SIDE, top - 7), f"{example.scale:.2f}", font=font(17), fill=FAINT, anchor="rs")
        canvas.paste(Image.fromarray(_picture(example, limit)), (left, top))
    draw_legend(canvas, draw, left=GAP, most=f"{limit:.2g}")
    caption = (
        f"The {len(examples)} photos with the {of}, each with its class and its scale; the map u of the "
        "channel lies over the photo (red above zero, blue below; the colours are the same in all "
        "photos)."
    )
    table: dict[str, ArrayLike] = {
        "photo": [example.number for example in examples],
        "file": [example.file for example in examples],
        "class": [example.name for example in examples],
        "s": [example.scale for example in examples],
    }
    return Picture(np.asarray(canvas), caption, table)


def photo_corner(index: int, *, columns: int = 3) -> tuple[int, int]:
    """Return the row and column of the top left pixel of the photo with that index."""
    line, column = divmod(index, columns)
    return PHOTO_LABEL + line * (PHOTO_SIDE + PHOTO_LABEL + GAP), GAP + column * (PHOTO_SIDE + GAP)


def _picture(example: ExtremePhoto, limit: float) -> NDArray[np.uint8]:
    photo = np.asarray(Image.fromarray(example.photo).resize((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.BOX))
    return photo if example.map is None else overlay(example.map, limit, photo)


def _fit(name: str) -> str:
    """Return as much of a name as stands beside the number."""
    name = shorten(name)
    while name and font(17).getlength(name) > PHOTO_SIDE - 44:
        name = f"{name.rstrip('…')[:-1].rstrip(' ,')}…"
    return name


def describe_channel(statistics: ClassStatistics, site: str, channel: int) -> str:
    """Return the mean, standard deviation, class share and saturation of a channel, in sentences, as Markdown."""
    if not statistics.count.any():
        return f"Channel {channel} of {site}: the statistics hold no photo, so nothing is known about this channel."
    mean, deviation = statistics.overall_mean(site)[channel], statistics.overall_std(site)[channel]
    sentence = (
        f"Channel **{channel}** of **{site}** ({statistics.channels[site]} channels): over n = {statistics.count.sum():,} photos its scale "
        f"s has a mean of **{mean:.3f}** and a standard deviation of **{_number(deviation)}**"
    )
    if statistics.count.sum() < 2:
        return f"Channel **{channel}** of **{site}**: its scale s is **{mean:.3f}** in the only photo, so its spread is unknown."
    if not deviation > RESOLUTION:
        return f"{sentence}: the scale is the same for every photo, so a constant could replace this gate."
    return f"{sentence}. {_describe_share(statistics, site, channel)}{_describe_saturation(statistics, site, channel)}"


def _describe_share(statistics: ClassStatistics, site: str, channel: int) -> str:
    shares = class_share(statistics.mean(site), statistics.m2(site), statistics.count)
    if np.isnan(shares[channel]):
        return "The share of its variance between the classes is unknown: that needs at least two classes, and more photos than classes."
    rank = 1 + int(np.sum(shares > shares[channel]))
    return (
        f"**{max(shares[channel], 0):.0%}** of its variance lies between the classes (omega squared {shares[channel]:.3f}, rank {rank} of "
        f"{len(shares)} in the block)."
    )


def _describe_saturation(statistics: ClassStatistics, site: str, channel: int) -> str:
    if not statistics.detailed:
        return ""
    values = statistics.sample(site).values[:, channel]
    if not len(values):
        return ""
    shut = shut_share(values)
    low = "" if np.isnan(shut) else f" and below {LOW} in **{shut:.0%}**"
    ends = statistics.bounds(site)[:, channel]  # exact, which a sample is not
    exact = "".join(f", and reaches exactly {end}" for end in (0, 1) if end in ends)
    return f" It is above {HIGH} in **{open_share(values):.0%}** of {len(values):,} photos{low}{exact}."


def _text(name: str) -> str:
    """Return a name from outside: Plotly reads tags."""
    return escape(name, quote=False)


def _number(value: float) -> str:
    return "unknown" if np.isnan(value) else f"{value:.3f}"


def _reach(means: Array) -> list[float]:
    """Return the gate's range, 0 to 1; wider only where a gate such as tanh or ReLU leaves it."""
    return [float(min(0, means.min(initial=0))), float(max(1, means.max(initial=1)))]
