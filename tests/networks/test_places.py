"""Networks of sequences and of volumes: SE put into them, what it costs there, and how they are drawn."""

import math

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.video import mc3_18, r3d_18, s3d

import sevis
from sevis import SevisError
from sevis.networks.drawing import draw_unit
from sevis.networks.grafting import list_placements
from tests.helpers.networks import stir


def layer(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2), nn.BatchNorm1d(outputs), nn.ReLU())


class Sound(nn.Module):
    """A classifier of raw sound (N, 1, L)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(layer(1, 32, 9, 4), nn.MaxPool1d(4), layer(32, 48, 3), nn.MaxPool1d(4), layer(48, 64, 3))
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x).mean(2))


class Scan(nn.Module):
    """A classifier of volumes (N, 2, D, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv3d(2, 16, 3, stride=2, padding=1)
        self.second = nn.Conv3d(16, 24, (1, 3, 3), padding=(0, 1, 1))
        self.fc = nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.relu(self.second(torch.relu(self.first(x)))).mean((2, 3, 4)))


class Tokens(nn.Module):
    """A network of sequences whose later parts have their channels last, (N, L, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 32, 10, 5)
        self.tokens = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.memory = nn.LSTM(32, 16, batch_first=True)
        self.parts = nn.ModuleList([nn.ReLU()])

    def forward(self, x: Tensor) -> Tensor:
        return self.memory(self.tokens(self.parts[0](self.first(x)).transpose(1, 2)))[0].mean(1)


class OneLength(nn.Module):
    """A network that takes sequences of 100 only."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(12, 32, 5)
        self.fc = nn.Linear(32 * 96, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.first(x).flatten(1))


