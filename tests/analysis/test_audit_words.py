"""What an audit says follows from its numbers, and claims no more than its tests found: held by simulated audits whose truth is known."""

import re
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from scipy import stats

from sevis.analysis.audit import ALL
from sevis.analysis.audit_words import change_words, describe_audit, ladder_table, last_stage_answer, last_stage_question, reading
from tests.helpers.audits import audit_of

BLOCKS = ("SE_2_1", "SE_4_1", "SE_5_1", "SE_5_2")


def make(frozen, *, whole=(300, 10), last=(8, 2), **known):
    """An audit of 1,000 photos with so many (lost, won) by block where it is frozen."""
    addresses = {**dict(zip(BLOCKS, frozen, strict=True)), "SE_5": last, ALL: whole}
    return audit_of(addresses, images=1000, correct=800, weights="abcdef0123456789", split="val", **known)


MIXED = make([(40, 10), (12, 10), (5, 5), (30, 9)])


def test_the_ladder_of_all_blocks_is_told():
    text = reading(MIXED)
    assert text.startswith("With all blocks open, the network recognises 41.0 % of the photos; with one level a block, 46.0 %;")
    assert "frozen, with one scale a channel, 51.0 %; as it is, 80.0 %; with the gates of another photo, 49.0 %." in text
    assert "The level of its gates adds +5.0 points (" in text
    assert "Their pattern over the channels adds +5.0 points (" in text
    assert "Their answer to the photo adds +29.0 points (" in text


def test_single_blocks_are_told_as_their_tests_found_them():
    text = reading(MIXED)
    raw = [stats.binomtest(min(pair), sum(pair)).pvalue for pair in ((40, 10), (30, 9), (12, 10), (5, 5))]
    assert raw[0] * 4 < 0.05 and raw[1] * 3 < 0.05 < raw[2] * 2
    assert "Freezing one of these blocks alone costs top-1: SE_2_1 −3.0 points (−4.4 to −1.6) and SE_5_2 −2.1 points (" in text
    assert "no loss and no gain was found in the other 2 of the 4 blocks;" in text
    assert "by Holm" in text
    gained = reading(make([(40, 10), (12, 10), (5, 5), (9, 40)]))
    assert "Freezing one of these blocks alone costs top-1: SE_2_1 −3.0" in gained
    assert "Freezing one of these blocks alone gains top-1: SE_5_2 +3.1 points" in gained
    assert "no loss was found in the other 2 of the 4 blocks" in gained
    assert "was found in" not in reading(make([(90, 5)] * 4))


def test_what_could_have_been_missed_is_named():
    """The power of each of the two blocks at the loss that is named, by simulation."""
    low, high = map(float, re.search(r"losses below (\S+) \(SE_5_1\) to (\S+) points \(SE_4_1\)", reading(MIXED)).groups())
    rng = np.random.default_rng(0)
    for points, moving in ((low, 10), (high, 22)):
        loss, share = points / 100, max(moving / 1000, points / 100)
        lost, won = rng.multinomial(1000, [(share + loss) / 2, (share - loss) / 2, 1 - share], size=4000)[:, :2].T
        found = (2 * stats.binom.cdf(np.minimum(lost, won), lost + won, 0.5) <= 0.05 / 4) & (lost > won)
        assert 0.78 < found.mean() < 0.95


@pytest.mark.parametrize("text", [reading(MIXED), reading(make([(12, 10), (5, 5), (0, 0), (9, 8)])), last_stage_answer(MIXED)])
def test_no_words_take_nothing_found_for_nothing_lost(text):
    assert not re.search(r"measurabl|no cost|nothing|free", text)


def simulated(losses, rng, *, images=10_000, moving=0.02):
    """An audit in which a share `losses` is truly lost where a block is frozen: one for each block."""
    shares = [((max(moving, loss) + loss) / 2, (max(moving, loss) - loss) / 2) for loss in losses]
    counts = [rng.multinomial(images, [lost, won, 1 - lost - won])[:2] for lost, won in shares]
    frozen = {f"SE_2_{number + 1}": tuple(map(int, pair)) for number, pair in enumerate(counts)}
    return audit_of({**frozen, "SE_2": (300, 200), ALL: (900, 200)}, images=images, correct=3000)


def told(audit):
    """The blocks that the words say cost or gain top-1."""
    return set(re.findall(r"(SE_\d_\d+) [+−]", reading(audit)))


