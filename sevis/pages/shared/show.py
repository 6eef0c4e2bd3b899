"""How every page shows a figure: the chart, one sentence below it, and its downloads; and how it says what went wrong."""

import base64
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Literal

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from sevis.errors import SevisError
from sevis.figures.chart import Chart, Panels, Picture

LABEL = "SVG"
# What Markdown would read as more than a sign: an underscore inside a word, as in SE_4_6, is none of it.
_MARKUP = re.compile(r"[\\`*\[\]$<>~#|]|(?<![^\W_])_|_(?![^\W_])|&(?=\S)")
# Of :smile:, :material/home: and :red[a] Streamlit makes pictures and colours in spite of a backslash: an invisible sign prevents it.
_SHORTCODE, _WORD_JOINER = re.compile(r":(?=[\w+/-]+[:\[])"), "\u2060"

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
    for (const name of data.charts) {
      const chart = document.querySelector(`.${name} .js-plotly-plot`);
      const camera = chart?.querySelector('.modebar-btn[data-title^="Download"]');
      const options = chart?._context?.toImageButtonOptions;
      if (!camera || !options) { button.textContent = "not drawn yet"; return; }
      const { format, scale } = options;
      Object.assign(options, { format: "svg", scale: 1 });
      camera.click();
      Object.assign(options, { format, scale });
    }
  };
}
"""


HTML = f'<button type="button" aria-label="{LABEL}" title="Download this figure as SVG">{LABEL}</button>'


_button = st.components.v2.component("sevis_svg", html=HTML, css=STYLE, js=SCRIPT)


def svg_button(key: str, *parts: str) -> None:
    """Show a button that saves the chart `key` of this page, or each chart of its `parts`, as an SVG file."""
    charts = ["st-key-" + re.sub(r"[^a-zA-Z0-9_-]", "-", part.strip()) for part in parts or [key]]  # the class that Streamlit gives it
    _button(key=f"{key}.svg", data={"charts": charts}, width="content")


def show(
    chart: Chart,
    *,
    key: str,
    hint: str = "",
    on_select: Callable[[], None] | Literal["ignore"] = "ignore",
) -> None:
    """Draw a chart over the whole width, its caption, and buttons that save it as SVG and its data as CSV.

    As PNG it is saved by the camera button that appears over the figure. The caption is read out as the alternative text, too.

    Args:
        chart: from `sevis.figures`.
        key: unique on the page; also the name of the downloaded files.
        hint: Markdown that follows the caption: what a click does.
        on_select: called when a point is clicked; the points are then in `st.session_state[key]`.
    """
    _draw(chart.figure, key=key, alt=chart.caption, on_select=on_select)
    caption = f"{as_text(chart.caption)} {hint}".strip()
    describe(key=key, caption=caption, table=chart.table, others=partial(svg_button, key))


def show_panels(panels: Panels, *, key: str) -> None:
    """Draw figures side by side, where the page is narrow one above the other, with one caption and one set of buttons.

    Args:
        panels: from `sevis.figures`.
        key: as for `show`.
    """
    parts = {f"{key}-{number}": figure for number, figure in enumerate(panels.figures, 1)}
    grid = st.grid(max(len(parts), 1), min_column_width=300, gap="medium")
    for part, figure in parts.items():
        with grid.cell():
            _draw(figure, key=part, alt=f"{figure.layout.title.text}. {panels.caption}")
    describe(key=key, caption=as_text(panels.caption), table=panels.table, others=partial(svg_button, key, *parts))


def _draw(figure: go.Figure, *, key: str, alt: str, on_select: Callable[[], None] | Literal["ignore"] = "ignore") -> None:
    st.plotly_chart(
        _in_theme_ink(figure),
        width="stretch",
        theme="streamlit",
        key=key,
        on_select=on_select,
        selection_mode="points",
        config={
            "displaylogo": False,
            "modeBarButtons": [["toImage"]],
            "toImageButtonOptions": {"format": "png", "scale": 3, "filename": key},
            "scrollZoom": False,
            "doubleClick": False,
        },
        alt=alt,
    )


def show_grid(charts: Iterable[tuple[str, Chart]]) -> None:
    """Draw charts by their keys in a grid of at most three columns, each as `show` does."""
    grid = st.grid(3, min_column_width=300, gap="medium")
    for key, chart in charts:
        with grid.cell():
            show(chart, key=key)


def show_picture(picture: Picture, *, key: str) -> None:
    """Draw a picture over the whole width, with its caption and buttons that save it and its data.

    Args:
        picture: from `sevis.figures`.
        key: as for `show`.
    """
    st.image(picture.pixels, width="stretch", output_format="PNG", alt=picture.caption)

    def others() -> None:
        _save_button("PNG", partial(to_png, picture.pixels), key=key, help="Download this picture")
        _save_button("SVG", partial(to_svg, picture.pixels), key=key, help="Download this picture as SVG")

    describe(key=key, caption=as_text(picture.caption), table=picture.table, others=others)


def describe(*, key: str, caption: str, table: Mapping[str, ArrayLike], others: Callable[[], None]) -> None:
    """Show the caption of a figure and the buttons that save it: those that `others` draws, and one for its data as CSV."""
    with st.container(horizontal=True, vertical_alignment="top", gap="small", wrap=False):
        st.caption(caption, width="stretch")
        others()
        _save_button("CSV", partial(to_csv, table), key=key, help="Download the data of this figure")


def _in_theme_ink(figure: go.Figure) -> go.Figure:
    """Write a figure in the theme's own text colour: Streamlit writes axes in a grey that fades on a projector."""
    theme = st.context.theme.type
    ink = {"color": st.get_option(f"theme.{theme}.textColor")} if theme else {}
    figure.update_layout(font=ink, legend_font=ink, title_font=ink)
    figure.update_xaxes(tickfont=ink, title_font=ink)
    figure.update_yaxes(tickfont=ink, title_font=ink)
    figure.update_traces(colorbar={"tickfont": ink, "title_font": ink}, selector={"type": "heatmap"})
    return figure


