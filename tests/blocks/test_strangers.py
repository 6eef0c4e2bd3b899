"""The blocks of the helpers `strangers_...` keep what is true of them: without sevis."""

import pytest
import torch

from tests.helpers.strangers_check import STRANGERS, first_tensor
from tests.helpers.strangers_functions import FORMS, Written
from tests.helpers.witness import opened, witnesses

TAKEN = [row for row in STRANGERS if row.taken]


def test_names_are_told_apart_and_there_are_enough_of_each() -> None:
    assert len({row.name for row in STRANGERS}) == len(STRANGERS)
    assert len(TAKEN) >= 35
    assert sum(row.taken is False for row in STRANGERS) >= 15


@pytest.mark.parametrize("row", TAKEN, ids=lambda row: row.name)
def test_z_is_the_mean_over_all_places_and_the_gate_can_be_left_out(row) -> None:
    network, example = row.network(), row.example()
    with torch.no_grad():
        plain = first_tensor(network(example))
        blocks = witnesses(network)
        assert blocks
        if not row.called:
            return
        assert not any(torch.allclose(block.seen["s"], torch.tensor(block.neutral)) for block in blocks)
        for block in blocks:
            source, z = block.seen["source"].double(), block.seen["z"]
            channel = next(axis for axis in range(1, source.ndim) if source.shape[axis] == row.channels)
            mean = source.movedim(channel, 1).flatten(2).mean(2)
            right = mean if "maximum" not in row.name or "places" in row.name else source.amax((2, 3))
            torch.testing.assert_close(z.double(), right, atol=1e-6, rtol=1e-5)
        with opened(blocks):
            assert not torch.allclose(first_tensor(network(example)), plain, atol=1e-3)
        assert torch.equal(first_tensor(network(example)), plain)


@pytest.mark.parametrize("form", FORMS)
def test_a_form_at_its_neutral_scale_is_no_gate(form) -> None:
    block, u = Written(form=form), torch.randn(2, 16, 5, 4)
    with torch.no_grad():
        torch.testing.assert_close(block(u), u * block.seen["factor"][..., None, None])
        with opened([block]):
            torch.testing.assert_close(block(u), u)
