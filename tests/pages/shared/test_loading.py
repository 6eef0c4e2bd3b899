"""Networks are loaded beside the pages, once for all visitors, and kept within bounds."""

import gc
import threading
import weakref
from pathlib import Path

import pytest
import torch

import sevis
from sevis.errors import SevisError, WeightsMissing
from sevis.pages.shared import loading
from sevis.pages.shared.loading import NETWORKS, start_loading, wait_for
from sevis.weights.card import DEFAULT
from tests.helpers.small_networks import SMALL, small_network

pytestmark = pytest.mark.usefixtures("nothing_kept")


@pytest.mark.parametrize("name", ["efficientnet_b0", "legacy_seresnet50", "torchvision/mobilenet_v3_small", DEFAULT])
def test_the_parameters_of_a_network_are_counted_without_loading_it(name):
    whole = sevis.load(name, weights="random").model
    assert loading.count_parameters(name) == sum(parameter.numel() for parameter in whole.parameters())


@pytest.mark.parametrize("name", ["regnety_1280", "torchvision/regnet_y_128gf"])
@pytest.mark.parametrize("weights", ["random", None])
def test_a_network_that_would_take_everybody_s_memory_is_never_loaded(loads, name, weights):
    with pytest.raises(SevisError, match=r"has 645 million parameters \(2\.6 GB\), but this app loads .* at most 200 million \(0\.8 GB\)"):
        wait_for(name, weights)
    assert loads == []


@pytest.mark.parametrize("value", ["0", "-1", "2e8", "many"])
def test_a_limit_that_is_no_number_is_said(monkeypatch, value):
    monkeypatch.setenv("SEVIS_MAX_PARAMETERS", value)
    with pytest.raises(SevisError, match=r"expected SEVIS_MAX_PARAMETERS to be a whole number from 1, got"):
        loading.most_parameters()


def test_many_visitors_load_a_network_once(loads):
    found = []
    threads = [threading.Thread(target=lambda: found.append(start_loading(SMALL, "random").result())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 8
    assert len({id(ready) for ready in found}) == 1
    assert loads == [(SMALL, "random", False)]


def test_only_so_many_networks_are_kept_and_the_memory_of_the_others_goes(monkeypatch):
    monkeypatch.setattr(loading, "load", lambda name, **_: small_network(name, "random"))
    first = wait_for("network0", "random")
    gone = weakref.ref(first.model)
    hooks = first.model._forward_pre_hooks
    assert hooks, "the hooks of a shared network stay"
    for number in range(1, NETWORKS):
        wait_for(f"network{number}", "random")
    assert wait_for("network0", "random") is first
    for number in range(NETWORKS + 1, 2 * NETWORKS + 1):
        wait_for(f"network{number}", "random")
    assert not hooks
    del first
    gc.collect()
    assert gone() is None
    assert wait_for("network0", "random").card.name == "network0"


def test_a_network_that_is_dropped_while_somebody_uses_it_stays_with_them(monkeypatch):
    monkeypatch.setattr(loading, "load", lambda name, **_: small_network(name, "random"))
    ready = wait_for("network0", "random")
    image = torch.zeros(1, 3, 32, 32)
    with sevis.capture(ready.model) as record:
        start_loading.clear()
        ready.model(image)
    assert len(record["SE_2_1"].scale) == 1
    assert not ready.model._forward_pre_hooks


def test_a_failure_is_tried_again_and_removed_only_once(monkeypatch):
    answers = [SevisError("no"), small_network(SMALL, "random")]

    def load(*_, **__):
        answer = answers.pop(0)
        if isinstance(answer, SevisError):
            raise answer
        return answer

    monkeypatch.setattr(loading, "load", load)
    failed = start_loading(SMALL, "random")
    with pytest.raises(SevisError, match="no"):
        wait_for(SMALL, "random")
    assert not failed.remove_once(), "it is removed already: a second waiter would remove its successor"
    assert wait_for(SMALL, "random").card.name == SMALL


def test_who_wants_to_download_is_not_put_off_by_who_only_looked(monkeypatch):
    let_go = threading.Event()

    def load(name, *, weights, download):
        if not download:
            let_go.wait(60)
            raise WeightsMissing(name, source="https://weights.example/small", path=Path("small.pth"), reason="nothing was fetched")
        return small_network(name, "trained")

    monkeypatch.setattr(loading, "load", load)
    start_loading(SMALL, None)
    threading.Timer(0.5, let_go.set).start()
    assert wait_for(SMALL, None, download=True).card.name == SMALL


def test_an_error_of_a_library_is_a_sentence(monkeypatch):
    def load(*_, **__):
        raise RuntimeError("of somebody else's")

    monkeypatch.setattr(loading, "load", load)
    with pytest.raises(SevisError, match=r"small_net could not be loaded \(RuntimeError: of somebody else's\)"):
        wait_for(SMALL, "random")
