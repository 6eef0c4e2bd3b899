"""The panel that measures how much slower SE makes a network on this machine: both in turns, when a visitor asks."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from sevis.errors import SevisError
from sevis.experiments.timing import Ratio, forward, pair_up
from sevis.figures.networks.costs import slowdown_chart
from sevis.pages.architectures.designs import Design, cost_of, family_of
from sevis.pages.shared.cache import look_up
from sevis.pages.shared.growing import drop, show_growing
from sevis.pages.shared.show import show
from sevis.paper import TIMINGS
from sevis.settings import most_parameters

if TYPE_CHECKING:
    import torch
    from torch import nn

PAIRS = 30
NAME = "overhead"


def show_overhead(design: Design) -> None:
    """Show a button, and once it is clicked, the measurement as it grows. Raises SevisError for a network beyond the app's limit."""
    check_size(design)
    device = describe_device()
    keys = (NAME, design.key, device)
    st.markdown(
        f"One image of {family_of(design.name, design.width).side} pixels runs through {design.title} without and with SE in turns, "
        f"{PAIRS} times each, with random weights, on {device}. The paper gives two times for ResNet-50: {_papers()}."
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
            f"{design.title} with these SE blocks has {count / 1e6:,.0f} million parameters, but this app runs networks of at most "
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


def _measure(design: Design) -> Iterator[Ratio]:
    """Build both networks, and yield the ratio of their times so far."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    plain, gated = _fresh(design.plain, device), _fresh(design, device)
    image = torch.rand(1, *family_of(design.name, design.width).size, device=device)
    yield from pair_up(partial(forward, plain, image), partial(forward, gated, image), pairs=PAIRS)


def _fresh(design: Design, device: "torch.device") -> "nn.Module":
    from sevis.networks.initialisation import building
    from sevis.networks.libraries.sevis_library import build

    name, options = design.arguments()
    with building():
        return build(name, **options).eval().to(device)


def _draw(design: Design, device: str, ratio: Ratio) -> None:
    plain = 1e3 * ratio.plain
    st.markdown(
        f"**{ratio.median:.3f} times** the time without SE (quartiles {ratio.low:.3f} to {ratio.high:.3f} of {ratio.pairs} pairs): "
        f"{plain:.1f} ms without SE, about {plain * ratio.median:.1f} ms with SE."
    )
    show(slowdown_chart(ratio, network=design.title, device=device), key="overhead")


def _papers() -> str:
    return ", and ".join(f"{timing.plain:g} → {timing.gated:g} ms for the {timing.what}" for timing in reversed(TIMINGS))
