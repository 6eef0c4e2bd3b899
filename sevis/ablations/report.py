"""The measured ablations in words: the whole report for the terminal, and the sentences that it and the page Ablations are made of.

From top to bottom: the report, what was run, the order of the rows, gates that are dead and runs that diverged, and how a number is said.
"""

from collections.abc import Iterable, Mapping, Sequence

from sevis.ablations.agreement import (
    AGREES,
    CLOSE,
    DISAGREES,
    DIVERGED,
    MISSING,
    NOISY,
    RESOLUTION,
    SINGLE,
    VERDICTS,
    Pair,
    compare,
    count_verdicts,
)
from sevis.ablations.grid import BASELINE, KEYS, PLAIN, Table, tables
from sevis.ablations.results import Ablations, Estimate, Summary
from sevis.analysis.dead_gates import DEAD
from sevis.analysis.intervals import LEVEL

INTERVALS = (
    "The 95 % intervals come from Student's t over the seeds. They hold for these validation images: they say where the mean over "
    "many seeds would lie, not what other images would give. Differences from SE are paired by seed."
)
PRINTED = (
    "The paper's errors are those of ResNet-50 on ImageNet, one run each, so only the order can be compared, not the numbers. Rows "
    f"less than {RESOLUTION} points apart have no order, because another training schedule moved two of the paper's errors by 0.08 "
    "and 0.09 (section 6)."
)
VARIES = "“s varies by” is the standard deviation of s over images, averaged over channels and blocks"
# What must be known of the aliveness of the variants with these keys.
CAVEATS = (
    (
        {"tanh", "relu"},
        f"Gates that vary by less than {DEAD} count as dead. This limit was measured with sigmoid gates; for tanh and ReLU, whose s "
        "have other ranges, it is only a guide.",
    ),
    (
        {"none"},
        "Without the squeeze (none, NoSqueeze), s differs from place to place. The numbers are those of its means over places: how "
        "far they vary, and the cost of holding s at them, which also removes its map.",
    ),
)
SUMMARY_HEAD = (
    "variant",
    "seeds",
    "top-1 error, %",
    "minus SE, points",
    "std of s over images",
    "cost of frozen gates, points",
    "parameters",
)


def report(ablations: Ablations) -> str:
    """Return everything, as Markdown. Raises SevisError where there is no run."""
    summaries = {key: summary for key in ablations.keys if (summary := ablations.summary(key)) is not None}
    shown = [key for key in KEYS if key in summaries or ablations.reasons(key)]
    lines = ["# The paper's ablations, measured", "", describe(ablations), INTERVALS, ""]
    lines += [*_markdown([SUMMARY_HEAD, *(_summary_row(key, ablations) for key in shown)]), ""]
    for words in (*describe_divergences(ablations, {key: key for key in KEYS}), _list_dead(summaries), caveats(summaries)):
        lines += [words, ""] if words else []
    compared: list[Pair] = []
    for table in tables():
        pairs = compare(table, ablations)
        lines += [f"## Table {table.number} of the paper: {table.title}", "", *_markdown(_table_rows(table, ablations)), ""]
        lines += [*list_agreement(pairs), ""]
        compared += pairs
    lines += ["## The order, in all tables", "", PRINTED, tally(compared)]
    return "\n".join(lines)


def _summary_row(key: str, ablations: Ablations) -> tuple[str, ...]:
    summary = ablations.summary(key)
    if summary is None:
        return key, "0", say_error(key, ablations), *4 * [say(None)]
    return (
        key,
        str(summary.error.seeds),
        say_error(key, ablations),
        say(summary.difference, sign=True),
        say(summary.alive, 3),
        say(summary.freezing),
        f"{summary.parameters:,}",
    )


def _table_rows(table: Table, ablations: Ablations) -> Iterable[tuple[str, ...]]:
    yield "variant", "paper: top-1 error, %", "here: top-1 error, %", "here: minus SE, points"
    for row in table.rows:
        summary = ablations.summary(row.key)
        label = row.label if row.printed else f"{row.label} (not in the paper)"
        difference = say(summary.difference if summary else None, sign=True)
        yield label, say(row.printed.top1 if row.printed else None, 2), say_error(row.key, ablations), difference


