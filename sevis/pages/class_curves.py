"""The views of the Classes page that the paper has: Figure 6, the means of classes, and Figure 7, the spread within one."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from html import escape

import plotly.graph_objects as go
import streamlit as st

from sevis import report
from sevis.class_statistics import ClassStatistics
from sevis.figures import class_captions as captions
from sevis.figures import classes as figures
from sevis.pages.show import show

SAMPLED, ALL = str(figures.PAPER_CHANNELS), "all"


@dataclass(frozen=True)
class Choice:
    """What to draw: classes and blocks, and how many channels of each block (None: all)."""

    classes: list[str]
    blocks: list[str]
    channels: int | None


def choose(statistics: ClassStatistics) -> Choice | None:
    """The controls, whose state lives in the URL; None where no class or no block is chosen, which the page then says."""
    names = list(dict.fromkeys(statistics.classes))
    wide, narrow = st.columns([5, 3], gap="medium")
    with wide:
        classes = st.multiselect(
            "Classes",
            names,
            default=figures.paper_classes(statistics),
            max_selections=figures.MAX_CLASSES,
            key="class",
            bind="query-params",
            wrap=True,
        )
        chosen = st.multiselect(
            "Blocks",
            statistics.sites,
            default=figures.paper_blocks(statistics.sites),
            key="blocks",
            bind="query-params",
            wrap=True,
            help="SE_stage_block. The paper shows the last block of each stage, and all of the last stage.",
        )
    with narrow:
        amount = st.segmented_control(
            "Channels of each block",
            [SAMPLED, ALL],
            default=SAMPLED,
            required=True,
            key="channels",
            bind="query-params",
            wrap=True,
            help="The paper draws 50 uniformly sampled channels.",
        )
    blocks = [site for site in statistics.sites if site in chosen]
    if classes and blocks:
        return Choice(classes, blocks, None if amount == ALL else figures.PAPER_CHANNELS)
    st.info("Choose at least one class and one block.", icon=":material/info:")
    return None


def limit_channels(statistics: ClassStatistics, choice: Choice, curves: int) -> int | None:
    """How many channels of a block to draw, so many curves of each; says so where all would be too many for one page."""
    if choice.channels is not None:
        return choice.channels
    count = figures.drawable_channels(statistics, choice.blocks, curves)
    if count is not None:
        st.caption(f"All channels of so many curves are too much for one page: at most {count} uniformly sampled ones a block are drawn.")
    return count


def draw_means(statistics: ClassStatistics) -> None:
    """Figure 6: a panel for each block, and all of them as one file."""
    choice = choose(statistics)
    if choice is None:
        return
    st.markdown(captions.ABOUT_MEANS)
    channels = limit_channels(statistics, choice, len(choice.classes) + 1)
    draw_legend(figures.entries(statistics, choice.classes))
    empty = figures.missing(statistics, choice.classes)
    if empty:
        st.info(f"Without a photo there is no curve: {', '.join(map(repr, empty))}.", icon=":material/info:")
    grid = st.grid(figures.COLUMNS, min_column_width=300, gap="medium")
    for site in choice.blocks:
        panel = figures.mean_panel(statistics, site, choice.classes, channels=channels)
        caption = captions.mean_caption(statistics, site, choice.classes)
        table = figures.mean_table(statistics, site, choice.classes, channels=channels)
        with grid.cell():
            show(panel, key=f"figure6-{site}", caption=caption, table=table)
    draw = partial(figures.figure6, statistics, choice.blocks, choice.classes, channels=channels)
    offer("figure6", "Figure 6", draw, caption=f"{captions.ABOUT_MEANS} {captions.describe_source(statistics)}")


def draw_spreads(statistics: ClassStatistics) -> None:
    """Figure 7 of one class: a panel for each block; all chosen classes as one file."""
    choice = choose(statistics)
    if choice is None:
        return
    st.markdown(captions.ABOUT_SPREAD)
    channels = limit_channels(statistics, choice, 4)
    name = st.segmented_control(
        "Class", choice.classes, default=choice.classes[0], required=True, key="within", bind="query-params", wrap=True
    )
    name = name if name in choice.classes else choice.classes[0]
    items = figures.entries(statistics, choice.classes)
    label, overall = list(items)[choice.classes.index(name)], list(items)[-1]
    draw_legend({label: items[label], overall: items[overall]})
    grid = st.grid(figures.COLUMNS, min_column_width=300, gap="medium")
    for site in choice.blocks:
        panel = figures.spread_panel(statistics, site, name, colour=items[label], channels=channels)
        caption = captions.spread_caption(statistics, site, name)
        table = figures.spread_table(statistics, site, name, channels=channels)
        with grid.cell():
            show(panel, key=f"figure7-{site}", caption=caption, table=table)
    draw = partial(figures.figure7, statistics, choice.blocks, choice.classes, channels=channels)
    offer("figure7", "Figure 7", draw, caption=f"{captions.ABOUT_SPREAD} {captions.describe_source(statistics)}")


def draw_legend(items: Mapping[str, str]) -> None:
    """One legend for all panels: a line in its colour and a label, the last one dotted as in the panels."""
    marks = [
        '<span style="white-space:nowrap"><span style="display:inline-block;width:1.8em;vertical-align:middle;margin-right:.45em;'
        f'border-top:3px {"dotted" if place == len(items) else "solid"} {colour}"></span>{escape(label)}</span>'
        for place, (label, colour) in enumerate(items.items(), start=1)
    ]
    st.html(f'<div style="display:flex;flex-wrap:wrap;gap:.2em 1.6em">{"".join(marks)}</div>')


def offer(name: str, title: str, draw: "partial[go.Figure]", *, caption: str) -> None:
    """A button that saves all panels as one HTML file, which is drawn only when it is clicked."""
    st.download_button(
        "All panels as one HTML file",
        data=lambda: report.to_html(draw(), title=f"sevis: {title}", captions=caption),
        file_name=f"{name}.html",
        mime="text/html",
        key=f"{name}-html",
        on_click="ignore",
        icon=":material/download:",
        help="Opens in any browser without internet; its camera button saves a picture (PNG).",
    )
