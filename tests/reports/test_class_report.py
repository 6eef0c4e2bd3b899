"""The Classes page as one HTML file: what it says, what it says is missing, and that it opens offline."""

import base64
import re
from dataclasses import replace

import numpy as np
import pytest

from sevis.analysis.audit import AuditProvenance
from sevis.analysis.audit_words import describe_audit
from sevis.analysis.depth import depth_profile
from sevis.analysis.depth_measures import MEASURES
from sevis.analysis.statements import judge
from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.errors import SevisError
from sevis.pages.classes.class_report import make_report
from sevis.pages.shared.cache import identity, keep
from sevis.pages.shared.growing import Answer
from sevis.reports.class_report import report_html, write_report
from tests.helpers.audits import audit_of
from tests.helpers.browser import OPTIONS, needs_browser
from tests.helpers.html_pages import Page, drawn
from tests.helpers.processes import loaded_by
from tests.helpers.slow import slow

HOSTILE = '<img src="https://example.org/x.png" onerror="alert(1)">'
CLASSES = ("goldfish", HOSTILE, "cliff", "lion", "pizza")
WIDTHS = {"SE_2_1": 8, "SE_2_2": 8, "SE_3_1": 16, "SE_3_2": 16}
EACH = 6


def scales(seed=0):
    """The gates of six photos of each class, which differ the more the deeper the block is."""
    random = np.random.default_rng(seed)
    found = {}
    for depth, (site, width) in enumerate(WIDTHS.items()):
        centre = 0.5 + 0.1 * depth * random.normal(size=(len(CLASSES), 1, width))
        found[site] = np.clip(centre + 0.05 * random.normal(size=(len(CLASSES), EACH, width)), 0, 1).astype(np.float32)
    return found


def statistics_of(values, *, classes=CLASSES, sample=EACH, **metadata):
    known = {"model": "se_resnet18.test", "weights": "a1b2" * 16, "data": "tiny", "split": "val", "date": "2026-11-23"} | metadata
    statistics = ClassStatistics(WIDTHS, classes, known, sample=sample)
    count = len(classes)
    gates = {site: value[:count].reshape(count * EACH, -1) for site, value in values.items()}
    statistics.update(np.repeat(np.arange(count), EACH), {site: {"scale": value, "squeeze": value} for site, value in gates.items()})
    return statistics


@pytest.fixture(scope="module")
def statistics():
    return statistics_of(scales(), broken_count=2, broken=["a.png", HOSTILE], preprocessing={"resize": 64, "crop": 56})


@pytest.fixture(scope="module")
def html(statistics):
    return report_html(statistics, other=statistics_of(scales(1), model="another"))


def text_of(html):
    return re.sub(r"\s+", " ", " ".join(Page(html).text)).replace("\N{NO-BREAK SPACE}", " ")


def titles(html):
    return re.findall(r"<h2>(.*?)</h2>", html)


def test_every_view_of_the_page_is_a_section(html):
    assert titles(html) == [
        "Where these numbers come from",
        "In short",
        "Four statements of the paper",
        "Other measures by depth",
        "Figure 6: means",
        "Figure 7: spread",
        "Class map",
        "Two networks",
    ]
    assert "This part is missing" not in html


def test_the_numbers_carry_their_provenance(html):
    text = text_of(html)
    for part in (
        "se_resnet18.test",
        "a1b2" * 16,
        "n = 30 photos of 5 classes",
        "tiny",
        "2026-11-23",
        "resize 64, crop 56",
        "2: a.png, ",
    ):
        assert part in text


def test_the_four_statements_have_their_verdicts_and_findings(statistics, html):
    text = text_of(html)
    statements = judge(depth_profile(statistics))
    assert len(statements) == 4
    for statement in statements:
        mark = {"seen here": "✓", "not seen here": "✗", "unknown here": "?"}[statement.verdict]
        told = f"{statement.sentence} {mark} {statement.verdict} {statement.finding}"
        assert told.replace("\N{NO-BREAK SPACE}", " ") in text
        assert statement.criterion.replace("\N{NO-BREAK SPACE}", " ") in text


def test_every_figure_has_its_caption(html):
    figures = re.findall(r"<figure>.*?</figure>", html, re.DOTALL)
    panels = len(WIDTHS) - 1  # the last block of each stage, and all of the last stage
    assert len(figures) == 4 + sum(measure.choice != "" for measure in MEASURES) + panels + panels + panels + 1 + 6
    assert all(re.search(r"<figcaption>[^<]{20,}</figcaption>", figure) for figure in figures)


def test_the_curves_of_figure_6_are_the_means(html):
    section = html[html.index("<h2>Figure 6") : html.index("<h2>Figure 7")]
    curves = [np.frombuffer(base64.b64decode(y["bdata"]), y["dtype"]) for y in drawn(section)]
    values = scales()["SE_2_2"].astype(np.float64)
    overall, goldfish = curves[:2]
    np.testing.assert_allclose(overall, values.mean(axis=(0, 1)), rtol=1e-6)
    np.testing.assert_allclose(goldfish, values[0].mean(axis=0), rtol=1e-6)


def test_a_known_profile_is_not_measured_again(statistics, monkeypatch):
    profile = depth_profile(statistics)
    monkeypatch.setattr("sevis.reports.class_report.depth_profile", None)
    assert len(titles(report_html(statistics, profile=profile))) == 7


