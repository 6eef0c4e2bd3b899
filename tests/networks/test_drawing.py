"""Units read off networks, against the networks themselves."""

from typing import get_args

import pytest
import timm
import torch
import torchvision
from torch import nn

import sevis
from sevis import SevisError
from sevis.networks.drawing import Drawing, Kind, draw_unit
from sevis.networks.placements import PLACEMENTS
from tests.helpers.strangers_check import STRANGERS
from tests.helpers.units import UNITS, make


def parents(drawing: Drawing, step: int) -> list[int]:
    return [start for start, end in drawing.arrows if end == step]


def find(drawing: Drawing, kind: str) -> list[int]:
    return [place for place, step in enumerate(drawing.steps) if step.kind == kind]


@pytest.mark.parametrize(("name", "options", "unit", "path"), UNITS)
def test_a_drawing_has_the_convolutions_and_blocks_of_its_unit(name: str, options: dict[str, object], unit: str, path: str) -> None:
    model = make(name, **options)
    drawing = draw_unit(model, unit)
    modules = list(model.get_submodule(path).modules())
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    drawn = [drawing.steps[place].label for place in find(drawing, "convolution")]
    assert sorted(int(label.rpartition(", ")[2]) for label in drawn) == sorted(module.out_channels for module in convolutions)
    assert len(find(drawing, "gate")) == sum(isinstance(module, sevis.SqueezeExcitation) for module in modules)
    assert all(start < end for start, end in drawing.arrows)
    assert {step.kind for step in drawing.steps} <= set(get_args(Kind))
    assert all(parents(drawing, place) for place in range(1, len(drawing.steps)))


def test_the_placements_are_those_of_figure_5() -> None:
    drawings = {placement: draw_unit(make("se_resnet50", placement=placement), "SE_4_2") for placement in PLACEMENTS}
    for placement, drawing in drawings.items():
        (product,), (total,) = find(drawing, "product"), find(drawing, "sum")
        first, _, last = find(drawing, "convolution")
        (gate,) = find(drawing, "gate")
        followed = [end for start, end in drawing.arrows if start == product]
        shown = {
            "map": parents(drawing, product)[0],
            "then": followed,
            "sum of": set(parents(drawing, total)),
        }
        expected = {
            "standard": {"map": last, "then": [total], "sum of": {product, 0}},
            "pre": {"map": 0, "then": [first], "sum of": {last, 0}},
            "post": {"map": total, "then": [], "sum of": {last, 0}},
            "identity": {"map": 0, "then": [total], "sum of": {last, product}},
            "3x3": {"map": first + 1, "then": [last], "sum of": {last, 0}},
        }
        assert shown == expected[placement], placement
        assert gate in parents(drawing, product)


def test_shapes_are_those_of_a_real_forward_pass() -> None:
    model = sevis.build("se_resnet18", num_classes=3).eval()
    shapes: dict[str, tuple[int, ...]] = {}

    def note(key: str, output: torch.Tensor) -> None:
        shapes[key] = tuple(output.shape[1:])

    block = model.layer2[0]
    for key in ("conv1", "conv2", "se"):
        block.get_submodule(key).register_forward_hook(lambda _, __, output, key=key: note(key, output))
    with torch.inference_mode():
        model(torch.zeros(1, 3, 70, 50))
    drawing = draw_unit(model, "SE_3_1", size=(3, 70, 50))
    written = [drawing.steps[place].shape for place in (*find(drawing, "convolution")[:2], *find(drawing, "product"))]
    assert written == [" × ".join(map(str, shapes[key])) for key in ("conv1", "conv2", "se")]
    assert [drawing.steps[place].shape for place in find(drawing, "projection")] == ["8 × 1 × 1", "128 × 1 × 1"]


def test_variants_of_the_block_are_told_apart() -> None:
    labels = {
        squeeze: [step.label for step in draw_unit(make("se_resnet18", squeeze=squeeze, gate="tanh"), "SE_2_1").steps if step.gated]
        for squeeze in ("avg", "max", "none")
    }
    assert labels == {
        "avg": ["Global pooling", "FC", "ReLU", "FC", "Tanh", "Scale"],
        "max": ["Global max pooling", "FC", "ReLU", "FC", "Tanh", "Scale"],
        "none": ["1 × 1 conv", "ReLU", "1 × 1 conv", "Tanh", "Scale"],
    }


def test_networks_of_the_libraries_are_drawn() -> None:
    with torch.device("meta"):
        mine = sevis.graft(torchvision.models.resnet50())
        theirs = timm.create_model("seresnet50")
    assert [step.label for step in draw_unit(mine, "SE_2_2").steps] == [step.label for step in draw_unit(theirs, "SE_2_2").steps]
    vgg = draw_unit(make("se_vgg16_bn"), "SE_2_1")
    assert [(step.label, step.notes) for step in vgg.steps[:2]] == [("Input", ""), ("3 × 3 conv, 128", "BN · ReLU")]
    assert len(find(vgg, "product")) == 1


COLUMN = ["Global pooling", "FC", "ReLU", "FC", "Sigmoid", "Scale"]


def stranger(name: str) -> nn.Sequential:
    return next(row for row in STRANGERS if row.name == name).network()


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("gate: torch.sigmoid", ["Global pooling", "FC", "FC", "sigmoid", "Scale"]),  # what lies between is a function that fx cannot see
        ("GELU between, Tanh", ["Global pooling", "FC", "GELU", "FC", "Tanh", "Scale"]),
        ("one ReLU for all", COLUMN * 2),
        ("units with norm, gate inside", ["Global pooling", "FC", "BN · Hardswish", "FC", "Hardsigmoid", "Scale"]),
    ],
)
def test_blocks_of_any_making_are_drawn_as_the_column_where_it_is_true(name: str, column: list[str]) -> None:
    assert [step.label for step in draw_unit(stranger(name), "1", size=(3, 11, 9)).steps if step.gated] == column


@pytest.mark.parametrize(
    "name", ["layers directly in a residual block", "the module returns s, its parent multiplies", "maps with channels last"]
)
def test_blocks_that_are_no_module_of_their_own_are_drawn_as_their_operations(name: str) -> None:
    drawing = draw_unit(stranger(name), "1", size=(3, 11, 9))
    labels = [step.label for step in drawing.steps]
    assert not any(step.gated for step in drawing.steps)
    assert "×" in labels
    squeezes = [label for label in labels if label in ("mean", "Adaptive average pool")]
    assert squeezes


def test_a_block_of_another_form_is_not_drawn_as_the_paper_s() -> None:
    class Doubled(sevis.SqueezeExcitation):
        def forward(self, u: torch.Tensor) -> torch.Tensor:
            return u + super().forward(u)

    class Rectified(sevis.SqueezeExcitation):
        def forward(self, u: torch.Tensor) -> torch.Tensor:
            return super().forward(u).relu()

    for kind, last in ((Doubled, "+"), (Rectified, "ReLU")):
        drawing = draw_unit(nn.Sequential(nn.Conv2d(3, 16, 1), kind(16, reduction=4)), "1", size=(3, 8, 8))
        assert not any(step.gated for step in drawing.steps)
        assert last in " · ".join((drawing.steps[-1].label, drawing.steps[-1].notes))


@pytest.mark.parametrize(
    ("unit", "message"),
    [("SE_9_1", "ResNet has no unit 'SE_9_1': choose among SE_2_1, SE_2_2"), ("fc", "does not take one batch of maps")],
)
def test_what_cannot_be_drawn_is_refused(unit: str, message: str) -> None:
    with pytest.raises(SevisError, match=message):
        draw_unit(make("resnet18"), unit)
