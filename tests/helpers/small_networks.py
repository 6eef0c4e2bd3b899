"""Stand-ins for the networks of the internet, which load at once."""

import torch

import sevis
from sevis.data.preprocessing import Preprocessing
from sevis.weights.loading import ReadyModel
from tests.helpers.cards import make_card
from tests.helpers.networks import stir

SMALL, OTHER = "small_net", "other_net"


def small_network(name, weights):
    """A network of its own each time, with other blocks than the default's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(len(name))
        model = stir(sevis.build("se_resnet18", num_classes=3, width=0.125, reduction=4)).eval()
    preprocess = Preprocessing(resize=32, crop=32)
    card = make_card(name, sha256=f"{name}-{weights}", shipped=False)
    return ReadyModel(model, card, card.classes, preprocess, torch.device("cpu"))
