"""One photo as one HTML page: what it holds, and that names of classes are no markup in it."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sevis.experiments.explanation import Explanation
from sevis.reports.explanation import explanation_html
from tests.helpers.html_pages import HOSTILE, Page


@pytest.fixture
def explanation():
    random = np.random.default_rng(0)
    scale = {"SE_2_1": random.uniform(size=8).astype(np.float32), "SE_3_1": random.uniform(size=16).astype(np.float32)}
    return Explanation(
        model="se_resnet18.test",
        weights="a1b2",
        classes=("goldfish", HOSTILE, "cliff"),
        probabilities=np.array([0.2, 0.7, 0.1], dtype=np.float32),
        view=random.integers(0, 256, size=(16, 16, 3), dtype=np.uint8),
        squeeze=scale,
        hidden=scale,
        logits=scale,
        scale=scale,
        maps={},
        seconds=0.01,
        device="cpu",
    )


def test_an_explanation_becomes_one_page(explanation, tmp_path):
    explanation_html(explanation, tmp_path / "explanation.html", title=HOSTILE)
    html = (tmp_path / "explanation.html").read_text()
    page = Page(html)
    (photo,) = page.addresses
    assert page.tags.count("img") == 1
    with Image.open(io.BytesIO(base64.b64decode(photo.removeprefix("data:image/png;base64,")))) as image:
        np.testing.assert_array_equal(np.asarray(image), explanation.view)
    text = " ".join(page.text)
    assert "3 classes that se_resnet18.test finds most probable" in text
    assert "16 x 16 pixels" in text
    assert "8 channels in stage 2, 16 in 3" in text
    assert len(re.findall(r"Plotly\.newPlot\(", "".join(page.scripts[1:]))) == 2


def test_a_class_name_in_an_explanation_is_no_markup(explanation, tmp_path):
    explanation_html(explanation, tmp_path / "explanation.html")
    scripts = "".join(Page((tmp_path / "explanation.html").read_text()).scripts[1:]).replace("\\u003c", "<")
    assert "<img" not in scripts
    assert "&lt;img" in scripts.replace("\\u0026", "&")


def test_dead_gates_are_told(explanation, tmp_path):
    explanation_html(explanation, tmp_path / "alive.html")
    dead = replace(
        explanation, logits={**explanation.logits, "SE_2_1": np.zeros(8, np.float32)}, scale=explanation.scale | {"SE_2_1": np.full(8, 0.5)}
    )
    explanation_html(dead, tmp_path / "dead.html")
    told = [" ".join(Page((tmp_path / name).read_text()).text) for name in ("alive.html", "dead.html")]
    assert "likely cause" not in told[0]
    assert "SE_2_1: every s is 0.50 for any image: dead; likely cause: the gate gets the same number" in told[1]
