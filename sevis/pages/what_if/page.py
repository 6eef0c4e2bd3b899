"""The page What if?: turn the gates of a network and watch its prediction move."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import streamlit as st

from sevis.errors import SevisError
from sevis.experiments.explanation import Explanation
from sevis.experiments.interventions import Intervention
from sevis.figures.chart import Chart
from sevis.figures.gates.what_if import change_map, compare_bars, one_state_map, unchanged_bars
from sevis.pages.shared.controls import choose_clicked, choose_one
from sevis.pages.shared.explanations import Photo, card_of, example_of, explanation_of, look
from sevis.pages.shared.network import Network, chosen
from sevis.pages.shared.photos import choose_photo
from sevis.pages.shared.show import errors_shown, show, show_error
from sevis.pages.what_if.audit import show_audit
from sevis.pages.what_if.counterfactuals import Means, changed, means_of
from sevis.pages.what_if.sensitivity import Question, show_channels, show_strip
from sevis.pages.what_if.steps import choose_scope, edit_text, set_block, show_buttons, show_steps, touched
from sevis.weights.card import Card

MOVED, AFTER, BEFORE = "How far they moved", "After", "Before"
PREDICTED = "the predicted class"


@st.fragment
def explore(network: Network, card: Card) -> None:
    """Show all that changes with the photo or a gate: a fragment, so that quick clicks do not run beside each other."""
    with errors_shown():
        photo = choose_photo(card)
        picture, editor, seen = st.columns([3, 7, 9], gap="medium")
        gates, blocks = st.container(), st.container()
        with editor:
            scope, changes = st.container(), st.container()
            edit_text()
        if photo is None:
            return
        picture.image(look(photo, card).photo, caption=photo.title, width="stretch", output_format="JPEG")
        before = explanation_of(photo, network, block=None, shipped=example_of(card))
        means = means_of(network, card)
        with scope:
            block = _edit(before, means, card)
        with changes:
            steps = show_steps()
            after = _apply(photo, network, before, steps, means) if steps else before
        with seen:
            _show_comparison(before, after)
        with gates:
            _show_gates(before, after, steps)
        with blocks:
            _show_sensitivity(Question(photo, network, before, means, target=0), block)


def _edit(before: Explanation, means: Means, card: Card) -> str | None:
    """Show the controls, and return the block that is chosen, where it is a single one."""
    st.subheader("Change the gates", anchor="change")
    scope = choose_scope(before.sites)
    if scope:
        show_buttons(scope, before, means, card)
    return scope.block if scope else None


def _apply(photo: Photo, network: Network, before: Explanation, steps: Sequence[Intervention], means: Means) -> Explanation:
    """Return what the network makes of the photo with the changes; where that cannot be had, the page says so."""
    try:
        return changed(photo, network, card_of(network), steps, means)
    except SevisError as error:
        show_error(error)
        return before


def _show_comparison(before: Explanation, after: Explanation) -> None:
    if after is before:
        show(unchanged_bars(before.top(5), classes=len(before.classes)), key="before")
    else:
        show(compare_bars(before.classes, before.probabilities, after.probabilities), key="before-after")


def _show_gates(before: Explanation, after: Explanation, steps: Sequence[Intervention]) -> None:
    st.header("Every gate of the network" if after is before else "The gates after the changes", anchor="gates")
    if after is before:
        _show_map(one_state_map(before.scale), before.sites, key="gate-map")
        return
    view = choose_one("Show the gates", [MOVED, AFTER, BEFORE], key="gates")
    if view == MOVED:
        _show_map(change_map(before.scale, after.scale, held=touched(steps, before.sites)), before.sites, key="gate-change")
    else:
        _show_map(one_state_map((after if view == AFTER else before).scale), before.sites, key="gate-map")


def _show_map(chart: Chart, sites: Sequence[str], *, key: str) -> None:
    clicked = partial(choose_clicked, key, sites, set_block)
    show(chart, key=key, hint="**Click a row to choose that block.**", on_select=clicked)


def _show_sensitivity(question: Question, block: str | None) -> None:
    """Show which blocks, and which channels of one, the probability of a class depends on: with all gates as they are."""
    names = unique(question.before.classes)
    heading, which = st.container(), st.container()
    name = which.selectbox("Class to watch", [PREDICTED, *names], key="watch", bind="query-params", width=320)
    target = names.index(name) if name in names else int(question.before.probabilities.argmax())
    question = replace(question, target=target)
    with heading:
        st.header("Which blocks does the prediction depend on?", anchor="sensitivity")
    show_strip(question, set_block)
    show_channels(question, block)


def unique(names: Sequence[str]) -> list[str]:
    """Return the names of classes, where several have the same with their number, as ImageNet's two cranes."""
    return [name if names.count(name) == 1 else f"{name} ({index})" for index, name in enumerate(names)]


st.title("What if?")
st.markdown(
    "What would the network recognise if its gates were different? Open them, freeze them, shut some, or take those of another photo."
)
with errors_shown():
    explore(chosen(), card_of(chosen()))
    show_audit(card_of(chosen()))
