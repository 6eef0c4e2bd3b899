"""Steps as text against what they say, and as changes of a network against gates replaced by hand in a copy of it."""

import copy
import tracemalloc

import numpy as np
import pytest
import torch
from torch import nn

import sevis
from sevis.errors import SevisError
from sevis.experiments.interventions import MAX_STEPS, Intervention, Sources, format_steps, intervene, parse_channels, parse_steps
from sevis.weights.loading import make_ready
from tests.helpers.cards import make_card
from tests.helpers.processes import loaded_by

SHA, OTHER = "a" * 64, "b" * 64
CLASSES = ("cat; 100 %", "dog=fish", "none", "owl", "yak")
WRITTEN = {
    "SE_4_6:open": Intervention("SE_4_6", "set", 1.0),
    "SE_5:x0.5": Intervention("SE_5", "multiply", 0.5),
    "SE_5_3[3,17]:0": Intervention("SE_5_3", "set", 0.0, channels=(3, 17)),
    "SE_5_3[3-5,17,20-21]:-1.25": Intervention("SE_5_3", "set", -1.25, channels=(3, 4, 5, 17, 20, 21)),
    "SE_5_3[9,2]:x1e-07": Intervention("SE_5_3", "multiply", 1e-07, channels=(9, 2)),
    "SE:static": Intervention("SE", "static"),
    "SE_2_1b:x0": Intervention("SE_2_1b", "multiply", 0.0),
    "SE_4_6:class=goldfish": Intervention("SE_4_6", "class", name="goldfish"),
    "SE_4[0]:photo=Rocket": Intervention("SE_4", "photo", name="Rocket", channels=(0,)),
    "SE:photo=goldfish, photo 3": Intervention("SE", "photo", name="goldfish, photo 3"),
}
NAMES = (
    ";",
    "%",
    "a;b",
    "100 %",
    "%3B",
    "a=b:c[1]",
    " lead",
    "trail \t ",
    "x0.5",
    "open",
    "café",
    "日本;",
    "a\nb",
    "\x00\x1f\x7f",
    "\x85",
    "+&#?/",
)


@pytest.fixture
def ready(network):
    return make_ready(make_card(sha256=SHA, classes=tuple(CLASSES)), network)


@pytest.fixture
def batch():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def statistics(ready):
    """Of random scales: 3 images of every class but the third."""
    random = np.random.default_rng(2)
    channels = {site.name: site.channels for site in sevis.find_sites(ready.model)}
    made = sevis.ClassStatistics(channels, CLASSES, {"weights": SHA, "model": "small"})
    labels = np.repeat([0, 1, 3, 4], 3)
    scales = {site: random.uniform(size=(12, width)).astype(np.float32) for site, width in channels.items()}
    made.update(labels, {site: {"squeeze": scale, "scale": scale} for site, scale in scales.items()})
    return made, labels, scales


class Gate(nn.Module):
    """A gate whose output is changed by hand."""

    def __init__(self, gate, change):
        super().__init__()
        self.gate, self.change = gate, change

    def forward(self, logits):
        return self.change(self.gate(logits).clone())


def by_hand(ready, changes, batch):
    """The logits of a copy of the network whose gates are replaced."""
    model = copy.deepcopy(ready.model)
    for site in sevis.find_sites(ready.model):
        if site.name in changes:
            block = model.get_submodule(site.path)
            block.gate = Gate(block.gate, changes[site.name])
    with torch.inference_mode():
        return model(batch)


def run(ready, text, batch, sources=None):
    with intervene(ready, parse_steps(text), sources), torch.inference_mode():
        return ready.model(batch)


def replaced(values, channels=slice(None)):
    def change(scale):
        scale[:, channels] = torch.as_tensor(values, dtype=torch.float32)
        return scale

    return change


def explanation(ready, seed, weights=SHA):
    view = np.random.default_rng(seed).integers(0, 256, size=(32, 32, 3), dtype=np.uint8)
    from PIL import Image

    made = sevis.explain(ready, Image.fromarray(view))
    return sevis.Explanation(**{**vars(made), "weights": weights})


@pytest.mark.parametrize("text", WRITTEN)
def test_a_step_is_read_and_written(text):
    assert parse_steps(text) == (WRITTEN[text],)
    assert format_steps([WRITTEN[text]]) == text


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (" SE_5_3 [ 3 , 17 ] : 0.50 ", "SE_5_3[3,17]:0.5"),
        ("SE:1", "SE:open"),
        ("SE:1.0;SE_2:+2", "SE:open;SE_2:2"),
        ("SE:.5", "SE:0.5"),
        ("SE:class=%3b", "SE:class=%3B"),
        ("  ", ""),
    ],
)
def test_other_spellings_are_read(text, same):
    assert format_steps(parse_steps(text)) == same


@pytest.mark.parametrize("name", NAMES)
def test_names_with_odd_characters_survive(name):
    steps = (Intervention("SE_2", "class", name=name), Intervention("SE", "photo", name=name, channels=(0, 1)))
    text = format_steps(steps)
    assert parse_steps(text) == steps
    assert text.isprintable()


