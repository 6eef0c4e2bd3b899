"""Audits: against networks whose SE blocks are taken out by hand, image by image; the intervals against scipy and published examples."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import sevis
from sevis.analysis.audit import CHANGES, STEPS, Audit, Outcome, ParameterCounts
from sevis.cli.parser import main
from sevis.data.datasets import open_dataset
from sevis.data.preprocessing import Preprocessing
from sevis.errors import SevisError
from sevis.experiments.audit import audit, count_gate_parameters, draw_sample
from sevis.files import sha256
from sevis.weights.card import DEFAULT, read_card
from sevis.weights.loading import ReadyModel
from tests.helpers.cards import make_card
from tests.helpers.networks import stir

WNIDS = ("n00000009", "n00000003", "n00000007")  # the outputs; folders are sorted, so labels are in another order
SIDE, COUNT = 32, 28
RIGHT = 21  # every fourth label is wrong


@pytest.fixture
def ready():
    """A small network whose gates move, and which recognises each of its three classes now and then."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = stir(sevis.build("se_resnet18", num_classes=3, width=0.125, reduction=4)).eval()
    ready = make_ready(model, wnids=WNIDS)
    with torch.inference_mode():
        model.fc.bias -= model(torch.stack([torch.from_numpy(ready.preprocess(image)) for image in pictures()])).mean(dim=0)
    return ready


def pictures():
    rng = np.random.default_rng(0)
    for _ in range(COUNT):
        low = rng.integers(0, 128, 3)
        yield Image.fromarray(rng.integers(low, low + rng.integers(8, 128), (SIDE, SIDE, 3)).astype(np.uint8))


def make_ready(model, *, classes=("owl", "bee", "cat"), **fields):
    preprocess = Preprocessing(resize=SIDE, crop=SIDE)
    card = make_card(sha256="5" * 64, classes=tuple(classes), shipped=False, **fields)
    return ReadyModel(model, card, classes, preprocess, torch.device("cpu"))


@pytest.fixture
def dataset(ready, tmp_path):
    """Photos that the network is right about, but for every fourth; and some of a class that it does not know."""
    for number, image in enumerate(pictures()):
        with torch.inference_mode():
            seen = int(ready.model(torch.from_numpy(ready.preprocess(image))[None]).argmax())
        write(tmp_path / WNIDS[(seen + (number % 4 == 0)) % 3] / f"{number}.png", image)
    for number in range(3):
        write(tmp_path / "n00000005" / f"{number}.png", image)
    return open_dataset(tmp_path)


def write(path, image):
    path.parent.mkdir(exist_ok=True)
    image.save(path)


class Fixed(nn.Module):
    """In place of an SE block: scales that are given."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, u):
        return u * self.scale[:, :, None, None]


def excitations(model, x):
    """z and s of every block, from the modules' own weights, by a pass through the network block by block."""
    scales = {}
    x = model.maxpool(model.relu(model.bn1(model.conv1(x))))
    for stage in range(1, 5):
        for number, block in enumerate(getattr(model, f"layer{stage}")):
            u = block.bn2(block.conv2(block.relu(block.bn1(block.conv1(x)))))
            z = u.mean(dim=(2, 3))
            s = torch.sigmoid(block.se.fc2(torch.relu(block.se.fc1(z))))
            scales[f"SE_{stage + 1}_{number + 1}"] = s
            x = torch.relu(u * s[:, :, None, None] + block.downsample(x))
    return scales


def with_scales(model, scales):
    """A copy of the network with some of its SE blocks replaced."""
    changed = copy.deepcopy(model)
    for site, scale in scales.items():
        _, stage, number = site.split("_")
        getattr(changed, f"layer{int(stage) - 1}")[int(number) - 1].se = Fixed(scale)
    return changed


def by_hand(ready, dataset, seed):
    """The outcomes and the steps, computed with copies of the network in which SE blocks are replaced by fixed scales."""
    sample = draw_sample(ready, dataset, seed)
    inputs = torch.stack([torch.from_numpy(ready.preprocess(dataset[place][0])) for place in sample.images])
    names = [dataset.wnids[dataset.labels[place]] for place in sample.images]
    own = excitations(ready.model, inputs)
    count = len(inputs)
    others = [[other for other in range(count) if sample.halves[other] != sample.halves[place]] for place in range(count)]
    sources = {
        "open": {site: torch.ones_like(s) for site, s in own.items()},
        "level": {site: torch.stack([s[rows].mean().expand(s.shape[1]) for rows in others]) for site, s in own.items()},
        "frozen": {site: torch.stack([s[rows].mean(dim=0) for rows in others]) for site, s in own.items()},
        "shuffled": {site: torch.stack([s[(place + 1) % count] for place in range(count)]) for site, s in own.items()},
    }

    def hits(model):
        return np.array([WNIDS[output] == name for output, name in zip(model(inputs).argmax(dim=1).tolist(), names, strict=True)])

    real, outcomes, steps = hits(ready.model), {}, {}
    for address in (*own, "SE_5", "SE"):
        blocks = [site for site in own if site == address or site.startswith(f"{address}_")]
        changed = {
            change: hits(with_scales(ready.model, {site: source[site] for site in blocks})) for change, source in sources.items()
        } | {"as it is": real}
        outcomes[address] = {change: counted(real, changed[change]) for change in sources}
        ends = {"level": ("open", "level"), "pattern": ("level", "frozen"), "answer": ("frozen", "as it is")}
        steps[address] = {step: counted(changed[before], changed[after]) for step, (before, after) in ends.items()}
    return outcomes, steps


