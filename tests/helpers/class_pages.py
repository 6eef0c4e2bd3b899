"""What the tests of the Classes page share: statistics of a small network in a folder as `pretrained/`."""

import json
from functools import partial

import numpy as np
import streamlit as st
import torch

import sevis
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.data.preprocessing import Preprocessing
from sevis.pages.shared import loading
from sevis.pages.shared.network import SHOWN, Network
from sevis.weights.card import DEFAULT
from sevis.weights.loading import ReadyModel
from tests.helpers import pages
from tests.helpers.cards import ENTRY, make_card
from tests.helpers.charts import charts, title
from tests.helpers.networks import stir
from tests.helpers.pictures import write_photos

open_page = partial(pages.open_page, "classes")
CLASSES = ("lion", "goldfish", "Chihuahua", "bullet train", "cliff", "pizza")
WNIDS = ("n02129165", "n01443537", "n02085620", "n02917067", "n09246464", "n07873807")
WIDTHS = {f"SE_{stage}_{block}": 2**stage * 16 for stage, blocks in ((2, 3), (3, 4), (4, 6), (5, 3)) for block in range(1, blocks + 1)}
EACH = 3  # photos of a class
PHOTOS = 8  # photos of a class in `growing_scales`


def random_scales(classes=6, widths=WIDTHS):
    """The scales of three photos of each class, by block: shape (3 * classes, C)."""
    random = np.random.default_rng(0)
    return {site: random.uniform(size=(EACH * classes, width)).astype(np.float32) for site, width in widths.items()}


def save(folder, classes, scales, *, sample=None, **metadata):
    """Writes the card of the default network, and its statistics over as many classes as there are scales for."""
    known = {"model": DEFAULT, "weights": "a1b2c3d4e5", "data": "tiny-imagenet-200", "split": "val", "date": "2026-11-23"} | metadata
    (folder / "index.json").write_text(json.dumps({DEFAULT: ENTRY | {"sha256": known["weights"], "classes": classes}}))
    statistics = ClassStatistics({site: scale.shape[1] for site, scale in scales.items()}, classes, known, sample=sample)
    values = {site: {"scale": scale, "squeeze": scale} for site, scale in scales.items()}
    statistics.update(np.repeat(np.arange(len(next(iter(scales.values()))) // EACH), EACH), values)
    statistics.save(folder / f"{DEFAULT}.statistics.safetensors")


def growing_scales(seed, *, apart=0.35):
    """The scales of eight photos of each class, by block, shape (8 * classes, C): the deeper, the further the classes are apart."""
    random = np.random.default_rng(seed)
    found = {}
    for depth, (site, width) in enumerate(WIDTHS.items()):
        centres = 0.5 + apart * depth / len(WIDTHS) * random.uniform(-1, 1, size=(len(CLASSES), width))
        found[site] = np.clip(np.repeat(centres, PHOTOS, axis=0) + 0.1 * random.normal(size=(len(CLASSES) * PHOTOS, width)), 0, 1).astype(
            np.float32
        )
    return found


def view_statistics(scales, classes=CLASSES, *, sample=6, **metadata):
    """Statistics of these scales, of a network and photos whose names are given."""
    known = {"model": "another", "weights": "f" * 64, "fingerprint": "same"} | metadata
    statistics = ClassStatistics({site: scale.shape[1] for site, scale in scales.items()}, classes, known, sample=sample)
    values = {site: {"scale": scale, "squeeze": scale} for site, scale in scales.items()}
    statistics.update(np.repeat(np.arange(len(classes)), len(next(iter(scales.values()))) // len(classes)), values)
    return statistics


def panels(page):
    """Return the block that each panel is of."""
    return [title(chart).split(" · ")[0] for chart in charts(page)]


def untold_network(tmp_path, monkeypatch):
    """A network that no statistics came with, and a data set with five of its six classes: three photos of each."""
    monkeypatch.setenv("SEVIS_DATA", str(write_photos(tmp_path / "data", [f"n0000000{number}" for number in range(1, 6)])))
    st.cache_resource.clear()
    st.cache_data.clear()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = stir(sevis.build("se_resnet18", num_classes=len(CLASSES), width=0.125, reduction=4)).eval()
    preprocess = Preprocessing(resize=32, crop=32)
    wnids = tuple(f"n0000000{number}" for number in range(len(CLASSES)))
    card = make_card("untold", sha256="f" * 64, classes=CLASSES, wnids=wnids, shipped=False)
    ready = ReadyModel(model, card, CLASSES, preprocess, torch.device("cpu"))
    monkeypatch.setattr(loading, "load", lambda *_, **__: ready)
    monkeypatch.setattr(loading, "HEAD_START", 0)
    return ready


def open_untold(**query):
    return open_page(session={SHOWN: Network("untold", "random")}, **query)


def open_view(view, **query):
    """The page at a view, without an exception."""
    app = open_page(figure=view, **query)
    assert not app.exception
    return app
