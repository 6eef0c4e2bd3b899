"""The page What if?: turn the gates of a network and watch its prediction move."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import streamlit as st

from sevis.errors import SevisError
from sevis.experiments.explanation import Explanation
from sevis.experiments.interventions import Step
from sevis.figures.gates.gate_map import describe_channels, gate_map, gate_map_table, top_bars
from sevis.figures.gates.what_if import change_map, compare_bars, compare_table, union_of_top
from sevis.pages.shared.explanations import Photo, card_of, example_of, explanation_of, look
from sevis.pages.shared.network import Network, chosen
from sevis.pages.shared.photos import choose_photo
from sevis.pages.shared.show import clicked_row, show, show_error
from sevis.pages.what_if.audit import show_audit
from sevis.pages.what_if.counterfactuals import Means, changed, means_of
from sevis.pages.what_if.sensitivity import Question, show_channels, show_strip
from sevis.pages.what_if.steps import choose_block, choose_scope, edit_text, show_buttons, show_steps, touched
from sevis.weights.card import Card

MOVED, AFTER, BEFORE = "How far they moved", "After", "Before"
PREDICTED = "the predicted class"
SEEN = 0.01  # a smaller change of s has no colour of its own


@st.fragment
def explore(network: Network, card: Card) -> None:
    """Show all that changes with the photo or a gate: a fragment, so that quick clicks do not run beside each other."""
    try:
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
    except SevisError as error:
        show_error(error)


def _edit(before: Explanation, means: Means, card: Card) -> str | None:
    """Return the controls; gives the block that is chosen, where it is a single one."""
    st.subheader("Change the gates", anchor="change")
    scope = choose_scope(before.sites)
    if scope:
        show_buttons(scope, before, means, card)
    return scope.block if scope else None


def _apply(photo: Photo, network: Network, before: Explanation, steps: Sequence[Step], means: Means) -> Explanation:
    """Return what the network makes of the photo with the changes; where that cannot be had, the page says so."""
    try:
        return changed(photo, network, card_of(network), steps, means)
    except SevisError as error:
        show_error(error)
        return before


def _show_comparison(before: Explanation, after: Explanation) -> None:
    if after is before:
        top = before.top(5)
        show(
            top_bars(top),
            key="before",
            caption="What the network makes of the photo with all gates as they are: once one is changed, both stand side by side.",
            table={"class": [name for name, _ in top], "probability": [value for _, value in top]},
        )
        return
    places = union_of_top(before.probabilities, after.probabilities)
    names = [before.classes[place] for place in places]
    was, now = before.probabilities[places], after.probabilities[places]
    (first, _), (then, _) = before.top(1)[0], after.top(1)[0]
    verdict = "stays" if before.probabilities.argmax() == after.probabilities.argmax() else f"turns from “{first}” into"
    show(
        compare_bars(names, was, now),
        key="before-after",
        caption=f"All classes that are among the five most probable before or after; the prediction {verdict} “{then}”. In brackets, "
        "the change in percentage points.",
        table=compare_table(names, was, now),
    )


def _show_gates(before: Explanation, after: Explanation, steps: Sequence[Step]) -> None:
    st.header("Every gate of the network" if after is before else "What became of the gates", anchor="gates")
    if after is before:
        _show_map(before)
        return
    view = st.segmented_control("Show the gates", [MOVED, AFTER, BEFORE], default=MOVED, required=True, key="gates", bind="query-params")
    if view == MOVED:
        show(
            change_map(before.scale, after.scale),
            key="gate-change",
            caption=f"{_describe_change(before, after, steps)} **Click a row to choose that block.**",
            table={**gate_map_table(before.scale), "s_after": gate_map_table(after.scale)["s"]},
            on_select=lambda: _choose_clicked(before.sites, "gate-change"),
        )
        return
    _show_map(after if view == AFTER else before)


def _describe_change(before: Explanation, after: Explanation, steps: Sequence[Step]) -> str:
    """Return what moved, and why."""
    sites = before.sites
    moved = [site for site in sites if np.abs(before.scale[site].astype(np.float64) - after.scale[site]).max() > SEEN]
    if not moved:
        return f"No scale s differs by more than {SEEN} from that of the unchanged network."
    text = f"By how much s of every channel differs from the unchanged network: by more than {SEEN} in {len(moved)} of {len(sites)} blocks."
    held = touched(steps, sites)
    if len(held) == len(sites):
        return f"{text} All of them are changed by hand."
    named = held[0] if len(held) == 1 else f"{len(held)} blocks"
    answer = " the others that moved come later, and answer to what now reaches them." if set(moved) - set(held) else ""
    return f"{text} Changed by hand {'is' if len(held) == 1 else 'are'} {named}{';' if answer else '.'}{answer}"


def _show_map(shown: Explanation) -> None:
    beyond = "; values beyond 0 and 1 get the colour of that end" if _beyond(shown) else ""
    show(
        gate_map(shown.scale),
        key="gate-map",
        caption=f"Each row is one SE block, each column one of its channels ({describe_channels(shown.scale)}){beyond}. "
        "**Click a row to choose that block.**",
        table=gate_map_table(shown.scale),
        on_select=lambda: _choose_clicked(shown.sites, "gate-map"),
    )


def _beyond(shown: Explanation) -> bool:
    return any(scale.min() < 0 or scale.max() > 1 for scale in shown.scale.values())


def _choose_clicked(sites: tuple[str, ...], key: str) -> None:
    """After a click on a gate map."""
    row = clicked_row(key)
    if row is not None:
        choose_block(sites[row])


def _show_sensitivity(question: Question, block: str | None) -> None:
    """Show which blocks, and which channels of one, the probability of a class depends on: with all gates as they are."""
    names = unique(question.before.classes)
    heading, which = st.container(), st.container()
    name = which.selectbox("Of which class", [PREDICTED, *names], key="watch", bind="query-params", width=320)
    target = names.index(name) if name in names else int(question.before.probabilities.argmax())
    question = replace(question, target=target)
    with heading:
        st.header("Which blocks does the prediction depend on?", anchor="sensitivity")
    show_strip(question, choose_block)
    show_channels(question, block)


def unique(names: Sequence[str]) -> list[str]:
    """Return the names of classes, where several have the same with their number, as ImageNet's two cranes."""
    return [name if names.count(name) == 1 else f"{name} ({place})" for place, name in enumerate(names)]


st.title("What if?")
st.markdown(
    "What would the network recognise if its gates stood otherwise? Open them, freeze them, shut some, or take those of another photo."
)
try:
    explore(chosen(), card_of(chosen()))
    show_audit(card_of(chosen()))
except SevisError as missing:
    show_error(missing)
