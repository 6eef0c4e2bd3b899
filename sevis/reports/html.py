"""Figures as files: one self-contained HTML file that needs no internet, or SVG and PNG through Kaleido where a Chromium is installed."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from sevis.errors import SevisError
from sevis.extras import require
from sevis.figures.chart import Chart, Panels
from sevis.files import replace_file

IMAGE_SUFFIXES = (".svg", ".png")
SUFFIXES = (".html", *IMAGE_SUFFIXES)
IMAGE_WIDTH = 1400
# Nothing outside the file is ever asked for, whatever a name in it says.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'"
STYLE = """
:root { color-scheme: light; }
body { margin: 2rem auto; max-width: 1400px; padding: 0 1rem; background: #ffffff; color: #1f2430;
       font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 1rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; break-after: avoid; }
figure { margin: 0 0 2rem; min-width: 0; break-inside: avoid; }
figcaption { color: #4b5262; }
img { image-rendering: pixelated; width: 256px; border-radius: 4px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 380px), 1fr)); gap: 0 1.5rem; }
.beside { grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); }
.beside > * { min-width: 0; }
@page { margin: 12mm; }
.paper { margin: 0; padding: 0; width: 690px; font-size: 12px; }
.paper figure { margin-bottom: 1rem; }
.paper .grid { grid-template-columns: 1fr 1fr; }
.paper h1, .paper h2 { font-size: 1.3em; margin-top: 1.5rem; }
"""
# A chart keeps the width that it was drawn in: it is drawn again when all of the page is there, and in the width of paper for printing.
FITTING = """
const fit = paper => {
  document.body.classList.toggle("paper", paper);
  document.querySelectorAll(".js-plotly-plot").forEach(chart => Plotly.relayout(chart, { autosize: true }));
};
addEventListener("load", () => fit(false));
addEventListener("beforeprint", () => fit(true));
addEventListener("afterprint", () => fit(false));
"""


def write(charts: Sequence[Chart], path: str | Path, *, title: str = "sevis") -> None:
    """Write charts in the format that the file's name asks for, as a whole or not at all; an image holds one figure and no caption.

    Raises:
        SevisError: for another suffix than those of SUFFIXES, for several charts in one image, or as `write_page` and `write_image`.
    """
    target = Path(path)
    if target.suffix.lower() == ".html":
        write_page(to_html(charts, title=title), target)
    elif target.suffix.lower() not in SUFFIXES:
        raise SevisError(f"{target.name!r} ends in {target.suffix or 'no suffix'!r}: choose one of {', '.join(SUFFIXES)}")
    elif len(charts) != 1:
        raise SevisError(f"{target.suffix} holds one figure, got {len(charts)}: write them to an .html file")
    else:
        write_image(charts[0].figure, target)


def to_html(charts: Iterable[Chart], *, title: str = "sevis", head: str = "") -> str:
    """Return one self-contained HTML page, about 5 MB for plotly.js, light, with the charts in order; they are not changed.

    Args:
        charts: what it shows.
        title: the heading, as plain text.
        head: HTML that comes between the heading and the charts, such as the photo.
    """
    return document(title, "\n".join([head, *map(chart_html, charts)]))


def document(title: str, body: str) -> str:
    """Return a self-contained HTML page that holds plotly.js, asks for nothing outside itself, and fits a phone and paper.

    Args:
        title: the heading, as plain text.
        body: HTML, such as that of `chart_html`.
    """
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n<script>{get_plotlyjs()}</script>\n<script>{FITTING}</script>\n"
        f"</head>\n<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def chart_html(chart: Chart) -> str:
    """Return a chart, light, with its caption, as a part of a `document`; the chart is not changed."""
    return figure_html(_drawing(chart.figure), chart.caption)


def panels_html(panels: Panels) -> str:
    """Return figures side by side, light, with their caption, as a part of a `document`; they are not changed."""
    return figure_html(f'<div class="grid beside">{"".join(map(_drawing, panels.figures))}</div>', panels.caption)


def _drawing(figure: go.Figure) -> str:
    drawing: str = _light(figure).to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False, "responsive": True})
    return drawing


def write_image(figure: go.Figure, path: str | Path, *, width: int = IMAGE_WIDTH, scale: float = 2) -> None:
    """Write an SVG or a PNG on white, drawn by a Chromium without touching the network, as a whole or not at all.

    Args:
        figure: it is not changed.
        path: ends in .svg or .png.
        width: in pixels; the height is the figure's own.
        scale: pixels of a PNG per pixel of the figure.

    Raises:
        SevisError: for another suffix, or where Kaleido or a Chromium is missing or fails.
    """
    target = Path(path)
    if target.suffix.lower() not in IMAGE_SUFFIXES:
        raise SevisError(f"{target.name!r} is no image format that can be written: choose one of {', '.join(IMAGE_SUFFIXES)}")
    form = target.suffix.lower().removeprefix(".")
    options = {"format": form, "width": width, "scale": scale if form == "png" else 1}
    replace_file(target, _render(_light(figure), options))


def _render(figure: go.Figure, options: dict[str, object]) -> bytes:
    require("kaleido", "a figure as SVG or PNG")
    import kaleido
    from kaleido.errors import ChromeNotFoundError, KaleidoError

    try:
        # MathJax would be fetched from the internet; plotly.js comes from the installed package.
        data = kaleido.calc_fig_sync(figure.to_dict(), opts=options, kopts={"mathjax": False})
    except ChromeNotFoundError:
        raise SevisError(
            "SVG and PNG are drawn by a browser, but none was found: install Chromium or Chrome (Debian: apt install chromium), "
            "name it in BROWSER_PATH, or write an .html file"
        ) from None
    except (RuntimeError, TimeoutError, KaleidoError) as error:
        raise SevisError(f"the browser could not draw the figure ({type(error).__name__}): write an .html file instead") from None
    return bytes(data)


def _light(figure: go.Figure) -> go.Figure:
    """Draw a copy on white, in dark type: in the app a figure is transparent and takes its type from the theme."""
    return go.Figure(figure).update_layout(template="plotly_white", paper_bgcolor="white", plot_bgcolor="white")


def figure_html(html: str, caption: str) -> str:
    """Return a figure of a `document`, with its caption, where there is one, as plain text."""
    return f"<figure>\n{html}\n{f'<figcaption>{escape(caption)}</figcaption>' if caption else ''}\n</figure>"


def write_page(html: str, path: str | Path) -> None:
    """Write a page as a whole or not at all. Raises SevisError for a path that cannot be written to."""
    replace_file(Path(path), html.encode())