def test_random_steps_survive():
    random = np.random.default_rng(0)
    letters = list("aÄ ;%=:[]x,-\t\n\u2028")
    for _ in range(300):
        steps = tuple(random_step(random, letters) for _ in range(random.integers(0, 5)))
        assert parse_steps(format_steps(steps)) == steps


def random_step(random, letters):
    where = str(random.choice(["SE", "SE_2", "SE_3_10", "SE_4_1b"]))
    count = int(random.integers(1, 6))
    channels = None if random.random() < 0.5 else tuple(random.choice(12, size=count, replace=False).tolist())
    action = str(random.choice(["set", "multiply", "static", "class", "photo"]))
    value = float(random.normal() * 10.0 ** random.integers(-30, 30)) if action in ("set", "multiply") else None
    name = "".join(random.choice(letters, size=count)) if action in ("class", "photo") else None
    return Intervention(where, action, value, name, channels)


@pytest.mark.parametrize(
    "broken",
    [
        "SE_5_3",
        "SE_5_3:",
        ":open",
        "S_5:open",
        "SE_5_3[]:0",
        "SE_5_3[3:0",
        "SE_5_3[-1]:0",
        "SE_5_3[3,3]:0",
        "SE_5_3[5-3]:0",
        "SE_5_3[0-99999]:0",
        "SE_5_3[1.5]:0",
        "SE_5_3[٣]:0",
        "SE:nan",
        "SE:inf",
        "SE:x-Infinity",
        "SE:1e999",
        "SE:1e39",
        "SE:1_0",
        "SE:0x10",
        "SE:x",
        "SE:opened",
        "SE:OPEN",
        "SE:class=",
        "SE:class",
        "SE:photo=100%",
        "SE:photo=%ff",
        "SE:static=all",
        "",
    ],
)
def test_a_damaged_step_is_named_and_none_is_left_out(broken):
    with pytest.raises(SevisError, match="step 2") as error:
        parse_steps(f"SE_2:open;{broken};SE_3:open")
    assert repr(broken) in str(error.value)


def test_too_many_steps_are_refused():
    assert len(parse_steps(";".join(["SE:open"] * MAX_STEPS))) == MAX_STEPS
    with pytest.raises(SevisError, match=f"at most {MAX_STEPS} steps, got {MAX_STEPS + 1}"):
        parse_steps(";".join(["SE:open"] * (MAX_STEPS + 1)))


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "set"},
        {"action": "set", "value": float("nan")},
        {"action": "multiply", "value": float("inf")},
        {"action": "set", "value": 1.0, "name": "x"},
        {"action": "static", "value": 1.0},
        {"action": "class"},
        {"action": "class", "name": ""},
        {"action": "photo", "name": "x", "value": 0.0},
        {"action": "clip", "value": 0.0},
        {"action": "static", "channels": ()},
        {"action": "static", "channels": (-1,)},
        {"action": "static", "channels": (1, 1)},
        {"action": "static", "channels": (1.5,)},
        {"action": "static", "channels": (True,)},
        {"action": "set", "value": "1"},
        {"action": "static", "where": "layer1"},
    ],
)
def test_a_step_that_makes_no_sense_is_refused(fields):
    with pytest.raises(SevisError, match="expected"):
        Intervention(**{"where": "SE_2", **fields})


def test_a_semicolon_at_the_end_is_no_step():
    assert parse_steps("SE_2:open;") == parse_steps(" SE_2:open ; ") == parse_steps("SE_2:open")
    assert parse_steps(";") == parse_steps(" ") == ()
    with pytest.raises(SevisError, match="step 2, '', cannot be read"):
        parse_steps("SE_2:open;;")


def test_a_short_text_cannot_ask_for_much_memory():
    tracemalloc.start()
    for text in ("0-65535," * 1000 + "1", "SE[" + "0-65535," * 1000 + "1]:open"):
        with pytest.raises(SevisError, match="expected each channel at most once, got '0-65535,0-65535") as error:
            parse_channels(text) if text[0] == "0" else parse_steps(text)
        assert len(str(error.value)) < 500
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
    with pytest.raises(SevisError, match="expected at most 10000 characters of steps, got 10001"):
        parse_steps("A" * 10_001)


def test_channels_are_read():
    assert parse_channels("3, 17-20 ,1") == (3, 17, 18, 19, 20, 1)


def test_reading_steps_needs_no_torch():
    assert "torch" not in loaded_by("from sevis.experiments.interventions import parse_steps; parse_steps('SE:open')")


def test_no_step_changes_nothing(ready, batch):
    with torch.inference_mode():
        plain = ready.model(batch)
    assert torch.equal(run(ready, "", batch), plain)


