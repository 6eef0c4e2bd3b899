"""The network that the pages show: typed or chosen above every page, and kept in the URL.

Only names come from a visitor, never a path. What cannot be had is said in a sentence, and the pages stay on the network that they have.
"""

import re
from dataclasses import dataclass
from urllib.parse import urlparse

import streamlit as st

from sevis.errors import NoBlocks, SevisError, WeightsMissing
from sevis.extras import is_installed
from sevis.pages.shared.loading import wait_for
from sevis.pages.shared.show import as_text, show_error
from sevis.weights.card import DEFAULT, SUFFIXES, find_index_fault, list_pretrained, read_card, sound_cards

TRAINED, RANDOM = "trained", "random"
SHOWN = "shown-network"
NAME = re.compile(r"(timm/|torchvision/)?[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
WELL_KNOWN = (
    "legacy_seresnet50",
    "legacy_seresnet101",
    "legacy_seresnext50_32x4d",
    "legacy_senet154",
    "seresnet50",
    "seresnext50_32x4d",
    "efficientnet_b0",
    "mobilenetv3_small_100",
    "mobilenetv3_large_100",
    "regnety_004",
    "rexnet_100",
    "ghostnet_100",
    "torchvision/efficientnet_b0",
    "torchvision/mobilenet_v3_large",
    "torchvision/regnet_y_400mf",
)


@dataclass(frozen=True)
class Network:
    """What a visitor chose.

    Attributes:
        name: a name that `sevis.load` knows.
        weights: None for its trained weights, or `random`.
    """

    name: str = DEFAULT
    weights: str | None = None

    @property
    def shipped(self) -> bool:
        """Return whether it comes with sevis, weights and all. Raises SevisError where index.json cannot be read."""
        return self.weights is None and self.name in list_pretrained()

    def __str__(self) -> str:
        return f"{self.name} with random weights" if self.weights else self.name


def chosen() -> Network:
    """Return the network that the pages show to this visitor."""
    shown = st.session_state.get(SHOWN)
    return shown if isinstance(shown, Network) else Network()


def choose_network() -> Network:
    """Draw the chooser, and give the network that the pages show: the chosen one, or where that cannot be had, the one before."""
    wanted = _choose()
    if fault := find_index_fault():
        st.warning(as_text(f"Only the networks that come with sevis are here, because {fault}."), icon=":material/warning:")
    try:
        _check(wanted)
        st.session_state[SHOWN] = wanted
    except WeightsMissing as missing:
        _offer(missing, wanted.name)
    except SevisError as error:
        show_error(error)
        st.info(_what_stays(), icon=":material/info:")
    if chosen().weights:
        st.warning(
            f"**Random weights.** `{chosen().name}` has learnt nothing: its predictions mean nothing, and its gates are those of an "
            "untrained network.",
            icon=":material/casino:",
        )
    return chosen()


def _choose() -> Network:
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        name = st.selectbox(
            "Network",
            _options(),
            key="network",
            bind="query-params",
            accept_new_options=True,
            on_change=_back_to_trained,
            width=380,
            help="Choose a network, or type the name of any Squeeze-and-Excitation network of timm or torchvision, such as "
            "regnety_008. With timm/NAME or torchvision/NAME you choose the library.",
        )
        if "weights" not in st.session_state:
            st.session_state["weights"] = RANDOM if st.query_params.get("weights") == RANDOM else TRAINED
        weights = st.radio("Weights", [TRAINED, RANDOM], horizontal=True, key="weights")
    _show_in_url(weights)
    return Network((name or DEFAULT).strip(), RANDOM if weights == RANDOM else None)


def _show_in_url(weights: str | None) -> None:
    """Keep the weights in the URL: a bound control loses its place there when the page is changed soon after it was opened."""
    if weights == RANDOM:
        st.query_params["weights"] = RANDOM
    else:
        st.query_params.pop("weights", None)


def _options() -> list[str]:
    try:
        shipped = [card.name for card in sound_cards() if card.gated]
    except SevisError:  # the page says so, where it needs the index
        shipped = []
    typed = [name for name in (st.query_params.get("network"), st.session_state.get("network")) if name]
    known = WELL_KNOWN if is_installed("timm") and is_installed("torchvision") else ()
    return list(dict.fromkeys([DEFAULT, *shipped, *known, *typed]))


def _back_to_trained() -> None:
    st.session_state["weights"] = TRAINED


def _use_random() -> None:
    st.session_state["weights"] = RANDOM


def _check(network: Network) -> None:
    """Load a network unless it comes with sevis, whose page then needs no torch. Raises SevisError for one that cannot be had."""
    if not NAME.fullmatch(network.name) or network.name.lower().endswith(SUFFIXES):
        raise SevisError(
            f"expected the name of a network, such as efficientnet_b0 or torchvision/efficientnet_b0, got {network.name!r:.120}"
        )
    if network == Network():  # its own page says what is wrong with it
        return
    if not network.shipped:
        _load(network)
    elif not read_card(network.name).gated:
        raise SevisError(f"the network {network.name} has no SE blocks, so it has no gates to show: choose an SE network such as {DEFAULT}")


def _load(network: Network) -> None:
    """Load a network. Raises SevisError that names it as the visitor did, who may never have heard of its class."""
    try:
        wait_for(network.name, network.weights)
    except NoBlocks as error:
        raise SevisError(f"the network {network.name} {error.reason}: choose an SE network such as {WELL_KNOWN[0]}") from None
    except WeightsMissing:
        raise
    except SevisError as error:
        if network.name in str(error):
            raise
        raise SevisError(f"the network {network.name} cannot be shown ({error}): choose an SE network such as {WELL_KNOWN[0]}") from None


def _offer(missing: WeightsMissing, name: str) -> None:
    """Say that the weights are not here, and what can be done: nothing is fetched before it is asked for."""
    host = urlparse(str(missing.source)).hostname or missing.source
    with st.container(border=True):
        st.markdown(f":material/info: The trained weights of `{name}` are not on this machine. {_what_stays()}")
        with st.container(horizontal=True):
            fetch = st.button(f"Download them from {host}", key="download", icon=":material/download:")
            st.button("Use random weights", key="use-random", on_click=_use_random, icon=":material/casino:")
        if fetch:
            try:
                wait_for(name, None, download=True)
            except SevisError as error:
                show_error(error)
                return
            st.rerun()


def _what_stays() -> str:
    shown = chosen()
    return f"These pages still show `{shown.name}`{' with random weights' if shown.weights else ''}."
