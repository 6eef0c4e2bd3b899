"""The pages of the app: the only rooms that import streamlit."""

from sevis.extras import require

require("streamlit", "the app")
require("plotly", "the app", extra="app")
