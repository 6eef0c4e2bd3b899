"""A button that saves a chart as SVG. It is drawn by the visitor's browser, which has the chart already: the server needs none."""

import re

import streamlit as st

LABEL = "SVG"
STYLE = """
button { all: unset; display: inline-flex; align-items: center; gap: .5rem; min-height: 2.5rem; cursor: pointer;
         color: var(--st-text-color); font: 400 .875rem / 1.6 var(--st-font); }
button:hover { color: var(--st-primary-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); border-radius: .25rem; }
button::before { content: "download"; font: 1.125em / 1 "Material Symbols Rounded"; font-feature-settings: "liga"; }
"""
# The camera button of plotly.js saves in the format that its options name when it is clicked, and Streamlit passes on no second one.
SCRIPT = """
export default function({ data, parentElement }) {
  const button = parentElement.querySelector("button");
  button.onclick = () => {
    const chart = document.querySelector(`.${data.chart} .js-plotly-plot`);
    const camera = chart?.querySelector('.modebar-btn[data-title^="Download"]');
    const options = chart?._context?.toImageButtonOptions;
    if (!camera || !options) { button.textContent = "not drawn yet"; return; }
    const { format, scale } = options;
    Object.assign(options, { format: "svg", scale: 1 });
    camera.click();
    Object.assign(options, { format, scale });
  };
}
"""
HTML = f'<button type="button" aria-label="{LABEL}" title="Download this figure as SVG">{LABEL}</button>'
_button = st.components.v2.component("sevis_svg", html=HTML, css=STYLE, js=SCRIPT)


def svg_button(key: str) -> None:
    """A button that saves the chart `key` of this page as an SVG file."""
    chart = "st-key-" + re.sub(r"[^a-zA-Z0-9_-]", "-", key.strip())  # the class that Streamlit gives it
    _button(key=f"{key}.svg", data={"chart": chart}, width="content")
