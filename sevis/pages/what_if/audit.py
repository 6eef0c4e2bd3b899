"""The panel "Is the gate dynamic?": what a network loses when its gates may not answer to the photo."""

import shlex

import streamlit as st

from sevis.analysis.audit import Audit, describe_audit, last_stage_answer, last_stage_question, reading
from sevis.errors import SevisError
from sevis.figures.gates.audit import audit_chart
from sevis.pages.shared.show import as_text, show, show_error
from sevis.weights.card import RANDOM, Card

ABOUT = (
    "If a gate has learnt a constant, it could be left out. To test this, each block's scales s are replaced over a data set: by 1 "
    "(*open*), by their mean over the other half of the photos (*frozen*), or by those of another photo (*shuffled*). The change "
    "of top-1 then tells how much the network relies on s at all, on an answer to each photo, and on the answer to the right photo."
)


def show_audit(card: Card) -> None:
    """Draw the audit of a network where one is stored, else say how to make it."""
    st.header("Is the gate dynamic?", anchor="audit")
    st.markdown(ABOUT)
    if not card.audit_path.is_file():
        _say_how(card)
        return
    try:
        audit = _read(str(card.audit_path), card.audit_path.stat().st_mtime_ns)
        audit.check_weights(card.sha256)
    except SevisError as error:
        show_error(error)
        return
    st.markdown(reading(audit))
    show(audit_chart(audit), key="audit")
    st.markdown(f"**{last_stage_question(audit)}** {last_stage_answer(audit)}")
    st.caption(as_text(describe_audit(audit)))


@st.cache_resource(max_entries=8, show_spinner=False)
def _read(path: str, modified: int) -> Audit:
    return Audit.load(path)


def _say_how(card: Card) -> None:
    weights = f" --weights {RANDOM}" if card.weights == RANDOM else ""
    st.info(
        "There is no audit of this network yet. This command makes one. It needs photos of the network's classes, in one folder "
        "for each class, named by the WordNet id of the class:",
        icon=":material/info:",
    )
    st.code(f"python -m sevis audit --model {shlex.quote(card.name)}{weights} --data FOLDER", language="bash", wrap_lines=True)
