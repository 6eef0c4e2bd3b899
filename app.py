"""The app: `streamlit run app.py`."""

import os
from contextlib import suppress
from pathlib import Path

import streamlit as st

from sevis.errors import SevisError
from sevis.pages.shared.growing import leave
from sevis.pages.shared.loading import start_loading
from sevis.pages.shared.network import choose_network

ICON = Path(__file__).parent / "sevis" / "pages" / "icon.svg"  # a page's Material symbol would be fetched from the internet

# Torch's threads otherwise spin while they wait, which makes every session wait for the others; torch reads this when it is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

st.set_page_config(page_title="sevis", page_icon=str(ICON), layout="wide")
architectures = st.Page(
    "sevis/pages/architectures/page.py", url_path="architectures", title="Architectures", icon=":material/account_tree:"
)
ablations = st.Page("sevis/pages/ablations/page.py", url_path="ablations", title="Ablations", icon=":material/science:")
page = st.navigation(
    [
        st.Page("sevis/pages/explain/page.py", url_path="explain", title="Explain", icon=":material/image_search:", default=True),
        st.Page("sevis/pages/what_if/page.py", url_path="what_if", title="What if?", icon=":material/tune:"),
        st.Page("sevis/pages/two_photos/page.py", url_path="two_photos", title="Two photos", icon=":material/compare:"),
        st.Page("sevis/pages/classes/page.py", url_path="classes", title="Classes", icon=":material/stacked_line_chart:"),
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
