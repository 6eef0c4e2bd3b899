"""What the page says of a block is true of the block."""

import pytest
import timm
import torch
import torchvision

import sevis
from sevis.architecture import Architecture
from sevis.pages.explain.block_words import UNREAD, BlockForm, _read_form, form_of
from sevis.pages.shared.network import Network
from sevis.weights.card import DEFAULT
from tests.helpers.cards import make_card
from tests.helpers.strangers_check import STRANGERS

OWN = BlockForm("Sigmoid", activation="ReLU", norm=None, bias=True)


def form_in(model):
    site = sevis.find_sites(model)[0]
    return _read_form(model.get_submodule(site.path), site)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("legacy_seresnet18", OWN),
        ("seresnet18", OWN),
        ("regnety_002", OWN),
        ("efficientnet_b0", BlockForm("Sigmoid", activation="SiLU")),
        ("mobilenetv3_small_050", BlockForm("Hardsigmoid")),
        ("gcvit_xxtiny", BlockForm("Sigmoid", activation="GELU", bias=False)),
        ("rexnet_100", BlockForm("Sigmoid", norm="BatchNorm2d")),
    ],
)
def test_blocks_of_timm(name, expected):
    with torch.device("meta"):
        assert form_in(timm.create_model(name)) == expected


def test_blocks_of_torchvision():
    with torch.device("meta"):
        assert form_in(torchvision.models.efficientnet_b0()) == BlockForm("Sigmoid", activation="SiLU")
        assert form_in(torchvision.models.mobilenet_v3_small()) == BlockForm("Hardsigmoid")


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"gate": "hardsigmoid"}, {"gate": "tanh"}, {"gate": "relu", "bias": False}])
def test_the_card_of_a_shipped_network_says_what_its_blocks_say(options):
    model = sevis.build("se_resnet18", num_classes=2, width=0.125, reduction=4, **options)
    card = make_card(DEFAULT, architecture=Architecture(name="se_resnet18", **options))
    assert form_of(Network(), card, "SE_2_1") == form_in(model)


def test_the_paper_s_block_in_words():
    assert OWN.bounded
    assert not OWN.hard
    assert r"\sigma(\mathbf{W}_2 \mathbf{h} + \mathbf{b}_2)" in OWN.excitation
    assert r"\delta(\mathbf{W}_1 \mathbf{z} + \mathbf{b}_1)" in OWN.hidden
    assert OWN.describe_hidden(256, 16) == "256 channels are reduced to 16 units (r = 16); δ is the ReLU."
    assert OWN.describe_gate() == "σ is the sigmoid"
    assert "a sigmoid stays below 1" in OWN.describe_order()


def test_what_differs_from_the_paper_is_said():
    form = BlockForm("Hardsigmoid", activation="SiLU", norm="BatchNorm2d", bias=False)
    assert r"\bar\sigma(\mathbf{W}_2 \mathbf{h})" in form.excitation
    assert r"\delta(\mathrm{norm}(\mathbf{W}_1 \mathbf{z}))" in form.hidden
    said = form.describe_hidden(104, 12)
    assert "r = 8.67" in said
    assert "δ is SiLU" in said
    assert "norm is BatchNorm2d" in said
    assert "hard sigmoid" in form.describe_gate()
    assert "the most open channels may pass whole" in form.describe_order()


@pytest.mark.parametrize("gate", ["Tanh", "ReLU"])
def test_a_gate_that_may_amplify_is_not_said_to_be_a_sigmoid(gate):
    form = BlockForm(gate, activation=None)
    assert not form.bounded
    assert "sigma" not in form.excitation
    assert "delta" not in form.hidden
    assert gate in form.describe_gate()
    assert "may be above 1" in form.describe_order()
    assert "no activation" in form.describe_hidden(8, 2)


@pytest.mark.parametrize(
    ("form", "scale", "factor"),
    [
        ("u + s * u", r"1 + \sigma(\mathbf{W}_2 \mathbf{h})", "1 + g"),
        ("(1 + s) * u", r"(1 + \sigma(\mathbf{W}_2 \mathbf{h}))", "(1 + g)"),
        ("2 * s * u", r"2 \cdot \sigma(\mathbf{W}_2 \mathbf{h})", "2 * g"),
        ("u - s * u", r"1 - \sigma(\mathbf{W}_2 \mathbf{h})", "1 - g"),
        ("s * s * u", r"\sigma(\mathbf{W}_2 \mathbf{h})^2", "g * g"),
    ],
)
def test_the_scale_of_another_form_is_the_factor_that_is_shown(form, scale, factor):
    block = BlockForm("Sigmoid", bias=False, form=form)
    assert rf"\mathbf{{s}} = {scale} \vphantom" in block.excitation
    assert block.describe_gate().endswith(f"so s is {factor}")
    assert "stays below 1" not in block.describe_order()
    assert not block.bounded
    assert r"\mathbf{u}_c" in block.scaling


def test_maps_that_are_not_squeezed_are_called_otherwise():
    form = BlockForm("Sigmoid", form="s * v")
    assert r"s_c \cdot \mathbf{v}_c" in form.scaling
    assert form.bounded


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("layers directly in a residual block", BlockForm("Sigmoid")),
        ("form: u + u*s", BlockForm("sigmoid", activation=UNREAD, form="u + s * u")),
        ("tokens (N, L, C)", BlockForm("Sigmoid", activation="GELU")),
        ("two sequences, LayerNorm between", BlockForm("Sigmoid", activation="SiLU", norm="LayerNorm", bias=False)),
        ("dropout behind each projection, gate as a function", BlockForm("sigmoid")),
    ],
)
def test_blocks_of_any_making(name, expected):
    row = next(row for row in STRANGERS if row.name == name)
    network = row.network()
    (site,) = sevis.find_sites(network, row.example())
    assert _read_form(network.get_submodule(site.path), site) == expected


@pytest.mark.parametrize(("gate", "words"), [("relu6", "cut off at both ends"), ("exp, div", "nothing is known of the range")])
def test_gates_that_are_functions(gate, words):
    form = BlockForm(gate)
    assert not form.bounded
    assert words in form.describe_order()
