"""What a file calls the outputs of its network: taken where it is whole and clear, and told where it is not."""

from typing import Any

import pytest

from sevis.weights.file_classes import FileClasses, find_classes

NAMES = ("ant", "bee", "cat")
NUMBERS = {"cat": 2, "ant": 0, "bee": 1}  # in no order

GIVEN: dict[str, dict[str, Any]] = {
    "torchvision's ImageFolder": {"class_to_idx": NUMBERS},
    "Hugging Face": {"config": {"id2label": {"0": "ant", "2": "cat", "1": "bee"}, "label2id": NUMBERS}},
    "numbers as numbers": {"names": {2: "cat", 0: "ant", 1: "bee"}},
    "a list": {"classes": list(NAMES)},
    "a tuple in capitals": {"meta": {"CLASSES": NAMES, "epoch": 3}},
    "mmengine": {"meta": {"dataset_meta": {"classes": NAMES}}},
    "timm": {"pretrained_cfg": {"label_names": list(NAMES)}},
    "Lightning": {"hyper_parameters": {"lr": 0.1, "class_names": list(NAMES)}},
    "a data module": {"datamodule_hyper_parameters": {"idx_to_class": dict(enumerate(NAMES))}},
    "safetensors": {"id2label": '{"0": "ant", "1": "bee", "2": "cat"}', "format": "pt"},
    "safetensors with a list": {"classes": '["ant", "bee", "cat"]'},
    "safetensors with a configuration": {"config": '{"model": {"label_names": ["ant", "bee", "cat"]}}'},
    "two ways that agree": {"class_to_idx": NUMBERS, "classes": NAMES, "config": {"id2label": {0: "ant", 1: "bee", 2: "cat"}}},
    "beside others of another number": {"label_names": ["a", "b"], "class_to_idx": NUMBERS},
    "names that are numbers": {"class_to_idx": {"2": 2, "0": 0, "1": 1}},
}


@pytest.mark.parametrize("what", GIVEN)
def test_names_are_found(what: str) -> None:
    expected = ("0", "1", "2") if what == "names that are numbers" else NAMES
    assert find_classes(GIVEN[what], 3) == FileClasses(expected)


def test_folders_with_numbers_for_names_keep_their_own_order() -> None:
    assert find_classes({"class_to_idx": {"10": 1, "2": 2, "1": 0}}, 3).names == ("1", "10", "2")  # as sorted() gives it


def test_ids_go_before_words() -> None:
    told = {"class_names": ["tench", "goldfish"], "class_to_idx": {"n01440764": 0, "n01443537": 1}}
    assert find_classes(told, 2).names == ("n01440764", "n01443537")


def test_what_sevis_wrote_goes_before_all_else() -> None:
    assert find_classes({"data": {"classes": [3, 7]}, "names": ["a", "b"]}, 2).names == ("3", "7")


DOUBTS: dict[str, tuple[dict[str, Any], str]] = {
    "too few": ({"classes": ["a", "b"]}, "its classes has 2 names, 2 different, and the network has 3 outputs"),
    "alike": ({"meta": {"classes": ["a", "b", "b"]}}, "its meta.classes has 3 names, 2 different, and the network has 3 outputs"),
    "one lacks": ({"class_to_idx": {"a": 0, "b": 1, "c": 3}}, "its class_to_idx has no name, or two, for some output"),
    "from one": ({"class_to_idx": {"a": 1, "b": 2, "c": 3}}, "its class_to_idx has no name, or two, for some output"),
    "one twice": ({"class_to_idx": {"a": 0, "b": 1, "c": 1}}, "its class_to_idx has no name, or two, for some output"),
    "numbers that are none": ({"id2label": {"one": "a", "two": "b", "three": "c"}}, "its id2label has no name, or two, for some output"),
    "two orders": ({"classes": NAMES, "class_to_idx": {"bee": 0, "ant": 1, "cat": 2}}, "it says two orders of its outputs"),
}


@pytest.mark.parametrize("what", DOUBTS)
def test_what_is_not_clear_is_not_taken_and_told(what: str) -> None:
    about, doubt = DOUBTS[what]
    found = find_classes(about, 3)
    assert found.names is None
    assert doubt in found.doubt


def in_itself() -> dict[str, Any]:
    about: dict[str, Any] = {"epoch": 3}
    about["config"] = about
    return about


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"epoch": 3, "classes": 3, "num_classes": 3, "names": "ant", "labels": [0, 1, 2], "class_to_idx": {}},
        {"classes": [0, 1, 2], "label_names": [None, {}, 3.0], "names": [["ant"], ["bee"], ["cat"]]},
        {"id2label": {0: 1, 1: 2, 2: 3}, "names": {(): "a", None: "b", 3.5: 4}},
        {"classes": "[" * 100_000, "config": "{" * 100_000},
        {3: NAMES, None: {"classes": NAMES}},
        in_itself(),
    ],
)
def test_where_nothing_is_said_nothing_is_found(about: dict[Any, Any]) -> None:
    assert find_classes(about, 3) == FileClasses()
