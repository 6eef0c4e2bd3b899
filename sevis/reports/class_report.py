"""The Classes page as one self-contained HTML file: what class statistics say, section by section, each figure with its caption."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from html import escape
from pathlib import Path

import numpy as np

from sevis.analysis.audit import Audit, known_audit
from sevis.analysis.audit_words import describe_audit, ladder_table, last_stage_answer, last_stage_question, reading
from sevis.analysis.class_curves import PAPER_CHANNELS, missing
from sevis.analysis.class_map import pca_maps, similar_order
from sevis.analysis.depth import DepthProfile, depth_profile, describe_measuring
from sevis.analysis.formulas import distances
from sevis.analysis.saved_profile import known_profile
from sevis.analysis.statements import Statement, describe_regions, judge
from sevis.analysis.two_models import ModelComparison, compare_models
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.provenance import describe_source
from sevis.errors import SevisError
from sevis.figures.chart import Chart
from sevis.figures.classes import two_models as models
from sevis.figures.classes.class_curves import BORDERS, Stroke, describe_sampling, paper_blocks, paper_classes, paper_spreads
from sevis.figures.classes.class_map import class_map, distance_matrix
from sevis.figures.classes.depth import measure_chart, offered, statement_chart
from sevis.figures.classes.figure6 import ABOUT_MEANS, entries, mean_panel
from sevis.figures.classes.figure7 import ABOUT_SPREAD, spread_panels
from sevis.figures.gates.audit import ABOUT_AUDIT, audit_chart
from sevis.reports.html import chart_html, document, panels_html, write_page

MAPS = 3  # blocks, the last of those in the paper's figures
TOLD = {  # what a file's metadata says, in words
    "model": "Network",
    "weights": "SHA-256 of its weights",
    "data": "Data set",
    "split": "Part of the data",
    "fingerprint": "Fingerprint of the data",
    "preprocessing": "Preprocessing",
    "precision": "Precision",
    "device": "Device",
    "torch": "PyTorch",
    "sevis": "sevis",
    "date": "Collected on",
    "seed": "Seed",
}
MARKS = {"seen here": ("seen", "✓"), "not seen here": ("unseen", "✗"), "unknown here": ("unknown", "?")}
STYLE = """<style>
table { border-collapse: collapse; font-size: .9em; }
th { text-align: left; font-weight: 600; padding: .15rem 1.5rem .15rem 0; vertical-align: top; white-space: nowrap; }
td { padding: .15rem 0; overflow-wrap: anywhere; }
article { margin: 0 0 1rem; min-width: 0; break-inside: avoid; }
.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 460px), 1fr)); }
.paper .wide { grid-template-columns: 1fr 1fr; }
.ladder td { padding-right: 1.5rem; }
@media (max-width: 600px) { th, td { display: block; } }
.verdict { display: inline-block; padding: 0 .6rem; border-radius: 1rem; font-weight: 600; border: 2px solid; }
.seen { color: #006b4f; } .unseen { color: #9c4a00; } .unknown { color: #4b5262; }
.note { border-left: 4px solid #9c4a00; padding-left: .75rem; }
.legend span { white-space: nowrap; margin-right: 1.5rem; }
.legend i { display: inline-block; width: 1.8em; vertical-align: middle; margin-right: .45em; border-top: 3px; }
</style>"""


def write_report(statistics: ClassStatistics, path: str | Path, *, other: ClassStatistics | None = None) -> None:
    """Write `report_html` as a whole or not at all.

    Raises:
        SevisError: for a file whose name does not end in .html, or a path that cannot be written to.
    """
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise SevisError(f"a report is an HTML page, got {Path(path).name!r}: choose a name that ends in .html")
    write_page(report_html(statistics, other=other), path)


def report_html(statistics: ClassStatistics, *, other: ClassStatistics | None = None, profile: DepthProfile | None = None) -> str:
    """Return what the class statistics of a network say, as one HTML page that opens offline, about 6 MB.

    A part that the statistics cannot give, for they are of too few classes or hold only means, is a sentence that says so. An audit
    of the same weights is a part of the report, where one is stored.

    Args:
        statistics: of the network.
        other: of another network, to compare it with on the classes that both saw.
        profile: of the statistics, where it is known already; else it is the one that lies beside their file, or measured in some seconds.
    """
    known = profile or known_profile(statistics) or depth_profile(statistics)
    sections: dict[str, Callable[[], Iterable[str]]] = {
        "Where these numbers come from": partial(_provenance, statistics),
        "In short": partial(_regions, known),
        "Four statements of the paper": partial(_statements, known),
        "Other measures by depth": partial(_measures, known),
        "Figure 6: means": partial(_means, statistics),
        "Figure 7: spread": partial(_spreads, statistics),
        "Class map": partial(_maps, statistics),
    }
    if audit := known_audit(str(statistics.metadata.get("weights"))):
        sections["Level, pattern, answer"] = partial(_audit, audit)
    if other is not None:
        sections["Two networks"] = partial(_comparison, statistics, other)
    name = str(statistics.metadata.get("model") or "a network")
    return document(f"sevis: the gates of {name}, class by class", "\n".join([STYLE, *_sections(sections)]))


def _sections(sections: Mapping[str, Callable[[], Iterable[str]]]) -> Iterator[str]:
    for title, parts in sections.items():
        try:
            body = "\n".join(parts())
        except SevisError as error:
            body = _note(f"This part is missing: {str(error).rstrip('.')}.")
        yield f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>"


def _provenance(statistics: ClassStatistics) -> Iterator[str]:
    known = statistics.metadata
    yield _text(describe_source(statistics))
    if not statistics.detailed:
        yield _note(
            "This file holds only means and deviations. Without single gates and histograms there are no intervals, no saturation "
            "and no accuracy. Collect it again with python -m sevis collect."
        )
    rows = {label: _in_words(known[field]) for field, label in TOLD.items() if known.get(field) not in (None, "")}
    rows |= {"Blocks and channels": f"{len(statistics.sites)} and {sum(statistics.channels.values()):,}"}
    if known_bits := statistics.packing:
        rows |= {
            "Precision of the file": f"compact: {known_bits.mean} bits for means of s, {known_bits.std} for its deviations, "
            f"{known_bits.sample} for the sample of gates"
        }
    if known.get("broken_count"):
        rows["Images that could not be read"] = f"{known['broken_count']}: {', '.join(map(_broken_name, known.get('broken') or []))}"
    yield f"<table>{''.join(f'<tr><th>{escape(label)}</th><td>{escape(value)}</td></tr>' for label, value in rows.items())}</table>"


def _in_words(value: object) -> str:
    return ", ".join(f"{name} {part}" for name, part in value.items()) if isinstance(value, dict) else str(value)


def _broken_name(image: object) -> str:
    return str(image[1] if isinstance(image, list | tuple) and len(image) > 1 else image)


def _regions(profile: DepthProfile) -> Iterator[str]:
    yield f"<ul>{''.join(f'<li>{_marked(sentence)}</li>' for sentence in describe_regions(profile))}</ul>"
    yield _text(describe_measuring(profile))


def _statements(profile: DepthProfile) -> Iterator[str]:
    yield _text("Hu, Shen, Albanie, Sun & Wu, Squeeze-and-Excitation Networks (arXiv:1709.01507v4, section 7), tested on this network.")
    yield _grid((_statement(profile, statement) for statement in judge(profile)), wide=True)


def _statement(profile: DepthProfile, statement: Statement) -> str:
    look, sign = MARKS[statement.verdict]
    parts = (
        "<article>",
        f"<p><strong>{_marked(statement.sentence)}</strong></p>",
        f'<p class="verdict {look}">{sign} {escape(statement.verdict)}</p>',
        _text(statement.finding),
        _text(f"Seen if: {statement.criterion}"),
        chart_html(statement_chart(profile, statement)),
        "</article>",
    )
    return "\n".join(parts)


def _measures(profile: DepthProfile) -> Iterator[str]:
    yield _grid((chart_html(measure_chart(profile, measure.name)) for measure in offered(profile).values()), wide=True)


def _means(statistics: ClassStatistics) -> Iterator[str]:
    classes = paper_classes(statistics)
    yield _text(f"{ABOUT_MEANS} {describe_sampling(PAPER_CHANNELS)}")
    if empty := missing(statistics, classes):
        yield _note(f"These have no photo, so they have no curve: {', '.join(empty)}.")
    yield _legend(entries(statistics, classes))
    yield _grid(chart_html(mean_panel(statistics, site, classes)) for site in paper_blocks(statistics.sites))


def _spreads(statistics: ClassStatistics) -> Iterator[str]:
    classes = [name for name in paper_spreads(statistics) if statistics.count[statistics.index(name)] > 1]
    yield _text(f"{ABOUT_SPREAD} {describe_sampling(PAPER_CHANNELS)}")
    if not classes:
        yield _note("No class has two photos, so no spread can be drawn.")
        return
    yield _legend(entries(statistics, classes))
    yield from (panels_html(spread_panels(statistics, site, classes)) for site in paper_blocks(statistics.sites))


def _maps(statistics: ClassStatistics) -> Iterator[str]:
    maps, marked = pca_maps(statistics, photos=0), paper_classes(statistics)
    yield _text(
        "Each class is the mean of its photos' gates, placed on the first two principal axes of the class means of its block. The "
        "maps share one scale: if a block is class-agnostic, its classes lie on one spot; if it is class-specific, they lie apart."
    )
    yield _grid(
        chart_html(class_map(maps, block, statistics.classes, marked=marked))
        for block in map(statistics.sites.index, paper_blocks(statistics.sites)[-MAPS:])
    )
    yield chart_html(_matrix(statistics, statistics.sites[-1]))


def _matrix(statistics: ClassStatistics, site: str) -> Chart:
    rows = np.flatnonzero(statistics.count)
    means = statistics.mean(site)[rows]
    order = similar_order(distances(means, "cosine"))
    matrix = distances(means[order], "cosine")
    names = [statistics.classes[row] for row in rows[order]]
    return distance_matrix(matrix, names, site=site, metric="cosine", furthest=float(np.nanmax(matrix)) or 1.0)


def _audit(audit: Audit) -> Iterator[str]:
    yield _text(ABOUT_AUDIT)
    yield _text(reading(audit))
    yield chart_html(audit_chart(audit))
    table = ladder_table(audit)
    head = "".join(f"<th>{escape(column)}</th>" for column in table)
    rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in zip(*table.values(), strict=True))
    yield f'<table class="ladder"><tr>{head}</tr>{"".join(f"<tr>{row}</tr>" for row in rows)}</table>'
    yield _text(f"**{last_stage_question(audit)}** {last_stage_answer(audit)}")
    yield _text(describe_audit(audit))


def _comparison(first: ClassStatistics, second: ClassStatistics) -> Iterator[str]:
    comparison = compare_models(first, second, only_common=True)
    one, two = comparison.names
    yield _text(f"**{one}** and **{two}** on the {len(comparison.classes)} classes that both saw.")
    yield _text(f"The second: {describe_source(second)}")
    if comparison.same_images is not True:
        what = "saw different photos" if comparison.same_images is False else "may have seen different photos (the files do not tell)"
        yield _note(f"The two networks {what}, so a difference may come from the photos.")
    yield _grid(map(chart_html, _compared(comparison)))


def _compared(comparison: ModelComparison) -> Iterator[Chart]:
    for measure in models.MEASURES:
        yield models.profile_panel(comparison, measure)
    yield models.agreement_panel(comparison)
    yield models.agreement_map(comparison)
    if np.isfinite(comparison.difference).any():
        yield models.difference_panel(comparison)


def _grid(parts: Iterable[str], *, wide: bool = False) -> str:
    return f'<div class="grid{" wide" if wide else ""}">\n{"".join(parts)}\n</div>'


def _legend(strokes: Mapping[str, Stroke]) -> str:
    """Return the curves of the panels below it, each as it is drawn there."""
    marks = (
        f'<span><i style="border-color:{stroke.colour};border-top-style:{BORDERS[stroke.dash]}"></i>{escape(label)}</span>'
        for label, stroke in strokes.items()
    )
    return f'<p class="legend">{" ".join(marks)}</p>'


def _text(text: str) -> str:
    return f"<p>{_marked(text)}</p>"


def _note(text: str) -> str:
    return f'<p class="note">{_marked(text)}</p>'


def _marked(text: str) -> str:
    """Return plain text as HTML; what stands between double asterisks is bold."""
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(text))
