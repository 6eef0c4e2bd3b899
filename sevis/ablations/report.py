"""The measured ablations in words: the whole report for the terminal, and the sentences that it and the page Ablations are made of.

From top to bottom: the report, what was run, the answers pair by pair, gates that are dead and runs that diverged, and how a number is
said.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType

from sevis.ablations.agreement import (
    AGAINST,
    AS_PRINTED,
    MARGIN,
    REASONS,
    RESOLUTION,
    UNTOLD,
    Pair,
    by_answer,
    choose_pairs,
    compare,
)
from sevis.ablations.grid import BASELINE, KEYS, PLAIN, Table, tables
from sevis.ablations.results import Ablations, Estimate, Summary
from sevis.analysis.dead_gates import DEAD

INTERVALS = (
    "The 95 % intervals come from Student's t over the seeds. They hold for these validation images: they say where the mean over "
    "many seeds would lie, not what other images would give. Differences from SE are paired by seed."
)
PRINTED = (
    "The paper's errors are those of ResNet-50 on ImageNet, one run each, so only the order can be compared, not the numbers. Pairs "
    f"within {RESOLUTION} points count as equal in the paper, because another training schedule moved two of its errors by 0.08 "
    "and 0.09 (section 6)."
)
CORRECTED = (
    "The answers are corrected for all measured pairs of all tables together (Holm's correction of Student's t tests, paired by seed): if "
    "differences are normally distributed over seeds, the probability that any answer is wrong is at most 5 %. “Equal in both” needs an "
    f"equivalence test: the difference lies within ±{MARGIN:g} points. The interval of a pair is the 95 % interval over "
    "seeds of this pair, not corrected. So it may leave out 0 where nothing can be told; by chance alone, about 1 in 20 does."
)
PAPER_EPOCHS = 300  # about, of the paper's ablations (section 6)
NAMED = 8  # pairs that a sentence names, at most
NAMES = MappingProxyType({PLAIN: "no SE", "max": "max squeeze", "tanh": "tanh gate", "relu": "ReLU gate"})
PAIR_HEAD = ("Pair", "Here, points", "Paper, points", "Answer", "p (Holm)", "Without the correction")
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
    """Return everything, as Markdown, contradictions to the paper first. Raises SevisError where there is no run."""
    summaries = {key: summary for key in ablations.keys if (summary := ablations.summary(key)) is not None}
    shown = [key for key in KEYS if key in summaries or ablations.reasons(key)]
    what, pairs = describe(ablations), compare(ablations)
    lines = ["# The paper's ablations, measured", "", *_paragraphs(describe_answers(pairs, guess_cause(ablations)))]
    lines += [CORRECTED, "", PRINTED, "", "## The variants", "", what, INTERVALS, ""]
    lines += [*_markdown([SUMMARY_HEAD, *(_summary_row(key, ablations) for key in shown)]), ""]
    lines += _paragraphs([*describe_divergences(ablations, {key: key for key in KEYS}), _list_dead(summaries), caveats(summaries)])
    for table in tables():
        own = choose_pairs(table, pairs)
        lines += [f"## Table {table.number} of the paper: {table.title}", "", *_markdown(_table_rows(table, ablations)), ""]
        lines += [*_paragraphs(describe_answers(own, labels=label_rows(table))), *_markdown(pair_rows(own, label_rows(table))), ""]
    return "\n".join(lines).strip()


def _paragraphs(sentences: Iterable[str]) -> list[str]:
    return [line for words in sentences if words for line in (words, "")]


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


def label_rows(table: Table) -> dict[str, str]:
    """Return what the variants are called in a table, and the plain network where the table lacks it."""
    return {PLAIN: "no SE", **{row.key: row.label for row in table.rows}}


def label_all() -> dict[str, str]:
    """Return what the variants are called where no table is at hand."""
    return {row.key: row.label for table in tables() for row in table.rows} | NAMES


def describe_answers(pairs: Sequence[Pair], cause: str = "", *, labels: Mapping[str, str] | None = None) -> list[str]:
    """Return how many pairs have each answer, as paragraphs: which go against the paper, how many agree with it, and why others cannot be
    told.

    Args:
        pairs: of one table, or all.
        cause: `guess_cause`, said of what goes against the paper; may be empty.
        labels: what the variants are called; None: `label_all`.
    """
    if all(pair.measured is None for pair in pairs):
        return [f"**Nothing can be compared** ({_count_reasons(pairs)})."]
    names, untold = labels or label_all(), by_answer(pairs)[UNTOLD]
    against = _describe("Against the paper", pairs, AGAINST, names)
    agreeing = " ".join(_describe("As in the paper", pairs, AS_PRINTED))
    causes = [cause] if cause and len(against) > 1 else []
    rest = [f"**Cannot be told: {len(untold)} of {_count(len(pairs), 'pair')}** ({_count_reasons(untold)})."] if untold else []
    return [*against, *causes, agreeing, *rest]


def _describe(title: str, pairs: Sequence[Pair], answers: Iterable[str], names: Mapping[str, str] | None = None) -> list[str]:
    """Return how many pairs have one of these answers, with the correction and without; and which, where the variants have names."""
    found = {answer: [pair for pair in pairs if pair.answer == answer] for answer in answers}
    told = [pair for some in found.values() for pair in some]
    leaning = [pair for pair in pairs if pair.answer == UNTOLD and pair.alone in found]
    counts = ", ".join(f"{len(some)} {answer}" for answer, some in found.items() if some)
    words = [f"**{title}: {len(told)} of {_count(len(pairs), 'pair')}**{f' ({counts})' if counts else ''}"]
    lists = [told]
    if leaning:
        words.append(f"Without the correction for many pairs, {len(leaning)}{' more' if told else ''} would be")
        lists.append(leaning)
    if names is None:
        return [f"{part}." for part in words]
    return [line for part, some in zip(words, lists, strict=True) for line in (f"{part}{':' if some else '.'}", _list(some, names)) if line]


def _list(pairs: Sequence[Pair], names: Mapping[str, str]) -> str:
    """Return the pairs that lie farthest apart here as a list; empty where there are none."""
    far = sorted(pairs, key=lambda pair: -abs(pair.measured.mean if pair.measured else 0))
    more = [f"- and {len(far) - NAMED} more"] if len(far) > NAMED else []
    return "\n".join([*(f"- {say_pair(pair, names)}" for pair in far[:NAMED]), *more])


def say_pair(pair: Pair, names: Mapping[str, str]) -> str:
    """Return which of a measured pair has more errors, here and in the paper, in a clause."""
    pair = pair.turned() if pair.measured and pair.measured.mean < 0 else pair
    printed = f"{say(abs(pair.printed), 2)} {'more' if pair.printed > 0 else 'less'}" if pair.printed else "equal"
    return f"{names[pair.first]} has {say(pair.measured)} points more error than {names[pair.second]} (in the paper {printed})"


def summarize(pairs: Sequence[Pair]) -> str:
    """Return how many pairs go against the paper and how many agree with it, each taken alone and all together, in a clause."""
    alone, together = (
        [sum(answer(pair) in answers for pair in pairs) for answers in (AGAINST, AS_PRINTED)]
        for answer in (attrgetter("alone"), attrgetter("answer"))
    )
    return (
        f"taken alone, {alone[0]} of {_count(len(pairs), 'pair')} of variants go against the paper and {alone[1]} agree; corrected for all "
        f"pairs, {together[0]} and {together[1]}."
    )


def _count_reasons(pairs: Sequence[Pair]) -> str:
    counts = [(reason, sum(pair.reason == reason for pair in pairs)) for reason in REASONS]
    return ", ".join(f"{reason}: {count}" for reason, count in counts if count)


def guess_cause(ablations: Ablations) -> str:
    """Return what may be why the runs go against the paper, as a guess; empty where they are as long as the paper's."""
    epochs = ablations.base.epochs
    if epochs >= PAPER_EPOCHS:
        return ""
    return f"The likely cause, a guess that nothing here tests: {_count(epochs, 'epoch')} of training instead of about {PAPER_EPOCHS}."


