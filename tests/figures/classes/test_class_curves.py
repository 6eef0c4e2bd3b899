"""What Figures 6 and 7 have in common."""

import json

import numpy as np
from timm.data import ImageNetInfo

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.figures.classes.class_curves import PAPER_BLOCKS, drawable_channels, paper_blocks, paper_classes, paper_spreads
from sevis.figures.classes.figure6 import MAX_CURVES
from sevis.networks.libraries.class_names import name_wnids
from sevis.settings import pretrained_folder
from sevis.weights.card import DEFAULT

RESNET50 = tuple(f"SE_{stage}_{block}" for stage, blocks in zip((2, 3, 4, 5), (3, 4, 6, 3), strict=True) for block in range(1, blocks + 1))


def test_the_papers_blocks_follow_from_the_rule():
    assert paper_blocks(RESNET50) == PAPER_BLOCKS
    assert paper_blocks([f"SE_{stage}_{block}" for stage in (2, 3, 4, 5) for block in (1, 2)]) == (
        "SE_2_2",
        "SE_3_2",
        "SE_4_2",
        "SE_5_1",
        "SE_5_2",
    )
    assert paper_blocks(["SE_4_9", "SE_4_10", "SE_5_1"]) == ("SE_4_10", "SE_5_1")
    assert paper_blocks(["SE_2_1"]) == ("SE_2_1",)


def test_the_points_of_a_page_stay_within_the_limit():
    statistics = ClassStatistics(dict.fromkeys(RESNET50, 2048), ("goldfish",))
    assert drawable_channels(statistics, PAPER_BLOCKS, 2) is None
    for curves_drawn in (5, MAX_CURVES + 1):
        count = drawable_channels(statistics, RESNET50, curves_drawn)
        assert count is not None
        assert 50 < count < 2048
        assert curves_drawn * len(RESNET50) * count <= 40_000 < 2 * curves_drawn * len(RESNET50) * count


def empty(*names: str, photos: int = 2) -> ClassStatistics:
    statistics = ClassStatistics({"SE_2_1": 1}, names)
    scale = np.zeros((photos * len(names), 1), dtype=np.float32)
    statistics.update(np.repeat(np.arange(len(names)), photos), {"SE_2_1": {"scale": scale, "squeeze": scale}})
    return statistics


def test_the_classes_are_the_papers_where_there_are_such_and_else_the_nearest():
    imagenet = empty(*name_wnids(ImageNetInfo().label_names()))
    assert paper_classes(imagenet) == ["goldfish", "pug", "airliner", "cliff"]
    assert paper_spreads(imagenet) == ["goldfish", "airliner"]
    tiny = empty(*json.loads((pretrained_folder() / "index.json").read_text())[DEFAULT]["classes"])
    assert paper_classes(tiny) == ["goldfish", "Chihuahua", "bullet train", "cliff"]
    assert paper_spreads(tiny) == ["goldfish", "bullet train"]


def test_of_other_classes_the_first_are_taken_and_for_the_spread_those_with_two_photos():
    assert paper_classes(empty("a", "b", "c", "d", "e")) == ["a", "b", "c", "d"]
    assert paper_spreads(empty("a", "b", "c")) == ["a", "b"]
    assert paper_spreads(empty("a", "cliff")) == ["cliff", "a"]
    assert paper_spreads(empty("a")) == ["a"]
    statistics = ClassStatistics({"SE_2_1": 1}, ("goldfish", "b", "c"))
    scale = np.zeros((5, 1), dtype=np.float32)
    statistics.update(np.array([0, 1, 1, 2, 2]), {"SE_2_1": {"scale": scale, "squeeze": scale}})
    assert paper_spreads(statistics) == ["b", "c"]
