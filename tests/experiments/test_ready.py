"""No experiment runs a network in training mode or a bare module, and none changes either."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import sevis
from sevis import SevisError
from sevis.data.datasets import open_dataset
from sevis.data.preprocessing import Preprocessing
from sevis.weights.loading import make_ready
from tests.helpers.cards import make_card
from tests.helpers.pictures import write_colours

PHOTO = Image.new("RGB", (40, 40), (200, 30, 90))
CLASSES = ("blue", "green", "red", "x", "y")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return open_dataset(write_colours(tmp_path_factory.mktemp("data"), train=2))


def uses(dataset):
    """Every experiment, by its name."""
    batch = torch.zeros(2, 3, 32, 32), torch.arange(2)
    return {
        "explain": lambda ready: sevis.explain(ready, PHOTO),
        "collect": lambda ready: sevis.collect(ready, [batch], classes=CLASSES),
        "collect_dataset": lambda ready: sevis.collect_dataset(ready, dataset),
        "audit": lambda ready: sevis.audit(ready, dataset),
        "measure_sensitivity": lambda ready: sevis.measure_sensitivity(ready, PHOTO),
        "ablate_channels": lambda ready: [*sevis.ablate_channels(ready, PHOTO, "SE_5_1")],
    }


@pytest.mark.parametrize("name", list(uses(None)))
def test_a_network_in_training_mode_is_refused_unchanged(network, dataset, name):
    ready = make_ready(make_card(classes=CLASSES), network, device="cpu")
    network.layer2.train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(SevisError, match=r"small is in training mode \(its layer2\), .*: call model.eval\(\) first"):
        uses(dataset)[name](ready)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(module.training == path.startswith("layer2") for path, module in network.named_modules())


@pytest.mark.parametrize("name", list(uses(None)))
def test_a_bare_module_is_told_to_be_wrapped(network, dataset, name):
    use = uses(dataset)[name]
    with pytest.raises(SevisError, match=r"a ResNet alone does not say .*: pass sevis.wrap\(model, classes=..., preprocess=...\)"):
        use(network.eval())
    with pytest.raises(SevisError, match=r"expected a network that is ready, got str: pass sevis.load\('seresnet50'\)"):
        use("seresnet50")


@pytest.mark.parametrize("name", list(uses(None)))
def test_a_wrapped_network_gives_what_a_loaded_one_gives(network, dataset, name):
    network.eval()
    wrapped = sevis.wrap(network, classes=CLASSES, preprocess=Preprocessing.square(32))
    loaded = make_ready(make_card(classes=CLASSES, wnids=CLASSES), network, device="cpu")
    one, other = (uses(dataset)[name](ready) for ready in (wrapped, loaded))
    numbers = {
        "explain": lambda result: result.scale["SE_3_1"],
        "audit": lambda result: [result.real.images, result.real.correct, result.outcomes["SE"]["open"].correct],
        "measure_sensitivity": lambda result: result.opened,
        "ablate_channels": lambda result: result[-1].off,
    }
    read = numbers.get(name, lambda result: result.mean("SE_3_1"))
    np.testing.assert_allclose(read(one), read(other), atol=1e-6)


@pytest.mark.parametrize("name", list(uses(None)))
def test_a_network_that_was_trained_on_is_wrapped_again(network, dataset, name):
    ready = sevis.wrap(network, classes=CLASSES, preprocess=Preprocessing.square(32))
    uses(dataset)[name](ready)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network(torch.zeros(1, 3, 32, 32)).sum().backward()
    optimizer.step()
    with pytest.raises(SevisError, match="the weights of ResNet changed or moved since it was wrapped: wrap it again"):
        uses(dataset)[name](ready)
    again = sevis.wrap(network, classes=CLASSES, preprocess=Preprocessing.square(32))
    assert again.card.sha256 != ready.card.sha256
    uses(dataset)[name](again)
    with pytest.raises(SevisError, match="changed or moved"):
        uses(dataset)[name](replace(again, model=network.double()))


@pytest.mark.parametrize("change", ["data", "statistics"])
def test_weights_that_change_in_other_ways_are_noticed_too(network, dataset, change):
    ready = sevis.wrap(network, classes=CLASSES, preprocess=Preprocessing.square(32))
    sevis.explain(ready, dataset[0][0])
    if change == "data":  # as averages (EMA) are written into a network
        for weight in network.parameters():
            weight.data.mul_(0.9)
    else:  # batch norms see other images, and no weight is trained
        network.train()(torch.rand(2, 3, 32, 32))
        network.eval()
    with pytest.raises(SevisError, match="changed or moved since it was wrapped: wrap it again"):
        sevis.explain(ready, dataset[0][0])


def test_an_audit_asks_for_a_data_set_of_ours(network):
    ready = make_ready(make_card(classes=CLASSES), network, device="cpu")
    with pytest.raises(SevisError, match=r"expected a data set of sevis.data.datasets.open_dataset, got list"):
        sevis.audit(ready, [])


def test_pictures_become_rgb_and_nothing_else_is_one(network):
    ready = make_ready(make_card(classes=CLASSES), network, device="cpu")
    grey = Image.effect_noise((40, 30), 50)
    for use in (lambda image: sevis.explain(ready, image).probabilities, lambda image: sevis.measure_sensitivity(ready, image).opened):
        np.testing.assert_array_equal(use(grey), use(grey.convert("RGB")))
    with pytest.raises(SevisError, match=r"expected an image of PIL, got ndarray: PIL.Image.open reads a file"):
        sevis.explain(ready, np.zeros((40, 30, 3), np.uint8))


def test_steps_take_no_bare_module(network: nn.Module):
    with pytest.raises(SevisError, match="alone does not say"), sevis.intervene(network, sevis.parse_steps("SE:1")):
        pass
