"""Which tensors of a file are the weights of a network, whatever stands before their names and lies beside them; and never half of them."""

import collections
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sevis import SevisError
from sevis.weights.checkpoint import read_checkpoint
from sevis.weights.fit import Fit, count_classes, explain_misfit, find_fit


def small(outputs: int = 5) -> nn.Sequential:
    layers = [("conv", nn.Conv2d(3, 4, 3)), ("norm", nn.BatchNorm2d(4)), ("body", nn.Linear(4, 4)), ("fc", nn.Linear(4, outputs))]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return nn.Sequential(collections.OrderedDict(layers))


STATE = small().state_dict()
BODY = {key: value for key, value in STATE.items() if not key.startswith("fc.")}
OTHER = {key: value + 1 for key, value in STATE.items()}
ONE = torch.ones(1)


def under(prefix: str, state: dict[str, Tensor] = STATE) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


def head(path: str, outputs: int = 7) -> dict[str, Tensor]:
    return {f"{path}.weight": torch.arange(4.0 * outputs).reshape(outputs, 4), f"{path}.bias": torch.arange(1.0 * outputs)}


def fit_of(path: Path, content: Any) -> Fit | None:
    torch.save(content, path)
    return find_fit(small, read_checkpoint(path), "small", 5)


def misfit_of(path: Path, content: Any) -> str:
    assert fit_of(path, content) is None
    error = str(explain_misfit(small, read_checkpoint(path), "small", 5))
    assert "\n" not in error
    return error


PREFIXES = [
    "backbone.",
    "net.",
    "encoder.",
    "timm_model.",
    "0.model.",
    "model.net.",
    "module.backbone.",
    "model.student.0.",
    "a.b.c.d.e.f.",
]
# What projects keep beside a network.
BESIDE: dict[str, dict[str, Tensor]] = {
    "nothing": {},
    "a weighted loss": {"loss.weight": ONE, "criterion.pos_weight": ONE},
    "metrics, the best of which is not finite yet": {"val_best.min_value": torch.tensor(torch.inf), "train_acc.tp": torch.tensor(3)},
    "another head": {"head.weight": torch.ones(9, 9), "decoder.0.bias": ONE},
    "the counters of an average": {"ema.num_updates": torch.tensor(3), "ema.decay": torch.tensor(0.99)},
}


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("beside", BESIDE)
def test_any_prefix_is_found_by_the_names_of_the_network(tmp_path: Path, prefix: str, beside: str) -> None:
    fit = fit_of(tmp_path / "a.pth", {"state_dict": under(prefix) | BESIDE[beside]})
    assert fit is not None
    assert fit.state.keys() == STATE.keys()
    assert all(torch.equal(fit.state[key], value) for key, value in STATE.items())
    assert fit.outputs == 5
    assert fit.left_out == list(BESIDE[beside])
    told = fit.describe()
    assert prefix.removeprefix("module.").split(".")[-2] in told
    assert all(name in told for name in BESIDE[beside])


@pytest.mark.parametrize("beside", ["a weighted loss", "the counters of an average"])
def test_losses_and_counters_may_lie_beside_names_without_a_prefix(tmp_path: Path, beside: str) -> None:
    fit = fit_of(tmp_path / "a.pth", STATE | BESIDE[beside])
    assert fit is not None
    assert fit.left_out == list(BESIDE[beside])
    assert "left out" in fit.describe()


def test_of_a_file_as_it_should_be_nothing_is_told(tmp_path: Path) -> None:
    for content in (STATE, {"state_dict": under("module.")}, {"model": under("_orig_mod.")}):
        fit = fit_of(tmp_path / "a.pth", content)
        assert fit is not None
        assert fit.describe() == ""


@pytest.mark.parametrize(
    ("prefix", "path"), [("backbone.", "head.fc"), ("model.backbone.", "model.head"), ("0.", "1"), ("", "last_linear")]
)
def test_a_classifier_of_another_name_is_found_where_nothing_else_can_be_it(tmp_path: Path, prefix: str, path: str) -> None:
    content = under(prefix, BODY) | head(path) | ({} if not prefix else {"neck.proj.weight": torch.ones(9, 9)})
    fit = fit_of(tmp_path / "a.pth", content)
    assert fit is not None
    assert fit.outputs == 7
    assert torch.equal(fit.state["fc.weight"], head(path)[f"{path}.weight"])
    assert torch.equal(fit.state["fc.bias"], head(path)[f"{path}.bias"])
    assert f"{path.removeprefix('model.')}' is the classifier" in fit.describe()


