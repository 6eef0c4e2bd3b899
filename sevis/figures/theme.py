"""What all figures share: colours that survive projectors and colour blindness, and one finish. No torch, no streamlit."""

from collections.abc import Sequence

import plotly.graph_objects as go

# Okabe and Ito's hues (jfly.uni-koeln.de/color), the light ones darkened: each has a contrast of 3 or more on white and on the dark theme.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#C2669B", "#A67C00", "#3A96C8", "#9A4E1F", "#7B6FD0")
NEUTRAL = "#7F7F7F"
RAISED, LOWERED = PALETTE[1], PALETTE[0]

# Viridis: even steps of lightness from s = 0 to s = 1.
SCALE_COLOURS = ("#440154", "#482878", "#3E4A89", "#31688E", "#26828E", "#1F9E89", "#35B779", "#6DCD59", "#B4DE2C", "#FDE725")
# Blue below zero, white at zero, red above: for maps, which have both signs.
SIGNED_COLOURS = ("#053061", "#2166AC", "#67A9CF", "#D1E5F0", "#F7F7F7", "#FDDBC7", "#EF8A62", "#B2182B", "#67001F")

TITLE_SIZE, TEXT_SIZE = 18, 14


def finish(figure: go.Figure, *, title: str, height: int) -> go.Figure:
    """Give a figure its title and the common look, and return it.

    The template is empty: Streamlit fills in the colours of its light or dark theme, and a file gets Plotly's black on white.

    Args:
        figure: changed in place.
        title: at the top left.
        height: in pixels; the width is that of the page.
    """
    text = {"size": TEXT_SIZE}
    figure.update_layout(
        overwrite=True,  # four times as quick as merging
        template=go.layout.Template(),
        title={"text": title, "font": {"size": TITLE_SIZE}, "x": 0, "xanchor": "left", "y": 1, "yanchor": "top", "pad": {"t": 8}},
        height=height,
        margin={"l": 56, "r": 12, "t": 48, "b": 48},
        font=text,
        hoverlabel={"font": text},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "font": text},
        dragmode=False,
    )
    figure.update_xaxes(tickfont=text, title_font=text, automargin=True, title_standoff=8)
    figure.update_yaxes(tickfont=text, title_font=text, automargin=True, title_standoff=8)
    return figure


def name_rows(figure: go.Figure, names: Sequence[str]) -> None:
    """Give a figure one row for each name, the first on top, without lines between them."""
    figure.update_yaxes(
        range=[len(names) - 0.5, -0.5],
        tickvals=list(range(len(names))),
        ticktext=list(names),
        showgrid=False,
        zeroline=False,
        fixedrange=True,
    )
