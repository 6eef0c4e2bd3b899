"""What plotly was given to draw, read off a page as the browser gets it."""

import base64
import json
from typing import Any

import numpy as np
from streamlit.testing.v1 import AppTest


def charts(page: AppTest) -> list[dict[str, Any]]:
    """Return the specification of every chart of a page, from top to bottom."""
    return [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]


def title(chart: dict[str, Any]) -> str:
    """Return the title of a chart."""
    return chart["layout"]["title"]["text"]


def titles(page: AppTest) -> list[str]:
    """Return the titles of a page's charts, from top to bottom."""
    return [title(chart) for chart in charts(page)]


def by_title(page: AppTest) -> dict[str, dict[str, Any]]:
    """Return the charts of a page by title; of charts that share one, the last."""
    assert not page.exception
    return {title(chart): chart for chart in charts(page)}


def numbers(coded: Any) -> np.ndarray:
    """Return an array of a chart: a list as it is, or what plotly packed as base64."""
    if isinstance(coded, list):
        return np.array(coded)
    values = np.frombuffer(base64.b64decode(coded["bdata"]), dtype=coded["dtype"])
    return values.reshape([int(size) for size in coded["shape"].split(",")]) if "shape" in coded else values
