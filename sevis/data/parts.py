"""The parts of data, for training, validation and test: how people call their folders."""

import re
from collections.abc import Iterable, Mapping

SPLITS = ("train", "val", "test")
WORDS = {"train": "train", "training": "train"}
WORDS |= dict.fromkeys(("val", "valid", "validation", "validate", "dev", "eval", "evaluation"), "val")
WORDS |= {"test": "test", "testing": "test"}
BESIDE = {"set", "data", "dataset", "split", "part", "image", "images", "img", "imgs", "seg", "ilsvrc", "imagenet"}  # as in train_images
HOLDERS = {"images", "image", "imgs", "img", "jpegimages", "jpegs", "jpeg", "jpg", "png", "data"}


def part_of(name: str) -> str:
    """Return which of SPLITS a folder is by its name, or an asked-for part by its word; empty for any other."""
    words = [word for word in _words(name) if word not in BESIDE and not word.isdigit()]
    return WORDS.get(words[0], "") if len(words) == 1 else ""


def holds_images(name: str) -> bool:
    """Return whether a folder's name says that images lie in it, and nothing of what they show: images, JPEGImages, images_001."""
    words = [word for word in _words(name) if not word.isdigit()]
    return bool(words) and HOLDERS.issuperset(words)


def parts_among(folders: Iterable[str]) -> dict[str, str]:
    """Return those of the folders beside each other that are parts of the data: by their names, or by names such as x_train and x_test."""
    names = list(folders)
    parts = {name: part for name in names if (part := part_of(name))}
    pairs: dict[tuple[str, ...], dict[str, str]] = {}
    for name in names:
        words = tuple(_words(name))
        for end in (0, -1):
            if len(words) > 1 and words[end] in WORDS:
                rest = words[1:] if end == 0 else words[:-1]
                pairs.setdefault((str(end), *rest), {})[name] = WORDS[words[end]]
    for pair in pairs.values():
        parts |= pair if len(set(pair.values())) > 1 else {}
    return {name: parts[name] for name in names if name in parts}


def _words(name: str) -> list[str]:
    words = re.findall(r"[a-z]+|[0-9]+|[^\W\d_]+", name.lower())
    return [re.sub(r"^(train|training|val|valid|validation|test|testing)(set|data)$", r"\1", word) for word in words]


def named(parts: Mapping[str, str], split: str) -> str:
    """Return the folder of the part that is asked for; empty where there is none, or several that may be meant."""
    if split in parts:
        return split
    for fits in (lambda name: name.lower() == split.lower(), lambda name: parts[name] == (part_of(split) or None)):
        if found := [name for name in parts if fits(name)]:
            return found[0] if len(found) == 1 else ""
    return ""
