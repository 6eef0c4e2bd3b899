"""The app's figures as one HTML file, or as SVG and PNG."""

from sevis.extras import require

require("plotly", "a figure")
