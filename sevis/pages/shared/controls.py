"""Controls that several pages have; what is chosen lives in the URL."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import streamlit as st

Option = TypeVar("Option")
MAPS, OVERLAYS = "As maps", "On the photo"


def choose_one(
    label: str,
    options: Sequence[Option],
    *,
    key: str,
    titles: Mapping[Option, str] | None = None,
    default: Option | None = None,
    **look: Any,
) -> Option:
    """Show the options side by side, and return the one that is chosen; one always is.

    Args:
        label: above them.
        options: at least one.
        key: of the control, in the URL, too.
        titles: what options are called; one without a title is shown as it is.
        default: what is chosen at first; None: the first option.
        look: what else `st.segmented_control` takes, such as `help`.
    """
    first = options[0] if default is None else default
    called = (titles or {}).get
    chosen: Option | None = st.segmented_control(
        label,
        options,
        default=first,
        required=True,
        format_func=lambda one: called(one, str(one)),
        key=key,
        bind="query-params",
        **look,
    )
    return first if chosen is None else chosen


def choose_overlays() -> bool:
    """Show the control for how the maps of a block are shown, and return whether they lie over the photo."""
    return choose_one("Show them", [MAPS, OVERLAYS], key="maps") == OVERLAYS


def choose_block(blocks: Sequence[str]) -> str | None:
    """Return the block to look into; none at first: so much the sooner the first page stands."""
    st.header("Inside one block", anchor="inside")
    return st.selectbox(
        "Block", blocks, index=None, placeholder="Choose a block, or click its row above", key="block", bind="query-params", width=400
    )


def open_clicked(key: str, blocks: Sequence[str]) -> None:
    """Choose in `choose_block` the block whose row of the map `key` was clicked."""
    choose_clicked(key, blocks, lambda block: st.session_state.update(block=block))


def choose_clicked(key: str, blocks: Sequence[str], choose: Callable[[str], None]) -> None:
    """Call `choose` with the block whose row of the map `key` was clicked; not after a click that takes the choice back."""
    points = st.session_state[key]["selection"]["points"]
    if points:
        choose(blocks[round(points[0]["y"])])
