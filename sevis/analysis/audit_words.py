"""What an audit says: its ladder as a table, and sentences that follow from its numbers.

A loss or a gain of a single block is told only where the exact paired test finds it, corrected for all blocks. Where it finds none, the
words name the smallest loss that it could have found: an interval that holds 0 is no proof of no loss.
"""

from collections.abc import Sequence

from sevis.analysis.audit import ALL, OWN, STEPS, Audit, BlockTest, Outcome
from sevis.analysis.intervals import Interval
from sevis.analysis.paired_tests import ALPHA, holm, paired_test, smallest_loss
from sevis.analysis.statements import listed

SCALES = {  # of each rung of the ladder: what s is
    "open": "open: 1",
    "level": "level: one number a block",
    "frozen": "frozen: one a channel",
    OWN: "as it is: one a channel and photo",
    "shuffled": "shuffled: those of another photo",
}
PAPER = (
    "The paper leaves these blocks out: its top-5 error rises by less than 0.1 %, and SE then adds about 4 % to the parameters, not "
    "about 10 %."
)
FINE = 10_000  # so many images tell hundredths of a point


def address_words(audit: Audit, address: str) -> str:
    """Return what an address stands for."""
    return {ALL: "all blocks", audit.last_stage: f"all of {audit.last_stage}"}.get(address, address)


def ladder_table(audit: Audit) -> dict[str, list[str]]:
    """Return the ladder of all blocks and that of the last stage, by column name: top-1 with each kind of scales, and each step."""
    table: dict[str, list[str]] = {"blocks": [], "scale s": [], "top-1": [], "step, in points": []}
    for address in (ALL, audit.last_stage):
        added = {after: f"{step}: {change_words(audit.steps[address][step])}" for step, (_, after) in STEPS.items()}
        for scales, outcome in audit.ladder(address).items():
            low, high = outcome.top1_interval
            top1 = f"{100 * outcome.top1:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
            for column, cell in zip(
                table.values(), (address_words(audit, address), SCALES[scales], top1, added.get(scales, "")), strict=True
            ):
                column.append(cell)
    return table


def reading(audit: Audit) -> str:
    """Return what the audit says of all blocks together, and in a second paragraph of single ones."""
    if audit.guesses:
        return f"The network recognises {audit.real.top1:.1%} of the photos, which is no more than guessing. So this audit says nothing."
    return f"{_ladder(audit)}\n\n{single_blocks(audit)}"


def _ladder(audit: Audit) -> str:
    opened, level, frozen, own, shuffled = (f"{100 * outcome.top1:.1f} %" for outcome in audit.ladder(ALL).values())
    steps = audit.steps[ALL]
    corrected = holm([paired_test(step.lost, step.won) for step in steps.values()])
    level_adds, pattern_adds, answer_adds = (
        _points(step) + _unless_found(step, p_value, tests=len(steps)) for step, p_value in zip(steps.values(), corrected, strict=True)
    )
    return (
        f"With all blocks open, the network recognises {opened} of the photos; with one level a block, {level}; frozen, with one scale a "
        f"channel, {frozen}; as it is, {own}; with the gates of another photo, {shuffled}. The level of its gates adds {level_adds}. Their "
        f"pattern over the channels adds {pattern_adds}. Their answer to the photo adds {answer_adds}."
    )


def single_blocks(audit: Audit) -> str:
    """Return which single blocks cost or gain top-1 when they are frozen, and what could have been found in the others."""
    tests, count = audit.tests, len(audit.tests)
    costly, winning = [test for test in tests if test.costs], [test for test in tests if test.gains]
    others = [test for test in tests if not (test.costs or test.gains)]
    told = [_found(costly, "costs"), _found(winning, "gains")]
    if others:
        blocks = f"the other {len(others)} of the {count} blocks" if len(others) < count else f"any of the {count} blocks"
        no_gain = " and no gain" if not winning else ""
        told.append(f"Frozen one at a time, no loss{no_gain} was found in {blocks}; {_unseen(others)}.")
    corrected = f" The tests are exact and paired, and corrected for {count} blocks by Holm."
    return " ".join(filter(None, told)) + corrected


