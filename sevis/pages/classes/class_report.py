"""The button that writes the page Classes as one HTML file."""

from functools import partial

import streamlit as st

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.pages.shared.cache import identity, look_up


def offer_report(statistics: ClassStatistics) -> None:
    """Show the button; the report is made, in a few seconds, only when it is clicked."""
    name = str(statistics.metadata.get("model") or "network").rpartition("/")[2]
    st.download_button(
        "Everything as one HTML report",
        partial(make_report, statistics),
        file_name=f"{name}.classes.html",
        mime="text/html",
        key="classes-report",
        on_click="ignore",
        icon=":material/description:",
        help="This page with its captions, without One channel and Two classes. It opens in any browser without internet, and it "
        "prints well.",
    )


def make_report(statistics: ClassStatistics) -> bytes:
    """Return the report as a file, with the depth profile that the page has measured already, if it has."""
    from sevis.reports.class_report import report_html

    answer = look_up("depth-profile", identity(statistics))  # where the view Depth profile has measured it
    return report_html(statistics, profile=answer.known if answer else None).encode()