def _markdown(rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    columns = lines[0].count("|") - 1
    return [lines[0], "|" + " --- |" * columns, *lines[1:]]


def _list_dead(summaries: Mapping[str, Summary]) -> str:
    dead = [key for key, summary in summaries.items() if is_dead(summary)]
    what = (
        f"Dead gates (s varies by less than {DEAD} over images): {', '.join(dead)}. If such a variant gains, it gains for another reason."
    )
    return what if dead else ""


def describe(ablations: Ablations) -> str:
    """Return what was run: network, data, recipe, seeds, device and date, in two sentences. Raises SevisError where there is no run."""
    base, runs = ablations.base, [run for _, run in ablations.runs]
    data = runs[0].data
    seeds = ", ".join(map(str, sorted({run.recipe.seed for run in runs})))
    counts = sorted({len(ablations.seeds(key)) for key in ablations.keys})
    side = f"{base.start_size} to {base.size}" if base.start_size else f"{base.size}"
    return (
        f"{base.model} at {base.width:g} of its width, on {data.train_images:,} images of {len(data.classes)} classes of "
        f"{data.name} at {side} pixels, {_count(base.epochs, 'epoch')}; tested on {data.val_images:,} other images, which played no "
        f"part in any choice. {_count(len(runs), 'run')} of {len(ablations.keys)} of the {len(KEYS)} variants, {_span(counts)} of "
        f"each (seeds {seeds}), on {', '.join(sorted({run.device for run in runs}))}, {_span(sorted({run.date for run in runs}))}."
        + (f" {_count(len(ablations.diverged), 'more run')} diverged." if ablations.diverged else "")
    )


def brief_source(ablations: Ablations, keys: Iterable[str]) -> str:
    """Return device, seeds and date of the runs of these variants, for the sentence below a figure; empty where there are none."""
    runs = [run for key in keys for run in ablations.seeds(key).values()]
    if not runs:
        return ""
    devices, seeds = sorted({run.device for run in runs}), sorted({run.recipe.seed for run in runs})
    return f"on {' and '.join(devices)}, {say_seeds(seeds)}, {_span(sorted({run.date for run in runs}))}"


def name_variant(key: str) -> str:
    """Return what a variant is called outside the paper's tables."""
    return {BASELINE: "SE (r = 16, mean, sigmoid)", PLAIN: "plain"}.get(key, key)


def describe_order(pairs: Sequence[Pair]) -> str:
    """Return whether the order of a table's rows is the paper's, as far as the seeds can tell: a verdict, and how it comes about."""
    found = {verdict: [pair for pair in pairs if pair.verdict == verdict] for verdict in VERDICTS}
    whole = len(found[AGREES]) == len(pairs)
    headlines = {
        DISAGREES: "**The order is not the paper's.**",
        AGREES: "**The order is the paper's.**" if whole else "**Where the order can be told, it is the paper's.**",
        NOISY: "**The noise is too large to tell the order.**",
        SINGLE: "**One seed each, so the order cannot be told.**",
        DIVERGED: "**A variant diverged, so there is no order.**",
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
        DISAGREES: f"in the opposite order ({opposite})",
        SINGLE: "with one seed each",
        MISSING: "not measured yet",
    }
    parts = [f"{len(found[verdict])} {words.get(verdict, verdict)}" for verdict in VERDICTS if found[verdict]]
    return f"{headline} Of {len(pairs)} pairs of rows: {', '.join(parts)}. {describe_level(pairs)}".strip()


def list_agreement(pairs: Sequence[Pair]) -> list[str]:
    """Return which pairs of a table agree with the paper and which do not, and how many cannot tell, as the lines of a list."""
    counts = count_verdicts(pairs)
    lines = [f"- {_pair(pair)} {pair.verdict} with the paper" for pair in pairs if pair.verdict in (AGREES, DISAGREES)]
    level = describe_level(pairs)
    lines += [f"- {verdict}: {counts[verdict]} of {_count(len(pairs), 'pair')}" for verdict in VERDICTS[2:] if counts[verdict]]
    return [*lines, "", level] if level else lines


def describe_level(pairs: Sequence[Pair]) -> str:
    """Return from which level on the order of two rows is told, in a sentence; empty where all intervals are of 95 %."""
    told = sum(pair.told for pair in pairs)
    if told < 2 or not any(pair.measured and pair.measured.interval for pair in pairs):
        return ""
    return (
        f"An order is told if the interval of the difference leaves out 0. The intervals are {100 * pairs[0].level:.1f} % for each "
        f"of the {told} pairs that the paper tells apart, and so {100 * LEVEL:.0f} % for all of them together (Bonferroni)."
    )


def tally(pairs: Sequence[Pair]) -> str:
    """Return how many pairs there are of each verdict, each counted once, and how many would be told apart by chance.

    A pair of several tables counts as in the one with the fewest pairs, where the least is asked of it.
    """
    different = {frozenset((pair.first.key, pair.second.key)): pair for pair in sorted(pairs, key=lambda pair: -pair.level)}
    counts = count_verdicts(different.values())
    words = {AGREES: "agree with the paper", DISAGREES: "disagree", SINGLE: "with one seed each"}
    parts = ", ".join(f"{counts[verdict]} {words.get(verdict, verdict)}" for verdict in VERDICTS if counts[verdict])
    chances = [1 - pair.level for pair in different.values() if pair.verdict in (AGREES, DISAGREES, NOISY)]
    chance = (
        f" If nothing differed, about {sum(chances):.2f} of the {len(chances)} pairs with an interval and an order in the paper "
        "would be told apart by chance, half of them in the paper's order."
    )
    return f"Of {_count(len(different), 'different pair')} of variants, {parts}.{chance if chances else ''}"


def _compared(pair: Pair) -> str:
    """Return the difference of two rows, here and in the paper."""
    here = f"{say(pair.measured, sign=True)} points of error"
    return f"{pair.first.label} minus {pair.second.label} is {here}, in the paper {say(pair.printed, 2, sign=True)}"


def _pair(pair: Pair) -> str:
    return f"{pair.first.label} minus {pair.second.label} (paper {say(pair.printed, 2, sign=True)}, here {say(pair.measured, sign=True)})"


def describe_deaths(table: Table, ablations: Ablations) -> str:
    """Return which variants of a table have dead gates, and whether one of them has fewer errors than SE; empty where none has."""
    rows = [(row, ablations.summary(row.key)) for row in table.rows]
    dead = {row.key: _death(row.label, summary) for row, summary in rows if summary and is_dead(summary)}
    return " ".join([*dead.values(), caveats(dead)]).strip()


def _death(label: str, summary: Summary) -> str:
    freezing = f", and it loses {say(summary.freezing)} points when frozen" if summary.freezing else ""
    still = f"s varies by only {say(summary.alive, 3)} over images{freezing}"
    if summary.difference and summary.difference.sign < 0:
        return f"**{label} wins with dead gates**: {still}. So the reason is not that its gates answer to the image."
    return f"**The gates of {label} are dead**: {still}. If it gains, it gains for another reason."


def is_dead(summary: Summary) -> bool:
    """Return whether the gates of a variant hardly move, so that whatever it gains has another reason."""
    return summary.alive is not None and summary.alive.mean < DEAD


def caveats(keys: Iterable[str]) -> str:
    """Return what must be known of the aliveness of some of these variants; empty where nothing is."""
    return " ".join(text for some, text in CAVEATS if some & {*keys})


def describe_divergences(ablations: Ablations, labels: Mapping[str, str]) -> list[str]:
    """Return which variants diverged, in how many seeds and why: a sentence of each, by the names in `labels`."""
    sentences = []
    for key, label in labels.items():
        done, reasons = len(ablations.seeds(key)), ablations.reasons(key)
        if reasons:
            which = "" if len({*reasons.values()}) == 1 else f"with seed {min(reasons)} "
            why = f"{which}{reasons[min(reasons)]}"
            others = "; its numbers come from the other seeds" if done else ""
            sentences.append(f"{label}: diverged in {len(reasons)} of {_count(done + len(reasons), 'seed')} ({why}){others}.")
    return sentences


def say(value: Estimate | float | None, digits: int = 1, *, sign: bool = False) -> str:
    """Return a number, or a mean with its interval, such as −1.2 (−3.0 to +0.6), with a real minus; a dash where there is none."""
    if value is None:
        return "–"
    if isinstance(value, Estimate):
        ends = "" if value.interval is None else f" ({' to '.join(say(end, digits, sign=sign) for end in value.interval)})"
        return say(value.mean, digits, sign=sign) + ends
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def say_error(key: str, ablations: Ablations) -> str:
    """Return the top-1 error of a variant; `diverged` where no run of it came to anything else; a dash where there is none."""
    summary = ablations.summary(key)
    return "diverged" if summary is None and ablations.reasons(key) else say(summary.error if summary else None)


def say_seeds(seeds: Sequence[int]) -> str:
    """Return seeds in order, for people: `seed 0`, `seeds 0 to 2`, `seeds 0, 5, 9`."""
    whole = list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    return f"seed{'' if len(seeds) == 1 else 's'} {_span(seeds) if whole else ', '.join(map(str, seeds))}"


def _span(values: Sequence[int | str]) -> str:
    """Return sorted values from the first to the last, or the only one."""
    return f"{values[0]}" if values[0] == values[-1] else f"{values[0]} to {values[-1]}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
