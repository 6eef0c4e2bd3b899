"""The view Two classes of the page Classes, in Streamlit's AppTest, on statistics made here."""

from sevis.weights.card import DEFAULT
from tests.helpers.charts import charts, titles
from tests.helpers.class_pages import WIDTHS, open_view, view_statistics
from tests.helpers.pages import text

VIEW = "Two classes"


def test_two_classes_differ_where_they_were_made_to(folder):
    app = open_view(VIEW)
    assert (app.selectbox(key="pair_first").value, app.selectbox(key="pair_second").value) == ("goldfish", "Chihuahua")
    assert titles(app) == ["The largest effects", "Effects by depth"]
    assert len(charts(app)[0]["layout"]["yaxis"]["ticktext"]) == 20
    assert "channels" in text(app)
    assert "Benjamini and Hochberg" in text(app)
    assert "n = 8 and 8 photos" in text(app)


def test_one_block_shows_all_its_channels(folder):
    app = open_view(VIEW, pair_first="lion", pair_second="pizza", pair_block="SE_5_3")
    assert titles(app) == ["The largest effects", "All channels by effect"]
    assert f"of SE_5_3's {WIDTHS['SE_5_3']} channels" in text(app)
    assert charts(app)[0]["layout"]["yaxis"]["ticktext"][0].startswith("channel ")


def test_the_same_class_twice_and_too_few_photos_are_said(folder, scales):
    same = open_view(VIEW, pair_first="lion", pair_second="lion")
    assert not charts(same)
    assert "Both are the same class" in text(same)
    few = {site: scale[::4] for site, scale in scales.items()}
    view_statistics(few, weights="a1b2c3d4e5").save(folder / "shipped" / f"{DEFAULT}.statistics.safetensors")
    app = open_view(VIEW)
    assert not charts(app)
    assert "too few photos" in text(app)
