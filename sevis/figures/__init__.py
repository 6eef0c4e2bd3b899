"""Arrays in, plotly figures out; no torch, no streamlit."""
