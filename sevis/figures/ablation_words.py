"""What the measured ablations say on a page, in sentences that follow from their numbers. No torch, no streamlit."""

from collections.abc import Iterable, Sequence

from sevis.ablation_grid import BASELINE, PLAIN, Table
from sevis.ablation_report import caveats, describe_level, is_dead, say
from sevis.ablations import Ablations, Summary
from sevis.agreement import AGREES, CLOSE, DISAGREES, DIVERGED, MISSING, NOISY, SINGLE, VERDICTS, Pair


def describe_order(pairs: Sequence[Pair]) -> str:
    """Whether the order of a table's rows is the paper's, as far as the seeds can tell: a verdict, and how it comes about."""
    found = {verdict: [pair for pair in pairs if pair.verdict == verdict] for verdict in VERDICTS}
    whole = len(found[AGREES]) == len(pairs)
    headlines = {
        DISAGREES: "**The order is not the paper's.**",
        AGREES: "**The order is the paper's.**" if whole else "**Where it can be told, the order is the paper's.**",
        NOISY: "**The noise is too large to tell the order.**",
        SINGLE: "**One seed each: the order cannot be told.**",
        DIVERGED: "**What diverged has no order.**",
        MISSING: "**Not measured yet.**",
        CLOSE: "**The paper's rows are too close to have an order.**",
    }
    headline = next(words for verdict, words in headlines.items() if found[verdict])
    if headline == headlines[MISSING] or (len(pairs) == 1 and found[DIVERGED]):
        return headline
    if len(pairs) == 1:
        return f"{headline} {_compared(pairs[0])}."
    opposite = "; ".join(map(_compared, found[DISAGREES]))
    words = {
        AGREES: "in the paper's order",
        DISAGREES: f"in the opposite one ({opposite})",
        SINGLE: "with one seed each",
        MISSING: "not measured yet",
    }
    parts = [f"{len(found[verdict])} {words.get(verdict, verdict)}" for verdict in VERDICTS if found[verdict]]
    return f"{headline} Of {len(pairs)} pairs of rows: {', '.join(parts)}. {describe_level(pairs)}".strip()


def describe_deaths(table: Table, ablations: Ablations) -> str:
    """Which variants of a table have dead gates, and whether one of them has fewer errors than SE; empty where none has."""
    rows = [(row, ablations.summary(row.key)) for row in table.rows]
    dead = {row.key: _death(row.label, summary) for row, summary in rows if summary and is_dead(summary)}
    return " ".join([*dead.values(), caveats(dead)]).strip()


def brief_source(ablations: Ablations, keys: Iterable[str]) -> str:
    """Device, seeds and date of the runs of these variants, for the sentence below a figure; empty where there are none."""
    runs = [run for key in keys for run in ablations.seeds(key).values()]
    if not runs:
        return ""
    devices, dates = sorted({run.device for run in runs}), sorted({run.date for run in runs})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"on {' and '.join(devices)}, {say_seeds(sorted({run.recipe['seed'] for run in runs}))}, {when}"


def say_seeds(seeds: Sequence[int]) -> str:
    """Seeds in order, for people: `seed 0`, `seeds 0 to 2`, `seeds 0, 5, 9`."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    whole = list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    return f"seeds {seeds[0]} to {seeds[-1]}" if whole else f"seeds {', '.join(map(str, seeds))}"


def name_variant(key: str) -> str:
    """What a variant is called outside the paper's tables."""
    return {BASELINE: "SE (r = 16, mean, sigmoid)", PLAIN: "plain"}.get(key, key)


def _compared(pair: Pair) -> str:
    """The difference of two rows, here and in the paper."""
    here = f"{say(pair.measured, sign=True)} points of error"
    return f"{pair.first.label} minus {pair.second.label} is {here}, in the paper {say(pair.printed, 2, sign=True)}"


def _death(label: str, summary: Summary) -> str:
    freezing = f", and frozen it loses {say(summary.freezing)} points" if summary.freezing else ""
    still = f"s varies by only {say(summary.alive, 3)} over images{freezing}"
    if summary.difference and summary.difference.sign < 0:
        return f"**{label} wins with dead gates**: {still}. It wins for another reason than that its gates answer to the image."
    return f"**The gates of {label} are dead**: {still}. Whatever it gains has another reason."
