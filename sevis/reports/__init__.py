"""The app's figures as one HTML file, or as SVG and PNG."""
