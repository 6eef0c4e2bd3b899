"""The measured ablations as text: a table of all variants, and the paper's tables 10 to 16 beside what was measured here."""

from collections.abc import Iterable, Sequence

from sevis.ablation_grid import KEYS, Row, Table, tables
from sevis.ablations import Ablations, Estimate, Summary
from sevis.agreement import AGREES, DISAGREES, MISSING, NOISY, Pair, compare, count_verdicts
from sevis.dead_gates import DEAD
from sevis.intervals import LEVEL

INTERVALS = (
    "Intervals are at 95 %, by Student's t over the seeds: they say where the mean of ever more seeds would lie on the same validation "
    "images, not what other images would give. Differences from SE are paired by seed."
)
PRINTED = "The paper's errors are of ResNet-50 on ImageNet, one run each: only the order can be compared, not the numbers."


def describe(ablations: Ablations) -> str:
    """What was run: network, data, recipe, seeds, device and date, in two sentences. Raises SevisError where there is no run."""
    base, runs = ablations.base, [run for _, run in ablations.runs]
    data = runs[0].data
    seeds = sorted({run.recipe["seed"] for run in runs})
    counts = sorted({len(ablations.seeds(key)) for key in ablations.keys})
    each = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    side = f"{base.start_size} to {base.size}" if base.start_size else f"{base.size}"
    dates = sorted({run.date for run in runs})
    return (
        f"{base.model} at {base.width:g} of its width, on {data['train_images']:,} images of {len(data['classes'])} classes of "
        f"{data.get('name', 'a data set')} at {side} pixels, {_count(base.epochs, 'epoch')}; tested on {data['val_images']:,} others, "
        f"which chose nothing. {_count(len(runs), 'run')} of {len(ablations.keys)} of the {len(KEYS)} variants, {each} of each (seeds "
        f"{', '.join(map(str, seeds))}), on {', '.join(sorted({run.device for run in runs}))}, "
        f"{dates[0] if len(dates) == 1 else f'{dates[0]} to {dates[-1]}'}."
    )


def report(ablations: Ablations) -> str:
    """Everything, as Markdown. Raises SevisError where there is no run."""
    summaries = {key: summary for key in ablations.keys if (summary := ablations.summary(key)) is not None}
    head = ("variant", "seeds", "top-1 error, %", "minus SE, points", "std of s over images", "cost of frozen gates, points", "parameters")
    lines = ["# The paper's ablations, measured", "", describe(ablations), INTERVALS, ""]
    lines += [*_markdown([head, *(_summary_row(summary) for summary in summaries.values())]), ""]
    dead = [key for key, summary in summaries.items() if is_dead(summary)]
    if dead:
        lines += [
            f"Dead gates (s varies by less than {DEAD} over images): {', '.join(dead)}. What these win, they win for another reason.",
            "",
        ]
    pairs: list[Pair] = []
    for table in tables():
        pairs += compare(table, ablations)
        lines += [f"## Table {table.number} of the paper: {table.title}", "", *_markdown(_table_rows(table, ablations)), ""]
        lines += [*agreement(compare(table, ablations)), ""]
    lines += ["## The order, in all tables", "", PRINTED, tally(pairs)]
    return "\n".join(lines)


def is_dead(summary: Summary) -> bool:
    """Whether the gates of a variant hardly move, so that what it wins has another reason."""
    return summary.alive is not None and summary.alive.mean < DEAD


def agreement(pairs: Sequence[Pair]) -> list[str]:
    """As a list: which pairs of a table agree with the paper and which do not, and how many are too noisy to tell."""
    counts = count_verdicts(pairs)
    lines = [f"- {_pair(pair)} {pair.verdict} with the paper" for pair in pairs if pair.verdict in (AGREES, DISAGREES)]
    return lines + [f"- {verdict}: {counts[verdict]} of {_count(len(pairs), 'pair')}" for verdict in (NOISY, MISSING) if counts[verdict]]


def tally(pairs: Sequence[Pair]) -> str:
    """How many pairs there are of each verdict, each counted once, and how many would be told apart by chance."""
    different = {frozenset((pair.first.key, pair.second.key)): pair for pair in pairs}
    counts = count_verdicts(different.values())
    measured = len(different) - counts[MISSING]
    words = {AGREES: "agree with the paper", DISAGREES: "disagree", NOISY: NOISY, MISSING: MISSING}
    parts = ", ".join(f"{counts[verdict]} {text}" for verdict, text in words.items() if counts[verdict] or verdict != MISSING)
    return (
        f"Of {_count(len(different), 'different pair')} of variants, {parts}. Were there no differences at all, about "
        f"{(1 - LEVEL) * measured:.1f} of the {measured} measured would be told apart by chance, half of them in the paper's order."
    )


def in_words(estimate: Estimate | None, digits: int = 1, *, sign: bool = False) -> str:
    """A mean with its interval, such as 52.1 (50.3 to 53.9); a dash where there is none."""
    if estimate is None:
        return "–"
    plus = "+" if sign else ""
    ends = (
        ""
        if estimate.interval is None
        else " ({:{plus}.{digits}f} to {:{plus}.{digits}f})".format(*estimate.interval, plus=plus, digits=digits)
    )
    return f"{estimate.mean:{plus}.{digits}f}{ends}"


def _summary_row(summary: Summary) -> tuple[str, ...]:
    return (
        summary.key,
        str(summary.error.seeds),
        in_words(summary.error),
        in_words(summary.difference, sign=True),
        in_words(summary.alive, 3),
        in_words(summary.freezing),
        f"{summary.parameters:,}",
    )


def _table_rows(table: Table, ablations: Ablations) -> Iterable[tuple[str, ...]]:
    yield "variant", "paper: top-1 error, %", "here: top-1 error, %", "here: minus SE, points"
    for row in table.rows:
        summary = ablations.summary(row.key)
        printed = "–" if row.printed is None else f"{row.printed.top1:.2f}"
        error, difference = (None, None) if summary is None else (summary.error, summary.difference)
        yield _label(row), printed, in_words(error), in_words(difference, sign=True)


def _label(row: Row) -> str:
    return row.label if row.printed else f"{row.label} (not in the paper)"


def _pair(pair: Pair) -> str:
    return f"{pair.first.label} minus {pair.second.label} (paper {pair.printed:+.2f}, here {in_words(pair.measured, sign=True)})"


def _markdown(rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    columns = lines[0].count("|") - 1
    return [lines[0], "|" + " --- |" * columns, *lines[1:]]


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
