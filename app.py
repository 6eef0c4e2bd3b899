"""The app: `streamlit run app.py`."""

import os
from contextlib import suppress
from pathlib import Path

import streamlit as st

from sevis.errors import SevisError
from sevis.pages.growing import leave
from sevis.pages.loading import start_loading
from sevis.pages.network import choose_network

ICON = Path(__file__).parent / "sevis" / "pages" / "icon.svg"  # a page's Material symbol would be fetched from the internet

# Torch's threads otherwise spin while they wait, which makes every session wait for the others; torch reads this when it is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

st.set_page_config(page_title="sevis", page_icon=str(ICON), layout="wide")
architectures = st.Page("sevis/pages/architectures.py", title="Architectures", icon=":material/account_tree:")
ablations = st.Page("sevis/pages/ablations.py", title="Ablations", icon=":material/science:")
page = st.navigation(
    [
        st.Page("sevis/pages/explain.py", title="Explain", icon=":material/image_search:", default=True),
        st.Page("sevis/pages/what_if.py", title="What if?", icon=":material/tune:"),
        st.Page("sevis/pages/two_photos.py", title="Two photos", icon=":material/compare:"),
        st.Page("sevis/pages/classes.py", title="Classes", icon=":material/stacked_line_chart:"),
        architectures,
        ablations,
    ],
    position="top",
)
if st.session_state.get("shown-page") != page.url_path:
    leave()
    st.session_state["shown-page"] = page.url_path
if page in (architectures, ablations):  # they are about networks of their own: a second chooser would only confuse
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
