"""The Classes page: what the gates of a network do for whole classes, in views that are chosen above and live in files of their own."""

import streamlit as st

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.provenance import describe_source
from sevis.errors import SevisError
from sevis.pages.classes.class_report import offer_report
from sevis.pages.classes.collecting import collected_here
from sevis.pages.classes.own_data import own_statistics
from sevis.pages.shared.controls import choose_one
from sevis.pages.shared.explanations import card_of, read_statistics
from sevis.pages.shared.growing import leave
from sevis.pages.shared.network import Network, chosen
from sevis.pages.shared.show import errors_shown
from sevis.weights.card import Card

MEANS, SPREADS, PROFILE, MAP = "Figure 6: means", "Figure 7: spread", "Depth profile", "Class map"
CHANNEL, PAIR, MODELS, OWN = "One channel", "Two classes", "Two models", "Your data"
VIEWS = (MEANS, SPREADS, PROFILE, MAP, CHANNEL, PAIR, MODELS, OWN)


def load_statistics(card: Card) -> ClassStatistics:
    """Return the class statistics in a network's file, which all visitors share. Raises SevisError where it is missing, damaged or out of
    date.
    """
    path = card.statistics_path
    statistics = read_statistics(path)
    if statistics.metadata.get("weights", card.sha256) != card.sha256:
        raise SevisError(
            f"{path.name} was made with other weights than those of {card.name}: collect it again with python -m sevis collect"
        )
    return statistics


def statistics_of(network: Network, card: Card) -> ClassStatistics | None:
    """Return those of the visitor's own photos, where there are some; else those in the network's file.

    Without a file, for a network that does not come with sevis, it is what is collected here; None before that.
    """
    own = own_statistics(network, card)
    if own:
        return own
    if network.shipped or card.statistics_path.is_file():
        return load_statistics(card)
    return collected_here(network, card)


def choose_view() -> str:
    """Show the control that chooses a view, and return that; what the one before was still working on ends."""
    view = choose_one("Show", VIEWS, key="figure", wrap=True)
    if st.session_state.get("shown-view") != view:
        leave()
        st.session_state["shown-view"] = view
    return view


def draw_view(view: str, network: Network, card: Card) -> None:
    """Show one view, for which only its own file is imported. Raises SevisError where the statistics cannot be had."""
    if view == OWN:
        from sevis.pages.classes import own_data

        own_data.draw(network, card)
        return
    statistics = statistics_of(network, card)
    if statistics:
        draw_statistics(view, statistics, network, card)
        st.caption(describe_source(statistics))
        offer_report(statistics)


def draw_statistics(view: str, statistics: ClassStatistics, network: Network, card: Card) -> None:
    """Show a view of the class statistics of the network."""
    if view == PROFILE:
        from sevis.pages.classes import depth

        depth.draw(statistics)
    elif view == MAP:
        from sevis.pages.classes import class_map

        class_map.draw(statistics)
    elif view == CHANNEL:
        from sevis.pages.classes import channel

        channel.draw(statistics, network, card)
    elif view == PAIR:
        from sevis.pages.classes import two_classes

        two_classes.draw(statistics)
    elif view == MODELS:
        from sevis.pages.classes import two_models

        two_models.draw(statistics, card)
    else:
        from sevis.pages.classes import class_curves

        (class_curves.draw_spreads if view == SPREADS else class_curves.draw_means)(statistics)


st.title("Classes")


st.markdown(
    "Which channels does a network open and shut for whole classes? See Figures 6 and 7 of the SENet paper for your network, and "
    "what the paper says about them."
)


with errors_shown():
    draw_view(choose_view(), chosen(), card_of(chosen()))