def test_where_nothing_is_lost_a_block_is_named_in_at_most_one_audit_of_twenty():
    rng = np.random.default_rng(1)
    wrong = [bool(told(simulated([0] * 16, rng))) for _ in range(400)]
    assert np.mean(wrong) < 0.07


def test_a_loss_of_one_point_is_told_and_small_ones_are_not_taken_for_none():
    """Fifteen blocks truly lose 0.2 points, which 10,000 photos seldom show; one loses a whole point."""
    rng = np.random.default_rng(2)
    found = []
    for _ in range(100):
        audit = simulated([0.002] * 15 + [0.01], rng)
        text, named = reading(audit), told(audit)
        assert "no loss" in text and "could not have been found reliably" in text
        low = float(re.search(r"losses below (\d+\.\d+)", text).group(1))
        assert 0.2 < low < 1  # it admits that such a loss may be there
        found.append((len(named - {"SE_2_16"}) / 15, "SE_2_16" in named))
    small, large = np.mean(found, axis=0)
    assert small < 0.15
    assert large > 0.95


def test_few_photos_can_show_nothing():
    few = audit_of(dict.fromkeys((*BLOCKS, "SE_5", ALL), (1, 0)), images=6, correct=5)
    assert "was found in any of the 4 blocks; with so few photos, no loss could have been found reliably" in reading(few)


def test_a_step_that_no_test_finds_is_called_so():
    text = reading(make([(5, 5)] * 4, whole=(6, 5)))
    assert re.search(
        r"answer to the photo adds \+0\.1 points \(−0\.6 to \+0\.8\) \(no change was found; one below \d\.\d points could", text
    )
    assert text.count("no change") == 1


@pytest.mark.parametrize(("outputs", "guesses"), [(1, True), (2, False), (1000, False)])
def test_a_network_that_guesses_has_nothing_to_lose(outputs, guesses):
    audit = replace(MIXED, metadata=msgspec.structs.replace(MIXED.metadata, outputs=outputs))
    assert ("no more than guessing" in reading(audit)) == guesses
    assert ("costs top-1" in reading(audit)) != guesses


def test_the_answer_about_the_last_stage():
    text = last_stage_answer(MIXED)
    assert last_stage_question(MIXED) == "What are the SE blocks of the last stage (SE_5) worth?"
    assert "its top-5 error rises by less than 0.1 %" in text
    assert "Here it is top-1, and the network is not trained again." in text
    assert "by −10.6 points (" in text
    assert "by −5.6 points (" in text
    assert stats.binomtest(2, 10).pvalue > 0.05
    assert re.search(r"by −0\.6 points \(\S+ to \S+\) when they are frozen \(no change was found; one below \d\.\d points", text)
    assert "no change" not in last_stage_answer(make([(5, 5)] * 4, last=(30, 2)))
    assert "from 10.0 % to 3.0 %" in text


def test_for_a_network_that_guesses_there_is_no_answer_but_the_parameters():
    text = last_stage_answer(replace(MIXED, metadata=msgspec.structs.replace(MIXED.metadata, outputs=1)))
    assert "only guesses" in text
    assert "points" not in text
    assert "from 10.0 % to 3.0 %" in text


def test_the_table_has_a_line_for_each_rung_with_its_step():
    table = ladder_table(MIXED)
    lines = list(zip(*table.values(), strict=True))
    assert [line[0] for line in lines] == ["all blocks"] * 5 + ["all of SE_5"] * 5
    assert [line[1].split(":")[0] for line in lines[:5]] == ["open", "level", "frozen", "as it is", "shuffled"]
    assert lines[3][2].startswith("80.0 % (77.")
    assert [line[3].split(":")[0] for line in lines[:5]] == ["", "level", "pattern", "answer", ""]
    assert lines[3][3] == f"answer: {change_words(MIXED.steps[ALL]['answer'])}"


def test_hundredths_of_a_point_are_told_from_ten_thousand_photos_on():
    counts = dict.fromkeys((*BLOCKS, "SE_5", ALL), (150, 82))
    for images, words in ((10_000, "−0.68 (−0.98 to −0.38)"), (9_999, "−0.7 (−1.0 to −0.4)")):
        assert change_words(audit_of(counts, images=images, correct=3000).outcomes[ALL]["frozen"]) == words


def test_the_source_is_named():
    text = describe_audit(MIXED)
    for part in ("small (weights abcdef01)", "80.0%", "1,000 photos of 5 classes", "photos val", "seed 0", "2026-11-23"):
        assert part in text
