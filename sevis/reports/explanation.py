"""What a network saw in one photo as one self-contained HTML file."""

import base64
import io
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sevis.analysis.dead_gates import dead_sentences
from sevis.figures.gates.gate_map import describe_channels, gate_map, top_bars
from sevis.reports.html import figure_html, to_html, write_page

if TYPE_CHECKING:
    from sevis.experiments.explanation import Explanation


def explanation_html(explanation: "Explanation", path: str | Path, *, title: str = "sevis: one photo") -> None:
    """Write what a network saw in one image, its top-5 and its gate map as one HTML file, as a whole or not at all.

    Args:
        explanation: from `sevis.explain`.
        path: of the file.
        title: the heading, such as the photo's name, as plain text.
    """
    top = [(escape(name, quote=False), probability) for name, probability in explanation.top()]
    height, width = explanation.view.shape[:2]
    answers = f"The {len(top)} classes that {explanation.model} finds most probable for this photo, of {len(explanation.classes)}."
    gates = (
        "The scale s that each block multiplies each of its channels by, from 0 (shut) to 1 (whole); each row is stretched to the "
        f"same width ({describe_channels(explanation.scale)})."
    )
    gates = " ".join([gates, *dead_sentences(explanation.dead, blocks=len(explanation.sites))])
    bars, map_of_gates = top_bars(top, classes=len(explanation.classes)), gate_map(explanation.scale)
    charts = [replace(bars, caption=answers), replace(map_of_gates, caption=gates)]
    photo = _photo(explanation.view, f"What the network sees of the photo: {width} x {height} pixels, enlarged.")
    write_page(to_html(charts, title=title, head=photo), path)


def _photo(pixels: NDArray[np.uint8], caption: str) -> str:
    """Return a picture inside the page, as a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return figure_html(f'<img alt="{escape(caption)}" src="{source}">', caption)