def counted(before, after):
    pairs = list(zip(before.tolist(), after.tolist(), strict=True))
    return Outcome(len(pairs), sum(before), pairs.count((True, False)), pairs.count((False, True)))


def test_outcomes_and_steps_equal_those_computed_by_hand(ready, dataset):
    with torch.inference_mode():
        outcomes, steps = by_hand(ready, dataset, seed=3)
    found = audit(ready, dataset, batch_size=16, seed=3)
    assert found.outcomes == outcomes
    assert found.steps == steps
    assert found.real == Outcome(COUNT, RIGHT, 0, 0)
    flips = [outcome.lost + outcome.won for part in (*outcomes.values(), *steps.values()) for outcome in part.values()]
    assert sum(flip > 0 for flip in flips) > 20  # so that a mistake would show
    assert len(set(flips)) > 3
    changes = [(part["level"].lost, part["level"].won) != (part["frozen"].lost, part["frozen"].won) for part in outcomes.values()]
    assert sum(changes) > 1  # a level that were another name for frozen would show, too


@pytest.mark.parametrize("batch_size", [9, COUNT - 1, 100])
def test_the_batch_size_does_not_matter(ready, dataset, batch_size):
    assert audit(ready, dataset, batch_size=batch_size).outcomes == audit(ready, dataset, batch_size=16).outcomes


def test_it_leaves_no_hook_and_is_repeatable(ready, dataset):
    first = audit(ready, dataset, seed=5)
    assert audit(ready, dataset, seed=5).outcomes == first.outcomes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in ready.model.modules())


def test_halves_divide_every_class_evenly_and_batches_mix_them(ready, dataset):
    sample = draw_sample(ready, dataset, 0)
    assert sorted(sample.images) == [place for place, label in enumerate(dataset.labels) if dataset.wnids[label] in WNIDS]
    for output in range(3):
        sizes = np.bincount(sample.halves[sample.outputs == output], minlength=2)
        assert abs(sizes[0] - sizes[1]) <= 1
    assert len(set(sample.outputs[:12].tolist())) > 1
    assert sample.images.tolist() != sorted(sample.images.tolist())
    other = draw_sample(ready, dataset, 1)
    assert other.images.tolist() != sample.images.tolist()


def test_two_images_are_enough_and_get_each_others_gates(ready, dataset, tmp_path):
    few = open_dataset(tmp_path).select(WNIDS)
    few = replace(few, files=few.files[:2], labels=few.labels[:2])
    found = audit(ready, few, batch_size=1)
    assert found.real.images == 2
    with torch.inference_mode():
        outcomes, steps = by_hand(ready, few, seed=0)
    assert (found.outcomes, found.steps) == (outcomes, steps)
    one = replace(few, files=few.files[:1], labels=few.labels[:1])
    with pytest.raises(SevisError, match="at least two images"):
        audit(ready, one)


def test_provenance(ready, dataset):
    found = audit(ready, dataset, seed=4)
    known = found.metadata
    assert (known.model, known.weights, known.seed, known.images, known.images_left_out) == ("small", "5" * 64, 4, COUNT, 3)
    assert (known.classes, known.outputs, known.data) == (3, 3, dataset.name)
    assert all((known.torch, known.sevis, known.date, known.preprocessing, known.device, known.precision))
    found.check_weights("5" * 64)
    with pytest.raises(SevisError, match="belongs to weights 555555555555 of small, not to 666"):
        found.check_weights("6" * 64)


def test_a_network_without_wordnet_ids_is_matched_by_name(ready, dataset, tmp_path):
    names = make_ready(ready.model, classes=("c", "a", "b"), wnids=None)
    for wnid, name in zip(WNIDS, names.classes, strict=True):
        (tmp_path / wnid).rename(tmp_path / name)
    (tmp_path / "n00000005").rename(tmp_path.parent / f"{tmp_path.name}-unknown")
    assert audit(names, open_dataset(tmp_path)).real == Outcome(COUNT, RIGHT, 0, 0)
    (tmp_path / "a").rename(tmp_path / "d")
    with pytest.raises(SevisError, match=r"must be its own: expected 3 \(c, a, b\), got 3 \(b, c, d\)"):
        audit(names, open_dataset(tmp_path))
    nameless = make_ready(ready.model, classes=("output 0", "output 1", "output 2"), wnids=None)
    with pytest.raises(SevisError, match=r"the outputs of .* have no names, .*: name them in sevis.wrap \(classes=\) or sevis add"):
        audit(nameless, open_dataset(tmp_path))


