"""Batches that fit: halved when an accelerator's memory runs out, and at last on the CPU."""

import weakref
from dataclasses import replace
from itertools import chain

import pytest
import torch
from torch import nn

from sevis import capture
from sevis.blocks.hooks import keep_hooks
from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.experiments.batches import run_batches
from sevis.weights.loading import ReadyModel
from tests.helpers.cards import make_card


@pytest.fixture
def ready(network: nn.Module) -> ReadyModel:
    """A network on the CPU that says it were on a GPU, for there may be none here."""
    card = make_card(classes=tuple(map(str, range(5))))
    return ReadyModel(network, card, card.classes, Preprocessing(resize=32, crop=32), torch.device("cuda"))


class Accelerator:
    """Work on a machine whose GPU holds so many images at once."""

    def __init__(self, holds: int) -> None:
        self.holds = holds
        self.tried: list[tuple[str, int, int]] = []

    def __call__(self, ready: ReadyModel, part: slice) -> list[int]:
        self.tried.append((ready.device.type, part.start, part.stop))
        if ready.device.type == "cuda" and part.stop - part.start > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return list(range(part.start, part.stop))


def test_all_images_come_in_order_and_nothing_is_said(ready: ReadyModel) -> None:
    said: list[str] = []
    parts = list(run_batches(ready, 10, Accelerator(4), batch_size=4, say=said.append))
    assert parts == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert said == []
    assert list(run_batches(ready, 0, Accelerator(4), batch_size=4)) == []


def test_a_batch_that_does_not_fit_is_halved_and_stays_so(ready: ReadyModel) -> None:
    said: list[str] = []
    work = Accelerator(3)
    assert [*chain(*run_batches(ready, 11, work, batch_size=8, say=said.append))] == list(range(11))
    assert work.tried == [("cuda", 0, 8), ("cuda", 0, 4), ("cuda", 0, 2), *(("cuda", i, min(i + 2, 11)) for i in range(2, 11, 2))]
    assert said == [
        "The memory of cuda does not hold 8 images at once; continuing with 4.",
        "The memory of cuda does not hold 4 images at once; continuing with 2.",
    ]


def test_what_does_not_fit_at_all_goes_on_with_a_copy_on_the_cpu(ready: ReadyModel) -> None:
    said: list[str] = []
    release = keep_hooks(ready.model)
    models = []

    def work(given: ReadyModel, part: slice) -> torch.Tensor:
        if given.device.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        models.append(given.model)
        with torch.no_grad(), capture(given.model) as record:
            given.model(torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(part.start)))
        return record["SE_5_2"].scale

    scales = list(run_batches(ready, 3, work, batch_size=2, say=said.append))
    assert said[-1] == "The memory of cuda does not hold a single image; continuing on the CPU, which is slower."
    assert ready.device.type == "cuda"  # the caller's model stays where it is
    assert all(model is models[0] and model is not ready.model for model in models)
    with torch.no_grad(), capture(ready.model) as record:
        for number, scale in enumerate(scales):
            ready.model(torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(number)))
            assert torch.equal(record["SE_5_2"].scale, scale)
    release()


def test_other_errors_are_not_swallowed_and_an_image_too_large_for_the_cpu_is_an_error(ready: ReadyModel) -> None:
    def broken(_: ReadyModel, __: slice) -> None:
        raise RuntimeError("something else")

    def too_large(_: ReadyModel, __: slice) -> None:
        torch.empty(1 << 60)  # for which PyTorch has no class of error

    with pytest.raises(RuntimeError, match="something else"):
        list(run_batches(ready, 1, broken, batch_size=1))
    said: list[str] = []
    with pytest.raises(SevisError, match="one image of small does not fit into memory: choose a smaller network"):
        list(run_batches(replace(ready, device=torch.device("cpu")), 2, too_large, batch_size=2, say=said.append))
    assert said == ["The memory of cpu does not hold 2 images at once; continuing with 1."]


def test_the_copy_for_the_cpu_needs_no_memory_where_the_model_is(ready: ReadyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(given: ReadyModel, _: slice) -> ReadyModel:
        if given.device.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return given

    def refuse(tensor: torch.Tensor, _: object) -> None:
        raise AssertionError(f"a tensor of shape {tuple(tensor.shape)} was copied where it is")

    monkeypatch.setattr(torch.Tensor, "__deepcopy__", refuse)
    monkeypatch.setattr(nn.Parameter, "__deepcopy__", refuse)
    (fallback,) = run_batches(ready, 1, work, batch_size=1)
    state = ready.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in fallback.model.state_dict().items())
    assert not fallback.model.training


def test_the_failed_pass_is_forgotten_before_the_next_is_tried(ready: ReadyModel) -> None:
    alive: list[weakref.ref[torch.Tensor]] = []

    def work(_: ReadyModel, part: slice) -> None:
        assert [held for held in alive if held() is not None] == []
        activation = torch.ones(part.stop - part.start)
        alive.append(weakref.ref(activation))
        if part.stop - part.start > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    list(run_batches(ready, 4, work, batch_size=4, say=lambda _: nothing_held(alive)))


def nothing_held(alive: list[weakref.ref[torch.Tensor]]) -> None:
    """When the visitor is told, nothing of the failed pass is held any more."""
    assert [held for held in alive if held() is not None] == []
