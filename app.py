"""The app: `streamlit run app.py`."""

from sevis.pages.app import run

run()
