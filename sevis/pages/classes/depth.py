"""The view Depth profile: what the paper says of the gates at different depths, and whether this network's gates do the same."""

import streamlit as st

from sevis.analysis.depth import DepthProfile, describe_measuring, scan_depth
from sevis.analysis.saved_profile import known_profile
from sevis.analysis.statements import Statement, describe_regions, judge
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.figures.classes.depth import measure_chart, offered, statement_chart
from sevis.pages.shared.cache import identity
from sevis.pages.shared.growing import show_growing
from sevis.pages.shared.show import show

COLUMNS, NARROWEST = 2, 420  # pixels: a column
TITLES = {
    "agnostic": "Class-agnostic at first",
    "specific": "Class-specific in depth",
    "saturated": "Saturated near the end",
    "scaled": "Alike at the end but for scale",
}
BADGES = {"seen here": ("green", "check"), "not seen here": ("orange", "close"), "unknown here": ("gray", "question_mark")}
ABOUT = (
    "The paper draws the gates of four classes and says in four sentences how they change with depth. Here each sentence is tested "
    "with measures over all classes and photos. It counts as seen only if the whole interval of a measure, over photos and for "
    "exactly these classes, lies beyond a threshold; the furthest class, which has "
    "no interval, by its estimate."
)


def draw(statistics: ClassStatistics) -> None:
    """Show the four statements, what follows in short, and the other measures: as they came with the file, or measured once for all
    visitors.
    """
    if profile := known_profile(statistics):
        _draw_profile(profile)
        return
    keys = ("depth-profile", identity(statistics))
    show_growing("profile", keys, lambda _: scan_depth(statistics), _draw_profile)


def _draw_profile(profile: DepthProfile) -> None:
    if profile.done < 1:
        return
    statements = judge(profile)
    seen = sum(statement.seen for statement in statements)
    st.header("Four statements of the paper", anchor="statements")
    unknown = sum(not statement.known for statement in statements)
    rest = f", and {unknown} cannot be decided" if unknown else ""
    st.markdown(f"{ABOUT} **{seen} of the {len(statements)} {'is' if seen == 1 else 'are'} seen here{rest}.**")
    grid = st.grid(COLUMNS, min_column_width=NARROWEST, gap="large")
    for statement in statements:
        with grid.cell():
            _draw_statement(profile, statement)
    st.header("In short", anchor="summary")
    st.markdown("\n".join(f"- {sentence}" for sentence in describe_regions(profile)))
    st.header("Other measures", anchor="measures")
    _draw_others(profile)
    st.caption(_describe(profile))


def _draw_statement(profile: DepthProfile, statement: Statement) -> None:
    """Show the verdict, the paper's sentence, what was found, and its chart."""
    colour, icon = BADGES[statement.verdict]
    st.subheader(f"{TITLES[statement.name]} :{colour}-badge[:material/{icon}: {statement.verdict}]", anchor=False)
    st.markdown(f"**The paper:** {statement.sentence}\n\n**Here:** {statement.finding}")
    st.caption(f"Seen if: {statement.criterion}")
    show(statement_chart(profile, statement), key=f"profile-{statement.name}")


def _draw_others(profile: DepthProfile) -> None:
    choices = offered(profile)
    measure = choices[st.selectbox("Measure", list(choices), key="profile_measure", bind="query-params")]
    if measure.warning:
        st.warning(measure.warning, icon=":material/warning:")
    show(measure_chart(profile, measure.name), key="profile-measure")


def _describe(profile: DepthProfile) -> str:
    """Return what was measured on what, in a few sentences."""
    about = describe_measuring(profile)
    if not profile.per_class:
        return about
    return (
        f"{about} The dotted line is the 95 % quantile over {profile.permutations} shuffles of the labels. The seed is {profile.seed}. The "
        "CSV of the chart above holds all measures."
    )
