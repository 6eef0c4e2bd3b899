"""The panel with the paper's tables 10 to 16: its figures beside those measured here."""

from collections.abc import Sequence

import streamlit as st

from sevis.ablations.agreement import Pair, choose_pairs, compare
from sevis.ablations.grid import BASELINE, PLAIN, AblationRow, Table, tables
from sevis.ablations.report import (
    CORRECTED,
    INTERVALS,
    PRINTED,
    VARIES,
    brief_source,
    caveats,
    describe,
    describe_answers,
    describe_deaths,
    describe_divergences,
    guess_cause,
    label_rows,
    name_variant,
    pair_rows,
    say,
    say_error,
)
from sevis.ablations.results import Ablations, Summary, find_ablations, read_ablations
from sevis.errors import SevisError
from sevis.figures.networks.ablations import Dot, Life, error_dots, life_map
from sevis.figures.networks.training_curves import WITH_AND_WITHOUT, seed_curves
from sevis.pages.shared.controls import choose_one
from sevis.pages.shared.show import as_text, show, show_error

COMMAND = "python -m sevis ablate"


@st.fragment
def show_tables() -> None:
    """Show what all pairs say together, and the chosen table; the choice is kept in the address."""
    ablations = _read_or_say()
    pairs = compare(ablations)
    if ablations.runs:
        st.markdown("\n\n".join(describe_answers(pairs, guess_cause(ablations))))
        st.caption(CORRECTED)
    by_number = {table.number: table for table in tables()}
    titles = {number: f"{number}: {table.title}" for number, table in by_number.items()}
    table = by_number[choose_one("Table of the paper", list(by_number), key="table", titles=titles, wrap=True)]
    _show_table(table, ablations, choose_pairs(table, pairs))
    if ablations.runs:
        _show_lives(table, ablations)
        _show_curves(ablations)
        st.caption(f"Measured here: {as_text(describe(ablations))} {PRINTED}")
    st.caption(f"`{COMMAND}` trains what is measured here (an option adds seeds); `{COMMAND} --report` prints all of it.")


def _read_or_say() -> Ablations:
    """Return the measured ablations; none, and a sentence that says why, where they cannot be had."""
    path = find_ablations()
    if not path.is_file():
        st.info(f"Nothing is measured yet, so only the paper's figures are shown. `{COMMAND}` trains the variants.", icon=":material/info:")
        return Ablations()
    try:
        return _read(str(path), path.stat().st_mtime_ns)
    except SevisError as error:
        show_error(error)
        return Ablations()


@st.cache_resource(max_entries=4, show_spinner=False)
def _read(path: str, modified: int) -> Ablations:
    return read_ablations(path)


def _show_table(table: Table, ablations: Ablations, pairs: Sequence[Pair]) -> None:
    summaries = {row.key: ablations.summary(row.key) for row in table.rows}
    dots = [_dot(row, summaries[row.key]) for row in table.rows]
    st.markdown("\n\n".join(describe_answers(pairs, labels=label_rows(table))))
    diverged = describe_divergences(ablations, {row.key: row.label for row in table.rows})
    if diverged:
        st.markdown(" ".join(diverged))
    deaths = describe_deaths(table, ablations)
    if deaths:
        st.warning(deaths, icon=":material/heart_broken:")
    title = f"Table {table.number}: {table.title}"
    show(error_dots(dots, title=title, source=brief_source(ablations, summaries)), key=f"table-{table.number}")
    if ablations.runs:
        base = next(row.printed.top1 for row in table.rows if row.key == BASELINE and row.printed)
        rows = [_cells(row, ablations, base) for row in table.rows]
        st.dataframe(
            rows, hide_index=True, width="stretch", height="content", alt=f"The rows of Table {table.number}, here and in the paper"
        )
        st.caption(
            f"Top-1 errors are in %, differences from the default SE block in points. {INTERVALS} {VARIES} (near 0: dead). “Frozen "
            "costs” is the top-1 in points that is lost when every s is held at its mean over the training images. "
            f"{caveats(summaries)}"
        )
        _show_pairs(table, pairs)


def _show_pairs(table: Table, pairs: Sequence[Pair]) -> None:
    head, *rows = pair_rows(pairs, label_rows(table))
    cells = [dict(zip(head, row, strict=True)) for row in rows]
    with st.expander(f"All pairs of Table {table.number}, each with its answer"):
        st.dataframe(
            cells, hide_index=True, width="stretch", height="content", alt=f"The pairs of Table {table.number}, here and in the paper"
        )
        st.caption(
            "Differences in error are in points, each with the 95 % interval over seeds of this pair. “p (Holm)” is the smallest corrected "
            "p-value of the pair: an answer needs 0.05 or less."
        )


def _dot(row: AblationRow, summary: Summary | None) -> Dot:
    return Dot(row.label, summary.error if summary else None, row.printed.top1 if row.printed else None, row.key == BASELINE)


def _cells(row: AblationRow, ablations: Ablations, base: float) -> dict[str, str]:
    """Return a row of the table that is read; `base` is the paper's error of SE as it is by default."""
    summary = ablations.summary(row.key)
    printed = row.printed.top1 if row.printed else None
    return {
        "Variant": row.label,
        "Error here": say_error(row.key, ablations),
        "Error, paper": say(printed, 2),
        "Difference here": say(summary.difference if summary else None, sign=True),
        "Difference, paper": say(None if printed is None or row.key == BASELINE else printed - base, 2, sign=True),
        "s varies by": say(summary.alive if summary else None, 3),
        "Frozen costs": say(summary.freezing if summary else None),
        "Seeds": str(summary.error.seeds if summary else 0),
        "Parameters here": f"{summary.parameters:,}" if summary else say(None),
    }


def _show_lives(table: Table, ablations: Ablations) -> None:
    labels = {row.key: row.label for row in table.rows}
    drawn = {
        key: Life(labels.get(key, name_variant(key)), summary.error.mean, summary.alive.mean, summary.freezing.mean, key in labels)
        for key in ablations.keys
        for summary in [ablations.summary(key)]
        if summary and summary.alive and summary.freezing
    }
    if not drawn:
        return
    show(life_map(list(drawn.values()), source=brief_source(ablations, drawn), caveats=caveats(drawn)), key="lives")


def _show_curves(ablations: Ablations) -> None:
    groups = {name_variant(key): [run.rows for run in ablations.seeds(key).values()] for key in (BASELINE, PLAIN) if ablations.seeds(key)}
    if groups:
        source = brief_source(ablations, (BASELINE, PLAIN))
        show(seed_curves(groups, what=WITH_AND_WITHOUT, source=source), key="seed-curves")
