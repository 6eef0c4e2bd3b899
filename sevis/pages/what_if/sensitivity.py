"""The panels of the page What if? that say which blocks, and which channels of one block, a prediction depends on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from sevis.data.image_formats import read_image
from sevis.experiments.explanation import Explanation
from sevis.figures.gates.what_if import channel_bars, sensitivity_strip
from sevis.pages.shared.cache import look_up
from sevis.pages.shared.controls import choose_clicked
from sevis.pages.shared.explanations import Photo, ready_model, seconds_of
from sevis.pages.shared.growing import Say, drop, show_growing
from sevis.pages.shared.network import Network
from sevis.pages.shared.show import show
from sevis.pages.what_if.counterfactuals import Means

if TYPE_CHECKING:
    from sevis.experiments.sensitivity import Ablation, Sensitivity

PATIENCE = 20.0  # seconds: what would take longer waits until it is asked for
WORK = 0.5  # seconds: about one forward pass of a batch
WANTED = "ablate"


@dataclass(frozen=True)
class Question:
    """What the sensitivity is asked of.

    Attributes:
        photo, network: the photo, and the network that looks at it.
        before: what the network makes of the photo, unchanged.
        means: what the blocks are frozen at.
        target: the class whose probability is watched.
    """

    photo: Photo
    network: Network
    before: Explanation
    means: Means
    target: int

    @property
    def seconds(self) -> float:
        """Return the time of a forward pass."""
        return seconds_of(self.before)

    @property
    def keys(self) -> tuple[str, str, str]:
        """Return what the measurements depend on; the class is none of it, for they keep all classes."""
        return self.photo.digest, self.before.weights, self.means.key

    @property
    def batch_size(self) -> int | None:
        """Return how many rows at once: fewer on a slow network, so that others get their turn."""
        return max(1, int(WORK / self.seconds)) if self.seconds > WORK / 16 else None


def show_strip(question: Question, choose: Callable[[str], None]) -> None:
    """Show the sensitivity of all blocks; a click on a row calls `choose` with the name of its block."""
    blocks = len(question.before.sites)
    seconds = (1 + 2 * blocks) * question.seconds
    keys, draw = ("strip", *question.keys), partial(_draw_strip, question, choose)
    asked = f"Measure all {blocks} blocks: about {seconds:.0f} s"
    if look_up(*keys) is not None or seconds < PATIENCE or st.toggle(asked, key="measure", bind="query-params"):
        show_growing("strip", keys, partial(_begin_strip, question), draw)
    else:
        drop("strip")


def show_channels(question: Question, block: str | None) -> None:
    """Show the channels of a block that matter most, once that is asked for."""
    st.header("Which channels of a block?", anchor="channels")
    if block is None:
        drop(WANTED)
        st.markdown("Choose a block above, or click its row, to see which of its channels the prediction depends on.")
        return
    count = len(question.before.scale[block])
    sites = question.before.sites
    left = 1 - (sites.index(block) + 0.5) / len(sites)  # of the network: what comes before the block is computed once a batch
    seconds = 0.75 * left * count * question.seconds
    asked = f"Shut each of the {count} channels of {block} in turn" + (f": about {seconds:.0f} s" if seconds > 2 else "")
    if not st.toggle(asked, key=WANTED, bind="query-params"):
        drop(WANTED)
        return
    keys, draw = ("channels", question.photo.digest, question.before.weights, block), partial(_draw_channels, question)
    show_growing(WANTED, keys, partial(_begin_channels, question, block), draw, cancel=_cancel)


def _cancel() -> None:
    drop(WANTED)
    st.session_state[WANTED] = False


def _begin_strip(question: Question, say: Say) -> "Iterator[Sensitivity]":
    from sevis.experiments.sensitivity import scan_blocks

    ready, image, static = ready_model(question.network), read_image(question.photo.data), question.means.gates() or None
    return scan_blocks(ready, image, static=static, batch_size=question.batch_size, say=say)


def _begin_channels(question: Question, block: str, say: Say) -> "Iterator[Ablation]":
    from sevis.experiments.sensitivity import ablate_channels

    ready, image = ready_model(question.network), read_image(question.photo.data)
    return ablate_channels(ready, image, block, batch_size=question.batch_size, say=say)


def _draw_strip(question: Question, choose: Callable[[str], None], answer: "Sensitivity") -> None:
    chart = sensitivity_strip(answer, question.target, held_at=question.means.said)
    clicked = partial(choose_clicked, "sensitivity", answer.sites, choose)
    show(chart, key="sensitivity", hint="**Click a row to choose that block above.**", on_select=clicked)


def _draw_channels(question: Question, answer: "Ablation") -> None:
    if len(answer.off):
        show(channel_bars(answer, question.target), key=f"{answer.site}-channels")