@pytest.mark.parametrize(
    "others",
    [
        head("head.fc") | head("aux_head.fc"),  # two that could be it
        head("head.fc") | {"head.norm.weight": torch.ones(4)},  # not the whole head
        head("head.1") | head("head.4"),
        {"head.fc.weight": torch.ones(7, 4)},  # no bias
        {"head.fc.weight": torch.ones(7, 3), "head.fc.bias": torch.ones(7)},
        {"head.fc.weight": torch.ones(7, 4), "head.fc.bias": torch.ones(6)},
        {},
    ],
)
def test_without_its_classifier_a_network_is_refused(tmp_path: Path, others: dict[str, Tensor]) -> None:
    told = misfit_of(tmp_path / "a.pth", under("backbone.", BODY) | others)
    assert "below 'backbone.'; missing: fc.weight, fc.bias" in told
    assert "it lacks the classifier" in told
    assert all(name in told for name in list(others)[:3])


def test_one_tensor_that_lacks_is_named(tmp_path: Path) -> None:
    state = {key: value for key, value in under("net.").items() if key != "net.norm.running_mean"}
    assert "below 'net.'; missing: norm.running_mean)" in misfit_of(tmp_path / "a.pth", state)
    assert "missing: norm.running_mean)" in misfit_of(tmp_path / "b.pth", {"model": {"state_dict": state}})


def test_the_weights_of_a_larger_network_do_not_fit_a_smaller_one(tmp_path: Path) -> None:
    for prefix in ("", "net."):
        told = misfit_of(tmp_path / "a.pth", under(prefix, STATE | {"body2.weight": ONE, "conv.extra": ONE}))
        assert "unexpected: body2.weight, conv.extra" in told
    told = misfit_of(tmp_path / "a.pth", under("net.", STATE | {"body.weight": torch.ones(4, 9)}))
    assert "below 'net.'; of another shape: body.weight (4, 9), expected (4, 4)" in told


# --- several networks in one file ---


@pytest.mark.parametrize(
    "content",
    [
        under("model.", OTHER) | under("ema_model.module."),
        OTHER | under("ema."),
        {"state_dict": OTHER, "ema": {"decay": 0.9, "shadow": STATE}},
        {"network": OTHER, "network_ema": STATE},
    ],
)
def test_the_averaged_one_is_taken(tmp_path: Path, content: dict[str, Any]) -> None:
    fit = fit_of(tmp_path / "a.pth", content)
    assert fit is not None
    assert all(torch.equal(fit.state[key], value) for key, value in STATE.items())
    assert "ema" in fit.describe().lower()  # nobody is to wonder whose numbers these are


@pytest.mark.parametrize(
    ("content", "places"),
    [
        (under("student.") | under("teacher.", OTHER), "student., teacher."),
        (STATE | under("target.", OTHER), "the top of the file, target."),
        ({"student": STATE, "teacher": OTHER}, "student., teacher."),
        ({"best": {"student": STATE}, "last": OTHER}, "best.student., last."),
    ],
)
def test_two_that_are_alike_are_refused(tmp_path: Path, content: dict[str, Any], places: str) -> None:
    with pytest.raises(SevisError, match=rf"holds several networks that fit small \({places}\): save the weights of one of them"):
        fit_of(tmp_path / "a.pth", content)


def test_weights_under_any_name_are_found_and_told(tmp_path: Path) -> None:
    content = {"model": {"unrelated": ONE}, "best": {"encoder": under("net.")}, "optimizer": {"state": {"exp_avg": ONE}}}
    fit = fit_of(tmp_path / "a.pth", content)
    assert fit is not None
    assert "the weights lie in 'best.encoder'; the names of the weights begin with 'net.'" in fit.describe()


def test_what_is_not_finite_is_refused_in_a_network_only(tmp_path: Path) -> None:
    broken = torch.full((4,), torch.nan)
    assert fit_of(tmp_path / "a.pth", under("net.") | {"loss.weight": broken}) is not None
    with pytest.raises(SevisError, match=r"holds no usable weights: net\.norm\.bias has values that are not finite"):
        fit_of(tmp_path / "a.pth", under("net.", STATE | {"norm.bias": broken}))


