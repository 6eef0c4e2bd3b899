"""The networks of the page Architectures: their blocks, units and costs, against the networks themselves."""

import pytest

from sevis.pages.architectures.designs import Design, block_at, cost_of, family_of, list_families, parameters_by_ratio, side_of
from tests.helpers.slow import slow


@pytest.mark.parametrize(("name", "bias"), [("resnet18", True), ("resnet18", False), ("bn_inception", True), ("shufflenet", False)])
def test_the_curve_is_that_of_the_networks_themselves(name, bias):
    sites = cost_of(Design(name, bias=bias)).sites
    counts = parameters_by_ratio(cost_of(Design(name).plain).parameters, sites, bias=bias)
    for ratio in (2, 3, 16, 32):
        assert counts[ratio] == cost_of(Design(name, reduction=ratio, bias=bias)).parameters


def test_the_curve_ends_where_a_block_would_have_no_hidden_unit():
    assert max(parameters_by_ratio(0, cost_of(Design("resnet20")).sites, bias=True)) == 16


@pytest.mark.parametrize("name", slow(list_families()))
def test_every_unit_of_every_network_has_its_cell(name):
    family, cost = family_of(name, 1.0), cost_of(Design(name))
    paths = [block_at(cost.blocks, unit.path) for unit in family.units]
    gated = [block.path for block in cost.blocks if block.se_parameters]
    assert paths == gated
    assert len(set(paths)) == len(family.units) == len(cost.sites)
    assert side_of(cost.blocks[-1].shape) == 1
