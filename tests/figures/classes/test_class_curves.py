"""What Figures 6 and 7 have in common."""

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.figures.classes.class_curves import PAPER_BLOCKS, drawable_channels, paper_blocks
from sevis.figures.classes.figure6 import MAX_CURVES

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
