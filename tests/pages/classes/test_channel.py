"""The view "One channel" of the Classes page in AppTest: its numbers against the raw scales, its photos against the network itself."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import sevis
from sevis.data.datasets import open_dataset
from sevis.figures.classes import channel as figures
from sevis.pages.classes import channel as channel_photos
from sevis.pages.shared import growing
from sevis.pages.shared.network import Network
from tests.helpers.charts import charts, numbers
from tests.helpers.class_pages import CLASSES, EACH, WIDTHS, open_page, open_untold, random_scales, save, untold_network

VIEW = "One channel"


@pytest.fixture
def pretrained(tmp_path, monkeypatch):
    """A folder as `pretrained/` with detailed statistics, and no data on the machine."""
    monkeypatch.setenv("SEVIS_PRETRAINED", str(tmp_path))
    monkeypatch.setenv("SEVIS_DATA", str(tmp_path / "nowhere"))
    save(tmp_path, CLASSES, random_scales(), sample=5)
    return tmp_path


def test_a_link_opens_a_channel_with_its_classes_and_scales(pretrained):
    app = open_page(figure=VIEW, channel_block="SE_2_2", channel_number="17")
    assert not app.exception
    assert not app.error
    scale = random_scales()["SE_2_2"][:, 17].astype(np.float64)
    means = scale.reshape(len(CLASSES), EACH).mean(axis=1)
    bars, histogram = charts(app)
    np.testing.assert_allclose(np.concatenate([numbers(trace["x"]) for trace in bars["data"]]), np.sort(means)[::-1], rtol=1e-6)
    np.testing.assert_allclose(len(scale) * numbers(histogram["data"][0]["y"]), np.histogram(scale, np.linspace(0, 1, 51))[0])
    assert f"a mean of **{scale.mean():.3f}** and a standard deviation of **{scale.std(ddof=1):.3f}**" in app.markdown[1].value


def test_at_first_it_is_the_channel_with_the_largest_class_share_of_the_papers_block(pretrained):
    app = open_page(figure=VIEW)
    assert app.selectbox(key="channel_block").value == "SE_4_6"
    groups = random_scales()["SE_4_6"].astype(np.float64).reshape(len(CLASSES), EACH, -1)
    between = EACH * np.square(groups.mean(axis=1) - groups.mean(axis=(0, 1))).sum(axis=0)
    within = np.square(groups - groups.mean(axis=1, keepdims=True)).sum(axis=(0, 1)) / (len(CLASSES) * (EACH - 1))
    assert app.number_input(key="channel_number").value == np.argmax(between / within), "omega squared grows with F"


def test_a_number_that_the_next_block_does_not_have_falls_back(pretrained):
    app = open_page(figure=VIEW, channel_block="SE_5_3", channel_number=str(WIDTHS["SE_5_3"] - 1))
    app.selectbox(key="channel_block").set_value("SE_2_1").run()
    assert not app.exception
    assert 0 <= app.number_input(key="channel_number").value < WIDTHS["SE_2_1"]


@pytest.mark.parametrize("number", ["-1", "100000", "many"])
def test_unknown_channels_in_a_link_fall_back(pretrained, number):
    app = open_page(figure=VIEW, channel_block="SE_9_9", channel_number=number)
    assert not app.exception
    assert not app.error
    assert len(charts(app)) == 2


def test_without_the_data_the_scales_are_shown_alone(pretrained):
    app = open_page(figure=VIEW, channel_block="SE_2_2", channel_number="17")
    scale = random_scales()["SE_2_2"][:, 17]
    assert "photos of tiny-imagenet-200 are not on this machine" in app.info[0].value
    best, worst = int(scale.argmax()), int(scale.argmin())
    assert f"The highest scales: {scale[best]:.3f} (photo {best})" in app.markdown[-2].value
    assert f"The lowest scales: {scale[worst]:.3f} (photo {worst})" in app.markdown[-1].value
    assert not app.get("imgs")


def test_other_photos_are_never_shown(pretrained, monkeypatch, tmp_path):
    network = untold_network(tmp_path / "other", monkeypatch)
    assert network
    save(pretrained, CLASSES, random_scales(), sample=5, fingerprint="0" * 64, wnids=[f"n0000000{number}" for number in range(6)])
    app = open_page(figure=VIEW)
    assert not app.exception
    assert "are not the photos of these statistics" in app.info[0].value
    assert not app.get("imgs")


def test_statistics_of_means_alone_say_what_they_lack(pretrained):
    save(pretrained, CLASSES, random_scales())
    app = open_page(figure=VIEW)
    assert not app.exception
    assert not app.error
    assert "hold only means and deviations" in app.info[0].value
    assert len(charts(app)) == 1


@pytest.fixture
def untold(tmp_path, monkeypatch):
    """A network and its data, whose statistics are collected on the page."""
    monkeypatch.setattr(growing, "SLICE", 60)  # all photos before the page is drawn
    return untold_network(tmp_path, monkeypatch)


def collect_here():
    app = open_untold(collect_classes="5", collect_photos="3")
    app.button(key="collect").click().run()
    return app


def show_channel(app):
    app.segmented_control(key="figure").set_value(VIEW).run()
    app.selectbox(key="channel_block").set_value("SE_4_1").run()
    app.number_input(key="channel_number").set_value(3).run()
    return app


def test_the_photos_are_those_with_the_extreme_scales_and_the_maps_those_of_the_network(untold, monkeypatch):
    pictures, draw = [], figures.photo_grid

    def keep(examples, *, of, limit):
        pictures.append((examples, limit))
        return draw(examples, of=of, limit=limit)

    monkeypatch.setattr(figures, "photo_grid", keep)
    app = show_channel(collect_here())
    assert not app.exception
    assert not app.error
    photos = open_dataset(Path(os.environ["SEVIS_DATA"]) / "tiny-imagenet-200", "val")
    images = [photos[index][0] for index in range(len(photos))]
    batch = torch.stack([torch.as_tensor(untold.preprocess(image)) for image in images])
    with sevis.capture(untold.model, maps=["SE_4_1"]) as record, torch.inference_mode():
        untold.model(batch)
    scale, maps = record["SE_4_1"].scale[:, 3].numpy(), record["SE_4_1"].maps[:, 3].numpy()
    for (examples, limit), order in zip(pictures[-2:], (np.argsort(-scale), np.argsort(scale)), strict=True):
        np.testing.assert_allclose([example.scale for example in examples], scale[order[:9]], atol=1e-5)
        shown = [int(np.abs(maps - example.map).max(axis=(1, 2)).argmin()) for example in examples]
        np.testing.assert_allclose([example.map for example in examples], maps[shown], atol=1e-4)
        np.testing.assert_allclose(scale[shown], scale[order[:9]], atol=1e-5)
        names = dict(zip((f"n0000000{number}" for number in range(6)), CLASSES, strict=True))
        assert [example.name for example in examples] == [names[photos.wnids[photos.labels[place]]] for place in shown]
        assert limit == pytest.approx(np.abs(maps[sorted({*np.argsort(scale)[:9], *np.argsort(-scale)[:9]})]).max(), rel=1e-4)


def test_the_network_looks_once_for_all_visitors(untold):
    app = collect_here()
    forwards = []
    untold.model.register_forward_pre_hook(lambda *_: forwards.append(1))
    show_channel(app)
    first = len(forwards)
    assert first > 0
    show_channel(collect_here_again())
    assert len(forwards) == first


def collect_here_again():
    return open_untold(collect_classes="5", collect_photos="3")


def test_a_broken_photo_is_said_in_a_sentence(untold, monkeypatch):
    app = collect_here()
    monkeypatch.setattr(channel_photos, "explain", lambda *_, **__: (_ for _ in ()).throw(sevis.errors.SevisError("a photo is gone")))
    show_channel(app)
    assert not app.exception
    assert "A photo is gone." in app.error[0].value


def test_the_maps_grow_photo_by_photo(untold):
    collect_here()
    photos = open_dataset(Path(os.environ["SEVIS_DATA"]) / "tiny-imagenet-200", "val")
    parts = list(channel_photos._look_at(Network("untold", "random"), photos, print, wanted=(4, 0, 9), block="SE_4_1", channel=3))
    assert [list(part.by_photo) for part in parts] == [[4], [4, 0], [4, 0, 9]]
    assert [part.done for part in parts] == pytest.approx([1 / 3, 2 / 3, 1])
