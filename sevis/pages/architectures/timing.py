"""The panel that measures how much slower SE makes a network on this machine: both in turns, when a visitor asks."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from sevis.errors import SevisError
from sevis.figures.networks.costs import Slowdown, slowdown_chart, slowdown_table
from sevis.pages.architectures.designs import Design, cost_of, family_of
from sevis.pages.shared.cache import look_up
from sevis.pages.shared.growing import drop, show_growing
from sevis.pages.shared.show import show
from sevis.paper import TIMINGS, Timing
from sevis.settings import most_parameters

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

PAIRS = 30
NAME = "overhead"


@dataclass(frozen=True)
class Overhead:
    """The time of a network with SE against without, after so many pairs of PAIRS.

    Attributes:
        median, low, high: of the ratios of the pairs, and their quartiles.
        plain: the median time without SE, in seconds.
        pairs: how many were measured.
    """

    median: float
    low: float
    high: float
    plain: float
    pairs: int

    @property
    def done(self) -> float:
        """Return how much of the measurement, in 0..1."""
        return self.pairs / PAIRS


def show_overhead(design: Design) -> None:
    """Show a button, and once it is clicked, the measurement as it grows. Raises SevisError for a network beyond the app's limit."""
    check_size(design)
    device = describe_device()
    keys = (NAME, design.key, device)
    st.markdown(
        f"One image of {family_of(design.name, design.width).side} pixels through {design.title} without and with SE, in turns, "
        f"{PAIRS} times each, with fresh random weights, on {device}. The paper's two times are of ResNet-50: {_papers()}."
    )
    if look_up(*keys) is None and st.session_state.get(NAME) != keys:
        drop(NAME)
        st.button("Measure the time on this machine", key="measure-overhead", on_click=_ask, args=(keys,), icon=":material/timer:")
        return
    show_growing(NAME, keys, lambda _: _measure(design), partial(_draw, design, device), cancel=_cancel)


def check_size(design: Design) -> None:
    """Raise SevisError for a network with more parameters than the app loads: one visitor's would take the memory of all."""
    count, most = cost_of(design).parameters, most_parameters()
    if count > most:
        raise SevisError(
            f"{design.title} with these SE blocks has {count / 1e6:,.0f} million parameters, and this app runs networks of at most "
            f"{most / 1e6:,.0f} million: choose a smaller network or a larger r, or start the app with a higher SEVIS_MAX_PARAMETERS"
        )


def describe_device() -> str:
    """Return what the networks run on, in words."""
    import torch

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    threads = torch.get_num_threads()
    return f"the CPU of this machine ({threads} {'thread' if threads == 1 else 'threads'})"


def _ask(keys: tuple[str, ...]) -> None:
    st.session_state[NAME] = keys


def _cancel() -> None:
    drop(NAME)
    st.session_state.pop(NAME, None)


def _measure(design: Design) -> Iterator[Overhead]:
    """Build both networks, and yield the ratio of their times so far."""
    import torch

    from sevis.experiments.timing import pair_up

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    plain, gated = _fresh(design.plain, device), _fresh(design, device)
    image = torch.rand(1, *family_of(design.name, design.width).size, device=device)
    for ratio in pair_up(partial(_run, plain, image), partial(_run, gated, image), pairs=PAIRS):
        yield Overhead(ratio.median, ratio.low, ratio.high, ratio.plain, ratio.pairs)


def _fresh(design: Design, device: "torch.device") -> "nn.Module":
    from sevis.networks import build
    from sevis.weights.build import building

    name, options = design.arguments()
    with building():
        return build(name, **options).eval().to(device)


def _run(model: "nn.Module", image: "Tensor") -> None:
    """Show one forward pass, to its end: a GPU answers before it is done."""
    import torch

    with torch.inference_mode():
        model(image)
    if image.is_cuda:
        torch.cuda.synchronize()


def _draw(design: Design, device: str, answer: Overhead) -> None:
    plain = 1e3 * answer.plain
    what = f"{design.title}, forward of one image on {device}"
    here = Slowdown("here", what, answer.median, (answer.low, answer.high), plain, plain * answer.median)
    st.markdown(
        f"**{here.ratio:.3f} times** the time (quartiles {answer.low:.3f} to {answer.high:.3f} of {answer.pairs} pairs): "
        f"{here.plain:.1f} ms without SE, so about {here.gated:.1f} ms with."
    )
    rows = [here, *(_row(timing) for timing in reversed(TIMINGS))]
    show(
        slowdown_chart(rows),
        key="overhead",
        caption=f"How many times as long {design.title} takes with SE, measured here on {device}, beside the paper's figures for "
        "ResNet-50 (a forward on a CPU; training on 8 GPUs); 1 is no longer than without.",
        table=slowdown_table(rows),
    )


def _row(timing: Timing) -> Slowdown:
    label = "paper, CPU" if "CPU" in timing.what else "paper, training"
    return Slowdown(label, f"ResNet-50, {timing.what}", timing.gated / timing.plain, None, timing.plain, timing.gated)


def _papers() -> str:
    return ", and ".join(f"{timing.plain:g} → {timing.gated:g} ms for the {timing.what}" for timing in reversed(TIMINGS))