def pair_rows(pairs: Iterable[Pair], names: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return a table of pairs: its head, and a row a pair with its answer, or why there is none."""
    rows: list[tuple[str, ...]] = [PAIR_HEAD]
    for pair in pairs:
        difference, printed = say(pair.measured, sign=True), say(pair.printed, 2, sign=True)
        answer = f"{pair.answer}: {pair.reason}" if pair.reason else pair.answer
        alone = say(None) if pair.p is None else pair.alone
        p = say(None) if pair.p is None else f"{pair.p:.3f}" if pair.p >= 0.001 else "below 0.001"
        rows.append((f"{names[pair.first]} minus {names[pair.second]}", difference, printed, answer, p, alone))
    return rows


def describe_deaths(table: Table, ablations: Ablations) -> str:
    """Return which variants of a table have dead gates, and whether one of them has fewer errors than SE; empty where none has."""
    rows = [(row, ablations.summary(row.key)) for row in table.rows]
    dead = {row.key: _death(row.label, summary) for row, summary in rows if summary and is_dead(summary)}
    return " ".join([*dead.values(), caveats(dead)]).strip()


def _death(label: str, summary: Summary) -> str:
    freezing = f", and it loses {say(summary.freezing)} points when frozen" if summary.freezing else ""
    still = f"s varies by only {say(summary.alive, 3)} over images{freezing}"
    if summary.difference and summary.difference.sign < 0:
        return (
            f"**{label} has fewer errors than SE, by its own 95 % interval over seeds, and dead gates**: {still}. So the reason is not "
            "that its gates answer to the image."
        )
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
