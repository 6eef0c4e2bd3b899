"""Stand-ins for modules: what they share with the modules, and what is their own."""

import itertools
import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sevis.blocks.rehearsal import few, stand_in, undisturbed


class Counting(nn.Module):
    """Changes, in its forward pass, whatever a module may hold."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)
        self.calls, self.seen, self.total, self.loose = 0, [], torch.zeros(1), [nn.Linear(4, 4)]
        self.register_buffer("steps", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen.append(len(x))
        self.total += 1
        self.steps += 1
        return self.loose[0](self.norm(self.fc(x))).mul_(random.random() * np.random.rand()) * torch.rand(())


def test_a_stand_in_shares_the_weights_and_changes_nothing() -> None:
    module, calls = Counting(), []
    module.fc.register_forward_hook(lambda *_: calls.append(1))
    state = {key: value.clone() for key, value in module.state_dict().items()}
    generators = random.getstate(), np.random.get_state()[1].copy(), torch.random.get_rng_state()
    with undisturbed(module):
        twin = stand_in(module)
        assert twin.fc.weight is module.fc.weight
        assert not twin.training
        twin(torch.randn(3, 4))
    assert module.training
    assert (module.calls, module.seen, calls) == (0, [], [])
    assert not module.total.any()
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    assert random.getstate() == generators[0]
    assert np.array_equal(np.random.get_state()[1], generators[1])
    assert torch.equal(torch.random.get_rng_state(), generators[2])


def test_the_inputs_are_copies_of_a_few_images() -> None:
    images = torch.randn(5, 3)
    args = (images, {"mask": torch.ones(5), "scale": torch.ones(1)}, [images, "text"], 7)
    given, named, listed, number = few(args, 5)
    assert (given.shape, named["mask"].shape, named["scale"].shape) == ((2, 3), (2,), (1,))
    assert (listed[0].shape, listed[1], number) == ((2, 3), "text", 7)
    given.zero_()
    assert images.any()
    with pytest.raises(TypeError, match="a count can be read only once"):
        few((itertools.count(),), 5)


def test_networks_that_wait_for_others_are_not_run() -> None:
    waiting = type("DistributedDataParallel", (nn.Sequential,), {})(nn.Linear(2, 2))
    with pytest.raises(TypeError, match=r"waits for other processes: pass model\.module"):
        stand_in(nn.Sequential(waiting))
