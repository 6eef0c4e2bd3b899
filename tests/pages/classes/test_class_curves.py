"""The views of Figures 6 and 7 on the Classes page: orders, groups, many classes and many blocks, and what goes over the wire."""

from itertools import pairwise

import numpy as np
import pytest
from timm.data import ImageNetInfo

from sevis.figures.classes.figure6 import MAX_CURVES
from tests.helpers.charts import charts, numbers
from tests.helpers.class_pages import CLASSES, EACH, WIDTHS, WNIDS, open_page, panels, random_scales, save

SPREAD = "Figure 7: spread"
SENET154 = {f"SE_{stage}_{block}": 32 * 2**stage for stage, blocks in ((2, 3), (3, 8), (4, 36), (5, 3)) for block in range(1, blocks + 1)}
MEGABYTE = 1_000_000


@pytest.fixture
def pretrained(tmp_path, monkeypatch):
    """A folder as `pretrained/` whose statistics know the WordNet ids of their classes."""
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    save(tmp_path, CLASSES, random_scales(), wnids=WNIDS)
    return tmp_path


def drawn(app, place=0):
    return {trace["name"]: trace for trace in charts(app)[place]["data"] if trace.get("name")}


def sent(app):
    """Bytes of each chart, as it goes to the browser."""
    return [len(chart.proto.spec) for chart in app.get("plotly_chart")]


def means(names, site):
    rows = [CLASSES.index(name) for name in names]
    scale = random_scales()[site].astype(np.float64)
    return np.concatenate([scale[EACH * row : EACH * row + EACH] for row in rows]).mean(axis=0)


def test_a_group_is_a_curve_over_the_images_of_its_classes(pretrained):
    app = open_page(**{"class": ["pizza"], "group": ["animal", "carnivore"], "blocks": ["SE_2_1"], "channels": "all"})
    assert not app.exception
    assert not app.error
    curves = drawn(app)
    for label, names in (("animal (group of 3, n = 9)", CLASSES[:3]), ("carnivore (group of 2, n = 6)", ("lion", "Chihuahua"))):
        np.testing.assert_allclose(numbers(curves[label]["y"]), means(names, "SE_2_1"), rtol=1e-6)
        assert label in app.get("html")[0].proto.body


def test_groups_alone_are_enough(pretrained):
    app = open_page(group=["animal"], blocks=["SE_2_1"])
    app.multiselect(key="class").set_value([]).run()
    assert not app.exception
    assert app.info.len == 0
    assert "animal (group of 3, n = 9)" in drawn(app)


def test_figure_7_shows_two_classes_side_by_side_with_one_caption_and_one_table(pretrained):
    app = open_page(figure=SPREAD, blocks=["SE_2_1", "SE_5_3"])
    assert not app.exception
    assert [app.selectbox(key=key).value for key in ("spread_first", "spread_second")] == ["goldfish", "bullet train"]
    assert panels(app) == [f"{name}: {site}" for site in ("SE_2_1", "SE_5_3") for name in ("goldfish", "bullet train")]
    assert [chart["layout"]["yaxis"]["range"] for chart in charts(app)] == [[0, 1]] * 4
    for place, name in enumerate(("goldfish", "bullet train")):
        curve = drawn(app, place)[f"{name} (n = 3)"]
        np.testing.assert_allclose(numbers(curve["y"]), means([name], "SE_2_1")[numbers(curve["x"])], rtol=1e-6)
    told = [caption.value for caption in app.caption if "standard deviation" in caption.value]
    assert len(told) == 2
    for site, caption in zip(("SE_2_1", "SE_5_3"), told, strict=True):
        for name in ("goldfish", "bullet train"):
            row = EACH * CLASSES.index(name)
            spread = random_scales()[site][row : row + EACH].astype(np.float64).std(axis=0, ddof=1).mean()
            assert f"{spread:.2f} within {name} (3 photos)" in caption
    saved = [button.proto.label for button in app.get("download_button")]
    assert saved.count("CSV") == 2


def test_the_link_holds_both_classes_of_figure_7_and_groups_may_stand_for_them(pretrained):
    app = open_page(figure=SPREAD, blocks=["SE_2_1"], spread_first="animal (group of 3)", spread_second="pizza")
    assert not app.exception
    assert panels(app) == ["animal (group of 3): SE_2_1", "pizza: SE_2_1"]
    app.selectbox(key="spread_second").set_value("animal (group of 3)").run()
    assert panels(app) == ["animal (group of 3): SE_2_1"], "the same twice is drawn once"
    app = open_page(figure=SPREAD, blocks=["SE_2_1"], spread_first="unicorn")
    assert panels(app) == ["goldfish: SE_2_1", "bullet train: SE_2_1"]


