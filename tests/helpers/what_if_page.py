"""The page What if? and the same network with gates replaced by hand: what the page must show."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import sevis
from sevis.data.datasets import sample_photos
from sevis.data.image_formats import read_image
from tests.helpers.charts import by_title, numbers
from tests.helpers.pages import open_page

run_page = partial(open_page, "what_if")
CLASSES = ["tabby", "lion", "espresso", "pizza", "teapot", "cliff", "orange"]
FIRST, ROCKET = "Cup of espresso", "Rocket"
COMPARED, STRIP = "The most probable classes, before and after", "One block changed at a time"


def make_statistics(model, metadata):
    random = np.random.default_rng(3)
    channels = {site.name: site.channels for site in sevis.find_sites(model)}
    statistics = sevis.ClassStatistics(channels, tuple(CLASSES), metadata)
    scales = {site: random.uniform(size=(20, width)).astype(np.float32) for site, width in channels.items()}
    statistics.update(np.arange(20) % 5, {site: {"squeeze": scale, "scale": scale} for site, scale in scales.items()})
    return statistics


def compared(page):
    """The probabilities before and after, by class, as they were sent to the browser."""
    shown = by_title(page)[COMPARED]
    names = shown["layout"]["yaxis"]["ticktext"]
    return [dict(zip(names, numbers(trace["x"]).tolist(), strict=True)) for trace in shown["data"]]


def strip(page, way):
    """The drawn change of the probability by block, in percentage points."""
    (trace,) = [trace for trace in by_title(page)[STRIP]["data"] if trace.get("name", "").startswith(way)]
    return numbers(trace["x"])


class Gate(nn.Module):
    """A gate whose output is changed by hand."""

    def __init__(self, gate, change):
        super().__init__()
        self.gate, self.change = gate, change

    def forward(self, logits):
        return self.change(self.gate(logits).clone())


def probabilities(ready, changes=None, *, photo=FIRST):
    """What a copy of the network whose gates are replaced makes of a sample photo, by class."""
    model = copy.deepcopy(ready.model)
    for site in sevis.find_sites(ready.model):
        if site.name in (changes or {}):
            block = model.get_submodule(site.path)
            block.gate = Gate(block.gate, changes[site.name])
    with torch.inference_mode():
        logits = model(torch.from_numpy(ready.preprocess(read_image(sample_photos()[photo].read_bytes())))[None])
    return dict(zip(CLASSES, logits.double().softmax(dim=1)[0].tolist(), strict=True))


def held(values, channels=slice(None)):
    def change(scale):
        scale[:, channels] = torch.as_tensor(values, dtype=torch.float32)
        return scale

    return change


def scales_of(ready, photo):
    return sevis.explain(ready, read_image(sample_photos()[photo].read_bytes())).scale


def assert_compares(page, before, after):
    shown_before, shown_after = compared(page)
    top = {name for values in (before, after) for name in sorted(values, key=values.get)[-5:]}
    assert set(shown_before) == top
    assert shown_before == pytest.approx({name: before[name] for name in top}, abs=1e-5)
    assert shown_after == pytest.approx({name: after[name] for name in top}, abs=1e-5)


def assert_plain(page, plain):
    """The page shows what the network makes of the photo, and that nothing is changed."""
    shown = by_title(page)["The 5 most probable classes"]
    top = dict(zip(shown["layout"]["yaxis"]["ticktext"], numbers(shown["data"][0]["x"]).tolist(), strict=True))
    assert top == pytest.approx({name: plain[name] for name in sorted(plain, key=plain.get)[-5:]}, abs=1e-5)
    assert COMPARED not in by_title(page)