@pytest.mark.parametrize(
    "name", ["a" * 1_000_000, "." * 1_000_000, ".".join("ab" * 100_000), "conv.weight." * 10_000, "__class__.conv.weight", "\n" * 1000]
)
def test_a_monstrous_name_is_only_a_name(tmp_path: Path, name: str) -> None:
    fit = fit_of(tmp_path / "a.pth", under("net.") | {name: ONE})
    assert fit is not None
    assert len(fit.describe()) < 1000
    assert "\n" not in fit.describe()
    assert len(misfit_of(tmp_path / "a.pth", BODY | {name: ONE})) < 1000


# --- of the network itself, compared ---


def test_a_file_of_another_network_is_told_apart(tmp_path: Path) -> None:
    state = {key: value for key, value in STATE.items() if not key.startswith("norm.")}
    state |= {f"extra.{number}": torch.ones(1) for number in range(5)}
    state["fc.weight"] = torch.zeros(7, 9)
    told = misfit_of(tmp_path / "a.pth", state)
    assert "a.pth does not hold the weights of small" in told
    assert "missing: norm.weight, norm.bias, norm.running_mean and 1 more;" in told
    assert "unexpected: extra.0, extra.1, extra.2 and 2 more;" in told
    assert "of another shape: fc.weight (7, 9), expected (5, 4))" in told
    assert told.endswith("name the network that it was saved from")


def test_a_part_of_a_network_in_several_files_is_told(tmp_path: Path) -> None:
    told = misfit_of(tmp_path / "model-00001-of-00002.pth", dict(list(STATE.items())[:5]))
    assert told.endswith("it is one of several files that hold them together: save them in one")


def test_a_file_that_fits(tmp_path: Path) -> None:
    for content in (
        STATE,
        {key: value for key, value in STATE.items() if key != "norm.num_batches_tracked"},
        {key: value.half() for key, value in STATE.items()},  # the counter too
    ):
        assert fit_of(tmp_path / "a.pth", content) is not None


def test_the_classes_are_counted_in_the_file() -> None:
    def counted(model: nn.Module, **changed: Tensor) -> int:
        return count_classes(model, {**STATE, **{key.replace("_", "."): value for key, value in changed.items()}}, 5)

    assert counted(small(), fc_weight=torch.zeros(7, 4)) == 7
    assert counted(small()) == count_classes(small(), {}, 5) == 5
    assert counted(small(), conv_weight=torch.zeros(9, 3, 3, 3)) == 5
    assert counted(small(), fc_weight=torch.tensor(7.0)) == 5  # no classifier's
    assert counted(small(), fc_weight=torch.zeros(0, 4)) == 5
    assert counted(small(), fc_weight=torch.zeros(10**9, 0)) == 5


def test_only_a_convolution_of_one_pixel_is_a_classifier() -> None:
    def counted(side: int) -> int:
        model = nn.Sequential(nn.Conv2d(3, 5, 1), nn.Conv2d(5, 5, side))
        return count_classes(model, {"0.weight": torch.zeros(7, 3, 1, 1), "1.weight": torch.zeros(9, 5, side, side)}, 5)

    assert counted(1) == 9
    assert counted(3) == 7


def test_fractions_are_told_from_whole_numbers(tmp_path: Path) -> None:
    model = nn.Module()
    model.register_parameter("gain", nn.Parameter(torch.ones(3)))
    model.register_buffer("index", torch.arange(3))

    def outline(_: int) -> nn.Module:
        return model

    torch.save({"gain": torch.ones(3).half(), "index": torch.arange(3).int()}, tmp_path / "a.pth")
    assert find_fit(outline, read_checkpoint(tmp_path / "a.pth"), "small", 5) is not None
    torch.save({"gain": torch.arange(3), "index": torch.ones(3)}, tmp_path / "b.pth")
    with pytest.raises(SevisError, match=r"of another kind: gain int64, expected float32, index float32, expected int64"):
        find_fit(outline, read_checkpoint(tmp_path / "b.pth"), "small", 5)
