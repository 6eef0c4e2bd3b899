"""What a forward pass shows of blocks, what it leaves in the model (nothing), and what is kept of it."""

import gc
import weakref

import pytest
import torch
from torch import Tensor, nn

import sevis
from sevis import SevisError, SqueezeExcitation, find_sites
from tests.helpers.strangers_check import STRANGERS, faults


def names(model: nn.Module) -> list[str]:
    return [site.name for site in find_sites(model)]


@pytest.mark.parametrize("row", STRANGERS, ids=lambda row: row.name)
def test_what_is_read_and_changed_is_what_the_block_itself_says(row) -> None:
    """z, s and u in a forward pass of other images, an override by 1, and no hook or number changed: against the block's own numbers."""
    assert faults(row) == []


FORMS = {  # what sevis calls the forms that strangers write in several ways
    "u*s": "s * u",
    "s*v": "s * v",
    "u + u*s": "u + s * u",
    "u*s + u": "u + s * u",
    "u*s, += u": "u + s * u",
    "u*(1+s)": "(1 + s) * u",
    "(s+1)*u": "(1 + s) * u",
    "2*u*s": "2 * s * u",
    "u*2*s": "2 * s * u",
    "u*s*2": "2 * s * u",
    "(2*s)*u": "2 * s * u",
    "u*s*s": "s * s * u",
    "u*(1-s)": "(1 - s) * u",
    "u - u*s": "u - s * u",
}


@pytest.mark.parametrize("row", [row for row in STRANGERS if row.taken and row.called and row.form in FORMS], ids=lambda row: row.name)
def test_the_form_is_named(row) -> None:
    sites = find_sites(row.network(), row.example())
    expected = "(0.5 + 0.5 * s) * u" if row.name == "gate: (tanh + 1) / 2" else FORMS[row.form]
    assert {site.form for site in sites} == {expected}


@pytest.mark.parametrize("row", [row for row in STRANGERS if row.taken is False], ids=lambda row: row.name)
def test_what_only_looks_alike_is_left_out(row) -> None:
    found = find_sites(row.network(), row.example(), explain=True)
    assert found.sites == ()
    assert all(like.reason and like.kind for like in found.lookalikes)


def test_the_reasons_say_what_was_seen() -> None:
    reasons = {
        "CBAM's channel part": "two squeezes go through the same projections",
        "mean and maximum added": "its squeeze is not the mean of any maps: it comes from",
        "standard deviation": "its squeeze is not the mean of any maps: it comes from std",
        "a head of many labels": "nothing is multiplied",
        "softmax over channels": "its gate is a softmax",
        "a bottleneck at every place": "its first projection got (2, 16, 9, 7), not one number for each image and channel",
        "BAM": "its scales are mixed with other numbers (add)",
    }
    for row in STRANGERS:
        if row.name in reasons:
            told = [like.reason for like in find_sites(row.network(), row.example(), explain=True).lookalikes]
            assert any(reason.startswith(reasons[row.name]) for reason in told), (row.name, told)


class ChannelAttentionOfSuperResolution(nn.Module):
    """The paper's block, under a name that others give to CBAM's."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 4, 1), nn.ReLU(), nn.Conv2d(4, 16, 1), nn.Sigmoid())

    def forward(self, u: Tensor) -> Tensor:
        return u * self.attention(u)


def test_what_is_found_is_kept_until_a_module_changes() -> None:
    model = nn.Sequential(nn.Conv2d(3, 16, 3), ChannelAttentionOfSuperResolution(), nn.Identity())
    before = find_sites(model)
    assert before is not find_sites(model) and before == find_sites(model)
    assert before[0].form == ""
    (seen,) = find_sites(model, torch.randn(2, 3, 8, 8))
    assert (seen.form, find_sites(model)) == ("s * u", (seen,))
    model[2] = SqueezeExcitation(16)
    assert names(model) == ["SE_2_2", "SE_2_3"]
    model[1] = nn.Identity()
    assert names(model) == ["SE_2_3"]
    watched = weakref.ref(model)
    del model
    gc.collect()
    assert watched() is None


class Nameless(nn.Module):
    """Its forward pass calls a function that says nothing of a gate or a product."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(16, 4), nn.Linear(4, 16)

    def forward(self, u: Tensor) -> Tensor:
        return compute["it"](self, u)


compute = {"it": lambda block, u: u * block.two(block.one(u.mean((2, 3))).relu()).sigmoid()[..., None, None]}


def test_a_block_that_its_code_hides_is_found_by_an_example_or_declared() -> None:
    torch.manual_seed(0)
    u = torch.randn(2, 16, 5, 5)
    model = nn.Sequential(Nameless())
    assert find_sites(model) == ()
    assert [site.parts for site in find_sites(model, u)] == [("one", "two", "")]
    declared = nn.Sequential(Nameless())
    assert [site.path for site in find_sites(declared, blocks={"0": ("one", "two")})] == ["0"]
    with torch.no_grad(), sevis.capture(declared) as record:
        output = declared(u)
    torch.testing.assert_close(record["SE_2_1"].scale[..., None, None] * u, output)
    for parts, message in (
        (("one", "three"), r"the model has no 'three'"),
        (("one", "one"), r"expected two linear layers or 1x1 convolutions at '0', .* got Linear \(16, 4\) and Linear \(16, 4\)"),
        ("one", r"expected blocks=\{'path': \('first projection'"),
    ):
        with pytest.raises(SevisError, match=message):
            find_sites(nn.Sequential(Nameless()), blocks={"0": parts})


def test_a_declared_block_that_does_something_else_is_refused() -> None:
    head = nn.Sequential(nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 16), nn.Sigmoid())
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    with pytest.raises(SevisError, match=r"the block that was named at '2' is not the paper's: nothing is multiplied"):
        find_sites(model, torch.randn(2, 16, 5, 5), blocks={"2": ("0", "2", "3")})


def test_an_example_may_be_arguments_or_names_and_must_fit() -> None:
    class Takes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.se = SqueezeExcitation(16)

        def forward(self, image: Tensor, *, twice: bool = False) -> Tensor:
            return self.se(image) * (2 if twice else 1)

    model, u = Takes(), torch.randn(5, 16, 4, 4)
    for example in (u, (u,), {"image": u, "twice": True}):
        assert [site.form for site in find_sites(model, example)] == ["s * u"]
    with pytest.raises(SevisError, match=r"the example does not go through Takes \("):
        find_sites(Takes(), torch.randn(1, 3, 4, 4))


def test_an_example_changes_nothing_in_the_model(network: nn.Module) -> None:
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images, calls = torch.randn(3, 3, 33, 33), []
    kept = images.clone()
    network.layer1[0].register_forward_hook(lambda *_: calls.append(1))
    state = torch.random.get_rng_state()
    assert find_sites(network, images)[0].form == "s * u"
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert (calls, network.training, network.layer1[0].training) == ([], True, True)
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(images, kept)