def test_classes_that_the_network_does_not_know_are_an_error(ready, dataset):
    with pytest.raises(SevisError, match=r"knows none of the 1 classes .* such as n00000009"):
        audit(ready, dataset.select(["n00000005"]))


def test_a_network_without_se_is_an_error(dataset):
    with pytest.raises(SevisError, match="Squeeze-and-Excitation"):
        audit(make_ready(sevis.build("resnet18", num_classes=3, width=0.125).eval(), wnids=WNIDS), dataset)


def test_parameters_are_the_papers():
    with torch.device("meta"):
        model = sevis.build("se_resnet50", bias=False)
    parameters = count_gate_parameters(model, sevis.find_sites(model))
    assert parameters == ParameterCounts(network=25_557_032 + 2_514_944, se=2_514_944, se_last_stage=1_572_864)


def test_a_saved_audit_is_the_same(ready, dataset, tmp_path):
    found = audit(ready, dataset)
    found.save(tmp_path / "a.json")
    loaded = Audit.load(tmp_path / "a.json")
    assert loaded == found
    assert (loaded.blocks, loaded.last_stage) == (tuple(site.name for site in sevis.find_sites(ready.model)), "SE_5")
    table = loaded.table()
    assert {len(column) for column in table.values()} == {(len(CHANGES) + len(STEPS)) * (len(loaded.blocks) + 2)}
    assert table["top1"][-1] == pytest.approx(loaded.real.top1, abs=1e-6)
    assert (table["before"][-1], table["after"][-1]) == ("frozen", "as it is")
    tested = [place for place, value in enumerate(table["p_value"]) if not np.isnan(value)]
    assert [table["blocks"][place] for place in tested] == list(loaded.blocks)
    assert {(table["before"][place], table["after"][place]) for place in tested} == {("as it is", "frozen")}


def test_the_command_prints_the_table_and_writes_the_file(ready, dataset, tmp_path, monkeypatch, capsys):
    shelf = tmp_path.parent / f"{tmp_path.name}-shelf"
    shelf.mkdir()
    weights = shelf / "small.safetensors"
    save_file(ready.model.state_dict(), weights)
    entry = {
        "architecture": {"name": "se_resnet18", "num_classes": 3, "width": 0.125, "reduction": 4},
        "classes": ready.classes,
        "wnids": WNIDS,
        "preprocessing": {"resize": SIDE, "crop": SIDE},
        "sha256": sha256(weights),
    }
    (shelf / "index.json").write_text(json.dumps({"small": entry}))
    monkeypatch.setenv("SEVIS_PRETRAINED", str(shelf))
    assert main(["audit", "--model", "small", "--data", str(tmp_path), "--batch-size", "8", "--seed", "2"]) == 0
    printed = capsys.readouterr().out
    stored = Audit.load(read_card("small").place("audit"))
    assert stored.outcomes == audit(ready, dataset, seed=2).outcomes
    rows = {line.split()[0]: line for line in printed.splitlines() if line.startswith("SE")}
    assert list(rows) == list(stored.outcomes)
    assert f"{100 * stored.steps['SE_5']['answer'].change:+.1f} (".replace("-", "−") in rows["SE_5"]
    assert f"{100 * stored.outcomes['SE_5']['open'].top1:.1f} % " in rows["SE_5"]
    assert "Their answer to the photo adds" in printed
    assert "75.0%" in printed
    assert main(["audit", "--model", "small", "--data", str(tmp_path), "--per-class", "2"]) == 0
    assert "6 photos of 3 classes (at most 2 of each)" in capsys.readouterr().out
    few = Audit.load(read_card("small").place("audit"))
    assert (few.metadata.per_class, few.metadata.images, few.metadata.images_left_out) == (2, 6, 2)
    assert few.outcomes == audit(ready, dataset.first(2)).outcomes


@pytest.mark.parametrize("name", [DEFAULT, "se_resnet50x0_5.tiny20"])
def test_the_shipped_audits_are_of_the_shipped_weights_and_all_their_photos(name):
    card = read_card(name)
    shipped = Audit.load(card.audit_path)
    shipped.check_weights(card.sha256)
    shipped.check_weights(sha256(card.path))
    assert shipped.real.top1 == pytest.approx(card.top1, abs=5e-4)  # the same photos, on another device
    assert (shipped.metadata.data, shipped.metadata.split, shipped.metadata.per_class) == ("tiny-imagenet-200", "val", None)
    assert shipped.real.images == 50 * len(card.classes)
    model = sevis.load(name, device="cpu").model
    assert shipped.blocks == tuple(site.name for site in sevis.find_sites(model))
    assert shipped.parameters.network == sum(parameter.numel() for parameter in model.parameters())
