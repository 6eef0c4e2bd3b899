"""The app as Streamlit runs it: the frame of the pages, their menu, and the network that they show."""

import os
from contextlib import suppress
from pathlib import Path

import streamlit as st

from sevis.errors import SevisError
from sevis.pages.shared.growing import leave
from sevis.pages.shared.loading import start_loading
from sevis.pages.shared.network import choose_network

PAGES = Path(__file__).parent
MENU = {  # the folder of a page, which is its address, too; its title and icon
    "explain": ("Explain", ":material/image_search:"),
    "what_if": ("What if?", ":material/tune:"),
    "two_photos": ("Two photos", ":material/compare:"),
    "classes": ("Classes", ":material/stacked_line_chart:"),
    "architectures": ("Architectures", ":material/account_tree:"),
    "ablations": ("Ablations", ":material/science:"),
}
OWN_NETWORKS = ("architectures", "ablations")  # pages about networks of their own: a second chooser would only confuse

# Torch's threads otherwise spin while they wait, which makes every session wait for the others; torch reads this when it is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def run() -> None:
    """Draw the app, once for every click of a visitor."""
    icon = str(PAGES / "icon.svg")  # a page's Material symbol would be fetched from the internet
    st.set_page_config(page_title="sevis", page_icon=icon, layout="wide")
    pages = [
        st.Page(PAGES / name / "page.py", url_path=name, title=title, icon=icon, default=name == "explain")
        for name, (title, icon) in MENU.items()
    ]
    page = st.navigation(pages, position="top")
    if st.session_state.get("shown-page") != page.url_path:
        leave()
        st.session_state["shown-page"] = page.url_path
    if page.url_path in OWN_NETWORKS:
        for control in ("network", "weights"):  # Streamlit forgets a control that it does not draw
            if control in st.session_state:
                st.session_state[control] = st.session_state[control]
        page.run()
        st.stop()
    network = choose_network()
    page.run()
    with suppress(SevisError):  # the page has said it
        if network.shipped:
            start_loading(network.name, network.weights)  # after the page: importing torch would slow down its first drawing


if __name__ == "__main__":
    run()
