"""The panel "Is the gate dynamic?": what a network loses when its gates may not answer to the photo."""

import shlex

import streamlit as st

from sevis.analysis.audit import Audit
from sevis.analysis.audit_words import describe_audit, ladder_table, last_stage_answer, last_stage_question, reading
from sevis.errors import SevisError
from sevis.figures.gates.audit import ABOUT_AUDIT, audit_chart
from sevis.pages.shared.show import as_text, show, show_error
from sevis.weights.card import RANDOM, Card


def show_audit(card: Card) -> None:
    """Draw the audit of a network where one is stored, else say how to make it."""
    st.header("Is the gate dynamic?", anchor="audit")
    st.markdown(ABOUT_AUDIT)
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
    st.table(ladder_table(audit), hide_index=True, width="stretch")
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