class Features(nn.Module):
    """A network of features (N, L, C), which it turns round."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(20)
        self.first = nn.Conv1d(20, 32, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.first(self.norm(x).transpose(1, 2)).mean(2)


@pytest.mark.parametrize(
    ("make", "after", "shape", "channels"),
    [
        (Sound, ["body.0", "body.2", "body.4"], (2, 1, 500), [32, 48, 64]),
        (Scan, ["first", "second"], (2, 2, 6, 8, 10), [16, 24]),
        (Tokens, ["first"], (2, 1, 500), [32]),
    ],
)
def test_se_stands_behind_modules_that_return_sequences_or_volumes(
    make: type[nn.Module], after: list[str], shape: tuple[int, ...], channels: list[int]
) -> None:
    model = stir(make()).eval()
    grafted = sevis.graft(model, after=after, start="identity", reduction=4)
    sites = sevis.find_sites(grafted)
    assert [(site.path, site.channels) for site in sites] == [(f"{path}.se", count) for path, count in zip(after, channels, strict=True)]
    x = torch.randn(shape)
    torch.testing.assert_close(grafted(x), model(x))
    gated = sevis.graft(model, after=after, reduction=4)
    with sevis.capture(gated, maps=[site.name for site in sites]) as record, torch.inference_mode():
        gated(x)
    for block in record.values():
        assert block.maps is not None
        assert block.maps.ndim == len(shape)
        torch.testing.assert_close(block.squeeze, block.maps.flatten(2).mean(2), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("make", "count", "placements"), [(r3d_18, 8, 4), (mc3_18, 8, 4), (s3d, 9, 1)])
def test_video_networks_of_torchvision_take_se_by_their_rule(make: type[nn.Module], count: int, placements: int) -> None:
    with torch.device("meta"):
        model = make()
    grafted = sevis.graft(model)
    assert len(sevis.find_sites(grafted)) == count
    assert len(list_placements(model)) == placements


def test_se_of_a_video_network_stands_before_the_sum() -> None:
    model = stir(r3d_18()).eval()
    grafted = sevis.graft(model, start="identity")
    block, x = grafted.layer2[0], torch.randn(1, 3, 4, 16, 16)
    torch.testing.assert_close(grafted(x), model(x), atol=1e-4, rtol=1e-4)
    nn.init.constant_(block.conv2.se.fc2.bias, -1e4)  # shuts every channel, so that the shortcut alone is left
    u = torch.randn(1, 64, 4, 8, 8)
    torch.testing.assert_close(block(u), torch.relu(block.downsample(u)))


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (Tokens, {"after": ["tokens"]}, r"channels of tokens .*got \(1, 3199, 32\), whose second dimension grows with the input"),
        (Tokens, {"after": ["memory"]}, "out of memory, got a tuple: SE gates the channels of maps, of sequences"),
        (Tokens, {"after": ["parts"]}, "parts does not run when Tokens is called"),
        (Features, {"after": ["norm"], "size": (50, 20)}, r"channels of norm .*got \(1, 50, 20\), whose second dimension grows"),
        (lambda: timm.create_model("vit_tiny_patch16_224"), {"after": ["blocks.0"]}, r"blocks.0 .*, got \(1, 197, 192\), where the last"),
        (torchvision.models.swin_t, {"after": ["features.1"]}, r"features.1 .*, got \(1, 56, 56, 96\), whose second dimension grows"),
        (OneLength, {"after": ["first"]}, "OneLength takes no input of 12 × 16000 .*: pass the size of one that it takes"),
        (OneLength, {"after": ["first"], "size": (12, 9, 9)}, r"begins with a Conv1d: .*\(channels, length\), got \(12, 9, 9\)"),
        (Scan, {"after": ["first"], "size": (2, 9)}, r"begins with a Conv3d: .*\(channels, depth, height, width\), got \(2, 9\)"),
    ],
)
def test_what_has_no_channels_where_se_reads_them_is_refused(make: type[nn.Module], options: dict[str, object], message: str) -> None:
    with torch.device("meta"):
        model = make()
    with pytest.raises(SevisError, match=message):
        sevis.graft(model, **options)


def test_a_network_for_one_length_takes_se_when_told_the_length() -> None:
    assert [site.channels for site in sevis.find_sites(sevis.graft(OneLength(), after=["first"], size=(12, 100)))] == [32]
    assert [site.channels for site in sevis.find_sites(sevis.graft(Features(), after=["first"], size=(50, 20)))] == [32]


@pytest.mark.parametrize("squeeze", ["avg", "max", "none"])
@pytest.mark.parametrize(
    ("make", "after", "sides", "convolutions"),
    [
        (Sound, "body.0", (100,), 100 * 32 * 9 + 25 * 48 * 32 * 3 + 6 * 64 * 48 * 3),
        (Scan, "first", (4, 6, 8), 4 * 6 * 8 * (16 * 2 * 27 + 24 * 16 * 9)),
    ],
)
def test_costs_by_hand(make: type[nn.Module], after: str, sides: tuple[int, ...], convolutions: int, squeeze: str) -> None:
    model = make()
    size = (1, 400) if make is Sound else (2, 8, 12, 16)
    cost = sevis.measure_cost(sevis.graft(model, after=[after], size=size, reduction=8, squeeze=squeeze), size)
    channels = 32 if make is Sound else 16
    (site,) = cost.sites
    hidden, places = channels // 8, math.prod(sides)
    every = places if squeeze == "none" else 1
    assert (site.channels, site.hidden, site.places) == (channels, hidden, places)
    assert site.parameters == 2 * channels * hidden + channels + hidden
    assert site.squeeze == (0 if squeeze == "none" else channels * places)
    assert site.projections == 2 * channels * hidden * every
    assert site.scaling == channels * places
    assert cost.multiply_adds == convolutions + model.fc.weight.numel() + site.projections
    assert cost.size == size


def test_an_input_that_is_too_short_is_refused_with_the_shortest() -> None:
    model = nn.Sequential(nn.Conv1d(1, 8, 80, 4), nn.MaxPool1d(4), nn.Conv1d(8, 8, 3))
    with pytest.raises(SevisError, match="an input of 1 × 50 is too small for Sequential: the smallest possible input is 1 × 124"):
        sevis.measure_cost(model, (1, 50))
    with pytest.raises(SevisError, match="the smallest possible input is 1 × 3 × 1 × 5"):
        sevis.measure_cost(nn.Conv3d(1, 2, (3, 1, 5)), (1, 2, 9, 9))


def test_units_of_sequences_and_volumes_are_drawn() -> None:
    sound = sevis.graft(Sound(), after=["body.2"])
    steps = [(step.label, step.detail) for step in draw_unit(sound, "body.2", size=(1, 400)).steps]
    assert steps == [
        ("Input", "32 × 25"),
        ("length-3 conv, 48", "BN · ReLU · 48 × 25"),
        ("Global pooling", "48 × 1"),
        ("FC", "3 × 1"),
        ("ReLU", "3 × 1"),
        ("FC", "48 × 1"),
        ("Sigmoid", "48 × 1"),
        ("Scale", "48 × 25"),
    ]
    with torch.device("meta"):
        video = sevis.graft(r3d_18(), squeeze="none")
    drawing = draw_unit(video, "SE_3_1", size=(3, 8, 64, 64))
    labels = [step.label for step in drawing.steps]
    assert [label for label in labels if "conv, 1" in label] == ["3 × 3 × 3 conv, 128", "3 × 3 × 3 conv, 128", "1 × 1 × 1 conv, 128"]
    assert drawing.steps[1].detail == "stride 2 · BN · ReLU · 128 × 4 × 16 × 16"
    assert [step.shape for step in drawing.steps if step.kind == "gate"] == ["128 × 4 × 16 × 16"]
    (block,) = [step for step in draw_unit(video, "layer1.0.conv2.se", size=(3, 8, 64, 64)).steps if step.kind == "product"]
    assert block.shape == "64 × 8 × 32 × 32"
