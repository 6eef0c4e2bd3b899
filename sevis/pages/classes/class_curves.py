"""The views of the Classes page that the paper has: Figure 6, the means of classes, and Figure 7, the spread within two."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape

import streamlit as st

from sevis.analysis.class_curves import ORDERS, PAPER_CHANNELS, Curve, missing
from sevis.analysis.class_groups import Group, groups_of
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.figures.chart import Chart
from sevis.figures.classes.class_curves import (
    BORDERS,
    Stroke,
    describe_sampling,
    drawable_channels,
    paper_blocks,
    paper_classes,
    paper_spreads,
)
from sevis.figures.classes.figure6 import ABOUT_MEANS, MAX_CURVES, entries, figure6, mean_panel
from sevis.figures.classes.figure7 import ABOUT_SPREAD, figure7, spread_panels
from sevis.pages.shared.controls import choose_one
from sevis.pages.shared.show import show_grid, show_panels
from sevis.reports.html import to_html

SAMPLED, ALL = str(PAPER_CHANNELS), "all"


@dataclass(frozen=True)
class PanelChoice:
    """What to draw: classes and groups, blocks, how many channels of each block (None: all), and in which order."""

    curves: list[Curve]
    blocks: list[str]
    channels: int | None
    order: str


def choose(statistics: ClassStatistics, choose_curves: Callable[[ClassStatistics], list[Curve]]) -> PanelChoice | None:
    """Show the controls, whose state lives in the URL, and return the choice; None where no class or no block is chosen, which is said.

    Args:
        statistics: that the figure is drawn from.
        choose_curves: shows the controls for its classes, and returns those.
    """
    wide, narrow = st.columns([5, 3], gap="medium")
    with wide:
        curves = choose_curves(statistics)
        chosen = st.multiselect(
            "Blocks",
            statistics.sites,
            default=paper_blocks(statistics.sites),
            key="blocks",
            bind="query-params",
            wrap=True,
            help="The names are SE_stage_block. The paper shows the last block of each stage, and all blocks of the last stage.",
        )
    with narrow:
        about = describe_sampling(PAPER_CHANNELS)
        amount = choose_one("Channels of each block", [SAMPLED, ALL], key="channels", wrap=True, help=about)
        about = (
            "By channel number; by their mean over all images; or by class share, the share of their variance "
            "that lies between the classes."
        )
        order = choose_one("Channels ordered by", ORDERS, key="order", wrap=True, help=about)
    blocks = [site for site in statistics.sites if site in chosen]
    if curves and blocks:
        return PanelChoice(curves, blocks, None if amount == ALL else PAPER_CHANNELS, order)
    st.info("Choose at least one class and one block.", icon=":material/info:")
    return None


def _choose_many(statistics: ClassStatistics) -> list[Curve]:
    """Show the controls for the curves of Figure 6, and return those."""
    classes: list[Curve] = st.multiselect(
        "Classes",
        list(dict.fromkeys(statistics.classes)),
        default=paper_classes(statistics),
        max_selections=MAX_CURVES,
        key="class",
        bind="query-params",
        wrap=True,
    )
    groups = {group.name: group for group in _groups(statistics)}
    if not groups:
        return classes
    names = st.multiselect(
        "Groups of classes",
        list(groups),
        max_selections=MAX_CURVES,
        key="group",
        bind="query-params",
        wrap=True,
        placeholder="Choose groups, such as animal or vehicle",
        help="A group is one curve, over all images of its classes. The groups come from WordNet.",
    )
    return [*classes, *(groups[name] for name in names)]


def _choose_two(statistics: ClassStatistics) -> list[Curve]:
    """Show the controls for the two classes or groups of Figure 7, and return those; only one where both are the same."""
    curves: list[Curve] = [*dict.fromkeys(statistics.classes), *_groups(statistics)]
    by_name = {str(curve): curve for curve in curves}
    names, usual = list(by_name), paper_spreads(statistics)
    left, right = st.columns(2, gap="medium")
    first = left.selectbox("First class", names, index=names.index(usual[0]), key="spread_first", bind="query-params")
    second = right.selectbox("Second class", names, index=names.index(usual[-1]), key="spread_second", bind="query-params")
    return list(dict.fromkeys([by_name[first], by_name[second]]))


def _groups(statistics: ClassStatistics) -> Sequence[Group]:
    """Return the groups of classes, where the WordNet ids of all classes are known and make some."""
    wnids = statistics.metadata.get("wnids") or ()
    return groups_of(wnids) if len(wnids) == len(statistics.classes) else ()


def limit_channels(statistics: ClassStatistics, choice: PanelChoice, curves: int) -> int | None:
    """Return how many channels of a block to draw, so many curves of each; and say so where all would be too many for one page."""
    if choice.channels is not None:
        return choice.channels
    count = drawable_channels(statistics, choice.blocks, curves)
    if count is not None:
        st.caption(
            f"So many curves with all channels are too much for one page. At most {count} evenly spaced channels of each block are drawn."
        )
    return count


def draw_means(statistics: ClassStatistics) -> None:
    """Show Figure 6: a panel for each block, and all of them as one file. Raises SevisError where there are too many curves."""
    choice = choose(statistics, _choose_many)
    if choice is None:
        return
    curves, order = choice.curves, choice.order
    channels = limit_channels(statistics, choice, len(curves) + 1)
    st.markdown(f"{ABOUT_MEANS} {describe_sampling(channels)}")
    draw_legend(entries(statistics, curves))
    _name_missing(statistics, curves)
    panel = partial(mean_panel, statistics, curves=curves, channels=channels, order=order)
    show_grid((f"figure6-{site}", panel(site)) for site in choice.blocks)
    offer("figure6", "Figure 6", partial(figure6, statistics, choice.blocks, curves, channels=channels, order=order))


def draw_spreads(statistics: ClassStatistics) -> None:
    """Show Figure 7 of two classes or groups, side by side for each block; and all of it as one file."""
    choice = choose(statistics, _choose_two)
    if choice is None:
        return
    curves, order = choice.curves, choice.order
    channels = limit_channels(statistics, choice, 4 * len(curves))
    st.markdown(f"{ABOUT_SPREAD} {describe_sampling(channels)}")
    draw_legend(entries(statistics, curves))
    for site in choice.blocks:
        show_panels(spread_panels(statistics, site, curves, channels=channels, order=order), key=f"figure7-{site}")
    offer("figure7", "Figure 7", partial(figure7, statistics, choice.blocks, curves, channels=channels, order=order))


def _name_missing(statistics: ClassStatistics, curves: Sequence[Curve]) -> None:
    empty = missing(statistics, curves)
    if empty:
        st.info(f"These have no photo, so they have no curve: {', '.join(map(repr, empty))}.", icon=":material/info:")


def draw_legend(items: Mapping[str, Stroke]) -> None:
    """Show one legend for all panels: a line as it is drawn there, and its label."""
    marks = [
        '<span style="white-space:nowrap"><span style="display:inline-block;width:1.8em;vertical-align:middle;margin-right:.45em;'
        f'border-top:3px {BORDERS[stroke.dash]} {stroke.colour}"></span>{escape(label)}</span>'
        for label, stroke in items.items()
    ]
    st.html(f'<div style="display:flex;flex-wrap:wrap;gap:.2em 1.6em">{"".join(marks)}</div>')


def offer(name: str, title: str, draw: Callable[[], Chart]) -> None:
    """Show a button that saves all panels as one HTML file, which is drawn only when it is clicked."""
    st.download_button(
        "All panels as one HTML file",
        data=lambda: to_html([draw()], title=f"sevis: {title}"),
        file_name=f"{name}.html",
        mime="text/html",
        key=f"{name}-html",
        on_click="ignore",
        icon=":material/download:",
        help="Opens in any browser without internet; its camera button saves a picture (PNG).",
    )