def test_the_pages_button_takes_what_the_page_has_measured(statistics, monkeypatch):
    profile = depth_profile(statistics)
    keep(Answer(profile, ()), "depth-profile", identity(statistics))
    monkeypatch.setattr("sevis.reports.class_report.depth_profile", None)
    assert titles(make_report(statistics).decode()) == titles(report_html(statistics, profile=profile))


def test_names_from_outside_are_no_markup_and_nothing_is_asked_for(html):
    page = Page(html)
    assert page.addresses == []
    assert "img" not in page.tags
    assert HOSTILE in text_of(html)  # a file's name
    scripts = "".join(page.scripts[2:]).replace("\\u003c", "<")  # without plotly.js
    assert "<img" not in scripts
    assert "&lt;img" in scripts.replace("\\u0026", "&")  # a class's name
    assert re.search(r"default-src 'none'", html)


def test_statistics_of_moments_only_give_what_they_can_and_say_what_they_lack():
    html = report_html(statistics_of(scales(), sample=None))
    text = text_of(html)
    assert "This file holds only means and deviations" in text
    assert "Collect it again with python -m sevis collect" in text
    assert "The intervals are unknown" in text
    assert text.count("? unknown here") == 4
    assert len(titles(html)) == 7
    assert "This part is missing" not in html


def test_compact_statistics_give_the_same_parts_and_say_how_precise_they_are(statistics):
    whole, compact = report_html(statistics), report_html(statistics.compacted())
    assert titles(compact) == titles(whole)
    assert "This part is missing" not in compact
    assert "compact: 8 bits for means of s, 8 for its deviations, 4 for the sample of gates" in text_of(compact)
    assert "compact" not in text_of(whole)


def test_a_single_class_gives_what_it_can():
    html = report_html(statistics_of(scales(), classes=("goldfish",)))
    text = text_of(html)
    assert re.search(r"Class map This part is missing: .*three", text)
    assert ".." not in text
    assert "needs at least two classes" in text
    assert "goldfish (n = 6)" in text


def test_another_network_of_other_classes_is_said(statistics):
    other = statistics_of(scales(), classes=("a", "b", "c"))
    text = text_of(report_html(statistics, other=other))
    assert re.search(r"Two networks This part is missing: .*class", text)


def test_no_photo_at_all_is_a_report_too():
    text = text_of(report_html(ClassStatistics(WIDTHS, ("goldfish", "cliff"), {})))
    assert "These have no photo, so they have no curve: goldfish, cliff." in text
    assert "No class has two photos" in text


def test_the_file_is_html_and_written_as_a_whole(statistics, tmp_path):
    write_report(statistics, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    with pytest.raises(SevisError, match=r"a report is an HTML page, got 'report\.pdf'"):
        write_report(statistics, tmp_path / "report.pdf")
    (tmp_path / "file").write_text("")
    with pytest.raises(SevisError, match="cannot be written"):
        write_report(statistics, tmp_path / "file" / "report.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "report.html"]


def test_the_audit_of_the_same_weights_is_a_part(statistics, tmp_path, monkeypatch):
    monkeypatch.setenv("SEVIS_HOME", str(tmp_path))
    (tmp_path / "audit").mkdir()
    weights = statistics.metadata["weights"]
    audit = audit_of({"SE_2_1": (90, 5), "SE_3_1": (9, 8), "SE_3": (20, 10), "SE": (200, 10)}, images=1000, correct=600, weights=weights)
    audit.save(tmp_path / "audit" / f"any.{weights[:12]}.json")
    text = text_of(report_html(statistics))
    for part in ("Level, pattern, answer", "costs top-1: SE_2_1", "frozen: one a channel", describe_audit(audit)):
        assert part in text
    replace(audit, metadata=AuditProvenance(weights="0" * 64)).save(tmp_path / "audit" / f"any.{weights[:12]}.json")
    assert "Level, pattern, answer" not in text_of(report_html(statistics))


def test_a_report_needs_neither_torch_nor_streamlit():
    assert loaded_by("import sevis.reports.class_report") == set()


@needs_browser
@pytest.mark.parametrize("width", slow([1440, 390], [1440]))
def test_a_browser_opens_it_offline_and_every_chart_fits_its_place(html, tmp_path, width):
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    (tmp_path / "report.html").write_text(html)
    faults = []
    with playwright.sync_playwright() as context:
        browser = context.chromium.launch(**OPTIONS)
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.set_default_timeout(120_000)
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.append(request.url) if not request.url.startswith(("file:", "data:", "blob:")) else None)
        page.goto((tmp_path / "report.html").as_uri())
        page.wait_for_load_state("load")
        place = (
            "[...document.querySelectorAll('figure')].map(figure => [figure.querySelector('.main-svg').clientWidth, figure.clientWidth])"
        )
        on_screen = page.evaluate(place)
        sideways = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        on_paper = page.evaluate(place)
        browser.close()
    assert faults == []
    assert sideways <= 0
    assert len(on_screen) == html.count("<figure>")
    assert all(chart <= figure for chart, figure in on_screen + on_paper)
    assert max(figure for _, figure in on_paper) <= 690
