"""The costs of SE blocks of any making: against what the strangers' blocks say of themselves, and by hand."""

import pytest
import timm
import torch
from torch import Tensor, nn

import sevis
from sevis.networks.costs import Cost, measure_cost
from tests.helpers.strangers_check import STRANGERS
from tests.helpers.witness import PLACES, Stranger, witnesses

# A skeleton has no numbers: a hook that the network needs is not on it, a constant of its own is not like its maps, and a mean over
# places that are weighed looks like one that are not.
WITHOUT_NUMBERS = ("behind a forward that needs its own hook", "a frequency", "GlobalContext")


@pytest.mark.parametrize("row", [row for row in STRANGERS if row.name not in WITHOUT_NUMBERS], ids=lambda row: row.name)
def test_blocks_cost_what_their_projections_do(row: Stranger) -> None:
    network, size = row.network(), (3, *PLACES[row.places])
    before = measure_cost(network, size)
    example = row.example(1)
    sites = sevis.find_sites(network, row.example())
    cost = measure_cost(network, size)
    assert cost == before, "a pass with numbers showed other blocks than the skeleton"
    assert [site.name for site in cost.sites] == [site.name for site in sites]
    with torch.no_grad():
        network(example)
    for site, block in zip(cost.sites, witnesses(network), strict=bool(cost.sites)):
        assert site.parameters == block.gate_parameters()
        assert site.projections == block.runs * 2 * site.channels * site.hidden
        if block.runs:
            u, source = block.seen["u"], block.seen["source"]
            assert site.places * site.channels == u.numel()
            assert site.scaling == block.runs * u.numel()
            if row.form != "s*v":  # which maps z is the mean of, numbers alone tell
                assert site.squeeze == block.runs * source.numel()


def gates(channels: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels), nn.Sigmoid())


class Residual(nn.Module):
    """A residual block with the layers of one SE block, or of two, directly in it; a strided one halves the maps before the second."""

    def __init__(self, blocks: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Conv2d(16, 16, 3, padding=1)
        self.gates = nn.ModuleList(gates(16, 4 * (number + 1)) for number in range(blocks))
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        u = self.body(x)
        for gate in self.gates:
            u = u * gate(u.mean((2, 3)))[..., None, None]
            u = u[:, :, :: self.stride, :: self.stride]
        return u


def shares(cost: Cost) -> list[tuple[str, int, int, int, int]]:
    return [(block.path, block.parameters, block.multiply_adds, block.se_parameters, block.se_multiply_adds) for block in cost.blocks]


def test_the_convolutions_of_a_residual_block_are_not_its_gate() -> None:
    cost = measure_cost(nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.Sequential(Residual(1), Residual(0))), (3, 12, 10))
    own, se = 16 * 16 * 9, 2 * 16 * 4
    assert shares(cost) == [
        ("0", 3 * 16 * 9 + 16, 120 * 3 * 16 * 9, 0, 0),
        ("1.0", own + 16 + se + 4 + 16, 120 * own + se, se + 4 + 16, se),
        ("1.1", own + 16, 120 * own, 0, 0),
    ]
    (site,) = cost.sites
    assert (site.places, site.parameters, site.projections) == (120, 148, 128)
    assert (site.squeeze, site.scaling) == (16 * 120, 16 * 120)


def test_two_gates_below_one_path_cost_what_each_does() -> None:
    cost = measure_cost(nn.Sequential(nn.Conv2d(3, 16, 1), Residual(2, stride=2)), (3, 12, 10))
    assert [(site.name, site.hidden, site.places, site.parameters, site.projections) for site in cost.sites] == [
        ("SE_2_2", 4, 120, 148, 128),
        ("SE_2_2b", 8, 30, 280, 256),
    ]
    assert (cost.blocks[1].se_parameters, cost.blocks[1].se_multiply_adds) == (428, 384)


class Flat(nn.Module):
    """A network with the layers of an SE block directly in it, and a norm between the projections."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc1, self.norm, self.fc2, self.head = (
            nn.Conv2d(3, 8, 1),
            nn.Linear(8, 2),
            nn.LayerNorm(2),
            nn.Linear(2, 8),
            nn.Linear(8, 5),
        )

    def forward(self, x: Tensor) -> Tensor:
        u = self.conv(x)
        s = torch.sigmoid(self.fc2(self.norm(self.fc1(u.mean((2, 3)))).relu()))
        return self.head((u * s[..., None, None]).mean((2, 3)))


def test_a_norm_between_the_projections_is_not_counted() -> None:
    network = Flat()
    cost = measure_cost(network, (3, 6, 6))
    assert cost.se_parameters == 8 * 2 + 2 + 2 * 8 + 8
    assert cost.parameters == 3 * 8 + 8 + 42 + 2 * 2 + 8 * 5 + 5
    assert shares(cost) == [("conv", 3 * 8 + 8 + 42 + 4, 36 * 24 + 32, 42, 32), ("head", 45, 40, 0, 0)]


def test_timm_s_other_gates_cost_nothing_as_se() -> None:
    """GlobalContext, ECA, effective SE and CBAM: as `find_sites` finds none of them in a pass with numbers."""
    for name in ("gcresnext26ts", "eca_resnext26ts", "ese_vovnet19b_dw"):
        with torch.device("meta"):
            network = timm.create_model(name)
        assert measure_cost(network, (3, 64, 64)).sites == ()
