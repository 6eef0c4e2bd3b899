"""The view "One channel" of the Classes page: one channel of one block, its classes, its scales, and the photos that raise and lower it."""

import streamlit as st

from sevis.class_statistics import ClassStatistics
from sevis.figures import channel as figures
from sevis.figures.class_tables import SHARE, order_channels
from sevis.figures.classes import paper_blocks
from sevis.pages.channel_photos import show_photos
from sevis.pages.network import Network
from sevis.pages.show import show
from sevis.weights import Card

BLOCK, NUMBER = "channel_block", "channel_number"
OPENED = "SE_4_6"  # which the paper calls class-specific


def draw(statistics: ClassStatistics, network: Network, card: Card) -> None:
    """The controls, and all that is known of the channel that they stand for.

    Raises:
        SevisError: when the data set that the photos are in cannot be read.
    """
    block, channel = _choose(statistics)
    st.markdown(figures.describe_channel(statistics, block, channel))
    if not statistics.count.any():
        return
    left, right = st.columns(2, gap="large")
    with left:
        show(
            figures.class_bars(statistics, block, channel),
            key=f"{block}-{channel}-classes",
            caption=figures.class_caption(statistics, block, channel),
            table=figures.class_table(statistics, block, channel),
        )
    with right:
        _show_histogram(statistics, block, channel)
    if statistics.detailed:
        show_photos(statistics, network, card, block=block, channel=channel)


def _choose(statistics: ClassStatistics) -> tuple[str, int]:
    """The controls for the block and its channel, whose state lives in the URL; at first the channel with the largest class share."""
    sites = statistics.sites
    first = sites.index(OPENED if OPENED in sites else paper_blocks(sites)[0])
    with st.container(horizontal=True, gap="medium"):
        block = st.selectbox("Block", sites, index=first, key=BLOCK, bind="query-params", width=160) or sites[first]
        most = int(order_channels(statistics, block, SHARE)[0][0])
        last = statistics.channels[block] - 1
        number = st.number_input(
            f"Channel, 0 to {last}",
            0,
            last,
            most,
            key=NUMBER,
            bind="query-params",
            width=200,
            help="At first the channel whose variance lies most between the classes.",
        )
    return block, int(number)


def _show_histogram(statistics: ClassStatistics, block: str, channel: int) -> None:
    if not statistics.detailed:
        st.info(
            "These class statistics hold means and deviations only. Collected again with python -m sevis collect, they also say how often "
            "a channel has which scale, and which photos raise and lower it most.",
            icon=":material/info:",
        )
        return
    values, histogram = statistics.sample(block).values[:, channel], statistics.histogram(block)
    show(
        figures.scale_histogram(values, histogram, site=block, channel=channel),
        key=f"{block}-{channel}-scales",
        caption=figures.histogram_caption(values, site=block, channel=channel),
        table=figures.histogram_table(values, histogram),
    )
