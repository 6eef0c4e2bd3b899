"""The editor of the page What if?: where to change the gates, how, and the changes so far, which the URL holds as text."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from sevis.errors import SevisError
from sevis.experiments.explanation import Explanation
from sevis.experiments.interventions import Intervention, format_steps, parse_channels, parse_steps
from sevis.pages.shared.controls import choose_one
from sevis.pages.shared.explanations import Photo, look
from sevis.pages.shared.photos import choose_photo
from sevis.pages.shared.show import as_text, errors_shown, show_error
from sevis.pages.what_if.counterfactuals import LENT, Means, lend, name_of
from sevis.paper import address_of, by_stage, short_name, stage_of
from sevis.weights.card import Card

STEPS, WHERE = "steps", "where"
EVERYWHERE = "every block"
MOST = 32  # channels that one button shuts: so many fit into a link
SET, MULTIPLY = "Set s to", "Multiply s by"


@dataclass(frozen=True)
class Scope:
    """What the next change is for.

    Attributes:
        address: a block, a stage, or SE.
        block: the block, where it is a single one.
        channels: only these; None: all.
    """

    address: str
    block: str | None
    channels: tuple[int, ...] | None


def choose_scope(sites: Sequence[str]) -> Scope | None:
    """Show the controls for stage, block and channels, and return the choice; None where the channels cannot be read, which is said."""
    stages = {f"stage {stage}": address_of(stage) for stage in by_stage(sites)}
    addresses = {EVERYWHERE: "SE", **stages, **{name: name for name in sites}}
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        where = st.selectbox("Where", list(addresses), key=WHERE, bind="query-params", width=160)
        text = st.text_input("Channels", placeholder="all", key="only", bind="query-params", width=160, help="Such as 3, 17-20.")
    address = addresses.get(where or EVERYWHERE, "SE")
    try:
        channels = parse_channels(text) if text and text.strip() else None
        Intervention(address, "static", channels=channels)  # the same channel twice, ...
    except SevisError as error:
        show_error(error)
        return None
    return Scope(address, address if address in sites else None, channels)


def set_block(block: str) -> None:
    """Set the controls to a block."""
    st.session_state[WHERE] = block


def read_steps() -> tuple[Intervention, ...]:
    """Return the changes so far: also before `edit_text` is drawn, for then they are in the URL alone. Raises SevisError for a damaged
    text.
    """
    return parse_steps(_text())


def _text() -> str:
    return st.session_state.get(STEPS, st.query_params.get(STEPS)) or ""


def edit_text() -> None:
    """Show the steps as text, open where it is damaged: it must be drawn in every run, for it holds the state and the URL."""
    try:
        read_steps()
        damaged = False
    except SevisError:
        damaged = True
    with st.expander("The changes as text", expanded=damaged):
        _edit_text()


def _edit_text() -> None:
    st.text_input(
        "The changes as text, applied from left to right",
        key=STEPS,
        bind="query-params",
        placeholder="no change yet",
        help="WHERE:WHAT, separated by semicolons. WHERE: SE (every block), SE_5 (a stage), SE_5_3 (a block), SE_5_3[3,17-20] (channels). "
        "WHAT: open, a number, x0.5 (multiply), static, class=NAME, photo=NAME.",
    )


def show_steps() -> tuple[Intervention, ...]:
    """Show the changes so far, each with a click to take it back; none where their text is damaged, which the page then says."""
    try:
        steps = read_steps()
    except SevisError as error:
        show_error(error)
        _undo()
        return ()
    _show_steps(steps)
    return steps


def _show_steps(steps: Sequence[Intervention]) -> None:
    if not steps:
        st.caption("Nothing is changed yet. Choose where, and press one of the buttons.")
        return
    with st.container(horizontal=True, gap="small"):
        for index, step in enumerate(steps):
            rest = (*steps[:index], *steps[index + 1 :])
            st.button(
                describe(step),
                key=f"step-{index}",
                on_click=_set,
                args=(rest,),
                icon=":material/close:",
                icon_position="right",
                help="Take this change back",
            )
        _undo()


def _undo() -> None:
    st.button("Undo all", key="undo", on_click=_set, args=((),), type="tertiary", icon=":material/undo:")


def show_buttons(scope: Scope, before: Explanation, means: Means, card: Card) -> None:
    """Show what can be done there: each button adds a change."""
    where, channels = scope.address, scope.channels
    with st.container(horizontal=True, gap="small"):
        _button("Open (s = 1)", Intervention(where, "set", 1.0, channels=channels), key="open", icon=":material/door_open:")
        static = Intervention(where, "static", channels=channels)
        _button(
            "Freeze at its mean", static, key="freeze", icon=":material/ac_unit:", help=f"Each scale is held at its mean over {means.said}."
        )
        single = None if scope.block else "Choose a single block first."
        with st.popover("Shut the most open", icon=":material/door_front:", disabled=scope.block is None, help=single):
            if scope.block:
                _shut(scope.block, before.scale[scope.block])
        missing = (
            None
            if means.statistics
            else "There are no class statistics of these weights: collect them on the page Classes, or with python -m sevis collect."
        )
        with st.popover("A class's gates", icon=":material/category:", disabled=means.statistics is None, help=missing):
            _of_class(scope, means)
        with st.popover("A photo's gates", icon=":material/image:"):
            _of_photo(scope, card)
        with st.popover("A number", icon=":material/tune:"):
            _number(scope)


def _shut(block: str, scale: NDArray[np.float32]) -> None:
    count = st.slider("How many channels", 1, min(MOST, len(scale)), min(8, len(scale)), key="shut_count", bind="query-params")
    raised = np.sort(np.argsort(-scale, kind="stable")[:count]).tolist()
    st.caption(f"The most open channels for this photo: {', '.join(map(str, raised))}.")
    _button(f"Shut these channels (s = 0) in {block}", Intervention(block, "set", 0.0, channels=tuple(raised)), key="shut")


def _of_class(scope: Scope, means: Means) -> None:
    statistics = means.statistics
    names = [name for name, count in zip(statistics.classes, statistics.count, strict=True) if count] if statistics else []
    name = st.selectbox(
        "Class", names, key="gates_of", bind="query-params", help="Each scale becomes its mean over the photos of this class."
    )
    if name:
        _button("Take its mean gates", Intervention(scope.address, "class", name=name, channels=scope.channels), key="take-class")


def _of_photo(scope: Scope, card: Card) -> None:
    with errors_shown():
        photo = choose_photo(card, key="lend_")
        if photo:
            st.image(look(photo, card).photo, width=160, output_format="JPEG")
            step = Intervention(scope.address, "photo", name=name_of(photo, card), channels=scope.channels)
            st.button(f"Take the gates of {as_text(photo.title)}", key="take-photo", on_click=_borrow, args=(photo, step))


def _number(scope: Scope) -> None:
    how = choose_one("Change", [SET, MULTIPLY], key="how", label_visibility="collapsed")
    value = st.number_input("Number", value=0.5, step=0.1, key="number", bind="query-params", format="%g")
    step = Intervention(scope.address, "multiply" if how == MULTIPLY else "set", float(value), channels=scope.channels)
    _button("Do it", step, key="do-number")


def _button(label: str, step: Intervention, *, key: str, icon: str | None = None, help: str | None = None) -> None:
    st.button(label, key=key, on_click=_add, args=(step,), icon=icon, help=help)


def _add(step: Intervention) -> None:
    """Append to the text, whatever it is: what cannot be read is not lost."""
    st.session_state[STEPS] = ";".join(filter(None, [_text().strip("; "), str(step)]))


def _borrow(photo: Photo, step: Intervention) -> None:
    """Add a step that takes the gates of a photo, and keep the photo for it."""
    _add(step)
    names = unquote(_text())  # also of steps that cannot be read
    lend(photo, step.name or "", needed=[name for name in st.session_state.get(LENT, {}) if name in names])


def _set(steps: Sequence[Intervention]) -> None:
    st.session_state[STEPS] = format_steps(steps)


def touched(steps: Sequence[Intervention], sites: Sequence[str]) -> list[str]:
    """Return the blocks that the steps are for."""
    return [site for site in sites if any(f"{site}_".startswith(f"{step.where}_") for step in steps)]


def describe(step: Intervention) -> str:
    """Return a step in words, as Markdown that shows every name as it is."""
    where = EVERYWHERE if step.where == "SE" else step.where if stage_of(step.where) else f"stage {short_name(step.where)}"
    if step.channels is not None:
        listed = str(step)[len(step.where) + 1 :].partition("]")[0].replace(",", ", ")
        where += f", {len(step.channels)} channels" if len(listed) > 20 else f", channel{'s'[: len(step.channels) > 1]} {listed}"
    return as_text(f"{where}: {_what(step)}")


def _what(step: Intervention) -> str:
    if step.value is not None and step.action == "multiply":
        return f"s × {step.value:g}"
    if step.value is not None:
        return "open (s = 1)" if step.value == 1 else f"s = {step.value:g}"
    return f"gates of the {step.action} {step.name}" if step.name else "frozen at its mean"
