"""Arrays in, plotly figures out; no torch, no streamlit."""

from sevis.extras import require

require("plotly", "a figure")