def _save_button(suffix: str, data: Callable[[], bytes], *, key: str, help: str) -> None:
    """Show a button that makes a file only when it is clicked, and leaves the page as it is."""
    name = f"{key}.{suffix.lower()}"
    st.download_button(suffix, data, file_name=name, key=name, help=help, on_click="ignore", type="tertiary", icon=":material/download:")


def to_csv(table: Mapping[str, ArrayLike]) -> bytes:
    """Return the columns of a table as CSV in UTF-8. Raises ValueError when their lengths differ."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(zip(*(np.asarray(column).tolist() for column in table.values()), strict=True))
    return text.getvalue().encode()


def to_png(picture: NDArray[np.uint8]) -> bytes:
    """Return an array of pixels as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    return file.getvalue()


def to_svg(picture: NDArray[np.uint8]) -> bytes:
    """Return an array of pixels as an SVG file, whose pixels stay sharp however large it is drawn."""
    height, width = picture.shape[:2]
    data = base64.b64encode(to_png(picture)).decode()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f'<image width="{width}" height="{height}" style="image-rendering:pixelated" href="data:image/png;base64,{data}"/></svg>'
    ).encode()


def show_error(error: SevisError) -> None:
    """Say in one sentence, in place of a figure, what a user can mend."""
    message = str(error)
    sentence = message[:1].upper() + message[1:] + ("" if message.endswith(".") else ".")
    st.error(as_text(sentence), icon=":material/error:")


@contextmanager
def errors_shown() -> Iterator[None]:
    """Say in place of what is drawn within what a user can mend, as `show_error` does."""
    try:
        yield
    except SevisError as error:
        show_error(error)


def show_said(sentences: Iterable[str]) -> None:
    """Show what the work on an answer had to say, a sentence each."""
    for sentence in sentences:
        st.info(sentence, icon=":material/memory:")


def as_text(text: str) -> str:
    """Return a text from outside, such as a file's name, as Markdown that shows it as it is."""
    return _MARKUP.sub(r"\\\g<0>", _SHORTCODE.sub(f":{_WORD_JOINER}", text))