def test_numbers_by_block_stage_and_channel(ready, batch):
    shown = run(ready, "SE_2:open;SE_3_1:x0.5;SE_4_2[1,3]:0;SE_5_1[0]:-2.5", batch)
    expected = by_hand(
        ready,
        {
            "SE_2_1": torch.ones_like,
            "SE_2_2": torch.ones_like,
            "SE_3_1": lambda scale: scale * 0.5,
            "SE_4_2": replaced(0, [1, 3]),
            "SE_5_1": replaced(-2.5, [0]),
        },
        batch,
    )
    assert torch.equal(shown, expected)
    assert not torch.equal(shown, by_hand(ready, {}, batch))


def test_each_step_finds_what_the_one_before_left(ready, batch):
    assert torch.equal(run(ready, "SE_3_1:0.5;SE_3_1:x3", batch), by_hand(ready, {"SE_3_1": replaced(1.5)}, batch))
    assert torch.equal(run(ready, "SE_3_1:x3;SE_3_1:0.5", batch), by_hand(ready, {"SE_3_1": replaced(0.5)}, batch))


def test_static_gates_are_the_mean_over_all_images(ready, batch, statistics):
    made, _, scales = statistics
    changes = {site: replaced(scale.mean(axis=0, dtype=np.float64)) for site, scale in scales.items() if site.startswith("SE_4")}
    assert torch.equal(run(ready, "SE_4:static", batch, Sources(made)), by_hand(ready, changes, batch))


def test_static_gates_can_come_from_elsewhere(ready, batch, statistics):
    given = {site: np.full(width, 0.25) for site, width in statistics[0].channels.items()}
    shown = run(ready, "SE_4_1:static", batch, Sources(statistics[0], static=given))
    assert torch.equal(shown, by_hand(ready, {"SE_4_1": replaced(0.25)}, batch))


def test_class_gates_are_the_mean_over_its_images(ready, batch, statistics):
    made, labels, scales = statistics
    text = format_steps(
        [Intervention("SE_3_2", "class", name=CLASSES[0], channels=(5, 2)), Intervention("SE_5_2", "class", name=CLASSES[1])]
    )
    first, second = (scales[site][labels == row].mean(axis=0, dtype=np.float64) for site, row in (("SE_3_2", 0), ("SE_5_2", 1)))
    expected = by_hand(ready, {"SE_3_2": replaced(first[[5, 2]], [5, 2]), "SE_5_2": replaced(second)}, batch)
    assert torch.equal(run(ready, text, batch, Sources(made)), expected)


def test_another_photo_s_gates(ready, batch):
    other = explanation(ready, 5)
    shown = run(ready, "SE_5:photo=it", batch, Sources(photos={"it": other}))
    assert torch.equal(shown, by_hand(ready, {site: replaced(other.scale[site]) for site in ("SE_5_1", "SE_5_2")}, batch))


def test_a_photo_s_own_gates_change_nothing(ready):
    own = explanation(ready, 5)
    batch = torch.from_numpy(ready.preprocess.normalise(own.view))[None]
    with torch.inference_mode():
        plain = ready.model(batch)
    assert torch.equal(run(ready, "SE:photo=it", batch, Sources(photos={"it": own})), plain)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SE_9_1:open", "SE_9_1.*SE_2_1"),
        ("SE_9:static", "SE_9.*SE_2_1"),
        ("SE_2_1[8]:0", "0 to 7.*8"),
        ("SE_2_1[8]:static", "0 to 7.*8"),
        ("SE_2:class=bird", "bird.*owl"),
        ("SE_2:class=none", "no image of 'none'"),
        ("SE_2:photo=cat", "'cat'.*'it'"),
        ("SE_2:photo=foreign", f"weights {OTHER[:12]}.*not to {SHA[:12]}"),
    ],
)
def test_what_does_not_fit_is_said(ready, statistics, batch, text, message):
    photos = {"it": explanation(ready, 5), "foreign": explanation(ready, 5, weights=OTHER)}
    with pytest.raises(SevisError, match=message):
        run(ready, text, batch, Sources(statistics[0], photos))


def test_statistics_of_other_weights_are_refused(ready, statistics, batch):
    statistics[0].metadata["weights"] = OTHER
    for text in ("SE:static", f"SE:class={CLASSES[3]}"):
        with pytest.raises(SevisError, match=f"weights {OTHER[:12]}.*not to {SHA[:12]}"):
            run(ready, text, batch, Sources(statistics[0]))


def test_without_statistics_their_cure_is_said(ready, batch):
    with pytest.raises(SevisError, match=r"SE_2:static needs class statistics.*sevis collect"):
        run(ready, "SE_2:static", batch)


@pytest.mark.parametrize(("given", "message"), [({}, "got none"), ({"SE_2_1": np.ones(7)}, r"shape \(8,\).*got \(7,\)")])
def test_gates_of_another_shape_are_refused(ready, batch, given, message):
    with pytest.raises(SevisError, match=message):
        run(ready, "SE_2_1:static", batch, Sources(static=given))


def test_gates_that_are_not_finite_are_refused(ready, batch):
    with pytest.raises(SevisError, match="finite"):
        run(ready, "SE_2_1:static", batch, Sources(static={"SE_2_1": np.full(8, np.nan)}))
