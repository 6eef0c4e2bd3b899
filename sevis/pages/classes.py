"""The Classes page: how a network gates its channels for whole classes, as the paper's Figures 6 and 7 show it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from html import escape

import plotly.graph_objects as go
import streamlit as st

from sevis import report
from sevis.class_statistics import ClassStatistics
from sevis.errors import SevisError
from sevis.figures import class_captions as captions
from sevis.figures import classes as figures
from sevis.pages.collecting import collected_here
from sevis.pages.growing import leave
from sevis.pages.models import card_of, read_statistics
from sevis.pages.network import Network, chosen
from sevis.pages.show import show, show_error
from sevis.weights import Card

MEAN, SPREAD = "Figure 6: means", "Figure 7: spread"
SAMPLED, ALL = str(figures.PAPER_CHANNELS), "all"
ABOUT = {MEAN: captions.ABOUT_MEANS, SPREAD: captions.ABOUT_SPREAD}


@dataclass(frozen=True)
class Choice:
    """What to draw: a view, its classes and blocks, and how many channels of each (None: all)."""

    view: str
    classes: list[str]
    blocks: list[str]
    channels: int | None


def load_statistics(card: Card) -> ClassStatistics:
    """The class statistics in a network's file, which all visitors share. Raises SevisError where it is missing, damaged or out of date."""
    path = card.statistics_path
    statistics = read_statistics(path)
    if statistics.metadata.get("weights", card["sha256"]) != card["sha256"]:
        raise SevisError(f"{path.name} was made with other weights of {card.name}: make it again with python -m sevis collect")
    return statistics


def statistics_of(network: Network, card: Card) -> ClassStatistics | None:
    """Those in the network's file; without one, for a network that does not come with sevis, what is collected here; None before that."""
    if network.shipped or card.statistics_path.is_file():
        return load_statistics(card)
    return collected_here(network, card)


def choose(statistics: ClassStatistics) -> Choice:
    """The controls, whose state lives in the URL."""
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
        view = st.segmented_control("Figure", [MEAN, SPREAD], default=MEAN, required=True, key="figure", bind="query-params", wrap=True)
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
    return Choice(view or MEAN, classes, blocks, None if amount == ALL else figures.PAPER_CHANNELS)


def limit_channels(statistics: ClassStatistics, choice: Choice) -> int | None:
    """How many channels of a block to draw; says so where all would be too many for one page."""
    if choice.channels is not None:
        return choice.channels
    curves = len(choice.classes) + 1 if choice.view == MEAN else 4
    count = figures.drawable_channels(statistics, choice.blocks, curves)
    if count is not None:
        st.caption(f"All channels of so many curves are too much for one page: at most {count} uniformly sampled ones a block are drawn.")
    return count


def draw_means(statistics: ClassStatistics, choice: Choice, channels: int | None) -> None:
    """Figure 6: a panel for each block, and all of them as one file."""
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
    offer("figure6", draw, caption=f"{ABOUT[MEAN]} {captions.describe_source(statistics)}")


def draw_spreads(statistics: ClassStatistics, choice: Choice, channels: int | None) -> None:
    """Figure 7 of one class: a panel for each block; all chosen classes as one file."""
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
    offer("figure7", draw, caption=f"{ABOUT[SPREAD]} {captions.describe_source(statistics)}")


def draw_legend(items: Mapping[str, str]) -> None:
    """One legend for all panels: a line in its colour and a label, the last one dotted as in the panels."""
    marks = [
        '<span style="white-space:nowrap"><span style="display:inline-block;width:1.8em;vertical-align:middle;margin-right:.45em;'
        f'border-top:3px {"dotted" if place == len(items) else "solid"} {colour}"></span>{escape(label)}</span>'
        for place, (label, colour) in enumerate(items.items(), start=1)
    ]
    st.html(f'<div style="display:flex;flex-wrap:wrap;gap:.2em 1.6em">{"".join(marks)}</div>')


def offer(name: str, draw: "partial[go.Figure]", *, caption: str) -> None:
    """A button that saves all panels as one HTML file, which is drawn only when it is clicked."""
    title = f"sevis: {MEAN if name == 'figure6' else SPREAD}"
    st.download_button(
        "All panels as one HTML file",
        data=lambda: report.to_html(draw(), title=title, captions=caption),
        file_name=f"{name}.html",
        mime="text/html",
        key=f"{name}-html",
        on_click="ignore",
        icon=":material/download:",
        help="Opens in any browser without internet; its camera button saves a picture (PNG).",
    )


def draw_page(statistics: ClassStatistics) -> None:
    """The controls, and the figure that they ask for."""
    choice = choose(statistics)
    if not choice.classes or not choice.blocks:
        st.info("Choose at least one class and one block.", icon=":material/info:")
        return
    st.markdown(ABOUT[choice.view])
    channels = limit_channels(statistics, choice)
    (draw_means if choice.view == MEAN else draw_spreads)(statistics, choice, channels)
    st.caption(captions.describe_source(statistics))


leave()
st.title("Classes")
st.markdown("Which channels a network turns up and down for whole classes: Figures 6 and 7 of the SENet paper, drawn for this network.")
try:
    statistics = statistics_of(chosen(), card_of(chosen()))
    if statistics:
        draw_page(statistics)
except SevisError as error:
    show_error(error)
