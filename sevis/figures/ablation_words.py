"""What the measured ablations say on a page, in sentences that follow from their numbers. No torch, no streamlit."""

from collections.abc import Sequence

from sevis.ablation_grid import BASELINE, PLAIN, Table
from sevis.ablation_report import in_words, is_dead
from sevis.ablations import Ablations, Estimate, Summary
from sevis.agreement import AGREES, DISAGREES, MISSING, NOISY, VERDICTS, Pair


def describe_order(pairs: Sequence[Pair]) -> str:
    """Whether the order of a table's rows is the paper's, as far as the seeds can tell: a verdict, and how it comes about."""
    found = {verdict: [pair for pair in pairs if pair.verdict == verdict] for verdict in VERDICTS}
    if len(found[MISSING]) == len(pairs):
        return "**Not measured yet.**"
    verdict = "**The noise is too large to tell the order.**"
    if found[DISAGREES]:
        verdict = "**The order is not the paper's.**"
    elif found[AGREES]:
        verdict = (
            "**Where it can be told, the order is the paper's.**" if len(found[AGREES]) < len(pairs) else "**The order is the paper's.**"
        )
    if len(pairs) == 1:
        return f"{verdict} {_compared(pairs[0])}."
    opposite = "; ".join(map(_compared, found[DISAGREES]))
    words = {
        AGREES: "in the paper's order",
        DISAGREES: f"in the opposite one ({opposite})",
        NOISY: "too noisy to tell",
        MISSING: "not measured yet",
    }
    parts = [f"{len(found[verdict])} {words[verdict]}" for verdict in VERDICTS if found[verdict]]
    return f"{verdict} Of {len(pairs)} pairs of rows: {', '.join(parts)}."


def describe_deaths(table: Table, ablations: Ablations) -> str:
    """Which variants of a table have dead gates and fewer errors than SE as it is by default; empty where none has."""
    base = ablations.summary(BASELINE)
    rows = [(row.label, ablations.summary(row.key)) for row in table.rows]
    dead = [(label, one) for label, one in rows if one and base and is_dead(one) and one.error.mean < base.error.mean]
    return " ".join(_death(label, summary) for label, summary in dead)


def brief_source(ablations: Ablations) -> str:
    """Device, seeds and date, for the sentence below every figure."""
    runs = [run for _, run in ablations.runs]
    devices, dates = sorted({run.device for run in runs}), sorted({run.date for run in runs})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"on {' and '.join(devices)}, {say_seeds(sorted({run.recipe['seed'] for run in runs}))}, {when}"


def say_seeds(seeds: Sequence[int]) -> str:
    """Seeds in order, for people: `seed 0`, `seeds 0 to 2`, `seeds 0, 5, 9`."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    whole = list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    return f"seeds {seeds[0]} to {seeds[-1]}" if whole else f"seeds {', '.join(map(str, seeds))}"


def say(estimate: Estimate | None, digits: int = 1, *, sign: bool = False) -> str:
    """A mean with its interval, with a real minus; a dash where there is none."""
    return in_words(estimate, digits, sign=sign).replace("-", "−")


def say_points(points: float, digits: int = 1) -> str:
    """A difference with its sign, a real minus."""
    return f"{points:+.{digits}f}".replace("-", "−")


def name_variant(key: str) -> str:
    """What a variant is called outside the paper's tables."""
    return {BASELINE: "SE (r = 16, mean, sigmoid)", PLAIN: "plain"}.get(key, key)


def _compared(pair: Pair) -> str:
    """The difference of two rows, here and in the paper."""
    here = f"{say(pair.measured, sign=True)} points of error"
    return f"{pair.first.label} minus {pair.second.label} is {here}, in the paper {say_points(pair.printed, 2)}"


def _death(label: str, summary: Summary) -> str:
    freezing = f", and frozen it loses {say(summary.freezing)} points" if summary.freezing else ""
    return (
        f"**{label} wins with dead gates**: s varies by only {say(summary.alive, 3)} over images{freezing}. It wins for another reason "
        "than that its gates answer to the image."
    )
