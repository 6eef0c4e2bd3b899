"""The groups of classes against what is known of ImageNet, and WordNet where it is installed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from timm.data import ImageNetInfo

from sevis.analysis import class_groups
from sevis.analysis.class_groups import Group, groups_of
from sevis.data.datasets import open_dataset
from sevis.errors import SevisError
from sevis.weights.card import read_card
from tests.helpers.paths import ROOT
from tests.helpers.processes import loaded_by

WORDNET = Path("/usr/share/wordnet/data.noun")  # where Debian's wordnet-base puts it


@pytest.fixture(scope="module")
def imagenet():
    """The groups of ImageNet-1k, by name."""
    return {group.name: group.rows for group in groups_of(ImageNetInfo().label_names())}


def names(rows):
    info = ImageNetInfo()
    return [info.index_to_description(row).split(",")[0] for row in rows]


def test_imagenets_dogs_are_its_classes_151_to_268(imagenet):
    assert imagenet["dog"] == tuple(range(151, 269))


@pytest.mark.parametrize(
    ("group", "inside", "outside"),
    [
        ("bird", ["cock", "king penguin", "robin"], ["monarch", "airliner"]),
        ("vehicle", ["bullet train", "sports car", "school bus", "airliner"], ["gas pump", "street sign"]),
        ("food", ["pizza", "espresso", "Granny Smith"], ["plate rack", "teapot"]),
        ("musical instrument", ["accordion", "grand piano"], ["microphone"]),
        ("fish", ["goldfish", "great white shark"], ["killer whale", "jellyfish"]),
        ("mammal", ["killer whale", "African elephant"], ["king penguin"]),
    ],
)
def test_the_groups_hold_what_their_names_say(imagenet, group, inside, outside):
    held = names(imagenet[group])
    assert set(inside) <= set(held)
    assert not set(outside) & set(held)


def test_every_group_of_the_file_is_one_of_imagenet(imagenet):
    stored = json.loads((ROOT / "sevis" / "analysis" / "class_groups.json").read_text())
    assert imagenet.keys() <= stored.keys()
    assert len(imagenet) > 100
    assert {wnid for wnids in stored.values() for wnid in wnids.split()} <= set(ImageNetInfo().label_names())
    assert all(2 <= len(rows) < 1000 for rows in imagenet.values())
    assert len(set(imagenet.values())) == len(imagenet)


def test_the_classes_of_the_network_of_twenty_have_groups():
    card = read_card("se_resnet50x0_5.tiny20")
    found = {group.name: [card.classes[row] for row in group.rows] for group in groups_of(card.wnids)}
    assert found["vehicle"] == ["bullet train", "sports car", "school bus"]
    assert found["feline"] == ["lion", "tabby"]
    assert "dog" not in found, "it holds one class, which is the group"
    assert list(found) == sorted(found)


def test_every_class_of_tiny_imagenet_is_in_a_group(tiny_imagenet_zip):
    data = open_dataset(tiny_imagenet_zip)
    groups = groups_of(data.wnids)
    assert {row for group in groups for row in group.rows} == set(range(200))
    found = {group.name: {data.classes[row] for row in group.rows} for group in groups}
    assert found["feline"] == {"lion", "tabby", "cougar", "Persian cat", "Egyptian cat"}
    assert found["bridge"] == {"suspension bridge", "viaduct", "steel arch bridge"}


def test_of_groups_with_the_same_classes_the_narrowest_is_kept():
    dogs = ["n02085620", "n02099601"]  # Chihuahua and golden retriever
    assert [group.name for group in groups_of([*dogs, "n07873807"])] == ["dog"]
    assert groups_of(dogs) == (), "a group of all classes is the curve of all"


@pytest.mark.parametrize("wnids", [[], ["cats", "dogs", "pizza"]])
def test_classes_without_wordnet_ids_have_no_groups(wnids):
    assert groups_of(wnids) == ()


def test_a_group_says_how_many_classes_it_holds():
    assert str(Group("bird", (3, 5, 9))) == "bird (group of 3)"


@pytest.mark.parametrize("content", ["{", "[]", '{"dog": 3}', None])
def test_a_damaged_file_is_said(tmp_path, monkeypatch, content):
    if content is not None:
        (tmp_path / "class_groups.json").write_text(content)
    monkeypatch.setattr(class_groups, "__file__", str(tmp_path / "class_groups.py"))
    class_groups._members.cache_clear()
    with pytest.raises(SevisError, match=re.escape(f"{tmp_path / 'class_groups.json'} cannot be read")):
        groups_of(["n02085620"])
    monkeypatch.undo()
    class_groups._members.cache_clear()


def test_the_groups_need_neither_torch_nor_timm():
    assert not loaded_by("from sevis.analysis.class_groups import groups_of; groups_of(['n02085620'])") & {"torch", "timm"}


@pytest.mark.skipif(not WORDNET.is_file(), reason="WordNet is not installed: apt-get install wordnet-base")
def test_the_file_is_what_its_script_makes_of_wordnet(tmp_path):
    (tmp_path / "tools").mkdir()
    (tmp_path / "sevis" / "analysis").mkdir(parents=True)
    script = tmp_path / "tools" / "class_groups.py"
    script.write_text((ROOT / "tools" / "class_groups.py").read_text())
    subprocess.run([sys.executable, script, WORDNET], check=True, capture_output=True)
    made, shipped = (root / "sevis" / "analysis" / "class_groups.json" for root in (tmp_path, ROOT))
    assert made.read_bytes() == shipped.read_bytes()