def test_figure_7_of_a_single_class_is_one_panel(pretrained):
    save(pretrained, ("pizza",), random_scales(1))
    assert panels(open_page(figure=SPREAD, blocks=["SE_2_1"])) == ["pizza: SE_2_1"]


def test_without_wordnet_ids_there_are_no_groups(pretrained):
    save(pretrained, CLASSES, random_scales())
    app = open_page(group=["animal"])
    assert not app.exception
    assert [box.key for box in app.multiselect] == ["class", "blocks"]
    save(pretrained, CLASSES, random_scales(), wnids=["goldfish", "cliff"])
    assert [box.key for box in open_page().multiselect] == ["class", "blocks"], "ids of other classes"


@pytest.mark.parametrize("figure", ["Figure 6: means", SPREAD])
def test_the_channels_stand_in_the_order_of_the_link(pretrained, figure):
    app = open_page(figure=figure, order="mean", blocks=["SE_2_1"], channels="all")
    overall = drawn(app)["all 6 classes (n = 18)"]
    values = numbers(overall["y"])
    assert all(first >= second for first, second in pairwise(values))
    np.testing.assert_allclose(values, random_scales()["SE_2_1"].astype(np.float64).mean(axis=0)[numbers(overall["customdata"])], rtol=1e-6)
    assert charts(app)[0]["layout"]["xaxis"]["title"]["text"] == "rank by mean"
    assert any("by their mean over all images" in caption.value for caption in app.caption)


def test_an_unknown_order_or_group_falls_back(pretrained):
    app = open_page(order="size", group=["unicorn"], blocks=["SE_2_1"])
    assert not app.exception
    assert not app.error
    assert app.segmented_control(key="order").value == "index"
    assert app.multiselect(key="group").value == []


def test_twelve_curves_are_drawn_and_one_more_is_refused_in_a_sentence(pretrained):
    names = tuple(f"class {number}" for number in range(14))
    save(pretrained, names, random_scales(len(names)), wnids=[*WNIDS, *(f"n0000000{number}" for number in range(8))])
    app = open_page(**{"class": names[:11], "group": ["animal"], "blocks": ["SE_2_1"]})
    assert not app.error
    looks = {(trace["line"]["color"], trace["line"]["dash"]) for trace in drawn(app).values()}
    assert len(looks) == len(drawn(app)) == MAX_CURVES + 1
    app = open_page(**{"class": names[:12], "group": ["animal"], "blocks": ["SE_2_1"]})
    assert not app.exception
    assert "At most 12 curves can be told apart, got 13" in app.error[0].value


@pytest.mark.parametrize("figure", ["Figure 6: means", SPREAD])
@pytest.mark.parametrize(("widths", "channels"), [(WIDTHS, "all"), (SENET154, "50"), (SENET154, "all")])
def test_all_blocks_of_a_deep_network_stay_small(pretrained, figure, widths, channels):
    names = tuple(f"class {number}" for number in range(12))
    save(pretrained, names, random_scales(len(names), widths))
    app = open_page(**{"class": names, "blocks": list(widths), "channels": channels, "figure": figure})
    assert not app.exception
    drawn = [site for site in widths for _ in range(1 + (figure == SPREAD))]
    assert [panel.split(": ")[-1] for panel in panels(app)] == drawn
    assert max(sent(app)) < MEGABYTE / 10
    assert sum(sent(app)) < MEGABYTE


def test_a_thousand_classes_can_be_searched_for_at_a_small_price(pretrained):
    info = ImageNetInfo()
    names = tuple(f"{info.index_to_description(row).split(',')[0]} {row}" for row in range(1000))
    save(pretrained, names, random_scales(1000, {"SE_2_1": 4}), wnids=info.label_names())
    app = open_page(**{"class": [names[7], names[888]], "group": ["dog", "bird", "food"]})
    assert not app.exception
    boxes = {box.key: box for box in app.multiselect}
    assert len(boxes["class"].options) == 1000
    assert boxes["class"].proto.ByteSize() < 40_000
    assert boxes["group"].proto.ByteSize() < 4_000
    assert "dog (group of 118, n = 354)" in drawn(app)


def test_the_work_of_a_view_ends_with_it(pretrained):
    app = open_page()
    app.session_state["growing-profile"] = "work"
    app.run()
    assert "growing-profile" in app.session_state
    app.segmented_control(key="figure").set_value(SPREAD).run()
    assert "growing-profile" not in app.session_state
