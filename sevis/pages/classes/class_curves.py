"""The views of the Classes page that the paper has: Figure 6, the means of classes, and Figure 7, the spread within one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape

import streamlit as st

from sevis.analysis.class_curves import ORDERS, PAPER_CHANNELS, Curve, label_of, missing, overall_label
from sevis.analysis.class_groups import groups_of
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.figures.chart import Chart
from sevis.figures.classes.class_curves import BORDERS, Stroke, drawable_channels, paper_blocks, paper_classes
from sevis.figures.classes.figure6 import ABOUT_MEANS, MAX_CURVES, entries, figure6, mean_panel
from sevis.figures.classes.figure7 import ABOUT_SPREAD, figure7, spread_panel
from sevis.pages.shared.controls import choose_one
from sevis.pages.shared.show import show_grid
from sevis.reports.html import to_html

SAMPLED, ALL = str(PAPER_CHANNELS), "all"


@dataclass(frozen=True)
class PanelChoice:
    """What to draw: classes and groups, blocks, how many channels of each block (None: all), and in which order."""

    curves: list[Curve]
    blocks: list[str]
    channels: int | None
    order: str


def choose(statistics: ClassStatistics) -> PanelChoice | None:
    """Show the controls, whose state lives in the URL, and return the choice; None where no class or no block is chosen, which is said."""
    wide, narrow = st.columns([5, 3], gap="medium")
    with wide:
        curves = [*_choose_classes(statistics), *_choose_groups(statistics)]
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
        about = "The paper draws 50 uniformly sampled channels."
        amount = choose_one("Channels of each block", [SAMPLED, ALL], key="channels", wrap=True, help=about)
        about = (
            "By channel number, as in the paper; by their mean over all images; or by class share, the share of their variance "
            "that lies between the classes."
        )
        order = choose_one("Channels ordered by", ORDERS, key="order", wrap=True, help=about)
    blocks = [site for site in statistics.sites if site in chosen]
    if curves and blocks:
        return PanelChoice(curves, blocks, None if amount == ALL else PAPER_CHANNELS, order)
    st.info("Choose at least one class and one block.", icon=":material/info:")
    return None


def _choose_classes(statistics: ClassStatistics) -> list[str]:
    return st.multiselect(
        "Classes",
        list(dict.fromkeys(statistics.classes)),
        default=paper_classes(statistics),
        max_selections=MAX_CURVES,
        key="class",
        bind="query-params",
        wrap=True,
    )


def _choose_groups(statistics: ClassStatistics) -> list[Curve]:
    """Show the control for groups of classes, where the WordNet ids of the classes are known and make some, and return the chosen ones."""
    groups = {group.name: group for group in groups_of(statistics.metadata.get("wnids") or ())}
    if not groups or len(statistics.metadata["wnids"]) != len(statistics.classes):
        return []
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
    return [groups[name] for name in names]


def limit_channels(statistics: ClassStatistics, choice: PanelChoice, curves: int) -> int | None:
    """Return how many channels of a block to draw, so many curves of each; and say so where all would be too many for one page."""
    if choice.channels is not None:
        return choice.channels
    count = drawable_channels(statistics, choice.blocks, curves)
    if count is not None:
        st.caption(
            f"So many curves with all channels are too much for one page. At most {count} uniformly sampled channels of each "
            "block are drawn."
        )
    return count


def draw_means(statistics: ClassStatistics) -> None:
    """Show Figure 6: a panel for each block, and all of them as one file. Raises SevisError where there are too many curves."""
    choice = choose(statistics)
    if choice is None:
        return
    st.markdown(ABOUT_MEANS)
    curves, order = choice.curves, choice.order
    channels = limit_channels(statistics, choice, len(curves) + 1)
    draw_legend(entries(statistics, curves))
    _name_missing(statistics, curves)
    panel = partial(mean_panel, statistics, curves=curves, channels=channels, order=order)
    show_grid((f"figure6-{site}", panel(site)) for site in choice.blocks)
    offer("figure6", "Figure 6", partial(figure6, statistics, choice.blocks, curves, channels=channels, order=order))


def draw_spreads(statistics: ClassStatistics) -> None:
    """Show Figure 7 of one class or group: a panel for each block; all that are chosen as one file. Raises SevisError as `draw_means`."""
    choice = choose(statistics)
    if choice is None:
        return
    st.markdown(ABOUT_SPREAD)
    channels, order = limit_channels(statistics, choice, 4), choice.order
    strokes = entries(statistics, choice.curves)
    curve = _choose_curve(choice.curves)
    label, overall = label_of(statistics, curve), overall_label(statistics)
    draw_legend({label: strokes[label], overall: strokes[overall]})
    panel = partial(spread_panel, statistics, curve=curve, stroke=strokes[label], channels=channels, order=order)
    show_grid((f"figure7-{site}", panel(site)) for site in choice.blocks)
    offer("figure7", "Figure 7", partial(figure7, statistics, choice.blocks, choice.curves, channels=channels, order=order))


def _choose_curve(curves: Sequence[Curve]) -> Curve:
    """Show the control for the class or group whose spread is drawn, and return that; at first, it is the first of the chosen ones."""
    by_name = {str(curve): curve for curve in curves}
    name = choose_one("Class", list(by_name), key="within", wrap=True)
    return by_name.get(name, curves[0])


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