def _found(tests: Sequence[BlockTest], verb: str) -> str:
    changes = [f"{test.block} {_points(test.outcome)}" for test in tests]
    return f"Freezing one of these blocks alone {verb} top-1: {listed(changes)}." if tests else ""


def _unseen(tests: Sequence[BlockTest]) -> str:
    """Return which losses the tests of some blocks could have missed."""
    least, most = (end(tests, key=lambda test: test.smallest_loss) for end in (min, max))
    if least.smallest_loss >= 1:
        return "with so few photos, no loss could have been found reliably"
    digits, images = _digits(least.outcome), least.outcome.images
    low, high = (f"{100 * test.smallest_loss:.{digits}f}" for test in (least, most))
    size = f"{low} points" if low == high else f"{low} ({least.block}) to {high} points ({most.block})"
    return f"losses below {size} could not have been found reliably (four times in five) with these {images:,} photos"


def last_stage_question(audit: Audit) -> str:
    """Return what the paper asks of the last stage's SE blocks."""
    return f"What are the SE blocks of the last stage ({audit.last_stage}) worth?"


def last_stage_answer(audit: Audit) -> str:
    """Return the paper's answer to `last_stage_question`, and this network's: what these blocks are worth, and what they cost."""
    outcomes, (with_last, without_last) = audit.outcomes[audit.last_stage], audit.shares
    frozen = outcomes["frozen"]
    worth = (
        f"Here it is top-1, and the network is not trained again. It changes by {_points(outcomes['open'])} when these blocks are open "
        f"(s = 1), by {_points(outcomes['level'])} when each has one level, and by {_points(frozen)} when they are frozen"
        f"{_unless_found(frozen, paired_test(frozen.lost, frozen.won))}."
    )
    if audit.guesses:
        worth = "This network only guesses, so it cannot say what they are worth here."
    return (
        f"{PAPER} {worth} A block that is open, level or frozen needs no parameters, because a constant scale can be "
        "multiplied into the weights beside it. Without the last stage's blocks, the parameters that SE "
        f"adds fall from {_percent(with_last)} to {_percent(without_last)} of the network without SE."
    )


def _unless_found(outcome: Outcome, p_value: float, *, tests: int = 1) -> str:
    """Return, where a test finds no change, the smallest that it could have found."""
    if p_value <= ALPHA:
        return ""
    smallest = smallest_loss(outcome.lost + outcome.won, outcome.images, tests=tests)
    return f" (no change was found; one below {100 * smallest:.{_digits(outcome)}f} points could not have been found reliably)"


def describe_audit(audit: Audit) -> str:
    """Return where the numbers come from, in one sentence."""
    known = audit.metadata
    low, high = audit.real.top1_interval
    left_out = f", {known.images_left_out:,} of other classes left out" if known.images_left_out else ""
    some = f" (at most {known.per_class} of each)" if known.per_class else ""
    data = " ".join(part for part in (known.data, known.split) if part) or "an unnamed data set"
    return (
        f"{known.model or 'A network'} (weights {str(known.weights)[:8]}) recognises {audit.real.top1:.1%} "
        f"({low:.1%} to {high:.1%}) of {audit.real.images:,} photos of {known.classes} classes{some}: {data}{left_out}, seed "
        f"{known.seed}, audited on {known.date}."
    )


def change_words(outcome: Outcome) -> str:
    """Return a change of top-1 in points with its interval, such as −0.7 (−1.1 to −0.2)."""
    digits, interval = _digits(outcome), outcome.change_interval
    return f"{_signed(outcome.change, digits)} ({_ends(interval, digits)})"


def _points(outcome: Outcome) -> str:
    digits = _digits(outcome)
    return f"{_signed(outcome.change, digits)} points ({_ends(outcome.change_interval, digits)})"


def _ends(interval: Interval, digits: int) -> str:
    return " to ".join(_signed(end, digits) for end in interval)


def _digits(outcome: Outcome) -> int:
    return 2 if outcome.images >= FINE else 1


def _signed(change: float, digits: int) -> str:
    return f"{100 * change:+.{digits}f}".replace("-", "−")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
