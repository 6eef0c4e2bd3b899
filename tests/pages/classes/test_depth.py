"""The view Depth profile in Streamlit's AppTest, on statistics made here."""

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from sevis.analysis import saved_profile
from sevis.analysis.depth import depth_profile
from sevis.analysis.depth_measures import MEASURES
from sevis.analysis.saved_profile import profile_path, save_profile
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.pages.classes import depth
from tests.helpers.charts import titles
from tests.helpers.pages import text

WIDTHS = {"SE_2_1": 12, "SE_2_2": 12, "SE_3_1": 20, "SE_3_2": 20}
CLASSES = ("lion", "goldfish", "pizza")
SCRIPT = """
from sevis.class_statistics import ClassStatistics
from sevis.pages.classes import depth as depth_profile

depth_profile.draw(ClassStatistics.load({path!r}))
"""


def write(path, *, sample):
    """Statistics whose last block but one is saturated, and whose blocks know nothing of classes; returns a page of them."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    statistics = ClassStatistics(WIDTHS, CLASSES, sample=sample)
    scales = {site: random.uniform(0.3, 0.6, size=(60, width)).astype(np.float32) for site, width in WIDTHS.items()}
    scales["SE_3_1"] = 0.92 + scales["SE_3_1"] / 10
    statistics.update(labels, {site: {"scale": scale, "squeeze": scale} for site, scale in scales.items()})
    statistics.save(path)
    return AppTest.from_string(SCRIPT.format(path=str(path)), default_timeout=60)


@pytest.fixture
def app(tmp_path):
    return write(tmp_path / "a.safetensors", sample=20)


def until_measured(app):
    """Runs the page until its work is done: each run does a slice of it."""
    for _ in range(20):
        app.run()
        assert not app.exception
        if len(app.get("plotly_chart")) == 5:
            return app
    raise AssertionError("the profile is not measured")


def test_each_statement_is_judged_beside_its_chart(app):
    page = until_measured(app)
    assert ["not seen here" in header.value for header in page.subheader] == [
        False,
        True,
        False,
        False,
    ]  # classes that are alike differ in no more than scale
    assert "In SE_3_1, 100.0 % (94.0 % to 100.0 %) of the scales are above 0.9" in text(page)
    assert "**3 of the 4 are seen here.**" in text(page)
    assert "**Saturated: SE_3_1**" in text(page)
    assert titles(page)[0] == "How far the mean gates of the classes lie apart"
    assert "Measured over 60 photos of 3 classes" in page.caption[-1].value


def test_the_other_measures_are_chosen_and_the_index_is_warned_of(app):
    page = until_measured(app)
    assert not page.warning
    assert page.selectbox(key="profile_measure").options == [measure.choice for measure in MEASURES if measure.choice]
    index = next(measure for measure in MEASURES if measure.name == "selectivity")
    page.selectbox(key="profile_measure").set_value(index.choice).run()
    assert [warning.value for warning in page.warning] == [index.warning]
    assert titles(page)[-1] == index.title


def test_means_alone_say_what_is_missing(tmp_path):
    page = until_measured(write(tmp_path / "b.safetensors", sample=None))
    assert "**0 of the 4 are seen here, and 4 cannot be decided.**" in text(page)
    assert all("gray-badge" in header.value and "unknown here" in header.value for header in page.subheader)
    assert "collect it again with python -m sevis collect" in text(page)
    assert "intervals and nulls are unknown" in page.caption[-1].value


@pytest.mark.parametrize("outdated", [False, True])
def test_a_profile_that_came_with_the_file_is_shown_at_once_unless_it_is_outdated(tmp_path, monkeypatch, outdated):
    path = tmp_path / "a.safetensors"
    page = write(path, sample=20)
    full = ClassStatistics.load(path)
    save_profile(depth_profile(full), full, profile_path(path))
    full.compacted(sample=5).save(path)
    if outdated:
        monkeypatch.setattr(saved_profile, "VERSION", saved_profile.VERSION + 1)
        until_measured(page)
    else:
        monkeypatch.setattr(depth, "scan_depth", None)  # nothing is measured
        page.run()
    assert not page.exception
    assert f"{5 if outdated else 20} photos of each class" in page.caption[-1].value
    assert ("before these were made compact" in page.caption[-1].value) != outdated
